//! What follows from what is observed: states of clusters and pools, progress and ends of operations. Pure.

use crate::database::cluster::{ClusterRecord, ClusterState, Reason};
use crate::database::node_pool::{NodePoolRecord, NodePoolState, Observed};
use crate::database::operation::{OperationKind, OperationRecord, OperationState, Progress};

use super::control_plane::{ControlPlaneStatus, PoolStatus};

/// What to record.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) cluster: Option<ClusterChange>,
    pub(super) pools: Vec<PoolChange>,
    pub(super) operations: Vec<OperationChange>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClusterChange {
    pub(super) state: ClusterState,
    pub(super) reason: Option<Reason>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum PoolChange {
    Observe { uid: String, state: NodePoolState, reason: Option<Reason>, observed: Observed },
    Delete { uid: String },
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum OperationChange {
    Progress { id: String, progress: Progress },
    Finish { id: String, progress: Progress, error: Option<Reason> },
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.cluster.is_none() && self.pools.is_empty() && self.operations.is_empty()
    }
}

/// A pool as it will be recorded.
struct Pool<'a> {
    record: &'a NodePoolRecord,
    state: NodePoolState,
    reason: Option<Reason>,
    observed: Observed,
    gone: bool,
}

/// Compares the records with what is observed.
pub(super) fn observe(
    cluster: &ClusterRecord,
    pools: &[NodePoolRecord],
    open: &[OperationRecord],
    status: &ControlPlaneStatus,
) -> Changes {
    let now = cluster_now(cluster, status);
    let pools: Vec<_> = pools
        .iter()
        .map(|record| pool_now(record, status.pools.iter().find(|status| status.name == record.name)))
        .collect();
    let cluster_change = (now.state != cluster.state || now.reason != cluster.reason).then_some(now);
    Changes {
        cluster: cluster_change,
        pools: pools.iter().filter_map(Pool::change).collect(),
        operations: open.iter().filter_map(|operation| advance(operation, status.ready, &pools)).collect(),
    }
}

fn cluster_now(cluster: &ClusterRecord, status: &ControlPlaneStatus) -> ClusterChange {
    if let Some(failure) = &status.failure {
        return ClusterChange { state: ClusterState::Failed, reason: Some(failure.clone()) };
    }
    if status.ready {
        return ClusterChange { state: ClusterState::Active, reason: None };
    }
    // On the way: a cluster that was active is active again in a moment.
    ClusterChange { state: cluster.state, reason: cluster.reason.clone() }
}

fn pool_now<'a>(record: &'a NodePoolRecord, status: Option<&PoolStatus>) -> Pool<'a> {
    let unchanged = Pool {
        record,
        state: record.state,
        reason: record.reason.clone(),
        observed: record.observed,
        gone: false,
    };
    let Some(status) = status else { return unchanged };
    let observed = status.observed;
    let reason = status.trouble.as_ref().map(|trouble| trouble.reason.clone());
    if record.state == NodePoolState::Deleting {
        return Pool { reason, observed, gone: status.gone, ..unchanged };
    }
    if status.wanted != record.nodes {
        return Pool { observed, ..unchanged };
    }
    let settled = observed == Observed { machines: record.nodes, ready: record.nodes };
    let state = match &status.trouble {
        Some(trouble) if trouble.permanent => NodePoolState::Failed,
        Some(_) => NodePoolState::Degraded,
        None if settled => NodePoolState::Active,
        None => match record.state {
            NodePoolState::Degraded | NodePoolState::Failed => NodePoolState::Scaling,
            state => state,
        },
    };
    Pool { state, reason, observed, ..unchanged }
}

impl Pool<'_> {
    fn change(&self) -> Option<PoolChange> {
        let uid = self.record.uid.clone();
        if self.gone {
            return Some(PoolChange::Delete { uid });
        }
        let same = self.state == self.record.state
            && self.reason == self.record.reason
            && self.observed == self.record.observed;
        let (state, reason, observed) = (self.state, self.reason.clone(), self.observed);
        (!same).then_some(PoolChange::Observe { uid, state, reason, observed })
    }

    /// Nodes that are there and wanted.
    fn ready(&self) -> u32 {
        self.observed.ready.min(self.record.nodes)
    }

    fn message(&self) -> String {
        let Self { record, observed, .. } = self;
        let trouble = self.reason.as_ref().map(|reason| format!(": {}", reason.message)).unwrap_or_default();
        if observed.machines > record.nodes {
            return format!("{} nodes are to be removed{trouble}", observed.machines - record.nodes);
        }
        format!("{} of {} nodes are ready{trouble}", self.ready(), record.nodes)
    }
}

