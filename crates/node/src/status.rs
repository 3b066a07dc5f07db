//! A pod's status after a step, as a kubelet writes it.

use drydock_machinery::{ObjectMeta, Value, value};

use crate::plan::{is_finished, is_sidecar};
use crate::seed;

/// A pod's status in the making.
pub(crate) struct Draft<'a> {
    pub(crate) pod: &'a Value,
    /// The pod with the new status, so far.
    pub(crate) new: Value,
    now: String,
}

/// How a container's run ended.
pub(crate) struct Ended {
    pub(crate) exit_code: i64,
    pub(crate) reason: &'static str,
}

pub(crate) const INIT: &str = "initContainerStatuses";
pub(crate) const APP: &str = "containerStatuses";
pub(crate) const EPHEMERAL: &str = "ephemeralContainerStatuses";

/// Where the containers of a list of statuses are.
pub(crate) fn spec_list(list: &str) -> &'static str {
    match list {
        INIT => "initContainers",
        EPHEMERAL => "ephemeralContainers",
        _ => "containers",
    }
}

impl<'a> Draft<'a> {
    pub(crate) fn new(pod: &'a Value, now: String) -> Self {
        Self { pod, new: pod.clone(), now }
    }

    /// The first status of a pod that was admitted.
    pub(crate) fn admit(&mut self, host_ip: &str) {
        self.new.set(&["status", "phase"], "Pending");
        self.new.set(&["status", "startTime"], self.now.clone());
        if !host_ip.is_empty() {
            self.new.set(&["status", "hostIP"], host_ip);
            self.new.set(&["status", "hostIPs"], value!([{"ip": host_ip}]));
        }
        let has_init = !self.pod.array_at(&["spec", "initContainers"]).is_empty();
        for list in [INIT, APP] {
            let containers = self.pod.array_at(&["spec", spec_list(list)]);
            if containers.is_empty() {
                continue;
            }
            let reason = if has_init { "PodInitializing" } else { "ContainerCreating" };
            let statuses: Vec<Value> = containers.iter().map(|c| waiting_container(c, reason)).collect();
            self.new.set(&["status", list], statuses);
        }
    }

    pub(crate) fn set_ip(&mut self, ip: &str) {
        self.new.set(&["status", "podIP"], ip);
        self.new.set(&["status", "podIPs"], value!([{"ip": ip}]));
    }

    pub(crate) fn start(&mut self, list: &str, i: usize, ready: bool) {
        let spec = self.pod.array_at(&["spec", spec_list(list)]).get(i).cloned().unwrap_or_default();
        let (uid, now) = (self.pod.uid().to_owned(), self.now.clone());
        self.edit(list, i, |status| {
            let restarts = status.i64_at(&["restartCount"]).unwrap_or(0);
            let again = status.at(&["state", "terminated"]).is_some()
                || status.at(&["lastState", "terminated"]).is_some();
            let restarts = restarts + i64::from(again);
            if let Some(ended) = status.at(&["state", "terminated"]).cloned() {
                status.set(&["lastState"], value!({"terminated": {}}));
                status.set(&["lastState", "terminated"], ended);
            }
            status.set(&["restartCount"], restarts);
            status.set(&["state"], value!({"running": {"startedAt": now}}));
            status.set(&["containerID"], container_id(&uid, spec.str_at(&["name"]), restarts));
            status.set(&["imageID"], image_id(spec.str_at(&["image"])));
            status.set(&["started"], ready);
            status.set(&["ready"], ready);
            if let Some(resources) =
                spec.get("resources").filter(|r| r.as_object().is_some_and(|r| !r.is_empty()))
            {
                status.set(&["resources"], resources.clone());
                if let Some(requests) = resources.get("requests") {
                    status.set(&["allocatedResources"], requests.clone());
                }
            }
            status.set(&["user"], value!({"linux": {"uid": 0, "gid": 0, "supplementalGroups": [0]}}));
        });
    }

