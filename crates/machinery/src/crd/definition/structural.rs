//! Whether a schema is structural: every field that can occur has a type, outside of `allOf`, `anyOf`, `oneOf`, `not`.

use crate::crd::go_regex;
use crate::status::{FieldErrors, FieldPath};
use crate::value;
use crate::value::Value;

/// Where a node is in a schema.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// What keeps a schema from being structural, sorted by text as upstream does.
pub(super) fn validate(schema: &Value, path: &FieldPath) -> FieldErrors {
    let mut errors = FieldErrors::new();
    invariants(&mut errors, schema, Level::Root, path);
    completeness(&mut errors, schema, schema, path, path);
    errors.sort();
    errors
}

/// What is in a schema that upstream can make nothing structural of; the rest is not looked at then.
pub(super) fn unsupported(schema: &Value) -> Option<String> {
    const FIELDS: [(&str, &str); 7] = [
        ("id", "id"),
        ("$schema", "schema"),
        ("$ref", "$ref"),
        ("patternProperties", "patternProperties"),
        ("dependencies", "dependencies"),
        ("additionalItems", "additionalItems"),
        ("definitions", "definitions"),
    ];
    let is_given = |name: &str| match schema.get(name) {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Object(map)) => name == "additionalItems" || !map.is_empty(),
        Some(_) => true,
    };
    if let Some((_, shown)) = FIELDS.iter().find(|(name, _)| is_given(name)) {
        return Some(format!("OpenAPIV3Schema '{shown}' is not supported"));
    }
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        let why = "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined";
        return Some(why.to_owned());
    }
    if matches!(schema.get("items"), Some(Value::Array(_))) {
        return Some("OpenAPIV3Schema 'items' must be a schema, but is an array".to_owned());
    }
    let one = ["not", "items", "additionalProperties"].into_iter().filter_map(|name| object(schema, name));
    let many = ["allOf", "anyOf", "oneOf"].into_iter().flat_map(|name| schema.array_at(&[name]));
    one.chain(many).chain(schema.object_at(&["properties"]).values()).find_map(unsupported)
}

fn is_set(schema: &Value, field: &str) -> bool {
    schema.bool_at(&[field])
}

fn object<'a>(schema: &'a Value, field: &str) -> Option<&'a Value> {
    schema.get(field).filter(|inner| matches!(inner, Value::Object(_)))
}

fn invariants(errors: &mut FieldErrors, s: &Value, level: Level, path: &FieldPath) {
    let ty = s.str_at(&["type"]);
    match object(s, "items") {
        Some(items) => invariants(errors, items, Level::Item, &path.child("items")),
        None if ty == "array" => errors.required(&path.child("items"), "must be specified"),
        None => {}
    }
    for (name, property) in s.object_at(&["properties"]).iter() {
        invariants(errors, property, Level::Field, &path.child("properties").key(name));
    }
    let additional = s.get("additionalProperties").filter(|a| !a.is_null());
    if let Some(additional) = additional {
        let path = path.child("additionalProperties");
        if level == Level::Root {
            errors.forbidden(&path, "must not be used at the root");
        }
        if matches!(additional, Value::Object(_)) {
            invariants(errors, additional, Level::Field, &path);
        }
    }
    extensions(errors, s, path);
    let first = s.array_at(&["allOf"]).first();
    let skips = Skips {
        any_of: is_int_or_string(s.array_at(&["anyOf"])),
        any_of_first: first.is_some_and(|first| is_int_or_string(first.array_at(&["anyOf"]))),
    };
    value_validation(errors, s, skips, path);
    types(errors, s, ty, level, path);
    if additional.is_some() && is_set(s, "x-kubernetes-embedded-resource") {
        let path = path.child("additionalProperties");
        errors.forbidden(&path, "must not be used if x-kubernetes-embedded-resource is set");
    }
    metadata(errors, s, level, path);
    if is_set(s, "x-kubernetes-embedded-resource")
        && !is_set(s, "x-kubernetes-preserve-unknown-fields")
        && s.object_at(&["properties"]).is_empty()
    {
        let detail = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        errors.required(&path.child("properties"), detail);
    }
}

