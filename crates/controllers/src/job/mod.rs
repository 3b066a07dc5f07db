//! Jobs: pods that are to succeed.
//!
//! A finished pod is counted exactly once, also when this process dies in between: its uid is first written to
//! `status.uncountedTerminatedPods`, then its tracking finalizer is taken away, then it moves into the counts. Indexed
//! jobs remember succeeded indexes instead.

mod accounting;
mod indexes;
mod pods;
mod policy;
mod state;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use drydock_client::resources::{JOBS, PODS};
use drydock_client::{Change, Controller, Informer, WorkQueue};
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value};
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::Context;
use crate::util::expectations::Expectations;
use crate::util::owner::{self, Claimer};
use crate::util::pod_control::PodControl;
use crate::util::{conditions, split_key};

const TRACKING: &str = "batch.kubernetes.io/job-tracking";
/// How long changes of pods are collected.
const BATCH_PERIOD: Duration = Duration::from_secs(1);
/// Begins the keys of pods that lost their job.
const ORPHAN: &str = "orphan:";
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

struct Jobs {
    ctx: Context,
    queue: Arc<WorkQueue>,
    jobs: Arc<Informer>,
    pods: Arc<Informer>,
    expectations: Expectations,
    control: PodControl,
    /// Failures in a row and the last one's time, by job.
    failures: Mutex<HashMap<Key, Backoff>>,
}

#[derive(Clone, Copy, Debug)]
struct Backoff {
    failures: u32,
    last: Timestamp,
}

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let this = Arc::new(Jobs {
        jobs: ctx.informers.informer(&JOBS),
        pods: ctx.informers.informer(&PODS),
        expectations: Expectations::new(ctx.clock.clone()),
        control: PodControl { client: ctx.client.clone(), events: ctx.events.clone() },
        queue: queue.clone(),
        failures: Mutex::default(),
        ctx,
    });
    owner::index_by_controller(&this.pods);
    let me = this.clone();
    this.jobs.on_change(move |change| {
        let job = change.object();
        match change {
            Change::Deleted(_) => {
                me.expectations.forget(&job.key());
                me.failures.lock().remove(job.key().as_str());
            }
            // A status that was just written is no reason to look again at once.
            Change::Updated { old, new } if old.generation() == new.generation() => {
                return me.queue.add_after(job.key(), BATCH_PERIOD);
            }
            _ => {}
        }
        me.queue.add_object(job);
    });
    let me = this.clone();
    this.pods.on_change(move |change| me.pod_changed(change));
    let needs = [this.jobs.clone(), this.pods.clone()];
    let tasks = this.ctx.tasks.clone();
    Controller::new("job", queue).workers(5).needs(needs).start(&tasks, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await }
    });
}

fn is_finished(job: &Value) -> bool {
    conditions::is_true(job, "Complete") || conditions::is_true(job, "Failed")
}

fn is_tracked(pod: &Object) -> bool {
    pod.finalizers().any(|finalizer| finalizer == TRACKING)
}

fn is_suspended(job: &Value) -> bool {
    job.bool_at(&["spec", "suspend"])
}

fn is_indexed(job: &Value) -> bool {
    job.str_at(&["spec", "completionMode"]) == "Indexed"
}

impl Jobs {
    fn pod_changed(&self, change: Change<'_>) {
        let pod = change.object();
        for version in change.old().into_iter().chain([pod]) {
            let Some(name) = owner::controller_of_kind(version, "batch", "Job") else { continue };
            let key = format!("{}/{name}", pod.namespace());
            match change {
                Change::Added(_) if !pod.is_deleting() => self.expectations.created(&key),
                Change::Updated { .. } if !pod.is_deleting() => {}
                _ => self.expectations.deleted(&key, pod.uid()),
            }
            // Pods come and go in groups: looked at together, as upstream does.
            self.queue.add_after(key, BATCH_PERIOD);
        }
        if pod.controller_ref().is_some() || matches!(change, Change::Deleted(_)) {
            return;
        }
        if is_tracked(pod) {
            self.queue.add(format!("{ORPHAN}{}", pod.key()));
        }
        // Somebody may want to adopt it.
        if change.old().is_none_or(|old| old.labels() != pod.labels() || old.controller_ref().is_some()) {
            for job in self.jobs.list_in(pod.namespace()) {
                if crate::util::selector(job.at(&["spec", "selector"])).matches(pod.labels()) {
                    self.queue.add_after(job.key(), BATCH_PERIOD);
                }
            }
        }
    }

