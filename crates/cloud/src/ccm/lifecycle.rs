//! The cloud node lifecycle controller: what becomes of Nodes whose machine is gone or stopped.

use std::sync::Arc;
use std::time::Duration;

use drydock_client::{DeleteOptions, PatchType, resources};
use drydock_cloud_api::{InstanceState, Instances};
use drydock_machinery::{Object, ObjectMeta, Status, Value, value};
use drydock_runtime::{OnError, Stopwatch, Tasks};

use super::Context;
use super::lookup::Lookup;
use crate::pace::rest;
use crate::{SHUTDOWN_TAINT, UNINITIALIZED_TAINT};

/// `--node-monitor-period`.
const EVERY: Duration = Duration::from_secs(5);

pub(super) fn start(context: Context, instances: Arc<dyn Instances>, tasks: &Tasks) {
    let lookup =
        Lookup::new(context.cluster.clone(), context.provider.clone(), instances, context.clock.clone());
    let monitor = Arc::new(Monitor { context, lookup });
    tasks.supervise("cloud-node-lifecycle", OnError::Restart, move || {
        let monitor = monitor.clone();
        async move {
            monitor.context.nodes.synced().await;
            loop {
                monitor.context.some_nodes().await;
                let looking = Stopwatch::start();
                monitor.look().await;
                rest(&monitor.context.clock, EVERY, looking.elapsed()).await;
            }
        }
    });
}

struct Monitor {
    context: Context,
    lookup: Lookup,
}

impl Monitor {
    async fn look(&self) {
        self.lookup.invalidate();
        for node in self.context.nodes.list() {
            if let Err(status) = self.look_at(&node).await {
                tracing::debug!(node = node.name(), %status, "node monitor");
            }
        }
    }

    async fn look_at(&self, node: &Object) -> Result<(), Status> {
        if is_ready(node) {
            return self.remove_shutdown_taint(node).await;
        }
        // A node that never was a machine of this cloud is somebody else's: registered by hand, or by another agent. One
        // that waits to be initialised says that it is one.
        if node.str_at(&["spec", "providerID"]).is_empty() && !has_taint(node, UNINITIALIZED_TAINT) {
            return Ok(());
        }
        // A cloud that does not answer must not cost nodes: the error ends it here.
        let found = self.lookup.find(node).await.map_err(Status::internal)?;
        match found.filter(|instance| instance.state != InstanceState::Terminated) {
            None => self.delete(node).await,
            Some(instance) if instance.state == InstanceState::Stopped => self.add_shutdown_taint(node).await,
            Some(_) => Ok(()),
        }
    }

    async fn delete(&self, node: &Object) -> Result<(), Status> {
        let name = node.name();
        tracing::info!(node = name, "deleting node since its machine is gone");
        let message = format!("Deleting node {name} because it does not exist in the cloud provider");
        self.context.events.normal(node, "DeletingNode", message);
        let options = DeleteOptions::of_uid(node.uid());
        match self.context.client.delete(&resources::NODES, "", name, options).await {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(()),
        }
    }

    async fn add_shutdown_taint(&self, node: &Object) -> Result<(), Status> {
        if has_taint(node, SHUTDOWN_TAINT) {
            return Ok(());
        }
        let taints = node.array_at(&["spec", "taints"]);
        let mut next = taints.to_vec();
        next.push(value!({"key": SHUTDOWN_TAINT, "effect": "NoSchedule"}));
        self.write_taints(node, next).await
    }

    async fn remove_shutdown_taint(&self, node: &Object) -> Result<(), Status> {
        if !has_taint(node, SHUTDOWN_TAINT) {
            return Ok(());
        }
        let taints = node.array_at(&["spec", "taints"]).iter();
        self.write_taints(
            node,
            taints.filter(|taint| taint.str_at(&["key"]) != SHUTDOWN_TAINT).cloned().collect(),
        )
        .await
    }

    async fn write_taints(&self, node: &Object, taints: Vec<Value>) -> Result<(), Status> {
        let version = node.resource_version();
        let patch = value!({"metadata": {"resourceVersion": version}, "spec": {"taints": taints}});
        let client = &self.context.client;
        client.patch(&resources::NODES, "", node.name(), PatchType::Merge, patch).await.map(drop)
    }
}

fn has_taint(node: &Object, key: &str) -> bool {
    node.array_at(&["spec", "taints"]).iter().any(|taint| taint.str_at(&["key"]) == key)
}

/// Its Ready condition is True. Unlike for node pools, the uninitialized taint does not matter.
fn is_ready(node: &Object) -> bool {
    let mut conditions = node.array_at(&["status", "conditions"]).iter();
    let ready = conditions.find(|condition| condition.str_at(&["type"]) == "Ready");
    ready.is_some_and(|condition| condition.str_at(&["status"]) == "True")
}
