//! `validateDevice`: what a slice may say of a device.

use drydock_machinery::names_validation as names;
use drydock_machinery::quantity::Quantity;
use drydock_machinery::{FieldErrors, FieldPath, Key, Value};

use super::parts::{self, EFFECTS};
use crate::check::{dns_label, dns_subdomain, label_value, one_of};
use crate::go_form;
use crate::pod::scheduling::node_selector;
use crate::shape::{each_mut, has, is_zero, present, same, shown};

const MOST_DEVICES: usize = 128;
const MOST_ADVANCED: usize = 64;
/// Lists of an attribute's values.
const LISTS: [&str; 4] = ["bools", "ints", "strings", "versions"];

/// `dropDisabledFields`, of fields behind feature gates that are off: a new slice does not get them, an old one that has
/// one of them keeps them.
pub(super) fn drop_disabled(slice: &mut Value, old: Option<&Value>) {
    let devices = |slice: &Value| slice.array_at(&["spec", "devices"]).to_vec();
    let before = old.map(devices).unwrap_or_default();
    let maps = before.iter().any(|device| !device.object_at(&[MAPPINGS]).is_empty());
    let lists = before.iter().any(|device| {
        let mut attributes = device.object_at(&["attributes"]).values();
        attributes.any(|attribute| LISTS.iter().any(|list| !attribute.array_at(&[list]).is_empty()))
    });
    each_mut(slice, &["spec", "devices"], |device| {
        if !maps {
            device.remove(&[MAPPINGS]);
        }
        if !lists {
            let names: Vec<Key> = device.object_at(&["attributes"]).keys().cloned().collect();
            for (name, list) in names.iter().flat_map(|name| LISTS.map(|list| (name, list))) {
                device.remove(&["attributes", name, list]);
            }
        }
    });
}

const MAPPINGS: &str = "nodeAllocatableResourceMappings";

/// A driver's name, a slash and an identifier.
const LONGEST_KEY: usize = 63 + 1 + 32;

/// The devices of a slice. Taints that were let pass once may stay.
pub(super) fn devices(errors: &mut FieldErrors, spec: &Value, old: Option<&Value>, path: &FieldPath) {
    let all = spec.array_at(&["devices"]);
    let has_lists = |attribute: &Value| LISTS.iter().any(|list| has(attribute, &[list]));
    let advanced = |device: &Value| {
        !is_zero(device.get("taints"))
            || !is_zero(device.get("consumesCounters"))
            || device.object_at(&["attributes"]).values().any(has_lists)
    };
    let most = if all.iter().any(advanced) { MOST_ADVANCED } else { MOST_DEVICES };
    let placed = spec.bool_at(&["perDeviceNodeSelection"]);
    parts::set(errors, all, most, path, parts::by_name, |errors, device, path| {
        let name = device.str_at(&["name"]);
        let before =
            old.and_then(|old| old.array_at(&["devices"]).iter().find(|old| old.str_at(&["name"]) == name));
        validate(errors, device, before, placed, path);
    });
}

