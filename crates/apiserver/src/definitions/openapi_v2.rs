//! Custom resources in `/openapi/v2`: their schemas in what Swagger 2.0, and kubectl's reading of it, can say.

use std::sync::Arc;

use drydock_machinery::openapi;
use drydock_machinery::{Map, Value, value};

use super::openapi::{described, kind_of, selectable_fields};
use crate::resources::Resource;

const OBJECT_META: &str = "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";

/// The built-in document with what `resources` add to it.
pub(crate) fn document(resources: &[Arc<Resource>]) -> Value {
    let mut paths = Map::new();
    let mut definitions = Map::new();
    for resource in resources {
        let described = described(resource);
        for (path, item) in openapi::custom_paths_v2(&described).iter() {
            paths.insert(path.clone(), item.clone());
        }
        definitions.insert(described.definition.as_str(), with_kind(schema(resource), resource, Form::One));
        let list = list_schema(&described.definition);
        definitions.insert(described.list_definition.as_str(), with_kind(list, resource, Form::List));
    }
    openapi::v2_document_with(paths, definitions)
}

#[derive(Clone, Copy)]
enum Form {
    One,
    List,
}

fn with_kind(mut schema: Value, resource: &Resource, form: Form) -> Value {
    let kind = match form {
        Form::One => &*resource.gvk.kind,
        Form::List => resource.list_kind.as_str(),
    };
    schema.set(&["x-kubernetes-group-version-kind"], kind_of(resource, kind));
    if let Some(fields) = selectable_fields(resource) {
        schema.set(&["x-kubernetes-selectable-fields"], fields);
    }
    schema
}

/// A schema that lets fields through that it does not name has no properties at all here: kubectl takes those that are
/// named for all that there are.
fn schema(resource: &Resource) -> Value {
    let custom = resource.custom.as_ref();
    let own = custom.and_then(|custom| custom.version.at(&["schema", "openAPIV3Schema"]));
    let open = custom.is_some_and(|custom| custom.preserve_unknown);
    let Some(own) = own.filter(|own| !open && !own.bool_at(&[PRESERVE])) else {
        return value!({"type": "object"});
    };
    let mut schema = converted(own);
    schema.set(&["properties", "metadata"], value!({"$ref": OBJECT_META}));
    schema.set(&["properties", "apiVersion"], value!({"type": "string"}));
    schema.set(&["properties", "kind"], value!({"type": "string"}));
    schema
}

fn list_schema(item: &str) -> Value {
    value!({"type": "object", "required": ["items"], "properties": {
        "apiVersion": {"type": "string"}, "kind": {"type": "string"},
        "items": {"type": "array", "items": {"$ref": format!("#/definitions/{item}")}},
        "metadata": {"$ref": LIST_META}}})
}

/// Without what Swagger 2.0 lacks, and without what makes kubectl refuse values that the server takes.
fn converted(schema: &Value) -> Value {
    let mut out = schema.clone();
    for field in ["allOf", "oneOf", "anyOf", "not", "nullable", "default"] {
        out.remove(&[field]);
    }
    let preserves = schema.bool_at(&[PRESERVE]);
    if schema.bool_at(&["nullable"]) {
        out.remove(&["type"]);
    }
    if preserves || schema.bool_at(&["nullable"]) {
        out.remove(&["items"]);
        out.remove(&["properties"]);
    }
    let kind = schema.str_at(&["type"]);
    if (kind == "array" && out.get("items").is_none()) || (kind == "object" && preserves) {
        out.remove(&["type"]);
    }
    drop_nullable_from_required(&mut out);
    for field in ["items", "additionalProperties"] {
        if out.get(field).is_some_and(|inner| inner.as_object().is_some()) {
            let inner = converted(&out.get(field).cloned().unwrap_or_default());
            out.set(&[field], inner);
        }
    }
    if let Some(properties) = out.get("properties").and_then(Value::as_object).cloned() {
        let properties = properties.iter().map(|(name, property)| (name.clone(), converted(property)));
        out.set(&["properties"], Value::from(Map::from_entries(properties)));
    }
    if schema.bool_at(&["x-kubernetes-embedded-resource"]) && !preserves {
        embed(&mut out);
    }
    out
}

/// What may be null need not be there.
fn drop_nullable_from_required(schema: &mut Value) {
    if schema.bool_at(&["additionalProperties", "nullable"]) {
        schema.remove(&["required"]);
        return;
    }
    let kept: Vec<Value> = schema
        .array_at(&["required"])
        .iter()
        .filter(|name| !schema.bool_at(&["properties", name.as_str().unwrap_or(""), "nullable"]))
        .cloned()
        .collect();
    if kept.is_empty() {
        schema.remove(&["required"]);
    } else {
        schema.set(&["required"], kept);
    }
}

/// A whole object within an object.
fn embed(schema: &mut Value) {
    schema.set(&["properties", "apiVersion"], value!({"type": "string"}));
    schema.set(&["properties", "kind"], value!({"type": "string"}));
    schema.set(&["properties", "metadata"], value!({"$ref": OBJECT_META}));
    let mut required = schema.array_at(&["required"]).to_vec();
    for name in ["kind", "apiVersion"] {
        if !required.iter().any(|known| known.as_str() == Some(name)) {
            required.push(name.into());
        }
    }
    schema.set(&["required"], required);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: Value, expect: Value) {
        assert_eq!(converted(&schema), expect);
    }

    #[test]
    fn what_swagger_lacks_is_left_out() {
        check(
            value!({"type": "object", "required": ["a", "b"], "anyOf": [{"required": ["a"]}], "properties": {
                "a": {"type": "array", "nullable": true, "items": {"type": "string"}},
                "b": {"type": "string", "default": "x", "pattern": "^x", "description": "bees"}}}),
            value!({"type": "object", "required": ["b"], "properties": {
                "a": {}, "b": {"type": "string", "pattern": "^x", "description": "bees"}}}),
        );
    }

    #[test]
    fn what_takes_unknown_fields_says_nothing_of_them() {
        check(
            value!({"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}}),
            value!({"x-kubernetes-preserve-unknown-fields": true, "x-kubernetes-embedded-resource": true}),
        );
        check(
            value!({"type": "array", "items": {"type": "object", "additionalProperties": {"x-kubernetes-int-or-string": true,
                "anyOf": [{"type": "integer"}, {"type": "string"}]}}}),
            value!({"type": "array", "items": {"type": "object",
                "additionalProperties": {"x-kubernetes-int-or-string": true}}}),
        );
    }

    #[test]
    fn an_embedded_object_has_what_every_object_has() {
        check(
            value!({"type": "object", "x-kubernetes-embedded-resource": true, "required": ["kind"],
                "properties": {"spec": {"type": "object"}}}),
            value!({"type": "object", "x-kubernetes-embedded-resource": true, "required": ["kind", "apiVersion"],
                "properties": {"spec": {"type": "object"}, "apiVersion": {"type": "string"},
                    "kind": {"type": "string"}, "metadata": {"$ref": OBJECT_META}}}),
        );
    }
}
