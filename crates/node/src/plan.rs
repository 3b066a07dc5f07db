//! What a pod does next: a pure function of the pod as the API server has it.

use std::time::Duration;

use drydock_machinery::{ObjectMeta, Value};
use jiff::Timestamp;

use crate::behaviour;
use crate::status::EPHEMERAL;

/// A step in a pod's life. Containers are named by their place in their list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The kubelet has seen the pod.
    Admit,
    InitStarts(usize),
    InitEnds(usize),
    /// All containers that wait are started.
    Start,
    /// Probes succeed.
    Ready(usize),
    /// Conditions follow what is already true, such as a readiness gate.
    Conditions,
    Ends(usize),
    Restarts(usize),
    /// An ephemeral container is started beside the others; it runs until the pod ends.
    Debug(usize),
    /// The containers have stopped after a deletion.
    Stop,
    /// Nothing is left but the object.
    Remove,
    /// `activeDeadlineSeconds` are over.
    DeadlineExceeded,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// From the moment it is planned.
    After(Duration),
    At(Timestamp),
}

const NOW: When = When::After(Duration::ZERO);

pub(crate) fn is_finished(pod: &Value) -> bool {
    matches!(pod.str_at(&["status", "phase"]), "Succeeded" | "Failed")
}

pub(crate) fn is_sidecar(container: &Value) -> bool {
    container.str_at(&["restartPolicy"]) == "Always"
}

/// None when the pod rests. `has_image` knows which images need no pulling.
pub(crate) fn next(pod: &Value, has_image: impl Fn(&str) -> bool) -> Option<(Step, When)> {
    if is_finished(pod) {
        return pod.is_deleting().then_some((Step::Remove, NOW));
    }
    if pod.is_deleting() {
        return Some((Step::Stop, When::After(behaviour::stop_time(pod))));
    }
    if pod.str_at(&["status", "startTime"]).is_empty() {
        return Some((Step::Admit, NOW));
    }
    let step = init_step(pod, &has_image).unwrap_or_else(|| app_step(pod, &has_image));
    earlier(earlier(step, debug_step(pod, &has_image)), deadline(pod))
}

/// The next ephemeral container that was added, once the pod has a sandbox.
fn debug_step(pod: &Value, has_image: &impl Fn(&str) -> bool) -> Option<(Step, When)> {
    if pod.str_at(&["status", "podIP"]).is_empty() {
        return None;
    }
    let i = pod.array_at(&["status", EPHEMERAL]).len();
    let container = pod.array_at(&["spec", "ephemeralContainers"]).get(i)?;
    Some((Step::Debug(i), When::After(pull_times(pod, [container], has_image))))
}

/// The step of the first init container that is not done. Some(None) when it rests there; None when all are done.
fn init_step(pod: &Value, has_image: &impl Fn(&str) -> bool) -> Option<Option<(Step, When)>> {
    for (i, container) in pod.array_at(&["spec", "initContainers"]).iter().enumerate() {
        let status = pod.array_at(&["status", "initContainerStatuses"]).get(i);
        let state = |name: &str| status.and_then(|status| status.at(&["state", name]));
        if let Some(ended) = state("terminated") {
            if ended.i64_at(&["exitCode"]).unwrap_or(0) == 0 {
                continue;
            }
            return Some(restart(pod, status?).map(|when| (Step::InitStarts(i), when)));
        }
        if let Some(running) = state("running") {
            if is_sidecar(container) {
                continue;
            }
            let started: Option<Timestamp> = running.str_at(&["startedAt"]).parse().ok();
            let after = behaviour::init_ending(pod, container).after;
            return Some(Some((Step::InitEnds(i), at(started, after))));
        }
        if state("waiting").is_some_and(|waiting| is_pull_failure(waiting.str_at(&["reason"]))) {
            return Some(None);
        }
        return Some(Some((Step::InitStarts(i), When::After(start_time(pod, [container], has_image)))));
    }
    None
}

fn app_step(pod: &Value, has_image: &impl Fn(&str) -> bool) -> Option<(Step, When)> {
    let containers = pod.array_at(&["spec", "containers"]);
    let statuses = pod.array_at(&["status", "containerStatuses"]);
    let waiting =
        |i: usize| statuses.get(i).map_or("", |status| status.str_at(&["state", "waiting", "reason"]));
    let to_start = || {
        let created = |i: usize| matches!(waiting(i), "ContainerCreating" | "PodInitializing");
        containers.iter().enumerate().filter(move |(i, _)| created(*i)).map(|(_, container)| container)
    };
    if to_start().next().is_some() {
        return Some((Step::Start, When::After(start_time(pod, to_start(), has_image))));
    }
    let mut best = None;
    for (i, (container, status)) in containers.iter().zip(statuses).enumerate() {
        best = earlier(best, container_step(pod, i, container, status));
    }
    if best.is_none() && crate::status::conditions_lag(pod) {
        return Some((Step::Conditions, NOW));
    }
    best
}

