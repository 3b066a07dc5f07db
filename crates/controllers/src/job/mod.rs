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
            // Counts that were just written are no reason to count again at once.
            Change::Updated { old, new } if same_but_for_counts(old, new) => {
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

fn same_but_for_counts(old: &Object, new: &Object) -> bool {
    let conditions = |job: &Object| job.at(&["status", "conditions"]).cloned();
    old.generation() == new.generation()
        && old.is_deleting() == new.is_deleting()
        && conditions(old) == conditions(new)
}

fn is_finished(job: &Value) -> bool {
    conditions::is_true(job, "Complete") || conditions::is_true(job, "Failed")
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
        let Some(name) = owner::controller_of_kind(pod, "batch", "Job") else { return };
        let key = format!("{}/{name}", pod.namespace());
        match change {
            Change::Added(_) if !pod.is_deleting() => self.expectations.created(&key),
            Change::Updated { .. } if !pod.is_deleting() => {}
            _ => self.expectations.deleted(&key, pod.uid()),
        }
        // Pods come and go in groups: looked at together, as upstream does.
        self.queue.add_after(key, BATCH_PERIOD);
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
        };
        let pods = claimer.claim(owner::candidates(&self.pods, &job), |_| true).await?;
        if is_finished(&job) || job.is_deleting() {
            return self.release_all(&pods).await;
        }
        let may_manage = self.expectations.satisfied(key);
        let mut state = state::State::new(&job, pods, &self.ctx.clock);
        self.note_failures(&job, &state);
        state.judge();
        if state.verdict.is_some() && state.is_new_verdict && !state.active.is_empty() {
            // Written before anything is deleted for it: the change brings the job back.
            return self.account(&job, &state).await;
        }
        let manage = if may_manage { self.manage(&job, &mut state).await } else { Ok(()) };
        self.account(&job, &state).await?;
        self.plan_deadline(&job);
        manage
    }

    /// Keeps count of failures in a row, from which the pause before new pods follows.
    fn note_failures(&self, job: &Object, state: &state::State<'_>) {
        if state.new_failed() == 0 && state.new_succeeded() == 0 {
            return;
        }
        let now = self.ctx.clock.now();
        let mut failures = self.failures.lock();
        if state.new_succeeded() > 0 {
            failures.remove(job.key().as_str());
        }
        if state.new_failed() > 0 {
            let entry = failures.entry(job.key().into()).or_insert(Backoff { failures: 0, last: now });
            entry.failures += u32::try_from(state.new_failed()).unwrap_or(1);
            entry.last = now;
        }
    }

    /// Comes back when `activeDeadlineSeconds` will be over.
    fn plan_deadline(&self, job: &Object) {
        if let Some(left) = policy::until_deadline(job, self.ctx.clock.now()) {
            self.queue.add_after(job.key(), left + Duration::from_millis(10));
        }
    }
}
