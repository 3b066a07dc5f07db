//! The taint eviction controller: pods that do not tolerate a NoExecute taint of their node are deleted, those that
//! tolerate it for a time when that is over.

use std::sync::Arc;

use drydock_client::resources::{NODES, PODS};
use drydock_client::{Change, Controller, DeleteOptions, Informer, PatchType, WorkQueue};
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value, value};
use jiff::Timestamp;

use super::{BY_NODE, index_by_node, taints};
use crate::Context;
use crate::util::{between, pod, split_key, time_at};

struct Eviction {
    ctx: Context,
    queue: Arc<WorkQueue>,
    nodes: Arc<Informer>,
    pods: Arc<Informer>,
}

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let (nodes, pods) = (ctx.informers.informer(&NODES), ctx.informers.informer(&PODS));
    index_by_node(&pods);
    let this = Arc::new(Eviction { queue: queue.clone(), nodes: nodes.clone(), pods: pods.clone(), ctx });
    let me = this.clone();
    nodes.on_change(move |change| {
        let taints = |node: &Object| node.at(&["spec", "taints"]).cloned();
        let changed = change.old().is_none_or(|old| taints(old) != taints(change.object()));
        if changed && !matches!(change, Change::Deleted(_)) {
            me.queue_pods_of(change.object());
        }
    });
    let me = this.clone();
    pods.on_change(move |change| {
        let pod = change.object();
        let node = me.nodes.get_key(pod::node_name(pod));
        if node.is_some_and(|node| taints::no_execute(&node).next().is_some()) {
            me.queue.add_object(pod);
        }
    });
    let tasks = this.ctx.tasks.clone();
    Controller::new("taint-eviction", queue).workers(8).needs([nodes, pods]).start(&tasks, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await }
    });
}

/// What a pod has coming.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Stays,
    Goes(Timestamp),
}

impl Eviction {
    fn queue_pods_of(&self, node: &Object) {
        if taints::no_execute(node).next().is_none() {
            return;
        }
        for pod in self.pods.by_index(BY_NODE, node.name()) {
            self.queue.add_object(&pod);
        }
    }

    async fn sync(&self, key: &Key) -> Result<(), Status> {
        let (namespace, name) = split_key(key);
        let Some(pod) = self.pods.get(namespace, name) else { return Ok(()) };
        if pod.is_deleting() || pod::is_finished(&pod) {
            return Ok(());
        }
        let Some(node) = self.nodes.get_key(pod::node_name(&pod)) else { return Ok(()) };
        let now = self.ctx.clock.now();
        match verdict(&pod, &node, now) {
            Verdict::Stays => Ok(()),
            Verdict::Goes(at) if at > now => {
                self.queue.add_after(key.clone(), between(now, at));
                Ok(())
            }
            Verdict::Goes(_) => self.evict(&pod).await,
        }
    }

    async fn evict(&self, pod: &Object) -> Result<(), Status> {
        let (namespace, name) = (pod.namespace(), pod.name());
        let message = format!("Marking for deletion Pod {namespace}/{name}");
        self.ctx.events.normal(pod, "TaintManagerEviction", message);
        let patch = value!({"metadata": {"uid": pod.uid()}, "status": {"conditions": [{
            "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint", "observedGeneration": pod.generation(),
            "lastProbeTime": Value::Null, "lastTransitionTime": self.ctx.clock.now_rfc3339(),
        }]}});
        match self.ctx.client.patch_status(&PODS, namespace, name, PatchType::Strategic, patch).await {
            Err(status) if status.is_not_found() => return Ok(()),
            Err(status) => return Err(status),
            Ok(_) => {}
        }
        match self.ctx.client.delete(&PODS, namespace, name, DeleteOptions::of_uid(pod.uid())).await {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(()),
        }
    }
}

fn verdict(pod: &Object, node: &Object, now: Timestamp) -> Verdict {
    let tolerations = pod.array_at(&["spec", "tolerations"]);
    let mut earliest: Option<Timestamp> = None;
    for taint in taints::no_execute(node) {
        let mut matching = tolerations
            .iter()
            .filter(|toleration| drydock_client::scheduling::tolerates(toleration, taint))
            .peekable();
        if matching.peek().is_none() {
            return Verdict::Goes(now);
        }
        let Some(seconds) = matching.filter_map(|t| t.i64_at(&["tolerationSeconds"])).min() else { continue };
        let since = time_at(taint, &["timeAdded"]).unwrap_or(now);
        let at =
            since.saturating_add(jiff::SignedDuration::from_secs(seconds.max(0))).unwrap_or(Timestamp::MAX);
        earliest = Some(earliest.map_or(at, |earliest| earliest.min(at)));
    }
    earliest.map_or(Verdict::Stays, Verdict::Goes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tolerations: Value, expected: Option<i64>) {
        let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
        let node = Object::new(
            value!({"spec": {"taints": [{"key": "k", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"}]}}),
            1,
        );
        let mut pod = value!({"spec": {}});
        pod.set(&["spec", "tolerations"], tolerations);
        let verdict = verdict(&Object::new(pod, 1), &node, now);
        let expected = expected
            .map_or(Verdict::Stays, |seconds| Verdict::Goes(now + jiff::SignedDuration::from_secs(seconds)));
        assert_eq!(verdict, expected);
    }

    #[test]
    fn tolerations_decide_when_a_pod_goes() {
        check(value!([]), Some(0));
        check(value!([{"operator": "Exists"}]), None);
        check(
            value!([{"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]),
            Some(240),
        );
    }
}
