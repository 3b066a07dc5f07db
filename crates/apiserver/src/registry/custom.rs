//! What custom resources, and their definitions, are checked for besides their metadata.

use std::collections::BTreeSet;

use drydock_kinds::Context;
use drydock_machinery::crd::definition::unrecognized_formats;
use drydock_machinery::names_validation::is_qualified_name;
use drydock_machinery::patch::go_format::go_format;
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta, Value};

use crate::definitions;
use crate::resources::{Custom, Resource};

/// Adds what a custom resource's schema says of an object, or what there is to say of a definition, to `errors`, which
/// has what is wrong beside that. Answers what there is to warn of.
pub(crate) fn validate(
    errors: &mut FieldErrors,
    resource: &Resource,
    object: &Value,
    old: Option<&Value>,
    context: &Context<'_>,
) -> Vec<String> {
    if definitions::is_definition(resource) {
        errors.append(definitions::validate(context, object, old));
        return Vec::new();
    }
    let Some(custom) = &resource.custom else { return Vec::new() };
    let of_status = context.subresource == "status";
    if of_status {
        custom.compiled.validate_status(errors, object, old);
    } else {
        custom.compiled.validate_values(errors, object, old);
    }
    validate_scale(errors, custom, object, of_status);
    custom.compiled.validate_structure(errors, object, old, of_status);
    custom.compiled.validate_rules(errors, object, old)
}

/// What the scale subresource would show must be such that it can.
fn validate_scale(errors: &mut FieldErrors, custom: &Custom, object: &Value, of_status: bool) {
    let scale = custom.version.at(&["subresources", "scale"]).filter(|scale| !scale.is_null());
    let Some(scale) = scale else { return };
    if !of_status {
        replicas(errors, object, scale.str_at(&["specReplicasPath"]));
    }
    replicas(errors, object, scale.str_at(&["statusReplicasPath"]));
    let path = scale.str_at(&["labelSelectorPath"]);
    if path.is_empty() {
        return;
    }
    match nested(object, path) {
        Ok(None | Some(Value::String(_))) => {}
        Ok(Some(other)) => {
            let text = wrong_type(&fields(path).collect::<Vec<_>>(), other, "string");
            errors.invalid(&FieldPath::new(path), "", text);
        }
        Err(text) => errors.invalid(&FieldPath::new(path), "", text),
    }
}

fn replicas(errors: &mut FieldErrors, object: &Value, path: &str) {
    let field = FieldPath::new(path);
    match nested(object, path) {
        Ok(None) => {}
        Ok(Some(Value::Int(count))) if *count < 0 => {
            errors.invalid(&field, *count, "should be a non-negative integer");
        }
        Ok(Some(Value::Int(count))) if *count > i64::from(i32::MAX) => {
            errors.invalid(&field, *count, format!("should be less than or equal to {}", i32::MAX));
        }
        Ok(Some(Value::Int(_))) => {}
        Ok(Some(other)) => {
            errors.invalid(&field, 0, wrong_type(&fields(path).collect::<Vec<_>>(), other, "int64"));
        }
        Err(text) => errors.invalid(&field, 0, text),
    }
}

fn fields(path: &str) -> impl Iterator<Item = &str> {
    path.trim_start_matches('.').split('.')
}

/// The value at a dotted path, if there is one.
fn nested<'a>(object: &'a Value, path: &str) -> Result<Option<&'a Value>, String> {
    let mut seen = Vec::new();
    let mut value = object;
    for field in fields(path) {
        seen.push(field);
        if value.is_null() {
            return Ok(None);
        }
        let Value::Object(map) = value else {
            return Err(wrong_type(&seen, value, "map[string]interface{}"));
        };
        let Some(inner) = map.get(field) else { return Ok(None) };
        value = inner;
    }
    Ok(Some(value))
}

fn wrong_type(path: &[&str], value: &Value, expected: &str) -> String {
    let kind = match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    };
    let value = go_format(value);
    format!(".{} accessor error: {value} is of the type {kind}, expected {expected}", path.join("."))
}

/// What is said to whoever writes a custom object, that finalizers should be told apart by a domain; or a definition,
/// that nobody knows its formats.
pub(crate) fn warnings(resource: &Resource, object: &Value, old: Option<&Value>) -> Vec<String> {
    const STANDARD: [&str; 3] = ["orphan", "foregroundDeletion", "kubernetes"];
    if definitions::is_definition(resource) {
        let known = old.map(unrecognized_formats).unwrap_or_default();
        let new = unrecognized_formats(object);
        return new.difference(&known).map(|format| format!("unrecognized format {format:?}")).collect();
    }
    if resource.custom.is_none() {
        return Vec::new();
    }
    let had: BTreeSet<&str> = old.into_iter().flat_map(ObjectMeta::finalizers).collect();
    let added: BTreeSet<&str> = object.finalizers().filter(|name| !had.contains(name)).collect();
    let mut warnings = Vec::new();
    for name in added {
        let about = |text: String| format!("metadata.finalizers: {name:?}: {text}");
        warnings.extend(is_qualified_name(name).into_iter().map(about));
        if !name.contains('/') && !STANDARD.contains(&name) {
            let path = if name.contains('.') { " including a path (/)" } else { "" };
            warnings.push(about(format!(
                "prefer a domain-qualified finalizer name{path} to avoid accidental conflicts with other finalizer \
                 writers"
            )));
        }
    }
    warnings
}
