//! Warnings about pods and templates: `pkg/api/pod/warnings.go`.

use std::collections::HashMap;

use drydock_machinery::names_validation as names;
use drydock_machinery::quantity::Quantity;
use drydock_machinery::{FieldPath, ObjectMeta as _, Value};

use crate::Context;
use crate::check::net::parse_ip;
use crate::shape::{has, same, shown};

/// Of a pod.
pub(crate) fn of_pod(context: &Context<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
    if old.is_some_and(|old| same(old.get("spec"), object.get("spec")) && same_annotations(old, object))
        || !context.subresource.is_empty()
    {
        return Vec::new();
    }
    let mut out = Vec::new();
    let wrong = names::is_dns1123_label(object.name());
    if !wrong.is_empty() && old.is_none() {
        out.push(format!(
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [{}]",
            wrong.join(" ")
        ));
    }
    let meta = shown(object, &["metadata"]);
    spec(&mut out, &shown(object, &["spec"]), &meta, &FieldPath::new("spec"), &FieldPath::new("metadata"));
    out
}

fn same_annotations(a: &Value, b: &Value) -> bool {
    a.annotations() == b.annotations()
}

/// Of a kind with `spec.template`.
pub(crate) fn of_template(context: &Context<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
    let at = &["spec", "template"];
    if !context.subresource.is_empty() || old.is_some_and(|old| same(old.at(at), object.at(at))) {
        return Vec::new();
    }
    template(&shown(object, at), &FieldPath::new("spec").child("template"))
}

/// Of the template at `path`.
pub(crate) fn template(template: &Value, path: &FieldPath) -> Vec<String> {
    let mut out = Vec::new();
    let meta = shown(template, &["metadata"]);
    spec(&mut out, &shown(template, &["spec"]), &meta, &path.child("spec"), &path.child("metadata"));
    out
}

fn spec(out: &mut Vec<String>, spec: &Value, meta: &Value, path: &FieldPath, meta_path: &FieldPath) {
    node_selector(out, spec, path);
    for (field, text) in [
        (
            "scheduler.alpha.kubernetes.io/critical-pod",
            "non-functional in v1.16+; use the \"priorityClassName\" field instead",
        ),
        (
            "seccomp.security.alpha.kubernetes.io/pod",
            "non-functional in v1.27+; use the \"seccompProfile\" field instead",
        ),
    ] {
        if meta.object_at(&["annotations"]).contains_key(field) {
            out.push(format!("{}: {text}", meta_path.child("annotations").key(field)));
        }
    }
    host_aliases(out, spec, &path.child("hostAliases"));
    for (i, constraint) in spec.array_at(&["topologySpreadConstraints"]).iter().enumerate() {
        if !has(constraint, &["labelSelector"]) {
            let path = path.child("topologySpreadConstraints").index(i).child("labelSelector");
            out.push(format!("{path}: a null labelSelector results in matching no pod"));
        }
    }
    pull_secrets(out, spec, &path.child("imagePullSecrets"));
    volumes(out, spec, &path.child("volumes"));
    let containers = ["initContainers", "containers"];
    for (list, i, container) in containers
        .iter()
        .flat_map(|list| spec.array_at(&[list]).iter().enumerate().map(move |(i, c)| (list, i, c)))
    {
        container_warnings(out, container, &path.child(list).index(i));
    }
    duplicate_ports(out, spec, path);
}

fn node_selector(out: &mut Vec<String>, spec: &Value, path: &FieldPath) {
    const DEPRECATED: [(&str, &str); 5] = [
        ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
        ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
        (
            "failure-domain.beta.kubernetes.io/region",
            "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
        ),
        (
            "failure-domain.beta.kubernetes.io/zone",
            "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
        ),
        (
            "beta.kubernetes.io/instance-type",
            "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead",
        ),
    ];
    for (key, text) in DEPRECATED {
        if spec.object_at(&["nodeSelector"]).contains_key(key) {
            out.push(format!("{}: {text}", path.child("nodeSelector").key(key)));
        }
    }
}

