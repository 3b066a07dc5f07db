//! The loop around the decision.
//!
//! Informers' handlers keep the cluster and the queue current; one task takes pods from the queue and decides, one
//! after the other; bindings and notes of failure are written by tasks of their own, so that deciding does not wait.
//! A pod counts on its node from the decision on. If its binding fails it is taken back and tried again.

use std::sync::Arc;
use std::time::Duration;

use drydock_client::events::{EventType, reference};
use drydock_client::resources::{
    CSI_NODES, NAMESPACES, NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, POD_DISRUPTION_BUDGETS, PODS,
    STORAGE_CLASSES, VOLUME_ATTACHMENTS,
};
use drydock_client::{
    Change, Client, DeleteOptions, EventRecorder, Informer, PatchType, SharedInformers,
    status_with_conditions,
};
use drydock_machinery::{Object, ObjectMeta, Reason, Status, Value, value};
use drydock_runtime::{Clock, Tasks};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::cluster::Cluster;
use crate::fit_error::FitError;
use crate::plugins::Plugin;
use crate::pod_info::PodInfo;
use crate::preemption::{Preemption, preempt};
use crate::queue::Queue;
use crate::schedule::{Placement, schedule};
use crate::volumes::{Binding, Storage};

/// What the scheduler needs of its tenant.
#[derive(Clone, Debug)]
pub struct SchedulerConfig {
    /// With the identity `system:kube-scheduler`.
    pub client: Client,
    pub informers: SharedInformers,
    pub tasks: Tasks,
    /// The pods to schedule are those with this `spec.schedulerName`.
    pub name: String,
    /// Ends the reporting instance of events, as upstream's host name does.
    pub host: String,
}

impl SchedulerConfig {
    /// The default profile.
    pub fn new(client: Client, informers: SharedInformers, tasks: Tasks) -> Self {
        Self { client, informers, tasks, name: "default-scheduler".to_owned(), host: "drydock".to_owned() }
    }
}

/// A running scheduler.
#[derive(Debug)]
pub struct Scheduler {
    client: Client,
    tasks: Tasks,
    clock: Clock,
    name: String,
    events: EventRecorder,
    state: Mutex<State>,
    wake: Notify,
    /// Told when claims or volumes change, for pods that wait for theirs to be bound.
    storage_changed: Notify,
    storage: [(Storage, Arc<Informer>); 5],
}

#[derive(Debug, Default)]
struct State {
    cluster: Cluster,
    queue: Queue,
    next_start: usize,
}

/// What became of one turn.
enum Turn {
    Idle,
    Placed(Arc<PodInfo>, Placement),
    Refused(Arc<PodInfo>, FitError, Option<Preemption>),
}

impl Scheduler {
    /// Starts it; it ends with the tasks of the config.
    pub fn start(config: SchedulerConfig) -> Arc<Self> {
        let instance = format!("{}-{}", config.name, config.host);
        let events =
            EventRecorder::with_series(config.client.clone(), config.tasks.clone(), &config.name, &instance);
        let this = Arc::new(Self {
            clock: config.tasks.clock().clone(),
            client: config.client,
            tasks: config.tasks.clone(),
            name: config.name,
            events,
            state: Mutex::default(),
            wake: Notify::new(),
            storage_changed: Notify::new(),
            storage: [
                (Storage::Class, config.informers.informer(&STORAGE_CLASSES)),
                (Storage::Volume, config.informers.informer(&PERSISTENT_VOLUMES)),
                (Storage::Claim, config.informers.informer(&PERSISTENT_VOLUME_CLAIMS)),
                (Storage::Node, config.informers.informer(&CSI_NODES)),
                (Storage::Attachment, config.informers.informer(&VOLUME_ATTACHMENTS)),
            ],
        });
        let informers = [NAMESPACES, NODES, PODS, POD_DISRUPTION_BUDGETS]
            .map(|resource| config.informers.informer(&resource));
        let [namespaces, nodes, pods, budgets] = &informers;
        let me = this.clone();
        namespaces.on_change(move |change| me.namespace_changed(change));
        let me = this.clone();
        budgets.on_change(move |change| {
            let mut state = me.state.lock();
            match change {
                Change::Deleted(budget) => state.cluster.remove_budget(&budget.key()),
                _ => state.cluster.set_budget(change.object()),
            }
        });
        let me = this.clone();
        nodes.on_change(move |change| me.node_changed(change));
        let me = this.clone();
        pods.on_change(move |change| me.pod_changed(change));
        for (kind, informer) in &this.storage {
            let (me, kind) = (this.clone(), *kind);
            informer.on_change(move |change| me.storage_changed(kind, change));
        }
        let me = this.clone();
        config.tasks.spawn("scheduler", async move {
            let storage = me.storage.iter().map(|(_, informer)| informer);
            for informer in informers.iter().chain(storage) {
                informer.synced().await;
            }
            me.run().await;
        });
        this
    }

