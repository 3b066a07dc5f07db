//! Pods: upstream's `printPod`.

use drydock_machinery::{ObjectMeta as _, Value, value};
use jiff::Timestamp;

use super::{age, human, text_or};
use crate::shape::{has, present};

pub(crate) fn pod(pod: &Value, now: Timestamp) -> Vec<Value> {
    let summary = Summary::of(pod);
    let restarts = match summary.restarts {
        Restarts { count, last: Some(last) } if count != 0 => {
            format!("{count} ({} ago)", human::since(last, now))
        }
        Restarts { count, .. } => count.to_string(),
    };
    let total = pod.array_at(&["spec", "containers"]).len() + restartable_names(pod).count();
    let ip = pod.array_at(&["status", "podIPs"]).first().map_or("", |ip| ip.str_at(&["ip"]));
    let gates = pod.array_at(&["spec", "readinessGates"]);
    vec![
        pod.name().into(),
        format!("{}/{total}", summary.ready).into(),
        summary.reason.into(),
        restarts.into(),
        age(pod, now),
        text_or(ip, "<none>").into(),
        text_or(pod.str_at(&["spec", "nodeName"]), "<none>").into(),
        text_or(pod.str_at(&["status", "nominatedNodeName"]), "<none>").into(),
        readiness_gates(pod, gates).into(),
    ]
}

/// Whether the pod has completed: what `kubectl get` greys out.
pub(crate) fn pod_conditions(pod: &Value) -> Vec<Value> {
    let message = match pod.str_at(&["status", "phase"]) {
        "Succeeded" => "The pod has completed successfully.",
        "Failed" => "The pod failed.",
        _ => return Vec::new(),
    };
    let reason = pod.str_at(&["status", "phase"]);
    vec![value!({"type": "Completed", "status": "True", "reason": reason, "message": message})]
}

fn readiness_gates(pod: &Value, gates: &[Value]) -> String {
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let is_true = |gate: &&Value| {
        let mut conditions = pod.array_at(&["status", "conditions"]).iter();
        let first =
            conditions.find(|condition| condition.str_at(&["type"]) == gate.str_at(&["conditionType"]));
        first.is_some_and(|condition| condition.str_at(&["status"]) == "True")
    };
    format!("{}/{}", gates.iter().filter(is_true).count(), gates.len())
}

fn restartable_names(pod: &Value) -> impl Iterator<Item = &str> {
    let containers = pod.array_at(&["spec", "initContainers"]).iter();
    containers
        .filter(|container| container.str_at(&["restartPolicy"]) == "Always")
        .map(|container| container.str_at(&["name"]))
}

struct Summary<'a> {
    ready: usize,
    restarts: Restarts<'a>,
    reason: String,
}

#[derive(Default)]
struct Restarts<'a> {
    count: i64,
    last: Option<&'a str>,
}

impl<'a> Restarts<'a> {
    fn add(&mut self, status: &'a Value) {
        self.count += status.i64_at(&["restartCount"]).unwrap_or(0);
        let finished = status.str_at(&["lastState", "terminated", "finishedAt"]);
        if !finished.is_empty() && self.last.is_none_or(|last| last < finished) {
            self.last = Some(finished);
        }
    }
}

impl<'a> Summary<'a> {
    fn of(pod: &'a Value) -> Self {
        let phase = pod.str_at(&["status", "phase"]);
        let reason = text_or(pod.str_at(&["status", "reason"]), phase).to_owned();
        let mut summary = Self { ready: 0, restarts: Restarts::default(), reason };
        if pod.array_at(&["status", "conditions"]).iter().any(|condition| {
            condition.str_at(&["type"]) == "PodScheduled"
                && condition.str_at(&["reason"]) == "SchedulingGated"
        }) {
            "SchedulingGated".clone_into(&mut summary.reason);
        }
        let (initializing, of_sidecars) = summary.init_containers(pod);
        if !initializing || is_initialized(pod) {
            // Restarts of init containers no longer count, but those of sidecars do.
            summary.restarts = of_sidecars;
            summary.containers(pod);
        }
        if pod.is_deleting() {
            let lost = pod.str_at(&["status", "reason"]) == "NodeLost";
            if lost {
                "Unknown".clone_into(&mut summary.reason);
            } else if !matches!(phase, "Succeeded" | "Failed") {
                "Terminating".clone_into(&mut summary.reason);
            }
        }
        summary
    }

