//! All kubelets of a tenant.
//!
//! One task waits for the next thing due and hands what is due to short-lived tasks. The informer of pods, shared with
//! the rest of the tenant, says which pods have changed; what each does next is worked out from the pod itself.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use drydock_client::resources::{NODES, PODS};
use drydock_client::{Change, Client, EventRecorder, Informer, SharedInformers};
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value};
use drydock_runtime::{Clock, Tasks};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::container::scratch::Scratch;
use crate::ip::Pool;
use crate::plan::{self, When};
use crate::registration::{self, Readiness, Registered, Start};
use crate::seed;
use crate::spec::NodeSpec;
use crate::wheel::{Due, Wheel};

const LEASE_PERIOD: Duration = Duration::from_secs(10);
const STATUS_PERIOD: Duration = Duration::from_secs(300);
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

#[derive(Default)]
struct State {
    nodes: HashMap<Key, Node>,
    wheel: Wheel,
    /// The revision of each pod's last write, until the informer has shown it: before that the pod is not judged.
    written: HashMap<Key, u64>,
    /// Pods whose step is being performed.
    busy: HashSet<Key>,
    /// For nodes without a CIDR of their own.
    next_range: u32,
}

struct Node {
    spec: Arc<NodeSpec>,
    client: Client,
    pool: Option<Pool>,
    images: HashSet<Key>,
    /// False while its instance is stopped: no heartbeats, and its pods stand still.
    running: bool,
    registered: bool,
    start: Start,
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

    async fn register(self: &Arc<Self>, name: &Key) {
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
                tracing::debug!(node = %name, %status, "registration failed");
                return self.plan(Due::Register(name.clone()), RETRY);
            }
        }
        self.plan(Due::Lease(name.clone()), Duration::ZERO);
    }

    async fn become_ready(self: &Arc<Self>, name: &Key) {
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

    async fn heartbeat(self: &Arc<Self>, name: &Key, due: Due, period: Duration) {
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

    async fn allocate_extended(self: &Arc<Self>, name: &Key) {
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
        let about = drydock_machinery::value!({"kind": "Node", "name": name.as_str(), "uid": name.as_str()});
        let kind = drydock_client::EventType::Normal;
        self.events.on_host(name).record(&about, kind, reason, "", message.to_owned());
    }

    async fn step(self: &Arc<Self>, key: &Key) {
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

impl State {
    /// Plans the pod's next step; true when one is planned.
    fn plan_pod(&mut self, pod: &Arc<Object>, now: Timestamp) -> bool {
        let node = pod.str_at(&["spec", "nodeName"]);
        let Some(of) = self.nodes.get(node).filter(|of| of.running && of.registered) else { return false };
        if self.busy.contains(pod.uid()) {
            return false;
        }
        if let Some(written) = self.written.get(pod.uid()) {
            if pod.revision() < *written {
                return false;
            }
            self.written.remove(pod.uid());
        }
        let due = Due::Pod(pod.key().into());
        match plan::next(pod, |image| of.images.contains(image)) {
            None => {
                self.wheel.cancel(&due);
                false
            }
            Some((_, When::At(at))) => {
                self.wheel.plan(due, at.max(now));
                true
            }
            Some((step, When::After(after))) => {
                let at = now.saturating_add(after).unwrap_or(Timestamp::MAX);
                if pod.is_deleting() || step == plan::Step::Admit {
                    self.wheel.plan(due, at);
                } else {
                    self.wheel.plan_if_absent(due, at);
                }
                true
            }
        }
    }

    fn forget(&mut self, pod: &Object, node: &str) {
        self.wheel.cancel(&Due::Pod(pod.key().into()));
        self.written.remove(pod.uid());
        if let Some(pool) = self.nodes.get_mut(node).and_then(|node| node.pool.as_mut())
            && !pod.bool_at(&["spec", "hostNetwork"])
        {
            pool.release(pod.str_at(&["status", "podIP"]));
        }
    }
}

impl Node {
    fn keep_ip(&mut self, pod: &Object) {
        if let Some(pool) = &mut self.pool
            && !plan::is_finished(pod)
        {
            pool.keep(pod.str_at(&["status", "podIP"]));
        }
        for status in pod.array_at(&["status", "containerStatuses"]) {
            if !status.str_at(&["imageID"]).is_empty() {
                self.images.insert(status.str_at(&["image"]).into());
            }
        }
    }
}

fn timers_of(node: &str) -> [Due; 5] {
    let name = || Key::from(node);
    [
        Due::Register(name()),
        Due::Ready(name()),
        Due::Lease(name()),
        Due::Status(name()),
        Due::Extended(name()),
    ]
}

/// A share between a half and a whole.
fn spread(name: &str) -> f64 {
    0.5 + (seed::number(&[name, "spread"]) % 1000) as f64 / 2000.0
}

impl std::fmt::Debug for NodeAgents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeAgents").field("nodes", &self.state.lock().nodes.len()).finish()
    }
}
