//! Pods of nodes that no longer exist are forced out, after a while in which the node may come back.

use std::sync::Arc;
use std::time::Duration;

use drydock_client::resources::{NODES, PODS};
use drydock_client::{Change, Controller, DeleteOptions, Informer, PatchType, WorkQueue};
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value, value};

use super::{BY_NODE, index_by_node};
use crate::Context;
use crate::util::pod;

/// Upstream's quarantine of nodes that have just gone.
const QUARANTINE: Duration = Duration::from_secs(40);

struct PodGc {
    ctx: Context,
    pods: Arc<Informer>,
    nodes: Arc<Informer>,
}

pub(crate) fn start(ctx: Context) {
    // Keys are names of nodes.
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let (nodes, pods) = (ctx.informers.informer(&NODES), ctx.informers.informer(&PODS));
    index_by_node(&pods);
    let this = Arc::new(PodGc { pods: pods.clone(), nodes: nodes.clone(), ctx });
    let to = queue.clone();
    nodes.on_change(move |change| {
        if let Change::Deleted(node) = change {
            to.add_after(node.name(), QUARANTINE);
        }
    });
    let (to, me) = (queue.clone(), this.clone());
    pods.on_change(move |change| {
        let pod = change.object();
        let node = pod::node_name(pod);
        let bound = !node.is_empty() && change.old().is_none_or(|old| pod::node_name(old).is_empty());
        if bound && !matches!(change, Change::Deleted(_)) && me.nodes.get_key(node).is_none() {
            to.add_after(node, QUARANTINE);
        }
    });
    let tasks = this.ctx.tasks.clone();
    Controller::new("pod-gc", queue).needs([nodes, pods]).start(&tasks, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await }
    });
}

impl PodGc {
    async fn sync(&self, node: &Key) -> Result<(), Status> {
        if self.ctx.client.find(&NODES, "", node).await?.is_some() {
            return Ok(());
        }
        for pod in self.pods.by_index(BY_NODE, node) {
            self.collect(&pod).await?;
        }
        Ok(())
    }

    async fn collect(&self, pod: &Object) -> Result<(), Status> {
        let (namespace, name) = (pod.namespace(), pod.name());
        if !pod::is_finished(pod) {
            let patch = value!({"metadata": {"uid": pod.uid()}, "status": {"phase": "Failed", "conditions": [{
                "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC",
                "message": "PodGC: node no longer exists", "observedGeneration": pod.generation(),
                "lastProbeTime": Value::Null, "lastTransitionTime": self.ctx.clock.now_rfc3339(),
            }]}});
            match self.ctx.client.patch_status(&PODS, namespace, name, PatchType::Strategic, patch).await {
                Err(status) if status.is_not_found() => return Ok(()),
                Err(status) => return Err(status),
                Ok(_) => {}
            }
        }
        match self.ctx.client.delete(&PODS, namespace, name, DeleteOptions::of_uid(pod.uid()).grace(0)).await
        {
            Err(status) if !status.is_not_found() && !status.is_conflict() => Err(status),
            _ => Ok(()),
        }
    }
}
