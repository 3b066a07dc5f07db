//! Node.

use std::collections::HashSet;
use std::net::IpAddr;

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value};

use crate::check::{POSITIVE, duplicate_because, json_object, net, resource_quantity_value};
use crate::kind::{Kind, NEW_THEN_CHANGED};
use crate::pod::defaults;
use crate::pod::scheduling::taint_effect;
use crate::shape::{default_nil, has, shown};
use crate::{go_form, table};

const AVOID_PODS: &str = "scheduler.alpha.kubernetes.io/preferAvoidPods";

pub(super) static KIND: Kind = Kind {
    update: NEW_THEN_CHANGED,
    status: true,
    status_on_create: true,
    defaults: set_defaults,
    prepare_create: |_, object| {
        zero_status(object);
        drop_config(object, None, &CONFIG_SOURCE);
        drop_config(object, None, &CONFIG);
    },
    prepare_update: |context, object, old| match context.subresource {
        "" => drop_config(object, Some(old), &CONFIG_SOURCE),
        _ => drop_config(object, Some(old), &CONFIG),
    },
    validate: |errors, _, object, _| validate(errors, object),
    validate_change,
    validate_status: |errors, _, object, old| validate_change(errors, object, old),
    field_names: &["spec.unschedulable"],
    field_values: |object| {
        let unschedulable = object.bool_at(&["spec", "unschedulable"]);
        vec![("spec.unschedulable", if unschedulable { "true" } else { "false" }.into())]
    },
    warnings: |object, _| warnings(object),
    cells: table::node,
    ..Kind::new("", "nodes")
};

fn warnings(object: &Value) -> Vec<String> {
    let mut out = Vec::new();
    if has(object, &["spec", "configSource"]) {
        out.push("spec.configSource: the feature is removed".to_owned());
    }
    if !object.str_at(&["spec", "externalID"]).is_empty() {
        out.push("spec.externalID: this field is deprecated, and is unused by Kubernetes".to_owned());
    }
    let path = FieldPath::new("spec").child("podCIDRs");
    let cidrs = object.array_at(&["spec", "podCIDRs"]).iter().filter_map(Value::as_str);
    cidrs.enumerate().for_each(|(i, cidr)| net::cidr_warnings(&mut out, cidr, &path.index(i)));
    out
}

/// Configuration by the API server was taken away: what is new does not have it, what has it may keep it.
fn drop_config(object: &mut Value, old: Option<&Value>, at: &[&str]) {
    if old.is_none_or(|old| !has(old, at)) {
        object.remove(at);
    }
}

const CONFIG_SOURCE: [&str; 2] = ["spec", "configSource"];
const CONFIG: [&str; 2] = ["status", "config"];

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
        // The old field wins over the first of the new.
        let cidr = spec.str_at(&["podCIDR"]).to_owned();
        let first = spec.array_at(&["podCIDRs"])[0].clone();
        if cidr.is_empty() {
            spec.set(&["podCIDR"], first);
        } else if first.as_str() != Some(&cidr) {
            spec.set(&["podCIDRs"], vec![Value::from(cidr)]);
        }
    }
    zero_status(object);
    if has(object, &["status", "capacity"]) && !has(object, &["status", "allocatable"]) {
        let capacity = shown(object, &["status", "capacity"]);
        object.set(&["status", "allocatable"], capacity);
    }
    defaults::round_lists(object, &[&["status", "capacity"], &["status", "allocatable"]]);
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

fn annotations(errors: &mut FieldErrors, object: &Value) {
    if let Some(avoid) = object.annotation(AVOID_PODS).filter(|text| !text.is_empty())
        && let Err(why) = json_object(avoid.as_bytes())
    {
        let path = FieldPath::new("metadata").child("annotations").child("AvoidPods");
        errors.invalid(&path, AVOID_PODS, why);
    }
}

fn validate(errors: &mut FieldErrors, object: &Value) {
    annotations(errors, object);
    let path = FieldPath::new("metadata");
    validate_taints(errors, object, &path.child("taints"));
    resources(errors, object);
    if let Some(capacity) = object.i64_at(&["status", "nodeInfo", "swap", "capacity"])
        && capacity <= 0
    {
        errors.invalid(&path.child("nodeSwapStatus").child("capacity"), capacity, POSITIVE);
    }
    declared_features(errors, object);
    pod_cidrs(errors, object);
}

