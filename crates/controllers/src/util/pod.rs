//! Reading pods.

use std::time::Duration;

use drydock_machinery::{ObjectMeta, Value};
use jiff::Timestamp;

use super::conditions::{condition, is_true};
use super::{between, time_at};

pub(crate) fn phase(pod: &Value) -> &str {
    pod.str_at(&["status", "phase"])
}

/// Succeeded or Failed.
pub(crate) fn is_finished(pod: &Value) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Neither finished nor being deleted.
pub(crate) fn is_active(pod: &Value) -> bool {
    !is_finished(pod) && !pod.is_deleting()
}

/// Being deleted, and not finished.
pub(crate) fn is_terminating(pod: &Value) -> bool {
    !is_finished(pod) && pod.is_deleting()
}

pub(crate) fn is_ready(pod: &Value) -> bool {
    is_true(pod, "Ready")
}

/// Ready for at least `min_ready_seconds`.
pub(crate) fn is_available(pod: &Value, min_ready_seconds: i64, now: Timestamp) -> bool {
    if !is_ready(pod) {
        return false;
    }
    min_ready_seconds == 0
        || ready_since(pod).is_some_and(|since| now.duration_since(since).as_secs() >= min_ready_seconds)
}

/// When the pod became ready, as its condition says.
pub(crate) fn ready_since(pod: &Value) -> Option<Timestamp> {
    condition(pod, "Ready").and_then(|condition| time_at(condition, &["lastTransitionTime"]))
}

/// Until the first ready but not yet available pod becomes available.
pub(crate) fn next_available<'a>(
    pods: impl IntoIterator<Item = &'a Value>,
    min_ready_seconds: i64,
    now: Timestamp,
) -> Option<Duration> {
    let waits = pods.into_iter().filter(|pod| is_ready(pod) && !is_available(pod, min_ready_seconds, now));
    waits
        .filter_map(|pod| {
            let at =
                ready_since(pod)?.saturating_add(jiff::SignedDuration::from_secs(min_ready_seconds)).ok()?;
            Some(between(now, at).max(Duration::from_millis(10)))
        })
        .min()
}

pub(crate) fn node_name(pod: &Value) -> &str {
    pod.str_at(&["spec", "nodeName"])
}

/// The highest restart count of its containers.
pub(crate) fn max_restarts(pod: &Value) -> i64 {
    let statuses = pod.array_at(&["status", "containerStatuses"]).iter();
    statuses.filter_map(|status| status.i64_at(&["restartCount"])).max().unwrap_or(0)
}
