//! Custom resources in OpenAPI v2, where there is one document for everything.
//!
//! The built-in document is large and shared by all tenants; a tenant's custom resources are spliced into it when
//! somebody asks.

use super::operations::Described;
use super::{Document, content_hash, paths, v2, v2_protobuf as message};
use crate::catalog::Catalog;
use crate::value;
use crate::value::{Map, Value};

/// A custom resource's schemas, in the form of OpenAPI v2.
#[derive(Clone, Debug)]
pub struct CustomDefinition {
    pub described: Described,
    pub schema: Value,
    pub list_schema: Value,
}

/// What a tenant's custom resources add to the document.
#[derive(Debug)]
pub struct V2Addition {
    definitions: Vec<u8>,
    paths: Vec<u8>,
    message: Vec<u8>,
    hash: String,
}

/// Renders custom resources.
pub fn v2_addition(custom: &[CustomDefinition]) -> V2Addition {
    let (mut definitions, mut all_paths) = (Map::new(), Map::new());
    for CustomDefinition { described, schema, list_schema } in custom {
        definitions.insert(described.definition.as_str(), schema.clone());
        definitions.insert(described.list_definition.as_str(), list_schema.clone());
        for (path, item) in v2::paths(&paths::resource_paths(described)).iter() {
            all_paths.insert(path.clone(), item.clone());
        }
    }
    // Of messages that follow each other the parts are joined.
    let document = value!({"definitions": Value::from(definitions), "paths": Value::from(all_paths)});
    let text = |name: &str| {
        let object = document.get(name).map(Value::to_json).unwrap_or_default();
        object.get(1..object.len().saturating_sub(1)).unwrap_or_default().to_vec()
    };
    let (definitions, paths) = (text("definitions"), text("paths"));
    let hash = content_hash(&[definitions.as_slice(), &paths].concat());
    V2Addition { message: message::encode(&document), definitions, paths, hash }
}

/// The document of the built-in API with `addition` in it, as JSON and as a message.
pub fn v2_with(catalog: &'static Catalog, addition: &V2Addition) -> (Document, Vec<u8>) {
    let built_in = super::v2_document(catalog);
    let mut json =
        Vec::with_capacity(built_in.json.len() + addition.definitions.len() + addition.paths.len() + 2);
    let mut rest: &[u8] = &built_in.json;
    // No string holds these: quotes in strings are escaped. Schemas have fields of these names, but the definitions are
    // the document's first field, and no field of a schema starts with a slash.
    let places = [(&b"\"definitions\":{\""[..], &addition.definitions), (b"\"paths\":{\"/", &addition.paths)];
    for (start, added) in places.into_iter().filter(|(_, added)| !added.is_empty()) {
        let Some(at) = rest.windows(start.len()).position(|part| part == start) else { continue };
        let brace = start.iter().position(|byte| *byte == b'{').map_or(0, |brace| brace + 1);
        let (before, after) = rest.split_at(at + brace);
        json.extend_from_slice(before);
        json.extend_from_slice(added);
        json.push(b',');
        rest = after;
    }
    json.extend_from_slice(rest);
    let mut message = super::v2_protobuf(catalog).to_vec();
    message.extend_from_slice(&addition.message);
    let hash = content_hash(format!("{} {}", built_in.hash, addition.hash).as_bytes());
    (Document { json: json.into(), hash }, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn custom_resources_are_spliced_into_the_document() {
        let described = Described {
            group: "x.example.com".into(),
            version: "v1".into(),
            plural: "ovens".into(),
            kind: "Oven".into(),
            namespaced: true,
            definition: "com.example.x.v1.Oven".into(),
            list_definition: "com.example.x.v1.OvenList".into(),
            verbs: vec!["get", "list"],
            subresources: Vec::new(),
            custom: true,
        };
        let schema = value!({"type": "object"});
        let custom = CustomDefinition { described, schema: schema.clone(), list_schema: schema.clone() };
        let (document, message) = v2_with(Catalog::builtin(), &v2_addition(&[custom]));
        let built_in = crate::openapi::v2_document(Catalog::builtin());
        let (got, plain) =
            (Value::from_json(&document.json).unwrap(), Value::from_json(&built_in.json).unwrap());
        let count = |value: &Value, part: &str| value.object_at(&[part]).len();
        assert_eq!(count(&got, "definitions"), count(&plain, "definitions") + 2);
        assert_eq!(count(&got, "paths"), count(&plain, "paths") + 3);
        assert_eq!(got.at(&["definitions", "com.example.x.v1.Oven"]), Some(&schema));
        assert!(message.len() > crate::openapi::v2_protobuf(Catalog::builtin()).len());
        assert_ne!(document.hash, built_in.hash);
    }
}
