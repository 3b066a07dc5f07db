//! One cluster's reconciler: makes what is recorded so, and records what is.
//!
//! Each pass re-reads the records, so it may end anywhere, also with the process, and the next pass goes on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use drydock_runtime::tasks::TaskError;
use drydock_runtime::{OnError, fault, wall};

use crate::database::cluster::{self, ClusterRecord, ClusterState, Reason};
use crate::database::operation::{self, OperationRecord, OperationState, Progress};
use crate::database::{DatabaseError, node_pool};

use super::Service;
use super::control_plane::{ControlPlane, ControlPlaneError, ControlPlaneStatus};
use super::fleet::Member;
use super::observe::{self, Changes, OperationChange, PoolChange};

/// What a pass leaves to do.
enum Next {
    /// Nothing, until something changes.
    Settled(Arc<dyn ControlPlane>, ControlPlaneStatus),
    /// Something failed: again after a while, or when something changes.
    Retry,
    /// The cluster is no more.
    Gone,
}

const FIRST_DELAY: Duration = Duration::from_millis(250);
const LAST_DELAY: Duration = Duration::from_secs(30);
/// A control plane that does not start in this time is given up and started anew.
const OPEN_PATIENCE: Duration = Duration::from_secs(60);
/// Observations come in bursts: they are taken together.
const GATHER: Duration = Duration::from_millis(10);

impl Service {
    /// Gives the cluster a reconciler unless it has one, and lets it look at the records.
    pub(super) fn oversee(&self, uid: &str) {
        let Some(member) = self.inner.fleet.wake(uid) else { return };
        let service = self.clone();
        self.inner.tasks.supervise("cluster", OnError::Restart, move || {
            let (service, member) = (service.clone(), member.clone());
            async move { service.reconcile_until_gone(&member).await }
        });
    }

    async fn reconcile_until_gone(&self, member: &Member) -> Result<(), TaskError> {
        let mut delay = FIRST_DELAY;
        loop {
            let next = self.reconcile(member).await?;
            member.attempted.store(true, Ordering::Release);
            match next {
                Next::Gone => {
                    self.inner.fleet.remove(&member.uid);
                    return Ok(());
                }
                Next::Settled(plane, observed) => {
                    delay = FIRST_DELAY;
                    tokio::select! {
                        () = member.wake.notified() => {}
                        () = plane.changed(&observed) => wall::sleep(GATHER).await,
                    }
                }
                Next::Retry => {
                    tokio::select! {
                        () = member.wake.notified() => {}
                        () = wall::sleep(delay) => {}
                    }
                    delay = (delay * 2).min(LAST_DELAY);
                }
            }
        }
    }

    async fn reconcile(&self, member: &Member) -> Result<Next, DatabaseError> {
        let Some(cluster) = self.inner.database.cluster_get(&member.uid).await? else {
            self.shut(member).await;
            return Ok(Next::Gone);
        };
        member.seen.store(cluster.revision, Ordering::Release);
        if cluster.state == ClusterState::Deleting {
            return self.remove(member, &cluster).await;
        }
        let plane = match self.open(member, &cluster).await {
            Ok(plane) => plane,
            Err(error) => {
                self.record_failure(&cluster, &error.reason).await?;
                return Ok(Next::Retry);
            }
        };
        plane.configure(&cluster.version, &cluster.settings);
        let observed = plane.status();
        self.record_observation(&cluster.uid, &*plane, &observed).await?;
        if observed.failure.is_some() {
            self.shut(member).await;
            return Ok(Next::Retry);
        }
        Ok(Next::Settled(plane, observed))
    }

    async fn open(
        &self,
        member: &Member,
        cluster: &ClusterRecord,
    ) -> Result<Arc<dyn ControlPlane>, ControlPlaneError> {
        if let Some(plane) = member.plane() {
            return Ok(plane);
        }
        let _permit = self.inner.fleet.gate.acquire().await;
        let opened = wall::timeout(OPEN_PATIENCE, self.inner.planes.open(cluster)).await;
        let late = || {
            let message = format!("the control plane did not start in {} s", OPEN_PATIENCE.as_secs());
            Err(ControlPlaneError::new("StartTimeout", message))
        };
        let plane = opened.unwrap_or_else(late)?;
        tracing::info!(
            cluster = cluster.name,
            uid = cluster.uid,
            endpoint = plane.endpoint(),
            "cluster is open"
        );
        member.set_plane(plane.clone());
        Ok(plane)
    }

    async fn shut(&self, member: &Member) {
        // It stays in its place until it is closed: a cut here must not lose it.
        if let Some(plane) = member.plane() {
            plane.close().await;
            member.take_plane();
        }
    }

    /// A cluster that does not open is failed, and says why; so do its operations.
    async fn record_failure(&self, cluster: &ClusterRecord, reason: &Reason) -> Result<(), DatabaseError> {
        if cluster.state == ClusterState::Failed && cluster.reason.as_ref() == Some(reason) {
            return Ok(());
        }
        tracing::error!(
            cluster = cluster.name,
            uid = cluster.uid,
            reason = reason.message,
            "cluster does not open"
        );
        let mut txn = self.inner.database.begin().await?;
        let Some(current) = cluster::get_in_txn(&mut txn, &cluster.uid).await? else { return Ok(()) };
        if current.state == ClusterState::Deleting {
            return Ok(());
        }
        cluster::set_state_in_txn(&mut txn, &cluster.uid, ClusterState::Failed, Some(reason)).await?;
        let open = operation::open_in_txn(&mut txn, &cluster.uid).await?;
        for operation in &open {
            let progress = Progress { message: reason.message.clone(), ..operation.progress.clone() };
            operation::progress_in_txn(&mut txn, &operation.id, &progress).await?;
        }
        txn.commit().await?;
        self.announce(open.iter().map(|operation| operation.id.as_str()));
        Ok(())
    }