fn extensions(errors: &mut FieldErrors, s: &Value, path: &FieldPath) {
    if !is_set(s, "x-kubernetes-int-or-string") {
        return;
    }
    for field in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
        if is_set(s, field) {
            let detail = "must be false if x-kubernetes-int-or-string is true";
            errors.invalid(&path.child(field), true, detail);
        }
    }
}

fn types(errors: &mut FieldErrors, s: &Value, ty: &str, level: Level, path: &FieldPath) {
    let path = path.child("type");
    if is_set(s, "x-kubernetes-embedded-resource") && ty != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        if ty.is_empty() { errors.required(&path, detail) } else { errors.invalid(&path, ty, detail) }
    } else if ty.is_empty()
        && !is_set(s, "x-kubernetes-int-or-string")
        && !is_set(s, "x-kubernetes-preserve-unknown-fields")
    {
        errors.required(
            &path,
            match level {
                Level::Root => "must not be empty at the root",
                Level::Item => "must not be empty for specified array items",
                Level::Field => "must not be empty for specified object fields",
            },
        );
    }
    if level == Level::Root && !ty.is_empty() && ty != "object" {
        errors.invalid(&path, ty, "must be object at the root");
    }
}

/// Objects' own fields may not be described beyond their type, and metadata's name.
fn metadata(errors: &mut FieldErrors, s: &Value, level: Level, path: &FieldPath) {
    let checked = level == Level::Root || is_set(s, "x-kubernetes-embedded-resource");
    let properties = path.child("properties");
    for field in ["kind", "apiVersion"] {
        if let Some(property) = s.at(&["properties", field]).filter(|_| checked) {
            let ty = property.str_at(&["type"]);
            if ty != "string" {
                errors.invalid(&properties.key(field).child("type"), ty, "must be string");
            }
        }
    }
    let Some(metadata) = s.at(&["properties", "metadata"]) else { return };
    let path = properties.key("metadata");
    let ty = metadata.str_at(&["type"]);
    if checked && ty != "object" {
        errors.invalid(&path.child("type"), ty, "must be object");
    }
    if level == Level::Root {
        let known = |name: &str| matches!(name, "name" | "generateName");
        let only_names = metadata.object_at(&["properties"]).keys().all(|name| known(name));
        let allowed = |name: &str| matches!(name, "type" | "default" | "properties");
        let nothing_else = metadata.object_at(&[]).keys().all(|name| allowed(name));
        if !only_names || !nothing_else {
            let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
            errors.forbidden(&path, detail);
        }
    }
}

/// `anyOf: [{type: integer}, {type: string}]`, which may stand beside `x-kubernetes-int-or-string`.
fn is_int_or_string(any_of: &[Value]) -> bool {
    any_of == [value!({"type": "integer"}), value!({"type": "string"})]
}

/// Which `anyOf` is that of [`is_int_or_string`]: a schema's own, or that of the first of its `allOf`.
#[derive(Clone, Copy, Default)]
struct Skips {
    any_of: bool,
    any_of_first: bool,
}

fn value_validation(errors: &mut FieldErrors, s: &Value, skips: Skips, path: &FieldPath) {
    if !skips.any_of {
        each_nested(errors, s, "anyOf", path);
    }
    for (i, nested) in s.array_at(&["allOf"]).iter().enumerate() {
        let skips = Skips { any_of: i == 0 && skips.any_of_first, any_of_first: false };
        nested_validation(errors, nested, skips, &path.child("allOf").index(i));
    }
    each_nested(errors, s, "oneOf", path);
    if let Some(not) = object(s, "not") {
        nested_validation(errors, not, Skips::default(), &path.child("not"));
    }
    let pattern = s.str_at(&["pattern"]);
    if let Err(why) = go_regex(pattern) {
        let detail = format!("must be a valid regular expression, but isn't: {why}");
        errors.invalid(&path.child("pattern"), pattern, detail);
    }
}

