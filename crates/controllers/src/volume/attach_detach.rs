//! The attach/detach controller: volumes of drivers are attached to the nodes whose pods use them, and detached after.
//!
//! The work is the driver's attacher's, who is asked by a VolumeAttachment; what is attached is told in the node's
//! status. A node that still mounts a volume keeps it for six minutes at most. Nodes whose kubelet attaches by itself do
//! not carry the annotation and are left alone.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use drydock_client::resources::{
    CSI_DRIVERS, NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, VOLUME_ATTACHMENTS,
};
use drydock_client::scheduling::claims_of;
use drydock_client::{Change, Controller, DeleteOptions, Informer, PatchType, WorkQueue};
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value, value};
use jiff::Timestamp;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::Context;
use crate::node::{BY_NODE, index_by_node};
use crate::util::{between, pod};

const MANAGED: &str = "volumes.kubernetes.io/controller-managed-attach-detach";
/// `--attach-detach-reconcile-max-wait-unmount-duration`: longer than this nobody waits for a node to unmount.
const LONGEST_UNMOUNT: Duration = Duration::from_secs(360);

struct Attacher {
    ctx: Context,
    queue: Arc<WorkQueue>,
    nodes: Arc<Informer>,
    pods: Arc<Informer>,
    claims: Arc<Informer>,
    volumes: Arc<Informer>,
    drivers: Arc<Informer>,
    attachments: Arc<Informer>,
    /// Since when attachments that nobody needs wait for their node to unmount.
    leaving: Mutex<HashMap<Key, Timestamp>>,
}

/// A volume that pods of a node use.
struct Wanted {
    volume: Arc<Object>,
    pods: Vec<Arc<Object>>,
}

/// Keys are names of nodes.
pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let informer = |resource| ctx.informers.informer(resource);
    let this = Arc::new(Attacher {
        nodes: informer(&NODES),
        pods: informer(&PODS),
        claims: informer(&PERSISTENT_VOLUME_CLAIMS),
        volumes: informer(&PERSISTENT_VOLUMES),
        drivers: informer(&CSI_DRIVERS),
        attachments: informer(&VOLUME_ATTACHMENTS),
        queue: queue.clone(),
        leaving: Mutex::default(),
        ctx,
    });
    index_by_node(&this.pods);
    let me = this.clone();
    this.pods.on_change(move |change| me.pod_changed(change));
    let me = this.clone();
    this.claims.on_change(move |change| {
        let claim = change.object();
        me.add_users(claim.namespace(), claim.name());
    });
    let to = queue.clone();
    this.attachments.on_change(move |change| to.add(change.object().str_at(&["spec", "nodeName"])));
    let to = queue.clone();
    this.nodes.on_change(move |change| {
        let told = |node: &Object| {
            let status = |field| node.at(&["status", field]).cloned();
            (status("volumesInUse"), status("volumesAttached"), node.annotation(MANAGED).is_some())
        };
        if change.old().is_none_or(|old| told(old) != told(change.object())) {
            to.add_object(change.object());
        }
    });
    let needs = [&this.nodes, &this.pods, &this.claims, &this.volumes, &this.drivers, &this.attachments];
    let needs = needs.map(Arc::clone);
    let tasks = this.ctx.tasks.clone();
    Controller::new("attach-detach", queue).workers(4).needs(needs).start(&tasks, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await }
    });
}

fn driver(volume: &Value) -> &str {
    volume.str_at(&["spec", "csi", "driver"])
}

fn handle(volume: &Value) -> &str {
    volume.str_at(&["spec", "csi", "volumeHandle"])
}

/// The volume's name in the status of nodes.
fn unique_name(volume: &Value) -> String {
    format!("kubernetes.io/csi/{}^{}", driver(volume), handle(volume))
}

