//! Tells why a pod has no node.

use drydock_client::events::{EventType, reference};
use drydock_client::resources::{PODS, RESOURCE_CLAIMS};
use drydock_client::{DeleteOptions, PatchType, status_with_conditions};
use drydock_machinery::{Object, ObjectMeta, Status, Value, value};

use crate::dra::Release;
use crate::fit_error::FitError;
use crate::pod_info::PodInfo;
use crate::preemption::Preemption;
use crate::profile::scheduler_name;
use crate::scheduler::{Nomination, Scheduler, nominated_node};

impl Scheduler {
    pub(crate) async fn note_failure(&self, pod: &PodInfo, fit: &FitError, nomination: Nomination) {
        self.release(&fit.release).await;
        let message = fit.to_string();
        let about = reference(&pod.object);
        self.events(&pod.object).record(
            &about,
            EventType::Warning,
            "FailedScheduling",
            "Scheduling",
            message.clone(),
        );
        let nominated = match nomination {
            Nomination::AsBefore => None,
            Nomination::GivenBack => Some(Value::Null).filter(|_| !nominated_node(&pod.object).is_empty()),
            Nomination::Won(preemption) => {
                self.evict(pod, &preemption).await;
                Some(Value::from(preemption.node))
            }
        };
        if let Err(status) = self.write_condition(&pod.object, (fit.reason(), &message), nominated).await {
            tracing::debug!(pod = pod.object.key(), %status, "condition was not written");
        }
    }

    async fn write_condition(
        &self,
        pod: &Object,
        (reason, message): (&str, &str),
        nominated: Option<Value>,
    ) -> Result<(), Status> {
        let conditions = pod.array_at(&["status", "conditions"]).iter();
        let old = conditions.into_iter().find(|condition| condition.str_at(&["type"]) == "PodScheduled");
        let same = old.is_some_and(|old| {
            old.str_at(&["status"]) == "False"
                && old.str_at(&["reason"]) == reason
                && old.str_at(&["message"]) == message
        });
        if same && nominated.is_none() {
            return Ok(());
        }
        let since = match old.filter(|old| old.str_at(&["status"]) == "False") {
            Some(old) => old.str_at(&["lastTransitionTime"]).to_owned(),
            None => self.clock.now_rfc3339(),
        };
        let condition = value!({
            "type": "PodScheduled", "status": "False", "reason": reason, "message": message,
            "lastProbeTime": Value::Null, "lastTransitionTime": since, "observedGeneration": pod.generation(),
        });
        let mut patch = value!({"metadata": {"uid": pod.uid()}});
        patch.set(&["status"], status_with_conditions(pod, vec![condition]));
        if let Some(node) = nominated {
            patch.set(&["status", "nominatedNodeName"], node);
        }
        self.client
            .patch_status(&PODS, pod.namespace(), pod.name(), PatchType::Strategic, patch)
            .await
            .map(drop)
    }

    /// Claims that keep the pod from nodes give up their devices.
    async fn release(&self, release: &Release) {
        let outcome = match release {
            Release::NoClaims | Release::Nothing => return,
            Release::Write(claim) => {
                self.client.update_status(&RESOURCE_CLAIMS, (**claim).clone()).await.map(drop)
            }
            Release::Delete(claim) => crate::dra::delete(&self.client, claim).await,
        };
        if let Err(status) = outcome {
            tracing::debug!(%status, "a claim was not given up");
        }
    }

    /// Tells the victims why, and deletes them.
    async fn evict(&self, pod: &PodInfo, preemption: &Preemption) {
        let by = scheduler_name(&pod.object);
        for victim in preemption.victims.iter().filter(|victim| !victim.object.is_deleting()) {
            let victim = &victim.object;
            let condition = value!({
                "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
                "message": format!("{by}: preempting to accommodate a higher priority pod"),
                "lastProbeTime": Value::Null, "lastTransitionTime": self.clock.now_rfc3339(),
                "observedGeneration": victim.generation(),
            });
            let mut patch = Value::object();
            patch.set(&["status"], status_with_conditions(victim, vec![condition]));
            let (namespace, name) = (victim.namespace(), victim.name());
            let told = self.client.patch_status(&PODS, namespace, name, PatchType::Strategic, patch).await;
            let deleted = match told {
                Ok(_) => self.client.delete(&PODS, namespace, name, DeleteOptions::default()).await,
                Err(status) => Err(status),
            };
            if let Err(status) = deleted {
                tracing::debug!(victim = victim.key(), %status, "preemption failed");
                continue;
            }
            let message = format!("Preempted by pod {} on node {}", pod.object.uid(), preemption.node);
            let about = reference(victim);
            self.events(&pod.object).record(&about, EventType::Normal, "Preempted", "Preempting", message);
        }
    }
}