fn each_nested(errors: &mut FieldErrors, s: &Value, junctor: &str, path: &FieldPath) {
    for (i, nested) in s.array_at(&[junctor]).iter().enumerate() {
        nested_validation(errors, nested, Skips::default(), &path.child_named(junctor).index(i));
    }
}

/// Under a junctor a schema may constrain values, but not describe structure.
fn nested_validation(errors: &mut FieldErrors, v: &Value, skips: Skips, path: &FieldPath) {
    value_validation(errors, v, skips, path);
    if let Some(items) = object(v, "items") {
        nested_validation(errors, items, Skips::default(), &path.child("items"));
    }
    for (name, property) in v.object_at(&["properties"]).iter() {
        nested_validation(errors, property, Skips::default(), &path.child("properties").key(name));
    }
    const EMPTY: &str = "must be empty to be structural";
    const UNDEFINED: &str = "must be undefined to be structural";
    const FALSE: &str = "must be false to be structural";
    for (field, detail) in [
        ("type", EMPTY),
        ("additionalProperties", UNDEFINED),
        ("default", UNDEFINED),
        ("title", EMPTY),
        ("description", EMPTY),
        ("nullable", FALSE),
        ("x-kubernetes-preserve-unknown-fields", FALSE),
        ("x-kubernetes-embedded-resource", FALSE),
        ("x-kubernetes-int-or-string", FALSE),
        ("x-kubernetes-list-map-keys", EMPTY),
        ("x-kubernetes-list-type", UNDEFINED),
        ("x-kubernetes-map-type", UNDEFINED),
        ("x-kubernetes-validations", EMPTY),
    ] {
        let absent = match v.get(field) {
            None | Some(Value::Null) => true,
            Some(Value::Bool(b)) => !b && detail == FALSE,
            Some(Value::String(text)) => text.is_empty(),
            Some(Value::Array(items)) => items.is_empty(),
            Some(_) => false,
        };
        if !absent {
            errors.forbidden(&path.child(field), detail);
        }
    }
    if v.at(&["properties", "metadata"]).is_some() {
        let path = path.child("properties").key("metadata");
        errors.forbidden(&path, "must not be specified in a nested context");
    }
}

/// What a junctor speaks of must be described outside of it. `s` is the structure, `v` what speaks of it.
fn completeness(errors: &mut FieldErrors, v: &Value, s: &Value, s_path: &FieldPath, v_path: &FieldPath) {
    if let Some(not) = object(v, "not") {
        nested_completeness(errors, not, Some(s), s_path, &v_path.child("not"));
    }
    for junctor in ["allOf", "anyOf", "oneOf"] {
        for (i, nested) in v.array_at(&[junctor]).iter().enumerate() {
            nested_completeness(errors, nested, Some(s), s_path, &v_path.child(junctor).index(i));
        }
    }
}

fn nested_completeness(
    errors: &mut FieldErrors,
    v: &Value,
    s: Option<&Value>,
    s_path: &FieldPath,
    v_path: &FieldPath,
) {
    let Some(s) = s else {
        return errors.required(s_path, format!("because it is defined in {v_path}"));
    };
    completeness(errors, v, s, s_path, v_path);
    if let Some(items) = object(v, "items") {
        let (s_path, v_path) = (s_path.child("items"), v_path.child("items"));
        nested_completeness(errors, items, object(s, "items"), &s_path, &v_path);
    }
    for (name, property) in v.object_at(&["properties"]).iter() {
        let (s_path, v_path) = (s_path.child("properties").key(name), v_path.child("properties").key(name));
        nested_completeness(errors, property, s.at(&["properties", name]), &s_path, &v_path);
    }
}
