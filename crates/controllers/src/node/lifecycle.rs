//! The node lifecycle controller: nodes whose kubelet falls silent become Unknown, and conditions become taints.
//!
//! A heartbeat is a renewed lease or a new status, as seen here. Each only moves a time in a map; a node is looked at
//! when its grace period would end, so ten thousand healthy nodes cost two hundred looks a second at most.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use drydock_client::events::reference;
use drydock_client::resources::{LEASES, NODES, PODS};
use drydock_client::{Change, Controller, EventType, Informer, PatchType, WorkQueue};
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value, value};
use jiff::Timestamp;
use parking_lot::Mutex;

use super::labels;
use super::taints::{self, Effect};
use super::zones::{Pace, Zones, zone_of};
use super::{BY_NODE, index_by_node};
use crate::Context;
use crate::util::{between, conditions, pod, split_key};

/// `--node-monitor-grace-period`.
const GRACE: Duration = Duration::from_secs(50);
/// `--node-startup-grace-period`, for nodes that have never said anything.
const STARTUP_GRACE: Duration = Duration::from_secs(60);
/// `--node-monitor-period`: so much later than NoSchedule comes NoExecute.
const MONITOR_PERIOD: Duration = Duration::from_secs(5);
/// Begins the keys of pods.
const POD: &str = "pod:";
const LEASE_NAMESPACE: &str = "kube-node-lease";

struct Lifecycle {
    ctx: Context,
    queue: Arc<WorkQueue>,
    nodes: Arc<Informer>,
    pods: Arc<Informer>,
    /// When each node was last heard of.
    heard: Mutex<HashMap<Key, Timestamp>>,
    /// Since when each node that is not ready has been seen so.
    unready: Mutex<HashMap<Key, Timestamp>>,
    pace: Mutex<Pace>,
    /// No node was ready when last looked.
    all_down: AtomicBool,
}

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let (nodes, pods) = (ctx.informers.informer(&NODES), ctx.informers.informer(&PODS));
    let leases = ctx.informers.informer(&LEASES);
    index_by_node(&pods);
    let this = Arc::new(Lifecycle {
        queue: queue.clone(),
        nodes: nodes.clone(),
        pods: pods.clone(),
        heard: Mutex::default(),
        unready: Mutex::default(),
        pace: Mutex::default(),
        all_down: AtomicBool::new(false),
        ctx,
    });
    let me = this.clone();
    nodes.on_change(move |change| me.node_changed(change));
    let me = this.clone();
    pods.on_change(move |change| me.pod_changed(change));
    let me = this.clone();
    leases.on_change(move |change| {
        let lease = change.object();
        if lease.namespace() == LEASE_NAMESPACE && !matches!(change, Change::Deleted(_)) {
            me.heard_of(lease.name());
        }
    });
    let tasks = this.ctx.tasks.clone();
    Controller::new("node-lifecycle", queue).workers(8).needs([nodes, pods, leases]).start(
        &tasks,
        move |key| {
            let this = this.clone();
            async move { this.sync(&key).await }
        },
    );
}

impl Lifecycle {
    fn node_changed(&self, change: Change<'_>) {
        let node = change.object();
        match change {
            Change::Added(_) => {
                self.heard_of(node.name());
                let message = format!("Node {0} event: Registered Node {0} in Controller", node.name());
                self.ctx.events.normal(node, "RegisteredNode", message);
                self.queue.add_object(node);
            }
            Change::Updated { old, .. } => {
                let spoke = heartbeat(old) != heartbeat(node);
                if spoke {
                    self.heard_of(node.name());
                }
                let looks_new = statuses(old) != statuses(node)
                    || old.at(&["spec", "taints"]) != node.at(&["spec", "taints"])
                    || old.at(&["spec", "unschedulable"]) != node.at(&["spec", "unschedulable"])
                    || old.labels() != node.labels();
                if looks_new {
                    self.queue.add_object(node);
                }
            }
            Change::Deleted(_) => {
                self.heard.lock().remove(node.name());
                self.unready.lock().remove(node.name());
                let message = format!("Node {0} event: Removing Node {0} from Controller", node.name());
                self.ctx.events.normal(node, "RemovingNode", message);
            }
        }
    }

    /// Kubelets tell of their own pods; what comes to a node that is not ready nobody else does.
    fn pod_changed(&self, change: Change<'_>) {
        let pod = change.object();
        let came = change.old().is_none_or(|old| pod::node_name(old) != pod::node_name(pod));
        if came && pod::is_ready(pod) && !matches!(change, Change::Deleted(_)) {
            self.queue.add(format!("{POD}{}", pod.key()));
        }
    }

    async fn sync_pod(&self, key: &str) -> Result<(), Status> {
        let (namespace, name) = split_key(key);
        let Some(pod) = self.pods.get(namespace, name) else { return Ok(()) };
        let Some(node) = self.nodes.get_key(pod::node_name(&pod)) else { return Ok(()) };
        match conditions::condition_status(&node, "Ready") {
            "" | "True" => Ok(()),
            _ => self.mark_not_ready(&pod, &self.ctx.clock.now_rfc3339()).await,
        }
    }

    fn heard_of(&self, node: &str) {
        let now = self.ctx.clock.now();
        let first = self.heard.lock().insert(node.into(), now).is_none();
        if first {
            self.queue.add_after(node, GRACE);
        }
    }

