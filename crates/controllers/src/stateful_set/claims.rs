//! A set's claims: they come before the pods that need them, and belong to whom the retention policy says.

use drydock_client::resources::PERSISTENT_VOLUME_CLAIMS;
use drydock_machinery::{Object, ObjectMeta, Reason, Status, Value, value};

use super::identity;
use super::pass::Pass;
use crate::util::owner::controller_ref;

/// Which claims exist is the informer's word; one that goes away is no claim to count on.
impl Pass<'_> {
    /// Makes the claims that the ordinal's pod lacks.
    pub(super) async fn create_claims(&self, ordinal: i64, pod: &str) -> Result<(), Status> {
        let mut errors = Vec::new();
        for claim in identity::claims(self.set, ordinal) {
            let name = claim.name().to_owned();
            match self.sets.claims.get(self.set.namespace(), &name) {
                Some(have) if have.is_deleting() => errors.push(format!("pvc {name} is being deleted")),
                Some(_) => {}
                None => {
                    if let Err(status) = self.create_claim(claim, pod).await {
                        errors.push(format!("failed to create PVC {name}: {status}"));
                    }
                }
            }
        }
        match errors.as_slice() {
            [] => Ok(()),
            [error] => Err(Status::new(500, Reason::InternalError, error.clone())),
            _ => Err(Status::new(500, Reason::InternalError, format!("[{}]", errors.join(", ")))),
        }
    }

    async fn create_claim(&self, claim: Value, pod: &str) -> Result<(), Status> {
        let (events, set) = (&self.sets.ctx.events, self.set.name());
        let name = claim.name().to_owned();
        match self.sets.ctx.client.create(&PERSISTENT_VOLUME_CLAIMS, claim).await {
            Ok(_) => {
                let message = format!("Create Claim {name} Pod {pod} in StatefulSet {set} success");
                events.normal(self.set, "SuccessfulCreate", message);
                Ok(())
            }
            // The informer has not shown it yet.
            Err(status) if status.is_already_exists() => Err(status),
            Err(status) => {
                let message =
                    format!("Create Claim {name} for Pod {pod} in StatefulSet {set} failed error: {status}");
                events.warning(self.set, "FailedCreate", message);
                Err(status)
            }
        }
    }

    /// Whether a claim still belongs to an earlier pod of the ordinal, and goes with it.
    pub(super) fn has_stale_claim(&self, ordinal: i64, pod: &str) -> bool {
        let claims = identity::claims(self.set, ordinal);
        let of_pod = |reference: &Value| refers_to(reference, "v1", "Pod", pod);
        deletes(self.set, "whenScaled")
            && claims.iter().any(|claim| {
                let have = self.sets.claims.get(self.set.namespace(), claim.name());
                have.is_some_and(|have| have.owner_references().iter().any(of_pod))
            })
    }

    /// Gives the pod's claims the owners that the retention policy wants; answers whether any had others.
    pub(super) async fn sync_claim_owners(&self, pod: &Object) -> Result<bool, Status> {
        let mut changed = false;
        let Some(ordinal) = identity::ordinal(pod, self.set.name()) else { return Ok(changed) };
        let retention = Retention { set: self.set, pod, scaled_down: !self.ordinals().contains(&ordinal) };
        for claim in identity::claims(self.set, ordinal) {
            let have = self.sets.claims.get(self.set.namespace(), claim.name());
            if let Some(have) = have.filter(|have| !retention.is_kept(have)) {
                self.write_claim_owners(&have, &retention).await?;
                changed = true;
            }
        }
        Ok(changed)
    }

    async fn write_claim_owners(&self, claim: &Object, retention: &Retention<'_>) -> Result<(), Status> {
        if retention.has_foreign_controller(claim) {
            let message = format!(
                "PersistentVolumeClaim {} has a conflicting OwnerReference that acts as a manging controller, the retention \
                 policy is ignored for this claim",
                claim.name()
            );
            self.sets.ctx.events.warning(self.set, "ConflictingController", message);
        }
        let owners = retention.owners(claim);
        let mut new = claim.value().clone();
        if owners.is_empty() {
            new.remove(&["metadata", "ownerReferences"]);
        } else {
            new.set(&["metadata", "ownerReferences"], owners);
        }
        match self.sets.ctx.client.update(&PERSISTENT_VOLUME_CLAIMS, new).await {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(()),
        }
    }
}

fn deletes(set: &Value, when: &str) -> bool {
    set.str_at(&["spec", "persistentVolumeClaimRetentionPolicy", when]) == "Delete"
}

fn refers_to(reference: &Value, api_version: &str, kind: &str, name: &str) -> bool {
    reference.str_at(&["apiVersion"]) == api_version
        && reference.str_at(&["kind"]) == kind
        && reference.str_at(&["name"]) == name
}

/// What the retention policy says of the claims of a pod. Only references to this set and this pod are its business.
struct Retention<'a> {
    set: &'a Object,
    pod: &'a Object,
    /// The pod is beyond the replicas.
    scaled_down: bool,
}

