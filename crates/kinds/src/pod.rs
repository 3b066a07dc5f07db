//! Pods, and the specs of pods in everything that makes them.
//!
//! Order and texts are those of `pkg/apis/core/validation`; `pkg/registry/core/pod` for the rest.

mod containers;
pub(crate) mod defaults;
mod disabled;
mod env;
mod image;
mod mounts;
pub(crate) mod probes;
mod qos;
mod resize;
pub(crate) mod resources;
pub(crate) mod scheduling;
mod security;
pub(crate) mod spec;
mod status;
pub(crate) mod template;
mod update;
pub(crate) mod volumes;
pub(crate) mod warnings;

use std::borrow::Cow;

use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Status, Value};
use jiff::Timestamp;

use crate::kind::{Kind, StatusMeta, Step};
use crate::meta::validate_object_meta;
use crate::shape::{default_nil, each_mut, has, is_zero, keep, same_of, shown};
use crate::{Context, NameRule, table};

pub use self::defaults::is_pod_level;
pub(crate) use self::disabled::drop_disabled;

/// Pods that a kubelet has from elsewhere are shown with this annotation.
const MIRROR: &str = "kubernetes.io/config.mirror";

pub(crate) const KINDS: &[&Kind] = &[&KIND, &TEMPLATE];

static KIND: Kind = Kind {
    // Its own functions look at the metadata too, since those of subresources do.
    create: &[Step::Body],
    update: &[Step::MetaChange, Step::Change],
    status: true,
    // Of what it brings the class of service is kept.
    status_on_create: true,
    generation: true,
    spec_changed: Some(|object, old| {
        // Assignment to a node is no change of what is wanted.
        let assigned = old.str_at(&["spec", "nodeName"]).is_empty();
        let (mut new, old) = (shown(object, &["spec"]), shown(old, &["spec"]));
        if assigned {
            new.remove(&["nodeName"]);
        }
        !same_of("core.v1.PodSpec", Some(&new), Some(&old))
    }),
    defaults: defaults::pod,
    prepare_create,
    prepare_update,
    validate: |errors, _, object, _| validate(errors, object),
    validate_change: update::validate,
    validate_status: validate_subresource,
    early_warnings: warnings::of_new_pod,
    warnings: warnings::of_pod,
    status_warnings: status::warnings,
    grace: |object, requested| Some(grace_period(object, requested)),
    field_names: FIELDS,
    field_values,
    cells: table::pod,
    row_conditions: table::pod_conditions,
    pod_spec: Some(&["spec"]),
    status_meta: StatusMeta::OwnersKept,
    ..Kind::new("", "pods")
};

static TEMPLATE: Kind = Kind {
    generation: true,
    defaults: |object| {
        default_nil(object, &["template"], Value::object());
        defaults::pod_template(object, &["template"]);
    },
    validate: |errors, _, object, _| {
        template::validate(errors, &shown(object, &["template"]), &FieldPath::new("template"));
    },
    warnings: |object, old| {
        if warnings::same_generation(object, old) {
            return Vec::new();
        }
        warnings::template(&shown(object, &["template"]), &FieldPath::new("template"))
    },
    cells: table::pod_template,
    pod_spec: Some(&["template", "spec"]),
    ..Kind::new("", "podtemplates")
};

const FIELDS: &[&str] = &[
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.podIPs",
    "status.nominatedNodeName",
];

fn field_values(object: &Value) -> Vec<(&'static str, Cow<'_, str>)> {
    let ip = object.array_at(&["status", "podIPs"]).first().map_or("", |ip| ip.str_at(&["ip"]));
    let host_network = object.bool_at(&["spec", "hostNetwork"]);
    vec![
        ("spec.nodeName", object.str_at(&["spec", "nodeName"]).into()),
        ("spec.restartPolicy", object.str_at(&["spec", "restartPolicy"]).into()),
        ("spec.schedulerName", object.str_at(&["spec", "schedulerName"]).into()),
        ("spec.serviceAccountName", object.str_at(&["spec", "serviceAccountName"]).into()),
        ("spec.hostNetwork", if host_network { "true" } else { "false" }.into()),
        ("status.phase", object.str_at(&["status", "phase"]).into()),
        ("status.podIP", ip.into()),
        ("status.podIPs", ip.into()),
        ("status.nominatedNodeName", object.str_at(&["status", "nominatedNodeName"]).into()),
    ]
}

