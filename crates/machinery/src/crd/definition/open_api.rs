//! What an `openAPIV3Schema` may and may not say, beyond being structural.

use super::field_path::{Brackets, field_path};
use super::{internal, structural};
use crate::crd::rules::limits::{Budget, Place};
use crate::status::{FieldErrors, FieldPath};
use crate::value::Value;

/// With a budget, rules are compiled too; what is wrong with them comes last.
pub(super) fn validate(
    errors: &mut FieldErrors,
    schema: &Value,
    budget: Option<Budget<'_>>,
    path: &FieldPath,
) {
    let walk = Walk { no_defaults: None, inside_meta: false, place: Place::root() };
    let mut found = Found { errors: FieldErrors::new(), budget };
    walk.schema(&mut found, schema, true, path);
    errors.append(found.errors);
    if let Some(budget) = found.budget {
        errors.append(budget.finish(path));
    }
}

/// What is wrong with a schema, and with its rules if those are looked at.
struct Found<'a> {
    errors: FieldErrors,
    budget: Option<Budget<'a>>,
}

#[derive(Clone, Debug)]
struct Walk {
    /// Why there may be no defaults.
    no_defaults: Option<String>,
    inside_meta: bool,
    place: Place,
}

/// What is set to something: not absent, not null.
fn get<'a>(schema: &'a Value, field: &str) -> Option<&'a Value> {
    schema.get(field).filter(|value| !value.is_null())
}

fn object<'a>(schema: &'a Value, field: &str) -> Option<&'a Value> {
    get(schema, field).filter(|value| matches!(value, Value::Object(_)))
}

impl Walk {
    fn schema(&self, found: &mut Found<'_>, schema: &Value, is_root: bool, path: &FieldPath) {
        let before = found.errors.len();
        self.standard(&mut found.errors, schema, path);
        if schema.bool_at(&["uniqueItems"]) {
            let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
            found.errors.forbidden(&path.child("uniqueItems"), detail);
        }
        self.additional_properties(found, schema, path);
        self.properties(found, schema, is_root, path);
        let nested = Self { place: self.place.nested(), ..self.clone() };
        if let Some(not) = object(schema, "not") {
            nested.schema(found, not, false, &path.child("not"));
        }
        for junctor in ["allOf", "oneOf", "anyOf"] {
            for (i, inner) in schema.array_at(&[junctor]).iter().enumerate() {
                nested.schema(found, inner, false, &path.child(junctor).index(i));
            }
        }
        for (name, inner) in schema.object_at(&["definitions"]).iter() {
            nested.schema(found, inner, false, &path.child("definitions").key(name));
        }
        self.items(found, schema, path);
        for (name, inner) in schema.object_at(&["dependencies"]).iter() {
            if let Value::Object(_) = inner {
                nested.schema(found, inner, false, &path.child("dependencies").key(name));
            }
        }
        extensions(&mut found.errors, schema, path);
        list_map(&mut found.errors, schema, path);
        map_keys_and_nulls(&mut found.errors, schema, path);
        rules(&mut found.errors, schema, path);
        // Rules over a schema that is wrong here or deeper are not looked at: what is wrong with them may be due to that.
        if let Some(budget) = found.budget.as_mut().filter(|_| found.errors.len() == before) {
            budget.check(schema, &self.place, path);
        }
    }

    fn items(&self, found: &mut Found<'_>, schema: &Value, path: &FieldPath) {
        let walk = Self { place: self.place.items(schema, path), ..self.clone() };
        match get(schema, "items") {
            Some(items @ Value::Object(_)) => walk.schema(found, items, false, &path.child("items")),
            Some(Value::Array(items)) => {
                for (i, items) in items.iter().enumerate() {
                    walk.schema(found, items, false, &path.child("items").index(i));
                }
            }
            _ => {}
        }
    }

    fn additional_properties(&self, found: &mut Found<'_>, schema: &Value, path: &FieldPath) {
        let Some(additional) = get(schema, "additionalProperties") else { return };
        let path = path.child("additionalProperties");
        if !schema.object_at(&["properties"]).is_empty() && *additional != Value::Bool(true) {
            found.errors.forbidden(&path, "additionalProperties and properties are mutual exclusive");
        }
        if let Value::Object(_) = additional {
            let mut walk = Self { place: self.place.additional_property(schema), ..self.clone() };
            if self.inside_meta {
                walk.no_defaults = Some("inside additionalProperties applying to object metadata".to_owned());
            }
            walk.schema(found, additional, false, &path);
        }
    }

