//! The OpenAPI document: what it promises is what is answered.

use drydock::doors::rest::{ROUTES, openapi};
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

fn document() -> &'static Value {
    openapi::document().expect("openapi.yaml is YAML")
}

/// Follows a reference, if it is one.
fn resolve(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(reference) => {
            let target = document().pointer(reference.trim_start_matches('#'));
            resolve(target.unwrap_or_else(|| panic!("{reference} leads nowhere")))
        }
        None => value,
    }
}

/// Panics when an answer is not what the document says of its path.
pub(crate) fn check_answer(
    method: &Method,
    path: &str,
    status: StatusCode,
    headers: &HeaderMap,
    body: &Value,
) {
    let path = path.split('?').next().unwrap();
    let Some(template) = template(path) else { return };
    let operation = &document()["paths"][template][method.as_str().to_lowercase()];
    if operation.is_null() {
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path} is not in the document");
        return;
    }
    let responses = &operation["responses"];
    let listed = &responses[status.as_str()];
    let response = resolve(if listed.is_null() { &responses["default"] } else { listed });
    assert!(!response.is_null(), "{method} {path}: the document knows no {status}");
    let Some(content) = response["content"].as_object() else { return };
    let media = headers.get("content-type").map(|value| value.to_str().unwrap()).unwrap_or_default();
    let essence = media.split(';').next().unwrap();
    let Some(described) = content.get(essence) else {
        panic!("{method} {path} {status}: the document knows no {media}");
    };
    if essence.ends_with("json") {
        check(&described["schema"], body, &format!("{method} {path} {status}"));
    }
}

/// The route that the path is of.
fn template(path: &str) -> Option<&'static str> {
    let fits = |template: &str| {
        let (a, b): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
        a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.starts_with('{') || a == b)
    };
    ROUTES.iter().map(|(_, template, _)| *template).find(|template| fits(template))
}

fn check(schema: &'static Value, value: &Value, at: &str) {
    let schema = resolve(schema);
    let right = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        other => panic!("{at}: a schema of type {other:?}"),
    };
    assert!(right, "{at}: {value} is not {}", schema["type"]);
    if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(value), "{at}: {value} is none of {words:?}");
    }
    for (i, item) in value.as_array().into_iter().flatten().enumerate() {
        check(&schema["items"], item, &format!("{at}[{i}]"));
    }
    let Some(fields) = value.as_object() else { return };
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(fields.contains_key(name.as_str().unwrap()), "{at} has no {name}");
    }
    for (name, field) in fields {
        let at = format!("{at}.{name}");
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => panic!("{at} is not in the document"),
            (Value::Null, Value::Null) => {}
            (Value::Null, rest) => check(rest, field, &at),
            (property, _) => check(property, field, &at),
        }
    }
}

#[test]
fn the_document_is_as_it_was() {
    insta::assert_json_snapshot!(document(), { ".info.version" => "[version]" });
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_has_a_type() {
    fn walk(value: &'static Value) {
        resolve(value);
        match value {
            Value::Array(items) => items.iter().for_each(walk),
            Value::Object(fields) => fields.values().for_each(walk),
            _ => {}
        }
    }
    walk(document());
    for (name, schema) in document()["components"]["schemas"].as_object().unwrap() {
        assert!(schema["type"].is_string(), "{name}");
    }
}

#[test]
fn every_route_is_in_the_document_and_no_other_is() {
    let mut described = Vec::new();
    for (path, methods) in document()["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys().filter(|key| *key != "parameters") {
            described.push((method.to_uppercase(), path.clone()));
        }
    }
    let mut routes: Vec<_> =
        ROUTES.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    described.sort();
    routes.sort();
    assert_eq!(described, routes);
}
