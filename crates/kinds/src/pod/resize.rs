//! What a resize may change: `ValidatePodResize`.

use drydock_machinery::{FieldErrors, FieldPath, Map, Value};

use super::{MIRROR, qos, validate_metadata_and_spec};
use crate::shape::{each_mut, has, same, same_of, shown};

const LISTS: [&str; 2] = ["containers", "initContainers"];
const MUTABLE: [&str; 2] = ["cpu", "memory"];

pub(super) fn validate(errors: &mut FieldErrors, object: &Value, old: &Value) {
    if let Some(text) = never_resized(old) {
        *errors = FieldErrors::new();
        errors.forbidden(&FieldPath::new("[]"), text);
        return;
    }
    validate_metadata_and_spec(errors, object);
    let path = FieldPath::new("spec");
    let mut class = old.str_at(&["status", "qosClass"]).to_owned();
    if class.is_empty() {
        class = qos::class(old).to_owned();
    }
    if qos::class(object) != class {
        let class = shown(object, &["status", "qosClass"]);
        errors.invalid(&path, class, "Pod QOS Class may not change as a result of resizing");
    }
    if !node_supports_resize(old) {
        errors.forbidden(&path, "Pod running on node without support for resize");
    }
    let (mut spec, before) = (shown(object, &["spec"]), shown(old, &["spec"]));
    of_pod(errors, &mut spec, &before, &path);
    if !same_order(errors, &spec, &before, &path) {
        return;
    }
    for list in ["initContainers", "containers"] {
        for (i, (new, old)) in spec.array_at(&[list]).iter().zip(before.array_at(&[list])).enumerate() {
            let path = path.child(list).index(i).child("resources");
            nothing_removed(
                errors,
                &shown(new, &["resources"]),
                &shown(old, &["resources"]),
                "resource",
                &path,
            );
        }
    }
    of_containers(errors, &mut spec, &before, &path);
    if errors.is_empty() && !same_of("core.v1.PodSpec", Some(&spec), Some(&before)) {
        errors.forbidden(&path, "only cpu and memory resources are mutable");
    }
}

fn never_resized(old: &Value) -> Option<&'static str> {
    if old.object_at(&["metadata", "annotations"]).contains_key(MIRROR) {
        Some("static pods cannot be resized")
    } else if old.str_at(&["spec", "os", "name"]) == "windows" {
        Some("windows pods cannot be resized")
    } else {
        None
    }
}

/// Nodes that can resize say what their running containers have.
fn node_supports_resize(old: &Value) -> bool {
    let statuses = old.array_at(&["status", "containerStatuses"]);
    let running = statuses.iter().find(|status| has(status, &["state", "running"]));
    running.is_none_or(|status| has(status, &["resources"]))
}

/// The pod's own resources; `spec` is given the old amounts of what may change.
fn of_pod(errors: &mut FieldErrors, spec: &mut Value, before: &Value, path: &FieldPath) {
    let amounts = |spec: &Value| {
        !spec.object_at(&["resources", "requests"]).is_empty()
            || !spec.object_at(&["resources", "limits"]).is_empty()
    };
    if !amounts(spec) && !amounts(before) {
        return;
    }
    let at = &["resources"];
    if has(before, at) && !has(spec, at) {
        errors.forbidden(&path.child("resources"), "pod-level resources cannot be removed");
        return;
    }
    if has(before, at) {
        let path = path.child("resources");
        nothing_removed(errors, &shown(spec, at), &shown(before, at), "pod-level resource", &path);
    }
    spec.set(at, with_old_amounts(&shown(spec, at), &shown(before, at)));
    let empty = |list: &str| spec.object_at(&["resources", list]).is_empty();
    if !has(before, at) && empty("requests") && empty("limits") {
        spec.remove(at);
    }
    if !same(spec.at(at), before.at(at)) {
        errors.forbidden(path, "only cpu and memory resources are mutable at pod-level");
    }
}

fn nothing_removed(errors: &mut FieldErrors, new: &Value, old: &Value, what: &str, path: &FieldPath) {
    for list in ["requests", "limits"] {
        let (new, old) = (new.object_at(&[list]), old.object_at(&[list]));
        if old.keys().any(|name| !new.contains_key(name)) {
            errors.forbidden(&path.child(list), format!("{what} {list} cannot be removed"));
        }
    }
}

fn same_order(errors: &mut FieldErrors, spec: &Value, before: &Value, path: &FieldPath) -> bool {
    let found = errors.len();
    for list in LISTS {
        let (new, old) = (spec.array_at(&[list]), before.array_at(&[list]));
        let path = path.child(list);
        if new.len() != old.len() {
            errors.forbidden(&path, format!("{list} may not be added or removed on resize"));
            continue;
        }
        for (i, _) in
            new.iter().zip(old).enumerate().filter(|(_, (new, old))| new.get("name") != old.get("name"))
        {
            let detail = format!("{list} may not be renamed or reordered on resize");
            errors.forbidden(&path.index(i).child("name"), detail);
        }
    }
    errors.len() == found
}

/// Gives containers the old amounts of what may change; nothing else may be different.
fn of_containers(errors: &mut FieldErrors, spec: &mut Value, before: &Value, path: &FieldPath) {
    for list in LISTS {
        let mut old = before.array_at(&[list]).iter().enumerate();
        each_mut(spec, &[list], |container| {
            let Some((i, old)) = old.next() else { return };
            let changed = !same_of("core.v1.Container", Some(container), Some(old));
            let resources = with_old_amounts(&shown(container, &["resources"]), &shown(old, &["resources"]));
            container.set(&["resources"], resources);
            let other = !same_of("core.v1.Container", Some(container), Some(old));
            if list == "containers" {
                if other {
                    errors.forbidden(path, "only cpu and memory resources are mutable");
                }
                return;
            }
            let path = path.child(list).index(i);
            if other {
                let detail = "only cpu and memory resources for init or sidecar containers are mutable";
                errors.forbidden(&path, detail);
            }
            let restarts = |policy: &&Value| policy.str_at(&["restartPolicy"]) == "RestartContainer";
            if changed && container.str_at(&["restartPolicy"]) != "Always" {
                for _ in container.array_at(&["resizePolicy"]).iter().filter(restarts) {
                    let detail = "non-sidecar init containers with a resize policy of RestartContainer cannot be resized";
                    errors.forbidden(&path, detail);
                }
            }
        });
    }
}

/// Requests and limits alone, with what may change as it was.
fn with_old_amounts(new: &Value, old: &Value) -> Value {
    let mut out = Value::object();
    for list in ["limits", "requests"] {
        let amounts: Map = new.object_at(&[list]).clone();
        let mut amounts = Value::Object(amounts);
        for name in MUTABLE {
            amounts.remove(&[name]);
            if let Some(amount) = old.at(&[list, name]) {
                amounts.set(&[name], amount.clone());
            }
        }
        if !amounts.as_object().is_none_or(Map::is_empty) {
            out.set(&[list], amounts);
        }
    }
    out
}
