//! All kubelets of a tenant.
//!
//! One task waits for the next thing due and hands what is due to short-lived tasks. The informer of pods, shared with
//! the rest of the tenant, says which pods have changed; what each does next is worked out from the pod itself.
//!
//! `state` is what is known of nodes and pods; `machines` and `pods` do what is due.

mod machines;
mod pods;
mod state;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use drydock_client::resources::{NODES, PODS};
use drydock_client::{Change, Client, EventRecorder, Informer, SharedInformers};
use drydock_machinery::{Key, ObjectMeta};
use drydock_runtime::{Clock, Tasks};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

use self::machines::{LEASE_PERIOD, STATUS_PERIOD};
use self::state::{Node, State, timers_of};
use crate::container::scratch::Scratch;
use crate::ip::Pool;
use crate::registration::{self, Start};
use crate::spec::NodeSpec;
use crate::wheel::Due;

const RETRY: Duration = Duration::from_secs(1);
/// Due things handed to one task.
const BATCH: usize = 64;
/// Names of the indexes of pods by node, and by address.
pub(crate) const BY_NODE: &str = "node";
pub(crate) const BY_ADDRESS: &str = "address";

/// What the node agents need of their tenant.
#[derive(Clone)]
pub struct NodeAgentsConfig {
    /// A client by node name, with the identity `system:node:NAME` in `system:nodes`.
    pub client_for: Arc<dyn Fn(&str) -> Client + Send + Sync>,
    /// Writes events for all of them.
    pub events: Client,
    pub informers: SharedInformers,
    pub tasks: Tasks,
}

/// The simulated kubelets of a tenant.
pub struct NodeAgents {
    pub(crate) config: NodeAgentsConfig,
    pub(crate) clock: Clock,
    pub(crate) events: EventRecorder,
    pub(crate) pods: Arc<Informer>,
    pub(crate) nodes: Arc<Informer>,
    /// What processes in containers have written.
    pub(crate) scratch: Arc<Scratch>,
    state: Mutex<State>,
    wake: Notify,
}

impl NodeAgents {
    /// Starts without nodes. Ends with the tasks of the config.
    pub fn start(config: NodeAgentsConfig) -> Arc<Self> {
        let pods = config.informers.informer(&PODS);
        let nodes = config.informers.informer(&NODES);
        pods.add_index(BY_NODE, |pod| match pod.str_at(&["spec", "nodeName"]) {
            "" => Vec::new(),
            node => vec![node.into()],
        });
        pods.add_index(BY_ADDRESS, |pod| match pod.str_at(&["status", "podIP"]) {
            "" => Vec::new(),
            address => vec![address.into()],
        });
        let this = Arc::new(Self {
            scratch: Arc::default(),
            clock: config.tasks.clock().clone(),
            events: EventRecorder::new(config.events.clone(), config.tasks.clone(), "kubelet"),
            pods: pods.clone(),
            nodes: nodes.clone(),
            state: Mutex::default(),
            wake: Notify::new(),
            config,
        });
        let me = this.clone();
        pods.on_change(move |change| me.pod_changed(change));
        let me = this.clone();
        nodes.on_change(move |change| me.node_changed(change));
        let me = this.clone();
        this.config.tasks.spawn("kubelets", async move { me.run().await });
        this
    }

    /// Boots a node: it registers after a moment. A node that exists is taken over, its pods live on.
    pub fn add(self: &Arc<Self>, spec: NodeSpec) {
        let name = Key::from(spec.name.as_str());
        let mut node = Node {
            client: (self.config.client_for)(&spec.name),
            spec: Arc::new(spec),
            pool: None,
            images: HashSet::new(),
            running: true,
            registered: false,
            start: Start::First,
        };
        let now = self.clock.now();
        let mut state = self.state.lock();
        if state.nodes.get(&name).is_some_and(|before| !before.running) {
            node.start = Start::Reboot;
        }
        state.nodes.insert(name.clone(), node);
        state.wheel.plan(Due::Register(name), now);
        drop(state);
        self.wake.notify_one();
    }

    /// The machine is gone: no more heartbeats, and its pods are nobody's. The Node object is others' business.
    pub fn remove(&self, name: &str) {
        let mut state = self.state.lock();
        state.nodes.remove(name);
        for due in timers_of(name) {
            state.wheel.cancel(&due);
        }
    }

