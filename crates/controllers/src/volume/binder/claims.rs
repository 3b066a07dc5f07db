//! What becomes of a claim.

use std::sync::Arc;

use drydock_client::resources::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES};
use drydock_client::scheduling::claims_of;
use drydock_machinery::{Object, ObjectMeta, Status, Value, value};

use super::{
    BIND_COMPLETED, BOUND_BY_CONTROLLER, Binder, RESYNC, SELECTED_NODE, fit, is_claim, reserved_for,
};
use crate::util::pod;

const PROVISIONERS: [&str; 2] =
    ["volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner"];
const DEFAULT_CLASS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
/// Provisioners that were once part of Kubernetes, and the drivers that do their work now.
const MIGRATED: [(&str, &str); 7] = [
    ("kubernetes.io/aws-ebs", "ebs.csi.aws.com"),
    ("kubernetes.io/azure-disk", "disk.csi.azure.com"),
    ("kubernetes.io/azure-file", "file.csi.azure.com"),
    ("kubernetes.io/cinder", "cinder.csi.openstack.org"),
    ("kubernetes.io/gce-pd", "pd.csi.storage.gke.io"),
    ("kubernetes.io/portworx-volume", "pxd.portworx.com"),
    ("kubernetes.io/vsphere-volume", "csi.vsphere.vmware.com"),
];

/// The claim in a phase in which it has no volume, whose status says nothing of one.
fn without_volume(claim: &Object, phase: &str) -> Value {
    let mut claim = claim.value().clone();
    claim.set(&["status", "phase"], phase);
    for field in ["accessModes", "capacity", "currentVolumeAttributesClassName"] {
        claim.remove(&["status", field]);
    }
    claim
}

impl Binder {
    pub(super) async fn sync_claim(&self, claim: &Arc<Object>) -> Result<(), Status> {
        let named = claim.str_at(&["spec", "volumeName"]);
        if claim.annotation(BIND_COMPLETED).is_some() {
            return self.sync_bound(claim, named).await;
        }
        if !named.is_empty() {
            return match self.volumes.get_key(named) {
                Some(volume) => self.bind_named(claim, &volume).await,
                None => self.set_pending(claim).await,
            };
        }
        match self.find_volume(claim) {
            Some(volume) => self.bind(claim, &volume).await,
            None => self.wait(claim).await,
        }
    }

    async fn sync_bound(&self, claim: &Arc<Object>, named: &str) -> Result<(), Status> {
        if named.is_empty() {
            let message = "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!";
            return self.lose(claim, "ClaimLost", message).await;
        }
        let Some(volume) = self.volumes.get_key(named) else {
            let message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
            return self.lose(claim, "ClaimLost", message).await;
        };
        match reserved_for(&volume) {
            Some(owner) if owner.str_at(&["uid"]) != claim.uid() => {
                let message = "Two claims are bound to the same volume, this one is bound incorrectly";
                self.lose(claim, "ClaimMisbound", message).await
            }
            _ => self.bind(claim, &volume).await,
        }
    }

    async fn bind_named(&self, claim: &Arc<Object>, volume: &Arc<Object>) -> Result<(), Status> {
        let name = volume.name();
        match reserved_for(volume) {
            None => {
                let Err(why) = fit::check(volume, claim) else { return self.bind(claim, volume).await };
                let message = format!("Cannot bind to requested volume {name:?}: {why}");
                self.ctx.events.warning(claim, "VolumeMismatch", message);
            }
            Some(owner) if is_claim(owner, claim) => return self.bind(claim, volume).await,
            Some(_) => {
                let message = format!("volume {name:?} already bound to a different claim.");
                self.ctx.events.warning(claim, "FailedBinding", message);
            }
        }
        self.queue.add_after(claim.key(), RESYNC);
        self.set_pending(claim).await
    }

