//! The rules by which a job fails or succeeds early.

use std::sync::Arc;
use std::time::Duration;

use drydock_machinery::{Object, ObjectMeta, Value};
use jiff::{SignedDuration, Timestamp};

use super::indexes::{self, Indexes};
use crate::util::{between, count_at, time_at};

const INDEX_FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
const IGNORED_INDEX_FAILURES: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

/// What a pod failure policy says about a failed pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Count,
    Ignore,
    FailIndex,
    FailJob,
}

/// The first rule that matches decides. The message is for [`Action::FailJob`].
pub(super) fn judge_failure(job: &Object, pod: &Object) -> (Action, String) {
    for (i, rule) in job.array_at(&["spec", "podFailurePolicy", "rules"]).iter().enumerate() {
        let action = match rule.str_at(&["action"]) {
            "Ignore" => Action::Ignore,
            "FailIndex" => Action::FailIndex,
            "FailJob" => Action::FailJob,
            _ => Action::Count,
        };
        let matched = match rule.get("onExitCodes").filter(|on| !on.is_null()) {
            Some(on) => exit_code_match(on, pod, rule, i),
            None => condition_match(rule, pod, i),
        };
        if let Some(message) = matched {
            return (action, message);
        }
    }
    (Action::Count, String::new())
}

fn exit_code_match(on: &Value, pod: &Object, rule: &Value, i: usize) -> Option<String> {
    let wanted = on.str_at(&["containerName"]);
    let lists = ["containerStatuses", "initContainerStatuses"];
    let statuses = lists.iter().flat_map(|list| pod.array_at(&["status", list]));
    for status in statuses.filter(|status| wanted.is_empty() || status.str_at(&["name"]) == wanted) {
        let Some(code) = status.i64_at(&["state", "terminated", "exitCode"]).filter(|code| *code != 0) else {
            continue;
        };
        let listed = on.array_at(&["values"]).iter().any(|value| value.as_i64() == Some(code));
        if listed == (on.str_at(&["operator"]) == "In") {
            let (name, key, action) = (status.str_at(&["name"]), pod.key(), rule.str_at(&["action"]));
            return Some(format!(
                "Container {name} for pod {key} failed with exit code {code} matching {action} rule at index {i}"
            ));
        }
    }
    None
}

fn condition_match(rule: &Value, pod: &Object, i: usize) -> Option<String> {
    for pattern in rule.array_at(&["onPodConditions"]) {
        let (kind, status) = (pattern.str_at(&["type"]), pattern.str_at(&["status"]));
        let status = if status.is_empty() { "True" } else { status };
        if crate::util::conditions::condition_status(pod, kind) == status {
            let (key, action) = (pod.key(), rule.str_at(&["action"]));
            return Some(format!("Pod {key} has condition {kind} matching {action} rule at index {i}"));
        }
    }
    None
}

/// How often the pod's index had failed before it was made.
pub(super) fn index_failures(pod: &Value) -> i64 {
    pod.annotation(INDEX_FAILURES).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Ignored failures included.
pub(super) fn all_index_failures(pod: &Value) -> i64 {
    let ignored = pod.annotation(IGNORED_INDEX_FAILURES).and_then(|text| text.parse().ok()).unwrap_or(0);
    index_failures(pod) + ignored
}

/// Tells a new pod how often its index has failed: once more than the pod that it replaces was told.
pub(super) fn set_index_failures(pod: &mut Value, job: &Object, replaced: Option<&Object>) {
    let (mut failures, mut ignored) = (0, 0);
    if let Some(replaced) = replaced {
        failures = index_failures(replaced);
        ignored = all_index_failures(replaced) - failures;
        if judge_failure(job, replaced).0 == Action::Ignore {
            ignored += 1;
        } else {
            failures += 1;
        }
    }
    pod.set(&["metadata", "annotations", INDEX_FAILURES], failures.to_string());
    if ignored > 0 {
        pod.set(&["metadata", "annotations", IGNORED_INDEX_FAILURES], ignored.to_string());
    }
}

/// When a pod ended: as its containers say, else its readiness, its deletion, or its making.
pub(super) fn finished_at(pod: &Object) -> Timestamp {
    let from_containers = || {
        let statuses = pod.array_at(&["status", "containerStatuses"]).iter();
        let times: Option<Vec<Timestamp>> =
            statuses.map(|status| time_at(status, &["state", "terminated", "finishedAt"])).collect();
        times?.into_iter().max()
    };
    let from_readiness = || {
        let ready = crate::util::conditions::condition(pod, "Ready")?;
        time_at(ready, &["lastTransitionTime"]).filter(|_| ready.str_at(&["status"]) == "False")
    };
    let from_deletion = || {
        let grace = SignedDuration::from_secs(count_at(pod, &["metadata", "deletionGracePeriodSeconds"], 0));
        time_at(pod, &["metadata", "deletionTimestamp"])?.checked_sub(grace).ok()
    };
    let created = || time_at(pod, &["metadata", "creationTimestamp"]);
    from_containers().or_else(from_readiness).or_else(from_deletion).or_else(created).unwrap_or_default()
}

/// More failures than `backoffLimit`; with `restartPolicy: OnFailure` restarts count.
pub(super) fn past_limit(job: &Object, failed: i64, active: &[Arc<Object>]) -> bool {
    let limit = count_at(job, &["spec", "backoffLimit"], 6);
    if failed > limit {
        return true;
    }
    if job.str_at(&["spec", "template", "spec", "restartPolicy"]) != "OnFailure" {
        return false;
    }
    let lists = ["initContainerStatuses", "containerStatuses"];
    let restarts: i64 = active
        .iter()
        .flat_map(|pod| lists.iter().flat_map(|list| pod.array_at(&["status", list])))
        .filter_map(|status| status.i64_at(&["restartCount"]))
        .sum();
    if limit == 0 { restarts > 0 } else { restarts >= limit }
}

/// How long the job may still run; None without a deadline or start.
pub(super) fn until_deadline(job: &Object, now: Timestamp) -> Option<Duration> {
    let seconds = u64::try_from(job.i64_at(&["spec", "activeDeadlineSeconds"])?).ok()?;
    let start = time_at(job, &["status", "startTime"])?;
    (!super::is_suspended(job)).then(|| Duration::from_secs(seconds).saturating_sub(between(start, now)))
}

pub(super) fn past_deadline(job: &Object, now: Timestamp) -> bool {
    until_deadline(job, now).is_some_and(|left| left.is_zero())
}

/// The message of the first rule of the success policy that is met.
pub(super) fn success_rule(job: &Object, completed: &Indexes) -> Option<String> {
    let completions = count_at(job, &["spec", "completions"], 0);
    for (i, rule) in job.array_at(&["spec", "successPolicy", "rules"]).iter().enumerate() {
        let (have, all) = match rule.str_at(&["succeededIndexes"]) {
            "" => (completed.count(), completions),
            text => {
                let wanted = indexes::parse(text, completions);
                (wanted.count_common(completed), wanted.count())
            }
        };
        if have > 0 && have >= rule.i64_at(&["succeededCount"]).unwrap_or(all) {
            return Some(format!("Matched rules at index {i}"));
        }
    }
    None
}
