//! A deployment's status: counts, and whether it is available, progressing, complete or stuck.

use std::sync::Arc;
use std::time::Duration;

use drydock_client::resources::DEPLOYMENTS;
use drydock_machinery::{Object, ObjectMeta, Status, Value};

use super::replica_sets::{Missing, Sets, observed, wanted};
use super::rolling::{is_complete, max_unavailable};
use super::{Deployments, conditions, count_at, progress_deadline, replicas};
use crate::util::{between, set_count, time_at};

impl Deployments {
    pub(super) async fn sync_status_only(
        &self,
        deployment: &Arc<Object>,
        sets: Vec<Arc<Object>>,
    ) -> Result<(), Status> {
        let (deployment, sets) = self.split(deployment, sets, Missing::Leave).await?;
        self.sync_status(&deployment, &sets).await
    }

    /// Writes the counts and availability when they differ.
    pub(super) async fn sync_status(&self, deployment: &Arc<Object>, sets: &Sets) -> Result<(), Status> {
        let new = self.computed(deployment, sets);
        self.write_status(deployment, new).await
    }

    async fn write_status(&self, deployment: &Arc<Object>, new: Value) -> Result<(), Status> {
        if new.get("status") == deployment.get("status") {
            return Ok(());
        }
        self.ctx.client.update_status(&DEPLOYMENTS, new).await.map(drop)
    }

    /// As [`Deployments::sync_status`], and keeps the Progressing condition, which only a rollout moves.
    pub(super) async fn sync_rollout_status(
        &self,
        deployment: &Arc<Object>,
        sets: &Sets,
    ) -> Result<(), Status> {
        let mut new = self.computed(deployment, sets);
        if progress_deadline(deployment).is_none() {
            conditions::remove(&mut new, "Progressing");
        } else {
            self.note_progress(deployment, &mut new, sets);
        }
        self.note_replica_failure(&mut new, sets);
        self.plan_deadline(deployment, &new);
        self.write_status(deployment, new).await
    }

    fn note_progress(&self, deployment: &Object, new: &mut Value, sets: &Sets) {
        let reason = conditions::condition(deployment, "Progressing").map(|c| c.str_at(&["reason"]));
        let settled = count_at(new, &["status", "replicas"], 0)
            == count_at(new, &["status", "updatedReplicas"], 0)
            && reason == Some("NewReplicaSetAvailable");
        if settled {
            return;
        }
        let what = match &sets.new {
            Some(set) => format!("ReplicaSet {:?}", set.name()),
            None => format!("Deployment {:?}", deployment.name()),
        };
        if is_complete(deployment, new) {
            let message = format!("{what} has successfully progressed.");
            self.set_condition(new, "Progressing", "True", "NewReplicaSetAvailable", &message);
        } else if progressed(deployment, new) {
            let message = format!("{what} is progressing.");
            self.set_progressing(new, &message);
        } else if self.timed_out(deployment, new) {
            let message = format!("{what} has timed out progressing.");
            self.set_condition(new, "Progressing", "False", "ProgressDeadlineExceeded", &message);
        }
    }

    /// Each sign of progress moves the update time, from which the deadline counts.
    fn set_progressing(&self, new: &mut Value, message: &str) {
        let now = self.ctx.clock.now_rfc3339();
        let mut condition = conditions::new("Progressing", "True", "ReplicaSetUpdated", message, &now);
        condition.set(&["lastUpdateTime"], now);
        if let Some(old) = conditions::condition(new, "Progressing").cloned() {
            if old.str_at(&["status"]) == "True"
                && let Some(time) = old.get("lastTransitionTime")
            {
                condition.set(&["lastTransitionTime"], time.clone());
            }
            conditions::remove(new, "Progressing");
        }
        conditions::set_by_reason(new, condition);
    }

    fn timed_out(&self, deployment: &Object, new: &Value) -> bool {
        let Some(deadline) = progress_deadline(deployment) else { return false };
        let Some(condition) = conditions::condition(new, "Progressing") else { return false };
        match condition.str_at(&["reason"]) {
            "NewReplicaSetAvailable" => return false,
            "ProgressDeadlineExceeded" => return true,
            _ => {}
        }
        time_at(condition, &["lastUpdateTime"])
            .is_some_and(|from| between(from, self.ctx.clock.now()) >= deadline)
    }

    /// A replica set that cannot create pods makes its deployment say so.
    fn note_replica_failure(&self, new: &mut Value, sets: &Sets) {
        let failures = sets.new.iter().chain(&sets.old);
        let failure = failures
            .filter_map(|set| conditions::condition(set, "ReplicaFailure"))
            .find(|failure| failure.str_at(&["status"]) == "True");
        match failure {
            Some(failure) => {
                let mut condition = failure.clone();
                let time = failure.get("lastTransitionTime").cloned().unwrap_or_default();
                condition.set(&["lastUpdateTime"], time);
                conditions::set_by_reason(new, condition);
            }
            None => {
                conditions::remove(new, "ReplicaFailure");
            }
        }
    }

    /// Comes back when the deadline will have passed, if nothing happens until then.
    fn plan_deadline(&self, deployment: &Object, new: &Value) {
        let Some(deadline) = progress_deadline(deployment) else { return };
        let Some(condition) = conditions::condition(new, "Progressing") else { return };
        let waiting = !matches!(
            condition.str_at(&["reason"]),
            "NewReplicaSetAvailable" | "ProgressDeadlineExceeded" | "DeploymentPaused"
        );
        if !waiting || is_complete(deployment, new) {
            return;
        }
        if let Some(from) = time_at(condition, &["lastUpdateTime"]) {
            let left = deadline.saturating_sub(between(from, self.ctx.clock.now()));
            self.queue.add_after(deployment.key(), left + Duration::from_secs(1));
        }
    }

    fn computed(&self, deployment: &Object, sets: &Sets) -> Value {
        let mut new = deployment.value().clone();
        let available = observed(sets.all(), "availableReplicas");
        let unavailable = (wanted(sets.all()) - available).max(0);
        let updated = sets.new.iter().map(|set| count_at(set, &["status", "replicas"], 0)).sum();
        new.set(&["status", "observedGeneration"], deployment.generation());
        set_count(&mut new, &["status", "replicas"], observed(sets.all(), "replicas"));
        set_count(&mut new, &["status", "updatedReplicas"], updated);
        set_count(&mut new, &["status", "readyReplicas"], observed(sets.all(), "readyReplicas"));
        set_count(&mut new, &["status", "availableReplicas"], available);
        set_count(&mut new, &["status", "unavailableReplicas"], unavailable);
        let terminating = observed(sets.all(), "terminatingReplicas");
        new.set(&["status", "terminatingReplicas"], terminating);
        if available >= replicas(deployment) - max_unavailable(deployment) {
            let message = "Deployment has minimum availability.";
            self.set_condition(&mut new, "Available", "True", "MinimumReplicasAvailable", message);
        } else {
            let message = "Deployment does not have minimum availability.";
            self.set_condition(&mut new, "Available", "False", "MinimumReplicasUnavailable", message);
        }
        new
    }
}

/// Something moved between the deployment's status and the new one.
fn progressed(deployment: &Value, new: &Value) -> bool {
    let before = |name| count_at(deployment, &["status", name], 0);
    let after = |name| count_at(new, &["status", name], 0);
    after("updatedReplicas") > before("updatedReplicas")
        || after("replicas") - after("updatedReplicas") < before("replicas") - before("updatedReplicas")
        || after("readyReplicas") > before("readyReplicas")
        || after("availableReplicas") > before("availableReplicas")
}