    /// A pod that no job controls any more is not held back.
    async fn release_orphan(&self, key: &str) -> Result<(), Status> {
        let (namespace, name) = split_key(key);
        match self.pods.get(namespace, name).filter(|pod| pod.controller_ref().is_none()) {
            Some(pod) => self.release(&pod).await,
            None => Ok(()),
        }
    }

    /// Pods whose job is gone are not held back.
    async fn release_orphans(&self, namespace: &str, name: &str) -> Result<(), Status> {
        let mut pods = self.pods.list_in(namespace);
        pods.retain(|pod| {
            pod.finalizers().any(|finalizer| finalizer == TRACKING)
                && owner::controller_of_kind(pod, "batch", "Job") == Some(name)
        });
        self.release_all(&pods).await
    }

    async fn sync(&self, key: &Key) -> Result<(), Status> {
        if let Some(pod) = key.strip_prefix(ORPHAN) {
            return self.release_orphan(pod).await;
        }
        let (namespace, name) = split_key(key);
        let Some(job) = self.jobs.get(namespace, name) else {
            self.expectations.forget(key);
            return self.release_orphans(namespace, name).await;
        };
        let manager = job.str_at(&["spec", "managedBy"]);
        if !manager.is_empty() && manager != "kubernetes.io/job-controller" {
            return Ok(());
        }
        let selector = crate::util::selector(job.at(&["spec", "selector"]));
        let claimer = Claimer {
            client: &self.ctx.client,
            owner: &job,
            owner_resource: &JOBS,
            resource: &PODS,
            selector: &selector,
            finalizer: Some(TRACKING),
        };
        let pods = claimer.claim(owner::candidates(&self.pods, &job), |_| true).await?;
        if is_finished(&job) || job.is_deleting() {
            self.failures.lock().remove(key.as_str());
            return self.release_all(&pods).await;
        }
        let may_manage = self.expectations.satisfied(key);
        let mut state = state::State::new(&job, pods, &self.ctx.clock);
        self.note_failures(&job, &state);
        state.judge();
        if state.is_new_verdict && !may_manage {
            // Pods may be on their way that would have to go, too.
            state.verdict = None;
        }
        state.hold_back_replaced();
        let manage = if may_manage { self.manage(&job, &mut state).await } else { Ok(()) };
        self.account(&job, &state).await?;
        self.plan_deadline(&job);
        manage
    }

    /// Keeps count of failures since the last success, from which the pause before new pods follows.
    fn note_failures(&self, job: &Object, state: &state::State<'_>) {
        let times =
            |succeeded| state.fresh(succeeded).map(|pod| policy::finished_at(pod)).collect::<Vec<_>>();
        let (succeeded, failed) = (times(true), times(false));
        if succeeded.is_empty() && failed.is_empty() {
            return;
        }
        let mut failures = self.failures.lock();
        let last_success = succeeded.into_iter().max();
        if last_success.is_some() {
            failures.remove(job.key().as_str());
        }
        let after: Vec<_> =
            failed.into_iter().filter(|at| last_success.is_none_or(|last| *at > last)).collect();
        if let Some(last) = after.iter().max() {
            let entry = failures.entry(job.key().into()).or_insert(Backoff { failures: 0, last: *last });
            entry.failures += u32::try_from(after.len()).unwrap_or(1);
            entry.last = *last;
        }
    }

    /// Comes back when `activeDeadlineSeconds` will be over.
    fn plan_deadline(&self, job: &Object) {
        if let Some(left) = policy::until_deadline(job, self.ctx.clock.now()) {
            self.queue.add_after(job.key(), left + Duration::from_millis(10));
        }
    }
}
