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
    note: Option<String>,
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
        note: status.and_then(|status| status.note.clone()),
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
        if observed.machines > record.nodes {
            return format!("nodes to remove: {}{}", observed.machines - record.nodes, self.remark());
        }
        format!("{} of {} nodes are ready{}", self.ready(), record.nodes, self.remark())
    }

    /// What stands in the way, or else what it is at, to be put after something.
    fn remark(&self) -> String {
        let text = self.reason.as_ref().map(|reason| &reason.message).or(self.note.as_ref());
        text.map(|text| format!(": {text}")).unwrap_or_default()
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
    let message = format!("nodes left: {left}{}", pool.remark());
    Outcome::Running(Progress { done: total.saturating_sub(left.max(1)), total, message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::cluster::Scope;
    use crate::database::node_pool::Kubelet;
    use crate::database::operation::NodePoolKey;
    use crate::service::control_plane::Trouble;

    fn cluster(state: ClusterState) -> ClusterRecord {
        ClusterRecord {
            uid: "u".into(),
            scope: Scope { provider: "mock".into(), account: "default".into(), region: "r".into() },
            name: "dev".into(),
            version: "1.36".into(),
            pod_cidr: String::new(),
            service_cidr: String::new(),
            settings: Default::default(),
            labels: [].into(),
            port: 1,
            state,
            reason: None,
            revision: 1,
            created_at: String::new(),
            updated_at: String::new(),
            nodes_wanted: 0,
            nodes_ready: 0,
        }
    }

    fn pool(state: NodePoolState, nodes: u32, machines: u32, ready: u32) -> NodePoolRecord {
        NodePoolRecord {
            uid: "p".into(),
            cluster_uid: "u".into(),
            name: "a".into(),
            instance_type: "t".into(),
            nodes,
            version: "1.36".into(),
            kubelet: Kubelet::Simulated,
            zones: vec![],
            labels: [].into(),
            taints: vec![],
            spot: false,
            state,
            reason: None,
            observed: Observed { machines, ready },
            revision: 1,
            created_at: String::new(),
            updated_at: String::new(),
        }
    }

    fn status(wanted: u32, machines: u32, ready: u32) -> PoolStatus {
        PoolStatus {
            name: "a".into(),
            wanted,
            observed: Observed { machines, ready },
            trouble: None,
            note: None,
            gone: false,
        }
    }

    fn operation(kind: OperationKind, total: u32) -> OperationRecord {
        let key = NodePoolKey { uid: "p".into(), name: "a".into() };
        OperationRecord {
            sequence: 1,
            id: "op".into(),
            kind,
            state: OperationState::Pending,
            cluster_uid: "u".into(),
            cluster_name: "dev".into(),
            node_pool: (kind != OperationKind::ClusterCreate).then_some(key),
            progress: Progress { done: 0, total, message: String::new() },
            error: None,
            revision: 1,
            created_at: String::new(),
            updated_at: String::new(),
            finished_at: None,
        }
    }

    /// State of the pool, then the operation: `3/4 message`, `done` or `failed: why`.
    fn seen(record: &NodePoolRecord, status: PoolStatus, kind: OperationKind, total: u32) -> String {
        let plane = ControlPlaneStatus { ready: true, failure: None, pools: vec![status] };
        let pools = std::slice::from_ref(record);
        let changes = observe(&cluster(ClusterState::Active), pools, &[operation(kind, total)], &plane);
        let state = match changes.pools.first() {
            None => record.state.to_string(),
            Some(PoolChange::Delete { .. }) => "gone".to_owned(),
            Some(PoolChange::Observe { state, .. }) => state.to_string(),
        };
        let operation = match changes.operations.first() {
            None => "same".to_owned(),
            Some(OperationChange::Progress { progress, .. }) => {
                format!("{}/{} {}", progress.done, progress.total, progress.message)
            }
            Some(OperationChange::Finish { error: None, .. }) => "done".to_owned(),
            Some(OperationChange::Finish { error: Some(reason), .. }) => {
                format!("failed: {}", reason.message)
            }
        };
        format!("{state}, {operation}")
    }

    #[test]
    fn pools_and_their_operations_follow_what_is_observed() {
        use NodePoolState::{Active, Creating, Degraded, Deleting, Scaling};
        use OperationKind::{ClusterCreate, NodePoolCreate, NodePoolDelete, NodePoolScale};
        let with = |status: PoolStatus, message: &str, permanent| PoolStatus {
            trouble: Some(Trouble { reason: Reason::new("Code", message), permanent }),
            ..status
        };
        let gone = |status| PoolStatus { gone: true, ..status };
        let cases = [
            (
                pool(Creating, 3, 0, 0),
                status(3, 2, 1),
                NodePoolCreate,
                3,
                "creating, 1/3 1 of 3 nodes are ready",
            ),
            (pool(Creating, 3, 2, 1), status(3, 3, 3), NodePoolCreate, 3, "active, done"),
            (pool(Creating, 0, 0, 0), status(0, 0, 0), NodePoolCreate, 1, "active, done"),
            (
                pool(Creating, 2, 0, 0),
                status(2, 2, 1),
                ClusterCreate,
                3,
                "creating, 2/3 1 of 2 nodes are ready",
            ),
            (pool(Creating, 2, 0, 0), status(2, 2, 2), ClusterCreate, 3, "active, done"),
            // It has not heard of the new number yet, so that having the old one is not the end.
            (
                pool(Scaling, 5, 3, 3),
                status(3, 3, 3),
                NodePoolScale,
                2,
                "scaling, 0/2 3 of 5 nodes are ready",
            ),
            (
                pool(Scaling, 5, 3, 3),
                status(5, 4, 4),
                NodePoolScale,
                2,
                "scaling, 1/2 4 of 5 nodes are ready",
            ),
            (pool(Scaling, 1, 3, 3), status(1, 2, 2), NodePoolScale, 2, "scaling, 1/2 nodes to remove: 1"),
            (pool(Scaling, 1, 2, 2), status(1, 1, 1), NodePoolScale, 2, "active, done"),
            (
                pool(Creating, 3, 0, 0),
                with(status(3, 0, 0), "no answer", false),
                NodePoolCreate,
                3,
                "degraded, 0/3 0 of 3 nodes are ready: no answer",
            ),
            (
                pool(Degraded, 3, 0, 0),
                status(3, 1, 0),
                NodePoolCreate,
                3,
                "scaling, 0/3 0 of 3 nodes are ready",
            ),
            (
                pool(Creating, 3, 0, 0),
                with(status(3, 0, 0), "no such type", true),
                NodePoolCreate,
                3,
                "failed, failed: no such type",
            ),
            (pool(Active, 3, 3, 3), status(3, 3, 2), NodePoolDelete, 3, "active, 0/3 nodes left: 3"),
            (pool(Deleting, 3, 3, 3), status(0, 1, 1), NodePoolDelete, 3, "deleting, 2/3 nodes left: 1"),
            (
                pool(Deleting, 3, 3, 3),
                PoolStatus { note: Some("node-1: 2 pods left".into()), ..status(0, 1, 1) },
                NodePoolDelete,
                3,
                "deleting, 2/3 nodes left: 1: node-1: 2 pods left",
            ),
            (pool(Deleting, 3, 1, 1), gone(status(0, 0, 0)), NodePoolDelete, 3, "gone, done"),
        ];
        for (record, status, kind, total, expected) in cases {
            let about = format!("{record:?} {status:?}");
            assert_eq!(seen(&record, status, kind, total), expected, "{about}");
        }
    }

    #[test]
    fn what_is_as_recorded_is_no_change() {
        let record = pool(NodePoolState::Active, 1, 1, 1);
        let plane = ControlPlaneStatus { ready: true, failure: None, pools: vec![status(1, 1, 1)] };
        assert!(observe(&cluster(ClusterState::Active), &[record], &[], &plane).is_empty());
        let starting = ControlPlaneStatus::default();
        assert!(observe(&cluster(ClusterState::Active), &[], &[], &starting).is_empty());
    }

    #[test]
    fn a_cluster_is_active_when_it_serves_and_failed_when_it_stops() {
        let serving = ControlPlaneStatus { ready: true, ..ControlPlaneStatus::default() };
        let changes = observe(&cluster(ClusterState::Creating), &[], &[], &serving);
        assert_eq!(changes.cluster, Some(ClusterChange { state: ClusterState::Active, reason: None }));
        let reason = Reason::new("Panicked", "it panicked");
        let stopped = ControlPlaneStatus { failure: Some(reason.clone()), ..serving };
        let changes = observe(&cluster(ClusterState::Active), &[], &[], &stopped);
        assert_eq!(
            changes.cluster,
            Some(ClusterChange { state: ClusterState::Failed, reason: Some(reason) })
        );
    }
}