    /// Tells the control plane what is wanted, and records what it has.
    async fn record_observation(
        &self,
        uid: &str,
        plane: &dyn ControlPlane,
        status: &ControlPlaneStatus,
    ) -> Result<(), DatabaseError> {
        let mut txn = self.inner.database.begin().await?;
        let Some(cluster) = cluster::get_in_txn(&mut txn, uid).await? else { return Ok(()) };
        if cluster.state == ClusterState::Deleting {
            return Ok(());
        }
        let pools = node_pool::list_in_txn(&mut txn, uid).await?;
        let open = operation::open_in_txn(&mut txn, uid).await?;
        let changes = observe::observe(&cluster, &pools, &open, status);
        plane.set_pools(pools);
        if changes.is_empty() {
            return Ok(());
        }
        apply_in_txn(&mut txn, uid, &changes).await?;
        fault::point("service.observe.before_commit").map_err(|_| sqlx::Error::WorkerCrashed)?;
        txn.commit().await?;
        if let Some(change) = &changes.cluster {
            tracing::info!(cluster = cluster.name, uid, state = %change.state, "cluster changed");
        }
        self.announce(changes.operations.iter().map(OperationChange::id));
        Ok(())
    }

    /// Removes a cluster that is to go: first what it has, then its record.
    async fn remove(&self, member: &Member, cluster: &ClusterRecord) -> Result<Next, DatabaseError> {
        self.tell_removal(cluster, None).await?;
        if let Err(error) = self.empty(member, cluster).await {
            tracing::warn!(cluster = cluster.name, uid = cluster.uid, error = %error, "cluster is not removed yet");
            self.tell_removal(cluster, Some(&error.reason)).await?;
            return Ok(Next::Retry);
        }
        let mut txn = self.inner.database.begin().await?;
        cluster::delete_in_txn(&mut txn, &cluster.uid).await?;
        let open = operation::open_in_txn(&mut txn, &cluster.uid).await?;
        for operation in &open {
            let total = operation.progress.total;
            let progress = Progress { done: total, total, message: "done".to_owned() };
            operation::finish_in_txn(&mut txn, &operation.id, &progress, None).await?;
        }
        txn.commit().await?;
        tracing::info!(cluster = cluster.name, uid = cluster.uid, "cluster is deleted");
        self.announce(open.iter().map(|operation| operation.id.as_str()));
        Ok(Next::Gone)
    }

    /// Nothing is left of the cluster but its record when this succeeds.
    async fn empty(&self, member: &Member, cluster: &ClusterRecord) -> Result<(), ControlPlaneError> {
        match self.open(member, cluster).await {
            Ok(plane) => plane.release().await?,
            // Such a cluster can be deleted, too; `destroy` does what it can without it.
            Err(error) => {
                tracing::warn!(cluster = cluster.name, error = %error, "cluster is deleted unopened")
            }
        }
        self.shut(member).await;
        self.inner.planes.destroy(cluster).await
    }

    /// Records how the removal goes on, when that is news.
    async fn tell_removal(
        &self,
        cluster: &ClusterRecord,
        trouble: Option<&Reason>,
    ) -> Result<(), DatabaseError> {
        let mut txn = self.inner.database.begin().await?;
        let message = trouble.map_or("removing what the cluster has", |reason| &reason.message);
        let open = operation::open_in_txn(&mut txn, &cluster.uid).await?;
        // A new attempt is no news: what stood in the way of the last one is still true.
        let begins =
            |operation: &&OperationRecord| trouble.is_some() || operation.state != OperationState::Running;
        for operation in open.iter().filter(|operation| operation.progress.message != message).filter(begins)
        {
            let progress = Progress { message: message.to_owned(), ..operation.progress.clone() };
            operation::progress_in_txn(&mut txn, &operation.id, &progress).await?;
        }
        if trouble.is_some() && trouble != cluster.reason.as_ref() {
            cluster::set_state_in_txn(&mut txn, &cluster.uid, ClusterState::Deleting, trouble).await?;
        }
        txn.commit().await?;
        self.announce(open.iter().map(|operation| operation.id.as_str()));
        Ok(())
    }
}

impl OperationChange {
    fn id(&self) -> &str {
        match self {
            Self::Progress { id, .. } | Self::Finish { id, .. } => id,
        }
    }
}

async fn apply_in_txn(
    txn: &mut crate::database::Txn,
    uid: &str,
    changes: &Changes,
) -> Result<(), DatabaseError> {
    match &changes.cluster {
        Some(change) => cluster::set_state_in_txn(txn, uid, change.state, change.reason.as_ref()).await?,
        None if changes.pools.is_empty() => {}
        None => cluster::touch_in_txn(txn, uid).await?,
    }
    for change in &changes.pools {
        match change {
            PoolChange::Observe { uid, state, reason, observed } => {
                node_pool::observe_in_txn(txn, uid, *state, reason.as_ref(), *observed).await?;
            }
            PoolChange::Delete { uid } => node_pool::delete_in_txn(txn, uid).await?,
        }
    }
    for change in &changes.operations {
        match change {
            OperationChange::Progress { id, progress } => {
                operation::progress_in_txn(txn, id, progress).await?
            }
            OperationChange::Finish { id, progress, error } => {
                operation::finish_in_txn(txn, id, progress, error.as_ref()).await?;
            }
        }
    }
    Ok(())
}
