//! Creating and deleting pods for an owner, with the events that upstream's `RealPodControl` records.

use std::sync::Arc;

use drydock_client::{
    Client, DeleteOptions, EventRecorder, PatchType, resources::PODS, status_with_conditions,
};
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value, value};

use super::expectations::Expectations;
use super::owner::controller_ref;
use crate::Context;

#[derive(Clone, Debug)]
pub(crate) struct PodControl {
    pub(crate) client: Client,
    pub(crate) events: EventRecorder,
}

impl PodControl {
    /// Creates a pod from the owner's `template`, controlled by `owner`.
    pub(crate) async fn create(&self, owner: &Object, pod: Value) -> Result<Arc<Object>, Status> {
        match self.client.create(&PODS, pod).await {
            Ok(pod) => {
                self.events.normal(owner, "SuccessfulCreate", format!("Created pod: {}", pod.name()));
                Ok(pod)
            }
            Err(status) => {
                if !is_namespace_terminating(&status) {
                    self.events.warning(owner, "FailedCreate", format!("Error creating: {status}"));
                }
                Err(status)
            }
        }
    }

    /// Deletes the pod; one that is gone already is no error.
    pub(crate) async fn delete(&self, owner: &Object, pod: &Object) -> Result<(), Status> {
        match self.client.delete(&PODS, pod.namespace(), pod.name(), DeleteOptions::default()).await {
            Ok(()) => {
                self.events.normal(owner, "SuccessfulDelete", format!("Deleted pod: {}", pod.name()));
                Ok(())
            }
            Err(status) if status.is_not_found() => Err(status),
            Err(status) => {
                self.events.warning(owner, "FailedDelete", format!("Error deleting: {status}"));
                Err(status)
            }
        }
    }
}

/// A pod from `template`, with a name to be generated after its owner's.
pub(crate) fn pod_from_template(template: &Value, owner: &Value) -> Value {
    let mut pod = value!({"apiVersion": "v1", "kind": "Pod", "metadata": {}});
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template.at(&["metadata", field]) {
            pod.set(&["metadata", field], value.clone());
        }
    }
    pod.set(&["metadata", "namespace"], owner.namespace());
    pod.set(&["metadata", "generateName"], generate_name(owner.name()));
    pod.set(&["metadata", "ownerReferences"], vec![controller_ref(owner)]);
    pod.set(&["spec"], template.get("spec").cloned().unwrap_or_else(Value::object));
    pod
}

/// The prefix of pods' names; the dash is left out when the name would become too long for a pod.
fn generate_name(owner: &str) -> String {
    if owner.len() < 253 { format!("{owner}-") } else { owner.to_owned() }
}

/// Deletes a pod that is in the way of something, and says so in its `DisruptionTarget` condition first.
/// `condition` has its reason and message, and what else is special about it.
pub(crate) async fn disrupt(ctx: &Context, pod: &Object, mut condition: Value) -> Result<(), Status> {
    let (namespace, name) = (pod.namespace(), pod.name());
    condition.set(&["type"], "DisruptionTarget");
    condition.set(&["status"], "True");
    condition.set(&["lastProbeTime"], Value::Null);
    condition.set(&["lastTransitionTime"], ctx.clock.now_rfc3339());
    let mut patch = value!({"metadata": {"uid": pod.uid()}});
    patch.set(&["status"], status_with_conditions(pod, vec![condition]));
    match ctx.client.patch_status(&PODS, namespace, name, PatchType::Strategic, patch).await {
        Err(status) if status.is_not_found() => return Ok(()),
        Err(status) => return Err(status),
        Ok(_) => {}
    }
    match ctx.client.delete(&PODS, namespace, name, DeleteOptions::of_uid(pod.uid())).await {
        Err(status) if !status.is_not_found() => Err(status),
        _ => Ok(()),
    }
}

/// Refused because the namespace goes away: no reason to complain or try again.
pub(crate) fn is_namespace_terminating(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 403 && causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

/// Runs `count` calls in batches of 1, 2, 4, …, and stops after a batch in which one failed, so that a quota or a
/// broken webhook is not asked a thousand times. Answers how many succeeded and the first error.
pub(crate) async fn slow_start<F, Fut>(count: usize, call: F) -> (usize, Option<Status>)
where
    F: Fn(usize) -> Fut,
    Fut: Future<Output = Result<(), Status>>,
{
    let (mut done, mut batch) = (0, 1);
    let mut started = 0;
    while started < count {
        let size = batch.min(count - started);
        let outcomes = futures::future::join_all((started..started + size).map(&call)).await;
        started += size;
        batch *= 2;
        let mut first_error = None;
        for outcome in outcomes {
            match outcome {
                Ok(()) => done += 1,
                Err(status) => {
                    first_error.get_or_insert(status);
                }
            }
        }
        if first_error.is_some() {
            return (done, first_error);
        }
    }
    (done, None)
}

/// Deletes all `pods` by `delete`, and expects to see them gone unless that failed: one failure leaves the others alone.
/// Answers the first error but that a pod is gone already.
pub(crate) async fn delete_all<F, Fut>(
    expectations: &Expectations,
    owner: &str,
    pods: &[Arc<Object>],
    delete: F,
) -> Result<(), Status>
where
    F: Fn(Arc<Object>) -> Fut,
    Fut: Future<Output = Result<(), Status>>,
{
    expectations.expect_deletions(owner, pods.iter().map(|pod| Key::from(pod.uid())));
    let outcomes = futures::future::join_all(pods.iter().cloned().map(delete)).await;
    let mut first = None;
    for (pod, outcome) in pods.iter().zip(outcomes) {
        let Err(status) = outcome else { continue };
        expectations.deleted(owner, pod.uid());
        if !status.is_not_found() {
            first.get_or_insert(status);
        }
    }
    first.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use drydock_runtime::Clock;

    use super::*;

    #[tokio::test]
    async fn one_failed_deletion_leaves_no_expectation_of_it_or_of_others() {
        let expectations = Expectations::new(Clock::manual("2026-01-01T00:00:00Z".parse().unwrap()));
        let pod = |name: &str| Arc::new(Object::new(value!({"metadata": {"name": name, "uid": name}}), 1));
        let pods = [pod("refused"), pod("gone"), pod("deleted")];
        let outcome = delete_all(&expectations, "d/set", &pods, |pod| async move {
            match pod.name() {
                "refused" => Err(Status::internal("no")),
                "gone" => Err(Status::not_found("", "pods", "gone")),
                _ => Ok(()),
            }
        });
        assert!(outcome.await.is_err_and(|status| status.code == 500));
        assert!(!expectations.satisfied("d/set"));
        expectations.deleted("d/set", "deleted");
        assert!(expectations.satisfied("d/set"));
    }
}
