//! Subresources, printer columns and selectable fields of a definition.

use super::field_path::field_path;
use crate::status::{FieldErrors, FieldPath};
use crate::value::Value;

const MAX_SELECTABLE_FIELDS: usize = 8;

pub(super) fn subresources(errors: &mut FieldErrors, subresources: Option<&Value>, path: &FieldPath) {
    let Some(scale) = subresources.and_then(|s| s.get("scale")).filter(|scale| !scale.is_null()) else {
        return;
    };
    for (field, root, wrong) in [
        ("specReplicasPath", ".spec.", "should be a json path under .spec"),
        ("statusReplicasPath", ".status.", "should be a json path under .status"),
    ] {
        let text = scale.str_at(&[field]);
        let path = path.child("scale").child(field);
        if text.is_empty() {
            errors.required(&path, "");
        } else if simple_json_path(errors, text, &path) && !text.starts_with(root) {
            errors.invalid(&path, text, wrong);
        }
    }
    let text = scale.str_at(&["labelSelectorPath"]);
    let path = path.child("scale").child("labelSelectorPath");
    if !text.is_empty()
        && simple_json_path(errors, text, &path)
        && !text.starts_with(".spec.")
        && !text.starts_with(".status.")
    {
        errors.invalid(&path, text, "should be a json path under either .spec or .status");
    }
}

pub(super) fn columns(errors: &mut FieldErrors, columns: &[Value], path: &FieldPath) {
    const TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
    const FORMATS: [&str; 8] = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
    for (i, column) in columns.iter().enumerate() {
        let path = path.index(i);
        if column.str_at(&["name"]).is_empty() {
            errors.required(&path.child("name"), "");
        }
        let ty = column.str_at(&["type"]);
        let one_of = format!("must be one of {}", TYPES.join(","));
        if ty.is_empty() {
            errors.required(&path.child("type"), one_of);
        } else if !TYPES.contains(&ty) {
            errors.invalid(&path.child("type"), ty, one_of);
        }
        let format = column.str_at(&["format"]);
        if !format.is_empty() && !FORMATS.contains(&format) {
            let detail = format!("must be one of {}", FORMATS.join(","));
            errors.invalid(&path.child("format"), format, detail);
        }
        match column.str_at(&["jsonPath"]) {
            "" => errors.required(&path.child("JSONPath"), ""),
            text => {
                simple_json_path(errors, text, &path.child("JSONPath"));
            }
        }
    }
}

pub(super) fn selectable_fields(
    errors: &mut FieldErrors,
    fields: &[Value],
    schema: &Value,
    path: &FieldPath,
) {
    let mut seen: Vec<String> = Vec::new();
    for (i, field) in fields.iter().enumerate() {
        let text = field.str_at(&["jsonPath"]);
        let path = path.index(i).child("jsonPath");
        if text.is_empty() {
            errors.required(&path, "");
            continue;
        }
        let found = match field_path(text, schema, super::field_path::Brackets::Refused) {
            Ok(found) => found,
            Err(why) => {
                errors.invalid(&path, text, format!("is an invalid path: {why}"));
                continue;
            }
        };
        if found.root == "metadata" {
            errors.invalid(&path, text, "must not point to fields in metadata");
        }
        if !matches!(found.schema.str_at(&["type"]), "string" | "boolean" | "integer") {
            let detail = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
            errors.invalid(&path, text, detail);
        }
        if seen.contains(&found.path) {
            errors.duplicate(&path, text);
        } else {
            seen.push(found.path);
        }
    }
    if seen.len() > MAX_SELECTABLE_FIELDS {
        errors.too_many(path, seen.len(), MAX_SELECTABLE_FIELDS);
    }
}

/// Whether it begins with a dot; that is all that is asked of it.
fn simple_json_path(errors: &mut FieldErrors, text: &str, path: &FieldPath) -> bool {
    let ok = text.starts_with('.');
    if !ok {
        errors.invalid(path, text, "must be a simple json path starting with .");
    }
    ok
}
