//! Swagger 2.0's form, for old clients.
//!
//! Parameters are written where they are used; upstream collects shared ones, which means the same.

use super::operations::{Body, Media, Operation, Parameter, PathItem};
use super::v3::patch_types;
use crate::catalog::Catalog;
use crate::value;
use crate::value::{Map, Value};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

pub(super) fn document(catalog: &Catalog, paths: Map, definitions: Map) -> Value {
    value!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": catalog.version()},
        "definitions": Value::from(definitions),
        "paths": Value::from(paths),
        "security": [{"BearerToken": []}],
        "securityDefinitions": {"BearerToken": {"in": "header", "name": "authorization", "type": "apiKey"}},
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
    if !common.is_empty() {
        out.set(&["parameters"], common.iter().map(parameter).collect::<Vec<_>>());
    }
    out
}

fn operation_object(operation: &Operation, parameters: &[Parameter], tag: &str) -> Value {
    let mut responses = Value::object();
    for answer in &operation.answers {
        let schema = match answer.definition.as_str() {
            "" => value!({"type": "string"}),
            definition => reference(definition),
        };
        responses.set(&[answer.code], value!({"description": answer.meaning(), "schema": schema}));
    }
    responses.set(&["401"], value!({"description": "Unauthorized"}));
    let mut out = value!({
        "operationId": operation.id.as_str(), "responses": responses, "schemes": ["https"], "tags": [tag],
        "produces": operation.media.types(operation.custom),
    });
    if let Some(consumes) = consumes(operation) {
        out.set(&["consumes"], consumes.to_vec());
    }
    operation.describe(&mut out);
    let mut rendered: Vec<Value> = body(operation).into_iter().collect();
    rendered.extend(parameters.iter().map(parameter));
    if !rendered.is_empty() {
        out.set(&["parameters"], rendered);
    }
    out
}

fn consumes(operation: &Operation) -> Option<&'static [&'static str]> {
    match (&operation.kind, &operation.body, operation.media) {
        // Discovery.
        (None, _, Media::Standard) => Some(Media::Standard.types(false)),
        (None, _, Media::Json) if !operation.answers.iter().any(|answer| answer.definition.is_empty()) => {
            Some(Media::Json.types(false))
        }
        (None, ..) => None,
        (_, Body::Patch, _) => Some(patch_types(operation.custom)),
        _ if operation.custom => Some(&["application/json", "application/yaml"]),
        _ => Some(&["*/*"]),
    }
}

fn body(operation: &Operation) -> Option<Value> {
    let (schema, required) = match &operation.body {
        Body::None => return None,
        Body::Object(definition) => (reference(definition), true),
        Body::DeleteOptions => (reference(&format!("{META}.DeleteOptions")), false),
        Body::Patch => (reference(&format!("{META}.Patch")), true),
    };
    let mut out = value!({"in": "body", "name": "body", "schema": schema});
    if required {
        out.set(&["required"], true);
    }
    Some(out)
}

fn parameter(parameter: &Parameter) -> Value {
    let mut out = value!({"name": parameter.name, "type": parameter.ty, "uniqueItems": true});
    out.set(&["in"], if parameter.in_path { "path" } else { "query" });
    if parameter.in_path {
        out.set(&["required"], true);
    }
    if let Some(text) = parameter.description() {
        out.set(&["description"], text);
    }
    out
}

fn reference(definition: &str) -> Value {
    value!({"$ref": format!("#/definitions/{definition}")})
}
