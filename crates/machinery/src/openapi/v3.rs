//! OpenAPI v3's form.

use super::operations::{Body, Operation, Parameter, PathItem};
use crate::catalog::Catalog;
use crate::value;
use crate::value::{Map, Value};

const SCHEMAS: &str = "#/components/schemas/";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// A whole document.
pub fn document(catalog: &Catalog, paths: Map, schemas: Map) -> Value {
    let mut components = value!({"securitySchemes": {"BearerToken": {"in": "header", "name": "authorization", "type": "apiKey"}}});
    if !schemas.is_empty() {
        components.set(&["schemas"], schemas);
    }
    value!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": catalog.version()},
        "components": components,
        "paths": Value::from(paths),
    })
}

pub(super) fn paths(items: &[PathItem]) -> Map {
    Map::from_entries(items.iter().map(|item| (item.path.as_str().into(), path_item(item))))
}

fn path_item(item: &PathItem) -> Value {
    let mut out = Value::object();
    let (common, own) = item.parameters();
    for (operation, parameters) in item.operations.iter().zip(own) {
        out.set(&[operation.method], operation_object(operation, &parameters, &item.tag));
    }
    set_parameters(&mut out, &common);
    out
}

fn operation_object(operation: &Operation, parameters: &[Parameter], tag: &str) -> Value {
    let types = operation.media.types(operation.custom);
    let mut responses = Value::object();
    for answer in &operation.answers {
        let schema = match answer.definition.as_str() {
            "" => value!({"type": "string"}),
            definition => reference(definition),
        };
        responses.set(&[answer.code, "content"], content(types, &schema));
        responses.set(&[answer.code, "description"], answer.meaning());
    }
    responses.set(&["401", "description"], "Unauthorized");
    let mut out = value!({"operationId": operation.id.as_str(), "responses": responses, "tags": [tag]});
    operation.describe(&mut out);
    if let Some(body) = request_body(operation) {
        out.set(&["requestBody"], body);
    }
    set_parameters(&mut out, parameters);
    out
}

fn request_body(operation: &Operation) -> Option<Value> {
    let any: &[&str] = if operation.custom { &["application/json", "application/yaml"] } else { &["*/*"] };
    let (types, schema, required) = match &operation.body {
        Body::None => return None,
        Body::Object(definition) => (any, reference(definition), true),
        Body::DeleteOptions => (any, reference(&format!("{META}.DeleteOptions")), false),
        Body::Patch => (patch_types(operation.custom), reference(&format!("{META}.Patch")), true),
    };
    let mut out = value!({"content": content(types, &schema)});
    if required {
        out.set(&["required"], true);
    }
    Some(out)
}

/// Patch formats. Custom resources have no strategic merge.
pub(super) fn patch_types(custom: bool) -> &'static [&'static str] {
    if custom {
        &["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"]
    } else {
        &[
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/strategic-merge-patch+json",
            "application/apply-patch+yaml",
        ]
    }
}

fn reference(definition: &str) -> Value {
    value!({"$ref": format!("{SCHEMAS}{definition}")})
}

fn content(types: &[&str], schema: &Value) -> Value {
    let entries = types.iter().map(|name| ((*name).into(), value!({"schema": schema.clone()})));
    Value::Object(Map::from_entries(entries))
}

fn set_parameters(out: &mut Value, parameters: &[Parameter]) {
    if parameters.is_empty() {
        return;
    }
    let rendered = parameters.iter().map(|parameter| {
        let mut out = value!({"name": parameter.name, "schema": {"type": parameter.ty, "uniqueItems": true}});
        out.set(&["in"], if parameter.in_path { "path" } else { "query" });
        if parameter.in_path {
            out.set(&["required"], true);
        }
        if let Some(text) = parameter.description() {
            out.set(&["description"], text);
        }
        out
    });
    out.set(&["parameters"], rendered.collect::<Vec<_>>());
}
