//! The loop around the decision.
//!
//! Informers' handlers keep the cluster and the queue current; one task takes pods from the queue and decides, one
//! after the other, each as its profile says; bindings and notes of failure are written by tasks of their own, so that deciding does not wait.
//! A pod counts on its node from the decision on. If its binding fails it is taken back and tried again.

use std::collections::HashMap;
use std::sync::Arc;

use drydock_client::resources::{
    CSI_DRIVERS, CSI_NODES, CSI_STORAGE_CAPACITIES, NAMESPACES, NODES, PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES, POD_DISRUPTION_BUDGETS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, SERVICES,
    STATEFUL_SETS, STORAGE_CLASSES, VOLUME_ATTACHMENTS,
};
use drydock_client::{Change, Client, EventRecorder, Informer, SharedInformers};
use drydock_machinery::{Key, Object, ObjectMeta, Value};
use drydock_runtime::{Clock, Tasks};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::cluster::Cluster;
use crate::fit_error::FitError;
use crate::hints;
use crate::node_info::NodeInfo;
use crate::plugin::{Plugin, Point};
use crate::pod_info::PodInfo;
use crate::preemption::{NoPreemption, Preemption, preempt};
use crate::profile::{Configuration, Profile, scheduler_name};
use crate::queue::Queue;
use crate::schedule::{Placement, schedule};
use crate::volumes::Storage;

/// What the scheduler needs of its tenant.
#[derive(Clone, Debug)]
pub struct SchedulerConfig {
    /// With the identity `system:kube-scheduler`.
    pub client: Client,
    pub informers: SharedInformers,
    pub tasks: Tasks,
    /// The pods to schedule are those whose `spec.schedulerName` has a profile.
    pub configuration: Configuration,
    /// Ends the reporting instance of events, as upstream's host name does.
    pub host: String,
}

impl SchedulerConfig {
    /// With the default profile.
    pub fn new(client: Client, informers: SharedInformers, tasks: Tasks) -> Self {
        Self { client, informers, tasks, configuration: Configuration::default(), host: "drydock".to_owned() }
    }
}

/// A running scheduler.
#[derive(Debug)]
pub struct Scheduler {
    pub(crate) client: Client,
    tasks: Tasks,
    pub(crate) clock: Clock,
    host: String,
    /// By the scheduler names in which they speak.
    recorders: Mutex<HashMap<Key, EventRecorder>>,
    pub(crate) state: Mutex<State>,
    pub(crate) wake: Notify,
    /// Told when claims or volumes change, for pods that wait for theirs to be bound.
    pub(crate) storage_changed: Notify,
    /// Told when resource claims change, for pods that wait for their devices.
    pub(crate) claims_changed: Notify,
    pub(crate) pods: Arc<Informer>,
    pub(crate) storage: [(Storage, Arc<Informer>); 7],
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) cluster: Cluster,
    pub(crate) queue: Queue,
    pub(crate) configuration: Configuration,
    next_start: usize,
}

/// What became of one turn.
enum Turn {
    Idle,
    Placed(Arc<PodInfo>, Placement),
    Refused(Arc<PodInfo>, FitError, Nomination),
}

/// What becomes of the room that is kept for a pod somewhere.
#[derive(Debug)]
pub(crate) enum Nomination {
    AsBefore,
    /// Victims make room for it.
    Won(Preemption),
    /// It is of no use to the pod any more.
    GivenBack,
}