fn container_step(pod: &Value, i: usize, container: &Value, status: &Value) -> Option<(Step, When)> {
    if let Some(running) = status.at(&["state", "running"]) {
        let started: Option<Timestamp> = running.str_at(&["startedAt"]).parse().ok();
        let never = behaviour::never_ready(pod);
        let settled = status.bool_at(&["ready"]) || (never && status.bool_at(&["started"]));
        if !settled {
            return Some((Step::Ready(i), at(started, behaviour::readiness_delay(pod, container))));
        }
        let ending = behaviour::ending(pod, container)?;
        return Some((Step::Ends(i), at(started, ending.after)));
    }
    if status.str_at(&["state", "waiting", "reason"]) == "CrashLoopBackOff" {
        return restart(pod, status).map(|when| (Step::Restarts(i), when));
    }
    let ended = status.at(&["state", "terminated"])?;
    let failed = ended.i64_at(&["exitCode"]).unwrap_or(0) != 0;
    let restarts = match pod.str_at(&["spec", "restartPolicy"]) {
        "Never" => false,
        "OnFailure" => failed,
        _ => true,
    };
    restarts.then(|| (Step::Restarts(i), When::After(Duration::from_millis(500))))
}

/// When a container that has ended is started again: 10 s doubling to 5 minutes after its end.
fn restart(pod: &Value, status: &Value) -> Option<When> {
    if pod.str_at(&["spec", "restartPolicy"]) == "Never" {
        return None;
    }
    let ended = status.at(&["lastState", "terminated"]).or_else(|| status.at(&["state", "terminated"]))?;
    let finished: Option<Timestamp> = ended.str_at(&["finishedAt"]).parse().ok();
    Some(at(finished, back_off(status.i64_at(&["restartCount"]).unwrap_or(0))))
}

/// The pause after so many restarts.
pub(crate) fn back_off(restarts: i64) -> Duration {
    let factor = 1u64 << restarts.saturating_sub(1).clamp(0, 5);
    Duration::from_secs((10 * factor).min(300))
}

/// Sandbox (for the first containers) and pulling.
fn start_time<'a>(
    pod: &Value,
    containers: impl IntoIterator<Item = &'a Value>,
    has_image: &impl Fn(&str) -> bool,
) -> Duration {
    behaviour::sandbox_time(pod) + pull_times(pod, containers, has_image)
}

fn pull_times<'a>(
    pod: &Value,
    containers: impl IntoIterator<Item = &'a Value>,
    has_image: &impl Fn(&str) -> bool,
) -> Duration {
    let pulls = containers.into_iter().filter_map(|container| {
        let image = container.str_at(&["image"]);
        let cached = container.str_at(&["imagePullPolicy"]) != "Always" && has_image(image);
        (!cached).then(|| behaviour::pull_time(pod, image))
    });
    pulls.sum()
}

pub(crate) fn is_pull_failure(reason: &str) -> bool {
    matches!(reason, "ErrImagePull" | "ImagePullBackOff")
}

fn deadline(pod: &Value) -> Option<(Step, When)> {
    let seconds = pod.i64_at(&["spec", "activeDeadlineSeconds"])?;
    let start: Timestamp = pod.str_at(&["status", "startTime"]).parse().ok()?;
    let end = start.saturating_add(jiff::SignedDuration::from_secs(seconds)).ok()?;
    Some((Step::DeadlineExceeded, When::At(end)))
}

fn at(from: Option<Timestamp>, after: Duration) -> When {
    match from.and_then(|from| from.saturating_add(after).ok()) {
        Some(time) => When::At(time),
        None => When::After(after),
    }
}

/// Steps that begin now or soon come before those at a time, which are further away as a rule.
fn earlier(a: Option<(Step, When)>, b: Option<(Step, When)>) -> Option<(Step, When)> {
    let (Some(a), Some(b)) = (a, b) else { return a.or(b) };
    match (a.1, b.1) {
        (When::At(x), When::At(y)) if y < x => Some(b),
        (When::After(x), When::After(y)) if y < x => Some(b),
        (When::At(_), When::After(_)) => Some(b),
        _ => Some(a),
    }
}
