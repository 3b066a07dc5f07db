//! What a job's pods amount to, and what follows for the job.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use drydock_machinery::{Key, Map, Object, ObjectMeta, Value};
use drydock_runtime::Clock;
use jiff::Timestamp;

use super::indexes::{self, Indexes};
use super::policy::{self, Action};
use super::{Backoff, is_indexed, is_suspended, is_tracked};
use crate::util::{conditions, count_at, pod};

/// A verdict: the condition to come, its reason and message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) succeeded: bool,
    pub(super) reason: String,
    pub(super) message: String,
}

pub(super) struct State<'a> {
    pub(super) job: &'a Object,
    pub(super) now: Timestamp,
    pub(super) active: Vec<Arc<Object>>,
    pub(super) terminating: Vec<Arc<Object>>,
    /// Finished, with their tracking finalizer: to be counted. The second says whether the failure counts.
    pub(super) done: Vec<(Arc<Object>, bool)>,
    /// Uids that are in the status' uncounted lists, whose pods are released or gone.
    pub(super) released: Vec<String>,
    pub(super) completed: Indexes,
    pub(super) failed_indexes: Indexes,
    pub(super) verdict: Option<Verdict>,
    /// Not written yet.
    pub(super) is_new_verdict: bool,
    /// With `backoffLimitPerIndex`: the last failed pod of each index that has no other pod yet. It is counted when
    /// another one has come, which is told what it was told.
    pub(super) replaced: BTreeMap<i64, Arc<Object>>,
    /// New pods wait until a pause after failures is over.
    pub(super) pauses: bool,
    /// The failures in a row, with those that the status to be written counts.
    pub(super) backoff: Option<Backoff>,
}

/// Deleted before it finished counts as failed, unless failures are only counted once pods are really gone.
fn has_failed(pod: &Object, job: &Object) -> bool {
    let only_failed = job.str_at(&["spec", "podReplacementPolicy"]) == "Failed"
        || job.at(&["spec", "podFailurePolicy"]).is_some_and(|policy| !policy.is_null());
    pod::phase(pod) == "Failed" || (pod.is_deleting() && pod::phase(pod) != "Succeeded" && !only_failed)
}

impl<'a> State<'a> {
    /// `let_go` names pods by uid that are counted although they still seem to have their finalizer.
    pub(super) fn new(job: &'a Object, pods: Vec<Arc<Object>>, let_go: &HashSet<Key>, clock: &Clock) -> Self {
        let completions = job.i64_at(&["spec", "completions"]);
        let limit = completions.unwrap_or(i64::MAX);
        let mut state = Self {
            job,
            now: clock.now(),
            active: Vec::new(),
            terminating: Vec::new(),
            done: Vec::new(),
            released: Vec::new(),
            completed: indexes::parse(job.str_at(&["status", "completedIndexes"]), limit),
            failed_indexes: indexes::parse(job.str_at(&["status", "failedIndexes"]), limit),
            verdict: None,
            is_new_verdict: false,
            replaced: BTreeMap::new(),
            pauses: false,
            backoff: None,
        };
        let is_tracked = |pod: &Object| is_tracked(pod) && !let_go.contains(pod.uid());
        for uid in state.uncounted("succeeded").into_iter().chain(state.uncounted("failed")) {
            if !pods.iter().any(|pod| pod.uid() == uid && is_tracked(pod)) {
                state.released.push(uid);
            }
        }
        for pod in pods {
            let tracked = is_tracked(&pod);
            state.sort_in(pod, tracked);
        }
        state
    }

    fn sort_in(&mut self, pod: Arc<Object>, is_tracked: bool) {
        let succeeded = pod::phase(&pod) == "Succeeded";
        let failed = !succeeded && has_failed(&pod, self.job);
        if pod::is_terminating(&pod) {
            self.terminating.push(pod.clone());
        } else if pod::is_active(&pod) {
            self.active.push(pod.clone());
        }
        if (succeeded || failed) && is_tracked {
            if succeeded
                && is_indexed(self.job)
                && let Some(index) = indexes::of_pod(&pod)
            {
                self.completed.insert(index);
            }
            let counts = succeeded || policy::judge_failure(self.job, &pod).0 != Action::Ignore;
            self.done.push((pod, counts));
        }
    }

