//! Equality and order, over types as CEL has them.

use std::cmp::Ordering;

use super::Value;
use crate::error::EvalError;

/// `a == b`. Numbers are equal by amount, whatever their types.
pub(crate) fn equal(a: &Value, b: &Value) -> Result<bool, EvalError> {
    Ok(match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::String(a), Value::String(b)) | (Value::Type(a), Value::Type(b)) => a == b,
        (Value::Bytes(a), Value::Bytes(b)) => a == b,
        (Value::Duration(a), Value::Duration(b)) => a == b,
        (Value::Timestamp(a), Value::Timestamp(b)) => a.nanoseconds() == b.nanoseconds(),
        (Value::List(a), b) => a.equals(b)?,
        (Value::Map(a), b) => a.equals(b)?,
        (Value::Optional(a), Value::Optional(b)) => match (a, b) {
            (Some(a), Some(b)) => equal(a, b)?,
            (a, b) => a.is_none() && b.is_none(),
        },
        (Value::Object(a), Value::Object(b)) => a.equals(b)?,
        (Value::Opaque(a), Value::Opaque(b)) => a.equals(&**b)?,
        (Value::Opaque(_) | Value::Object(_), _) => return Err(EvalError::no_such_overload()),
        _ => numbers(a, b).is_some_and(|order| order == Some(Ordering::Equal)),
    })
}

/// The order of two values.
///
/// # Errors
/// When their types have no common order, or one is not a number.
pub(crate) fn compare(a: &Value, b: &Value) -> Result<Ordering, EvalError> {
    Ok(match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        (Value::Duration(a), Value::Duration(b)) => a.cmp(b),
        (Value::Timestamp(a), Value::Timestamp(b)) => a.nanoseconds().cmp(&b.nanoseconds()),
        _ => match numbers(a, b) {
            Some(Some(order)) => order,
            Some(None) => return Err(EvalError::new("NaN values cannot be ordered")),
            None => return Err(EvalError::no_such_overload()),
        },
    })
}

/// None unless both are numbers; Some(None) when one is not a number.
fn numbers(a: &Value, b: &Value) -> Option<Option<Ordering>> {
    Some(match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Uint(a), Value::Uint(b)) => Some(a.cmp(b)),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Int(a), Value::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Value::Uint(a), Value::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Value::Int(a), Value::Double(b)) => with_double((*a).into(), *b),
        (Value::Uint(a), Value::Double(b)) => with_double((*a).into(), *b),
        (Value::Double(a), Value::Int(b)) => with_double((*b).into(), *a).map(Ordering::reverse),
        (Value::Double(a), Value::Uint(b)) => with_double((*b).into(), *a).map(Ordering::reverse),
        _ => return None,
    })
}

/// Compares exactly, without rounding the integer.
fn with_double(integer: i128, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // Both integer types lie well within.
    if double >= 1e20 {
        return Some(Ordering::Less);
    }
    if double <= -1e20 {
        return Some(Ordering::Greater);
    }
    let whole = double.trunc();
    let order = integer.cmp(&(whole as i128));
    Some(order.then_with(|| whole.partial_cmp(&double).unwrap_or(Ordering::Equal)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_by_amount() {
        let order = |a: Value, b: Value| compare(&a, &b).unwrap();
        assert!(equal(&Value::Int(1), &Value::Double(1.0)).unwrap());
        assert!(equal(&Value::Uint(1), &Value::Int(1)).unwrap());
        assert!(!equal(&Value::Int(i64::MAX), &Value::Double(i64::MAX as f64)).unwrap());
        assert_eq!(order(Value::Int(-1), Value::Uint(0)), Ordering::Less);
        assert_eq!(order(Value::Double(-0.5), Value::Int(0)), Ordering::Less);
        assert_eq!(order(Value::Uint(u64::MAX), Value::Double(1e30)), Ordering::Less);
        assert!(!equal(&Value::Double(f64::NAN), &Value::Double(f64::NAN)).unwrap());
        assert_eq!(
            compare(&Value::Double(f64::NAN), &Value::Int(1)).unwrap_err().message(),
            "NaN values cannot be ordered"
        );
        assert!(!equal(&Value::Int(1), &Value::from("1")).unwrap());
    }
}
