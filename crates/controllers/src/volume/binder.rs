//! The persistent volume binder: claims and the volumes that fit them.
//!
//! Volumes that exist are bound; making new ones is left to external provisioners, which are told by annotation.

use std::sync::Arc;

use drydock_client::resources::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES};
use drydock_client::{Controller, Informer, WorkQueue};
use drydock_machinery::quantity::Quantity;
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value, value};

use crate::Context;
use crate::util::split_key;

const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
const PROVISIONERS: [&str; 2] =
    ["volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner"];
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

struct Binder {
    ctx: Context,
    claims: Arc<Informer>,
    volumes: Arc<Informer>,
    classes: Arc<Informer>,
}

/// Keys of claims are `namespace/name`, those of volumes are names.
pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let this = Arc::new(Binder {
        claims: ctx.informers.informer(&PERSISTENT_VOLUME_CLAIMS),
        volumes: ctx.informers.informer(&PERSISTENT_VOLUMES),
        classes: ctx.informers.informer(&STORAGE_CLASSES),
        ctx,
    });
    let to = queue.clone();
    this.claims.on_change(move |change| {
        let claim = change.object();
        to.add_object(claim);
        let volume = claim.str_at(&["spec", "volumeName"]);
        if !volume.is_empty() {
            to.add(volume);
        }
    });
    let (to, claims) = (queue.clone(), this.claims.clone());
    this.volumes.on_change(move |change| {
        to.add_object(change.object());
        // A new or changed volume may be what a claim waits for.
        for claim in claims.list() {
            if claim.str_at(&["status", "phase"]) != "Bound" {
                to.add_object(&claim);
            }
        }
    });
    let needs = [this.claims.clone(), this.volumes.clone(), this.classes.clone()];
    let tasks = this.ctx.tasks.clone();
    Controller::new("persistentvolume-binder", queue).needs(needs).start(&tasks, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await }
    });
}

fn class(object: &Value) -> &str {
    object.str_at(&["spec", "storageClassName"])
}

/// The claim that a volume is reserved for or bound to.
fn reserved_for(volume: &Value) -> Option<&Value> {
    volume.at(&["spec", "claimRef"]).filter(|claim| !claim.is_null())
}

fn is_claim(reference: &Value, claim: &Object) -> bool {
    let uid = reference.str_at(&["uid"]);
    reference.str_at(&["namespace"]) == claim.namespace()
        && reference.str_at(&["name"]) == claim.name()
        && (uid.is_empty() || uid == claim.uid())
}

impl Binder {
    async fn sync(&self, key: &Key) -> Result<(), Status> {
        match split_key(key) {
            ("", name) => match self.volumes.get_key(name) {
                Some(volume) => self.sync_volume(&volume).await,
                None => Ok(()),
            },
            (namespace, name) => match self.claims.get(namespace, name) {
                Some(claim) => self.sync_claim(&claim).await,
                None => Ok(()),
            },
        }
    }

    async fn sync_volume(&self, volume: &Object) -> Result<(), Status> {
        let Some(reference) = reserved_for(volume) else { return self.set_phase(volume, "Available").await };
        if reference.str_at(&["uid"]).is_empty() {
            return self.set_phase(volume, "Available").await;
        }
        let claim = self.claims.get(reference.str_at(&["namespace"]), reference.str_at(&["name"]));
        match claim.filter(|claim| is_claim(reference, claim)) {
            Some(claim) if claim.str_at(&["spec", "volumeName"]) == volume.name() => {
                self.set_phase(volume, "Bound").await
            }
            Some(_) => Ok(()),
            None => self.set_phase(volume, "Released").await,
        }
    }

    async fn set_phase(&self, volume: &Object, phase: &str) -> Result<(), Status> {
        if volume.str_at(&["status", "phase"]) == phase {
            return Ok(());
        }
        let mut new = volume.value().clone();
        new.set(&["status", "phase"], phase);
        self.ctx.client.update_status(&PERSISTENT_VOLUMES, new).await.map(drop)
    }