    /// Uids in a list of `status.uncountedTerminatedPods`.
    pub(super) fn uncounted(&self, list: &str) -> Vec<String> {
        let uids = self.job.array_at(&["status", "uncountedTerminatedPods", list]).iter();
        uids.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    fn is_uncounted(&self, uid: &str) -> bool {
        ["succeeded", "failed"].iter().any(|list| self.uncounted(list).iter().any(|one| one == uid))
    }

    /// Finished pods that count and that no list has yet.
    pub(super) fn fresh(&self, phase_succeeded: bool) -> impl Iterator<Item = &Arc<Object>> {
        self.finished(phase_succeeded).filter(|(_, counts)| *counts).map(|(pod, _)| pod)
    }

    /// Finished pods that no list has yet, and whether they count: new pods also wait after failures that are ignored.
    pub(super) fn finished(&self, phase_succeeded: bool) -> impl Iterator<Item = &(Arc<Object>, bool)> {
        self.done.iter().filter(move |(pod, _)| {
            (pod::phase(pod) == "Succeeded") == phase_succeeded && !self.is_uncounted(pod.uid())
        })
    }

    pub(super) fn new_succeeded(&self) -> usize {
        self.fresh(true).count()
    }

    pub(super) fn new_failed(&self) -> usize {
        self.fresh(false).count()
    }

    pub(super) fn fresh_uids(&self, succeeded: bool) -> Vec<String> {
        self.fresh(succeeded).map(|pod| pod.uid().to_owned()).collect()
    }

    pub(super) fn succeeded(&self) -> i64 {
        if is_indexed(self.job) {
            return self.completed.count();
        }
        let counted = count_at(self.job, &["status", "succeeded"], 0);
        counted + (self.uncounted("succeeded").len() + self.new_succeeded()) as i64
    }

    pub(super) fn failed(&self) -> i64 {
        let counted = count_at(self.job, &["status", "failed"], 0);
        counted + (self.uncounted("failed").len() + self.new_failed()) as i64
    }

    pub(super) fn ready(&self) -> i64 {
        self.active.iter().filter(|pod| pod::is_ready(pod)).count() as i64
    }

    /// Decides whether the job has ended, and how. A decision that was written before stands.
    pub(super) fn judge(&mut self) {
        self.count_index_failures();
        let standing = self.standing_verdict();
        self.is_new_verdict = standing.is_none();
        self.verdict = standing.or_else(|| self.new_verdict());
        // What is stopped because the job has succeeded has not failed.
        if self.verdict.as_ref().is_some_and(|verdict| verdict.succeeded) {
            for (pod, counts) in &mut self.done {
                *counts &= pod::phase(pod) != "Running" && pod::phase(pod) != "Pending";
            }
        }
    }

    /// Finds the pods that wait to be replaced within their index, and leaves them uncounted while the job goes on.
    pub(super) fn hold_back_replaced(&mut self) {
        if self.job.i64_at(&["spec", "backoffLimitPerIndex"]).is_none() {
            return;
        }
        let active: Indexes = self.active.iter().filter_map(|pod| indexes::of_pod(pod)).collect();
        for (pod, _) in self.done.iter().filter(|(pod, _)| pod::phase(pod) != "Succeeded") {
            let Some(index) = indexes::of_pod(pod) else { continue };
            if self.completed.contains(index) || self.failed_indexes.contains(index) || active.contains(index)
            {
                continue;
            }
            let later = |last: &Arc<Object>| {
                policy::all_index_failures(last) <= policy::all_index_failures(pod)
                    && policy::finished_at(last) <= policy::finished_at(pod)
            };
            if self.replaced.get(&index).is_none_or(later) {
                self.replaced.insert(index, pod.clone());
            }
        }
        if self.verdict.is_none() {
            let replaced = &self.replaced;
            self.done.retain(|(pod, _)| !replaced.values().any(|held| held.uid() == pod.uid()));
        }
    }

    /// Pods that were stopped because the job has ended are let go; of a failed job they have failed.
    pub(super) fn count_stopped(&mut self) {
        let Some(verdict) = &self.verdict else { return };
        for pod in self.terminating.iter().filter(|pod| is_tracked(pod)) {
            if self.done.iter().any(|(done, _)| done.uid() == pod.uid()) {
                continue;
            }
            let counts = !verdict.succeeded && policy::judge_failure(self.job, pod).0 != Action::Ignore;
            self.done.push((pod.clone(), counts));
        }
    }

    fn standing_verdict(&self) -> Option<Verdict> {
        for (kind, succeeded) in [("FailureTarget", false), ("SuccessCriteriaMet", true)] {
            if conditions::is_true(self.job, kind) {
                let condition = conditions::condition(self.job, kind)?;
                return Some(Verdict {
                    succeeded,
                    reason: condition.str_at(&["reason"]).to_owned(),
                    message: condition.str_at(&["message"]).to_owned(),
                });
            }
        }
        None
    }

    fn new_verdict(&self) -> Option<Verdict> {
        let verdict = |succeeded, reason: &str, message: String| {
            Some(Verdict { succeeded, reason: reason.to_owned(), message })
        };
        for (pod, _) in self.done.iter().filter(|(pod, _)| pod::phase(pod) != "Succeeded") {
            if let (Action::FailJob, message) = policy::judge_failure(self.job, pod) {
                return verdict(false, "PodFailurePolicy", message);
            }
        }
        if policy::past_limit(self.job, self.failed(), &self.active) {
            let message = "Job has reached the specified backoff limit".to_owned();
            return verdict(false, "BackoffLimitExceeded", message);
        }
        if policy::past_deadline(self.job, self.now) {
            let message = "Job was active longer than specified deadline".to_owned();
            return verdict(false, "DeadlineExceeded", message);
        }
        if let Some(verdict) = self.index_verdict() {
            return Some(verdict);
        }
        if let Some(message) = policy::success_rule(self.job, &self.completed) {
            return verdict(true, "SuccessPolicy", message);
        }
        let reached = match self.job.i64_at(&["spec", "completions"]) {
            Some(completions) => self.succeeded() >= completions,
            // Those of a suspended job are stopped now.
            None => self.succeeded() > 0 && (self.active.is_empty() || is_suspended(self.job)),
        };
        if reached {
            let message = "Reached expected number of succeeded pods".to_owned();
            return verdict(true, "CompletionsReached", message);
        }
        None
    }

    fn count_index_failures(&mut self) {
        let Some(limit) = self.job.i64_at(&["spec", "backoffLimitPerIndex"]) else { return };
        // What is stopped because the job has failed says nothing about its index.
        let failed: Vec<Arc<Object>> =
            self.fresh(false).filter(|pod| pod::phase(pod) == "Failed").cloned().collect();
        for pod in failed {
            let before = policy::index_failures(&pod);
            let fail_index = policy::judge_failure(self.job, &pod).0 == Action::FailIndex;
            if let Some(index) = indexes::of_pod(&pod).filter(|_| before >= limit || fail_index)
                && !self.completed.contains(index)
            {
                self.failed_indexes.insert(index);
            }
        }
    }

    fn index_verdict(&self) -> Option<Verdict> {
        self.job.i64_at(&["spec", "backoffLimitPerIndex"])?;
        let verdict = |reason: &str, message: &str| {
            Some(Verdict { succeeded: false, reason: reason.to_owned(), message: message.to_owned() })
        };
        let failed = self.failed_indexes.count();
        if self.job.i64_at(&["spec", "maxFailedIndexes"]).is_some_and(|most| failed > most) {
            let message = "Job has exceeded the specified maximal number of failed indexes";
            return verdict("MaxFailedIndexesExceeded", message);
        }
        let all = count_at(self.job, &["spec", "completions"], 0);
        if failed > 0 && failed + self.completed.count() >= all {
            return verdict("FailedIndexes", "Job has failed indexes");
        }
        None
    }

    /// The same when all that was done is written to `job` and released.
    pub(super) fn after_release<'b>(&self, job: &'b Object) -> State<'b> {
        let mut after = State {
            job,
            now: self.now,
            active: self.active.clone(),
            terminating: self.terminating.clone(),
            done: Vec::new(),
            released: Vec::new(),
            completed: self.completed.clone(),
            failed_indexes: self.failed_indexes.clone(),
            verdict: self.verdict.clone(),
            is_new_verdict: false,
            replaced: BTreeMap::new(),
            pauses: self.pauses,
            backoff: None,
        };
        after.released = after.uncounted("succeeded");
        after.released.extend(after.uncounted("failed"));
        after
    }

    /// `status.uncountedTerminatedPods` from lists of uids.
    pub(super) fn uncounted_value(succeeded: Vec<String>, failed: Vec<String>) -> Value {
        let mut map = Map::new();
        for (name, list) in [("failed", failed), ("succeeded", succeeded)] {
            if !list.is_empty() {
                map.insert(name, list);
            }
        }
        Value::from(map)
    }
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    #[test]
    fn a_pod_that_was_let_go_is_not_counted_again() {
        let job = Object::new(
            value!({"metadata": {"name": "j"}, "status": {"failed": 1, "uncountedTerminatedPods": {}}}),
            1,
        );
        let pod = Arc::new(Object::new(
            value!({
                "metadata": {"name": "p", "uid": "u1", "finalizers": ["batch.kubernetes.io/job-tracking"]},
                "status": {"phase": "Failed"},
            }),
            1,
        ));
        let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
        let fresh = |let_go: &HashSet<Key>| State::new(&job, vec![pod.clone()], let_go, &clock).new_failed();
        assert_eq!(fresh(&HashSet::new()), 1);
        assert_eq!(fresh(&HashSet::from(["u1".into()])), 0);
    }
}
