//! Stateful sets: pods with names, claims and an order.
//!
//! As upstream's `defaultStatefulSetControl`: one pass looks at every ordinal, does what the management policy allows,
//! and writes the status.

mod claims;
mod identity;
mod pass;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use drydock_client::resources::{CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS};
use drydock_client::{Change, Controller, Informer, WorkQueue};
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value};

use crate::Context;
use crate::util::hash::revision_hash;
use crate::util::history::{self, Style};
use crate::util::owner::{self, Claimer};
use crate::util::{count_at, pod, split_key};

const STYLE: Style = Style { hash_label: "controller.kubernetes.io/hash", hash: revision_hash };
const REVISION_LABEL: &str = "controller-revision-hash";

pub(crate) struct StatefulSets {
    ctx: Context,
    queue: Arc<WorkQueue>,
    sets: Arc<Informer>,
    pods: Arc<Informer>,
    claims: Arc<Informer>,
    revisions: Arc<Informer>,
}

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let informer = |resource| ctx.informers.informer(resource);
    let this = Arc::new(StatefulSets {
        sets: informer(&STATEFUL_SETS),
        pods: informer(&PODS),
        claims: informer(&PERSISTENT_VOLUME_CLAIMS),
        revisions: informer(&CONTROLLER_REVISIONS),
        queue: queue.clone(),
        ctx,
    });
    owner::index_by_controller(&this.pods);
    owner::index_by_controller(&this.revisions);
    let me = this.clone();
    this.sets.on_change(move |change| me.queue.add_object(change.object()));
    let me = this.clone();
    this.pods.on_change(move |change| me.pod_changed(change));
    let needs = [this.sets.clone(), this.pods.clone(), this.claims.clone(), this.revisions.clone()];
    let tasks = this.ctx.tasks.clone();
    Controller::new("statefulset", queue).workers(5).needs(needs).start(&tasks, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await }
    });
}

impl StatefulSets {
    fn pod_changed(&self, change: Change<'_>) {
        let pod = change.object();
        for version in change.old().into_iter().chain([pod]) {
            if let Some(name) = owner::controller_of_kind(version, "apps", "StatefulSet") {
                self.queue.add(format!("{}/{name}", pod.namespace()));
            }
        }
        if pod.controller_ref().is_none() && !matches!(change, Change::Deleted(_)) {
            for set in self.sets.list_in(pod.namespace()) {
                if crate::util::selector(set.at(&["spec", "selector"])).matches(pod.labels()) {
                    self.queue.add_object(&set);
                }
            }
        }
    }

    async fn sync(&self, key: &Key) -> Result<(), Status> {
        let (namespace, name) = split_key(key);
        let Some(set) = self.sets.get(namespace, name) else { return Ok(()) };
        let selector = crate::util::selector(set.at(&["spec", "selector"]));
        let claimer = Claimer {
            client: &self.ctx.client,
            owner: &set,
            owner_resource: &STATEFUL_SETS,
            resource: &PODS,
            selector: &selector,
            finalizer: None,
        };
        let found = owner::candidates(&self.pods, &set);
        let pods = claimer.claim(found, |pod| identity::ordinal(pod, set.name()).is_some()).await?;
        let revisions =
            history::claim(&self.ctx.client, &self.revisions, &set, &STATEFUL_SETS, &selector).await?;
        let (update, collisions) = history::current(&self.ctx.client, &set, &revisions, STYLE).await?;
        let status = set.str_at(&["status", "currentRevision"]);
        let current = revisions.iter().find(|revision| revision.name() == status).unwrap_or(&update).clone();

        let mut pass = pass::Pass::new(self, &set, &current, &update, pods, collisions);
        let outcome = pass.run().await;
        status::write(self, &set, pass.status()).await?;
        let live = pass.live_revisions();
        let dead: Vec<_> =
            revisions.iter().filter(|one| !live.iter().any(|live| live == one.name())).collect();
        history::truncate(&self.ctx.client, &set, &dead, dead.len()).await?;
        self.plan_availability(&set, pass.pods());
        outcome
    }

    fn plan_availability(&self, set: &Object, pods: &[Arc<Object>]) {
        let min_ready = min_ready_seconds(set);
        let all = pods.iter().map(|pod| pod.value());
        if min_ready > 0
            && let Some(wait) = pod::next_available(all, min_ready, self.ctx.clock.now())
        {
            self.queue.add_after(set.key(), wait);
        }
    }
}

fn replicas(set: &Value) -> i64 {
    count_at(set, &["spec", "replicas"], 1)
}

fn first_ordinal(set: &Value) -> i64 {
    count_at(set, &["spec", "ordinals", "start"], 0)
}

fn min_ready_seconds(set: &Value) -> i64 {
    count_at(set, &["spec", "minReadySeconds"], 0)
}

/// Pods below it keep the current revision.
fn partition(set: &Value) -> i64 {
    count_at(set, &["spec", "updateStrategy", "rollingUpdate", "partition"], 0)
}

fn is_parallel(set: &Value) -> bool {
    set.str_at(&["spec", "podManagementPolicy"]) == "Parallel"
}