    /// The next ephemeral container gets a status.
    pub(crate) fn add_ephemeral(&mut self, container: &Value) {
        let mut statuses = self.new.array_at(&["status", EPHEMERAL]).to_vec();
        statuses.push(waiting_container(container, "ContainerCreating"));
        self.new.set(&["status", EPHEMERAL], statuses);
    }

    pub(crate) fn ready(&mut self, list: &str, i: usize, ready: bool) {
        self.edit(list, i, |status| {
            status.set(&["started"], true);
            status.set(&["ready"], ready);
        });
    }

    pub(crate) fn wait(&mut self, list: &str, i: usize, reason: &str, message: &str) {
        self.edit(list, i, |status| {
            if let Some(ended) = status.at(&["state", "terminated"]).cloned() {
                status.set(&["lastState"], Value::object());
                status.set(&["lastState", "terminated"], ended);
            }
            status.set(&["state"], value!({"waiting": {"reason": reason, "message": message}}));
            status.set(&["ready"], false);
            status.set(&["started"], false);
        });
    }

    pub(crate) fn end(&mut self, list: &str, i: usize, ended: &Ended) {
        let now = self.now.clone();
        // An init container that has done its work counts as ready.
        let ready = list == INIT && ended.exit_code == 0;
        self.edit(list, i, |status| {
            let started = status.str_at(&["state", "running", "startedAt"]).to_owned();
            let id = status.str_at(&["containerID"]).to_owned();
            let mut terminated = value!({
                "exitCode": ended.exit_code, "reason": ended.reason, "finishedAt": now,
                "startedAt": if started.is_empty() { now.clone() } else { started },
            });
            if !id.is_empty() {
                terminated.set(&["containerID"], id);
            }
            status.set(&["state"], Value::object());
            status.set(&["state", "terminated"], terminated);
            status.set(&["ready"], ready);
            status.set(&["started"], false);
        });
    }

    /// Ends whatever runs; what was never started ends, too.
    pub(crate) fn end_all(&mut self, ended: &Ended) {
        for list in [INIT, APP, EPHEMERAL] {
            for i in 0..self.pod.array_at(&["status", list]).len() {
                if self.pod.array_at(&["status", list])[i].at(&["state", "terminated"]).is_none() {
                    self.end(list, i, ended);
                }
            }
        }
    }

    fn edit(&mut self, list: &str, i: usize, edit: impl FnOnce(&mut Value)) {
        if let Some(statuses) = self.new.at_mut(&["status", list]).as_array_mut()
            && let Some(status) = statuses.make_mut().get_mut(i)
        {
            edit(status);
        }
    }

    pub(crate) fn fail(&mut self, reason: &str, message: &str) {
        self.new.set(&["status", "phase"], "Failed");
        self.new.set(&["status", "reason"], reason);
        self.new.set(&["status", "message"], message);
    }

    /// Works out phase and conditions, and answers the patch of the status.
    pub(crate) fn into_patch(mut self) -> Value {
        let phase = phase(&self.new);
        self.new.set(&["status", "phase"], phase);
        let generation = self.pod.generation();
        self.new.set(&["status", "observedGeneration"], generation);
        let conditions = conditions(&self.new, self.pod, &self.now);
        let mut patch = value!({"metadata": {"uid": self.pod.uid()}, "status": {}});
        for field in [
            "phase",
            "reason",
            "message",
            "startTime",
            "hostIP",
            "hostIPs",
            "podIP",
            "podIPs",
            INIT,
            APP,
            EPHEMERAL,
            "observedGeneration",
        ] {
            let value = self.new.at(&["status", field]);
            if let Some(value) = value.filter(|value| self.pod.at(&["status", field]) != Some(value)) {
                patch.set(&["status", field], value.clone());
            }
        }
        if !conditions.is_empty() {
            patch.set(&["status", "conditions"], conditions);
        }
        patch
    }
}