fn host_aliases(out: &mut Vec<String>, spec: &Value, path: &FieldPath) {
    let mut seen = Vec::new();
    for (i, alias) in spec.array_at(&["hostAliases"]).iter().enumerate() {
        let Some(ip) = parse_ip(alias.str_at(&["ip"])) else { continue };
        if seen.contains(&ip) {
            let text = alias.str_at(&["ip"]);
            out.push(format!("{}: duplicate ip {text:?}", path.index(i).child("ip")));
        }
        seen.push(ip);
    }
}

fn pull_secrets(out: &mut Vec<String>, spec: &Value, path: &FieldPath) {
    let mut seen = Vec::new();
    for (i, secret) in spec.array_at(&["imagePullSecrets"]).iter().enumerate() {
        let name = secret.str_at(&["name"]);
        let path = path.index(i).child("name");
        if name.is_empty() {
            out.push(format!("{path}: invalid empty name \"\""));
        } else if seen.contains(&name) {
            out.push(format!("{path}: duplicate name {name:?}"));
        }
        seen.push(name);
    }
}

fn volumes(out: &mut Vec<String>, spec: &Value, path: &FieldPath) {
    const DEPRECATED: [(&str, &str); 9] = [
        ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
        ("gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
        ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
        ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
        ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
        ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
        ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
        ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
        ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
    ];
    for (i, volume) in spec.array_at(&["volumes"]).iter().enumerate() {
        for (source, text) in DEPRECATED {
            if has(volume, &[source]) {
                out.push(format!("{}: {text}", path.index(i).child(source)));
            }
        }
        if volume.str_at(&["emptyDir", "sizeLimit"]).ends_with('m') {
            fractional(
                out,
                volume.str_at(&["emptyDir", "sizeLimit"]),
                &path.index(i).child("emptyDir").child("sizeLimit"),
            );
        }
    }
}

/// A part of a byte makes no sense.
fn fractional(out: &mut Vec<String>, amount: &str, path: &FieldPath) {
    if Quantity::parse(amount).is_ok_and(|amount| amount.milli_value() % 1000 != 0) {
        out.push(format!("{path}: fractional byte value {amount:?} is invalid, must be an integer"));
    }
}

/// The same of a claim's amounts.
pub(crate) fn fractional_storage(amount: &str, path: &FieldPath) -> Vec<String> {
    let mut out = Vec::new();
    fractional(&mut out, amount, path);
    out
}

fn container_warnings(out: &mut Vec<String>, container: &Value, path: &FieldPath) {
    for list in ["limits", "requests"] {
        for name in ["memory", "ephemeral-storage"] {
            let amount = container.str_at(&["resources", list, name]);
            if !amount.is_empty() {
                fractional(out, amount, &path.child("resources").child(list).key(name));
            }
        }
    }
    let mut seen: HashMap<&str, &str> = HashMap::new();
    for (i, variable) in container.array_at(&["env"]).iter().enumerate() {
        let (name, value) = (variable.str_at(&["name"]), variable.str_at(&["value"]));
        if let Some(previous) = seen.get(name) {
            let refers = value.contains(&format!("$({name})"));
            if !refers && !previous.contains(&format!("$({name})")) {
                out.push(format!(
                    "{}: hides previous definition of {name:?}, which may be dropped when using apply",
                    path.child("env").index(i)
                ));
            }
        } else {
            seen.insert(name, value);
        }
    }
}

/// Ports of the same number and protocol, in one container or in several.
fn duplicate_ports(out: &mut Vec<String>, spec: &Value, path: &FieldPath) {
    let mut seen: HashMap<(i64, String, i64), FieldPath> = HashMap::new();
    for (i, container) in spec.array_at(&["containers"]).iter().enumerate() {
        let ports = path.child("containers").index(i).child("ports");
        for (j, port) in container.array_at(&["ports"]).iter().enumerate() {
            let number = |field: &str| port.i64_at(&[field]).unwrap_or(0);
            let protocol = port.str_at(&["protocol"]);
            let protocol = if protocol.is_empty() { "TCP" } else { protocol };
            let host = if number("hostPort") == number("containerPort") { 0 } else { number("hostPort") };
            let key = (number("containerPort"), format!("{protocol}/{}", port.str_at(&["hostIP"])), host);
            match seen.get(&key) {
                Some(first) => {
                    out.push(format!("{}: duplicate port definition with {first}", ports.index(j)))
                }
                None => {
                    seen.insert(key, ports.index(j));
                }
            }
        }
    }
}
