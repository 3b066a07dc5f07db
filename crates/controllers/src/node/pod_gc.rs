//! Pods that nobody else ends are forced out: of nodes that no longer exist, after a while in which the node may come back;
//! those that were deleted before they had a node; those that cannot end as their node is out of service; and of
//! finished ones what is too much.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use drydock_client::resources::{NODES, PODS};
use drydock_client::{Controller, DeleteOptions, Informer, PatchType, WorkQueue, status_with_conditions};
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value, value};
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::Context;
use crate::util::{between, conditions, pod};

/// How often all pods are looked at.
const PERIOD: Duration = Duration::from_secs(20);
/// Upstream's quarantine of nodes that have just gone.
const QUARANTINE: Duration = Duration::from_secs(40);
/// `--terminated-pod-gc-threshold`.
const MOST_FINISHED: usize = 12_500;
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";
/// The queue's only key.
const ALL: &str = "all";

struct PodGc {
    ctx: Context,
    pods: Arc<Informer>,
    nodes: Arc<Informer>,
    /// Since when nodes that pods are bound to have been missing.
    missing: Mutex<HashMap<Key, Timestamp>>,
}

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let (nodes, pods) = (ctx.informers.informer(&NODES), ctx.informers.informer(&PODS));
    let this = Arc::new(PodGc { pods: pods.clone(), nodes: nodes.clone(), missing: Mutex::default(), ctx });
    queue.add(ALL);
    let tasks = this.ctx.tasks.clone();
    let again = queue.clone();
    Controller::new("pod-gc", queue).needs([nodes, pods]).start(&tasks, move |key| {
        let (this, again) = (this.clone(), again.clone());
        async move {
            this.look_at_all().await;
            again.add_after(key, PERIOD);
            Ok(())
        }
    });
}

/// Why a pod is forced out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    NodeGone,
    NeverPlaced,
    OutOfService,
    TooMany,
}

impl PodGc {
    async fn look_at_all(&self) {
        let pods = self.pods.list();
        let gone = self.gone_nodes(&pods).await;
        let mut finished: Vec<&Arc<Object>> = Vec::new();
        for one in &pods {
            let reason = match pod::node_name(one) {
                "" if one.is_deleting() => Some(Reason::NeverPlaced),
                node if gone.iter().any(|gone| gone == node) => Some(Reason::NodeGone),
                node if one.is_deleting() && self.is_out_of_service(node) => Some(Reason::OutOfService),
                _ => None,
            };
            match reason {
                Some(reason) => self.collect(one, reason).await,
                None if pod::is_finished(one) => finished.push(one),
                None => {}
            }
        }
        let surplus = finished.len().saturating_sub(MOST_FINISHED);
        if surplus > 0 {
            let is_evicted = |pod: &Object| pod.str_at(&["status", "reason"]) == "Evicted";
            finished.sort_by_key(|pod| {
                (!is_evicted(pod), pod.creation_timestamp().to_owned(), pod.name().to_owned())
            });
            for one in finished.into_iter().take(surplus) {
                self.collect(one, Reason::TooMany).await;
            }
        }
    }

    /// Nodes that pods are bound to and that have been missing for long enough.
    async fn gone_nodes(&self, pods: &[Arc<Object>]) -> Vec<Key> {
        let now = self.ctx.clock.now();
        let due: Vec<Key> = {
            let mut missing = self.missing.lock();
            let names = pods.iter().map(|pod| pod::node_name(pod)).filter(|name| !name.is_empty());
            let absent: Vec<&str> = names.filter(|name| self.nodes.get_key(name).is_none()).collect();
            missing.retain(|name, _| absent.contains(&name.as_str()));
            for name in absent {
                missing.entry(name.into()).or_insert(now);
            }
            let long = missing.iter().filter(|(_, since)| between(**since, now) >= QUARANTINE);
            long.map(|(name, _)| name.clone()).collect()
        };
        let mut gone = Vec::new();
        for name in due {
            if matches!(self.ctx.client.find(&NODES, "", &name).await, Ok(None)) {
                gone.push(name);
            }
        }
        gone
    }

    fn is_out_of_service(&self, node: &str) -> bool {
        self.nodes.get_key(node).is_some_and(|node| {
            let mut taints = node.array_at(&["spec", "taints"]).iter();
            !conditions::is_true(&node, "Ready")
                && taints.any(|taint| taint.str_at(&["key"]) == OUT_OF_SERVICE)
        })
    }

    /// What fails is tried again with the next look.
    async fn collect(&self, pod: &Object, reason: Reason) {
        if let Err(status) = self.force_out(pod, reason).await {
            tracing::debug!(pod = pod.key(), ?reason, %status, "pod was not collected");
        }
    }

    async fn force_out(&self, pod: &Object, reason: Reason) -> Result<(), Status> {
        let (namespace, name) = (pod.namespace(), pod.name());
        if !pod::is_finished(pod) {
            let mut patch = value!({"metadata": {"uid": pod.uid()}, "status": {"phase": "Failed"}});
            if reason == Reason::NodeGone {
                let condition = value!({
                    "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC",
                    "message": "PodGC: node no longer exists", "observedGeneration": pod.generation(),
                    "lastProbeTime": Value::Null, "lastTransitionTime": self.ctx.clock.now_rfc3339(),
                });
                patch.set(&["status"], status_with_conditions(pod, vec![condition]));
                patch.set(&["status", "phase"], "Failed");
            }
            self.ctx.client.patch_status(&PODS, namespace, name, PatchType::Strategic, patch).await?;
        }
        let options = DeleteOptions::of_uid(pod.uid()).grace(0);
        match self.ctx.client.delete(&PODS, namespace, name, options).await {
            Err(status) if !status.is_not_found() && !status.is_conflict() => Err(status),
            _ => Ok(()),
        }
    }
}