fn validate(errors: &mut FieldErrors, device: &Value, old: Option<&Value>, placed: bool, path: &FieldPath) {
    dns_label(errors, device.str_at(&["name"]), &path.child("name"));
    amounts(errors, device, path);
    for (name, attribute) in device.object_at(&["attributes"]).iter() {
        let path = path.child("attributes");
        parts::attribute_name(errors, name, &path);
        validate_attribute(errors, attribute, &path.key(&parts::shortened(name, LONGEST_KEY)));
    }
    let shared = device.bool_at(&["allowMultipleAllocations"]);
    for (name, capacity) in device.object_at(&["capacity"]).iter() {
        let path = path.child("capacity");
        parts::attribute_name(errors, name, &path);
        let path = path.key(&parts::shortened(name, LONGEST_KEY)).child("requestPolicy");
        match present(capacity, &["requestPolicy"]) {
            Some(policy) if shared => request_policy(errors, &amount(capacity, "value"), policy, &path),
            Some(_) => errors.forbidden(&path, "allowMultipleAllocations must be true"),
            None => {}
        }
    }
    if old.is_none_or(|old| !same(old.get("taints"), device.get("taints"))) {
        parts::each(errors, device.array_at(&["taints"]), 16, &path.child("taints"), taint);
    }
    let key = |counters: &'_ Value| {
        let set = counters.str_at(&["counterSet"]).to_owned();
        (set.clone(), set.into())
    };
    let consumed = device.array_at(&["consumesCounters"]);
    parts::set(errors, consumed, 2, &path.child("consumesCounters"), key, |errors, consumed, path| {
        counters(errors, consumed, "counterSet", path);
    });
    if placed {
        placement(errors, device, path);
    } else if ["nodeName", "nodeSelector", "allNodes"].iter().any(|field| has(device, &[field])) {
        let detail = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
        errors.invalid(path, Value::Null, detail);
    }
    binding_conditions(errors, device, path);
}

/// How much may be said of one device.
fn amounts(errors: &mut FieldErrors, device: &Value, path: &FieldPath) {
    let attributes = device.object_at(&["attributes"]);
    let count = attributes.len() + device.object_at(&["capacity"]).len();
    if count > 32 {
        let detail = "the total number of attributes and capacities must not exceed 32";
        errors.invalid(path, count, detail);
    }
    let values = |attribute: &Value| {
        let lists = LISTS.map(|list| attribute.array_at(&[list]).len());
        lists.into_iter().sum::<usize>().max(1)
    };
    let count: usize = attributes.values().map(values).sum();
    if count > 48 {
        errors.invalid(path, count, "the total number of attribute values must not exceed 48");
    }
}

fn validate_attribute(errors: &mut FieldErrors, attribute: &Value, path: &FieldPath) {
    let mut found = ["bool", "int"].iter().filter(|field| has(attribute, &[field])).count();
    for field in ["string", "version"] {
        if let Some(text) = present(attribute, &[field]).and_then(Value::as_str) {
            found += 1;
            attribute_text(errors, text, field == "version", &path.child(field));
        }
    }
    for field in LISTS {
        // One that was given as empty went with the feature that has it, which is off.
        let Some(list) = present(attribute, &[field]).filter(|list| !is_zero(Some(list))) else { continue };
        found += 1;
        let path = path.child(field);
        for (i, text) in list.array_at(&[]).iter().filter_map(Value::as_str).enumerate() {
            attribute_text(errors, text, field == "versions", &path.index(i));
        }
    }
    match found {
        0 => errors.invalid(path, "", "exactly one value must be specified"),
        1 => {}
        _ => {
            let shown = go_form::of("DeviceAttribute", attribute);
            errors.invalid(path, shown, "exactly one value must be specified");
        }
    }
}

fn attribute_text(errors: &mut FieldErrors, text: &str, is_version: bool, path: &FieldPath) {
    if is_version && !is_semantic_version(text) {
        errors.invalid(path, text, "must be a string compatible with semver.org spec 2.0.0");
    }
    if text.len() > 64 {
        errors.too_long(path, 64);
    }
}

/// `1.2.3-alpha.1+build`.
fn is_semantic_version(text: &str) -> bool {
    let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
    let (core, early) = rest.split_once('-').map_or((rest, None), |(core, early)| (core, Some(early)));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let number = |part: &str| digits(part) && (part == "0" || !part.starts_with('0'));
    let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    core.split('.').count() == 3
        && core.split('.').all(number)
        && early
            .is_none_or(|early| early.split('.').all(|part| word(part) && (!digits(part) || number(part))))
        && build.is_none_or(|build| build.split('.').all(word))
}

fn amount(holder: &Value, field: &str) -> Quantity {
    Quantity::of(holder.get(field))
}

