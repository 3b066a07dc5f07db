//! Custom resources and other servers' resources in OpenAPI v2, where there is one document for everything.
//!
//! The built-in document is large and shared by all tenants; what a tenant has beyond it is spliced into it when somebody
//! asks.

use super::operations::Described;
use super::{Document, content_hash, paths, remote, v2, v2_protobuf as message};
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

/// What a tenant adds to the document.
#[derive(Debug)]
pub struct V2Addition {
    definitions: Vec<u8>,
    parameters: Vec<u8>,
    paths: Vec<u8>,
    message: Vec<u8>,
    hash: String,
}

/// Renders custom resources, and adds other servers' parts ([`super::v2_part`]) in their order.
pub fn v2_addition<'a>(
    catalog: &'static Catalog,
    custom: &[CustomDefinition],
    remote: impl IntoIterator<Item = &'a Value>,
) -> V2Addition {
    let (mut definitions, mut all_paths) = (Map::new(), Map::new());
    for CustomDefinition { described, schema, list_schema } in custom {
        definitions.insert(described.definition.as_str(), schema.clone());
        definitions.insert(described.list_definition.as_str(), list_schema.clone());
        for (path, item) in v2::paths(&paths::resource_paths(described)).iter() {
            all_paths.insert(path.clone(), item.clone());
        }
    }
    let mut document = value!({"definitions": Value::from(definitions), "paths": Value::from(all_paths)});
    remote.into_iter().for_each(|part| remote::add(catalog, &mut document, part));
    let text = |name: &str| {
        let object = document.get(name).map(Value::to_json).unwrap_or_default();
        object.get(1..object.len().saturating_sub(1)).unwrap_or_default().to_vec()
    };
    let (definitions, parameters, paths) = (text("definitions"), text("parameters"), text("paths"));
    let hash = content_hash(&[definitions.as_slice(), &parameters, &paths].concat());
    // Of messages that follow each other the parts are joined.
    V2Addition { message: message::encode(&document), definitions, parameters, paths, hash }
}

/// The document of the built-in API with `addition` in it, as JSON and as a message.
pub fn v2_with(catalog: &'static Catalog, addition: &V2Addition) -> (Document, Vec<u8>) {
    let built_in = super::v2_document(catalog);
    let added = [&addition.definitions, &addition.parameters, &addition.paths];
    let mut json =
        Vec::with_capacity(built_in.json.len() + added.iter().map(|part| part.len() + 1).sum::<usize>());
    let mut rest: &[u8] = &built_in.json;
    // No string holds these: quotes in strings are escaped. Schemas have fields of these names, but the definitions are
    // the document's first field, and no field of a schema is named like the others' first.
    let places = [&b"\"definitions\":{\""[..], b"\"parameters\":{\"allowWatchBookmarks-", b"\"paths\":{\"/"];
    for (start, added) in places.into_iter().zip(added).filter(|(_, added)| !added.is_empty()) {
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
        let remote = value!({"parameters": {"p-1": {"in": "query", "name": "p"}}});
        let addition = v2_addition(Catalog::builtin(), &[custom], [&remote]);
        let (document, message) = v2_with(Catalog::builtin(), &addition);
        let built_in = crate::openapi::v2_document(Catalog::builtin());
        let (got, plain) =
            (Value::from_json(&document.json).unwrap(), Value::from_json(&built_in.json).unwrap());
        let count = |value: &Value, part: &str| value.object_at(&[part]).len();
        assert_eq!(count(&got, "definitions"), count(&plain, "definitions") + 2);
        assert_eq!(count(&got, "paths"), count(&plain, "paths") + 3);
        assert_eq!(count(&got, "parameters"), count(&plain, "parameters") + 1);
        assert_eq!(got.at(&["definitions", "com.example.x.v1.Oven"]), Some(&schema));
        assert!(message.len() > crate::openapi::v2_protobuf(Catalog::builtin()).len());
        assert_ne!(document.hash, built_in.hash);
    }
}
