//! What a kubelet does for its pods: takes the next step of one, and remembers what came of it.

use std::sync::Arc;

use drydock_machinery::{Key, Object, ObjectMeta, Status, Value};

use super::state::State;
use super::{NodeAgents, RETRY};
use crate::ip::Pool;
use crate::plan;
use crate::spec::NodeSpec;
use crate::wheel::Due;

impl NodeAgents {
    pub(super) async fn step(self: &Arc<Self>, key: &Key) {
        let Some(pod) = self.pods.get_key(key) else { return };
        let name = pod.str_at(&["spec", "nodeName"]);
        let Some((spec, client)) = self.node(name) else { return };
        let Some((step, _)) = plan::next(&pod, |image| self.has_image(name, image)) else { return };
        if !self.state.lock().busy.insert(pod.uid().into()) {
            return;
        }
        let outcome = self.perform(&spec, &client, &pod, step).await;
        self.finish(key, &pod, outcome);
    }

    fn finish(&self, key: &Key, pod: &Arc<Object>, outcome: Result<Option<u64>, Status>) {
        let mut state = self.state.lock();
        state.busy.remove(pod.uid());
        match outcome {
            // Nothing changed: doing it again would change nothing either.
            Ok(Some(revision)) if revision == pod.revision() => return,
            Ok(Some(revision)) => {
                state.written.insert(pod.uid().into(), revision);
            }
            Ok(None) => return,
            Err(status) if status.is_not_found() => return,
            Err(status) => {
                tracing::debug!(pod = %key, %status, "step failed");
                drop(state);
                return self.plan(Due::Pod(key.clone()), RETRY);
            }
        }
        drop(state);
        // The informer may have shown the write before it was noted here.
        if let Some(newest) = self.pods.get_key(key)
            && newest.uid() == pod.uid()
        {
            let now = self.clock.now();
            self.state.lock().plan_pod(&newest, now);
            self.wake.notify_one();
        }
    }

    pub(crate) fn has_image(&self, node: &str, image: &str) -> bool {
        self.state.lock().nodes.get(node).is_some_and(|node| node.images.contains(image))
    }

    pub(crate) fn add_image(&self, node: &str, image: &str) {
        if let Some(node) = self.state.lock().nodes.get_mut(node) {
            node.images.insert(image.into());
        }
    }

    /// An address for a pod of the node; the host's own for pods on the host network.
    pub(crate) fn take_ip(&self, spec: &NodeSpec, pod: &Value) -> Option<String> {
        if pod.bool_at(&["spec", "hostNetwork"]) {
            return Some(spec.host_ip().to_owned()).filter(|ip| !ip.is_empty());
        }
        let has = pod.str_at(&["status", "podIP"]);
        if !has.is_empty() {
            return Some(has.to_owned());
        }
        let mut state = self.state.lock();
        let State { nodes, next_range, .. } = &mut *state;
        let node = nodes.get_mut(spec.name.as_str())?;
        if node.pool.is_none() {
            node.pool = Pool::new(spec.pod_cidr.as_deref().unwrap_or(""));
        }
        if node.pool.is_none() {
            // Neither the Node nor its spec has a range: shared address space, one /24 per node.
            let range = *next_range;
            *next_range += 1;
            node.pool = Pool::new(&format!("100.{}.{}.0/24", 64 + (range >> 8) % 64, range % 256));
        }
        node.pool.as_mut()?.take()
    }
}