    fn namespace_changed(&self, change: Change<'_>) {
        let mut state = self.state.lock();
        match change {
            Change::Deleted(namespace) => state.cluster.remove_namespace(namespace.name()),
            _ => state.cluster.set_namespace(change.object()),
        }
    }

    fn storage_changed(&self, kind: Storage, change: Change<'_>) {
        let mut state = self.state.lock();
        match change {
            Change::Deleted(object) => state.cluster.volumes_mut().remove(kind, &object.key()),
            _ => state.cluster.volumes_mut().set(kind, change.object()),
        }
        let concerned =
            Plugin::VolumeBinding.bit() | Plugin::VolumeZone.bit() | Plugin::NodeVolumeLimits.bit();
        state.queue.cluster_changed(concerned, self.clock.now());
        drop(state);
        self.storage_changed.notify_waiters();
        self.wake.notify_one();
    }

    fn node_changed(&self, change: Change<'_>) {
        let now = self.clock.now();
        let concerned = match change {
            Change::Added(_) => !0,
            Change::Updated { old, new } => concerned_by_node_change(old, new),
            Change::Deleted(_) => Plugin::PodTopologySpread.bit(),
        };
        let mut state = self.state.lock();
        match change {
            Change::Deleted(node) => state.cluster.remove_node(node.name()),
            // Heartbeats change nothing that counts.
            Change::Updated { .. } if concerned == 0 => return,
            _ => state.cluster.set_node(change.object()),
        }
        state.queue.cluster_changed(concerned, now);
        drop(state);
        self.wake.notify_one();
    }

    fn pod_changed(&self, change: Change<'_>) {
        let pod = change.object();
        let now = self.clock.now();
        let gone = matches!(change, Change::Deleted(_)) || is_finished(pod);
        let assigned = !pod.str_at(&["spec", "nodeName"]).is_empty();
        let ours = pod.str_at(&["spec", "schedulerName"]) == self.name;
        let mut state = self.state.lock();
        let State { cluster, queue, .. } = &mut *state;
        if gone {
            queue.remove(pod.uid());
            cluster.forget_nomination(pod.uid());
            if cluster.remove_pod(pod.uid()) {
                queue.cluster_changed(RELEASED, now);
            }
        } else if assigned {
            queue.remove(pod.uid());
            cluster.forget_nomination(pod.uid());
            if change.old().is_some_and(|old| same_placement(old, pod)) {
                return;
            }
            cluster.add_pod(pod.str_at(&["spec", "nodeName"]), Arc::new(PodInfo::new(pod.clone())));
            queue.cluster_changed(Plugin::InterPodAffinity.bit() | Plugin::PodTopologySpread.bit(), now);
        } else if pod.is_deleting() {
            queue.remove(pod.uid());
            cluster.forget_nomination(pod.uid());
        } else if ours && cluster.node_of(pod.uid()).is_none() {
            let changed = change
                .old()
                .is_none_or(|old| old.get("spec") != pod.get("spec") || old.labels() != pod.labels());
            queue.put(Arc::new(PodInfo::new(pod.clone())), changed, now);
        }
        drop(state);
        self.wake.notify_one();
    }

