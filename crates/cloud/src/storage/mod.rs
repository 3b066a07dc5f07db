//! The cloud's disk driver, as its CSI controller and its sidecars do their work in a cluster, without disks.
//!
//! * `install`: the CSIDriver and the cloud's storage classes, once the first node is there; each node's CSINode;
//! * `provision`: a volume for every claim that asks this driver for one, deleted when it is released;
//! * `attach`: says of VolumeAttachments that they are attached, and lets them go;
//! * `resize`: enlarges volumes whose claim has grown.
//!
//! Owns no durable state: the objects are all there is. Absent: binding claims to volumes and asking for attachments,
//! which are the controller manager's, and choosing the node, which is the scheduler's.

mod attach;
mod install;
mod provision;
mod resize;

use std::sync::Arc;

use drydock_client::{Client, EventRecorder, Informer, SharedInformers, resources};
use drydock_cloud_api::{CloudProvider, Storage};
use drydock_machinery::quantity::{Format, Quantity};
use drydock_machinery::{Object, Status, Value};
use drydock_runtime::{Clock, Tasks};

/// What the driver works with.
#[derive(Clone)]
pub struct StorageConfig {
    pub provider: Arc<dyn CloudProvider>,
    /// Reads nodes and classes; writes volumes, claims' status, attachments, CSINodes, events.
    pub client: Client,
    pub informers: SharedInformers,
}

/// What every part here has.
#[derive(Clone)]
struct Context {
    provider: Arc<dyn CloudProvider>,
    storage: Storage,
    client: Client,
    events: EventRecorder,
    clock: Clock,
    tasks: Tasks,
    nodes: Arc<Informer>,
    claims: Arc<Informer>,
    volumes: Arc<Informer>,
    classes: Arc<Informer>,
    informers: SharedInformers,
}

/// Starts the driver, if the provider has one. It ends with `tasks`.
pub fn start(config: StorageConfig, tasks: &Tasks) {
    let Some(storage) = config.provider.storage() else { return };
    let context = Context {
        storage,
        events: EventRecorder::new(config.client.clone(), tasks.clone(), storage.driver),
        clock: tasks.clock().clone(),
        tasks: tasks.clone(),
        nodes: config.informers.informer(&resources::NODES),
        claims: config.informers.informer(&resources::PERSISTENT_VOLUME_CLAIMS),
        volumes: config.informers.informer(&resources::PERSISTENT_VOLUMES),
        classes: config.informers.informer(&resources::STORAGE_CLASSES),
        provider: config.provider,
        client: config.client,
        informers: config.informers,
    };
    install::start(context.clone());
    provision::start(context.clone());
    attach::start(context.clone());
    resize::start(context);
}

impl Context {
    /// A size that the cloud has, in bytes: `wanted` or a little more.
    fn size(&self, wanted: &Quantity) -> Quantity {
        let step = self.storage.size_step.max(1);
        let bytes = wanted.value().max(1).unsigned_abs().div_ceil(step).saturating_mul(step);
        Quantity::new(i64::try_from(bytes).unwrap_or(i64::MAX), Format::BinarySi)
    }

    fn is_ours(&self, volume: &Value) -> bool {
        volume.str_at(&["spec", "csi", "driver"]) == self.storage.driver
    }

    fn class_of(&self, claim: &Value) -> Option<Arc<Object>> {
        self.classes.get_key(claim.str_at(&["spec", "storageClassName"]))
    }
}

/// What a claim asks for.
fn asked(claim: &Value) -> Quantity {
    Quantity::of(claim.at(&["spec", "resources", "requests", "storage"]))
}

/// Somebody else may have made it first.
fn unless_there<T>(created: Result<T, Status>) -> Result<(), Status> {
    match created {
        Err(status) if !status.is_already_exists() => Err(status),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
