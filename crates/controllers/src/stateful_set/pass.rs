//! One pass over a stateful set's ordinals.

use std::sync::Arc;
use std::time::Duration;

use drydock_client::DeleteOptions;
use drydock_client::resources::PODS;
use drydock_machinery::{Object, ObjectMeta, Status, Value};

use super::{
    REVISION_LABEL, StatefulSets, first_ordinal, identity, is_parallel, min_ready_seconds, partition,
    replicas,
};
use crate::util::pod_control::is_namespace_terminating;
use crate::util::{count_at, pod, set_count};

/// When to look again at a claim that goes with an earlier pod.
const STALE_CLAIM: Duration = Duration::from_secs(1);

/// Whether to look at the next ordinal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Go {
    On,
    /// The order demands that something happens first.
    Wait,
}

pub(super) struct Pass<'a> {
    pub(super) sets: &'a StatefulSets,
    pub(super) set: &'a Arc<Object>,
    current: &'a Object,
    update: &'a Object,
    pods: Vec<Arc<Object>>,
    collisions: Option<i64>,
    /// Pods made or deleted in this pass, by revision.
    made: Vec<String>,
    deleted: Vec<String>,
}

fn revision_of(pod: &Value) -> &str {
    pod.label(REVISION_LABEL).unwrap_or("")
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        sets: &'a StatefulSets,
        set: &'a Arc<Object>,
        current: &'a Object,
        update: &'a Object,
        pods: Vec<Arc<Object>>,
        collisions: Option<i64>,
    ) -> Self {
        Self { sets, set, current, update, pods, collisions, made: Vec::new(), deleted: Vec::new() }
    }

    pub(super) fn pods(&self) -> &[Arc<Object>] {
        &self.pods
    }

    pub(super) fn live_revisions(&self) -> Vec<String> {
        let fixed = [self.current.name().to_owned(), self.update.name().to_owned()];
        fixed.into_iter().chain(self.pods.iter().map(|pod| revision_of(pod).to_owned())).collect()
    }

    fn pod(&self, ordinal: i64) -> Option<Arc<Object>> {
        self.pods.iter().find(|pod| identity::ordinal(pod, self.set.name()) == Some(ordinal)).cloned()
    }

    pub(super) fn ordinals(&self) -> std::ops::Range<i64> {
        let first = first_ordinal(self.set);
        first..first + replicas(self.set)
    }

    /// Running, ready for long enough, and staying.
    fn is_well(&self, pod: &Value) -> bool {
        pod::phase(pod) == "Running" && self.is_available(pod) && !pod.is_deleting()
    }

    fn is_available(&self, pod: &Value) -> bool {
        pod::is_available(pod, min_ready_seconds(self.set), self.sets.ctx.clock.now())
    }

    pub(super) async fn run(&mut self) -> Result<(), Status> {
        if self.set.is_deleting() {
            return Ok(());
        }
        for ordinal in self.ordinals() {
            if self.keep_replica(ordinal).await? == Go::Wait {
                return Ok(());
            }
        }
        if self.remove_condemned().await? == Go::Wait {
            return Ok(());
        }
        if self.set.str_at(&["spec", "updateStrategy", "type"]) == "OnDelete" {
            return Ok(());
        }
        self.roll().await
    }

    /// Makes sure that the ordinal has its pod.
    async fn keep_replica(&mut self, ordinal: i64) -> Result<Go, Status> {
        let ordered = !is_parallel(self.set);
        let stop_if_ordered = if ordered { Go::Wait } else { Go::On };
        let Some(pod) = self.pod(ordinal) else {
            let revision = if self.needs_current(ordinal) { self.current } else { self.update };
            self.create(ordinal, revision).await?;
            return Ok(stop_if_ordered);
        };
        if pod::is_finished(&pod) {
            if !pod.is_deleting() {
                self.delete(&pod).await?;
            }
            return Ok(stop_if_ordered);
        }
        if pod::phase(&pod) == "Pending" {
            // A pod cannot be placed without its claims.
            self.create_claims(ordinal, pod.name()).await?;
            self.sync_claim_owners(&pod).await?;
        }
        if ordered && !self.is_well(&pod) {
            return Ok(Go::Wait);
        }
        let claims_changed = self.sync_claim_owners(&pod).await?;
        if claims_changed || !identity::is_labelled(&pod, ordinal) {
            self.update(&pod, ordinal).await?;
        }
        Ok(Go::On)
    }

    /// Writes what the pod is called by; also when its claims have changed, as they are part of what it is.
    async fn update(&self, pod: &Object, ordinal: i64) -> Result<(), Status> {
        let (events, set, name) = (&self.sets.ctx.events, self.set.name(), pod.name());
        match self.sets.ctx.client.update(&PODS, identity::labelled(pod, ordinal)).await {
            Ok(_) => {
                let message = format!("Update Pod {name} in StatefulSet {set} successful");
                events.normal(self.set, "SuccessfulUpdate", message);
                Ok(())
            }
            Err(status) => {
                let message = format!("Update Pod {name} in StatefulSet {set} failed error: {status}");
                events.warning(self.set, "FailedUpdate", message);
                Err(status)
            }
        }
    }

    /// During a rolling update pods below the partition, or not reached yet, come back in their old revision.
    fn needs_current(&self, ordinal: i64) -> bool {
        if self.set.str_at(&["spec", "updateStrategy", "type"]) == "OnDelete" {
            return false;
        }
        let offset = ordinal - first_ordinal(self.set);
        match self.set.at(&["spec", "updateStrategy", "rollingUpdate"]) {
            Some(_) => offset < partition(self.set),
            None => offset < count_at(self.set, &["status", "currentReplicas"], 0),
        }
    }

    async fn create(&mut self, ordinal: i64, revision: &Object) -> Result<(), Status> {
        let events = &self.sets.ctx.events;
        let pod = identity::new_pod(self.set, revision, ordinal);
        let (name, set) = (pod.name().to_owned(), self.set.name());
        if self.has_stale_claim(ordinal, &name) {
            self.sets.queue.add_after(self.set.key(), STALE_CLAIM);
            return Ok(());
        }
        if let Err(status) = self.create_claims(ordinal, &name).await {
            let message = format!("Create Pod {name} in StatefulSet {set} failed error: {status}");
            events.warning(self.set, "FailedCreate", message);
            return Err(status);
        }
        match self.sets.ctx.client.create(&PODS, pod).await {
            Ok(_) => {
                let message = format!("Create Pod {name} in StatefulSet {set} successful");
                events.normal(self.set, "SuccessfulCreate", message);
                self.made.push(revision.name().to_owned());
                Ok(())
            }
            Err(status) if is_namespace_terminating(&status) => Ok(()),
            // Not ours, or not shown by the informer yet: tried again without a word, as upstream.
            Err(status) if status.is_already_exists() => Err(status),
            Err(status) => {
                let message = format!("Create Pod {name} in StatefulSet {set} failed error: {status}");
                events.warning(self.set, "FailedCreate", message);
                Err(status)
            }
        }
    }

    async fn delete(&mut self, pod: &Object) -> Result<(), Status> {
        let (name, set) = (pod.name(), self.set.name());
        let client = &self.sets.ctx.client;
        match client.delete(&PODS, pod.namespace(), name, DeleteOptions::of_uid(pod.uid())).await {
            Ok(()) => {
                let message = format!("Delete Pod {name} in StatefulSet {set} successful");
                self.sets.ctx.events.normal(self.set, "SuccessfulDelete", message);
                self.deleted.push(pod.uid().to_owned());
                Ok(())
            }
            Err(status) if status.is_not_found() => Ok(()),
            Err(status) => {
                let message = format!("Delete Pod {name} in StatefulSet {set} failed error: {status}");
                self.sets.ctx.events.warning(self.set, "FailedDelete", message);
                Err(status)
            }
        }
    }

    /// Removes pods beyond the replicas, from the highest ordinal down.
    async fn remove_condemned(&mut self) -> Result<Go, Status> {
        let range = self.ordinals();
        let ordinal = |pod: &Object| identity::ordinal(pod, self.set.name()).unwrap_or(0);
        let mut condemned: Vec<_> =
            self.pods.iter().filter(|pod| !range.contains(&ordinal(pod))).cloned().collect();
        condemned.sort_by_key(|pod| std::cmp::Reverse(ordinal(pod)));
        let ordered = !is_parallel(self.set);
        let unwell = condemned.iter().rev().find(|pod| !self.is_well(pod));
        let first_unwell = unwell.map(|pod| pod.uid().to_owned());
        for pod in &condemned {
            self.sync_claim_owners(pod).await?;
        }
        for pod in condemned {
            if pod.is_deleting() {
                if ordered {
                    return Ok(Go::Wait);
                }
                continue;
            }
            if ordered && !self.is_well(&pod) && first_unwell.as_deref() != Some(pod.uid()) {
                return Ok(Go::Wait);
            }
            self.delete(&pod).await?;
            if ordered {
                return Ok(Go::Wait);
            }
        }
        Ok(Go::On)
    }

    /// Takes away the highest pod that is not of the update revision, well or not, when all above it are well. What
    /// `maxUnavailable` says counts only with a feature that is off upstream.
    async fn roll(&mut self) -> Result<(), Status> {
        let range = self.ordinals();
        for ordinal in (range.start + partition(self.set)..range.end).rev() {
            let Some(pod) = self.pod(ordinal) else { return Ok(()) };
            let leaves = pod.is_deleting() || self.deleted.iter().any(|uid| uid == pod.uid());
            if revision_of(&pod) != self.update.name() && !leaves {
                return self.delete(&pod).await;
            }
            if leaves || !self.is_well(&pod) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// What to write after the pass.
    pub(super) fn status(&self) -> Value {
        let mut new = self.set.value().clone();
        let alive = || self.pods.iter().filter(|pod| !self.deleted.iter().any(|uid| uid == pod.uid()));
        let count = |test: &dyn Fn(&Object) -> bool| self.pods.iter().filter(|pod| test(pod)).count() as i64;
        let of = |revision: &str| {
            let pods = alive().filter(|pod| !pod.is_deleting() && revision_of(pod) == revision).count();
            (pods + self.made.iter().filter(|made| *made == revision).count()) as i64
        };
        let total = (self.pods.len() + self.made.len()) as i64;
        let ready = count(&|pod| pod::phase(pod) == "Running" && pod::is_ready(pod));
        let available = count(&|pod| pod::phase(pod) == "Running" && self.is_available(pod));
        let (mut current, updated) = (of(self.current.name()), of(self.update.name()));
        let mut current_revision = self.current.name();
        let rolling = self.set.str_at(&["spec", "updateStrategy", "type"]) != "OnDelete";
        let wanted = count_at(self.set, &["spec", "replicas"], 1);
        if rolling && [updated, ready, total].iter().all(|count| *count == wanted) {
            current = updated;
            current_revision = self.update.name();
        }
        new.set(&["status", "observedGeneration"], self.set.generation());
        new.set(&["status", "replicas"], total);
        new.set(&["status", "availableReplicas"], available);
        set_count(&mut new, &["status", "readyReplicas"], ready);
        set_count(&mut new, &["status", "currentReplicas"], current);
        set_count(&mut new, &["status", "updatedReplicas"], updated);
        new.set(&["status", "currentRevision"], current_revision);
        new.set(&["status", "updateRevision"], self.update.name());
        let collisions =
            self.collisions.unwrap_or_else(|| count_at(self.set, &["status", "collisionCount"], 0));
        new.set(&["status", "collisionCount"], collisions);
        new
    }
}
