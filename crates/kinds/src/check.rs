//! Pieces of validation that many kinds share. Texts are upstream's.

mod conditions;
mod json;
mod names;
pub(crate) mod net;
mod number;
mod quantity;

use drydock_machinery::status::{FieldError, FieldErrorKind};
use drydock_machinery::{FieldErrors, FieldPath, Map, Value};

pub(crate) use drydock_machinery::selector::validate_label_selector as label_selector;

pub(crate) use self::conditions::conditions;
pub(crate) use self::json::json_object;
pub(crate) use self::names::{
    csi_driver_name, data_key, dns_label, dns_subdomain, label_value, path_segment, port_name, qualified_name,
};
pub(crate) use self::number::{
    IntOrPercent, at_least_zero, at_least_zero_each, in_range, int_or_percent, not_more_than_100_percent,
    percent_of, port_number, positive_int_or_percent, token_lifetime,
};
pub(crate) use self::quantity::{
    is_extended_resource, is_fully_qualified, is_huge_page, is_native_resource,
    is_standard_container_resource, is_standard_quota_resource, non_negative_quantity, non_negative_whole,
    positive_quantity, resource_name, resource_quantity_value,
};
use crate::go_form;
use crate::shape::{is_zero, same_at, shown};

pub(crate) const NOT_NEGATIVE: &str = "must be greater than or equal to 0";
pub(crate) const POSITIVE: &str = "must be greater than zero";
pub(crate) const IMMUTABLE: &str = "field is immutable";

/// The path of a field that stands where JSON has it.
pub(crate) fn path_of(at: &[&str]) -> FieldPath {
    at.iter().fold(FieldPath::root(), |path, field| path.child_named(field))
}

/// `ValidateImmutableField` for the field at `at`.
pub(crate) fn immutable(errors: &mut FieldErrors, object: &Value, old: &Value, at: &[&str]) {
    if !same_at(object, old, at) {
        errors.invalid(&path_of(at), shown(object, at), IMMUTABLE);
    }
}

/// The same for the label selector at `spec.selector`.
pub(crate) fn immutable_selector(errors: &mut FieldErrors, object: &Value, old: &Value) {
    let at = &["spec", "selector"];
    if !same_at(object, old, at) {
        let given = shown(object, at);
        let given = if given.is_null() { given } else { go_form::label_selector(&given) };
        errors.invalid(&path_of(at), given, IMMUTABLE);
    }
}

/// The same for a field that is shown as upstream's struct of this name.
pub(crate) fn immutable_struct(
    errors: &mut FieldErrors,
    object: &Value,
    old: &Value,
    at: &[&str],
    type_name: &str,
) {
    if !same_at(object, old, at) {
        let given = shown(object, at);
        let given = if given.is_null() { given } else { go_form::of(type_name, &given) };
        errors.invalid(&path_of(at), given, IMMUTABLE);
    }
}

/// Fields that must be there.
pub(crate) fn required(errors: &mut FieldErrors, holder: &Value, fields: &[&str], path: &FieldPath) {
    for field in fields.iter().filter(|field| is_zero(holder.get(field))) {
        errors.required(&path.child_named(field), "");
    }
}

/// An enumerated text: required, and one of `supported`.
pub(crate) fn one_of(errors: &mut FieldErrors, text: &str, supported: &[&str], path: &FieldPath) {
    if text.is_empty() {
        errors.required(path, "");
    } else if !supported.contains(&text) {
        errors.not_supported(path, text, supported);
    }
}

/// An enumerated text that is there: one of `supported`.
pub(crate) fn one_of_given(errors: &mut FieldErrors, text: &str, supported: &[&str], path: &FieldPath) {
    if !supported.contains(&text) {
        errors.not_supported(path, text, supported);
    }
}

/// An enumerated text that may be left out.
pub(crate) fn one_of_or_empty(errors: &mut FieldErrors, text: &str, supported: &[&str], path: &FieldPath) {
    if !text.is_empty() && !supported.contains(&text) {
        errors.not_supported(path, text, supported);
    }
}

/// The same, of a field of `holder`, which is at `path`. It may be absent, but not empty.
pub(crate) fn one_of_at(
    errors: &mut FieldErrors,
    holder: &Value,
    field: &str,
    supported: &[&str],
    path: &FieldPath,
) {
    if let Some(text) = holder.get(field).and_then(Value::as_str) {
        one_of_given(errors, text, supported, &path.child_named(field));
    }
}

pub(crate) const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// A duplicate that says more than its value.
pub(crate) fn duplicate_because(errors: &mut FieldErrors, path: &FieldPath, value: Value, detail: &str) {
    let kind = FieldErrorKind::Duplicate;
    errors.push(FieldError { kind, field: path.to_string(), value: Some(value), detail: detail.to_owned() });
}

/// Labels as an error shows them: null when there are none.
pub(crate) fn labels_shown(labels: &Map) -> Value {
    if labels.is_empty() { Value::Null } else { labels.clone().into() }
}