impl Scheduler {
    /// Starts it; it ends with the tasks of the config.
    pub fn start(config: SchedulerConfig) -> Arc<Self> {
        let mut state = State { configuration: config.configuration, ..State::default() };
        state.queue.set_backoff(state.configuration.backoff);
        let this = Arc::new(Self {
            clock: config.tasks.clock().clone(),
            client: config.client,
            tasks: config.tasks.clone(),
            host: config.host,
            recorders: Mutex::default(),
            state: Mutex::new(state),
            wake: Notify::new(),
            storage_changed: Notify::new(),
            claims_changed: Notify::new(),
            pods: config.informers.informer(&PODS),
            storage: [
                (Storage::Class, config.informers.informer(&STORAGE_CLASSES)),
                (Storage::Volume, config.informers.informer(&PERSISTENT_VOLUMES)),
                (Storage::Claim, config.informers.informer(&PERSISTENT_VOLUME_CLAIMS)),
                (Storage::Node, config.informers.informer(&CSI_NODES)),
                (Storage::Attachment, config.informers.informer(&VOLUME_ATTACHMENTS)),
                (Storage::Driver, config.informers.informer(&CSI_DRIVERS)),
                (Storage::Capacity, config.informers.informer(&CSI_STORAGE_CAPACITIES)),
            ],
        });
        let informers = [NAMESPACES, NODES, PODS, POD_DISRUPTION_BUDGETS]
            .map(|resource| config.informers.informer(&resource));
        let groups = this.watch_groups(&config.informers);
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
            let devices = me.watch_devices(&config.informers).await;
            let storage = me.storage.iter().map(|(_, informer)| informer);
            for informer in informers.iter().chain(storage).chain(&groups).chain(&devices) {
                informer.synced().await;
            }
            me.run().await;
        });
        this
    }

    /// What pods without constraints are spread by.
    fn watch_groups(self: &Arc<Self>, informers: &SharedInformers) -> Vec<Arc<Informer>> {
        let services = informers.informer(&SERVICES);
        let me = self.clone();
        services.on_change(move |change| match change {
            Change::Deleted(service) => me.state.lock().cluster.groups_mut().remove_service(service),
            _ => me.state.lock().cluster.groups_mut().set_service(change.object()),
        });
        let mut watched = vec![services];
        for resource in [REPLICA_SETS, STATEFUL_SETS, REPLICATION_CONTROLLERS] {
            let (me, informer) = (self.clone(), informers.informer(&resource));
            informer.on_change(move |change| match change {
                Change::Deleted(gone) => me.state.lock().cluster.groups_mut().remove_controller(gone.uid()),
                _ => me.state.lock().cluster.groups_mut().set_controller(change.object()),
            });
            watched.push(informer);
        }
        watched
    }

    /// From the next decision on this configuration is in force. Pods whose scheduler name has no profile any more are
    /// left alone; all others that wait are tried again.
    pub fn configure(&self, configuration: Configuration) {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let State { cluster, queue, configuration: own, .. } = &mut *state;
        if *own == configuration {
            return;
        }
        *own = configuration;
        queue.set_backoff(own.backoff);
        for pod in self.pods.list() {
            // One that is on its way to a node may come back to the queue.
            let waits = cluster.node_of(pod.uid()).is_none() && !is_finished(&pod) && !pod.is_deleting();
            if !waits || !pod.str_at(&["spec", "nodeName"]).is_empty() {
                continue;
            }
            match own.profile_of(&pod) {
                Some(profile) => {
                    let gate = cluster.devices().gate(profile, &pod);
                    queue.put(Arc::new(PodInfo::new(pod)), gate, true, now);
                }
                None => queue.remove(pod.uid()),
            }
        }
        drop(state);
        self.wake.notify_one();
    }

    /// What is told about the pod is told in the name of its scheduler.
    pub(crate) fn events(&self, pod: &Object) -> EventRecorder {
        let name = scheduler_name(pod);
        let mut recorders = self.recorders.lock();
        if let Some(recorder) = recorders.get(name) {
            return recorder.clone();
        }
        let instance = format!("{name}-{}", self.host);
        let (client, tasks) = (self.client.clone(), self.tasks.clone());
        let recorder = EventRecorder::with_series(client, tasks, name, &instance);
        recorders.insert(name.into(), recorder.clone());
        recorder
    }

    /// As whose the pod is being scheduled; the default when the profile has just gone.
    pub(crate) fn profile_of(&self, pod: &Object) -> Arc<Profile> {
        self.state.lock().configuration.profile_of(pod).cloned().unwrap_or_default()
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
        let concerned = hints::ANY
            | Plugin::VolumeBinding.bit()
            | Plugin::VolumeZone.bit()
            | Plugin::NodeVolumeLimits.bit();
        state.queue.cluster_changed(concerned, self.clock.now());
        drop(state);
        self.storage_changed.notify_waiters();
        self.wake.notify_one();
    }

    fn node_changed(&self, change: Change<'_>) {
        if matches!(change, Change::Updated { old, new } if !counts_differently(old, new)) {
            return;
        }
        let now = self.clock.now();
        let info = NodeInfo::new(change.object().clone());
        let mut state = self.state.lock();
        let State { cluster, queue, configuration, .. } = &mut *state;
        let profile = |waiting: &PodInfo| configuration.profile_of(&waiting.object);
        match change {
            Change::Deleted(node) => {
                cluster.remove_node(node.name());
                queue.cluster_changed_for(now, |waiting| hints::node_gone(&info, waiting));
            }
            Change::Added(node) => {
                cluster.set_node(node);
                queue.cluster_changed_for(now, |waiting| {
                    profile(waiting).map_or(0, |profile| hints::node_added(&info, profile, waiting))
                });
            }
            Change::Updated { old, new } => {
                cluster.set_node(new);
                let old = NodeInfo::new(old.clone());
                queue.cluster_changed_for(now, |waiting| {
                    profile(waiting).map_or(0, |profile| hints::node_updated(&old, &info, profile, waiting))
                });
            }
        }
        drop(state);
        self.wake.notify_one();
    }

    fn pod_changed(&self, change: Change<'_>) {
        let pod = change.object();
        let now = self.clock.now();
        let gone = matches!(change, Change::Deleted(_)) || is_finished(pod);
        let assigned = !pod.str_at(&["spec", "nodeName"]).is_empty();
        let mut state = self.state.lock();
        let State { cluster, queue, configuration, .. } = &mut *state;
        if gone {
            queue.remove(pod.uid());
            cluster.forget_nomination(pod.uid());
            if cluster.remove_pod(pod.uid()) {
                let gone = PodInfo::new(pod.clone());
                queue.cluster_changed_for(now, |waiting| hints::pod_gone(&gone, waiting));
            }
        } else if assigned {
            queue.remove(pod.uid());
            cluster.forget_nomination(pod.uid());
            if change.old().is_some_and(|old| same_placement(old, pod)) {
                return;
            }
            let info = Arc::new(PodInfo::new(pod.clone()));
            cluster.add_pod(pod.str_at(&["spec", "nodeName"]), info.clone());
            match change.old().filter(|old| !old.str_at(&["spec", "nodeName"]).is_empty()) {
                Some(old) => {
                    let old = PodInfo::new(old.clone());
                    queue.cluster_changed_for(now, |waiting| hints::pod_updated(&old, &info, waiting));
                }
                None => queue.cluster_changed_for(now, |waiting| hints::pod_added(&info, waiting)),
            }
        } else if pod.is_deleting() {
            queue.remove(pod.uid());
            cluster.forget_nomination(pod.uid());
        } else if let Some(profile) = configuration.profile_of(pod)
            && cluster.node_of(pod.uid()).is_none()
        {
            let changed = change.old().is_none_or(|old| may_fare_better(old, pod));
            let info = Arc::new(PodInfo::new(pod.clone()));
            // After a restart the status is all that tells of victims' room.
            let nominated = nominated_node(pod);
            if change.old().map_or("", |old| nominated_node(old)) != nominated {
                match nominated {
                    "" => cluster.forget_nomination(pod.uid()),
                    node => cluster.nominate(node, info.clone()),
                }
            }
            let gate = cluster.devices().gate(profile, pod);
            queue.put(info, gate, changed, now);
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
                Turn::Refused(pod, fit, nomination) => {
                    let me = self.clone();
                    self.tasks.spawn("unschedulable", async move {
                        me.note_failure(&pod, &fit, nomination).await;
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
        let profile = state.configuration.profile_of(&pod.object).cloned().unwrap_or_default();
        match schedule(&state.cluster, &profile, &pod, state.next_start) {
            Ok(placement) => {
                state.next_start = state.next_start.wrapping_add(placement.evaluated);
                state.cluster.forget_nomination(pod.object.uid());
                state.cluster.add_pod(&placement.node, pod.clone());
                state.cluster.volumes_mut().assume(&placement.bindings);
                if let Some(reservation) = &placement.reservation {
                    state.cluster.devices_mut().assume(reservation);
                }
                Turn::Placed(pod, placement)
            }
            Err(fit) if fit.error.is_some() => Turn::Refused(pod, fit, Nomination::AsBefore),
            Err(mut fit) => {
                let nomination = state.cluster.nomination_after(&profile, &pod, &mut fit);
                Turn::Refused(pod, fit, nomination)
            }
        }
    }

    /// Only now may the pod be tried again: what is told of this attempt must not come after what comes of the next one.
    fn put_back(&self, pod: &PodInfo, fit: &FitError) {
        // Without nodes only a node can help, and every plugin waits for nodes.
        let plugins = if fit.nodes == 0 { !0 } else { fit.rejected_by() };
        let (uid, now) = (pod.object.uid(), self.clock.now());
        let mut state = self.state.lock();
        match fit.error {
            Some(_) => state.queue.retry(uid, now),
            None => state.queue.refused(uid, plugins, now),
        }
        drop(state);
        self.wake.notify_one();
    }
}

impl Cluster {
    /// Looks for pods to push out for one that fits nowhere; `fit` tells of the attempt afterwards.
    fn nomination_after(
        &mut self,
        profile: &Arc<Profile>,
        pod: &Arc<PodInfo>,
        fit: &mut FitError,
    ) -> Nomination {
        let hopeless = if fit.nodes == 0 {
            true
        } else if !profile.has(Point::PostFilter, Plugin::DefaultPreemption) {
            if profile.has(Point::PostFilter, Plugin::DynamicResources) {
                fit.post_filter = fit.release.told().to_owned();
            }
            return Nomination::AsBefore;
        } else {
            match preempt(self, profile, pod, fit) {
                Ok(preemption) => {
                    self.nominate(&preemption.node, pod.clone());
                    return Nomination::Won(preemption);
                }
                Err(NoPreemption { told, hopeless }) => {
                    fit.post_filter = told;
                    hopeless
                }
            }
        };
        if !hopeless {
            return Nomination::AsBefore;
        }
        self.forget_nomination(pod.object.uid());
        Nomination::GivenBack
    }
}

pub(crate) fn nominated_node(pod: &Value) -> &str {
    pod.str_at(&["status", "nominatedNodeName"])
}

pub(crate) fn is_finished(pod: &Value) -> bool {
    matches!(pod.str_at(&["status", "phase"]), "Succeeded" | "Failed")
}

/// Whether the new version of a waiting pod may find a node where the old one did not.
fn may_fare_better(old: &Object, new: &Object) -> bool {
    let claims = ["status", "resourceClaimStatuses"];
    old.get("spec") != new.get("spec") || old.labels() != new.labels() || old.at(&claims) != new.at(&claims)
}

/// Both versions count the same.
fn same_placement(old: &Object, new: &Object) -> bool {
    old.get("spec") == new.get("spec")
        && old.labels() == new.labels()
        && old.is_deleting() == new.is_deleting()
        && is_finished(old) == is_finished(new)
}

/// Heartbeats change nothing that counts.
fn counts_differently(old: &Object, new: &Object) -> bool {
    let paths: [&[&str]; 5] = [
        &["status", "allocatable"],
        &["metadata", "labels"],
        &["spec", "taints"],
        &["spec", "unschedulable"],
        &["status", "images"],
    ];
    paths.iter().any(|path| old.at(path) != new.at(path))
}
