//! Strategic merge patch: a merge patch that knows from the schema which lists merge, and by which key.
//!
//! Directives: `$patch: replace | delete` in an object or a list's element, `$retainKeys`,
//! `$deleteFromPrimitiveList/FIELD`, `$setElementOrder/FIELD`. The semantics, also in corners, are those of
//! apimachinery's `pkg/util/strategicpatch`.

mod lists;

use super::PatchError;
use super::go_format::{go_format, go_type};
use crate::schema::{Field, Shape, TypeRef};
use crate::value::{Map, Value};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_PRIMITIVE_LIST: &str = "$deleteFromPrimitiveList";
const SET_ELEMENT_ORDER: &str = "$setElementOrder";

type Patched<T> = Result<T, PatchError>;

/// Applies `patch` to `original`, an object of type `schema`.
///
/// # Errors
/// When the patch is no object, a directive is malformed, or the schema has no place for what it would merge.
pub fn strategic_merge_patch(original: &Value, patch: &Value, schema: TypeRef<'_>) -> Patched<Value> {
    if patch.is_null() {
        return Ok(original.clone());
    }
    let Value::Object(patch) = patch else {
        return Err(PatchError::BadRequest(format!(
            "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            super::json::json_kind(patch)
        )));
    };
    let original = original.as_object().cloned().unwrap_or_default();
    merge_maps(original, patch.clone(), schema).map(Value::Object)
}

/// How a field's value merges, and the type of what is in it.
struct FieldMeta<'a> {
    /// Of the field itself, or of a list's elements.
    ty: TypeRef<'a>,
    merge: bool,
    replace: bool,
    merge_key: &'a str,
}

fn merge_maps(mut original: Map, mut patch: Map, schema: TypeRef<'_>) -> Patched<Map> {
    if let Some(directive) = patch.get(DIRECTIVE).cloned() {
        return apply_directive(&directive, patch);
    }
    apply_retain_keys(&mut original, &mut patch)?;
    lists::apply_element_orders(&mut original, &mut patch, schema)?;
    for (key, value) in patch.iter() {
        let (key, deletes) = match key.strip_prefix(DELETE_FROM_PRIMITIVE_LIST) {
            Some(rest) => {
                let bad = || PatchError::BadRequest("invalid patch format of primitive list".to_owned());
                (rest.strip_prefix('/').ok_or_else(bad)?, true)
            }
            None => (key.as_str(), false),
        };
        merge_field(&mut original, key, value, deletes, schema)?;
    }
    Ok(original)
}

fn merge_field(
    original: &mut Map,
    key: &str,
    patch: &Value,
    deletes: bool,
    schema: TypeRef<'_>,
) -> Patched<()> {
    if patch.is_null() {
        original.remove(key);
        return Ok(());
    }
    let merged = match (original.get(key).cloned(), patch) {
        (Some(Value::Object(current)), Value::Object(patch)) => {
            let meta = struct_meta(schema, key)?;
            let merged =
                if meta.replace { patch.clone() } else { merge_maps(current, patch.clone(), meta.ty)? };
            Some(Value::Object(merged))
        }
        (Some(Value::Array(current)), Value::Array(patch)) => {
            let meta = list_meta(schema, key)?;
            let (current, patch) = (current.to_vec(), patch.to_vec());
            Some(Value::from(if meta.merge || deletes {
                lists::merge_lists(current, patch, &meta, deletes)?
            } else {
                patch
            }))
        }
        (current, _) if deletes => current,
        (_, patch) => without_directives(&without_nulls(patch)),
    };
    match merged {
        Some(value) => original.insert(key, value),
        None => original.remove(key),
    };
    Ok(())
}

fn apply_directive(directive: &Value, mut patch: Map) -> Patched<Map> {
    match directive.as_str() {
        Some("replace") => {
            patch.remove(DIRECTIVE);
            Ok(patch)
        }
        Some("delete") => Ok(Map::new()),
        _ => Err(unknown_directive(directive, patch)),
    }
}

