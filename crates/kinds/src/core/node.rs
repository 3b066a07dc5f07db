//! Node.

use std::collections::HashSet;

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value};

use crate::check::{duplicate_because, json_object, net, resource_quantity_value};
use crate::kind::Kind;
use crate::pod::scheduling::taint_effect;
use crate::shape::{default_nil, has, same, shown};
use crate::{Context, go_form, table};

const AVOID_PODS: &str = "scheduler.alpha.kubernetes.io/preferAvoidPods";

pub(super) static KIND: Kind = Kind {
    status: true,
    status_on_create: true,
    defaults: set_defaults,
    prepare_create: |_, object| zero_status(object),
    validate: |errors, _, object| validate(errors, object),
    validate_update: Some(validate_update),
    validate_status: validate_update,
    field_names: &["spec.unschedulable"],
    field_values: |object| {
        let unschedulable = object.bool_at(&["spec", "unschedulable"]);
        vec![("spec.unschedulable", if unschedulable { "true" } else { "false" }.into())]
    },
    cells: table::node,
    ..Kind::new("", "nodes")
};

fn set_defaults(object: &mut Value) {
    let spec = object.at_mut(&["spec"]);
    if spec.is_null() {
        *spec = Value::object();
    }
    // One name of each is old.
    if spec.array_at(&["podCIDRs"]).is_empty() {
        let cidr = spec.str_at(&["podCIDR"]).to_owned();
        if !cidr.is_empty() {
            spec.set(&["podCIDRs"], vec![Value::from(cidr)]);
        }
    } else {
        let first = spec.array_at(&["podCIDRs"])[0].clone();
        if spec.get("podCIDR") != Some(&first) {
            spec.set(&["podCIDR"], first);
        }
    }
    zero_status(object);
    if has(object, &["status", "capacity"]) && !has(object, &["status", "allocatable"]) {
        let capacity = shown(object, &["status", "capacity"]);
        object.set(&["status", "allocatable"], capacity);
    }
}

fn zero_status(object: &mut Value) {
    default_nil(object, &["status", "daemonEndpoints", "kubeletEndpoint", "Port"], 0);
    for field in [
        "machineID",
        "systemUUID",
        "bootID",
        "kernelVersion",
        "osImage",
        "containerRuntimeVersion",
        "kubeletVersion",
        "kubeProxyVersion",
        "operatingSystem",
        "architecture",
    ] {
        default_nil(object, &["status", "nodeInfo", field], "");
    }
}

fn validate(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("metadata");
    if let Some(avoid) = object.annotation(AVOID_PODS)
        && let Err(why) = json_object(avoid.as_bytes())
    {
        errors.invalid(&path.child("annotations").child("AvoidPods"), AVOID_PODS, why);
    }
    validate_taints(errors, object, &path.child("taints"));
    let path = FieldPath::new("spec").child("podCIDRs");
    let cidrs = object.array_at(&["spec", "podCIDRs"]);
    for (i, cidr) in cidrs.iter().filter_map(Value::as_str).enumerate() {
        net::cidr(errors, cidr, &path.index(i));
    }
    let families: Vec<bool> = cidrs
        .iter()
        .filter_map(Value::as_str)
        .filter_map(net::parse_cidr)
        .map(|(ip, _)| ip.is_ipv4())
        .collect();
    if families.len() == cidrs.len()
        && (families.len() > 2 || families.len() == 2 && families[0] == families[1])
    {
        let detail = "may specify no more than one CIDR for each IP family";
        errors.invalid(&path, Value::Array(cidrs.iter().cloned().collect()), detail);
    }
}

fn validate_taints(errors: &mut FieldErrors, object: &Value, path: &FieldPath) {
    let mut seen = HashSet::new();
    for (i, taint) in object.array_at(&["spec", "taints"]).iter().enumerate() {
        let path = path.index(i);
        let text = |field: &str| taint.str_at(&[field]);
        names::validate_label_name(errors, text("key"), &path.child("key"));
        let wrong = names::is_valid_label_value(text("value"));
        if !wrong.is_empty() {
            errors.invalid(&path.child("value"), text("value"), wrong.join(";"));
        }
        taint_effect(errors, text("effect"), &path.child("effect"));
        if !seen.insert((text("effect"), text("key"))) {
            let detail = "taints must be unique by key and effect pair";
            duplicate_because(errors, &path, go_form::of("Taint", taint), detail);
        }
    }
}

fn validate_update(errors: &mut FieldErrors, _: &Context<'_>, object: &Value, old: &Value) {
    validate(errors, object);
    for list in ["capacity", "allocatable"] {
        for (name, amount) in object.object_at(&["status", list]).iter() {
            let path = FieldPath::new("status").child(list).child(name);
            resource_quantity_value(errors, name, amount, &path);
        }
    }
    let path = FieldPath::new("spec");
    for (field, detail) in [
        ("podCIDRs", "node updates may not change podCIDR except from \"\" to valid"),
        ("providerID", "node updates may not change providerID except from \"\" to valid"),
    ] {
        let at = ["spec", field];
        if has(old, &at) && !crate::shape::is_zero(old.at(&at)) && !same(object.at(&at), old.at(&at)) {
            errors.forbidden(&path.child(field), detail);
        }
    }
    let rest = |node: &Value| {
        let mut spec = shown(node, &["spec"]);
        for field in
            ["podCIDR", "podCIDRs", "providerID", "taints", "unschedulable", "configSource", "externalID"]
        {
            spec.remove(&[field]);
        }
        spec
    };
    if !same(Some(&rest(object)), Some(&rest(old))) {
        let detail = "node updates may only change labels, taints, or capacity (or configSource, if the DynamicKubeletConfig feature gate is enabled)";
        errors.forbidden(&path, detail);
    }
}
