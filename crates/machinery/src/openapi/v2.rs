//! Swagger 2.0's form, for old clients.
//!
//! Parameters that many operations take are written once, and referred to; so are the bodies of deletes and patches.

use std::collections::BTreeMap;

use super::operations::{Body, Media, Operation, Parameter, PathItem};
use super::v3::patch_types;
use crate::catalog::Catalog;
use crate::value;
use crate::value::{Map, Value};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

pub(super) fn document(catalog: &Catalog, items: &[PathItem], definitions: Map) -> Value {
    let paths = paths(items);
    value!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": catalog.version()},
        "definitions": Value::from(definitions),
        "parameters": Value::from(shared(items)),
        "paths": Value::from(paths),
        "security": [{"BearerToken": []}],
        "securityDefinitions": {"BearerToken": {"description": "Bearer Token authentication", "in": "header", "name": "authorization", "type": "apiKey"}},
    })
}

pub(super) fn paths(items: &[PathItem]) -> Map {
    Map::from_entries(items.iter().map(|item| (item.path.as_str().into(), path_item(item))))
}

/// The parameters that are referred to.
pub(super) fn shared(items: &[PathItem]) -> Map {
    let operations = || items.iter().flat_map(|item| &item.operations);
    let parameters = operations().flat_map(|operation| &operation.parameters).copied();
    let parameters: BTreeMap<String, Value> =
        parameters.filter_map(|own| Some((own.shared_name()?, parameter(&own)))).collect();
    let bodies =
        operations().filter_map(|operation| Some((shared_body(&operation.body)?.into(), body(operation)?)));
    Map::from_entries(bodies.chain(parameters.into_iter().map(|(name, value)| (name.into(), value))))
}

fn path_item(item: &PathItem) -> Value {
    let mut out = Value::object();
    let (common, own) = item.parameters();
    for (operation, parameters) in item.operations.iter().zip(own) {
        out.set(&[operation.method], operation_object(operation, &parameters, &item.tag));
    }
    if !common.is_empty() {
        out.set(&["parameters"], common.iter().map(use_of).collect::<Vec<_>>());
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
    let mut rendered: Vec<Value> = match shared_body(&operation.body) {
        Some(name) => vec![parameter_reference(name)],
        None => body(operation).into_iter().collect(),
    };
    rendered.extend(parameters.iter().map(use_of));
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

/// What a body is shared as that many operations take.
fn shared_body(body: &Body) -> Option<&'static str> {
    match body {
        Body::DeleteOptions => Some("body-2Y1dVQaQ"),
        Body::Patch => Some("body-78PwaGsr"),
        Body::None | Body::Object(_) => None,
    }
}

fn use_of(own: &Parameter) -> Value {
    own.shared_name().map_or_else(|| parameter(own), |name| parameter_reference(&name))
}

fn parameter_reference(name: &str) -> Value {
    value!({"$ref": format!("#/parameters/{name}")})
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