fn waiting_container(container: &Value, reason: &str) -> Value {
    let mut status = value!({
        "name": container.str_at(&["name"]), "image": container.str_at(&["image"]), "imageID": "",
        "ready": false, "restartCount": 0, "started": false, "lastState": {},
        "state": {"waiting": {"reason": reason}},
    });
    let mounts: Vec<Value> = container
        .array_at(&["volumeMounts"])
        .iter()
        .map(|mount| {
            let mut out =
                value!({"name": mount.str_at(&["name"]), "mountPath": mount.str_at(&["mountPath"])});
            if mount.bool_at(&["readOnly"]) {
                out.set(&["readOnly"], true);
                out.set(&["recursiveReadOnly"], "Disabled");
            }
            out
        })
        .collect();
    if !mounts.is_empty() {
        status.set(&["volumeMounts"], mounts);
    }
    status
}

fn container_id(uid: &str, name: &str, restarts: i64) -> String {
    format!("containerd://{}", seed::digest(&[uid, name, &restarts.to_string()]))
}

fn image_id(image: &str) -> String {
    let name = image.split('@').next().unwrap_or(image);
    let tagless = match name.rsplit_once(':') {
        Some((before, tag)) if !tag.contains('/') => before,
        _ => name,
    };
    let host = tagless.split('/').next().unwrap_or("");
    let full = match tagless.contains('/') {
        true if host.contains('.') || host.contains(':') || host == "localhost" => tagless.to_owned(),
        true => format!("docker.io/{tagless}"),
        false => format!("docker.io/library/{tagless}"),
    };
    format!("{full}@sha256:{}", seed::digest(&[image]))
}

/// `getPhase` of the kubelet.
fn phase(pod: &Value) -> &'static str {
    if pod.str_at(&["status", "phase"]) == "Failed" {
        return "Failed";
    }
    let policy = pod.str_at(&["spec", "restartPolicy"]);
    let specs = pod.array_at(&["spec", "initContainers"]).iter();
    for (spec, status) in specs.zip(pod.array_at(&["status", INIT])) {
        let code = status.i64_at(&["state", "terminated", "exitCode"]);
        if !is_sidecar(spec) && code != Some(0) {
            return if code.is_some() && policy == "Never" { "Failed" } else { "Pending" };
        }
    }
    let statuses = pod.array_at(&["status", APP]);
    let has = |state: &str| statuses.iter().any(|status| status.at(&["state", state]).is_some());
    let created = |status: &&Value| status.at(&["lastState", "terminated"]).is_some();
    let never_started =
        statuses.iter().filter(|s| s.at(&["state", "waiting"]).is_some()).any(|s| !created(&s));
    if never_started || statuses.is_empty() {
        return "Pending";
    }
    if has("running") || has("waiting") {
        return "Running";
    }
    let failed = statuses.iter().any(|s| s.i64_at(&["state", "terminated", "exitCode"]).unwrap_or(0) != 0);
    match (policy, failed) {
        ("Always", _) if !pod.is_deleting() => "Running",
        ("OnFailure", true) if !pod.is_deleting() => "Running",
        (_, true) => "Failed",
        _ => "Succeeded",
    }
}

/// Type, whether it holds, reason and message of a condition.
type Wanted = (&'static str, bool, &'static str, String);