/// What consumers may ask of a capacity that they share.
fn request_policy(errors: &mut FieldErrors, capacity: &Quantity, policy: &Value, path: &FieldPath) {
    let values = policy.array_at(&["validValues"]);
    let range = present(policy, &["validRange"]);
    let field = match (values.is_empty(), range) {
        (false, Some(_)) => {
            let detail = "exactly one policy can be specified, cannot specify \"validValues\" and \"validRange\" at the same time";
            return errors.forbidden(path, detail);
        }
        (true, None) => return,
        (false, None) => "validValues",
        (true, Some(_)) => "validRange",
    };
    if !has(policy, &["default"]) {
        return errors.required(&path.child("default"), format!("required when {field} is defined"));
    }
    let default = amount(policy, "default");
    match range {
        Some(range) => valid_range(errors, &default, capacity, range, &path.child(field)),
        None => valid_values(errors, &default, capacity, values, &path.child(field)),
    }
}

fn valid_values(
    errors: &mut FieldErrors,
    default: &Quantity,
    capacity: &Quantity,
    values: &[Value],
    path: &FieldPath,
) {
    let of = |value: &Value| Quantity::of(Some(value));
    for (i, pair) in values.windows(2).enumerate().filter(|(_, pair)| of(&pair[0]) > of(&pair[1])) {
        let detail = "values must be sorted in ascending order";
        errors.invalid(&path.index(i + 1), of(&pair[1]).to_string(), detail);
    }
    let key = |value: &'_ Value| (of(value).value(), Value::from(of(value).value().to_string()));
    parts::set(errors, values, 10, path, key, |errors, value, path| {
        if of(value) > *capacity {
            let detail = format!("option is larger than capacity value: {capacity}");
            errors.invalid(path, of(value).to_string(), detail);
        }
    });
    if values.len() > 10 || !values.iter().any(|value| of(value) == *default) {
        let detail = "default value is not valid according to the requestPolicy";
        errors.invalid(path, default.to_string(), detail);
    }
}

fn valid_range(
    errors: &mut FieldErrors,
    default: &Quantity,
    capacity: &Quantity,
    range: &Value,
    path: &FieldPath,
) {
    let of = |field: &str| present(range, &[field]).map(|given| Quantity::of(Some(given)));
    let at = |field: &str| path.child_named(field);
    let Some(min) = of("min") else {
        return errors.required(&at("min"), "required when validRange is defined");
    };
    let mut wrong = |field: &str, value: &Quantity, detail: String| {
        errors.invalid(&at(field), value.to_string(), detail);
    };
    if min > *capacity {
        wrong("min", &min, format!("min is larger than capacity value: {capacity}"));
    }
    if *default < min {
        wrong("min", default, format!("default is less than min: {min}"));
    }
    let max = of("max");
    if let Some(max) = &max {
        if min > *max {
            wrong("max", &min, format!("min is larger than max: {max}"));
        }
        if max > capacity {
            wrong("max", max, format!("max is larger than capacity value: {capacity}"));
        }
        if default > max {
            wrong("max", default, format!("default is more than max: {max}"));
        }
    }
    let Some(step) = of("step") else { return };
    let mut first = min.clone();
    first += &step;
    if first > *capacity {
        wrong("step", &step, format!("one step {first} is larger than capacity value: {capacity}"));
    }
    for value in std::iter::once(default).chain(&max) {
        // A step of nothing leads nowhere.
        if value.value().wrapping_sub(min.value()).checked_rem(step.value()) != Some(0) {
            let detail = format!("value is not a multiple of a given step ({step}) from ({min})");
            wrong("step", value, detail);
        }
    }
}

fn taint(errors: &mut FieldErrors, taint: &Value, path: &FieldPath) {
    let [key, value, effect] = ["key", "value", "effect"].map(|field| taint.str_at(&[field]));
    names::validate_label_name(errors, key, &path.child("key"));
    label_value(errors, value, &path.child("value"));
    one_of(errors, effect, &EFFECTS, &path.child("effect"));
}