    async fn sync_claim(&self, claim: &Arc<Object>) -> Result<(), Status> {
        let named = claim.str_at(&["spec", "volumeName"]);
        if claim.annotation(BIND_COMPLETED).is_some() {
            return match self.volumes.get_key(named) {
                Some(volume) => self.finish(claim, &volume).await,
                None => {
                    self.lose(claim, "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
                        .await
                }
            };
        }
        if !named.is_empty() {
            return match self.volumes.get_key(named) {
                Some(volume) if reserved_for(&volume).is_none_or(|owner| is_claim(owner, claim)) => {
                    self.bind(claim, &volume).await
                }
                Some(_) => {
                    let message = format!("volume {named:?} already bound to a different claim.");
                    self.ctx.events.warning(claim, "FailedBinding", message);
                    self.set_claim_phase(claim, "Pending").await
                }
                None => self.set_claim_phase(claim, "Pending").await,
            };
        }
        match self.find_volume(claim) {
            Some(volume) => self.bind(claim, &volume).await,
            None => self.wait(claim).await,
        }
    }

    /// One reserved for the claim, else the smallest that fits.
    fn find_volume(&self, claim: &Object) -> Option<Arc<Object>> {
        let volumes = self.volumes.list();
        let reserved = volumes.iter().find(|v| reserved_for(v).is_some_and(|owner| is_claim(owner, claim)));
        if let Some(volume) = reserved {
            return Some(volume.clone());
        }
        if self.waits_for_consumer(claim) {
            return None;
        }
        let asked = Quantity::of(claim.at(&["spec", "resources", "requests", "storage"]));
        let selector =
            claim.at(&["spec", "selector"]).filter(|s| !s.is_null()).map(|s| crate::util::selector(Some(s)));
        let size = |volume: &Object| Quantity::of(volume.at(&["spec", "capacity", "storage"]));
        let has_modes = |volume: &Object| {
            let modes = volume.array_at(&["spec", "accessModes"]);
            claim.array_at(&["spec", "accessModes"]).iter().all(|mode| modes.contains(mode))
        };
        let mode = |object: &Value| match object.str_at(&["spec", "volumeMode"]) {
            "" => "Filesystem".to_owned(),
            mode => mode.to_owned(),
        };
        let fits = |volume: &&Arc<Object>| {
            reserved_for(volume).is_none()
                && !volume.is_deleting()
                && class(volume) == class(claim)
                && mode(volume) == mode(claim)
                && has_modes(volume)
                && size(volume) >= asked
                && selector.as_ref().is_none_or(|selector| selector.matches(volume.labels()))
        };
        volumes.iter().filter(fits).min_by(|a, b| size(a).cmp(&size(b))).cloned()
    }

    fn waits_for_consumer(&self, claim: &Object) -> bool {
        let class = self.classes.get_key(class(claim));
        class.is_some_and(|class| class.str_at(&["volumeBindingMode"]) == "WaitForFirstConsumer")
            && claim.annotation(SELECTED_NODE).is_none()
    }

    async fn bind(&self, claim: &Arc<Object>, volume: &Arc<Object>) -> Result<(), Status> {
        let mut volume = volume.clone();
        if reserved_for(&volume).is_none_or(|owner| owner.str_at(&["uid"]) != claim.uid()) {
            let ours = reserved_for(&volume).is_none();
            let mut new = volume.value().clone();
            new.set(
                &["spec", "claimRef"],
                value!({
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claim.namespace(),
                    "name": claim.name(), "uid": claim.uid(), "resourceVersion": claim.resource_version(),
                }),
            );
            if ours {
                new.set(&["metadata", "annotations", BOUND_BY_CONTROLLER], "yes");
            }
            volume = self.ctx.client.update(&PERSISTENT_VOLUMES, new).await?;
        }
        self.set_phase(&volume, "Bound").await?;
        let mut new = claim.value().clone();
        if new.str_at(&["spec", "volumeName"]).is_empty() {
            new.set(&["metadata", "annotations", BOUND_BY_CONTROLLER], "yes");
        }
        new.set(&["spec", "volumeName"], volume.name());
        new.set(&["metadata", "annotations", BIND_COMPLETED], "yes");
        let claim = self.ctx.client.update(&PERSISTENT_VOLUME_CLAIMS, new).await?;
        self.finish(&claim, &volume).await
    }

    /// The claim's status says what it has got.
    async fn finish(&self, claim: &Object, volume: &Object) -> Result<(), Status> {
        let mut new = claim.value().clone();
        new.set(&["status", "phase"], "Bound");
        new.set(&["status", "accessModes"], volume.array_at(&["spec", "accessModes"]).to_vec());
        if claim.at(&["status", "capacity"]).is_none() {
            new.set(&["status", "capacity"], volume.object_at(&["spec", "capacity"]).clone());
        }
        if new.get("status") == claim.get("status") {
            return Ok(());
        }
        self.ctx.client.update_status(&PERSISTENT_VOLUME_CLAIMS, new).await.map(drop)
    }

    async fn lose(&self, claim: &Object, message: &str) -> Result<(), Status> {
        if claim.str_at(&["status", "phase"]) != "Lost" {
            self.ctx.events.warning(claim, "ClaimLost", message);
        }
        self.set_claim_phase(claim, "Lost").await
    }

    async fn set_claim_phase(&self, claim: &Object, phase: &str) -> Result<(), Status> {
        if claim.str_at(&["status", "phase"]) == phase {
            return Ok(());
        }
        let mut new = claim.value().clone();
        new.set(&["status", "phase"], phase);
        self.ctx.client.update_status(&PERSISTENT_VOLUME_CLAIMS, new).await.map(drop)
    }

    /// Says what the claim waits for.
    async fn wait(&self, claim: &Arc<Object>) -> Result<(), Status> {
        let events = &self.ctx.events;
        self.set_claim_phase(claim, "Pending").await?;
        if self.waits_for_consumer(claim) {
            let message = "waiting for first consumer to be created before binding";
            events.normal(claim, "WaitForFirstConsumer", message);
            return Ok(());
        }
        let name = class(claim);
        if name.is_empty() {
            let message = "no persistent volumes available for this claim and no storage class is set";
            events.normal(claim, "FailedBinding", message);
            return Ok(());
        }
        let Some(class) = self.classes.get_key(name) else {
            let message = format!("storageclass.storage.k8s.io {name:?} not found");
            events.warning(claim, "ProvisioningFailed", message);
            return Ok(());
        };
        let provisioner = class.str_at(&["provisioner"]);
        if provisioner == "kubernetes.io/no-provisioner" {
            let message = "no volume plugin matched name: kubernetes.io/no-provisioner";
            events.warning(claim, "ProvisioningFailed", message);
            return Ok(());
        }
        if PROVISIONERS.iter().any(|annotation| claim.annotation(annotation) != Some(provisioner)) {
            let fresh =
                self.ctx.client.get(&PERSISTENT_VOLUME_CLAIMS, claim.namespace(), claim.name()).await?;
            let mut new = fresh.value().clone();
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
        events.normal(claim, "ExternalProvisioning", message);
        Ok(())
    }
}
