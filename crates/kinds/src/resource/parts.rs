//! What claims, classes and slices have in common: names, selectors, configurations and tolerations.

use std::collections::HashSet;
use std::hash::Hash;

use drydock_cel::declare::KubernetesVersion;
use drydock_machinery::cel::{DEVICE_SELECTOR_MAX_COST, compile_device_selector};
use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::Context;
use crate::check::{csi_driver_name, dns_label, dns_subdomain, label_value, one_of_given, qualified_name};
use crate::expression::for_new;
use crate::shape::{has, present};

const UNKNOWN_REQUEST: &str =
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";

/// `validateSlice`: so many items. Nothing is said of the items of too long a list.
pub(super) fn each<'a>(
    errors: &mut FieldErrors,
    items: &'a [Value],
    most: usize,
    path: &FieldPath,
    mut check: impl FnMut(&mut FieldErrors, &'a Value, &FieldPath),
) {
    if items.len() > most {
        return errors.too_many(path, items.len(), most);
    }
    for (i, item) in items.iter().enumerate() {
        check(errors, item, &path.index(i));
    }
}

/// `validateSet`: that, and their keys are different.
pub(super) fn set<'a, K: Eq + Hash>(
    errors: &mut FieldErrors,
    items: &'a [Value],
    most: usize,
    path: &FieldPath,
    key: impl Fn(&'a Value) -> (K, Value),
    check: impl FnMut(&mut FieldErrors, &'a Value, &FieldPath),
) {
    each(errors, items, most, path, check);
    if items.len() > most {
        return;
    }
    let mut seen = HashSet::new();
    for (i, item) in items.iter().enumerate() {
        let (key, shown) = key(item);
        if !seen.insert(key) {
            errors.duplicate(&path.index(i), shown);
        }
    }
}

/// `truncateIfTooLong`: a key in a message keeps its beginning and its end.
pub(super) fn shortened(key: &str, most: usize) -> String {
    if key.len() <= most {
        return key.to_owned();
    }
    let kept = most - 3;
    let (begin, end) = (&key.as_bytes()[..kept.div_ceil(2)], &key.as_bytes()[key.len() - kept / 2..]);
    format!("{}...{}", String::from_utf8_lossy(begin), String::from_utf8_lossy(end))
}

/// The key of an item with a name.
pub(super) fn by_name(item: &Value) -> (&str, Value) {
    (item.str_at(&["name"]), item.str_at(&["name"]).into())
}

fn by_itself(item: &Value) -> (&str, Value) {
    (item.as_str().unwrap_or_default(), item.clone())
}

/// `validatePoolName`: subdomains between slashes.
pub(super) fn pool_name(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    if name.is_empty() {
        return errors.required(path, "");
    }
    if name.len() > 253 {
        errors.too_long(path, 253);
    }
    name.split('/').for_each(|part| dns_subdomain(errors, part, path));
}

/// Which names refer to requests of the claim.
fn is_request(devices: &Value, name: &str) -> bool {
    let (request, sub) = name.split_once('/').map_or((name, None), |(request, sub)| (request, Some(sub)));
    let named = |request: &&Value, name: &str| request.str_at(&["name"]) == name;
    let Some(found) = devices.array_at(&["requests"]).iter().find(|one| named(one, request)) else {
        return false;
    };
    sub.is_none_or(|sub| found.array_at(&["firstAvailable"]).iter().any(|one| named(&one, sub)))
}

/// `validateRequestNameRef`.
pub(super) fn request_reference(errors: &mut FieldErrors, devices: &Value, name: &str, path: &FieldPath) {
    if name.split('/').count() > 2 {
        return errors.invalid(path, name, UNKNOWN_REQUEST);
    }
    name.split('/').for_each(|segment| dns_label(errors, segment, path));
    if !is_request(devices, name) {
        errors.invalid(path, name, UNKNOWN_REQUEST);
    }
}

pub(super) fn request_references(
    errors: &mut FieldErrors,
    devices: &Value,
    holder: &Value,
    path: &FieldPath,
) {
    set(
        errors,
        holder.array_at(&["requests"]),
        32,
        &path.child("requests"),
        by_itself,
        |errors, name, path| {
            request_reference(errors, devices, name.as_str().unwrap_or_default(), path);
        },
    );
}

/// What a selector may use.
#[derive(Clone, Copy)]
pub(super) struct Versions {
    cluster: KubernetesVersion,
    language: KubernetesVersion,
}

impl Versions {
    /// Of selectors that are new, or were stored as they are.
    pub(super) fn of(context: &Context<'_>, is_stored: bool) -> Self {
        let cluster = KubernetesVersion::of_minor(context.minor_version);
        Self { cluster, language: if is_stored { cluster } else { for_new(context) } }
    }
}

/// `validateSelectorSlice`, but for what the expressions cost.
pub(super) fn selectors(errors: &mut FieldErrors, holder: &Value, versions: Versions, path: &FieldPath) {
    each(errors, holder.array_at(&["selectors"]), 32, path, |errors, selector, path| {
        let path = path.child("cel");
        if !has(selector, &["cel"]) {
            errors.required(&path, "");
        } else if selector.str_at(&["cel", "expression"]).len() > 10 * 1024 {
            errors.too_long(&path.child("expression"), 10 * 1024);
        } else {
            let expression = selector.str_at(&["cel", "expression"]);
            let path = path.child("expression");
            match compile_device_selector(expression, versions.language, versions.cluster) {
                Err(why) => errors.invalid(&path, expression, why),
                Ok(selector) if selector.max_cost > DEVICE_SELECTOR_MAX_COST => {
                    errors.forbidden(&path, "too complex, exceeds cost limit");
                }
                Ok(_) => {}
            }
        }
    });
}

/// `validateDeviceConfiguration`.
pub(super) fn configuration(errors: &mut FieldErrors, config: &Value, is_stored: bool, path: &FieldPath) {
    let path = path.child("opaque");
    let Some(opaque) = present(config, &["opaque"]) else { return errors.required(&path, "") };
    csi_driver_name(errors, opaque.str_at(&["driver"]), &path.child("driver"));
    raw_object(errors, opaque.get("parameters"), is_stored, &path.child("parameters"));
}

/// `validateRawExtension`: some JSON object. What is stored already may be longer.
pub(super) fn raw_object(errors: &mut FieldErrors, given: Option<&Value>, is_stored: bool, path: &FieldPath) {
    match given.filter(|given| !given.is_null()) {
        None => errors.required(path, ""),
        Some(given) if !is_stored && given.to_json().len() > 10 * 1024 => errors.too_long(path, 10 * 1024),
        Some(Value::Object(_)) => {}
        Some(_) => errors.invalid(path, "<value omitted>", "must be a valid JSON object"),
    }
}

/// `validateDeviceToleration`.
pub(super) fn toleration(errors: &mut FieldErrors, toleration: &Value, path: &FieldPath) {
    let [key, operator, value, effect] =
        ["key", "operator", "value", "effect"].map(|field| toleration.str_at(&[field]));
    if !key.is_empty() {
        qualified_name(errors, key, &path.child("key"));
    }
    match operator {
        "Exists" if !value.is_empty() => {
            errors.invalid(&path.child("value"), value, "must be empty for operator `Exists`");
        }
        "Exists" => {}
        "Equal" => {
            label_value(errors, value, &path.child("value"));
        }
        "" => errors.required(&path.child("operator"), ""),
        other => errors.not_supported(&path.child("operator"), other, &["Equal", "Exists"]),
    }
    if !effect.is_empty() {
        one_of_given(errors, effect, &EFFECTS, &path.child("effect"));
    }
}

pub(super) const EFFECTS: [&str; 3] = ["NoExecute", "NoSchedule", "None"];

/// `validateQualifiedName`: an identifier, perhaps in a domain.
pub(super) fn attribute_name(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    let parts: Vec<&str> = name.split('/').collect();
    match parts[..] {
        [id] => identifier(errors, id, path),
        [domain, id] => {
            if domain.is_empty() {
                errors.invalid(path, "", "the domain must not be empty");
            } else {
                csi_driver_name(errors, domain, path);
            }
            if id.is_empty() {
                errors.invalid(path, "", "the name must not be empty");
            } else {
                identifier(errors, id, path);
            }
        }
        _ => {}
    }
}

/// `validateFullyQualifiedName`.
pub(super) fn fully_qualified_name(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    attribute_name(errors, name, path);
    if !name.contains('/') {
        let detail = "a fully qualified name must be a domain and a name separated by a slash";
        errors.invalid(path, name, detail);
    }
}

fn identifier(errors: &mut FieldErrors, id: &str, path: &FieldPath) {
    if id.len() > 32 {
        errors.too_long(path, 32);
    }
    names::invalid_each(errors, path, id, names::is_c_identifier(id));
}