    fn properties(&self, found: &mut Found<'_>, schema: &Value, is_root: bool, path: &FieldPath) {
        let is_object = is_root || schema.bool_at(&["x-kubernetes-embedded-resource"]);
        let place = self.place.property(schema, path);
        for (name, property) in schema.object_at(&["properties"]).iter() {
            let mut walk = Self { place: place.clone(), ..self.clone() };
            if is_object && matches!(name.as_str(), "metadata" | "kind" | "apiVersion") {
                walk.inside_meta = true;
                if is_root {
                    walk.no_defaults = Some(format!("in top-level {name}"));
                }
            }
            walk.schema(found, property, false, &path.child("properties").key(name));
        }
    }

    /// `specStandardValidatorV3.validate`
    fn standard(&self, errors: &mut FieldErrors, schema: &Value, path: &FieldPath) {
        const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
        let ty = schema.str_at(&["type"]);
        if !ty.is_empty() && !TYPES.contains(&ty) {
            errors.not_supported(&path.child("type"), ty, &TYPES);
        }
        if let Some(reason) = self.no_defaults.as_ref().filter(|_| get(schema, "default").is_some()) {
            errors.forbidden(&path.child("default"), format!("must not be set {reason}"));
        }
        for field in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
            let set = match get(schema, field) {
                None => false,
                Some(Value::String(text)) => !text.is_empty() || field == "$ref",
                Some(Value::Object(map)) => {
                    !map.is_empty() || matches!(field, "dependencies" | "additionalItems")
                }
                Some(_) => true,
            };
            if set {
                errors.forbidden(&path.child(field), format!("{field} is not supported"));
            }
        }
        if ty == "null" {
            let detail = "type cannot be set to null, use nullable as an alternative";
            errors.forbidden(&path.child("type"), detail);
        }
        // An empty array is none.
        if matches!(get(schema, "items"), Some(Value::Array(items)) if !items.is_empty()) {
            errors.forbidden(&path.child("items"), "items must be a schema object and not an array");
        }
        if self.inside_meta && schema.bool_at(&["x-kubernetes-embedded-resource"]) {
            let path = path.child("x-kubernetes-embedded-resource");
            errors.forbidden(&path, "must not be used inside of resource meta");
        }
    }
}

fn extensions(errors: &mut FieldErrors, schema: &Value, path: &FieldPath) {
    let ty = schema.str_at(&["type"]);
    if let Some(Value::Bool(false)) = schema.get("x-kubernetes-preserve-unknown-fields") {
        let path = path.child("x-kubernetes-preserve-unknown-fields");
        errors.invalid(&path, false, "must be true or undefined");
    }
    let wrong_type = |errors: &mut FieldErrors, wanted: &str, extension: &str| {
        let detail = format!("must be {wanted} if {extension} is specified");
        let path = path.child("type");
        if ty.is_empty() { errors.required(&path, detail) } else { errors.invalid(&path, ty, detail) }
    };
    if let Some(map_type) = get(schema, "x-kubernetes-map-type") {
        if ty != "object" {
            wrong_type(errors, "object", "x-kubernetes-map-type");
        }
        if !matches!(map_type.as_str(), Some("atomic" | "granular")) {
            let path = path.child("x-kubernetes-map-type");
            errors.not_supported(&path, map_type.clone(), &["atomic", "granular"]);
        }
    }
    if let Some(list_type) = get(schema, "x-kubernetes-list-type") {
        if ty != "array" {
            wrong_type(errors, "array", "x-kubernetes-list-type");
        } else if list_type.as_str() == Some("set") {
            set_items(errors, schema, path);
        }
        if !matches!(list_type.as_str(), Some("atomic" | "set" | "map")) {
            let path = path.child("x-kubernetes-list-type");
            errors.not_supported(&path, list_type.clone(), &["atomic", "set", "map"]);
        }
    }
}

fn set_items(errors: &mut FieldErrors, schema: &Value, path: &FieldPath) {
    let Some(items) = object(schema, "items") else { return };
    let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
    let list_type = get(items, "x-kubernetes-list-type").cloned().unwrap_or_default();
    match items.str_at(&["type"]) {
        "array" if !matches!(list_type.as_str(), None | Some("atomic")) => {
            errors.invalid(&path.child("items").child("x-kubernetes-list-type"), list_type, detail);
        }
        "object" if items.str_at(&["x-kubernetes-map-type"]) != "atomic" => {
            // Upstream shows the list type here.
            errors.invalid(&path.child("items").child("x-kubernetes-map-type"), list_type, detail);
        }
        _ => {}
    }
}

