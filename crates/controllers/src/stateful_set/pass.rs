//! One pass over a stateful set's ordinals.

use std::sync::Arc;

use drydock_client::DeleteOptions;
use drydock_client::resources::{PERSISTENT_VOLUME_CLAIMS, PODS};
use drydock_machinery::{Object, ObjectMeta, Status, Value, value};

use super::{
    REVISION_LABEL, StatefulSets, first_ordinal, identity, is_parallel, min_ready_seconds, partition,
    replicas,
};
use crate::util::pod_control::is_namespace_terminating;
use crate::util::{count_at, pod, set_count};

/// Whether to look at the next ordinal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Go {
    On,
    /// The order demands that something happens first.
    Wait,
}

pub(super) struct Pass<'a> {
    sets: &'a StatefulSets,
    set: &'a Arc<Object>,
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

    fn ordinals(&self) -> std::ops::Range<i64> {
        let first = first_ordinal(self.set);
        first..first + replicas(self.set)
    }

    fn is_healthy(&self, pod: &Value) -> bool {
        pod::phase(pod) == "Running" && pod::is_ready(pod) && !pod.is_deleting()
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
            return Ok(Go::Wait);
        }
        if ordered && (!self.is_healthy(&pod) || !self.is_available(&pod)) {
            return Ok(Go::Wait);
        }
        self.sync_claim_owners(ordinal).await?;
        Ok(Go::On)
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
        for claim in identity::claims(self.set, ordinal) {
            if self.sets.claims.get(self.set.namespace(), claim.name()).is_some() {
                continue;
            }
            let claim_name = claim.name().to_owned();
            match self.sets.ctx.client.create(&PERSISTENT_VOLUME_CLAIMS, claim).await {
                Ok(_) => {
                    let message =
                        format!("Create Claim {claim_name} Pod {name} in StatefulSet {set} success");
                    events.normal(self.set, "SuccessfulCreate", message);
                }
                Err(status) if status.is_already_exists() => {}
                Err(status) => {
                    let message = format!(
                        "create Claim {claim_name} Pod {name} in StatefulSet {set} failed error: {status}"
                    );
                    events.warning(self.set, "FailedCreate", message);
                    return Err(status);
                }
            }
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
        let all = self.pods.iter().filter(|pod| !self.is_healthy(pod));
        let first_unhealthy = all.min_by_key(|pod| ordinal(pod)).map(|pod| pod.uid().to_owned());
        for pod in condemned {
            if pod.is_deleting() {
                if ordered {
                    return Ok(Go::Wait);
                }
                continue;
            }
            let unhealthy = !self.is_healthy(&pod) && first_unhealthy.as_deref() != Some(pod.uid());
            if ordered && unhealthy {
                return Ok(Go::Wait);
            }
            self.own_claims_by_pod(&pod).await?;
            self.delete(&pod).await?;
            if ordered {
                return Ok(Go::Wait);
            }
        }
        Ok(Go::On)
    }

    /// With `whenScaled: Delete` the claims of a pod that goes belong to it, and go with it.
    async fn own_claims_by_pod(&self, pod: &Object) -> Result<(), Status> {
        let policy = self.set.str_at(&["spec", "persistentVolumeClaimRetentionPolicy", "whenScaled"]);
        let Some(ordinal) = identity::ordinal(pod, self.set.name()).filter(|_| policy == "Delete") else {
            return Ok(());
        };
        let owner = value!({"apiVersion": "v1", "kind": "Pod", "name": pod.name(), "uid": pod.uid()});
        for claim in identity::claims(self.set, ordinal) {
            self.write_claim_owners(claim.name(), Value::from(vec![owner.clone()])).await?;
        }
        Ok(())
    }

    /// Claims of pods that stay are owned by the set or by nobody, as the policy says.
    async fn sync_claim_owners(&self, ordinal: i64) -> Result<(), Status> {
        for claim in identity::claims(self.set, ordinal) {
            let Some(have) = self.sets.claims.get(self.set.namespace(), claim.name()) else { continue };
            let wanted = claim.owner_references();
            let ours = |reference: &&Value| matches!(reference.str_at(&["kind"]), "StatefulSet" | "Pod");
            let now: Vec<&Value> = have.owner_references().iter().filter(ours).collect();
            let same = now.len() == wanted.len()
                && now.iter().zip(wanted).all(|(a, b)| a.str_at(&["uid"]) == b.str_at(&["uid"]));
            if !same {
                let owners = if wanted.is_empty() { Value::Null } else { Value::from(wanted.to_vec()) };
                self.write_claim_owners(claim.name(), owners).await?;
            }
        }
        Ok(())
    }

    async fn write_claim_owners(&self, claim: &str, owners: Value) -> Result<(), Status> {
        let client = &self.sets.ctx.client;
        let Some(have) = client.find(&PERSISTENT_VOLUME_CLAIMS, self.set.namespace(), claim).await? else {
            return Ok(());
        };
        let mut new = have.value().clone();
        if owners.is_null() {
            new.remove(&["metadata", "ownerReferences"]);
        } else {
            new.set(&["metadata", "ownerReferences"], owners);
        }
        match client.update(&PERSISTENT_VOLUME_CLAIMS, new).await {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(()),
        }
    }

    /// Replaces the highest pod that is not of the update revision, when all above it are well.
    async fn roll(&mut self) -> Result<(), Status> {
        let range = self.ordinals();
        let lowest = range.start + partition(self.set);
        let spec = self.set.at(&["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"]);
        let round = crate::util::intstr::Round::Up;
        let max_unavailable =
            crate::util::intstr::scaled(spec, replicas(self.set), round).unwrap_or(1).max(1);
        let mut unavailable = 0;
        for ordinal in range.clone() {
            let well = self.pod(ordinal).is_some_and(|pod| self.is_healthy(&pod) && self.is_available(&pod));
            unavailable += i64::from(!well);
        }
        for ordinal in (lowest.max(range.start)..range.end).rev() {
            let Some(pod) = self.pod(ordinal) else { return Ok(()) };
            let well = self.is_healthy(&pod) && self.is_available(&pod);
            if revision_of(&pod) != self.update.name() && !pod.is_deleting() {
                // One that is broken already costs nothing to replace.
                if well && unavailable >= max_unavailable {
                    return Ok(());
                }
                self.delete(&pod).await?;
                unavailable += i64::from(well);
                if unavailable >= max_unavailable {
                    return Ok(());
                }
            } else if !well && unavailable >= max_unavailable {
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
        if rolling && updated == total && ready == total {
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
