//! CEL's own functions on strings and collections, and insertion into maps.

use super::{Implementation, no_overload};
use crate::error::EvalError;
use crate::interpret::Context;
use crate::value::{BuiltMap, List, Map, Value, equal};

pub(super) const FUNCTIONS: &[(&str, Implementation)] = &[
    ("size", |_, args| match args {
        [value @ (Value::String(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_))] => {
            Ok(Value::Int(i64::try_from(value.size().unwrap_or(0)).unwrap_or(i64::MAX)))
        }
        _ => Err(EvalError::new("no such overload: size")),
    }),
    ("contains", |context, args| text(context, args, |text, part| text.contains(part))),
    ("startsWith", |context, args| text(context, args, |text, part| text.starts_with(part))),
    ("endsWith", |context, args| text(context, args, |text, part| text.ends_with(part))),
    ("matches", matches_regex),
    ("find", find),
    ("findAll", find_all),
    ("@in", within),
    ("cel.@mapInsert", map_insert),
    ("jsonpatch.escapeKey", |context, args| match args {
        [Value::String(key)] => {
            context.allocate(key.len() * 2)?;
            let escaped = |c| match c {
                '/' => "~1".to_owned(),
                '~' => "~0".to_owned(),
                other => other.to_string(),
            };
            Ok(Value::from(key.chars().map(escaped).collect::<String>()))
        }
        _ => Err(no_overload("jsonpatch.escapeKey", args)),
    }),
];

fn text(context: &mut Context<'_>, args: &[Value], test: fn(&str, &str) -> bool) -> Result<Value, EvalError> {
    match args {
        [Value::String(text), Value::String(part)] => {
            context.work(text.len() / 16)?;
            Ok(Value::Bool(test(text, part)))
        }
        _ => Err(EvalError::no_such_overload()),
    }
}

fn matches_regex(context: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    match args {
        [Value::String(text), Value::String(pattern)] => {
            let regex = context.regex(pattern).map_err(EvalError::new)?;
            Ok(Value::Bool(regex.is_match(text)))
        }
        // A pattern that the expression names is compiled into another call, which says less.
        [Value::String(_), _] => Err(EvalError::no_such_overload()),
        [_, Value::String(pattern)] if context.is_literal(pattern) => Err(EvalError::no_such_overload()),
        _ => Err(EvalError::new("no such overload: matches")),
    }
}

/// As [`no_overload`], unless the expression names the pattern.
fn no_match(context: &Context<'_>, function: &str, args: &[Value]) -> EvalError {
    match args {
        [_, Value::String(pattern), ..] if context.is_literal(pattern) => EvalError::no_such_overload(),
        _ => no_overload(function, args),
    }
}

fn illegal(error: String) -> EvalError {
    EvalError::new(format!("Illegal regex: {error}"))
}

fn find(context: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    let [Value::String(text), Value::String(pattern)] = args else {
        return Err(no_match(context, "find", args));
    };
    let regex = context.regex(pattern).map_err(illegal)?;
    Ok(Value::from(regex.find(text).map_or("", |found| found.as_str())))
}

fn find_all(context: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    let (text, pattern, limit) = match args {
        [Value::String(text), Value::String(pattern)] => (text, pattern, -1),
        [Value::String(text), Value::String(pattern), Value::Int(limit)] => (text, pattern, *limit),
        _ => return Err(no_match(context, "findAll", args)),
    };
    let regex = context.regex(pattern).map_err(illegal)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    context.allocate_list(text.len().min(limit))?;
    Ok(Value::strings(regex.find_iter(text).take(limit).map(|found| found.as_str())))
}

/// `x in list`, `key in map`.
fn within(context: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    match args {
        [value, Value::List(list)] => contains(context, list, value).map(Value::Bool),
        [key, Value::Map(map)] => map.contains(key).map(Value::Bool),
        _ => Err(EvalError::no_such_overload()),
    }
}

/// Whether a list has an element.
pub(super) fn contains(context: &mut Context<'_>, list: &List, value: &Value) -> Result<bool, EvalError> {
    context.work_on(value, list.len())?;
    match list {
        List::Built(items) => Ok(items.iter().any(|item| equal(value, item).unwrap_or(false))),
        List::View(view) => view.contains(value),
    }
}

fn map_insert(context: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    let entries = match args {
        [Value::Map(_), key, value] => vec![(key.clone(), value.clone())],
        [Value::Map(_), Value::Map(other)] => entries(other)?,
        _ => return Err(no_overload("cel.@mapInsert", args)),
    };
    let Some(Value::Map(target)) = args.first() else { return Err(EvalError::no_such_overload()) };
    context.allocate_list((target.len() + entries.len()).saturating_mul(4))?;
    let mut map = BuiltMap::new();
    for (key, value) in self::entries(target)? {
        map.insert(key, value)?;
    }
    for (key, value) in entries {
        if !map.insert(key.clone(), value)? {
            return Err(EvalError::new(format!("insert failed: key {key} already exists")));
        }
    }
    Ok(map.into())
}

fn entries(map: &Map) -> Result<Vec<(Value, Value)>, EvalError> {
    let entry = |key: Value| Ok((key.clone(), map.get(&key)?.unwrap_or(Value::Null)));
    map.keys().into_iter().map(entry).collect()
}
