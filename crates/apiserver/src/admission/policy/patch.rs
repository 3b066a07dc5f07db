//! From what a mutation's expression makes to a changed object.

use drydock_cel::value::{List, Map, Object as Made, Value as CelValue};
use drydock_machinery::apply::overlay;
use drydock_machinery::cel::to_json;
use drydock_machinery::patch::{PatchError, json_patch};
use drydock_machinery::schema::TypeRef;
use drydock_machinery::{ObjectMeta, Value};

/// The object with a JSON patch applied that the expression made as a list of operations.
///
/// # Errors
/// When the patch is none, or does not apply.
pub(super) fn patched(object: &Value, made: &CelValue) -> Result<Value, String> {
    let CelValue::List(operations) = made else {
        return Err("type mismatch: JSONPatchType.expression should evaluate to array".to_owned());
    };
    let operations: Vec<Value> = operations
        .iter()
        .map(|made| operation(&made.map_err(|why| why.to_string())?))
        .collect::<Result<_, _>>()?;
    match json_patch(object, &Value::from(operations)) {
        Ok(patched) => Ok(patched),
        // A test that fails only keeps the patch from being applied.
        Err(PatchError::Unprocessable(why)) if why.ends_with("test failed") => Ok(object.clone()),
        Err(why) => Err(format!("JSON Patch: {why}")),
    }
}

fn operation(made: &CelValue) -> Result<Value, String> {
    let CelValue::Object(made) = made else {
        return Err(format!(
            "type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch, got element of {}",
            made.type_name()
        ));
    };
    let mut operation = Value::object();
    for field in ["op", "path"] {
        operation.set(&[field], made.get(field).and_then(CelValue::as_str).unwrap_or(""));
    }
    if let Some(from) = made.get("from").and_then(CelValue::as_str).filter(|from| !from.is_empty()) {
        operation.set(&["from"], from);
    }
    if let Some(value) = made.get("value") {
        if let CelValue::Object(object) = value {
            check_names(object)?;
        }
        let value = to_json(value).map_err(|why| {
            format!("JSONPath valueExpression evaluated to a type that could not marshal to JSON: {why}")
        })?;
        operation.set(&["value"], value);
    }
    Ok(operation)
}

/// The object with an apply configuration laid over it that the expression made as an `Object`.
///
/// # Errors
/// When the configuration does not fit the object's type.
pub(super) fn applied(object: &Value, made: &CelValue, schema: TypeRef<'_>) -> Result<Value, String> {
    let CelValue::Object(made) = made else {
        return Err(format!(
            "unsupported return type from ApplyConfiguration expression: {}",
            made.type_name()
        ));
    };
    check_names(made)?;
    let configuration =
        to_json(&CelValue::Object(made.clone())).map_err(|why| format!("invalid return type: {why}"))?;
    let mut configuration = configuration;
    configuration.set(&["apiVersion"], object.api_version());
    configuration.set(&["kind"], object.kind());
    overlay(object, &configuration, schema).map_err(|why| format!("error applying patch: {why}"))
}

/// An object in field `f` of `Object.spec` is an `Object.spec.f`.
fn check_names(made: &Made) -> Result<(), String> {
    let mut wrong = Vec::new();
    check_name(made, &made.type_name, &mut wrong);
    if wrong.is_empty() { Ok(()) } else { Err(format!("type mismatch: {}", wrong.join("\n"))) }
}

fn check_name(made: &Made, expected: &str, wrong: &mut Vec<String>) {
    if made.type_name != expected {
        wrong.push(format!(
            "unexpected type name {:?}, expected {expected:?}, which matches field name path from root Object type",
            made.type_name
        ));
    }
    for (field, value) in &made.fields {
        check_below(value, &format!("{expected}.{field}"), wrong);
    }
}

/// Lists and maps in between have no names.
fn check_below(value: &CelValue, expected: &str, wrong: &mut Vec<String>) {
    match value {
        CelValue::Object(made) => check_name(made, expected, wrong),
        CelValue::List(List::Built(items)) => {
            items.iter().for_each(|item| check_below(item, expected, wrong));
        }
        CelValue::Map(Map::Built(map)) => {
            map.entries().iter().for_each(|(_, value)| check_below(value, expected, wrong));
        }
        _ => {}
    }
}
