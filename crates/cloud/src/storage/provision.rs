//! A volume for every claim that asks this driver for one, as the external provisioner makes it.

use std::collections::BTreeSet;
use std::sync::Arc;

use drydock_client::resources::{PERSISTENT_VOLUMES, VOLUME_ATTACHMENTS};
use drydock_client::{Change, Controller, DeleteOptions, Informer, WorkQueue};
use drydock_machinery::{Object, ObjectMeta, Reason, Status, Value, value};

use super::{Context, asked, unless_there};

const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const FS_TYPE: &str = "ext4";

struct Provisioner {
    context: Context,
    attachments: Arc<Informer>,
}

/// Two queues: claims that need a volume, and volumes that nobody needs any more.
pub(super) fn start(context: Context) {
    let claims = Arc::new(WorkQueue::new(context.clock.clone()));
    let (to, driver) = (claims.clone(), context.storage.driver);
    context.claims.on_change(move |change| {
        let claim = change.object();
        let waits = claim.str_at(&["spec", "volumeName"]).is_empty() && !claim.is_deleting();
        if waits && claim.annotation(PROVISIONER) == Some(driver) && !matches!(change, Change::Deleted(_)) {
            to.add_object(claim);
        }
    });
    let volumes = Arc::new(WorkQueue::new(context.clock.clone()));
    let to = volumes.clone();
    context.volumes.on_change(move |change| {
        if is_to_go(change.object(), driver) && !matches!(change, Change::Deleted(_)) {
            to.add_object(change.object());
        }
    });
    let attachments = context.informers.informer(&VOLUME_ATTACHMENTS);
    let needs =
        [&context.nodes, &context.claims, &context.volumes, &context.classes, &attachments].map(Arc::clone);
    let tasks = context.tasks.clone();
    let provisioner = Arc::new(Provisioner { context, attachments });
    let this = provisioner.clone();
    Controller::new("storage-provisioner", claims).workers(4).needs(needs.clone()).start(
        &tasks,
        move |key| {
            let this = this.clone();
            async move { this.sync_claim(&key).await }
        },
    );
    Controller::new("storage-deleter", volumes).needs(needs).start(&tasks, move |key| {
        let this = provisioner.clone();
        async move { this.sync_volume(&key).await }
    });
}

/// Whether a volume was made here, its claim is gone, and it is to be deleted with it.
fn is_to_go(volume: &Object, driver: &str) -> bool {
    volume.annotation(PROVISIONED_BY) == Some(driver)
        && volume.str_at(&["status", "phase"]) == "Released"
        && volume.str_at(&["spec", "persistentVolumeReclaimPolicy"]) == "Delete"
        && !volume.is_deleting()
}

impl Provisioner {
    async fn sync_claim(&self, key: &str) -> Result<(), Status> {
        let Some(claim) = self.context.claims.get_key(key) else { return Ok(()) };
        let done = !claim.str_at(&["spec", "volumeName"]).is_empty() || claim.is_deleting();
        let Some(class) = self.context.class_of(&claim).filter(|_| !done) else { return Ok(()) };
        let waits = class.str_at(&["volumeBindingMode"]) == "WaitForFirstConsumer";
        if waits && claim.annotation(SELECTED_NODE).is_none() {
            return Ok(());
        }
        let name = format!("pvc-{}", claim.uid());
        if self.context.volumes.get_key(&name).is_some() {
            return Ok(());
        }
        let events = &self.context.events;
        let message = format!("External provisioner is provisioning volume for claim {key:?}");
        events.normal(&claim, "Provisioning", message);
        let made = self.volume(&name, &claim, &class);
        let made = made.map_err(|why| {
            let class = class.name();
            let message = format!("failed to provision volume with StorageClass {class:?}: {why}");
            events.warning(&claim, "ProvisioningFailed", message.clone());
            Status::new(503, Reason::ServiceUnavailable, message)
        })?;
        unless_there(self.context.client.create(&PERSISTENT_VOLUMES, made).await)?;
        events.normal(&claim, "ProvisioningSucceeded", format!("Successfully provisioned volume {name}"));
        Ok(())
    }

    /// # Errors
    /// Why the driver cannot make such a volume.
    fn volume(&self, name: &str, claim: &Object, class: &Object) -> Result<Value, String> {
        refuse(claim)?;
        let zone = self.zone(claim, class)?;
        let driver = self.context.storage.driver;
        let is_block = claim.str_at(&["spec", "volumeMode"]) == "Block";
        let mut volume = value!({
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {"name": name, "annotations": {
                PROVISIONED_BY: driver,
                "volume.kubernetes.io/provisioner-deletion-secret-name": "",
                "volume.kubernetes.io/provisioner-deletion-secret-namespace": "",
            }},
            "spec": {
                "accessModes": claim.array_at(&["spec", "accessModes"]).to_vec(),
                "capacity": {"storage": self.context.size(&asked(claim)).to_string()},
                "claimRef": {
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claim.namespace(),
                    "name": claim.name(), "uid": claim.uid(), "resourceVersion": claim.resource_version(),
                },
                "csi": {"driver": driver, "volumeHandle": handle(claim.uid())},
                "persistentVolumeReclaimPolicy": class.str_at(&["reclaimPolicy"]),
                "storageClassName": class.name(),
                "volumeMode": if is_block { "Block" } else { "Filesystem" },
            },
        });
        if !is_block {
            volume.set(&["spec", "csi", "fsType"], fs_type(class));
        }
        let options = class.array_at(&["mountOptions"]);
        if !options.is_empty() {
            volume.set(&["spec", "mountOptions"], options.to_vec());
        }
        if let Some(zone) = zone {
            let key = self.context.storage.topology_key;
            let term = value!({"matchExpressions": [{"key": key, "operator": "In", "values": [zone]}]});
            volume.set(&["spec", "nodeAffinity", "required", "nodeSelectorTerms"], vec![term]);
        }
        Ok(volume)
    }

