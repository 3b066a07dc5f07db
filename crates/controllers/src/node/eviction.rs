//! The taint eviction controller: pods that do not tolerate a NoExecute taint of their node are deleted, those that
//! tolerate it for a time when that is over.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use drydock_client::resources::{NODES, PODS};
use drydock_client::{Change, Controller, Informer, WorkQueue};
use drydock_machinery::{Key, Object, ObjectMeta, Status, value};
use jiff::Timestamp;
use parking_lot::Mutex;

use super::{BY_NODE, index_by_node, taints};
use crate::Context;
use crate::util::{between, pod, pod_control, split_key};

struct Eviction {
    ctx: Context,
    queue: Arc<WorkQueue>,
    nodes: Arc<Informer>,
    pods: Arc<Informer>,
    /// Since when each pod that has to go is tolerated for a time, as seen here.
    waiting: Mutex<HashMap<Key, Timestamp>>,
}

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let (nodes, pods) = (ctx.informers.informer(&NODES), ctx.informers.informer(&PODS));
    index_by_node(&pods);
    let this = Arc::new(Eviction {
        queue: queue.clone(),
        nodes: nodes.clone(),
        pods: pods.clone(),
        waiting: Mutex::default(),
        ctx,
    });
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
        if matches!(change, Change::Deleted(_)) {
            me.waiting.lock().remove(pod.key().as_str());
            return;
        }
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
    /// After so long.
    Goes(Duration),
}

impl Eviction {
    fn queue_pods_of(&self, node: &Object) {
        for pod in self.pods.by_index(BY_NODE, node.name()) {
            if taints::no_execute(node).next().is_some()
                || self.waiting.lock().contains_key(pod.key().as_str())
            {
                self.queue.add_object(&pod);
            }
        }
    }

    async fn sync(&self, key: &Key) -> Result<(), Status> {
        let (namespace, name) = split_key(key);
        let Some(pod) = self.pods.get(namespace, name) else { return Ok(()) };
        if pod.is_deleting() || pod::is_finished(&pod) {
            self.waiting.lock().remove(key);
            return Ok(());
        }
        let Some(node) = self.nodes.get_key(pod::node_name(&pod)) else { return Ok(()) };
        let now = self.ctx.clock.now();
        let Verdict::Goes(tolerated) = verdict(&pod, &node) else {
            if self.waiting.lock().remove(key).is_some() {
                let message = format!("Cancelling deletion of Pod {namespace}/{name}");
                self.ctx.events.normal(&pod, "TaintManagerEviction", message);
            }
            return Ok(());
        };
        // The time runs from when the pod was first seen to have to go, whatever the taint says of itself.
        let since = *self.waiting.lock().entry(key.clone()).or_insert(now);
        let left = tolerated.saturating_sub(between(since, now));
        if !left.is_zero() {
            self.queue.add_after(key.clone(), left);
            return Ok(());
        }
        self.evict(&pod).await?;
        self.waiting.lock().remove(key);
        Ok(())
    }

    async fn evict(&self, pod: &Object) -> Result<(), Status> {
        let (namespace, name) = (pod.namespace(), pod.name());
        let message = format!("Marking for deletion Pod {namespace}/{name}");
        self.ctx.events.normal(pod, "TaintManagerEviction", message);
        let condition = value!({
            "reason": "DeletionByTaintManager", "message": "Taint manager: deleting due to NoExecute taint",
            "observedGeneration": pod.generation(),
        });
        pod_control::disrupt(&self.ctx, pod, condition).await
    }
}

/// The first toleration that matches a taint counts; one without a time counts for ever, unless others have one.
fn verdict(pod: &Object, node: &Object) -> Verdict {
    let tolerations = pod.array_at(&["spec", "tolerations"]);
    let mut least: Option<i64> = None;
    for taint in taints::no_execute(node) {
        let mut matching =
            tolerations.iter().filter(|toleration| drydock_client::scheduling::tolerates(toleration, taint));
        let Some(toleration) = matching.next() else { return Verdict::Goes(Duration::ZERO) };
        if let Some(seconds) = toleration.i64_at(&["tolerationSeconds"]) {
            least = Some(least.map_or(seconds, |least| least.min(seconds)));
        }
    }
    least.map_or(Verdict::Stays, |seconds| {
        Verdict::Goes(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    })
}

#[cfg(test)]
mod tests {
    use drydock_machinery::Value;

    use super::*;

    fn check(tolerations: Value, expected: Option<u64>) {
        let node = Object::new(value!({"spec": {"taints": [{"key": "k", "effect": "NoExecute"}]}}), 1);
        let mut pod = value!({"spec": {}});
        pod.set(&["spec", "tolerations"], tolerations);
        let verdict = verdict(&Object::new(pod, 1), &node);
        let expected = expected.map_or(Verdict::Stays, |seconds| Verdict::Goes(Duration::from_secs(seconds)));
        assert_eq!(verdict, expected);
    }

    #[test]
    fn tolerations_decide_when_a_pod_goes() {
        check(value!([]), Some(0));
        check(value!([{"operator": "Exists"}]), None);
        let timed =
            value!({"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
        check(Value::from(vec![timed.clone()]), Some(300));
        check(Value::from(vec![timed, value!({"operator": "Exists"})]), Some(300));
    }
}