fn advance(operation: &OperationRecord, ready: bool, pools: &[Pool<'_>]) -> Option<OperationChange> {
    let pool = operation
        .node_pool
        .as_ref()
        .map(|key| pools.iter().find(|pool| pool.record.uid == key.uid && !pool.gone));
    let outcome = match (operation.kind, pool) {
        (OperationKind::ClusterCreate, _) => cluster_create(ready, pools),
        (OperationKind::NodePoolCreate, Some(Some(pool))) => {
            pool_settles(pool, ready, pool.record.nodes.max(1))
        }
        (OperationKind::NodePoolScale, Some(Some(pool))) => {
            pool_settles(pool, ready, operation.progress.total)
        }
        (OperationKind::NodePoolDelete, Some(Some(pool))) => pool_goes(pool, operation.progress.total),
        (OperationKind::NodePoolDelete, Some(None)) => Outcome::Succeeded(operation.progress.total),
        (OperationKind::NodePoolCreate | OperationKind::NodePoolScale, _) => {
            Outcome::Failed(operation.progress.clone(), Reason::new("Superseded", "the node pool is gone"))
        }
        // Its own path: there is nothing to observe any more.
        (OperationKind::ClusterDelete | OperationKind::NodePoolDelete, _) => return None,
    };
    outcome.change(operation)
}

enum Outcome {
    Running(Progress),
    /// With that many steps.
    Succeeded(u32),
    Failed(Progress, Reason),
}

impl Outcome {
    fn change(self, operation: &OperationRecord) -> Option<OperationChange> {
        let id = operation.id.clone();
        match self {
            Self::Running(progress) => {
                let same = operation.state == OperationState::Running && operation.progress == progress;
                (!same).then_some(OperationChange::Progress { id, progress })
            }
            Self::Succeeded(total) => {
                let progress = Progress { done: total, total, message: "done".to_owned() };
                Some(OperationChange::Finish { id, progress, error: None })
            }
            Self::Failed(progress, error) => {
                Some(OperationChange::Finish { id, progress, error: Some(error) })
            }
        }
    }
}

fn cluster_create(ready: bool, pools: &[Pool<'_>]) -> Outcome {
    let pools: Vec<_> = pools.iter().filter(|pool| pool.state != NodePoolState::Deleting).collect();
    let wanted: u32 = pools.iter().map(|pool| pool.record.nodes).sum();
    let there: u32 = pools.iter().map(|pool| pool.ready()).sum();
    let total = wanted + 1;
    if !ready {
        let message = "the control plane is starting".to_owned();
        return Outcome::Running(Progress { done: 0, total, message });
    }
    if pools.iter().all(|pool| pool.state == NodePoolState::Active) {
        return Outcome::Succeeded(total);
    }
    let trouble = pools.iter().find_map(|pool| Some((pool, pool.reason.as_ref()?)));
    let message = match trouble {
        Some((pool, reason)) => {
            format!(
                "{there} of {wanted} nodes are ready; node pool {:?}: {}",
                pool.record.name, reason.message
            )
        }
        None => format!("{there} of {wanted} nodes are ready"),
    };
    let progress = Progress { done: there + 1, total, message };
    match trouble {
        Some((pool, reason)) if pool.state == NodePoolState::Failed => {
            Outcome::Failed(progress, reason.clone())
        }
        _ => Outcome::Running(progress),
    }
}

fn pool_settles(pool: &Pool<'_>, ready: bool, total: u32) -> Outcome {
    if pool.state == NodePoolState::Active {
        return Outcome::Succeeded(total);
    }
    let away = pool.record.nodes.abs_diff(pool.observed.machines).max(pool.record.nodes - pool.ready());
    let message = if ready { pool.message() } else { "the control plane is starting".to_owned() };
    let progress = Progress { done: total.saturating_sub(away.max(1)), total, message };
    match (&pool.reason, pool.state) {
        (Some(reason), NodePoolState::Failed) => Outcome::Failed(progress, reason.clone()),
        _ => Outcome::Running(progress),
    }
}

fn pool_goes(pool: &Pool<'_>, total: u32) -> Outcome {
    let left = pool.observed.machines;
    let trouble = pool.reason.as_ref().map(|reason| format!(": {}", reason.message)).unwrap_or_default();
    let message = format!("{left} nodes are left{trouble}");
    Outcome::Running(Progress { done: total.saturating_sub(left.max(1)), total, message })
}