/// The name of the attachment of a volume to a node.
fn attachment_name(handle: &str, driver: &str, node: &str) -> String {
    let mut name = "csi-".to_owned();
    for byte in Sha256::digest(format!("{handle}{driver}{node}")) {
        // Writing to a string cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

fn is_exclusive(volume: &Value) -> bool {
    let modes = volume.array_at(&["spec", "accessModes"]);
    !modes.iter().any(|mode| matches!(mode.as_str(), Some("ReadWriteMany" | "ReadOnlyMany")))
}

impl Attacher {
    fn pod_changed(&self, change: Change<'_>) {
        let pod = change.object();
        let node = pod::node_name(pod);
        if !node.is_empty() && claims_of(pod).next().is_some() {
            self.queue.add(node);
        }
    }

    fn add_users(&self, namespace: &str, claim: &str) {
        for pod in self.pods.list_in(namespace) {
            if !pod::node_name(&pod).is_empty() && claims_of(&pod).any(|(name, _)| name == claim) {
                self.queue.add(pod::node_name(&pod));
            }
        }
    }

    async fn sync(&self, name: &Key) -> Result<(), Status> {
        let node = self.nodes.get_key(name).filter(|node| node.annotation(MANAGED).is_some());
        let wanted = if node.is_some() { self.wanted(name) } else { BTreeMap::new() };
        let mut told: Vec<String> = Vec::new();
        for (attachment, wanted) in &wanted {
            self.leaving.lock().remove(attachment.as_str());
            match self.attachments.get_key(attachment) {
                Some(there) if there.is_deleting() => {}
                Some(there) if there.bool_at(&["status", "attached"]) => {
                    told.push(unique_name(&wanted.volume))
                }
                Some(there) => self.tell_of_failure(&there, wanted),
                None => self.attach(name, attachment, wanted).await?,
            }
        }
        let mut leaving = Vec::new();
        for attachment in self.attachments.list() {
            let ours = attachment.str_at(&["spec", "nodeName"]) == name.as_str() && self.is_ours(&attachment);
            if ours && !wanted.contains_key(attachment.name()) && !attachment.is_deleting() {
                leaving.push(attachment);
            }
        }
        let mut kept = Vec::new();
        for attachment in &leaving {
            if self.may_detach(node.as_deref(), attachment) {
                self.detach(attachment).await?;
            } else {
                kept.extend(self.volume_of(attachment).map(|volume| unique_name(&volume)));
            }
        }
        match node {
            Some(node) => self.tell(&node, &wanted, told, kept).await,
            None => Ok(()),
        }
    }

    /// What the node's pods use, by the names of the attachments.
    fn wanted(&self, node: &str) -> BTreeMap<String, Wanted> {
        let mut wanted: BTreeMap<String, Wanted> = BTreeMap::new();
        for pod in self.pods.by_index(BY_NODE, node).into_iter().filter(|pod| !pod::is_finished(pod)) {
            for (name, _) in claims_of(&pod) {
                let Some(volume) = self.attachable(pod.namespace(), &name) else { continue };
                let attachment = attachment_name(handle(&volume), driver(&volume), node);
                let entry = wanted.entry(attachment).or_insert_with(|| Wanted { volume, pods: Vec::new() });
                entry.pods.push(pod.clone());
            }
        }
        wanted
    }

    /// The volume that a claim is bound to, when its driver attaches.
    fn attachable(&self, namespace: &str, claim: &str) -> Option<Arc<Object>> {
        let claim = self.claims.get(namespace, claim)?;
        let bound = claim.str_at(&["status", "phase"]) == "Bound";
        let volume = self.volumes.get_key(claim.str_at(&["spec", "volumeName"])).filter(|_| bound)?;
        if driver(&volume).is_empty() || volume.str_at(&["spec", "claimRef", "uid"]) != claim.uid() {
            return None;
        }
        let told = self.drivers.get_key(driver(&volume));
        let required = told.and_then(|told| told.at(&["spec", "attachRequired"]).and_then(Value::as_bool));
        required.unwrap_or(true).then_some(volume)
    }

    fn volume_of(&self, attachment: &Value) -> Option<Arc<Object>> {
        self.volumes.get_key(attachment.str_at(&["spec", "source", "persistentVolumeName"]))
    }

    /// Others make attachments, too, and name them differently.
    fn is_ours(&self, attachment: &Object) -> bool {
        let node = attachment.str_at(&["spec", "nodeName"]);
        self.volume_of(attachment).is_some_and(|volume| {
            attachment_name(handle(&volume), driver(&volume), node) == attachment.name()
        })
    }

    async fn attach(&self, node: &str, name: &str, wanted: &Wanted) -> Result<(), Status> {
        let volume = &wanted.volume;
        let elsewhere = |other: &&Arc<Object>| {
            other.str_at(&["spec", "source", "persistentVolumeName"]) == volume.name()
                && other.str_at(&["spec", "nodeName"]) != node
        };
        let others: Vec<Arc<Object>> =
            self.attachments.list().into_iter().filter(|a| elsewhere(&a)).collect();
        if is_exclusive(volume) && !others.is_empty() {
            let users: Vec<Arc<Object>> = others
                .iter()
                .flat_map(|other| self.wanted(other.str_at(&["spec", "nodeName"])).into_values())
                .filter(|other| other.volume.name() == volume.name())
                .flat_map(|other| other.pods)
                .collect();
            for pod in &wanted.pods {
                let why = taken_by(&users, pod.namespace());
                let message = format!("Multi-Attach error for volume {:?} {why}", volume.name());
                self.ctx.events.warning(pod, "FailedAttachVolume", message);
            }
            self.queue.add_after(node, Duration::from_secs(2));
            return Ok(());
        }
        let attachment = value!({
            "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": {"name": name},
            "spec": {
                "attacher": driver(volume), "nodeName": node,
                "source": {"persistentVolumeName": volume.name()},
            },
        });
        match self.ctx.client.create(&VOLUME_ATTACHMENTS, attachment).await {
            Err(status) if !status.is_already_exists() => Err(status),
            _ => Ok(()),
        }
    }

    fn tell_of_failure(&self, attachment: &Value, wanted: &Wanted) {
        let why = attachment.str_at(&["status", "attachError", "message"]);
        if why.is_empty() {
            return;
        }
        let message = format!("AttachVolume.Attach failed for volume {:?} : {why}", wanted.volume.name());
        for pod in &wanted.pods {
            self.ctx.events.warning(pod, "FailedAttachVolume", message.clone());
        }
    }

    /// Not while the node says that the volume is in use, unless it has said so for too long.
    fn may_detach(&self, node: Option<&Object>, attachment: &Object) -> bool {
        let (Some(node), Some(volume)) = (node, self.volume_of(attachment)) else { return true };
        let name = unique_name(&volume);
        let mut in_use = node.array_at(&["status", "volumesInUse"]).iter();
        if !in_use.any(|used| used.as_str() == Some(&name)) {
            return true;
        }
        let now = self.ctx.clock.now();
        let since = *self.leaving.lock().entry(attachment.name().into()).or_insert(now);
        let waited = between(since, now);
        if waited < LONGEST_UNMOUNT {
            self.queue.add_after(node.name(), LONGEST_UNMOUNT - waited);
        }
        waited >= LONGEST_UNMOUNT
    }

    async fn detach(&self, attachment: &Object) -> Result<(), Status> {
        self.leaving.lock().remove(attachment.name());
        let options = DeleteOptions::of_uid(attachment.uid());
        match self.ctx.client.delete(&VOLUME_ATTACHMENTS, "", attachment.name(), options).await {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(()),
        }
    }

    /// Writes what is attached into the node's status, and tells the pods that waited for it.
    async fn tell(
        &self,
        node: &Object,
        wanted: &BTreeMap<String, Wanted>,
        attached: Vec<String>,
        kept: Vec<String>,
    ) -> Result<(), Status> {
        let before: Vec<&str> = node
            .array_at(&["status", "volumesAttached"])
            .iter()
            .map(|volume| volume.str_at(&["name"]))
            .collect();
        let mut all: Vec<String> = attached.into_iter().chain(kept).collect();
        all.sort();
        all.dedup();
        let same = before.len() == all.len() && all.iter().all(|name| before.contains(&name.as_str()));
        if same {
            return Ok(());
        }
        let list: Vec<Value> =
            all.iter().map(|name| value!({"name": name.as_str(), "devicePath": ""})).collect();
        let mut patch = value!({"metadata": {"uid": node.uid()}});
        patch.set(
            &["status", "volumesAttached"],
            if list.is_empty() { Value::Null } else { Value::from(list) },
        );
        self.ctx.client.patch_status(&NODES, "", node.name(), PatchType::Merge, patch).await?;
        for wanted in wanted.values() {
            let name = unique_name(&wanted.volume);
            if all.contains(&name) && !before.contains(&name.as_str()) {
                let message = format!("AttachVolume.Attach succeeded for volume {:?} ", wanted.volume.name());
                for pod in &wanted.pods {
                    self.ctx.events.normal(pod, "SuccessfulAttachVolume", message.clone());
                }
            }
        }
        Ok(())
    }
}

/// Who has an exclusive volume, as a namespace may be told: of others' pods no more than their number.
fn taken_by(users: &[Arc<Object>], namespace: &str) -> String {
    let (own, foreign): (Vec<_>, Vec<_>) = users.iter().partition(|pod| pod.namespace() == namespace);
    let own: Vec<&str> = own.into_iter().map(|pod| pod.name()).collect();
    match (own.as_slice(), foreign.len()) {
        ([], 0) => {
            "Volume is already exclusively attached to one node and can't be attached to another".to_owned()
        }
        ([], count) => format!("Volume is already used by {count} pod(s) in different namespaces"),
        (own, 0) => format!("Volume is already used by pod(s) {}", own.join(", ")),
        (own, count) => {
            let own = own.join(", ");
            format!("Volume is already used by pod(s) {own} and {count} pod(s) in different namespaces")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attachments_are_named_after_volume_driver_and_node() {
        let name = attachment_name("vol", "d.example.com", "n");
        assert_eq!(name.len(), "csi-".len() + 64);
        assert_ne!(name, attachment_name("vol", "d.example.com", "m"));
    }

    #[test]
    fn who_has_a_volume_is_told_by_name_in_the_same_namespace_only() {
        let pod = |namespace: &str, name: &str| {
            Arc::new(Object::new(value!({"metadata": {"namespace": namespace, "name": name}}), 1))
        };
        let users = [pod("a", "x"), pod("b", "y"), pod("a", "z")];
        let told = |namespace| taken_by(&users, namespace);
        assert_eq!(told("a"), "Volume is already used by pod(s) x, z and 1 pod(s) in different namespaces");
        assert_eq!(told("c"), "Volume is already used by 3 pod(s) in different namespaces");
        assert_eq!(taken_by(&users[..1], "a"), "Volume is already used by pod(s) x");
        assert!(taken_by(&[], "a").starts_with("Volume is already exclusively attached"));
    }

    #[test]
    fn volumes_for_many_nodes_are_not_exclusive() {
        let volume = |mode: &str| value!({"spec": {"accessModes": [mode]}});
        assert!(is_exclusive(&volume("ReadWriteOnce")));
        assert!(is_exclusive(&volume("ReadWriteOncePod")));
        assert!(!is_exclusive(&volume("ReadWriteMany")));
    }
}
