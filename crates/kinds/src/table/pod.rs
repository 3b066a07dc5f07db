//! Pods: upstream's `printPod`.

use drydock_machinery::{ObjectMeta as _, Value, value};
use jiff::Timestamp;

use super::{age, human, text_or};
use crate::shape::{has, present};

pub(crate) fn pod(pod: &Value, now: Timestamp) -> Vec<Value> {
    let summary = Summary::of(pod);
    let restarts = match summary.last_restart {
        Some(last) if summary.restarts > 0 => {
            format!("{} ({} ago)", summary.restarts, human::since(last, now))
        }
        _ => summary.restarts.to_string(),
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
        pod.array_at(&["status", "conditions"]).iter().any(|condition| {
            condition.str_at(&["type"]) == gate.str_at(&["conditionType"])
                && condition.str_at(&["status"]) == "True"
        })
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
    restarts: i64,
    last_restart: Option<&'a str>,
    reason: String,
}

impl<'a> Summary<'a> {
    fn of(pod: &'a Value) -> Self {
        let phase = pod.str_at(&["status", "phase"]);
        let reason = text_or(pod.str_at(&["status", "reason"]), phase).to_owned();
        let mut summary = Self { ready: 0, restarts: 0, last_restart: None, reason };
        if pod.array_at(&["status", "conditions"]).iter().any(|condition| {
            condition.str_at(&["type"]) == "PodScheduled"
                && condition.str_at(&["reason"]) == "SchedulingGated"
        }) {
            "SchedulingGated".clone_into(&mut summary.reason);
        }
        let initializing = summary.init_containers(pod);
        if !initializing || is_initialized(pod) {
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

    fn count(&mut self, status: &'a Value) {
        self.restarts += status.i64_at(&["restartCount"]).unwrap_or(0);
        let finished = status.str_at(&["lastState", "terminated", "finishedAt"]);
        if !finished.is_empty() && self.last_restart.is_none_or(|last| last < finished) {
            self.last_restart = Some(finished);
        }
    }

    /// Whether init containers still have to do their work.
    fn init_containers(&mut self, pod: &'a Value) -> bool {
        let restartable: Vec<&str> = restartable_names(pod).collect();
        let statuses = pod.array_at(&["status", "initContainerStatuses"]);
        let total = pod.array_at(&["spec", "initContainers"]).len();
        let mut restartable_restarts = (0, None);
        for (i, status) in statuses.iter().enumerate() {
            self.count(status);
            let is_restartable = restartable.contains(&status.str_at(&["name"]));
            if is_restartable {
                restartable_restarts.0 += status.i64_at(&["restartCount"]).unwrap_or(0);
                restartable_restarts.1 = self.last_restart;
            }
            let terminated = present(status, &["state", "terminated"]);
            let waiting = status.str_at(&["state", "waiting", "reason"]);
            match terminated {
                Some(end) if end.i64_at(&["exitCode"]).unwrap_or(0) == 0 => continue,
                None if is_restartable && status.bool_at(&["started"]) => {
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
            return true;
        }
        // Restarts of init containers no longer count, but those of sidecars do.
        (self.restarts, self.last_restart) = restartable_restarts;
        false
    }

    fn containers(&mut self, pod: &'a Value) {
        let mut has_running = false;
        let statuses = pod.array_at(&["status", "containerStatuses"]);
        for status in statuses.iter().rev() {
            self.count(status);
            let waiting = status.str_at(&["state", "waiting", "reason"]);
            if !waiting.is_empty() {
                waiting.clone_into(&mut self.reason);
            } else if let Some(end) = present(status, &["state", "terminated"]) {
                self.reason = ended(end);
            } else if status.bool_at(&["ready"]) && has(status, &["state", "running"]) {
                has_running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" && has_running {
            let ready = pod.array_at(&["status", "conditions"]).iter().any(|condition| {
                condition.str_at(&["type"]) == "Ready" && condition.str_at(&["status"]) == "True"
            });
            if ready { "Running" } else { "NotReady" }.clone_into(&mut self.reason);
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
