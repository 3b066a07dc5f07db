//! Bounds and multiples of numbers.

use super::{Failure, Kind, Outcome};
use crate::crd::node::Node;
use crate::patch::go_format::go_format;
use crate::value::Value;

pub(super) fn check(outcome: &mut Outcome, node: &Node, value: &Value, path: &str) {
    in_range(outcome, node, value, "Checked", path);
    if let Some(factor) = node.multiple_of {
        let native = in_range(outcome, node, &Value::Float(factor), "MultipleOf", path);
        if !is_multiple(value, factor, native) {
            let shown = go_format(&Value::Float(factor));
            invalid(outcome, value, path, &format!("should be a multiple of {shown}"));
        }
    }
    if let Some(min) = node.minimum {
        let native = in_range(outcome, node, &Value::Float(min), "Minimum boundary", path);
        let (holds, shown) = compare(value, min, native, node.exclusive_minimum, std::cmp::Ordering::Greater);
        if !holds {
            let or_equal = if node.exclusive_minimum { "" } else { " or equal to" };
            invalid(outcome, value, path, &format!("should be greater than{or_equal} {shown}"));
        }
    }
    if let Some(max) = node.maximum {
        let native = in_range(outcome, node, &Value::Float(max), "Maximum boundary", path);
        let (holds, shown) = compare(value, max, native, node.exclusive_maximum, std::cmp::Ordering::Less);
        if !holds {
            let or_equal = if node.exclusive_maximum { "" } else { " or equal to" };
            invalid(outcome, value, path, &format!("should be less than{or_equal} {shown}"));
        }
    }
    outcome.held += 1;
}

fn invalid(outcome: &mut Outcome, value: &Value, path: &str, what: &str) {
    let message = format!("{path} in body {what}");
    outcome.fail(Failure::new(Kind::Invalid, path, value.clone(), message));
}

/// Whether a number is on the right side of a bound, and how the bound is shown. Integers compare as integers.
fn compare(
    value: &Value,
    bound: f64,
    native: bool,
    exclusive: bool,
    right: std::cmp::Ordering,
) -> (bool, String) {
    let (order, shown) = match value {
        Value::Int(i) if native => {
            let bound = bound as i64;
            (Some(i.cmp(&bound)), bound.to_string())
        }
        other => (other.as_f64().and_then(|f| f.partial_cmp(&bound)), go_format(&Value::Float(bound))),
    };
    let holds = order.is_some_and(|order| order == right || order.is_eq() && !exclusive);
    (holds, shown)
}

fn is_multiple(value: &Value, factor: f64, native: bool) -> bool {
    match value {
        Value::Int(i) if native && factor as i64 > 0 => i % (factor as i64) == 0,
        other => {
            let value = other.as_f64().unwrap_or(0.0);
            is_integer(if factor < 1.0 { 1.0 / factor * value } else { value / factor })
        }
    }
}

/// Whether a number fits the node's numeric type; a failure says which number did not.
fn in_range(outcome: &mut Outcome, node: &Node, value: &Value, what: &str, path: &str) -> bool {
    let format = node.format.as_ref().map_or("", |(name, _)| name.as_str());
    let number = value.as_f64().unwrap_or(0.0);
    let fits = match (&node.types[..], format) {
        (["integer"], "int32") => as_integer(value).is_some_and(|i| i32::try_from(i).is_ok()),
        (["integer"], _) => as_integer(value).is_some(),
        (["number"], "float") => number.abs() <= f64::from(f32::MAX),
        _ => true,
    };
    if !fits {
        let ty = node.types.first().copied().unwrap_or("");
        let message = match format {
            "" => format!("{what} value must be of type {ty} (default format) in {path}"),
            format => format!("{what} value must be of type {ty} with format {format} in {path}"),
        };
        outcome.fail(Failure::new(Kind::General, "", Value::Null, message));
    }
    fits
}

fn as_integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(i) => Some(*i),
        Value::Float(f) if *f == f.trunc() && f.abs() < 9.2e18 => Some(*f as i64),
        _ => None,
    }
}

/// `swag.IsFloat64AJSONInteger`: an integer, or so near to one that it makes no difference.
pub(super) fn is_integer(f: f64) -> bool {
    const MAX: f64 = 9_007_199_254_740_991.0;
    const EPSILON: f64 = 1e-9;
    if !f.is_finite() || f.abs() > MAX {
        return false;
    }
    let difference = (f - f.trunc()).abs();
    f == f.trunc() || difference / (f.abs() + f.trunc().abs()) < EPSILON
}
