//! What a kubelet does for its pods: takes the next step of one, and remembers what came of it.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use drydock_machinery::{Key, Object, ObjectMeta, Status, Value};
use jiff::Timestamp;

use super::state::State;
use super::{BY_NODE, NodeAgents, RETRY};
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
        let now = self.clock.now();
        let mut state = self.state.lock();
        state.busy.remove(pod.uid());
        match outcome {
            // Nothing changed: doing it again would change nothing either.
            Ok(Some(revision)) if revision == pod.revision() => {}
            Ok(Some(revision)) => {
                state.written.insert(pod.uid().into(), revision);
            }
            Ok(None) => {}
            Err(status) if status.is_not_found() => {}
            Err(status) => {
                tracing::debug!(pod = %key, %status, "step failed");
                let at = now.saturating_add(RETRY).unwrap_or(Timestamp::MAX);
                state.wheel.plan(Due::Pod(key.clone()), at);
            }
        }
        // What the informer has shown meanwhile was not planned, as the pod was busy.
        match self.pods.get_key(key).filter(|newest| newest.uid() == pod.uid()) {
            Some(newest) if newest.revision() == pod.revision() => {}
            Some(newest) => {
                state.plan_pod(&newest, now);
            }
            // It went while its step may have taken an address.
            None => state.release_ip(pod, pod.str_at(&["spec", "nodeName"])),
        }
        drop(state);
        self.wake.notify_one();
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
        let cidr = self.nodes.get_key(&spec.name).map(|node| node.str_at(&["spec", "podCIDR"]).to_owned());
        let mut state = self.state.lock();
        let State { nodes, next_range, .. } = &mut *state;
        let node = nodes.get_mut(spec.name.as_str())?;
        if node.pool.is_none() {
            let cidrs = [cidr.as_deref(), spec.pod_cidr.as_deref()];
            node.pool = cidrs.into_iter().flatten().find_map(Pool::new);
            if node.pool.is_none() {
                node.pool = self.spare_range(&spec.name, next_range);
            }
            for pod in self.pods.by_index(BY_NODE, &spec.name) {
                node.keep_ip(&pod);
            }
        }
        node.pool.as_mut()?.take(pod.uid())
    }

    /// Neither the Node nor its spec has a range: shared address space, one /24 per node. The node's own from before a
    /// restart, else one in which no other node has pods.
    fn spare_range(&self, node: &str, next: &mut u32) -> Option<Pool> {
        let range = |pod: &Object| {
            let address: Ipv4Addr = pod.str_at(&["status", "podIP"]).parse().ok()?;
            let [first, second, third, _] = address.octets();
            (first == 100 && (64..128).contains(&second))
                .then(|| (u32::from(second - 64) << 8) | u32::from(third))
        };
        let before = self.pods.by_index(BY_NODE, node).iter().find_map(|pod| range(pod));
        let taken: HashSet<u32> = self.pods.list().iter().filter_map(|pod| range(pod)).collect();
        let range = before.or_else(|| {
            (*next..1 << 14).find(|range| !taken.contains(range)).inspect(|range| *next = range + 1)
        })?;
        Pool::new(&format!("100.{}.{}.0/24", 64 + (range >> 8), range % 256))
    }
}