    async fn run(self: Arc<Self>) {
        let mut turns = 0u32;
        loop {
            let woken = self.wake.notified();
            match self.turn() {
                Turn::Idle => {
                    let due = self.state.lock().queue.next_due();
                    match due {
                        None => woken.await,
                        Some(at) => tokio::select! {
                            () = woken => {}
                            () = self.clock.sleep_until(at) => {}
                        },
                    }
                }
                Turn::Placed(pod, placement) => {
                    let me = self.clone();
                    self.tasks.spawn("bind", async move { me.place(pod, placement).await });
                }
                Turn::Refused(pod, fit, preemption) => {
                    let me = self.clone();
                    self.tasks.spawn("unschedulable", async move {
                        me.note_failure(&pod, &fit, preemption).await;
                        me.put_back(&pod, &fit);
                    });
                }
            }
            turns = turns.wrapping_add(1);
            if turns.is_multiple_of(16) {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Decides about one pod.
    fn turn(&self) -> Turn {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let Some(pod) = state.queue.pop(now) else { return Turn::Idle };
        match schedule(&state.cluster, &pod, state.next_start) {
            Ok(placement) => {
                state.next_start = state.next_start.wrapping_add(placement.evaluated);
                state.cluster.add_pod(&placement.node, pod.clone());
                state.cluster.volumes_mut().assume(&placement.bindings);
                Turn::Placed(pod, placement)
            }
            Err(mut fit) => {
                let preemption = if fit.nodes == 0 {
                    None
                } else {
                    match preempt(&state.cluster, &pod, &fit) {
                        Ok(preemption) => {
                            state.cluster.nominate(&preemption.node, pod.clone());
                            Some(preemption)
                        }
                        Err(told) => {
                            fit.post_filter = told;
                            None
                        }
                    }
                };
                Turn::Refused(pod, fit, preemption)
            }
        }
    }

    /// Only now may the pod be tried again: what is told of this attempt must not come after what comes of the next one.
    fn put_back(&self, pod: &PodInfo, fit: &FitError) {
        // Without nodes only a node can help, and every plugin waits for nodes.
        let plugins = if fit.nodes == 0 { !0 } else { fit.rejected_by() };
        self.state.lock().queue.refused(pod.object.uid(), plugins, self.clock.now());
        self.wake.notify_one();
    }

    /// Gets the pod its volumes, then its node.
    async fn place(&self, pod: Arc<PodInfo>, placement: Placement) {
        if !placement.bindings.is_empty() {
            // Others may see where it will be while its volumes are made.
            let patch = value!({"metadata": {"uid": pod.object.uid()}, "status": {"nominatedNodeName": placement.node.as_str()}});
            let (namespace, name) = (pod.object.namespace(), pod.object.name());
            if let Err(status) =
                self.client.patch_status(&PODS, namespace, name, PatchType::Strategic, patch).await
            {
                tracing::debug!(pod = pod.object.key(), %status, "nomination was not written");
            }
        }
        if let Err(status) = self.bind_volumes(&pod.object, &placement.bindings).await {
            self.forget_assumed(&placement.bindings);
            return self.binding_failed(&pod, &status);
        }
        self.bind(pod, placement.node).await;
    }

    /// Writes the bindings and waits until the controllers have carried them out.
    async fn bind_volumes(&self, pod: &Object, bindings: &[Binding]) -> Result<(), Status> {
        if bindings.is_empty() {
            return Ok(());
        }
        for binding in bindings {
            match binding {
                Binding::Volume(volume) => self.client.update(&PERSISTENT_VOLUMES, volume.clone()).await?,
                Binding::Claim(claim) => self.client.update(&PERSISTENT_VOLUME_CLAIMS, claim.clone()).await?,
            };
        }
        let deadline = self.clock.now().saturating_add(BIND_TIMEOUT).unwrap_or(Timestamp::MAX);
        loop {
            let changed = self.storage_changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.state.lock().cluster.volumes().all_bound(pod) {
                return Ok(());
            }
            tokio::select! {
                () = changed => {}
                () = self.clock.sleep_until(deadline) => {
                    let why = "binding volumes: context deadline exceeded";
                    return Err(Status::new(504, Reason::Timeout, why));
                }
            }
        }
    }

    /// Takes back what was assumed, as far as informers know better.
    fn forget_assumed(&self, bindings: &[Binding]) {
        let mut state = self.state.lock();
        let volumes = state.cluster.volumes_mut();
        for binding in bindings {
            let (wanted, key) = match binding {
                Binding::Volume(volume) => (Storage::Volume, volume.key()),
                Binding::Claim(claim) => (Storage::Claim, claim.key()),
            };
            let known = self.storage.iter().filter(|(kind, _)| *kind == wanted);
            match known.into_iter().find_map(|(_, informer)| informer.get_key(&key)) {
                Some(object) => volumes.set(wanted, &object),
                None => volumes.remove(wanted, &key),
            }
        }
    }

    async fn bind(&self, pod: Arc<PodInfo>, node: String) {
        let object = &pod.object;
        let (namespace, name) = (object.namespace(), object.name());
        let binding = value!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace, "uid": object.uid()},
            "target": {"kind": "Node", "name": node},
        });
        match self.client.create_subresource(&PODS, namespace, name, "binding", binding).await {
            Ok(_) => {
                let message = format!("Successfully assigned {namespace}/{name} to {node}");
                self.events.record(&reference(object), EventType::Normal, "Scheduled", "Binding", message);
            }
            Err(status) => self.binding_failed(&pod, &status),
        }
    }