fn prepare_create(context: &Context<'_>, object: &mut Value) {
    let mut status = Value::object();
    status.set(&["phase"], "Pending");
    // A class that is given is not looked at, as upstream.
    match object.str_at(&["status", "qosClass"]) {
        "" => status.set(&["qosClass"], qos::class(object)),
        given => status.set(&["qosClass"], given),
    };
    object.set(&["status"], status);
    at_least_a_second(object);
    merge_label_keys(object);
    security::profiles_from_annotations(object);
    if !object.array_at(&["spec", "schedulingGates"]).is_empty() {
        status::gated(context, object);
    }
}

/// A negative period of grace is one of a second.
fn at_least_a_second(object: &mut Value) {
    let at = &["spec", "terminationGracePeriodSeconds"];
    if object.i64_at(at).is_some_and(|seconds| seconds < 0) {
        object.set(at, 1);
    }
}

/// `matchLabelKeys` take the pod's own labels into the terms' selectors when the pod is made.
fn merge_label_keys(object: &mut Value) {
    let labels = object.labels().clone();
    for kind in ["podAffinity", "podAntiAffinity"] {
        let at = ["spec", "affinity", kind];
        if object.at(&at).is_none_or(Value::is_null) {
            continue;
        }
        let affinity = object.at_mut(&at);
        each_mut(affinity, &["requiredDuringSchedulingIgnoredDuringExecution"], |term| {
            merge_term(term, &labels);
        });
        each_mut(affinity, &["preferredDuringSchedulingIgnoredDuringExecution"], |term| {
            if !is_zero(term.get("podAffinityTerm")) {
                merge_term(term.at_mut(&["podAffinityTerm"]), &labels);
            }
        });
    }
    each_mut(object, &["spec", "topologySpreadConstraints"], |term| merge_term(term, &labels));
}

fn merge_term(term: &mut Value, labels: &drydock_machinery::Map) {
    if !has(term, &["labelSelector"]) {
        return;
    }
    for (field, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
        let keys: Vec<String> =
            term.array_at(&[field]).iter().filter_map(Value::as_str).map(str::to_owned).collect();
        for key in keys {
            let Some(value) = labels.get(&key) else { continue };
            let mut requirement = Value::object();
            requirement.set(&["key"], key);
            requirement.set(&["operator"], operator);
            requirement.set(&["values"], Value::from(vec![value.clone()]));
            let expressions = term.at_mut(&["labelSelector", "matchExpressions"]);
            if !matches!(expressions, Value::Array(_)) {
                *expressions = Value::Array(Default::default());
            }
            if let Some(expressions) = expressions.as_array_mut() {
                expressions.push(requirement);
            }
        }
    }
}

fn prepare_update(context: &Context<'_>, object: &mut Value, old: &Value) {
    match context.subresource {
        "status" => status::prepare(object, old),
        "ephemeralcontainers" => {
            let mut kept = old.clone();
            keep(&mut kept, object, &["spec", "ephemeralContainers"]);
            kept.set(&["metadata"], shown(object, &["metadata"]));
            *object = kept;
            keep_metadata(object, old);
            defaults::pod(object);
        }
        "resize" => prepare_resize(object, old),
        "" => at_least_a_second(object),
        _ => {}
    }
}

/// Only resources and resize policies may come in through `resize`. Containers that are not the same are left for
/// validation to find.
fn prepare_resize(object: &mut Value, old: &Value) {
    const LISTS: [&str; 2] = ["containers", "initContainers"];
    let count = |pod: &Value, list: &str| pod.array_at(&["spec", list]).len();
    if LISTS.iter().any(|list| count(object, list) != count(old, list)) {
        return;
    }
    let mut kept = shown(old, &["spec"]);
    keep(&mut kept, &shown(object, &["spec"]), &["resources"]);
    for list in LISTS {
        let new = shown(object, &["spec", list]);
        let names = |list: &Value| {
            list.array_at(&[]).iter().map(|c| c.str_at(&["name"]).to_owned()).collect::<Vec<_>>()
        };
        if names(&new) != names(&shown(&kept, &[list])) {
            kept.set(&[list], new);
            continue;
        }
        let mut new = new.array_at(&[]).iter();
        each_mut(&mut kept, &[list], |container| {
            let Some(new) = new.next() else { return };
            for field in ["resources", "resizePolicy"] {
                keep(container, new, &[field]);
            }
        });
    }
    object.set(&["spec"], kept);
    keep(object, old, &["status"]);
    keep_metadata(object, old);
}

