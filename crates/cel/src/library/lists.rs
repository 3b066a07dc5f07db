//! Kubernetes' `library/lists.go`: order, sums and positions. `indexOf` is on strings too.

use std::cmp::Ordering;

use super::arithmetic::{add, is_ordered};
use super::{Implementation, no_overload, strings};
use crate::error::EvalError;
use crate::interpret::Context;
use crate::value::{Duration, List, Value, compare, equal};

pub(super) const FUNCTIONS: &[(&str, Implementation)] = &[
    ("isSorted", is_sorted),
    ("sum", sum),
    ("max", |context, args| extreme(context, "max", args, Ordering::Less)),
    ("min", |context, args| extreme(context, "min", args, Ordering::Greater)),
    ("indexOf", index_of),
    ("lastIndexOf", last_index_of),
];

/// The only argument's elements.
fn elements(context: &mut Context<'_>, function: &str, args: &[Value]) -> Result<Vec<Value>, EvalError> {
    let [Value::List(list)] = args else { return Err(no_overload(function, args)) };
    context.work(list.len())?;
    list.to_vec()
}

fn is_sorted(context: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    let elements = elements(context, "isSorted", args)?;
    if !elements.iter().all(is_ordered) {
        return Err(no_overload("isSorted", args));
    }
    // What does not compare is in order.
    let unordered = |pair: &[Value]| matches!(compare(&pair[0], &pair[1]), Ok(Ordering::Greater));
    Ok(Value::Bool(!elements.windows(2).any(unordered)))
}

fn sum(context: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    let elements = elements(context, "sum", args)?;
    let mut total = match elements.first() {
        Some(Value::Uint(_)) => Value::Uint(0),
        Some(Value::Double(_)) => Value::Double(0.0),
        Some(Value::Duration(_)) => Value::Duration(Duration::from_nanoseconds(0)),
        Some(Value::Int(_)) | None => Value::Int(0),
        Some(_) => return Err(no_overload("sum", args)),
    };
    for element in elements {
        total = add(context, &[total, element])?;
    }
    Ok(total)
}

fn extreme(
    context: &mut Context<'_>,
    function: &str,
    args: &[Value],
    replaced: Ordering,
) -> Result<Value, EvalError> {
    let mut best: Option<Value> = None;
    for element in elements(context, function, args)? {
        if !is_ordered(&element) {
            return Err(no_overload(function, args));
        }
        best = match best {
            Some(best) if compare(&best, &element) != Ok(replaced) => Some(best),
            _ => Some(element),
        };
    }
    best.ok_or_else(|| EvalError::new(format!("{function} called on empty list")))
}

fn index_of(context: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    Ok(Value::Int(match args {
        [Value::String(text), Value::String(part)] => strings::index_of(context, text, part, 0)?,
        [Value::String(text), Value::String(part), Value::Int(offset)] => {
            strings::index_of(context, text, part, *offset)?
        }
        [Value::List(list), item] => {
            context.work_on(item, list.len())?;
            place((0..list.len()).find(|index| is(list, *index, item)))
        }
        _ => return Err(no_overload("indexOf", args)),
    }))
}

fn last_index_of(context: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    Ok(Value::Int(match args {
        [Value::String(text), Value::String(part)] => strings::last_index_of(context, text, part, None)?,
        [Value::String(text), Value::String(part), Value::Int(offset)] => {
            strings::last_index_of(context, text, part, Some(*offset))?
        }
        [Value::List(list), item] => {
            context.work_on(item, list.len())?;
            place((0..list.len()).rfind(|index| is(list, *index, item)))
        }
        _ => return Err(no_overload("lastIndexOf", args)),
    }))
}

fn is(list: &List, index: usize, item: &Value) -> bool {
    list.get(index).and_then(|element| equal(&element, item)).unwrap_or(false)
}

fn place(found: Option<usize>) -> i64 {
    found.and_then(|found| i64::try_from(found).ok()).unwrap_or(-1)
}
