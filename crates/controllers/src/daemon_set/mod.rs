//! Daemon sets: one pod on every node that fits.

mod failures;
mod place;
mod roll;
mod status;

use std::collections::BTreeMap;
use std::sync::Arc;

use drydock_client::resources::{CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS};
use drydock_client::{Change, Controller, Informer, WorkQueue};
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value};

use crate::Context;
use crate::node::BY_NODE;
use crate::util::expectations::Expectations;
use crate::util::hash::template_hash;
use crate::util::history::{self, Style};
use crate::util::owner::{self, Claimer};
use crate::util::pod_control::{PodControl, delete_all, is_namespace_terminating, slow_start};
use crate::util::{count_at, pod, split_key};
use failures::Failures;

const HASH_LABEL: &str = "controller-revision-hash";
const STYLE: Style =
    Style { hash_label: HASH_LABEL, hash: |data, collisions| template_hash(data, Some(collisions)) };
const BURST: usize = 250;

struct DaemonSets {
    ctx: Context,
    queue: Arc<WorkQueue>,
    sets: Arc<Informer>,
    pods: Arc<Informer>,
    nodes: Arc<Informer>,
    revisions: Arc<Informer>,
    expectations: Expectations,
    /// How fast pods that fail again and again are replaced.
    failures: Failures,
    control: PodControl,
}

/// The set's pods by the node that they are on or meant for.
type ByNode = BTreeMap<String, Vec<Arc<Object>>>;

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let informer = |resource| ctx.informers.informer(resource);
    let this = Arc::new(DaemonSets {
        sets: informer(&DAEMON_SETS),
        pods: informer(&PODS),
        nodes: informer(&NODES),
        revisions: informer(&CONTROLLER_REVISIONS),
        expectations: Expectations::new(ctx.clock.clone()),
        failures: Failures::default(),
        control: PodControl { client: ctx.client.clone(), events: ctx.events.clone() },
        queue: queue.clone(),
        ctx,
    });
    owner::index_by_controller(&this.pods);
    owner::index_by_controller(&this.revisions);
    crate::node::index_by_node(&this.pods);
    let me = this.clone();
    this.sets.on_change(move |change| {
        if let Change::Deleted(set) = change {
            me.expectations.forget(&set.key());
        }
        me.queue.add_object(change.object());
    });
    let me = this.clone();
    this.pods.on_change(move |change| me.pod_changed(change));
    let me = this.clone();
    this.nodes.on_change(move |change| me.node_changed(change));
    let needs = [this.sets.clone(), this.pods.clone(), this.nodes.clone(), this.revisions.clone()];
    let tasks = this.ctx.tasks.clone();
    Controller::new("daemonset", queue).workers(2).needs(needs).start(&tasks, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await }
    });
}

impl DaemonSets {
    fn pod_changed(&self, change: Change<'_>) {
        let pod = change.object();
        for version in change.old().into_iter().chain([pod]) {
            let Some(name) = owner::controller_of_kind(version, "apps", "DaemonSet") else { continue };
            let key = format!("{}/{name}", pod.namespace());
            match change {
                Change::Added(_) if !pod.is_deleting() => self.expectations.created(&key),
                Change::Updated { .. } if !pod.is_deleting() => {}
                _ => self.expectations.deleted(&key, pod.uid()),
            }
            self.queue.add(key);
        }
        if pod.controller_ref().is_none() && !matches!(change, Change::Deleted(_)) {
            for set in self.sets.list_in(pod.namespace()) {
                if crate::util::selector(set.at(&["spec", "selector"])).matches(pod.labels()) {
                    self.queue.add_object(&set);
                }
            }
        }
    }

