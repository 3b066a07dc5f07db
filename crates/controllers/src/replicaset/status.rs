//! A replica set's status.

use std::sync::Arc;

use drydock_client::CallResult;
use drydock_machinery::{Map, Object, ObjectMeta, Status, Value};

use super::ReplicaSets;
use crate::util::{conditions, count_at, pod, set_count};

/// Writes the status when it differs from what is there; answers the newest object known.
pub(super) async fn write(
    sets: &ReplicaSets,
    set: &Arc<Object>,
    active: &[Arc<Object>],
    terminating: usize,
    failure: Option<&Status>,
) -> CallResult {
    let new = computed(sets, set, active, terminating, failure);
    let observed = set.i64_at(&["status", "observedGeneration"]) == Some(set.generation());
    if observed && new.get("status") == set.get("status") {
        return Ok(set.clone());
    }
    let status = new.get("status").cloned().unwrap_or_default();
    match sets.ctx.client.update_status(&sets.flavor.resource, new).await {
        Err(conflict) if conflict.is_conflict() => {
            // One more try on the newest version, as upstream does: the counts are about pods, not about the spec.
            let fresh = sets.ctx.client.get(&sets.flavor.resource, set.namespace(), set.name()).await?;
            let mut retry = fresh.value().clone();
            retry.set(&["status"], status);
            sets.ctx.client.update_status(&sets.flavor.resource, retry).await
        }
        outcome => outcome,
    }
}

fn computed(
    sets: &ReplicaSets,
    set: &Object,
    active: &[Arc<Object>],
    terminating: usize,
    failure: Option<&Status>,
) -> Value {
    let now = sets.ctx.clock.now();
    let min_ready = count_at(set, &["spec", "minReadySeconds"], 0);
    let template_labels = set.object_at(&["spec", "template", "metadata", "labels"]);
    let count = |test: &dyn Fn(&Object) -> bool| active.iter().filter(|pod| test(pod)).count() as i64;
    let fully_labeled = count(&|pod| contains(pod.labels(), template_labels));
    let ready = count(&|pod| pod::is_ready(pod));
    let available = count(&|pod| pod::is_available(pod, min_ready, now));

    let mut new = set.value().clone();
    new.set(&["status", "replicas"], active.len());
    set_count(&mut new, &["status", "fullyLabeledReplicas"], fully_labeled);
    set_count(&mut new, &["status", "readyReplicas"], ready);
    set_count(&mut new, &["status", "availableReplicas"], available);
    if sets.flavor.counts_terminating {
        new.set(&["status", "terminatingReplicas"], terminating);
    }
    new.set(&["status", "observedGeneration"], set.generation());

    if let Some(failure) = failure {
        if conditions::condition(&new, "ReplicaFailure").is_none() {
            let too_few = (active.len() as i64) < count_at(set, &["spec", "replicas"], 1);
            let reason = if too_few { "FailedCreate" } else { "FailedDelete" };
            let now = sets.ctx.clock.now_rfc3339();
            let condition = conditions::new("ReplicaFailure", "True", reason, &failure.message, &now);
            conditions::set_by_reason(&mut new, condition);
        }
    } else {
        conditions::remove(&mut new, "ReplicaFailure");
    }
    new
}

fn contains(labels: &Map, wanted: &Map) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}
