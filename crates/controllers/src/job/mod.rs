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

use std::collections::{HashMap, HashSet};
use std::ops::Range;
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

/// How soon and how late failures are retried, as with upstream.
const RETRIES: Range<Duration> = Duration::from_secs(1)..Duration::from_secs(60);
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
    failures: Mutex<HashMap<Key, Backoff>>,
    /// Uids of pods that were let go, until the informer shows it: they are counted and must not be counted again.
    let_go: Mutex<HashSet<Key>>,
}

/// Failures in a row and the last one's time.
#[derive(Clone, Copy, Debug)]
struct Backoff {
    failures: u32,
    last: Timestamp,
}

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::with_retries(ctx.clock.clone(), RETRIES));
    let this = Arc::new(Jobs {
        jobs: ctx.informers.informer(&JOBS),
        pods: ctx.informers.informer(&PODS),
        expectations: Expectations::new(ctx.clock.clone()),
        control: PodControl { client: ctx.client.clone(), events: ctx.events.clone() },
        queue: queue.clone(),
        failures: Mutex::default(),
        let_go: Mutex::default(),
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
        if matches!(change, Change::Deleted(_)) || !is_tracked(pod) {
            self.let_go.lock().remove(pod.uid());
        }
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
        let mut state = state::State::new(&job, pods, &self.let_go.lock(), &self.ctx.clock);
        state.backoff = self.backoff(&job, &state);
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

    /// The failures since the last success, from which the pause before new pods follows. They are only noted when the
    /// status that counts them is written: otherwise another attempt would find them again.
    fn backoff(&self, job: &Object, state: &state::State<'_>) -> Option<Backoff> {
        let before = self.failures.lock().get(job.key().as_str()).copied();
        let times = |succeeded| state.finished(succeeded).map(|(pod, _)| policy::finished_at(pod));
        let last_success = times(true).max();
        let failed: Vec<_> =
            times(false).filter(|at| last_success.is_none_or(|success| *at > success)).collect();
        let before = before.filter(|_| last_success.is_none());
        let Some(last) = failed.iter().max() else { return before };
        let failures =
            before.map_or(0, |backoff| backoff.failures) + u32::try_from(failed.len()).unwrap_or(1);
        Some(Backoff { failures, last: *last })
    }

    fn note_backoff(&self, job: &Object, backoff: Option<Backoff>) {
        let mut failures = self.failures.lock();
        match backoff {
            Some(backoff) => failures.insert(job.key().into(), backoff),
            None => failures.remove(job.key().as_str()),
        };
    }

    /// Comes back when `activeDeadlineSeconds` will be over.
    fn plan_deadline(&self, job: &Object) {
        if let Some(left) = policy::until_deadline(job, self.ctx.clock.now()) {
            self.queue.add_after(job.key(), left + Duration::from_millis(10));
        }
    }
}
