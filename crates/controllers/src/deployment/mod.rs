//! Deployments: replica sets of successive templates, and the moves between them.
//!
//! One reconciliation makes one step: it scales, creates or cleans up, and writes what it sees. The next change of a
//! replica set or pod brings the next step.

mod annotations;
mod progress;
mod recreate;
mod replica_sets;
mod rollback;
mod rolling;
mod scale;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use drydock_client::resources::{DEPLOYMENTS, PODS, REPLICA_SETS};
use drydock_client::{Change, Controller, Informer, WorkQueue};
use drydock_machinery::selector::Selector;
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value};

use crate::Context;
use crate::util::owner::{self, Claimer};
use crate::util::{conditions, count_at, split_key};

struct Deployments {
    ctx: Context,
    queue: Arc<WorkQueue>,
    deployments: Arc<Informer>,
    sets: Arc<Informer>,
    pods: Arc<Informer>,
}

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let (deployments, sets, pods) = (
        ctx.informers.informer(&DEPLOYMENTS),
        ctx.informers.informer(&REPLICA_SETS),
        ctx.informers.informer(&PODS),
    );
    owner::index_by_controller(&sets);
    owner::index_by_controller(&pods);
    let this = Arc::new(Deployments {
        queue: queue.clone(),
        deployments: deployments.clone(),
        sets: sets.clone(),
        pods: pods.clone(),
        ctx,
    });
    let me = this.clone();
    deployments.on_change(move |change| me.queue.add_object(change.object()));
    let me = this.clone();
    sets.on_change(move |change| me.set_changed(change));
    let me = this.clone();
    pods.on_change(move |change| me.pod_changed(change));
    let tasks = this.ctx.tasks.clone();
    Controller::new("deployment", queue).workers(5).needs([deployments, sets, pods]).start(
        &tasks,
        move |key| {
            let this = this.clone();
            async move { this.sync(&key).await }
        },
    );
}

impl Deployments {
    fn add_owner_of(&self, set: &Value) -> bool {
        let name = owner::controller_of_kind(set, "apps", "Deployment");
        if let Some(name) = name {
            self.queue.add(format!("{}/{name}", set.namespace()));
        }
        name.is_some()
    }

    fn set_changed(&self, change: Change<'_>) {
        let set = change.object();
        if let Some(old) = change.old()
            && old.controller_ref() != set.controller_ref()
        {
            self.add_owner_of(old);
        }
        if self.add_owner_of(set) || set.controller_ref().is_some() || matches!(change, Change::Deleted(_)) {
            return;
        }
        // An orphan: whoever selects it may adopt it.
        for deployment in self.deployments.list_in(set.namespace()) {
            if selector(&deployment).matches(set.labels()) {
                self.queue.add_object(&deployment);
            }
        }
    }

    /// Only a Recreate deployment waits for pods themselves to be gone.
    fn pod_changed(&self, change: Change<'_>) {
        let Change::Deleted(pod) = change else { return };
        let Some(set) = owner::controller_of_kind(pod, "apps", "ReplicaSet") else { return };
        let Some(set) = self.sets.get(pod.namespace(), set) else { return };
        let Some(name) = owner::controller_of_kind(&set, "apps", "Deployment") else { return };
        if self.deployments.get(pod.namespace(), name).is_some_and(|d| is_recreate(&d)) {
            self.add_owner_of(&set);
        }
    }

    async fn sync(&self, key: &Key) -> Result<(), Status> {
        let (namespace, name) = split_key(key);
        let Some(deployment) = self.deployments.get(namespace, name) else { return Ok(()) };
        let selector = selector(&deployment);
        if selector.is_everything() {
            return self.refuse_selecting_all(&deployment).await;
        }
        let claimer = Claimer {
            client: &self.ctx.client,
            owner: &deployment,
            owner_resource: &DEPLOYMENTS,
            resource: &REPLICA_SETS,
            selector: &selector,
            finalizer: None,
        };
        let sets = claimer.claim(owner::candidates(&self.sets, &deployment), |_| true).await?;
        if deployment.is_deleting() {
            return self.sync_status_only(&deployment, sets).await;
        }
        let Some(deployment) = self.check_paused(&deployment).await? else { return Ok(()) };
        if is_paused(&deployment) {
            return self.sync_scale(&deployment, sets).await;
        }
        if let Some(revision) = rollback::wanted(&deployment) {
            return self.roll_back(&deployment, sets, revision).await;
        }
        if self.is_scaling(&deployment, &sets) {
            return self.sync_scale(&deployment, sets).await;
        }
        if is_recreate(&deployment) {
            self.roll_recreate(&deployment, sets).await
        } else {
            self.roll_update(&deployment, sets).await
        }
    }

    async fn refuse_selecting_all(&self, deployment: &Arc<Object>) -> Result<(), Status> {
        let message = "This deployment is selecting all pods. A non-empty selector is required.";
        self.ctx.events.warning(deployment, "SelectingAll", message);
        if count_at(deployment, &["status", "observedGeneration"], 0) < deployment.generation() {
            let mut new = deployment.value().clone();
            new.set(&["status", "observedGeneration"], deployment.generation());
            self.ctx.client.update_status(&DEPLOYMENTS, new).await?;
        }
        Ok(())
    }

    /// Says in the Progressing condition that the deployment was paused or resumed. None when that was written: the
    /// change brings the deployment back.
    async fn check_paused(&self, deployment: &Arc<Object>) -> Result<Option<Arc<Object>>, Status> {
        if !has_progress_deadline(deployment) {
            return Ok(Some(deployment.clone()));
        }
        let reason = conditions::condition(deployment, "Progressing").map(|c| c.str_at(&["reason"]));
        if reason == Some("ProgressDeadlineExceeded") {
            return Ok(Some(deployment.clone()));
        }
        let said_paused = reason == Some("DeploymentPaused");
        let (reason, message) = match (is_paused(deployment), said_paused) {
            (true, false) => ("DeploymentPaused", "Deployment is paused"),
            (false, true) => ("DeploymentResumed", "Deployment is resumed"),
            _ => return Ok(Some(deployment.clone())),
        };
        let mut new = deployment.value().clone();
        self.set_condition(&mut new, "Progressing", "Unknown", reason, message);
        let written = self.ctx.client.update_status(&DEPLOYMENTS, new).await?;
        Ok(Some(written))
    }

    fn set_condition(&self, deployment: &mut Value, kind: &str, status: &str, reason: &str, message: &str) {
        let now = self.ctx.clock.now_rfc3339();
        let mut condition = conditions::new(kind, status, reason, message, &now);
        condition.set(&["lastUpdateTime"], now);
        conditions::set_by_reason(deployment, condition);
    }
}

fn selector(deployment: &Value) -> Selector {
    crate::util::selector(deployment.at(&["spec", "selector"]))
}

fn is_paused(deployment: &Value) -> bool {
    deployment.bool_at(&["spec", "paused"])
}

fn is_recreate(deployment: &Value) -> bool {
    deployment.str_at(&["spec", "strategy", "type"]) == "Recreate"
}

/// `spec.replicas`, of a deployment or replica set.
fn replicas(object: &Value) -> i64 {
    count_at(object, &["spec", "replicas"], 1)
}

fn has_progress_deadline(deployment: &Value) -> bool {
    progress_deadline(deployment).is_some()
}

fn progress_deadline(deployment: &Value) -> Option<Duration> {
    let seconds = deployment.i64_at(&["spec", "progressDeadlineSeconds"])?;
    // The maximum means that there is none.
    if seconds >= i64::from(i32::MAX) { None } else { u64::try_from(seconds).ok().map(Duration::from_secs) }
}
