//! LimitRange.

use std::collections::{BTreeSet, HashSet};

use drydock_machinery::quantity::Quantity;
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value};

use crate::check::{is_fully_qualified, is_huge_page, is_native_resource, qualified_name, resource_name};
use crate::kind::{Kind, NEW};
use crate::pod::defaults;
use crate::pod::resources::container_resource_name;
use crate::shape::{default_nil, each_mut};

pub(super) static KIND: Kind = Kind {
    update: NEW,
    put_creates: true,
    prepare_create: |_, object| {
        if object.name().is_empty() {
            // Any unique name does.
            let uid = object.uid().to_owned();
            object.set(&["metadata", "name"], uid);
        }
    },
    defaults: set_defaults,
    validate: |errors, _, object, _| validate(errors, object),
    ..Kind::new("", "limitranges")
};

fn set_defaults(object: &mut Value) {
    each_mut(object, &["spec", "limits"], |limit| {
        if limit.str_at(&["type"]) == "Container" {
            default_amounts(limit);
        }
        for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
            defaults::round_lists(limit, &[&[list]]);
        }
    });
}

fn default_amounts(limit: &mut Value) {
    for (target, source) in [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")] {
        let amounts = limit.object_at(&[source]).clone();
        for (name, amount) in amounts.iter() {
            default_nil(limit, &[target, name], amount.clone());
        }
    }
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
    let before = errors.len();
    qualified_name(errors, name, path);
    if errors.len() == before
        && !is_fully_qualified(name)
        && !["Pod", "Container", "PersistentVolumeClaim"].contains(&name)
    {
        errors.invalid(path, name, "must be a standard limit type or fully qualified");
    }
}

fn validate_limit(errors: &mut FieldErrors, limit: &Value, limit_type: &str, path: &FieldPath) {
    let mut keys: BTreeSet<&str> = BTreeSet::new();
    for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        if has_no(limit_type, list) {
            if !limit.object_at(&[list]).is_empty() {
                errors.forbidden(&path.child(list), "may not be specified when `type` is 'Pod'");
            }
            continue;
        }
        if list == "maxLimitRequestRatio" {
            claim_limits(errors, limit, limit_type, path);
        }
        for name in limit.object_at(&[list]).keys() {
            let at = path.child(list).key(name);
            if ["Pod", "Container"].contains(&limit_type) {
                container_resource_name(errors, name, &at);
            } else {
                resource_name(errors, name, &at);
            }
            keys.insert(name);
        }
    }
    for name in keys {
        compare(errors, limit, limit_type, name, path);
    }
}

/// Whether limits of this type may not have this list, which then counts for nothing.
fn has_no(limit_type: &str, list: &str) -> bool {
    limit_type == "Pod" && list.starts_with("default")
}

fn claim_limits(errors: &mut FieldErrors, limit: &Value, limit_type: &str, path: &FieldPath) {
    let given = |list: &str| limit.object_at(&[list]).contains_key("storage");
    if limit_type == "PersistentVolumeClaim" && !given("min") && !given("max") {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        errors.required(&path.child("limits"), detail);
    }
}

fn compare(errors: &mut FieldErrors, limit: &Value, limit_type: &str, name: &str, path: &FieldPath) {
    let amount = |list: &str| {
        let amount = limit.at(&[list, name]).filter(|_| !has_no(limit_type, list))?;
        Some((Quantity::of(Some(amount)), amount.clone()))
    };
    let mut too_big = |list: &str, shown: &str, low: (&str, &Quantity), high: (&str, &Quantity)| {
        let value = Value::from(shown);
        let detail = format!("{} value {} is greater than {} value {}", low.0, low.1, high.0, high.1);
        errors.invalid(&path.child_named(list).key(name), value, detail);
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
    if let (Some((default, _)), Some((request, shown))) = (&default, &request)
        && default != request
        && (!is_native_resource(name) || is_huge_page(name))
    {
        let detail =
            format!("default value {default} must equal to defaultRequest value {request} in {name}");
        errors.invalid(&path.child("defaultRequest").key(name), shown.clone(), detail);
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
        && ratio.as_f64() > max / min
    {
        let detail = format!("ratio {ratio} is greater than max/min = {:.6}", max / min);
        errors.invalid(&path, shown.clone(), detail);
    }
}
