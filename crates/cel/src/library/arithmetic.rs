//! The operators on numbers, texts, lists and times.

use std::cmp::Ordering;

use super::Implementation;
use crate::error::EvalError;
use crate::interpret::Context;
use crate::value::{List, Value, compare};

pub(super) const FUNCTIONS: &[(&str, Implementation)] = &[
    ("!_", |_, args| match args {
        [Value::Bool(b)] => Ok(Value::Bool(!b)),
        _ => Err(EvalError::no_such_overload()),
    }),
    ("-_", negate),
    ("_+_", add),
    ("_-_", subtract),
    ("_*_", multiply),
    ("_/_", divide),
    ("_%_", modulo),
    ("_<_", |_, args| ordered("_<_", args, Ordering::is_lt)),
    ("_<=_", |_, args| ordered("_<=_", args, Ordering::is_le)),
    ("_>_", |_, args| ordered("_>_", args, Ordering::is_gt)),
    ("_>=_", |_, args| ordered("_>=_", args, Ordering::is_ge)),
];

fn int_overflow() -> EvalError {
    EvalError::new("integer overflow")
}

fn uint_overflow() -> EvalError {
    EvalError::new("unsigned integer overflow")
}

fn int(value: Option<i64>) -> Result<Value, EvalError> {
    value.map(Value::Int).ok_or_else(int_overflow)
}

fn uint(value: Option<u64>) -> Result<Value, EvalError> {
    value.map(Value::Uint).ok_or_else(uint_overflow)
}

/// The error when the right operand does not fit, or the left is of a type that has no such operator. Texts and times
/// are asked whether they have it as a method, and answer with less.
fn mismatch(operator: &str, left: &Value, left_has_it: bool) -> EvalError {
    if left_has_it || matches!(left, Value::String(_) | Value::Timestamp(_) | Value::Duration(_)) {
        EvalError::no_such_overload()
    } else {
        EvalError::new(format!("no such overload: {operator}"))
    }
}

fn negate(_: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    match args {
        [Value::Int(i)] => int(i.checked_neg()),
        [Value::Double(d)] => Ok(Value::Double(-d)),
        [Value::Bool(_)] => Err(EvalError::no_such_overload()),
        [other] => Err(mismatch("-_", other, false)),
        _ => Err(EvalError::no_such_overload()),
    }
}

/// `a + b`.
pub(super) fn add(context: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    match args {
        [Value::Int(a), Value::Int(b)] => int(a.checked_add(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_add(*b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a + b)),
        [Value::Duration(a), Value::Duration(b)] => a.checked_add(*b).map(Value::Duration),
        [Value::Duration(d), Value::Timestamp(t)] | [Value::Timestamp(t), Value::Duration(d)] => {
            t.plus(*d).map(Value::Timestamp)
        }
        [Value::String(a), Value::String(b)] => {
            context.allocate(a.len() + b.len())?;
            let mut joined = a.clone();
            joined.push_str(b);
            Ok(Value::String(joined))
        }
        [Value::Bytes(a), Value::Bytes(b)] => {
            context.allocate(a.len() + b.len())?;
            Ok(Value::Bytes([&**a, &**b].concat().into()))
        }
        [Value::List(a), Value::List(b)] => concat(context, a, b),
        [first, _] => {
            let has = matches!(
                first,
                Value::Int(_)
                    | Value::Uint(_)
                    | Value::Double(_)
                    | Value::Duration(_)
                    | Value::Timestamp(_)
                    | Value::String(_)
                    | Value::Bytes(_)
                    | Value::List(_)
            );
            Err(mismatch("_+_", first, has))
        }
        _ => Err(EvalError::no_such_overload()),
    }
}

fn concat(context: &mut Context<'_>, a: &List, b: &List) -> Result<Value, EvalError> {
    context.allocate_list(a.len().saturating_add(b.len()))?;
    context.work(a.len().saturating_add(b.len()))?;
    if let List::View(view) = a
        && let Some(joined) = view.concat(b)
    {
        return joined;
    }
    let mut items = a.to_vec()?;
    items.extend(b.to_vec()?);
    Ok(Value::list(items))
}

fn subtract(_: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    match args {
        [Value::Int(a), Value::Int(b)] => int(a.checked_sub(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_sub(*b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a - b)),
        [Value::Duration(a), Value::Duration(b)] => a.checked_sub(*b).map(Value::Duration),
        [Value::Timestamp(t), Value::Duration(d)] => t.minus(*d).map(Value::Timestamp),
        [Value::Timestamp(a), Value::Timestamp(b)] => a.since(*b).map(Value::Duration),
        [first, _] => {
            let timed = matches!(first, Value::Duration(_) | Value::Timestamp(_));
            Err(mismatch("_-_", first, is_number(first) || timed))
        }
        _ => Err(EvalError::no_such_overload()),
    }
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Int(_) | Value::Uint(_) | Value::Double(_))
}

fn multiply(_: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    match args {
        [Value::Int(a), Value::Int(b)] => int(a.checked_mul(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_mul(*b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a * b)),
        [first, _] => Err(mismatch("_*_", first, is_number(first))),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn divide(_: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    match args {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => {
            Err(EvalError::new("division by zero"))
        }
        [Value::Int(a), Value::Int(b)] => int(a.checked_div(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_div(*b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a / b)),
        [first, _] => Err(mismatch("_/_", first, is_number(first))),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn modulo(_: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    match args {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => {
            Err(EvalError::new("modulus by zero"))
        }
        [Value::Int(a), Value::Int(b)] => int(a.checked_rem(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_rem(*b)),
        [first, _] => Err(mismatch("_%_", first, matches!(first, Value::Int(_) | Value::Uint(_)))),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn ordered(operator: &str, args: &[Value], test: fn(Ordering) -> bool) -> Result<Value, EvalError> {
    match args {
        [a, b] if is_ordered(a) => compare(a, b).map(|order| Value::Bool(test(order))),
        [a, _] => Err(mismatch(operator, a, false)),
        _ => Err(EvalError::no_such_overload()),
    }
}

/// Whether values of that type have an order.
pub(super) fn is_ordered(value: &Value) -> bool {
    matches!(
        value,
        Value::Bool(_)
            | Value::Int(_)
            | Value::Uint(_)
            | Value::Double(_)
            | Value::String(_)
            | Value::Bytes(_)
            | Value::Duration(_)
            | Value::Timestamp(_)
    )
}