    /// Only what decides where pods run matters, not heartbeats. A set whose pods are, or are not, on the node as they
    /// should be has nothing to do; pods of a node that is gone are collected by others.
    fn node_changed(&self, change: Change<'_>) {
        let node = change.object();
        let unchanged = change.old().is_some_and(|old| {
            old.labels() == node.labels() && old.at(&["spec", "taints"]) == node.at(&["spec", "taints"])
        });
        if unchanged || matches!(change, Change::Deleted(_)) {
            return;
        }
        let here = self.pods.by_index(BY_NODE, node.name());
        for set in self.sets.list() {
            let fit = place::fit(&set, node);
            let scheduled = here.iter().any(|pod| owner::is_controlled_by(pod, &set));
            let misscheduled = count_at(&set, &["status", "numberMisscheduled"], 0) > 0;
            if scheduled != fit.should_run && !(scheduled && fit.should_continue)
                || (scheduled && misscheduled)
            {
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
        let selector = crate::util::selector(set.at(&["spec", "selector"]));
        if selector.is_everything() {
            let message = "This daemon set is selecting all pods. A non-empty selector is required.";
            self.ctx.events.warning(&set, "SelectingAll", message);
            return Ok(());
        }
        if set.is_deleting() {
            return Ok(());
        }
        let revisions =
            history::claim(&self.ctx.client, &self.revisions, &set, &DAEMON_SETS, &selector).await?;
        let (current, collisions) = history::current(&self.ctx.client, &set, &revisions, STYLE).await?;
        let hash = current.label(HASH_LABEL).unwrap_or("").to_owned();

        let claimer = Claimer {
            client: &self.ctx.client,
            owner: &set,
            owner_resource: &DAEMON_SETS,
            resource: &PODS,
            selector: &selector,
            finalizer: None,
        };
        let pods = claimer.claim(owner::candidates(&self.pods, &set), |_| true).await?;
        let by_node = by_node(&pods);
        let mut outcome = Ok(());
        if self.expectations.satisfied(key) {
            outcome = self.manage(&set, &by_node, &hash).await;
            // Whoever creates pods now sees to updating them next time.
            if outcome.is_ok() && self.expectations.satisfied(key) {
                outcome = self.roll(&set, &by_node, &hash).await;
            }
        }
        // Those that pods have count, too, and stay.
        let old: Vec<_> = revisions.iter().filter(|revision| revision.name() != current.name()).collect();
        let is_live = |revision: &&Arc<Object>| {
            let hash = revision.label(HASH_LABEL);
            hash.is_some() && pods.iter().any(|pod| pod.label(HASH_LABEL) == hash)
        };
        let counted = old.len();
        let dead: Vec<_> = old.into_iter().filter(|revision| !is_live(revision)).collect();
        history::truncate(&self.ctx.client, &set, &dead, counted).await?;
        // As it is after what was created and deleted above.
        let by_node = self::by_node(&owner::controlled(&self.pods, &set));
        status::write(self, &set, &by_node, &hash, collisions).await?;
        let min_ready = count_at(&set, &["spec", "minReadySeconds"], 0);
        if min_ready > 0 {
            let all = pods.iter().map(|pod| pod.value());
            if let Some(wait) = pod::next_available(all, min_ready, self.ctx.clock.now()) {
                self.queue.add_after(key.clone(), wait);
            }
        }
        outcome
    }

    /// Creates what is missing and deletes what should not be.
    async fn manage(&self, set: &Object, by_node: &ByNode, hash: &str) -> Result<(), Status> {
        let mut missing = Vec::new();
        let mut surplus: Vec<Arc<Object>> = Vec::new();
        for node in self.nodes.list() {
            let pods = by_node.get(node.name()).map_or(&[][..], Vec::as_slice);
            let fit = place::fit(set, &node);
            if !fit.should_continue {
                surplus.extend(pods.iter().filter(|pod| !pod.is_deleting()).cloned());
                continue;
            }
            if fit.should_run && pods.is_empty() {
                missing.push(node.name().to_owned());
                continue;
            }
            surplus.extend(self.surplus_on(set, &node, pods, hash));
        }
        // Pods meant for nodes that are gone and that were never placed there.
        for (node, pods) in by_node.iter().filter(|(node, _)| self.nodes.get_key(node).is_none()) {
            let unplaced = pods.iter().filter(|pod| pod::node_name(pod).is_empty() && !pod.is_deleting());
            surplus.extend(unplaced.cloned());
            tracing::trace!(node, "node is gone");
        }
        missing.truncate(BURST);
        surplus.truncate(BURST);
        // Neither waits for the other to succeed.
        let created = self.create_pods(set, missing, hash).await;
        let deleted = self.delete_pods(set, &surplus).await;
        created.and(deleted)
    }

    /// Whether failed pods of the set are left alone on the node for now; the set comes back when that is over.
    fn pauses(&self, set: &Object, node: &Object) -> bool {
        let key = (set.uid().into(), set.i64_at(&["status", "observedGeneration"]), node.name().into());
        let pause = self.failures.pause(key, self.ctx.clock.now());
        if let Some(pause) = pause {
            self.queue.add_after(set.key(), pause);
        }
        pause.is_some()
    }

    /// Of several pods on a node the oldest stays (two while one surges over another); failed ones go.
    fn surplus_on(&self, set: &Object, node: &Object, pods: &[Arc<Object>], hash: &str) -> Vec<Arc<Object>> {
        let mut surplus = Vec::new();
        let mut alive: Vec<_> = Vec::new();
        for pod in pods.iter().filter(|pod| !pod.is_deleting()) {
            match pod::phase(pod) {
                "Failed" if self.pauses(set, node) => {}
                "Failed" => {
                    let message = found("failed", pod, node, "will try to kill it");
                    self.ctx.events.warning(set, "FailedDaemonPod", message);
                    surplus.push(pod.clone());
                }
                "Succeeded" => {
                    let message = found("succeeded", pod, node, "will try to delete it");
                    self.ctx.events.normal(set, "SucceededDaemonPod", message);
                    surplus.push(pod.clone());
                }
                _ => alive.push(pod.clone()),
            }
        }
        alive.sort_by_key(|pod| (pod::node_name(pod).is_empty(), pod.creation_timestamp().to_owned()));
        if roll::max_surge(set, 1) > 0 {
            surplus.extend(roll::surplus_with_surge(self, set, &alive, hash));
        } else {
            surplus.extend(alive.into_iter().skip(1));
        }
        surplus
    }

    async fn create_pods(&self, set: &Object, nodes: Vec<String>, hash: &str) -> Result<(), Status> {
        if nodes.is_empty() {
            return Ok(());
        }
        let key = set.key();
        self.expectations.expect_creations(&key, nodes.len() as i64);
        let create = |i: usize| {
            let pod = place::new_pod(set, &nodes[i], hash);
            async move {
                match self.control.create(set, pod).await {
                    Err(status) if is_namespace_terminating(&status) => Ok(()),
                    outcome => outcome.map(drop),
                }
            }
        };
        let (done, error) = slow_start(nodes.len(), create).await;
        for _ in done..nodes.len() {
            self.expectations.created(&key);
        }
        error.map_or(Ok(()), Err)
    }

    async fn delete_pods(&self, set: &Object, pods: &[Arc<Object>]) -> Result<(), Status> {
        let delete = |pod: Arc<Object>| async move { self.control.delete(set, &pod).await };
        delete_all(&self.expectations, &set.key(), pods, delete).await
    }
}

fn found(what: &str, pod: &Object, node: &Object, then: &str) -> String {
    format!("Found {what} daemon pod {} on node {}, {then}", pod.key(), node.name())
}

fn by_node(pods: &[Arc<Object>]) -> ByNode {
    let mut by_node = ByNode::new();
    for pod in pods {
        if let Some(node) = place::node_of(pod) {
            by_node.entry(node.to_owned()).or_default().push(pod.clone());
        }
    }
    by_node
}

fn is_updated(pod: &Value, hash: &str) -> bool {
    pod.label(HASH_LABEL) == Some(hash)
}