fn pod_cidrs(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec").child("podCIDRs");
    let cidrs = object.array_at(&["spec", "podCIDRs"]);
    for (i, cidr) in cidrs.iter().filter_map(Value::as_str).enumerate() {
        net::cidr(errors, cidr, &path.index(i));
    }
    if cidrs.len() < 2 {
        return;
    }
    let mut parsed: Vec<IpAddr> = Vec::new();
    for (i, cidr) in cidrs.iter().filter_map(Value::as_str).enumerate() {
        let Some((ip, _)) = net::parse_cidr(cidr) else {
            let why = format!(
                "invalid PodCIDRs. failed to check with dual stack with error:invalid CIDR[{i}]: <nil> (invalid CIDR address: {cidr})"
            );
            errors.internal(&path, why);
            parsed.clear();
            break;
        };
        parsed.push(ip);
    }
    if !net::dual_stack(&parsed) || cidrs.len() > 2 {
        let detail = "may specify no more than one CIDR for each IP family";
        errors.invalid(&path, Value::Array(cidrs.iter().cloned().collect()), detail);
    }
}

fn resources(errors: &mut FieldErrors, object: &Value) {
    for list in ["capacity", "allocatable"] {
        for (name, amount) in object.object_at(&["status", list]).iter() {
            let path = FieldPath::new("status").child_named(list).child_named(name);
            resource_quantity_value(errors, name, amount, &path);
        }
    }
}

/// Names of features are sorted, and in the form of Go's.
fn declared_features(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("status").child("declaredFeatures");
    let features: Vec<&str> =
        object.array_at(&["status", "declaredFeatures"]).iter().filter_map(Value::as_str).collect();
    for (i, feature) in features.iter().enumerate() {
        if feature.len() > 253 {
            let detail = format!("invalid feature name {feature:?}: must be no more than 253 characters");
            errors.invalid(&path.index(i), *feature, detail);
        } else if !is_feature(feature) {
            let detail = format!(
                "invalid feature name {feature:?}: must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes"
            );
            errors.invalid(&path.index(i), *feature, detail);
        }
        if let Some(next) = features.get(i + 1) {
            if feature == next {
                errors.duplicate(&path.index(i + 1), *next);
            } else if feature > next {
                errors.invalid(&path.index(i + 1), *next, "list must be sorted alphabetically");
            }
        }
    }
}

fn is_feature(name: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric());
    name.starts_with(|c: char| c.is_ascii_uppercase()) && name.split('/').all(part)
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

fn validate_change(errors: &mut FieldErrors, object: &Value, old: &Value) {
    annotations(errors, object);
    resources(errors, object);
    declared_features(errors, object);
    let mut addresses = Vec::new();
    for (i, address) in object.array_at(&["status", "addresses"]).iter().enumerate() {
        if addresses.contains(&address) {
            let path = FieldPath::new("status").child("addresses").index(i);
            errors.duplicate(&path, go_form::of("NodeAddress", address));
        }
        addresses.push(address);
    }
    let path = FieldPath::new("spec");
    let cidrs = |node: &Value| node.array_at(&["spec", "podCIDRs"]).to_vec();
    let (new, before) = (cidrs(object), cidrs(old));
    let changed = if new.len() == before.len() {
        new.iter().zip(&before).filter(|(new, old)| new != old).count()
    } else {
        usize::from(!before.is_empty())
    };
    for _ in 0..changed {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        errors.forbidden(&path.child("podCIDRs"), detail);
    }
    let provider = &["spec", "providerID"];
    if !old.str_at(provider).is_empty() && object.str_at(provider) != old.str_at(provider) {
        let detail = "node updates may not change providerID except from \"\" to valid";
        errors.forbidden(&path.child("providerID"), detail);
    }
    validate_taints(errors, object, &FieldPath::new("metadata").child("taints"));
    let external = &["spec", "externalID"];
    if object.str_at(external) != old.str_at(external) {
        errors.forbidden(&path.child("externalID"), "may not be updated");
    }
}
