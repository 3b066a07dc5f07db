//! cel-go's `ext/sets.go`: lists as sets.

use super::standard::contains;
use super::{Implementation, no_overload};
use crate::error::EvalError;
use crate::interpret::Context;
use crate::value::{List, Value};

pub(super) const FUNCTIONS: &[(&str, Implementation)] = &[
    ("sets.contains", |context, args| match args {
        [Value::List(list), Value::List(part)] => contains_all(context, list, part).map(Value::Bool),
        _ => Err(no_overload("sets.contains", args)),
    }),
    ("sets.equivalent", |context, args| match args {
        [Value::List(a), Value::List(b)] => {
            Ok(Value::Bool(contains_all(context, a, b)? && contains_all(context, b, a)?))
        }
        _ => Err(no_overload("sets.equivalent", args)),
    }),
    ("sets.intersects", |context, args| match args {
        [Value::List(a), Value::List(b)] => intersect(context, a, b).map(Value::Bool),
        _ => Err(no_overload("sets.intersects", args)),
    }),
];

fn contains_all(context: &mut Context<'_>, list: &List, part: &List) -> Result<bool, EvalError> {
    for element in part.iter() {
        if !contains(context, list, &element?)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn intersect(context: &mut Context<'_>, a: &List, b: &List) -> Result<bool, EvalError> {
    for element in a.iter() {
        match contains(context, b, &element?) {
            Ok(true) => return Ok(true),
            Err(fatal) if fatal.is_fatal() => return Err(fatal),
            _ => {}
        }
    }
    Ok(false)
}
