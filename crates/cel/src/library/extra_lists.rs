//! cel-go's `ext/lists.go`, version 3: cutting, flattening, sorting.

use super::arithmetic::is_ordered;
use super::{Implementation, no_overload};
use crate::error::EvalError;
use crate::interpret::Context;
use crate::value::{List, Value, compare, equal};

pub(super) const FUNCTIONS: &[(&str, Implementation)] = &[
    ("slice", slice),
    ("flatten", flatten),
    ("sort", |context, args| match args {
        [Value::List(list)] => sort(context, list, list),
        _ => Err(no_overload("sort", args)),
    }),
    ("@sortByAssociatedKeys", |context, args| match args {
        [Value::List(list), Value::List(keys)] => sort(context, list, keys),
        _ => Err(no_overload("@sortByAssociatedKeys", args)),
    }),
    ("lists.range", range),
    ("reverse", reverse),
    ("distinct", distinct),
];

fn slice(context: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    let [Value::List(list), Value::Int(start), Value::Int(end)] = args else {
        return Err(no_overload("slice", args));
    };
    let wrong = |what: &str| Err(EvalError::new(format!("cannot slice({start}, {end}), {what}")));
    let (Ok(from), Ok(to)) = (usize::try_from(*start), usize::try_from(*end)) else {
        return wrong("negative indexes not supported");
    };
    if from > to {
        return wrong("start index must be less than or equal to end index");
    }
    if list.len() < to {
        return wrong(&format!("list is length {}", list.len()));
    }
    context.allocate_list(to - from)?;
    Ok(Value::list((from..to).map(|index| list.get(index)).collect::<Result<_, _>>()?))
}

fn flatten(context: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    let (list, depth) = match args {
        [Value::List(list)] => (list, 1),
        [Value::List(list), Value::Int(depth)] => (list, *depth),
        _ => return Err(no_overload("flatten", args)),
    };
    if depth < 0 {
        return Err(EvalError::new("level must be non-negative"));
    }
    let mut out = Vec::new();
    flatten_into(context, list, depth, &mut out)?;
    Ok(Value::list(out))
}

fn flatten_into(
    context: &mut Context<'_>,
    list: &List,
    depth: i64,
    out: &mut Vec<Value>,
) -> Result<(), EvalError> {
    context.allocate_list(list.len())?;
    for element in list.iter() {
        match element? {
            // A literal's nesting is bounded, so is this.
            Value::List(inner) if depth > 0 => flatten_into(context, &inner, depth - 1, out)?,
            other => out.push(other),
        }
    }
    Ok(())
}

fn sort(context: &mut Context<'_>, list: &List, keys: &List) -> Result<Value, EvalError> {
    if list.len() != keys.len() {
        return Err(EvalError::new(format!(
            "@sortByAssociatedKeys() expected a list of the same size as the associated keys list, but got {} and {} elements respectively",
            list.len(),
            keys.len()
        )));
    }
    context.allocate_list(list.len().saturating_mul(2))?;
    context.work_on(&Value::List(keys.clone()), 16)?;
    let keys = keys.to_vec()?;
    let Some(first) = keys.first() else { return Ok(Value::List(list.clone())) };
    if !is_ordered(first) {
        return Err(EvalError::new("list elements must be comparable"));
    }
    if keys.len() > 1 && keys.iter().any(|key| key.type_name() != first.type_name()) {
        return Err(EvalError::new("list elements must have the same type"));
    }
    let mut places: Vec<usize> = (0..keys.len()).collect();
    places.sort_by(|a, b| compare(&keys[*a], &keys[*b]).unwrap_or(std::cmp::Ordering::Equal));
    Ok(Value::list(places.into_iter().map(|place| list.get(place)).collect::<Result<_, _>>()?))
}

fn range(context: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    let [Value::Int(end)] = args else { return Err(no_overload("lists.range", args)) };
    context.allocate_list(usize::try_from(*end).unwrap_or(0))?;
    Ok(Value::list((0..*end).map(Value::Int).collect()))
}

fn reverse(context: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    let [Value::List(list)] = args else { return Err(no_overload("reverse", args)) };
    context.allocate_list(list.len())?;
    let mut items = list.to_vec()?;
    items.reverse();
    Ok(Value::list(items))
}

fn distinct(context: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    let [Value::List(list)] = args else { return Err(no_overload("distinct", args)) };
    context.allocate_list(list.len())?;
    let mut unique: Vec<Value> = Vec::new();
    for element in list.iter() {
        let element = element?;
        context.work_on(&element, unique.len())?;
        if !unique.iter().any(|other| equal(&element, other).unwrap_or(false)) {
            unique.push(element);
        }
    }
    Ok(Value::list(unique))
}