    async fn sync(&self, name: &Key) -> Result<(), Status> {
        if let Some(pod) = name.strip_prefix(POD) {
            return self.sync_pod(pod).await;
        }
        let Some(node) = self.nodes.get_key(name) else { return Ok(()) };
        let now = self.ctx.clock.now();
        let time = self.ctx.clock.now_rfc3339();
        let heard = self.heard.lock().get(name).copied().unwrap_or(now);
        let never = conditions::condition(&node, "Ready").is_none();
        let silent = between(heard, now);
        let grace = if never { STARTUP_GRACE } else { GRACE };
        if silent >= grace {
            if conditions::condition_status(&node, "Ready") != "Unknown" {
                return self.mark_unknown(&node, &time).await;
            }
        } else {
            self.queue.add_after(name.clone(), grace - silent);
        }
        if taints::reconcile(&self.ctx.client, &node, Effect::NoSchedule, &time).await? {
            // Its change brings the node back.
            return Ok(());
        }
        labels::reconcile(&self.ctx.client, &node).await?;
        self.evict_or_not(&node, now, &time).await
    }

    /// NoExecute follows when the node has been unready for a while, as fast as its zone allows, and goes when it is
    /// ready or when none is.
    async fn evict_or_not(&self, node: &Object, now: Timestamp, time: &str) -> Result<(), Status> {
        let client = &self.ctx.client;
        let zones = Zones::of(&self.nodes.list());
        if self.all_down.swap(zones.all_down(), Ordering::Relaxed) != zones.all_down() {
            // What holds for one node holds for all now.
            self.nodes.list().iter().for_each(|node| self.queue.add_object(node));
        }
        if conditions::is_true(node, "Ready") {
            self.unready.lock().remove(node.name());
            return taints::reconcile(client, node, Effect::NoExecute, time).await.map(drop);
        }
        if zones.all_down() {
            self.unready.lock().remove(node.name());
            return taints::clear_no_execute(client, node).await;
        }
        let since = *self.unready.lock().entry(node.name().into()).or_insert(now);
        let unready = between(since, now);
        if unready < MONITOR_PERIOD {
            self.queue.add_after(node.name(), MONITOR_PERIOD - unready);
            return Ok(());
        }
        // One taint becomes the other at once.
        if !taints::is_evicting(node)
            && let Err(wait) = self.pace.lock().take(&zones, &zone_of(node), now)
        {
            self.queue.add_after(node.name(), wait);
            return Ok(());
        }
        taints::reconcile(client, node, Effect::NoExecute, time).await.map(drop)
    }

    async fn mark_unknown(&self, node: &Object, now: &str) -> Result<(), Status> {
        let mut unknown = Vec::new();
        for kind in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
            let old = conditions::condition(node, kind);
            let (reason, message) = match old {
                Some(_) => ("NodeStatusUnknown", "Kubelet stopped posting node status."),
                None => ("NodeStatusNeverUpdated", "Kubelet never posted node status."),
            };
            let heartbeat = old.map_or(node.creation_timestamp(), |old| old.str_at(&["lastHeartbeatTime"]));
            let heartbeat = if heartbeat.is_empty() { Value::Null } else { Value::from(heartbeat) };
            let mut condition = value!({
                "type": kind, "status": "Unknown", "reason": reason, "message": message, "lastTransitionTime": now,
            });
            condition.set(&["lastHeartbeatTime"], heartbeat);
            unknown.push(condition);
        }
        let mut patch = value!({"metadata": {"uid": node.uid()}});
        patch.set(&["status", "conditions"], unknown);
        self.ctx.client.patch_status(&NODES, "", node.name(), PatchType::Strategic, patch).await?;
        if !conditions::is_true(node, "Ready") {
            return Ok(());
        }
        let message = format!("Node {} status is now: NodeNotReady", node.name());
        self.ctx.events.normal(node, "NodeNotReady", message);
        self.mark_pods_not_ready(node, now).await
    }

    /// So that services stop sending to them.
    async fn mark_pods_not_ready(&self, node: &Object, now: &str) -> Result<(), Status> {
        for pod in self.pods.by_index(BY_NODE, node.name()) {
            if pod::is_ready(&pod) {
                self.mark_not_ready(&pod, now).await?;
            }
        }
        Ok(())
    }

    async fn mark_not_ready(&self, pod: &Object, now: &str) -> Result<(), Status> {
        let patch = value!({"metadata": {"uid": pod.uid()}, "status": {"conditions": [{
            "type": "Ready", "status": "False", "lastTransitionTime": now,
        }]}});
        let (namespace, name) = (pod.namespace(), pod.name());
        match self.ctx.client.patch_status(&PODS, namespace, name, PatchType::Strategic, patch).await {
            Err(status) if !status.is_not_found() => return Err(status),
            _ => {}
        }
        let text = "Node is not ready".to_owned();
        self.ctx.events.record(&reference(pod), EventType::Warning, "NodeNotReady", "", text);
        Ok(())
    }
}

/// What moves when a kubelet posts its status.
fn heartbeat(node: &Object) -> Option<&Value> {
    conditions::condition(node, "Ready").filter(|ready| ready.str_at(&["status"]) != "Unknown")
}

/// The statuses of all conditions.
fn statuses(node: &Object) -> Vec<(&str, &str)> {
    let all = node.array_at(&["status", "conditions"]).iter();
    all.map(|condition| (condition.str_at(&["type"]), condition.str_at(&["status"]))).collect()
}
