//! What a cluster gets with its first node: the driver, its storage classes, and each node's CSINode.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use drydock_client::resources::{CSI_DRIVERS, CSI_NODES, STORAGE_CLASSES};
use drydock_client::{Change, Controller, PatchType, WorkQueue};
use drydock_cloud_api::StorageClass;
use drydock_machinery::{Object, ObjectMeta, Status, Value, value};

use super::{Context, unless_there};

struct Installer {
    context: Context,
    /// The driver and its classes are there, or were.
    installed: AtomicBool,
}

/// Keys are names of nodes.
pub(super) fn start(context: Context) {
    let queue = Arc::new(WorkQueue::new(context.clock.clone()));
    let to = queue.clone();
    context.nodes.on_change(move |change| {
        let id = |node: &Object| node.str_at(&["spec", "providerID"]).to_owned();
        let is_new = change.old().is_none_or(|old| id(old) != id(change.object()));
        if is_new && !matches!(change, Change::Deleted(_)) {
            to.add_object(change.object());
        }
    });
    let needs = [context.nodes.clone()];
    let tasks = context.tasks.clone();
    let installer = Arc::new(Installer { context, installed: AtomicBool::new(false) });
    Controller::new("storage-driver", queue).needs(needs).start(&tasks, move |node| {
        let installer = installer.clone();
        async move { installer.sync(&node).await }
    });
}

impl Installer {
    async fn sync(&self, node: &str) -> Result<(), Status> {
        let Some(node) = self.context.nodes.get_key(node) else { return Ok(()) };
        if !self.installed.load(Ordering::Relaxed) {
            self.install().await?;
            self.installed.store(true, Ordering::Relaxed);
        }
        match self.context.provider.instance_id(node.str_at(&["spec", "providerID"])) {
            Some(id) => self.register(&node, &id).await,
            None => Ok(()),
        }
    }

    /// The driver comes last and says that the rest was there: what a user has deleted since does not come back.
    async fn install(&self) -> Result<(), Status> {
        let client = &self.context.client;
        let driver = self.context.storage.driver;
        if client.find(&CSI_DRIVERS, "", driver).await?.is_some() {
            return Ok(());
        }
        for class in self.context.storage.classes {
            unless_there(client.create(&STORAGE_CLASSES, storage_class(class)).await)?;
        }
        let object = value!({
            "apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": driver},
            "spec": {"attachRequired": true, "podInfoOnMount": false, "fsGroupPolicy": "ReadWriteOnceWithFSType"},
        });
        unless_there(client.create(&CSI_DRIVERS, object).await)
    }

    /// Tells the scheduler that the node's disks are this driver's.
    async fn register(&self, node: &Object, id: &str) -> Result<(), Status> {
        let storage = &self.context.storage;
        let entry = value!({
            "name": storage.driver, "nodeID": id, "topologyKeys": [storage.topology_key],
            "allocatable": {"count": storage.disks_per_node},
        });
        let client = &self.context.client;
        let Some(there) = client.find(&CSI_NODES, "", node.name()).await? else {
            let object = value!({
                "apiVersion": "storage.k8s.io/v1", "kind": "CSINode",
                "metadata": {"name": node.name(), "ownerReferences": [{
                    "apiVersion": "v1", "kind": "Node", "name": node.name(), "uid": node.uid(),
                }]},
                "spec": {"drivers": [entry]},
            });
            return unless_there(client.create(&CSI_NODES, object).await);
        };
        let mut drivers = there.array_at(&["spec", "drivers"]).iter();
        if drivers.any(|known| known.str_at(&["name"]) == storage.driver) {
            return Ok(());
        }
        let patch = value!({"spec": {"drivers": [entry]}});
        client.patch(&CSI_NODES, "", node.name(), PatchType::Strategic, patch).await.map(drop)
    }
}

fn storage_class(class: &StorageClass) -> Value {
    let mut object = value!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": class.name},
        "provisioner": class.provisioner, "reclaimPolicy": "Delete",
        "volumeBindingMode": if class.waits_for_consumer { "WaitForFirstConsumer" } else { "Immediate" },
    });
    if class.is_default {
        object.set(&["metadata", "annotations", "storageclass.kubernetes.io/is-default-class"], "true");
    }
    if class.allows_expansion {
        object.set(&["allowVolumeExpansion"], true);
    }
    for (name, text) in class.parameters {
        object.set(&["parameters", name], *text);
    }
    object
}
