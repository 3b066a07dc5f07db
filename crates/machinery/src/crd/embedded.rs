//! Objects within objects: `x-kubernetes-embedded-resource`.

use crate::decode::{self, FieldValidation};
use crate::names::split_api_version;
use crate::names_validation::{
    NamePart, invalid_each, is_dns1035_label, is_dns1123_label, is_qualified_name, name_is_path_segment,
    validate_annotations, validate_labels,
};
use crate::schema::{Shape, TypeRef};
use crate::status::{FieldErrors, FieldPath};
use crate::value::{Map, Value};

/// Checks the type and metadata of every embedded object in `value`.
pub(super) fn validate(errors: &mut FieldErrors, value: &Value, ty: TypeRef<'_>, path: &FieldPath) {
    if ty.ty().source.is_none() {
        return;
    }
    match (value, ty.shape()) {
        (Value::Object(map), Shape::Struct(fields)) => {
            if fields.embedded_resource {
                embedded_object(errors, map, path);
            }
            for (key, value) in map.iter() {
                if let Some(child) = ty.child(key) {
                    validate(errors, value, child, &path.child_named(key));
                }
            }
        }
        (Value::Object(map), Shape::Map { value: inner, .. }) => {
            for (key, value) in map.iter() {
                validate(errors, value, ty.with(*inner), &path.key(key));
            }
        }
        (Value::Array(items), Shape::List { item, .. }) => {
            for (i, value) in items.iter().enumerate() {
                validate(errors, value, ty.with(*item), &path.index(i));
            }
        }
        _ => {}
    }
}

fn embedded_object(errors: &mut FieldErrors, map: &Map, path: &FieldPath) {
    for name in ["apiVersion", "kind"] {
        if !map.contains_key(name) {
            errors.required(&path.child(name), "");
        }
    }
    for name in ["apiVersion", "kind"] {
        let Some(value) = map.get(name) else { continue };
        let path = path.child(name);
        match value.as_str() {
            None => errors.invalid(&path, value.clone(), "must be a string"),
            Some("") => errors.invalid(&path, "", "must not be empty"),
            Some(text) if name == "kind" => {
                let wrong = is_dns1035_label(&text.to_lowercase());
                if !wrong.is_empty() {
                    let wrong = wrong.join(",");
                    let detail = format!("may have mixed case, but should otherwise match: {wrong}");
                    errors.invalid(&path, text, detail);
                }
            }
            Some(text) if split_api_version(text).1.contains('/') => {
                errors.invalid(&path, text, format!("unexpected GroupVersion string: {text}"));
            }
            Some(_) => {}
        }
    }
    if let Some(metadata) = map.get("metadata") {
        validate_object_meta_without_name(errors, metadata, &path.child("metadata"));
    }
}

/// `ValidateObjectMeta` for an object whose name may be missing, and which may or may not be in a namespace.
pub fn validate_object_meta_without_name(errors: &mut FieldErrors, metadata: &Value, path: &FieldPath) {
    let generate_name = metadata.str_at(&["generateName"]);
    let wrong = name_is_path_segment(generate_name, NamePart::Prefix);
    invalid_each(errors, &path.child("generateName"), generate_name, wrong);
    let name = metadata.str_at(&["name"]);
    invalid_each(errors, &path.child("name"), name, name_is_path_segment(name, NamePart::Whole));
    let namespace = metadata.str_at(&["namespace"]);
    if !namespace.is_empty() {
        invalid_each(errors, &path.child("namespace"), namespace, is_dns1123_label(namespace));
    }
    validate_labels(errors, metadata.object_at(&["labels"]), &path.child("labels"));
    validate_annotations(errors, metadata.object_at(&["annotations"]), &path.child("annotations"));
    for owner in metadata.array_at(&["ownerReferences"]) {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner.str_at(&[field]).is_empty() {
                errors.invalid(&path.child("ownerReferences").child(field), "", "must not be empty");
            }
        }
    }
    for finalizer in metadata.array_at(&["finalizers"]).iter().filter_map(Value::as_str) {
        invalid_each(errors, &path.child("finalizers"), finalizer, is_qualified_name(finalizer));
    }
}

/// Brings embedded objects' metadata into its type, and checks that `apiVersion` and `kind` are strings; answers the
/// unknown fields that were dropped, such as `spec.template.metadata.foo`.
///
/// # Errors
/// The first embedded object whose type or metadata does not decode.
pub(super) fn coerce(
    value: &mut Value,
    ty: TypeRef<'_>,
    path: &FieldPath,
    unknown: &mut Vec<String>,
) -> Result<(), FieldErrors> {
    if ty.ty().source.is_none() {
        return Ok(());
    }
    match (value, ty.shape()) {
        (Value::Object(map), Shape::Struct(fields)) => {
            if fields.embedded_resource {
                coerce_object(map, ty, path, unknown)?;
            }
            for (key, value) in map.iter_mut() {
                if let Some(child) = ty.child(key) {
                    coerce(value, child, &path.child_named(key), unknown)?;
                }
            }
        }
        (Value::Object(map), Shape::Map { value: inner, .. }) => {
            for (key, value) in map.iter_mut() {
                coerce(value, ty.with(*inner), &path.key(key), unknown)?;
            }
        }
        (Value::Array(items), Shape::List { item, .. }) => {
            for (i, value) in items.make_mut().iter_mut().enumerate() {
                coerce(value, ty.with(*item), &path.index(i), unknown)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn coerce_object(
    map: &mut Map,
    ty: TypeRef<'_>,
    path: &FieldPath,
    unknown: &mut Vec<String>,
) -> Result<(), FieldErrors> {
    let mut errors = FieldErrors::new();
    for name in ["apiVersion", "kind"] {
        if let Some(value) = map.get(name).filter(|value| value.as_str().is_none()) {
            errors.invalid(&path.child(name), value.clone(), "must be a string");
            return Err(errors);
        }
    }
    let (Some(metadata), Some(meta_type)) = (map.get("metadata").cloned(), ty.child("metadata")) else {
        return Ok(());
    };
    let path = path.child("metadata");
    if let (Some(fields), Shape::Struct(known)) = (metadata.as_object(), meta_type.shape()) {
        let extra = fields.keys().filter(|name| known.field(name).is_none());
        unknown.extend(extra.map(|name| path.child_named(name).to_string()));
    }
    match decode::value(&metadata, meta_type, FieldValidation::Ignore) {
        Ok(decoded) => {
            map.insert("metadata", decoded.value);
            Ok(())
        }
        Err(error) => {
            errors.invalid(&path, metadata, error.to_string());
            Err(errors)
        }
    }
}