    fn binding_failed(&self, pod: &PodInfo, status: &Status) {
        tracing::debug!(pod = pod.object.key(), %status, "binding failed");
        let now = self.clock.now();
        let mut state = self.state.lock();
        state.cluster.remove_pod(pod.object.uid());
        if status.is_not_found() {
            state.queue.remove(pod.object.uid());
        } else {
            state.queue.retry(pod.object.uid(), now);
        }
        state.queue.cluster_changed(RELEASED, now);
        drop(state);
        self.wake.notify_one();
        if !status.is_not_found() && !status.is_conflict() {
            let message = format!("binding rejected: {status}");
            let about = reference(&pod.object);
            self.events.record(&about, EventType::Warning, "FailedScheduling", "Scheduling", message);
        }
    }

    async fn note_failure(&self, pod: &PodInfo, fit: &FitError, preemption: Option<Preemption>) {
        let message = fit.to_string();
        let about = reference(&pod.object);
        self.events.record(&about, EventType::Warning, "FailedScheduling", "Scheduling", message.clone());
        if let Some(preemption) = &preemption {
            self.evict(pod, preemption).await;
        }
        let nominated = preemption.map(|preemption| preemption.node);
        if let Err(status) = self.write_condition(&pod.object, &message, nominated).await {
            tracing::debug!(pod = pod.object.key(), %status, "condition was not written");
        }
    }

    async fn write_condition(
        &self,
        pod: &Object,
        message: &str,
        nominated: Option<String>,
    ) -> Result<(), Status> {
        let conditions = pod.array_at(&["status", "conditions"]).iter();
        let old = conditions.into_iter().find(|condition| condition.str_at(&["type"]) == "PodScheduled");
        let same = old.is_some_and(|old| {
            old.str_at(&["status"]) == "False"
                && old.str_at(&["reason"]) == "Unschedulable"
                && old.str_at(&["message"]) == message
        });
        if same && nominated.is_none() {
            return Ok(());
        }
        let since = match old.filter(|old| old.str_at(&["status"]) == "False") {
            Some(old) => old.str_at(&["lastTransitionTime"]).to_owned(),
            None => self.clock.now_rfc3339(),
        };
        let condition = value!({
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
            "lastProbeTime": Value::Null, "lastTransitionTime": since, "observedGeneration": pod.generation(),
        });
        let mut patch = value!({"metadata": {"uid": pod.uid()}});
        patch.set(&["status"], status_with_conditions(pod, vec![condition]));
        if let Some(node) = nominated {
            patch.set(&["status", "nominatedNodeName"], node);
        }
        self.client
            .patch_status(&PODS, pod.namespace(), pod.name(), PatchType::Strategic, patch)
            .await
            .map(drop)
    }

