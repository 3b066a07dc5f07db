//! LimitRange.

use std::collections::{BTreeSet, HashSet};

use drydock_machinery::names_validation as names;
use drydock_machinery::quantity::Quantity;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::check::{is_fully_qualified, is_integer_resource};
use crate::kind::Kind;
use crate::pod::container_resource_name;
use crate::shape::{default_nil, each_mut};

pub(super) static KIND: Kind = Kind {
    put_creates: true,
    defaults: set_defaults,
    validate: |errors, _, object| validate(errors, object),
    ..Kind::new("", "limitranges")
};

fn set_defaults(object: &mut Value) {
    each_mut(object, &["spec", "limits"], |limit| {
        if limit.str_at(&["type"]) != "Container" {
            return;
        }
        for (target, source) in [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")]
        {
            let amounts = limit.object_at(&[source]).clone();
            for (name, amount) in amounts.iter() {
                default_nil(limit, &[target, name], amount.clone());
            }
        }
    });
}

fn validate(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec").child("limits");
    let mut types = HashSet::new();
    for (i, limit) in object.array_at(&["spec", "limits"]).iter().enumerate() {
        let path = path.index(i);
        let limit_type = limit.str_at(&["type"]);
        limit_type_name(errors, limit_type, &path.child("type"));
        if !types.insert(limit_type) {
            errors.duplicate(&path.child("type"), limit_type);
        }
        validate_limit(errors, limit, limit_type, &path);
    }
}

fn limit_type_name(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    let wrong = names::is_qualified_name(name);
    let malformed = !wrong.is_empty();
    names::invalid_each(errors, path, name, wrong);
    if !malformed
        && !is_fully_qualified(name)
        && !["Pod", "Container", "PersistentVolumeClaim"].contains(&name)
    {
        errors.invalid(path, name, "must be a standard limit type or fully qualified");
    }
}

fn validate_limit(errors: &mut FieldErrors, limit: &Value, limit_type: &str, path: &FieldPath) {
    const LISTS: [&str; 5] = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];
    let mut keys: BTreeSet<&str> = BTreeSet::new();
    for list in LISTS {
        let is_default = list.starts_with("default");
        if limit_type == "Pod" && is_default {
            if !limit.object_at(&[list]).is_empty() {
                errors.forbidden(&path.child(list), "may not be specified when `type` is 'Pod'");
            }
            continue;
        }
        for name in limit.object_at(&[list]).keys() {
            let path = path.child(list).key(name);
            if matches!(limit_type, "Pod" | "Container") {
                container_resource_name(errors, name, &path);
            } else {
                resource_name(errors, name, &path);
            }
            keys.insert(name);
        }
    }
    if limit_type == "PersistentVolumeClaim" {
        let given = |list: &str| limit.object_at(&[list]).contains_key("storage");
        if !given("min") && !given("max") {
            errors.required(
                &path.child("limits"),
                "either minimum or maximum storage value is required, but neither was provided",
            );
        }
    }
    for name in keys {
        compare(errors, limit, name, path);
    }
}

/// `validateResourceName`.
pub(crate) fn resource_name(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    const STANDARD: [&str; 22] = [
        "cpu",
        "memory",
        "ephemeral-storage",
        "requests.cpu",
        "requests.memory",
        "requests.ephemeral-storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "storage",
        "requests.storage",
        "services.nodeports",
        "services.loadbalancers",
        "hugepages-2Mi",
        "hugepages-1Gi",
    ];
    let wrong = names::is_qualified_name(name);
    let malformed = !wrong.is_empty();
    names::invalid_each(errors, path, name, wrong);
    if !malformed && !is_fully_qualified(name) && !STANDARD.contains(&name) && !name.starts_with("hugepages-")
    {
        errors.invalid(path, name, "must be a standard resource type or fully qualified");
    }
}

fn compare(errors: &mut FieldErrors, limit: &Value, name: &str, path: &FieldPath) {
    let amount =
        |list: &str| limit.at(&[list, name]).map(|amount| (Quantity::of(Some(amount)), amount.clone()));
    let mut too_big = |list: &str, shown: &str, low: (&str, &Quantity), high: (&str, &Quantity)| {
        let value = Value::from(shown);
        let detail = format!("{} value {} is greater than {} value {}", low.0, low.1, high.0, high.1);
        errors.invalid(&path.child(list).key(name), value, detail);
    };
    let (min, max) = (amount("min"), amount("max"));
    let (request, default) = (amount("defaultRequest"), amount("default"));
    if let (Some((min, shown)), Some((max, _))) = (&min, &max)
        && min > max
    {
        too_big("min", shown.as_str().unwrap_or(""), ("min", min), ("max", max));
    }
    if let (Some((request, shown)), Some((min, _))) = (&request, &min)
        && min > request
    {
        too_big("defaultRequest", shown.as_str().unwrap_or(""), ("min", min), ("default request", request));
    }
    if let (Some((request, shown)), Some((max, _))) = (&request, &max)
        && request > max
    {
        too_big("defaultRequest", shown.as_str().unwrap_or(""), ("default request", request), ("max", max));
    }
    if let (Some((request, shown)), Some((default, _))) = (&request, &default)
        && request > default
    {
        let text = shown.as_str().unwrap_or("");
        too_big("defaultRequest", text, ("default request", request), ("default limit", default));
    }
    if let (Some((default, _)), Some((min, shown))) = (&default, &min)
        && min > default
    {
        too_big("default", shown.as_str().unwrap_or(""), ("min", min), ("default", default));
    }
    if let (Some((default, _)), Some((max, shown))) = (&default, &max)
        && default > max
    {
        too_big("default", shown.as_str().unwrap_or(""), ("default", default), ("max", max));
    }
    ratio(errors, limit, name, path);
    if !is_integer_resource(name) && !name.starts_with("hugepages-") {
        return;
    }
    if let (Some((default, _)), Some((request, _))) = (&default, &request)
        && default != request
        && name.contains('/')
    {
        let detail =
            format!("default value {default} must equal to defaultRequest value {request} in {name}");
        errors.invalid(&path.child("default").key(name), default.to_string(), detail);
    }
}

fn ratio(errors: &mut FieldErrors, limit: &Value, name: &str, path: &FieldPath) {
    let Some(shown) = limit.at(&["maxLimitRequestRatio", name]) else { return };
    let ratio = Quantity::of(Some(shown));
    let path = path.child("maxLimitRequestRatio").key(name);
    if ratio < Quantity::from_milli(1000) {
        errors.invalid(&path, shown.clone(), format!("ratio {ratio} is less than 1"));
    }
    let bound = |list: &str| limit.at(&[list, name]).map(|amount| Quantity::of(Some(amount)).as_f64());
    if let (Some(min), Some(max)) = (bound("min"), bound("max"))
        && min > 0.0
        && ratio.as_f64() > max / min
    {
        let detail = format!("ratio {ratio} is greater than max/min = {:.6}", max / min);
        errors.invalid(&path, shown.clone(), detail);
    }
}
