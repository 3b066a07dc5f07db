//! Numbers: counts, ports, percentages.

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use super::NOT_NEGATIVE;
use crate::go_form;

/// `ValidateNonnegativeField`.
pub(crate) fn at_least_zero(errors: &mut FieldErrors, number: i64, path: &FieldPath) {
    if number < 0 {
        errors.invalid(path, number, NOT_NEGATIVE);
    }
}

/// The same, of fields of `holder`, which is at `path`. Any of them may be absent.
pub(crate) fn at_least_zero_each(
    errors: &mut FieldErrors,
    holder: &Value,
    fields: &[&str],
    path: &FieldPath,
) {
    for field in fields {
        if let Some(number) = holder.i64_at(&[field]) {
            at_least_zero(errors, number, &path.child_named(field));
        }
    }
}

pub(crate) fn in_range(errors: &mut FieldErrors, number: i64, min: i64, max: i64, path: &FieldPath) {
    names::invalid_each(errors, path, number, names::is_in_range(number, min, max));
}

pub(crate) fn port_number(errors: &mut FieldErrors, number: i64, path: &FieldPath) {
    names::invalid_each(errors, path, number, names::is_valid_port_num(number));
}

/// How long a token lives.
pub(crate) fn token_lifetime(errors: &mut FieldErrors, seconds: i64, path: &FieldPath) {
    if seconds < 600 {
        errors.invalid(path, seconds, "may not specify a duration less than 10 minutes");
    }
    if seconds > 1 << 32 {
        errors.invalid(path, seconds, "may not specify a duration larger than 2^32 seconds");
    }
}

/// `intstr.IntOrString`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IntOrPercent<'a> {
    Int(i64),
    Text(&'a str),
}

pub(crate) fn int_or_percent(value: Option<&Value>) -> Option<IntOrPercent<'_>> {
    match value? {
        Value::Int(number) => Some(IntOrPercent::Int(*number)),
        Value::String(text) => Some(IntOrPercent::Text(text)),
        _ => None,
    }
}

/// The number before a `%`.
pub(crate) fn percent_of(value: Option<&Value>) -> Option<i64> {
    match int_or_percent(value)? {
        IntOrPercent::Text(text) if names::is_valid_percent(text).is_empty() => {
            text.trim_end_matches('%').parse().ok()
        }
        _ => None,
    }
}

/// `ValidatePositiveIntOrPercent`.
pub(crate) fn positive_int_or_percent(errors: &mut FieldErrors, value: Option<&Value>, path: &FieldPath) {
    match int_or_percent(value) {
        Some(IntOrPercent::Text(text)) => {
            names::invalid_each(errors, path, go_form::typed(&text.into()), names::is_valid_percent(text));
        }
        Some(IntOrPercent::Int(number)) => at_least_zero(errors, number, path),
        None => {}
    }
}

/// `IsNotMoreThan100Percent`.
pub(crate) fn not_more_than_100_percent(errors: &mut FieldErrors, value: Option<&Value>, path: &FieldPath) {
    if let (Some(value), Some(percent)) = (value, percent_of(value))
        && percent > 100
    {
        errors.invalid(path, value.clone(), "must not be greater than 100%");
    }
}
