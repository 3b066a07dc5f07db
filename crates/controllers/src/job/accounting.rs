//! Counting finished pods exactly once, and the job's status.

use std::sync::Arc;

use drydock_client::resources::{JOBS, PODS};
use drydock_client::{CallResult, PatchType};
use drydock_machinery::{Object, ObjectMeta, Status, Value, value};

use super::indexes;
use super::state::{State, Verdict};
use super::{Jobs, TRACKING, is_indexed, is_suspended};
use crate::util::{conditions, count_at, pod, set_count};

impl Jobs {
    /// Writes what is known, lets counted pods go, and moves them into the counts.
    pub(super) async fn account(&self, job: &Arc<Object>, state: &State<'_>) -> Result<(), Status> {
        let written = self.write_status(job, state).await?;
        self.note_backoff(job, state.backoff);
        if state.done.is_empty() {
            return Ok(());
        }
        for (pod, _) in &state.done {
            self.release(pod).await?;
        }
        let after = state.after_release(&written);
        self.write_status(&written, &after).await.map(drop)
    }

    async fn write_status(&self, job: &Arc<Object>, state: &State<'_>) -> CallResult {
        let (new, events) = self.computed(job, state);
        let mut written = job.clone();
        if new.get("status") != job.get("status") {
            written = self.ctx.client.update_status(&JOBS, new).await?;
        }
        for (normal, reason, message) in events {
            if normal {
                self.ctx.events.normal(job, reason, message);
            } else {
                self.ctx.events.warning(job, reason, message);
            }
        }
        Ok(written)
    }

    pub(super) async fn release_all(&self, pods: &[Arc<Object>]) -> Result<(), Status> {
        for pod in pods {
            self.release(pod).await?;
        }
        Ok(())
    }

    /// Takes the tracking finalizer from the pod.
    pub(super) async fn release(&self, pod: &Object) -> Result<(), Status> {
        if !pod.finalizers().any(|finalizer| finalizer == TRACKING) {
            return Ok(());
        }
        let kept: Vec<Value> = pod.finalizers().filter(|f| *f != TRACKING).map(Value::from).collect();
        let mut patch = value!({"metadata": {"uid": pod.uid()}});
        patch.set(&["metadata", "finalizers"], if kept.is_empty() { Value::Null } else { Value::from(kept) });
        // Before the patch, as the informer may show its outcome before the answer comes.
        self.let_go.lock().insert(pod.uid().into());
        match self.ctx.client.patch(&PODS, pod.namespace(), pod.name(), PatchType::Merge, patch).await {
            Err(status) if status.is_not_found() => Ok(()),
            Err(status) => {
                self.let_go.lock().remove(pod.uid());
                Err(status)
            }
            Ok(_) => Ok(()),
        }
    }