fn unknown_directive(directive: &Value, map: Map) -> PatchError {
    let shown = go_format(directive);
    PatchError::Other(format!("unknown patch type: {shown} in map: {}", go_format(&Value::Object(map))))
}

/// `$retainKeys` names every field that the object may have afterwards.
fn apply_retain_keys(original: &mut Map, patch: &mut Map) -> Patched<()> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let bad = || PatchError::BadRequest("invalid patch format of retainKeys".to_owned());
    let keys = keys.as_array().ok_or_else(bad)?;
    let retained = |name: &str| keys.iter().any(|key| key.as_str() == Some(name));
    let covered = patch.iter().all(|(key, value)| {
        value.is_null()
            || key.starts_with(DELETE_FROM_PRIMITIVE_LIST)
            || key.starts_with(SET_ELEMENT_ORDER)
            || retained(key)
    });
    if !covered {
        return Err(bad());
    }
    original.retain(|key, _| retained(key));
    Ok(())
}

fn find_field<'a>(schema: TypeRef<'a>, name: &str) -> Patched<&'a Field> {
    let Shape::Struct(fields) = schema.shape() else {
        let kind = go_kind(schema);
        return Err(PatchError::Other(format!(
            "merging an object in json but data type is not struct, instead is: {kind}"
        )));
    };
    fields.field(name).ok_or_else(|| no_field(schema, name))
}

fn no_field(schema: TypeRef<'_>, name: &str) -> PatchError {
    let type_name = schema.ty().name.rsplit('.').next().unwrap_or("");
    PatchError::Other(format!("unable to find api field in struct {type_name} for the json field {name:?}"))
}

fn struct_meta<'a>(schema: TypeRef<'a>, name: &str) -> Patched<FieldMeta<'a>> {
    if let Shape::Any = schema.shape() {
        if !schema.ty().name.is_empty() {
            // In Go it is a struct of bytes.
            return Err(no_field(schema, name));
        }
        return Ok(FieldMeta { ty: schema, merge: false, replace: false, merge_key: "" });
    }
    let field = find_field(schema, name)?;
    Ok(FieldMeta {
        ty: schema.with(field.ty),
        merge: field.patch.merge,
        replace: field.patch.replace,
        merge_key: field.patch.merge_key.as_deref().unwrap_or(""),
    })
}

fn list_meta<'a>(schema: TypeRef<'a>, name: &str) -> Patched<FieldMeta<'a>> {
    let meta = struct_meta(schema, name)?;
    match meta.ty.shape() {
        Shape::List { item, .. } => Ok(FieldMeta { ty: meta.ty.with(*item), ..meta }),
        Shape::Any => Ok(meta),
        _ => Err(PatchError::Other(format!("expected slice or array type, but got: {}", go_kind(schema)))),
    }
}

fn go_kind(ty: TypeRef<'_>) -> &'static str {
    match ty.shape() {
        Shape::Any => "interface",
        Shape::Bool => "bool",
        Shape::Integer { bits: 32 } => "int32",
        Shape::Integer { .. } => "int64",
        Shape::Number => "float64",
        Shape::String(_) => "string",
        Shape::IntOrString | Shape::Quantity | Shape::Struct(_) => "struct",
        Shape::List { .. } => "slice",
        Shape::Map { .. } => "map",
    }
}

/// None when the value is itself a directive.
fn without_directives(value: &Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(DIRECTIVE) => None,
        Value::Object(map) => {
            let kept = map.iter().filter_map(|(key, value)| Some((key.clone(), without_directives(value)?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(items) => Some(Value::Array(items.iter().filter_map(without_directives).collect())),
        other => Some(other.clone()),
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key.clone(), without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

fn no_merge_key(map: &Value, key: &str) -> PatchError {
    PatchError::Other(format!("map: {} does not contain declared merge key: {key}", go_format(map)))
}

fn wrong_type(expected: &Value, actual: &Value) -> PatchError {
    PatchError::Other(format!("expected a {}, but received a {}", go_type(expected), go_type(actual)))
}

#[cfg(test)]
mod tests;
