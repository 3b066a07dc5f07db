//! Containers' profiles, amounts, variables and ports.

use drydock_machinery::{FieldPath, Value};
use foldhash::HashMap;

use super::{Holder, fractional};
use crate::pod::security::app_armor_field;
use crate::shape::{has, present, same};

const SECCOMP: &str = "non-functional in v1.27+; use the \"seccompProfile\" field instead";
const APP_ARMOR: &str = "deprecated since v1.30; use the \"appArmorProfile\" field instead";

/// What an annotation names that a field should, unless it is what the pod's own field says.
fn app_armor(out: &mut Vec<String>, container: &Value, spec: &Value, meta: &Value, annotations: &FieldPath) {
    let key = format!("container.apparmor.security.beta.kubernetes.io/{}", container.str_at(&["name"]));
    let Some(annotation) = meta.at(&["annotations", &key]).and_then(Value::as_str) else { return };
    let named = app_armor_field(annotation);
    let of_pod = present(spec, &["securityContext", "appArmorProfile"]);
    let redundant = named.is_some() && same(named.as_ref(), of_pod);
    if !has(container, &["securityContext", "appArmorProfile"]) && !redundant {
        out.push(format!("{}: {APP_ARMOR}", annotations.key(&key)));
    }
}

/// Of the annotations of a pod that is made, before they become fields.
pub(super) fn app_armor_of_pod(out: &mut Vec<String>, spec: &Value, meta: &Value) {
    if meta.object_at(&["annotations"]).is_empty() {
        return;
    }
    let annotations = FieldPath::new("metadata").child("annotations");
    if spec.str_at(&["os", "name"]) != "windows" {
        for (container, _) in every(spec, &FieldPath::new("spec")) {
            app_armor(out, container, spec, meta, &annotations);
        }
    }
}

/// Everything that is said of containers one by one, then of their ports together.
pub(super) fn all(
    out: &mut Vec<String>,
    spec: &Value,
    meta: &Value,
    holder: Holder,
    path: &FieldPath,
    annotations: &FieldPath,
) {
    let pod_key = "seccomp.security.alpha.kubernetes.io/pod";
    let given = |key: &str| meta.object_at(&["annotations"]).contains_key(key);
    if !has(spec, &["securityContext", "seccompProfile"]) && given(pod_key) {
        out.push(format!("{}: {SECCOMP}", annotations.key(pod_key)));
    }
    let containers = every(spec, path);
    for (container, path) in &containers {
        if !meta.object_at(&["annotations"]).is_empty() {
            let name = container.str_at(&["name"]);
            let key = format!("container.seccomp.security.alpha.kubernetes.io/{name}");
            if !has(container, &["securityContext", "seccompProfile"]) && given(&key) {
                out.push(format!("{}: {SECCOMP}", annotations.key(&key)));
            }
            if holder == Holder::Template {
                app_armor(out, container, spec, meta, annotations);
            }
        }
        amounts(out, container, path);
        variables(out, container, path);
    }
    ports(out, &containers);
    port_names(out, &containers);
}

fn every<'a>(spec: &'a Value, path: &FieldPath) -> Vec<(&'a Value, FieldPath)> {
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let of = |list: &'static str| {
        let path = path.child(list);
        spec.array_at(&[list]).iter().enumerate().map(move |(i, container)| (container, path.index(i)))
    };
    lists.into_iter().flat_map(of).collect()
}

fn amounts(out: &mut Vec<String>, container: &Value, path: &FieldPath) {
    for name in ["memory", "ephemeral-storage"] {
        for list in ["limits", "requests"] {
            let amount = container.at(&["resources", list, name]);
            fractional(out, amount, || path.child("resources").child(list).key(name));
        }
    }
}

fn variables(out: &mut Vec<String>, container: &Value, path: &FieldPath) {
    let variables = container.array_at(&["env"]);
    for (i, variable) in variables.iter().enumerate() {
        let (name, value) = (variable.str_at(&["name"]), variable.str_at(&["value"]));
        if !variables[..i].iter().any(|before| before.str_at(&["name"]) == name) {
            continue;
        }
        let reference = format!("$({name})");
        let builds_on_it = !has(variable, &["valueFrom"]) && value != reference && value.contains(&reference);
        if !builds_on_it {
            let text = "which may be dropped when using apply";
            let at = path.child("env").index(i);
            out.push(format!("{at}: hides previous definition of {name:?}, {text}"));
        }
    }
}

struct Port<'a> {
    given: &'a Value,
    container: &'a FieldPath,
    index: usize,
}

impl<'a> Port<'a> {
    fn at(&self) -> FieldPath {
        self.container.child("ports").index(self.index)
    }

    fn number(&self, field: &str) -> i64 {
        self.given.i64_at(&[field]).unwrap_or(0)
    }

    fn host(&self) -> (&'a str, i64) {
        (self.given.str_at(&["hostIP"]), self.number("hostPort"))
    }
}

fn all_ports<'a>(containers: &'a [(&'a Value, FieldPath)]) -> impl Iterator<Item = Port<'a>> {
    containers.iter().flat_map(|(container, path)| {
        let ports = container.array_at(&["ports"]).iter().enumerate();
        ports.map(move |(index, given)| Port { given, container: path, index })
    })
}

fn ports(out: &mut Vec<String>, containers: &[(&Value, FieldPath)]) {
    let mut seen: HashMap<(i64, &str), Vec<Port<'_>>> = HashMap::default();
    for port in all_ports(containers) {
        let (protocol, number) = (port.given.str_at(&["protocol"]), port.number("containerPort"));
        let (host_ip, host_port) = port.host();
        if !host_ip.is_empty() && host_port == 0 {
            out.push(format!(
                "{}: hostIP set without hostPort: {{Name:{} HostPort:0 ContainerPort:{number} Protocol:{protocol} HostIP:{host_ip}}}",
                port.at(),
                port.given.str_at(&["name"]),
            ));
        }
        let others = seen.entry((number, protocol)).or_default();
        out.extend(others.iter().filter_map(|other| conflict(&port, other)));
        others.push(port);
    }
}

/// What is wrong with two ports of the same number and protocol.
fn conflict(port: &Port<'_>, other: &Port<'_>) -> Option<String> {
    let ((ip, number), (other_ip, other_number)) = (port.host(), other.host());
    let what = if port.host() == other.host() {
        "duplicate"
    } else if number == 0 || other_number == 0 {
        "overlapping"
    } else if number == other_number && ip.is_empty() != other_ip.is_empty() {
        "dangerously ambiguous"
    } else {
        return None;
    };
    Some(format!("{}: {what} port definition with {}", port.at(), other.at()))
}

fn port_names(out: &mut Vec<String>, containers: &[(&Value, FieldPath)]) {
    let mut seen: HashMap<&str, Port<'_>> = HashMap::default();
    for port in all_ports(containers) {
        let name = port.given.str_at(&["name"]);
        if name.is_empty() {
            continue;
        }
        if let Some(other) = seen.get(name) {
            let (at, other) = (port.at(), other.at());
            out.push(format!(
                "{at}: duplicate port name {name:?} with {other}, services and probes that select ports by name will use {other}"
            ));
        } else {
            seen.insert(name, port);
        }
    }
}
