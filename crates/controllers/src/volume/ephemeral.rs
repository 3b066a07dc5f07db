//! The ephemeral volume controller: a claim for every generic ephemeral volume of a pod.
//!
//! The claim is named after pod and volume and controlled by the pod, so that the garbage collector takes it away with the
//! pod. A claim of that name that is not the pod's own is never used: the pod is told so, until the claim is gone.

use std::sync::Arc;

use drydock_client::resources::{PERSISTENT_VOLUME_CLAIMS, PODS};
use drydock_client::{Change, Controller, Informer, WorkQueue};
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value, value};

use crate::Context;
use crate::util::owner::{controller_ref, is_controlled_by};
use crate::util::split_key;

/// Pods by the keys of the claims that their ephemeral volumes have.
const BY_EPHEMERAL_CLAIM: &str = "ephemeral-claim";

struct Ephemeral {
    ctx: Context,
    pods: Arc<Informer>,
    claims: Arc<Informer>,
}

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let this = Arc::new(Ephemeral {
        pods: ctx.informers.informer(&PODS),
        claims: ctx.informers.informer(&PERSISTENT_VOLUME_CLAIMS),
        ctx,
    });
    this.pods.add_index(BY_EPHEMERAL_CLAIM, |pod| {
        let names = ephemeral_volumes(pod).map(|volume| claim_name(pod, volume));
        names.map(|name| Key::from(format!("{}/{name}", pod.namespace()))).collect()
    });
    let to = queue.clone();
    // A pod's volumes never change, and the claims of one that is gone are the garbage collector's.
    this.pods.on_change(move |change| {
        if let Change::Added(pod) = change
            && !pod.is_deleting()
            && ephemeral_volumes(pod).next().is_some()
        {
            to.add_object(pod);
        }
    });
    let (to, pods) = (queue.clone(), this.pods.clone());
    this.claims.on_change(move |change| {
        if let Change::Deleted(claim) = change {
            for pod in pods.by_index(BY_EPHEMERAL_CLAIM, &claim.key()) {
                to.add_object(&pod);
            }
        }
    });
    let needs = [this.pods.clone(), this.claims.clone()];
    let tasks = this.ctx.tasks.clone();
    Controller::new("ephemeral-volume", queue).needs(needs).start(&tasks, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await }
    });
}

fn ephemeral_volumes(pod: &Value) -> impl Iterator<Item = &Value> {
    let volumes = pod.array_at(&["spec", "volumes"]).iter();
    volumes.filter(|volume| volume.get("ephemeral").is_some_and(|ephemeral| !ephemeral.is_null()))
}

fn claim_name(pod: &Value, volume: &Value) -> String {
    format!("{}-{}", pod.name(), volume.str_at(&["name"]))
}

/// The claim that the volume's template asks for.
fn new_claim(pod: &Object, volume: &Value) -> Value {
    let mut claim = value!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {}});
    claim.set(&["metadata", "name"], claim_name(pod, volume));
    claim.set(&["metadata", "namespace"], pod.namespace());
    claim.set(&["metadata", "ownerReferences"], vec![controller_ref(pod)]);
    let template = ["ephemeral", "volumeClaimTemplate"];
    for field in ["annotations", "labels"] {
        if let Some(map) = volume.at(&[template[0], template[1], "metadata", field]) {
            claim.set(&["metadata", field], map.clone());
        }
    }
    if let Some(spec) = volume.at(&[template[0], template[1], "spec"]) {
        claim.set(&["spec"], spec.clone());
    }
    claim
}

impl Ephemeral {
    async fn sync(&self, key: &Key) -> Result<(), Status> {
        let (namespace, name) = split_key(key);
        let Some(pod) = self.pods.get(namespace, name).filter(|pod| !pod.is_deleting()) else {
            return Ok(());
        };
        for volume in ephemeral_volumes(&pod) {
            if let Err((what, status)) = self.ensure_claim(&pod, volume).await {
                let message = format!("ephemeral volume {}: {what}", volume.str_at(&["name"]));
                self.ctx.events.warning(&pod, "FailedBinding", message);
                return Err(status);
            }
        }
        Ok(())
    }

    /// Fails with what to say of it, and with the reason to try again.
    async fn ensure_claim(&self, pod: &Object, volume: &Value) -> Result<(), (String, Status)> {
        let name = claim_name(pod, volume);
        if let Some(claim) = self.claims.get(pod.namespace(), &name) {
            if is_controlled_by(&claim, pod) {
                return Ok(());
            }
            let (claim, pod) = (claim.key(), pod.key());
            let what = format!("PVC {claim} was not created for pod {pod} (pod is not owner)");
            return Err((what.clone(), Status::internal(what)));
        }
        let created = self.ctx.client.create(&PERSISTENT_VOLUME_CLAIMS, new_claim(pod, volume)).await;
        created.map(drop).map_err(|status| (format!("create PVC {name}: {status}"), status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_made_from_the_template_and_belongs_to_the_pod() {
        let pod = Object::new(
            value!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "d", "uid": "u"},
                "spec": {"volumes": [
                    {"name": "plain", "emptyDir": {}},
                    {"name": "s", "ephemeral": {"volumeClaimTemplate": {
                        "metadata": {"labels": {"a": "b"}}, "spec": {"storageClassName": "x"},
                    }}},
                ]},
            }),
            1,
        );
        let volumes: Vec<_> = ephemeral_volumes(&pod).collect();
        assert_eq!(volumes.len(), 1);
        let claim = new_claim(&pod, volumes[0]);
        assert_eq!(claim.key(), "d/p-s");
        assert_eq!(claim.label("a"), Some("b"));
        assert_eq!(claim.str_at(&["spec", "storageClassName"]), "x");
        assert!(is_controlled_by(&claim, &pod));
    }
}