    /// Whether init containers still have to do their work, and the restarts of those that are sidecars.
    fn init_containers(&mut self, pod: &'a Value) -> (bool, Restarts<'a>) {
        let restartable: Vec<&str> = restartable_names(pod).collect();
        let statuses = pod.array_at(&["status", "initContainerStatuses"]);
        let total = pod.array_at(&["spec", "initContainers"]).len();
        let mut of_sidecars = Restarts::default();
        for (i, status) in statuses.iter().enumerate() {
            self.restarts.add(status);
            let is_restartable = restartable.contains(&status.str_at(&["name"]));
            if is_restartable {
                of_sidecars.add(status);
            }
            let terminated = present(status, &["state", "terminated"]);
            let waiting = status.str_at(&["state", "waiting", "reason"]);
            match terminated {
                Some(end) if end.i64_at(&["exitCode"]).unwrap_or(0) == 0 => continue,
                _ if is_restartable && status.bool_at(&["started"]) => {
                    if status.bool_at(&["ready"]) {
                        self.ready += 1;
                    }
                    continue;
                }
                Some(end) => self.reason = format!("Init:{}", ended(end)),
                None if !waiting.is_empty() && waiting != "PodInitializing" => {
                    self.reason = format!("Init:{waiting}");
                }
                None => self.reason = format!("Init:{i}/{total}"),
            }
            return (true, of_sidecars);
        }
        (false, of_sidecars)
    }

    fn containers(&mut self, pod: &'a Value) {
        let mut has_running = false;
        let mut failure = None;
        let statuses = pod.array_at(&["status", "containerStatuses"]);
        for status in statuses.iter().rev() {
            self.restarts.add(status);
            let waiting = status.str_at(&["state", "waiting", "reason"]);
            if !waiting.is_empty() {
                waiting.clone_into(&mut self.reason);
            } else if let Some(end) = present(status, &["state", "terminated"]) {
                self.reason = ended(end);
                if end.i64_at(&["exitCode"]).unwrap_or(0) != 0 {
                    failure = Some(self.reason.clone());
                }
            } else if status.bool_at(&["ready"]) && has(status, &["state", "running"]) {
                has_running = true;
                self.ready += 1;
            }
        }
        if self.reason != "Completed" {
            return;
        }
        let mut conditions = pod.array_at(&["status", "conditions"]).iter();
        let is_ready = conditions.any(|condition| {
            condition.str_at(&["type"]) == "Ready" && condition.str_at(&["status"]) == "True"
        });
        if has_running && is_ready {
            "Running".clone_into(&mut self.reason);
        } else if let Some(failure) = failure {
            self.reason = failure;
        } else if has_running {
            "NotReady".clone_into(&mut self.reason);
        }
    }
}

fn is_initialized(pod: &Value) -> bool {
    pod.array_at(&["status", "conditions"]).iter().any(|condition| {
        condition.str_at(&["type"]) == "Initialized" && condition.str_at(&["status"]) == "True"
    })
}

fn ended(terminated: &Value) -> String {
    let reason = terminated.str_at(&["reason"]);
    let signal = terminated.i64_at(&["signal"]).unwrap_or(0);
    if !reason.is_empty() {
        reason.to_owned()
    } else if signal != 0 {
        format!("Signal:{signal}")
    } else {
        format!("ExitCode:{}", terminated.i64_at(&["exitCode"]).unwrap_or(0))
    }
}
