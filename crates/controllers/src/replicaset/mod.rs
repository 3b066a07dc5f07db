//! Replica sets and replication controllers: as many pods of a template as asked for.
//!
//! Both run the same code; a [`Flavor`] says what differs. Objects are found through the index by controller, so the
//! cost of a reconciliation is that of the owner's own pods.

mod rank;
mod status;

use std::sync::Arc;

use drydock_client::resources::{PODS, REPLICA_SETS, REPLICATION_CONTROLLERS};
use drydock_client::{Change, Controller, Informer, WorkQueue};
use drydock_machinery::selector::Selector;
use drydock_machinery::{GroupVersionResource, Key, Object, ObjectMeta, Status, Value};

use crate::Context;
use crate::util::expectations::Expectations;
use crate::util::owner::{self, Claimer};
use crate::util::pod_control::{
    PodControl, delete_all, is_namespace_terminating, pod_from_template, slow_start,
};
use crate::util::{count_at, pod, split_key};

/// Pods created or deleted in one go.
const BURST: usize = 500;

/// Which of the two kinds.
#[derive(Debug)]
pub(super) struct Flavor {
    task: &'static str,
    resource: GroupVersionResource,
    group: &'static str,
    kind: &'static str,
    selector: fn(&Value) -> Selector,
    /// Whether `status.terminatingReplicas` is written.
    counts_terminating: bool,
}

static REPLICA_SET: Flavor = Flavor {
    task: "replicaset",
    resource: REPLICA_SETS,
    group: "apps",
    kind: "ReplicaSet",
    selector: |set| crate::util::selector(set.at(&["spec", "selector"])),
    counts_terminating: true,
};

static REPLICATION_CONTROLLER: Flavor = Flavor {
    task: "replicationcontroller",
    resource: REPLICATION_CONTROLLERS,
    group: "",
    kind: "ReplicationController",
    selector: |rc| match rc.object_at(&["spec", "selector"]) {
        map if map.is_empty() => Selector::nothing(),
        map => Selector::from_set(map),
    },
    counts_terminating: false,
};

pub(crate) fn start_replica_sets(ctx: Context) {
    start(ctx, &REPLICA_SET);
}

pub(crate) fn start_replication_controllers(ctx: Context) {
    start(ctx, &REPLICATION_CONTROLLER);
}

struct ReplicaSets {
    ctx: Context,
    flavor: &'static Flavor,
    queue: Arc<WorkQueue>,
    sets: Arc<Informer>,
    pods: Arc<Informer>,
    expectations: Expectations,
    control: PodControl,
}

fn start(ctx: Context, flavor: &'static Flavor) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let (sets, pods) = (ctx.informers.informer(&flavor.resource), ctx.informers.informer(&PODS));
    owner::index_by_controller(&pods);
    owner::index_by_controller(&sets);
    let this = Arc::new(ReplicaSets {
        expectations: Expectations::new(ctx.clock.clone()),
        control: PodControl { client: ctx.client.clone(), events: ctx.events.clone() },
        flavor,
        queue: queue.clone(),
        sets: sets.clone(),
        pods: pods.clone(),
        ctx,
    });
    let me = this.clone();
    sets.on_change(move |change| me.set_changed(change));
    let me = this.clone();
    pods.on_change(move |change| me.pod_changed(change));
    let tasks = this.ctx.tasks.clone();
    Controller::new(flavor.task, queue).workers(5).needs([sets, pods]).start(&tasks, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await }
    });
}

impl ReplicaSets {
    fn set_changed(&self, change: Change<'_>) {
        if let Change::Deleted(set) = change {
            self.expectations.forget(&set.key());
        }
        self.queue.add_object(change.object());
    }

    /// The key of the set that controls the pod, when that is of this flavor.
    fn owner_key(&self, pod: &Value) -> Option<String> {
        let name = owner::controller_of_kind(pod, self.flavor.group, self.flavor.kind)?;
        Some(format!("{}/{name}", pod.namespace()))
    }

    fn pod_changed(&self, change: Change<'_>) {
        let pod = change.object();
        match change {
            Change::Added(pod) if !pod.is_deleting() => {
                let Some(key) = self.owner_key(pod) else { return self.orphan_changed(pod) };
                self.expectations.created(&key);
                self.queue.add(key);
            }
            Change::Added(pod) | Change::Deleted(pod) => {
                if let Some(key) = self.owner_key(pod) {
                    self.expectations.deleted(&key, pod.uid());
                    self.queue.add(key);
                }
            }
            Change::Updated { old, new } => {
                if let Some(key) = self.owner_key(new) {
                    if new.is_deleting() {
                        self.expectations.deleted(&key, new.uid());
                    }
                    self.queue.add(key);
                }
                let (before, after) = (self.owner_key(old), self.owner_key(new));
                if let Some(key) = before.clone()
                    && before != after
                {
                    self.queue.add(key);
                }
                let released = new.controller_ref().is_none()
                    && (old.labels() != new.labels() || old.controller_ref().is_some());
                if released && !new.is_deleting() {
                    self.orphan_changed(pod);
                }
            }
        }
    }