impl Retention<'_> {
    fn is_set(&self, reference: &Value) -> bool {
        refers_to(reference, "apps/v1", "StatefulSet", self.set.name())
    }

    fn is_pod(&self, reference: &Value) -> bool {
        refers_to(reference, "v1", "Pod", self.pod.name())
    }

    fn wants_set(&self) -> bool {
        deletes(self.set, "whenDeleted") && !(self.scaled_down && deletes(self.set, "whenScaled"))
    }

    fn wants_pod(&self) -> bool {
        self.scaled_down && deletes(self.set, "whenScaled")
    }

    /// Whether there is nothing to write. A claim of an earlier set or pod of the name is left to the garbage collector.
    fn is_kept(&self, claim: &Object) -> bool {
        let owners = claim.owner_references();
        let (set, pod) = (self.set.uid(), self.pod.uid());
        let uid = |owner: &Value| owner.str_at(&["uid"]).to_owned();
        let first_is_stale = |is_ours: &dyn Fn(&Value) -> bool, own: &str| {
            owners.iter().find(|owner| is_ours(owner)).is_some_and(|owner| uid(owner) != own)
        };
        if first_is_stale(&|owner| self.is_set(owner), set)
            || first_is_stale(&|owner| self.is_pod(owner), pod)
        {
            return true;
        }
        let has = |of: &str| owners.iter().any(|owner| uid(owner) == of);
        if self.has_foreign_controller(claim) {
            return !has(set) && !has(pod);
        }
        let mut ours = owners.iter().filter(|owner| uid(owner) == set || uid(owner) == pod);
        ours.all(|owner| owner.bool_at(&["controller"]))
            && has(set) == self.wants_set()
            && has(pod) == self.wants_pod()
    }

    /// Somebody else, or an earlier set or pod of the name, controls the claim, and the policy is not just to retain.
    fn has_foreign_controller(&self, claim: &Object) -> bool {
        if !deletes(self.set, "whenDeleted") && !deletes(self.set, "whenScaled") {
            return false;
        }
        claim.owner_references().iter().any(|owner| {
            let uid = owner.str_at(&["uid"]);
            if self.is_set(owner) {
                uid != self.set.uid()
            } else if self.is_pod(owner) {
                uid != self.pod.uid()
            } else {
                owner.bool_at(&["controller"])
            }
        })
    }

    /// The owners that the claim is to have: others' stay.
    fn owners(&self, claim: &Object) -> Vec<Value> {
        let others =
            claim.owner_references().iter().filter(|owner| !self.is_set(owner) && !self.is_pod(owner));
        let mut owners: Vec<Value> = others.cloned().collect();
        if self.has_foreign_controller(claim) {
            return owners;
        }
        if self.wants_pod() {
            owners.push(value!({
                "apiVersion": "v1", "kind": "Pod", "name": self.pod.name(), "uid": self.pod.uid(),
                "controller": true, "blockOwnerDeletion": true,
            }));
        }
        if self.wants_set() {
            owners.push(controller_ref(self.set));
        }
        owners
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(tree: Value) -> Object {
        Object::new(tree, 1)
    }

    fn reference(api_version: &str, kind: &str, name: &str, uid: &str, controller: bool) -> Value {
        value!({"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": controller})
    }

    /// The uids of the owners that a claim with `owners` gets; None when it stays as it is.
    fn owners(deleted: &str, scaled: &str, scaled_down: bool, owners: Vec<Value>) -> Option<Vec<String>> {
        let set = object(value!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "uid": "set"},
            "spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": deleted, "whenScaled": scaled}},
        }));
        let pod = object(value!({"metadata": {"name": "db-0", "uid": "pod"}}));
        let mut claim = value!({"metadata": {"name": "data-db-0"}});
        claim.set(&["metadata", "ownerReferences"], owners);
        let (claim, retention) = (object(claim), Retention { set: &set, pod: &pod, scaled_down });
        if retention.is_kept(&claim) {
            return None;
        }
        Some(retention.owners(&claim).iter().map(|owner| owner.str_at(&["uid"]).to_owned()).collect())
    }

    #[test]
    fn claims_belong_to_whom_the_policy_says_and_others_stay_owners() {
        let set = || reference("apps/v1", "StatefulSet", "db", "set", true);
        let pod = || reference("v1", "Pod", "db-0", "pod", true);
        let other = || reference("v1", "ConfigMap", "c", "other", false);
        let is = |uids: &[&str]| Some(uids.iter().map(|uid| (*uid).to_owned()).collect::<Vec<_>>());
        assert_eq!(owners("Retain", "Retain", false, vec![other()]), None);
        assert_eq!(owners("Retain", "Retain", false, vec![other(), set()]), is(&["other"]));
        assert_eq!(owners("Delete", "Retain", false, vec![other()]), is(&["other", "set"]));
        assert_eq!(owners("Delete", "Retain", false, vec![set()]), None);
        assert_eq!(owners("Delete", "Delete", true, vec![set(), other()]), is(&["other", "pod"]));
        assert_eq!(owners("Delete", "Delete", false, vec![pod()]), is(&["set"]));
        assert_eq!(owners("Retain", "Delete", true, vec![]), is(&["pod"]));
    }

    #[test]
    fn claims_of_others_are_left_alone() {
        let foreign = || reference("example.com/v1", "Backup", "b", "backup", true);
        let earlier = reference("apps/v1", "StatefulSet", "db", "earlier", true);
        let set = reference("apps/v1", "StatefulSet", "db", "set", true);
        assert_eq!(owners("Delete", "Retain", false, vec![earlier]), None);
        assert_eq!(owners("Delete", "Retain", false, vec![foreign()]), None);
        assert_eq!(owners("Delete", "Retain", false, vec![foreign(), set]), Some(vec!["backup".to_owned()]));
    }
}