/// `ResetObjectMetaForStatus`.
fn keep_metadata(object: &mut Value, old: &Value) {
    for field in ["deletionTimestamp", "labels", "annotations", "finalizers", "ownerReferences"] {
        keep(object, old, &["metadata", field]);
    }
}

fn validate_subresource(errors: &mut FieldErrors, context: &Context<'_>, object: &Value, old: &Value) {
    match context.subresource {
        "status" => status::validate(errors, object, old),
        "ephemeralcontainers" => update::validate_ephemeral(errors, object, old),
        "resize" => resize::validate(errors, object, old),
        _ => {}
    }
}

/// `ValidatePodCreate`.
fn validate(errors: &mut FieldErrors, object: &Value) {
    validate_metadata_and_spec(errors, object);
    let path = FieldPath::new("spec");
    if !object.array_at(&["spec", "ephemeralContainers"]).is_empty() {
        errors.forbidden(&path.child("ephemeralContainers"), "cannot be set on create");
    }
    let gated = !object.array_at(&["spec", "schedulingGates"]).is_empty();
    if gated && !object.str_at(&["spec", "nodeName"]).is_empty() {
        errors
            .forbidden(&path.child("nodeName"), "cannot be set until all schedulingGates have been cleared");
    }
    security::fields_agree(errors, object, &shown(object, &["spec"]), &path);
}

/// `validatePodMetadataAndSpec`.
fn validate_metadata_and_spec(errors: &mut FieldErrors, object: &Value) {
    validate_object_meta(errors, object, NameRule::DnsSubdomain);
    let path = FieldPath::new("spec");
    let spec = shown(object, &["spec"]);
    security::pod_annotations(errors, object, &spec, &FieldPath::new("metadata").child("annotations"));
    spec::validate(errors, &spec, &path, spec::Within::Pod(object));
    spec::validate_only_pod(errors, &spec, &path);
}

/// How long a pod may take to end: at once when no kubelet knows of it.
fn grace_period(object: &Value, requested: Option<i64>) -> i64 {
    let own = object.i64_at(&["spec", "terminationGracePeriodSeconds"]).unwrap_or(0);
    let period = requested.unwrap_or(own);
    let unscheduled = object.str_at(&["spec", "nodeName"]).is_empty();
    let ended = matches!(object.str_at(&["status", "phase"]), "Succeeded" | "Failed");
    if unscheduled || ended {
        return 0;
    }
    // The smallest period that a kubelet would keep; none at all only when that was asked for.
    if period < 0 { 1 } else { period }
}

/// A `Binding` posted to a pod: `ValidatePodBinding`.
pub fn validate_binding(binding: &Value) -> FieldErrors {
    let mut errors = FieldErrors::new();
    let path = FieldPath::new("target");
    let kind = binding.str_at(&["target", "kind"]);
    if !["", "Node"].contains(&kind) {
        errors.not_supported(&path.child("kind"), kind, &["Node", "<empty>"]);
    }
    let name = binding.str_at(&["target", "name"]);
    if name.is_empty() {
        errors.required(&path.child("name"), "");
    }
    errors
}

/// Puts a pod on a node: what `POST pods/NAME/binding` does. Annotations and labels of the binding go to the pod.
///
/// # Errors
/// A conflict when the pod is deleted, already assigned or gated.
pub fn assign_pod(pod: &mut Value, binding: &Value, now: Timestamp) -> Result<(), Status> {
    let name = pod.name().to_owned();
    let conflict = |why: String| Err(Status::conflict("", "pods/binding", &name, &why));
    let uid = binding.uid();
    if !uid.is_empty() && uid != pod.uid() {
        let why =
            format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", pod.uid());
        return conflict(why);
    }
    if pod.is_deleting() {
        return conflict(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    let node = pod.str_at(&["spec", "nodeName"]);
    if !node.is_empty() {
        return conflict(format!("pod {name} is already assigned to node {node:?}"));
    }
    if !pod.array_at(&["spec", "schedulingGates"]).is_empty() {
        return conflict(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    pod.set(&["spec", "nodeName"], binding.str_at(&["target", "name"]).to_owned());
    for field in ["annotations", "labels"] {
        for (key, value) in binding.object_at(&["metadata", field]).iter() {
            pod.set(&["metadata", field, key], value.clone());
        }
    }
    status::set_condition(pod, "PodScheduled", "True", None, now);
    Ok(())
}