fn list_map(errors: &mut FieldErrors, schema: &Value, path: &FieldPath) {
    let keys = schema.array_at(&["x-kubernetes-list-map-keys"]);
    let list_type = schema.str_at(&["x-kubernetes-list-type"]);
    if !keys.is_empty() && list_type != "map" {
        let path = path.child("x-kubernetes-list-type");
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        match get(schema, "x-kubernetes-list-type") {
            None => errors.required(&path, detail),
            Some(given) => errors.invalid(&path, given.clone(), detail),
        }
    }
    if list_type != "map" {
        return;
    }
    let keys_path = path.child("x-kubernetes-list-map-keys");
    if keys.is_empty() {
        errors.required(&keys_path, "must not be empty if x-kubernetes-list-type is map");
    }
    let items_path = path.child("items");
    let Some(items) = object(schema, "items") else {
        match get(schema, "items") {
            None => errors.required(&items_path, "must have a schema if x-kubernetes-list-type is map"),
            Some(several) => {
                let detail = "must only have a single schema if x-kubernetes-list-type is map";
                errors.invalid_shown(&items_path, internal::items(several), detail);
            }
        }
        return;
    };
    let ty = items.str_at(&["type"]);
    if ty != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        return errors.invalid(&items_path.child("type"), ty, detail);
    }
    for (i, key) in keys.iter().enumerate() {
        let name = key.as_str().unwrap_or("");
        match items.at(&["properties", name]) {
            Some(property) if matches!(property.str_at(&["type"]), "array" | "object") => {
                let path = items_path.child("properties").key(name).child("type");
                let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                errors.invalid(&path, ty, detail);
            }
            Some(_) => {}
            None => {
                errors.invalid(&keys_path, keys.to_vec(), "entries must all be names of item properties");
            }
        }
        if keys[..i].contains(key) {
            errors.invalid(&keys_path, keys.to_vec(), "must not contain duplicate entries");
        }
    }
}

/// Elements and their keys are never null, and keys never missing.
fn map_keys_and_nulls(errors: &mut FieldErrors, schema: &Value, path: &FieldPath) {
    let list_type = schema.str_at(&["x-kubernetes-list-type"]);
    let Some(items) = object(schema, "items").filter(|_| matches!(list_type, "set" | "map")) else { return };
    let path = path.child("items");
    if items.bool_at(&["nullable"]) {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
        errors.forbidden(&path.child("nullable"), detail);
    }
    if list_type != "map" {
        return;
    }
    let required = items.array_at(&["required"]);
    for key in schema.array_at(&["x-kubernetes-list-map-keys"]) {
        let name = key.as_str().unwrap_or("");
        let Some(property) = items.at(&["properties", name]) else { continue };
        let path = path.child("properties").key(name);
        if !required.contains(key) && get(property, "default").is_none() {
            let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.required(&path.child("default"), detail);
        }
        if property.bool_at(&["nullable"]) {
            let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.forbidden(&path.child("nullable"), detail);
        }
    }
}

/// What can be said about validation rules without compiling them.
fn rules(errors: &mut FieldErrors, schema: &Value, path: &FieldPath) {
    const REASONS: [&str; 4] =
        ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
    let has_newline = |text: &str| text.contains(['\n', '\r']);
    for (i, rule) in schema.array_at(&["x-kubernetes-validations"]).iter().enumerate() {
        let path = path.child("x-kubernetes-validations").index(i);
        let (text, message) = (rule.str_at(&["rule"]).trim(), rule.str_at(&["message"]));
        let message_path = path.child("message");
        if text.is_empty() {
            errors.required(&path.child("rule"), "rule is not specified");
        } else if !message.is_empty() && message.trim().is_empty() {
            errors.invalid(&message_path, message, "must be non-empty if specified");
        } else if has_newline(message.trim()) {
            errors.invalid(&message_path, message, "must not contain line breaks");
        } else if has_newline(text) && message.is_empty() {
            errors.required(&message_path, "message must be specified if rule contains line breaks");
        }
        let expression = rule.str_at(&["messageExpression"]);
        if !expression.is_empty() && expression.trim().is_empty() {
            let detail = "messageExpression must be non-empty if specified";
            errors.required(&path.child("messageExpression"), detail);
        }
        if let Some(reason) = get(rule, "reason").filter(|r| !REASONS.contains(&r.as_str().unwrap_or(""))) {
            errors.not_supported(&path.child("reason"), reason.clone(), &REASONS);
        }
        let (field, field_path_path) = (rule.str_at(&["fieldPath"]), path.child("fieldPath"));
        if field.is_empty() {
            continue;
        }
        if field.trim().is_empty() {
            errors.invalid(&field_path_path, field, "must be non-empty if specified");
        }
        if has_newline(field) {
            errors.invalid(&field_path_path, field, "must not contain line breaks");
        }
        // Of what is not structural, any path is taken for good.
        if structural::unsupported(schema).is_none() && field_path(field, schema, Brackets::Allowed).is_err()
        {
            errors.invalid(&field_path_path, field, "must be a valid path");
        }
    }
}