/// `validateCounterSet` and `validateDeviceCounterConsumption`: a set's name, and amounts by name.
pub(super) fn counters(errors: &mut FieldErrors, holder: &Value, field: &str, path: &FieldPath) {
    match holder.str_at(&[field]) {
        "" => errors.required(&path.child_named(field), ""),
        name => dns_label(errors, name, &path.child_named(field)),
    }
    let given = holder.object_at(&["counters"]);
    let path = path.child("counters");
    match given.len() {
        0 => errors.required(&path, ""),
        1..=32 => given.keys().for_each(|name| dns_label(errors, name, &path)),
        count => errors.too_many(&path, count, 32),
    }
}

/// Where one device is, in a slice that leaves this to its devices.
fn placement(errors: &mut FieldErrors, device: &Value, path: &FieldPath) {
    const NEEDED: &str = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
    let mut given = Vec::new();
    match present(device, &["nodeName"]).and_then(Value::as_str) {
        None => {}
        Some("") => errors.invalid(&path.child("nodeName"), "", "must not be empty"),
        Some(node) => {
            given.push("`nodeName`");
            dns_subdomain(errors, node, &path.child("nodeName"));
        }
    }
    if let Some(selector) = present(device, &["nodeSelector"]) {
        given.push("`nodeSelector`");
        node_selector(errors, selector, &path.child("nodeSelector"));
    }
    match present(device, &["allNodes"]).and_then(Value::as_bool) {
        None => {}
        Some(true) => given.push("`allNodes`"),
        Some(false) => {
            errors.invalid(&path.child("allNodes"), false, "must be either unset or set to true");
        }
    }
    match given.len() {
        0 => errors.required(path, NEEDED),
        1 => {}
        _ => errors.invalid(path, format!("{{{}}}", given.join(", ")), NEEDED),
    }
}

/// `validateDeviceBindingParameters`: of devices, and of those that a claim was given.
pub(super) fn binding_conditions(errors: &mut FieldErrors, holder: &Value, path: &FieldPath) {
    const KINDS: [&str; 2] = ["bindingConditions", "bindingFailureConditions"];
    let label = |errors: &mut FieldErrors, name: &Value, path: &FieldPath| {
        names::validate_label_name(errors, name.as_str().unwrap_or(""), path);
    };
    for kind in KINDS {
        parts::each(errors, holder.array_at(&[kind]), 4, &path.child(kind), label);
    }
    let [good, bad] = KINDS.map(|kind| holder.array_at(&[kind]));
    for (kind, list) in KINDS.into_iter().zip([good, bad]) {
        for (i, name) in list.iter().enumerate() {
            let path = path.child(kind).index(i);
            if list[..i].contains(name) {
                errors.duplicate(&path, name.clone());
            }
            if kind == KINDS[1] && good.contains(name) {
                let detail = "bindingFailureConditions must not overlap with bindingConditions";
                errors.invalid(&path, name.clone(), detail);
            }
        }
    }
    let mut missing = |missing: &str, other: &str| {
        let detail = format!("{missing} are required to use {other}");
        errors.invalid(&path.child_named(missing), shown(holder, &[missing]), detail);
    };
    if good.is_empty() && !bad.is_empty() {
        missing(KINDS[0], KINDS[1]);
    }
    if bad.is_empty() && !good.is_empty() {
        missing(KINDS[1], KINDS[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::is_semantic_version;

    #[test]
    fn versions_are_semantic() {
        let good = ["0.0.0", "1.2.3", "1.2.3-alpha.1", "1.2.3+b-1.01", "1.2.3-0a.x-y+b"];
        assert!(good.into_iter().all(is_semantic_version));
        let bad = ["1.2", "1.2.3.4", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3+", "v1.2.3", "1.2.3-a..b"];
        assert!(!bad.into_iter().any(is_semantic_version));
    }
}
