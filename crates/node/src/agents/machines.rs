//! What a kubelet does for its node: registers it, reports that it is ready, and goes on saying so.

use std::sync::Arc;
use std::time::Duration;

use drydock_client::EventType;
use drydock_client::resources::NODES;
use drydock_machinery::{Key, value};

use super::{BY_NODE, NodeAgents, RETRY};
use crate::ip::Pool;
use crate::registration::{self, Readiness, Registered, Start};
use crate::seed;
use crate::wheel::Due;

pub(super) const LEASE_PERIOD: Duration = Duration::from_secs(10);
pub(super) const STATUS_PERIOD: Duration = Duration::from_secs(300);

impl NodeAgents {
    pub(super) async fn register(self: &Arc<Self>, name: &Key) {
        let Some((spec, client)) = self.node(name) else { return };
        let start = self.state.lock().nodes.get(name).map_or(Start::First, |node| node.start);
        match registration::register(&client, &spec, start, &self.clock).await {
            Ok(Registered::Booting) => {
                self.node_event(name, "Starting", "Starting kubelet.");
                self.plan(Due::Ready(name.clone()), seed::millis(300, 1_200, &[name, "boot"]));
            }
            Ok(Registered::CarriedOn(object)) => {
                if let Some(node) = self.state.lock().nodes.get_mut(name)
                    && node.pool.is_none()
                {
                    node.pool = Pool::new(object.str_at(&["spec", "podCIDR"]));
                }
                self.begin_work(name);
            }
            Err(status) => {
                tracing::warn!(node = %name, %status, "registration failed");
                return self.plan(Due::Register(name.clone()), RETRY);
            }
        }
        self.plan(Due::Lease(name.clone()), Duration::ZERO);
    }

    pub(super) async fn become_ready(self: &Arc<Self>, name: &Key) {
        let Some((spec, client)) = self.node(name) else { return };
        let posted = match client.get(&NODES, "", name).await {
            Ok(old) => {
                registration::post_status(&client, &spec, &old, Readiness::Ready, &self.clock, false).await
            }
            Err(status) => Err(status),
        };
        if let Err(status) = posted {
            tracing::debug!(node = %name, %status, "status was not posted");
            return self.plan(Due::Ready(name.clone()), RETRY);
        }
        self.node_event(name, "NodeReady", &format!("Node {name} status is now: NodeReady"));
        self.begin_work(name);
    }

    fn begin_work(&self, name: &Key) {
        // Spread, so that nodes that came together do not beat together.
        self.plan(Due::Status(name.clone()), STATUS_PERIOD.mul_f64(spread(name)));
        self.adopt_pods(name);
    }

    /// Looks at the pods that are on the node already.
    fn adopt_pods(&self, name: &Key) {
        let pods = self.pods.by_index(BY_NODE, name);
        let now = self.clock.now();
        let mut state = self.state.lock();
        if let Some(node) = state.nodes.get_mut(name) {
            node.registered = true;
            for pod in &pods {
                node.keep_ip(pod);
            }
        }
        for pod in &pods {
            state.plan_pod(pod, now);
        }
        drop(state);
        self.wake.notify_one();
    }

    pub(super) async fn heartbeat(self: &Arc<Self>, name: &Key, due: Due, period: Duration) {
        let Some((spec, client)) = self.node(name) else { return };
        let Some(node) = self.nodes.get_key(name) else {
            return self.plan(due, RETRY);
        };
        let outcome = if matches!(due, Due::Lease(_)) {
            registration::renew_lease(&client, &node, &self.clock).await
        } else {
            registration::post_status(&client, &spec, &node, Readiness::Ready, &self.clock, true).await
        };
        match outcome {
            Ok(()) => self.plan(due, period),
            Err(status) => {
                tracing::debug!(node = %name, %status, "heartbeat failed");
                self.plan(due, RETRY);
            }
        }
    }

    pub(super) async fn allocate_extended(self: &Arc<Self>, name: &Key) {
        let (Some((_, client)), Some(node)) = (self.node(name), self.nodes.get_key(name)) else { return };
        if !registration::extended(&node).is_empty()
            && let Err(status) = registration::allocate_extended(&client, &node).await
        {
            tracing::debug!(node = %name, %status, "extended resources were not allocated");
            self.plan(Due::Extended(name.clone()), RETRY);
        }
    }

    fn node_event(&self, name: &Key, reason: &str, message: &str) {
        // Kubelets name their node by its name where others put the uid.
        let about = value!({"kind": "Node", "name": name.as_str(), "uid": name.as_str()});
        self.events.on_host(name).record(&about, EventType::Normal, reason, "", message.to_owned());
    }
}

/// A share between a half and a whole.
fn spread(name: &str) -> f64 {
    0.5 + (seed::number(&[name, "spread"]) % 1000) as f64 / 2000.0
}
