//! Warnings about pods and templates, in the order of `pkg/api/pod/warnings.go`.

mod containers;
mod paths;
mod placement;
mod volumes;

pub(crate) use self::placement::{deprecated_label, node_term};
use drydock_machinery::names_validation as names;
use drydock_machinery::quantity::Quantity;
use drydock_machinery::{FieldPath, ObjectMeta as _, Value};

use crate::check::net;
use crate::shape::{has, shown};

/// Of a pod that is made, as its maker gave it.
pub(super) fn of_new_pod(object: &Value) -> Vec<String> {
    let mut out = Vec::new();
    containers::app_armor_of_pod(&mut out, &shown(object, &["spec"]), &shown(object, &["metadata"]));
    out
}

/// Of a new pod.
pub(super) fn of_pod(object: &Value, old: Option<&Value>) -> Vec<String> {
    let mut out = Vec::new();
    if old.is_some() {
        return out;
    }
    let (meta, pod) = (shown(object, &["metadata"]), shown(object, &["spec"]));
    let wrong = names::is_dns1123_label(object.name());
    if !wrong.is_empty() {
        out.push(format!(
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [{}]",
            wrong.join(" ")
        ));
    }
    spec(&mut out, &pod, &meta, Holder::Pod, &FieldPath::root());
    out
}

/// Of a kind with `spec.template` whose name becomes part of its pods'.
pub(crate) fn of_named_template(object: &Value, old: Option<&Value>) -> Vec<String> {
    let mut out = name_of_pods(object, old);
    out.extend(of_template(object, old));
    out
}

/// Of the name of something new that its pods' names are made of.
pub(crate) fn name_of_pods(object: &Value, old: Option<&Value>) -> Vec<String> {
    let wrong = names::is_dns1123_label(object.name());
    if wrong.is_empty() || old.is_some() {
        return Vec::new();
    }
    vec![format!(
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [{}]",
        wrong.join(" ")
    )]
}

/// Of a kind with `spec.template`: said again whenever the object's generation is another.
pub(crate) fn of_template(object: &Value, old: Option<&Value>) -> Vec<String> {
    if same_generation(object, old) {
        return Vec::new();
    }
    template(&shown(object, &["spec", "template"]), &FieldPath::new("spec").child("template"))
}

/// Whether an object is said nothing of that was said of it before.
pub(crate) fn same_generation(object: &Value, old: Option<&Value>) -> bool {
    old.is_some_and(|old| old.generation() == object.generation())
}

/// Of the template at `path`.
pub(crate) fn template(template: &Value, path: &FieldPath) -> Vec<String> {
    let mut out = Vec::new();
    let meta = shown(template, &["metadata"]);
    spec(&mut out, &shown(template, &["spec"]), &meta, Holder::Template, path);
    out
}

/// What has the spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Pod,
    Template,
}

/// Of the spec of what stands at a path.
fn spec(out: &mut Vec<String>, spec: &Value, meta: &Value, holder: Holder, path: &FieldPath) {
    let annotations = path.child("metadata").child("annotations");
    let path = &path.child("spec");
    placement::labels(out, spec, path);
    annotations_without_use(out, meta, &annotations);
    volumes::deprecated(out, spec, &path.child("volumes"));
    volumes::overlapping(out, spec);
    repeated_aliases(out, spec, &path.child("hostAliases"));
    pull_secrets(out, spec, &path.child("imagePullSecrets"));
    for name in ["memory", "ephemeral-storage"] {
        fractional(out, spec.at(&["overhead", name]), || path.child("overhead").key(name));
    }
    containers::all(out, spec, meta, holder, path, &annotations);
    let grace = "terminationGracePeriodSeconds";
    if spec.i64_at(&[grace]).is_some_and(|seconds| seconds < 0) {
        let text = "must be >= 0; negative values are invalid and will be treated as 1";
        out.push(format!("{}: {text}", path.child(grace)));
    }
    placement::null_selectors(out, spec, &path.child("affinity"));
    addresses(out, spec, path);
}

fn annotations_without_use(out: &mut Vec<String>, meta: &Value, path: &FieldPath) {
    const SYSCTLS: &str = "non-functional in v1.11+; use the \"sysctls\" field instead";
    const UNUSED: [(&str, &str); 3] = [
        (
            "scheduler.alpha.kubernetes.io/critical-pod",
            "non-functional in v1.16+; use the \"priorityClassName\" field instead",
        ),
        ("security.alpha.kubernetes.io/sysctls", SYSCTLS),
        ("security.alpha.kubernetes.io/unsafe-sysctls", SYSCTLS),
    ];
    let given = meta.object_at(&["annotations"]);
    for (key, text) in UNUSED.into_iter().filter(|(key, _)| given.contains_key(key)) {
        out.push(format!("{}: {text}", path.key(key)));
    }
}

fn repeated_aliases(out: &mut Vec<String>, spec: &Value, path: &FieldPath) {
    let aliases = spec.array_at(&["hostAliases"]);
    for (i, alias) in aliases.iter().enumerate() {
        let ip = alias.str_at(&["ip"]);
        if aliases[..i].iter().any(|before| before.str_at(&["ip"]) == ip) {
            out.push(format!("{}: duplicate ip {ip:?}", path.index(i).child("ip")));
        }
    }
}

fn pull_secrets(out: &mut Vec<String>, spec: &Value, path: &FieldPath) {
    let names: Vec<&str> =
        spec.array_at(&["imagePullSecrets"]).iter().map(|secret| secret.str_at(&["name"])).collect();
    for (i, name) in names.iter().enumerate().filter(|(i, name)| names[..*i].contains(name)) {
        out.push(format!("{}: duplicate name {name:?}", path.index(i).child("name")));
    }
    for (i, _) in names.iter().enumerate().filter(|(_, name)| name.is_empty()) {
        out.push(format!("{}: invalid empty name \"\"", path.index(i).child("name")));
    }
}

fn addresses(out: &mut Vec<String>, spec: &Value, path: &FieldPath) {
    let servers = path.child("dnsConfig").child("nameservers");
    let given = spec.array_at(&["dnsConfig", "nameservers"]).iter().filter_map(Value::as_str);
    for (i, server) in given.enumerate() {
        net::ip_warnings(out, server, &servers.index(i));
    }
    for (i, alias) in spec.array_at(&["hostAliases"]).iter().enumerate() {
        net::ip_warnings(out, alias.str_at(&["ip"]), &path.child("hostAliases").index(i).child("ip"));
    }
}

/// A part of a byte makes no sense.
fn fractional(out: &mut Vec<String>, amount: Option<&Value>, path: impl FnOnce() -> FieldPath) {
    if amount.is_none() {
        return;
    }
    let amount = Quantity::of(amount);
    if amount.milli_value() % 1000 != 0 {
        let (path, shown) = (path(), amount.to_string());
        out.push(format!("{path}: fractional byte value {shown:?} is invalid, must be an integer"));
    }
}

/// Of the amounts in the spec of a claim.
pub(crate) fn claim_spec(spec: &Value, path: &FieldPath) -> Vec<String> {
    let mut out = Vec::new();
    for list in ["requests", "limits"] {
        let at = &["resources", list, "storage"];
        if has(spec, at) {
            fractional(&mut out, spec.at(at), || path.child("resources").child(list).key("storage"));
        }
    }
    out
}