    /// One reserved for the claim, else the smallest that fits.
    fn find_volume(&self, claim: &Object) -> Option<Arc<Object>> {
        let volumes = self.volumes.list();
        let reserved = volumes.iter().find(|volume| {
            reserved_for(volume).is_some_and(|owner| is_claim(owner, claim))
                && fit::check(volume, claim).is_ok()
        });
        if let Some(volume) = reserved {
            return Some(volume.clone());
        }
        // Which volume it gets is the scheduler's to decide.
        if self.delays_binding(claim) {
            return None;
        }
        let free = volumes.iter().filter(|volume| reserved_for(volume).is_none() && fit::fits(volume, claim));
        free.min_by(|a, b| fit::size(a).cmp(&fit::size(b))).cloned()
    }

    fn delays_binding(&self, claim: &Object) -> bool {
        let class = self.classes.get_key(fit::class(claim));
        class.is_some_and(|class| class.str_at(&["volumeBindingMode"]) == "WaitForFirstConsumer")
    }

    /// Reserves the volume for the claim, then writes the claim, each with its status.
    async fn bind(&self, claim: &Arc<Object>, volume: &Arc<Object>) -> Result<(), Status> {
        let mut volume = volume.clone();
        if reserved_for(&volume).is_none_or(|owner| owner.str_at(&["uid"]) != claim.uid()) {
            let mut new = volume.value().clone();
            if reserved_for(&volume).is_none() {
                new.set(&["metadata", "annotations", BOUND_BY_CONTROLLER], "yes");
            }
            let reference = value!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claim.namespace(),
                "name": claim.name(), "uid": claim.uid(), "resourceVersion": claim.resource_version(),
            });
            new.set(&["spec", "claimRef"], reference);
            volume = self.ctx.client.update(&PERSISTENT_VOLUMES, new).await?;
        }
        self.set_phase(&volume, "Bound", "").await?;
        let mut new = claim.value().clone();
        if new.str_at(&["spec", "volumeName"]) != volume.name() {
            new.set(&["metadata", "annotations", BOUND_BY_CONTROLLER], "yes");
            new.set(&["spec", "volumeName"], volume.name());
        }
        new.set(&["metadata", "annotations", BIND_COMPLETED], "yes");
        let claim = if new == *claim.value() {
            claim.clone()
        } else {
            self.ctx.client.update(&PERSISTENT_VOLUME_CLAIMS, new).await?
        };
        self.finish(&claim, &volume).await
    }

    /// The claim's status says what it has got.
    async fn finish(&self, claim: &Object, volume: &Object) -> Result<(), Status> {
        let mut new = claim.value().clone();
        new.set(&["status", "phase"], "Bound");
        new.set(&["status", "accessModes"], volume.array_at(&["spec", "accessModes"]).to_vec());
        let storage = ["status", "capacity", "storage"];
        // What has been expanded says so itself.
        if claim.str_at(&["status", "phase"]) != "Bound" || claim.at(&storage).is_none() {
            new.set(&["status", "capacity"], volume.object_at(&["spec", "capacity"]).clone());
        }
        let attributes = volume.str_at(&["spec", "volumeAttributesClassName"]);
        if !attributes.is_empty() && claim.str_at(&["status", "phase"]) != "Bound" {
            new.set(&["status", "currentVolumeAttributesClassName"], attributes);
        }
        self.write_claim_status(claim, new).await
    }

    async fn lose(&self, claim: &Object, reason: &str, message: &str) -> Result<(), Status> {
        if claim.str_at(&["status", "phase"]) == "Lost" {
            return Ok(());
        }
        self.write_claim_status(claim, without_volume(claim, "Lost")).await?;
        self.ctx.events.warning(claim, reason, message);
        Ok(())
    }

    async fn set_pending(&self, claim: &Object) -> Result<(), Status> {
        self.write_claim_status(claim, without_volume(claim, "Pending")).await
    }

    async fn write_claim_status(&self, claim: &Object, new: Value) -> Result<(), Status> {
        if new.get("status") == claim.get("status") {
            return Ok(());
        }
        self.ctx.client.update_status(&PERSISTENT_VOLUME_CLAIMS, new).await.map(drop)
    }

    /// Says what the claim waits for.
    async fn wait(&self, claim: &Arc<Object>) -> Result<(), Status> {
        if self.assign_default_class(claim).await? {
            return Ok(());
        }
        self.queue.add_after(claim.key(), RESYNC);
        if self.delays_binding(claim) && claim.annotation(SELECTED_NODE).is_none() {
            let (reason, message) = self.consumer(claim);
            self.ctx.events.normal(claim, reason, message);
        } else if !fit::class(claim).is_empty() {
            return self.provision(claim).await;
        } else {
            let message = "no persistent volumes available for this claim and no storage class is set";
            self.ctx.events.normal(claim, "FailedBinding", message);
        }
        self.set_pending(claim).await
    }

    /// Who is to come before the claim is bound.
    fn consumer(&self, claim: &Object) -> (&'static str, String) {
        let uses = |pod: &Arc<Object>| {
            pod::node_name(pod).is_empty()
                && !pod::is_finished(pod)
                && claims_of(pod).any(|(name, _)| name == claim.name())
        };
        let pods = self.pods.list_in(claim.namespace());
        let names: Vec<&str> = pods.iter().filter(|pod| uses(pod)).map(|pod| pod.name()).collect();
        match names.as_slice() {
            [] => {
                ("WaitForFirstConsumer", "waiting for first consumer to be created before binding".to_owned())
            }
            [one] => ("WaitForPodScheduled", format!("waiting for pod {one} to be scheduled")),
            all => ("WaitForPodScheduled", format!("waiting for pods {} to be scheduled", all.join(","))),
        }
    }

    /// A claim that was made before there was a default class gets it when there is one. True when it was written.
    async fn assign_default_class(&self, claim: &Object) -> Result<bool, Status> {
        let named = claim.at(&["spec", "storageClassName"]).is_some_and(|name| !name.is_null());
        if named || claim.annotation("volume.beta.kubernetes.io/storage-class").is_some() {
            return Ok(false);
        }
        let is_default =
            |class: &Arc<Object>| DEFAULT_CLASS.iter().any(|key| class.annotation(key) == Some("true"));
        let mut defaults: Vec<_> = self.classes.list().into_iter().filter(is_default).collect();
        // The newest of several, and of those that are as old the first by name.
        defaults.sort_by(|a, b| {
            b.creation_timestamp().cmp(a.creation_timestamp()).then_with(|| a.name().cmp(b.name()))
        });
        let Some(class) = defaults.first() else { return Ok(false) };
        let mut new = claim.value().clone();
        new.set(&["spec", "storageClassName"], class.name());
        self.ctx.client.update(&PERSISTENT_VOLUME_CLAIMS, new).await.map(|_| true)
    }

    /// Asks the class's provisioner for a volume.
    async fn provision(&self, claim: &Arc<Object>) -> Result<(), Status> {
        let name = fit::class(claim);
        let Some(class) = self.classes.get_key(name) else {
            let message = format!("storageclass.storage.k8s.io {name:?} not found");
            self.ctx.events.warning(claim, "ProvisioningFailed", message);
            return Ok(());
        };
        let wanted = class.str_at(&["provisioner"]);
        let migrated = MIGRATED.iter().find(|(old, _)| *old == wanted).map(|(_, driver)| *driver);
        if migrated.is_none() && wanted.starts_with("kubernetes.io/") {
            let message = format!("no volume plugin matched name: {wanted}");
            self.ctx.events.warning(claim, "ProvisioningFailed", message);
            return Ok(());
        }
        let provisioner = migrated.unwrap_or(wanted);
        if PROVISIONERS.iter().any(|annotation| claim.annotation(annotation) != Some(provisioner)) {
            let mut new = claim.value().clone();
            for annotation in PROVISIONERS {
                new.set(&["metadata", "annotations", annotation], provisioner);
            }
            self.ctx.client.update(&PERSISTENT_VOLUME_CLAIMS, new).await?;
        }
        let message = format!(
            "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the \
             system administrator. If volume creation is delayed, please verify that the provisioner is running and \
             correctly registered."
        );
        self.ctx.events.normal(claim, "ExternalProvisioning", message);
        Ok(())
    }
}