    /// Somebody may want to adopt it.
    fn orphan_changed(&self, pod: &Value) {
        if pod.controller_ref().is_some() {
            return;
        }
        for set in self.sets.list_in(pod.namespace()) {
            if (self.flavor.selector)(&set).matches(pod.labels()) {
                self.queue.add_object(&set);
            }
        }
    }

    async fn sync(&self, key: &Key) -> Result<(), Status> {
        let (namespace, name) = split_key(key);
        let Some(set) = self.sets.get(namespace, name) else {
            self.expectations.forget(key);
            return Ok(());
        };
        let may_manage = self.expectations.satisfied(key);
        let selector = (self.flavor.selector)(&set);
        let claimer = Claimer {
            client: &self.ctx.client,
            owner: &set,
            owner_resource: &self.flavor.resource,
            resource: &PODS,
            selector: &selector,
            finalizer: None,
        };
        let found = owner::candidates(&self.pods, &set);
        // Pods that have ended stay whose they are.
        let (active, inactive): (Vec<_>, Vec<_>) = found.into_iter().partition(|pod| pod::is_active(pod));
        let active = claimer.claim(active, |_| true).await?;
        let terminating = inactive.iter().filter(|pod| {
            pod::is_terminating(pod) && owner::is_controlled_by(pod, &set) && selector.matches(pod.labels())
        });
        let terminating = terminating.count();
        let mut failure = None;
        if may_manage && !set.is_deleting() {
            failure = self.manage(&set, &active).await.err();
        }
        let written = status::write(self, &set, &active, terminating, failure.as_ref()).await?;
        self.plan_availability(&set, &written, &active);
        match failure {
            Some(status) if !is_namespace_terminating(&status) => Err(status),
            _ => Ok(()),
        }
    }

    /// Comes back when the next ready pod has been ready for `minReadySeconds`.
    fn plan_availability(&self, set: &Object, written: &Object, active: &[Arc<Object>]) {
        let min_ready = count_at(set, &["spec", "minReadySeconds"], 0);
        let ready = count_at(written, &["status", "readyReplicas"], 0);
        let available = count_at(written, &["status", "availableReplicas"], 0);
        if min_ready > 0 && available < ready {
            let pods = active.iter().map(|pod| pod.value());
            if let Some(wait) = pod::next_available(pods, min_ready, self.ctx.clock.now()) {
                self.queue.add_after(set.key(), wait);
            }
        }
    }

    async fn manage(&self, set: &Object, active: &[Arc<Object>]) -> Result<(), Status> {
        let wanted = usize::try_from(count_at(set, &["spec", "replicas"], 1)).unwrap_or(0);
        if active.len() < wanted {
            self.create_pods(set, (wanted - active.len()).min(BURST)).await
        } else if active.len() > wanted {
            self.delete_pods(set, active, (active.len() - wanted).min(BURST)).await
        } else {
            Ok(())
        }
    }

    async fn create_pods(&self, set: &Object, count: usize) -> Result<(), Status> {
        let key = set.key();
        self.expectations.expect_creations(&key, count as i64);
        let pod = pod_from_template(set.at(&["spec", "template"]).unwrap_or(&Value::Null), set);
        let create = |_| async {
            match self.control.create(set, pod.clone()).await {
                Err(status) if is_namespace_terminating(&status) => Ok(()),
                outcome => outcome.map(drop),
            }
        };
        let (done, error) = slow_start(count, create).await;
        for _ in done..count {
            self.expectations.created(&key);
        }
        error.map_or(Ok(()), Err)
    }

    async fn delete_pods(&self, set: &Object, active: &[Arc<Object>], count: usize) -> Result<(), Status> {
        let key = set.key();
        let related = self.related_pods(set);
        let victims = rank::pods_to_delete(active, &related, count, self.ctx.clock.now());
        let delete = |pod: Arc<Object>| async move { self.control.delete(set, &pod).await };
        delete_all(&self.expectations, &key, &victims, delete).await
    }

    /// The active pods of all sets with this set's controller, itself included: they count when it is decided which
    /// node has too many.
    fn related_pods(&self, set: &Object) -> Vec<Arc<Object>> {
        let siblings = match set.controller_ref() {
            Some(owner) => self.sets.by_index(owner::BY_CONTROLLER, owner.str_at(&["uid"])),
            None => return owner::controlled(&self.pods, set),
        };
        siblings.iter().flat_map(|sibling| owner::controlled(&self.pods, sibling)).collect()
    }
}
