//! Values that may be missing. `or` and `orValue` are evaluated by the interpreter.

use super::{Implementation, no_overload};
use crate::error::EvalError;
use crate::interpret::Context;
use crate::value::Value;

pub(super) const FUNCTIONS: &[(&str, Implementation)] = &[
    ("optional.none", |_, _| Ok(Value::none())),
    ("optional.of", |_, args| match args {
        [value] => Ok(value.clone().some()),
        _ => Err(no_overload("optional.of", args)),
    }),
    ("optional.ofNonZeroValue", |_, args| match args {
        [value] if value.is_zero() => Ok(Value::none()),
        [value] => Ok(value.clone().some()),
        _ => Err(no_overload("optional.ofNonZeroValue", args)),
    }),
    ("value", |_, args| match args {
        [Value::Optional(Some(value))] => Ok((**value).clone()),
        [Value::Optional(None)] => Err(EvalError::new("optional.none() dereference")),
        _ => Err(no_overload("value", args)),
    }),
    ("hasValue", |_, args| match args {
        [Value::Optional(value)] => Ok(Value::Bool(value.is_some())),
        _ => Err(no_overload("hasValue", args)),
    }),
    ("optional.unwrap", unwrap),
    ("unwrapOpt", unwrap),
    ("first", |_, args| match args {
        [Value::List(list)] if list.is_empty() => Ok(Value::none()),
        [Value::List(list)] => Ok(list.get(0)?.some()),
        _ => Err(no_overload("first", args)),
    }),
    ("last", |_, args| match args {
        [Value::List(list)] if list.is_empty() => Ok(Value::none()),
        [Value::List(list)] => Ok(list.get(list.len() - 1)?.some()),
        _ => Err(no_overload("last", args)),
    }),
];

fn unwrap(context: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    let [Value::List(list)] = args else { return Err(no_overload("optional.unwrap", args)) };
    context.allocate_list(list.len())?;
    let mut out = Vec::new();
    for element in list.iter() {
        match element? {
            Value::Optional(Some(inner)) => out.push((*inner).clone()),
            Value::Optional(None) => {}
            other => return Err(EvalError::new(format!("value {other} is not optional"))),
        }
    }
    Ok(Value::list(out))
}