    /// The job with its new status, and the events to record when that is written.
    fn computed(&self, job: &Object, state: &State<'_>) -> (Value, Vec<(bool, &'static str, String)>) {
        let mut new = job.value().clone();
        let mut events = Vec::new();
        self.note_suspension(&mut new, job, state, &mut events);
        let uncounted = count(&mut new, state);
        new.set(&["status", "ready"], state.ready());
        // While a pause goes on upstream says that none are active, whoever is.
        let active = if state.pauses { 0 } else { state.active.len() as i64 };
        set_count(&mut new, &["status", "active"], active);
        let terminating = state.terminating.len();
        new.set(&["status", "terminating"], terminating);
        if is_indexed(job) {
            let text = indexes::text(&state.completed);
            if text.is_empty() {
                new.remove(&["status", "completedIndexes"]);
            } else {
                new.set(&["status", "completedIndexes"], text);
            }
            if job.i64_at(&["spec", "backoffLimitPerIndex"]).is_some() {
                new.set(&["status", "failedIndexes"], indexes::text(&state.failed_indexes));
            }
        }
        if let Some(verdict) = &state.verdict {
            let target = if verdict.succeeded { "SuccessCriteriaMet" } else { "FailureTarget" };
            self.set_condition(&mut new, target, verdict);
            // The last word is said when nothing of the job is left running, uncounted or to be let go.
            if state.active.is_empty() && terminating == 0 && uncounted == 0 && state.done.is_empty() {
                self.conclude(&mut new, verdict, &mut events);
            }
        }
        (new, events)
    }

    fn note_suspension(
        &self,
        new: &mut Value,
        job: &Object,
        state: &State<'_>,
        events: &mut Vec<(bool, &'static str, String)>,
    ) {
        let (was_suspended, is_suspended) = (conditions::is_true(job, "Suspended"), is_suspended(job));
        if !is_suspended && job.at(&["status", "startTime"]).is_none() {
            new.set(&["status", "startTime"], self.ctx.clock.now_rfc3339());
        }
        if state.verdict.is_some() || was_suspended == is_suspended {
            return;
        }
        if is_suspended {
            new.remove(&["status", "startTime"]);
            self.set_suspended(new, "True", "JobSuspended", "Job suspended");
            events.push((true, "Suspended", "Job suspended".to_owned()));
        } else {
            new.set(&["status", "startTime"], self.ctx.clock.now_rfc3339());
            self.set_suspended(new, "False", "JobResumed", "Job resumed");
            events.push((true, "Resumed", "Job resumed".to_owned()));
        }
    }

    fn set_suspended(&self, new: &mut Value, status: &str, reason: &str, message: &str) {
        let now = self.ctx.clock.now_rfc3339();
        let mut condition = conditions::new("Suspended", status, reason, message, &now);
        condition.set(&["lastProbeTime"], now);
        conditions::set_in_place(new, condition);
    }

    fn set_condition(&self, new: &mut Value, kind: &str, verdict: &Verdict) {
        if conditions::is_true(new, kind) {
            return;
        }
        let now = self.ctx.clock.now_rfc3339();
        let mut condition = conditions::new(kind, "True", &verdict.reason, &verdict.message, &now);
        condition.set(&["lastProbeTime"], now);
        conditions::set_in_place(new, condition);
    }

    fn conclude(&self, new: &mut Value, verdict: &Verdict, events: &mut Vec<(bool, &'static str, String)>) {
        if verdict.succeeded {
            self.set_condition(new, "Complete", verdict);
            new.set(&["status", "completionTime"], self.ctx.clock.now_rfc3339());
            events.push((true, "Completed", "Job completed".to_owned()));
        } else {
            self.set_condition(new, "Failed", verdict);
            events.push((false, known_reason(&verdict.reason), verdict.message.clone()));
        }
    }
}

fn known_reason(reason: &str) -> &'static str {
    match reason {
        "DeadlineExceeded" => "DeadlineExceeded",
        "PodFailurePolicy" => "PodFailurePolicy",
        "MaxFailedIndexesExceeded" => "MaxFailedIndexesExceeded",
        "FailedIndexes" => "FailedIndexes",
        _ => "BackoffLimitExceeded",
    }
}

/// Moves released pods into the counts and fresh ones into the uncounted lists; answers how many are uncounted still.
fn count(new: &mut Value, state: &State<'_>) -> usize {
    let is_released = |uid: &String| state.released.contains(uid);
    let mut lists = Vec::new();
    for (list, succeeded) in [("succeeded", true), ("failed", false)] {
        let (released, mut kept): (Vec<_>, Vec<_>) = state.uncounted(list).into_iter().partition(is_released);
        let counted = count_at(new, &["status", list], 0) + released.len() as i64;
        let indexed = succeeded && is_indexed(state.job);
        if indexed {
            set_count(new, &["status", list], state.completed.count());
        } else {
            set_count(new, &["status", list], counted);
            kept.extend(state.fresh_uids(succeeded));
        }
        lists.push(kept);
    }
    // Pods that were deleted because the job has ended are counted in the same way.
    let (failed, succeeded) = (lists.pop().unwrap_or_default(), lists.pop().unwrap_or_default());
    let left = failed.len() + succeeded.len();
    new.set(&["status", "uncountedTerminatedPods"], State::uncounted_value(succeeded, failed));
    let open = state.done.iter().filter(|(pod, counts)| !counts && pod::is_active(pod)).count();
    left + open
}