/// The conditions of the pod that a kubelet owns, where they differ from what `old` has.
fn conditions(pod: &Value, old: &Value, now: &str) -> Vec<Value> {
    let generation = pod.generation();
    let wanted = wanted_conditions(pod);
    let mut out = Vec::new();
    for (kind, holds, reason, message) in wanted {
        let status = if holds { "True" } else { "False" };
        let before = old.array_at(&["status", "conditions"]).iter().find(|c| c.str_at(&["type"]) == kind);
        let same = |before: &&Value| before.str_at(&["status"]) == status;
        let since = before.filter(same).map_or(now, |before| before.str_at(&["lastTransitionTime"]));
        let mut condition = value!({
            "type": kind, "status": status, "lastProbeTime": Value::Null, "lastTransitionTime": since,
            "observedGeneration": generation,
        });
        if !reason.is_empty() {
            condition.set(&["reason"], reason);
        }
        if !message.is_empty() {
            condition.set(&["message"], message);
        }
        if holds && before.is_some_and(|before| before.get("reason").is_some()) && reason.is_empty() {
            // A strategic merge keeps what is not mentioned.
            condition.set(&["reason"], Value::Null);
            condition.set(&["message"], Value::Null);
        }
        if before != Some(&condition) {
            out.push(condition);
        }
    }
    out
}

fn wanted_conditions(pod: &Value) -> [Wanted; 5] {
    let finished = is_finished(pod);
    let has_ip = !pod.str_at(&["status", "podIP"]).is_empty();
    let unfit = |list: &str, skip_sidecars: bool| {
        let specs = pod.array_at(&["spec", spec_list(list)]);
        let pairs = specs.iter().zip(pod.array_at(&["status", list]));
        let fit = |spec: &Value, status: &Value| {
            status.bool_at(&["ready"]) || (skip_sidecars && is_sidecar(spec) && status.bool_at(&["started"]))
        };
        let names = pairs.filter(|(spec, status)| !fit(spec, status));
        names.map(|(spec, _)| spec.str_at(&["name"])).collect::<Vec<_>>().join(" ")
    };
    let incomplete = unfit(INIT, true);
    let succeeded = pod.str_at(&["status", "phase"]) == "Succeeded";
    let initialized = match (incomplete.is_empty(), succeeded) {
        (true, true) => ("Initialized", true, "PodCompleted", String::new()),
        (true, false) => ("Initialized", true, "", String::new()),
        (false, _) => (
            "Initialized",
            false,
            "ContainersNotInitialized",
            format!("containers with incomplete status: [{incomplete}]"),
        ),
    };
    let unready = unfit(APP, false);
    let containers = |kind| match (finished, unready.is_empty()) {
        (true, _) if succeeded => (kind, false, "PodCompleted", String::new()),
        (true, _) => (kind, false, "PodFailed", String::new()),
        (false, true) => (kind, true, "", String::new()),
        (false, false) => {
            (kind, false, "ContainersNotReady", format!("containers with unready status: [{unready}]"))
        }
    };
    let mut ready = containers("Ready");
    if ready.1
        && let Some(gate) = closed_gate(pod)
    {
        let message = format!("corresponding condition of pod readiness gate \"{gate}\" does not exist.");
        ready = ("Ready", false, "ReadinessGatesNotReady", message);
    }
    [
        ("PodReadyToStartContainers", has_ip && !finished, "", String::new()),
        initialized,
        ready,
        containers("ContainersReady"),
        ("PodScheduled", true, "", String::new()),
    ]
}

/// The first readiness gate whose condition is not True.
fn closed_gate(pod: &Value) -> Option<&str> {
    let gates = pod.array_at(&["spec", "readinessGates"]).iter().map(|gate| gate.str_at(&["conditionType"]));
    let conditions = pod.array_at(&["status", "conditions"]);
    gates.into_iter().find(|gate| {
        !conditions.iter().any(|c| c.str_at(&["type"]) == *gate && c.str_at(&["status"]) == "True")
    })
}

/// The Ready condition does not say what is so: a readiness gate was opened or closed.
pub(crate) fn conditions_lag(pod: &Value) -> bool {
    let wanted = wanted_conditions(pod);
    let now = pod.array_at(&["status", "conditions"]).iter().find(|c| c.str_at(&["type"]) == "Ready");
    let says = now.is_some_and(|condition| condition.str_at(&["status"]) == "True");
    wanted[2].1 != says
}