    /// The machine stops: heartbeats end and its pods stand still until [`NodeAgents::resume`].
    pub fn suspend(&self, name: &str) {
        let mut state = self.state.lock();
        if let Some(node) = state.nodes.get_mut(name) {
            node.running = false;
        }
        for due in timers_of(name) {
            state.wheel.cancel(&due);
        }
    }

    /// The machine boots again.
    pub fn resume(&self, name: &str) {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let Some(node) = state.nodes.get_mut(name) else { return };
        if !node.running {
            node.start = Start::Reboot;
        }
        node.running = true;
        node.registered = false;
        state.wheel.plan(Due::Register(name.into()), now);
        drop(state);
        self.wake.notify_one();
    }

    /// The names of the nodes that are played here.
    pub fn names(&self) -> Vec<String> {
        self.state.lock().nodes.keys().map(ToString::to_string).collect()
    }

    fn pod_changed(&self, change: Change<'_>) {
        let pod = change.object();
        let name = pod.str_at(&["spec", "nodeName"]);
        if name.is_empty() {
            return;
        }
        let now = self.clock.now();
        let mut state = self.state.lock();
        if !state.nodes.contains_key(name) {
            return;
        }
        if matches!(change, Change::Deleted(_)) {
            state.forget(pod, name);
            self.scratch.forget(pod.uid());
            return;
        }
        let planned = state.plan_pod(pod, now);
        drop(state);
        if planned {
            self.wake.notify_one();
        }
        if pod.is_deleting() && change.old().is_some_and(|old| !old.is_deleting()) {
            self.announce_stop(name, pod);
        }
    }

    /// Takes pods' range from the Node as soon as it has one.
    fn node_changed(&self, change: Change<'_>) {
        let object = change.object();
        let mut state = self.state.lock();
        let Some(node) = state.nodes.get_mut(object.name()) else { return };
        if matches!(change, Change::Deleted(_)) {
            // Deleted under a running kubelet: it registers again only when it is started again, as upstream's does.
            node.registered = false;
            for due in timers_of(object.name()) {
                state.wheel.cancel(&due);
            }
            return;
        }
        if node.pool.is_none()
            && let Some(pool) = Pool::new(object.str_at(&["spec", "podCIDR"]))
        {
            node.pool = Some(pool);
            for pod in self.pods.by_index(BY_NODE, object.name()) {
                node.keep_ip(&pod);
            }
        }
        if !registration::extended(object).is_empty() {
            state.wheel.plan(Due::Extended(object.name().into()), self.clock.now());
            drop(state);
            self.wake.notify_one();
        }
    }

    async fn run(self: Arc<Self>) {
        self.pods.synced().await;
        self.nodes.synced().await;
        loop {
            let woken = self.wake.notified();
            let (due, next) = {
                let mut state = self.state.lock();
                let due = state.wheel.take(self.clock.now());
                (due, state.wheel.next())
            };
            if due.is_empty() {
                match next {
                    None => woken.await,
                    Some(at) => tokio::select! {
                        () = woken => {}
                        () = self.clock.sleep_until(at) => {}
                    },
                }
                continue;
            }
            for batch in due.chunks(BATCH) {
                let (me, batch) = (self.clone(), batch.to_vec());
                self.config.tasks.spawn("kubelet", async move {
                    for due in batch {
                        me.handle(due).await;
                    }
                });
            }
        }
    }

    async fn handle(self: &Arc<Self>, due: Due) {
        match &due {
            Due::Register(name) => self.register(name).await,
            Due::Ready(name) => self.become_ready(name).await,
            Due::Lease(name) => self.heartbeat(name, due.clone(), LEASE_PERIOD).await,
            Due::Status(name) => self.heartbeat(name, due.clone(), STATUS_PERIOD).await,
            Due::Extended(name) => self.allocate_extended(name).await,
            Due::Pod(key) => self.step(key).await,
        }
    }

    fn plan(&self, due: Due, after: Duration) {
        let at = self.clock.now().saturating_add(after).unwrap_or(Timestamp::MAX);
        self.state.lock().wheel.plan(due, at);
        self.wake.notify_one();
    }

    /// Spec and client of a node that is running.
    pub(crate) fn node(&self, name: &str) -> Option<(Arc<NodeSpec>, Client)> {
        let state = self.state.lock();
        let node = state.nodes.get(name).filter(|node| node.running)?;
        Some((node.spec.clone(), node.client.clone()))
    }
}

impl std::fmt::Debug for NodeAgents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeAgents").field("nodes", &self.state.lock().nodes.len()).finish()
    }
}