    /// Where the disk is to be: with the node that was chosen, else in one of the zones that there are. None when nodes
    /// have no zones.
    ///
    /// # Errors
    /// When there is no such node, or none in a zone that the class allows.
    fn zone(&self, claim: &Object, class: &Object) -> Result<Option<String>, String> {
        let key = self.context.storage.topology_key;
        if let Some(name) = claim.annotation(SELECTED_NODE) {
            let node = self.context.nodes.get_key(name);
            let node = node.ok_or_else(|| format!("error getting selected node: node {name:?} not found"))?;
            return Ok(node.label(key).map(str::to_owned));
        }
        let nodes = self.context.nodes.list();
        if nodes.is_empty() {
            return Err("error generating accessibility requirements: no nodes with the driver".to_owned());
        }
        let zones: BTreeSet<&str> = nodes.iter().filter_map(|node| node.label(key)).collect();
        let allowed: Vec<&str> = zones.iter().copied().filter(|zone| is_allowed(class, key, zone)).collect();
        if allowed.is_empty() && !zones.is_empty() {
            return Err(
                "error generating accessibility requirements: no node is in an allowed topology".to_owned()
            );
        }
        // Claims of a stateful set, whose names end with its pods' numbers, are spread over the zones.
        let number = claim.name().rsplit('-').next().and_then(|number| number.parse::<usize>().ok());
        Ok(allowed.get(number.unwrap_or(0) % allowed.len().max(1)).map(|&zone| zone.to_owned()))
    }

    async fn sync_volume(&self, name: &str) -> Result<(), Status> {
        let volume = self.context.volumes.get_key(name);
        let driver = self.context.storage.driver;
        let Some(volume) = volume.filter(|volume| is_to_go(volume, driver)) else { return Ok(()) };
        let attachments = self.attachments.list();
        let holds = |attachment: &&Arc<Object>| {
            attachment.str_at(&["spec", "source", "persistentVolumeName"]) == name
        };
        if let Some(attachment) = attachments.iter().find(holds) {
            let node = attachment.str_at(&["spec", "nodeName"]);
            let message = format!("persistentvolume {name} is still attached to node {node}");
            self.context.events.warning(&volume, "VolumeFailedDelete", message.clone());
            return Err(Status::new(503, Reason::ServiceUnavailable, message));
        }
        let options = DeleteOptions::of_uid(volume.uid());
        match self.context.client.delete(&PERSISTENT_VOLUMES, "", name, options).await {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(()),
        }
    }
}

/// What no disk can do.
fn refuse(claim: &Object) -> Result<(), String> {
    let is_set = |field: &str| claim.at(&["spec", field]).is_some_and(|value| !value.is_null());
    if is_set("selector") {
        return Err("claim Selector is not supported".to_owned());
    }
    if is_set("dataSource") || is_set("dataSourceRef") {
        return Err("error getting handle for DataSource: snapshots and clones are not simulated".to_owned());
    }
    let mut modes = claim.array_at(&["spec", "accessModes"]).iter().filter_map(Value::as_str);
    match modes.find(|mode| !matches!(*mode, "ReadWriteOnce" | "ReadWriteOncePod")) {
        Some(mode) => Err(format!(
            "rpc error: code = InvalidArgument desc = Volume capabilities not supported: a disk cannot be {mode}, only \
             ReadWriteOnce or ReadWriteOncePod"
        )),
        None => Ok(()),
    }
}

fn is_allowed(class: &Object, key: &str, zone: &str) -> bool {
    let terms = class.array_at(&["allowedTopologies"]);
    let holds = |expression: &Value| {
        expression.str_at(&["key"]) != key
            || expression.array_at(&["values"]).iter().any(|value| value.as_str() == Some(zone))
    };
    terms.is_empty() || terms.iter().any(|term| term.array_at(&["matchLabelExpressions"]).iter().all(holds))
}

fn fs_type(class: &Object) -> &str {
    let of = |name: &str| Some(class.str_at(&["parameters", name])).filter(|text| !text.is_empty());
    of("csi.storage.k8s.io/fstype").or_else(|| of("fsType")).unwrap_or(FS_TYPE)
}

/// A disk's id, from its claim's.
fn handle(uid: &str) -> String {
    let digits: String = uid.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    format!("vol-0{digits}")
}