    /// Tells the victims why, and deletes them.
    async fn evict(&self, pod: &PodInfo, preemption: &Preemption) {
        for victim in preemption.victims.iter().filter(|victim| !victim.object.is_deleting()) {
            let victim = &victim.object;
            let condition = value!({
                "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
                "message": format!("{}: preempting to accommodate a higher priority pod", self.name),
                "lastProbeTime": Value::Null, "lastTransitionTime": self.clock.now_rfc3339(),
                "observedGeneration": victim.generation(),
            });
            let mut patch = Value::object();
            patch.set(&["status"], status_with_conditions(victim, vec![condition]));
            let (namespace, name) = (victim.namespace(), victim.name());
            let told = self.client.patch_status(&PODS, namespace, name, PatchType::Strategic, patch).await;
            let deleted = match told {
                Ok(_) => self.client.delete(&PODS, namespace, name, DeleteOptions::default()).await,
                Err(status) => Err(status),
            };
            if let Err(status) = deleted {
                tracing::debug!(victim = victim.key(), %status, "preemption failed");
                continue;
            }
            let message = format!("Preempted by pod {} on node {}", pod.object.uid(), preemption.node);
            self.events.record(&reference(victim), EventType::Normal, "Preempted", "Preempting", message);
        }
    }
}

/// How long a pod waits for its volumes to be bound.
const BIND_TIMEOUT: Duration = Duration::from_secs(600);

/// The plugins for which a pod's leaving can make room.
const RELEASED: u32 = 1 << Plugin::NodeResourcesFit as u32
    | 1 << Plugin::NodePorts as u32
    | 1 << Plugin::VolumeRestrictions as u32
    | 1 << Plugin::NodeVolumeLimits as u32
    | 1 << Plugin::PodTopologySpread as u32
    | 1 << Plugin::InterPodAffinity as u32;

fn is_finished(pod: &Value) -> bool {
    matches!(pod.str_at(&["status", "phase"]), "Succeeded" | "Failed")
}

/// Both versions count the same.
fn same_placement(old: &Object, new: &Object) -> bool {
    old.get("spec") == new.get("spec")
        && old.labels() == new.labels()
        && old.is_deleting() == new.is_deleting()
        && is_finished(old) == is_finished(new)
}

/// The plugins that may judge differently after the change; none when nothing that counts has changed.
fn concerned_by_node_change(old: &Object, new: &Object) -> u32 {
    let differs = |path: &[&str]| old.at(path) != new.at(path);
    let mut concerned = 0;
    if differs(&["status", "allocatable"]) {
        concerned |= Plugin::NodeResourcesFit.bit();
    }
    if differs(&["metadata", "labels"]) {
        concerned |=
            Plugin::NodeAffinity.bit() | Plugin::PodTopologySpread.bit() | Plugin::InterPodAffinity.bit();
        concerned |= Plugin::VolumeBinding.bit() | Plugin::VolumeZone.bit();
    }
    if differs(&["spec", "taints"]) {
        concerned |= Plugin::TaintToleration.bit() | Plugin::PodTopologySpread.bit();
    }
    if differs(&["spec", "unschedulable"]) {
        concerned |= Plugin::NodeUnschedulable.bit();
    }
    if differs(&["status", "images"]) {
        concerned |= Plugin::NodeName.bit();
    }
    concerned
}
