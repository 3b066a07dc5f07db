//! OpenAPI of custom resources: in version 3 a document for each group version, in version 2 parts of the one.

use std::collections::BTreeMap;
use std::sync::Arc;

use drydock_machinery::openapi::{self, CustomDefinition, Described, DescribedSubresource, Document};
use drydock_machinery::{Catalog, Map, Value, value};

use crate::http::documents::CustomDocuments;
use crate::resources::Resource;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const SCALE: &str = "io.k8s.api.autoscaling.v1.Scale";
const CONVENTIONS: &str =
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    V2,
    V3,
}

pub(super) fn documents(catalog: &'static Catalog, resources: &[Arc<Resource>]) -> CustomDocuments {
    let mut by_path: BTreeMap<String, Vec<&Arc<Resource>>> = BTreeMap::new();
    for resource in resources {
        by_path.entry(format!("apis/{}", resource.gvr.api_version())).or_default().push(resource);
    }
    let documents =
        by_path.into_iter().map(|(path, resources)| (path, Arc::new(document(catalog, &resources))));
    CustomDocuments { v3: documents.collect(), resources: resources.to_vec() }
}

/// The resources as the document of OpenAPI v2 has them.
pub(crate) fn v2(resources: &[Arc<Resource>]) -> Vec<CustomDefinition> {
    let custom = resources.iter().map(|resource| {
        let described = described(resource);
        let list_schema = list_schema(resource, &described.definition, Dialect::V2);
        CustomDefinition { schema: schema(resource, Dialect::V2), list_schema, described }
    });
    custom.collect()
}

fn document(catalog: &'static Catalog, resources: &[&Arc<Resource>]) -> Document {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for resource in resources {
        let described = described(resource);
        for (path, item) in openapi::custom_paths(&described).iter() {
            paths.insert(path.clone(), item.clone());
        }
        schemas.insert(described.definition.as_str(), schema(resource, Dialect::V3));
        let list = list_schema(resource, &described.definition, Dialect::V3);
        schemas.insert(described.list_definition.as_str(), list);
    }
    let mut referred = vec![
        META,
        LIST_META,
        "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
        "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
        "io.k8s.apimachinery.pkg.apis.meta.v1.Patch",
    ];
    if resources.iter().any(|resource| resource.subresources.iter().any(|sub| sub.foreign)) {
        referred.push(SCALE);
    }
    for name in referred {
        for (name, definition) in openapi::definition_v3(catalog, name).iter() {
            schemas.insert(name.clone(), definition.clone());
        }
    }
    let mut document = openapi::document(catalog, paths, schemas);
    document.set(&["info"], value!({"title": "Kubernetes CRD Swagger", "version": "v0.1.0"}));
    Document::new(&document)
}

fn described(resource: &Resource) -> Described {
    let reversed: Vec<&str> = resource.gvr.group.rsplit('.').collect();
    let definition = |kind: &str| format!("{}.{}.{kind}", reversed.join("."), resource.gvr.version);
    Described {
        group: resource.gvr.group.to_string(),
        version: resource.gvr.version.to_string(),
        plural: resource.gvr.resource.to_string(),
        kind: resource.gvk.kind.to_string(),
        namespaced: resource.namespaced,
        definition: definition(&resource.gvk.kind),
        list_definition: definition(&resource.list_kind),
        verbs: vec!["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        subresources: resource
            .subresources
            .iter()
            .map(|sub| DescribedSubresource {
                name: sub.name.clone(),
                kind: sub.kind.clone(),
                definition: if sub.foreign { SCALE.to_owned() } else { definition(&sub.kind.kind) },
                verbs: vec!["get", "patch", "update"],
            })
            .collect(),
        custom: true,
    }
}

fn schema(resource: &Resource, dialect: Dialect) -> Value {
    let custom = resource.custom.as_ref();
    let own = custom.and_then(|custom| custom.version.at(&["schema", "openAPIV3Schema"]));
    let unknown = custom.is_some_and(|custom| custom.preserve_unknown)
        || own.is_some_and(|own| own.bool_at(&["x-kubernetes-preserve-unknown-fields"]));
    let mut schema = match own {
        // Clients of version 2 would refuse what they do not find.
        None => value!({"type": "object"}),
        Some(_) if unknown && dialect == Dialect::V2 => value!({"type": "object"}),
        Some(own) => {
            let mut schema = own.clone();
            publish(&mut schema, dialect);
            for field in ["apiVersion", "kind"] {
                schema.set(&["properties", field], described_field(field));
            }
            schema.set(&["properties", "metadata"], metadata(META, "io.k8s.api.core.v1.Pod", dialect));
            schema
        }
    };
    schema.set(&["x-kubernetes-group-version-kind"], kind_of(resource, &resource.gvk.kind));
    set_selectable_fields(&mut schema, resource);
    schema
}

/// Names the fields that field selectors may ask for, of an object and of its list alike.
fn set_selectable_fields(schema: &mut Value, resource: &Resource) {
    let custom = resource.custom.as_ref();
    let selectable = custom.map_or(&[][..], |custom| custom.version.array_at(&["selectableFields"]));
    if selectable.is_empty() {
        return;
    }
    let path = |field: &Value| value!({"fieldPath": field.str_at(&["jsonPath"]).trim_start_matches('.')});
    schema.set(&["x-kubernetes-selectable-fields"], selectable.iter().map(path).collect::<Vec<_>>());
}

/// `apiVersion` or `kind`, as every object has them.
fn described_field(name: &str) -> Value {
    let mut field = value!({"type": "string"});
    if let Some(text) = openapi::description("io.k8s.api.core.v1.Pod", name) {
        field.set(&["description"], text);
    }
    field
}

/// The `metadata` of type `name`, described as that of the built-in kind `like`.
fn metadata(name: &str, like: &str, dialect: Dialect) -> Value {
    let reference = reference(name, dialect);
    let text = openapi::description(like, "metadata");
    let mut out = match dialect {
        // What stands beside a reference does not count in version 3.
        Dialect::V3 => value!({"allOf": [reference]}),
        Dialect::V2 => reference,
    };
    if let Some(text) = text {
        out.set(&["description"], text);
    }
    out
}

/// Takes a structural schema to what is published of it.
fn publish(schema: &mut Value, dialect: Dialect) {
    let Some(map) = schema.as_object_mut() else { return };
    if map.get("x-kubernetes-int-or-string").and_then(Value::as_bool) == Some(true)
        && !map.contains_key("anyOf")
    {
        map.insert("anyOf", value!([{"type": "integer"}, {"type": "string"}]));
    }
    if dialect == Dialect::V2 {
        reduce(map);
    }
    for name in ["items", "additionalProperties"] {
        if let Some(inner) = map.get_mut(name) {
            publish(inner, dialect);
        }
    }
    if let Some(properties) = map.get_mut("properties").and_then(Value::as_object_mut) {
        properties.iter_mut().for_each(|(_, property)| publish(property, dialect));
    }
    let is_embedded = map.get("x-kubernetes-embedded-resource").and_then(Value::as_bool) == Some(true);
    let is_open = map.get("x-kubernetes-preserve-unknown-fields").and_then(Value::as_bool) == Some(true);
    if is_embedded && !(is_open && dialect == Dialect::V2) {
        embed(schema, dialect);
    }
}

/// An object inside says what it is.
fn embed(schema: &mut Value, dialect: Dialect) {
    for field in ["apiVersion", "kind"] {
        schema.set(&["properties", field], value!({"type": "string"}));
    }
    schema.set(&["properties", "metadata"], metadata(META, "io.k8s.api.core.v1.Pod", dialect));
    let mut required = schema.array_at(&["required"]).to_vec();
    for field in ["kind", "apiVersion"] {
        if !required.iter().any(|known| known.as_str() == Some(field)) {
            required.push(field.into());
        }
    }
    schema.set(&["required"], required);
}

/// Leaves out what version 2, or kubectl with it, does not understand.
fn reduce(map: &mut Map) {
    for name in ["allOf", "oneOf", "anyOf", "not", "default"] {
        map.remove(name);
    }
    let says = |map: &Map, name: &str| map.get(name).and_then(Value::as_bool) == Some(true);
    let is_nullable = |value: &Value| value.bool_at(&["nullable"]);
    let (nullable, open) = (says(map, "nullable"), says(map, "x-kubernetes-preserve-unknown-fields"));
    map.remove("nullable");
    let nullable_fields: Vec<String> = map
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::iter)
        .filter(|(_, property)| is_nullable(property))
        .map(|(name, _)| name.to_string())
        .collect();
    if nullable || open {
        map.remove("items");
        map.remove("properties");
    }
    let kind = map.get("type").and_then(Value::as_str).unwrap_or("").to_owned();
    let is_bare_list = kind == "array" && !map.contains_key("items");
    if nullable || is_bare_list || (open && kind == "object") {
        map.remove("type");
    }
    let holds_nullable = map.get("additionalProperties").is_some_and(is_nullable);
    if let Some(required) = map.get("required").and_then(Value::as_array) {
        let kept: Vec<Value> = required
            .iter()
            .filter(|name| !nullable_fields.iter().any(|field| name.as_str() == Some(field)))
            .cloned()
            .collect();
        if kept.is_empty() || holds_nullable {
            map.remove("required");
        } else {
            map.insert("required", kept);
        }
    }
}

fn list_schema(resource: &Resource, item: &str, dialect: Dialect) -> Value {
    let kind = &resource.gvk.kind;
    let mut list = value!({
        "type": "object", "required": ["items"], "description": format!("{} is a list of {kind}", resource.list_kind),
        "properties": {"apiVersion": described_field("apiVersion"), "kind": described_field("kind")},
    });
    let text = format!("List of {}. More info: {CONVENTIONS}", resource.gvr.resource);
    list.set(&["properties", "items"], value!({"type": "array", "description": text}));
    list.set(&["properties", "items", "items"], reference(item, dialect));
    list.set(&["properties", "metadata"], metadata(LIST_META, "io.k8s.api.core.v1.PodList", dialect));
    set_selectable_fields(&mut list, resource);
    list.set(&["x-kubernetes-group-version-kind"], kind_of(resource, &resource.list_kind));
    list
}

fn kind_of(resource: &Resource, kind: &str) -> Value {
    value!([{"group": &*resource.gvr.group, "version": &*resource.gvr.version, "kind": kind}])
}

fn reference(name: &str, dialect: Dialect) -> Value {
    let place = if dialect == Dialect::V3 { "#/components/schemas/" } else { "#/definitions/" };
    value!({"$ref": format!("{place}{name}")})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_reduced_for_version_two() {
        let schema = value!({
            "type": "object", "required": ["a", "b"], "anyOf": [{"required": ["a"]}],
            "properties": {
                "a": {"type": "string", "nullable": true},
                "b": {"type": "array", "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    "properties": {"c": {"type": "string"}}}},
                "d": {"x-kubernetes-int-or-string": true},
            },
        });
        let (mut old, mut new) = (schema.clone(), schema);
        publish(&mut old, Dialect::V2);
        publish(&mut new, Dialect::V3);
        assert_eq!(
            old,
            value!({
                "type": "object", "required": ["b"],
                "properties": {
                    "a": {},
                    "b": {"type": "array", "items": {"x-kubernetes-preserve-unknown-fields": true}},
                    "d": {"x-kubernetes-int-or-string": true},
                },
            })
        );
        let any = value!([{"type": "integer"}, {"type": "string"}]);
        assert_eq!(new.at(&["properties", "d", "anyOf"]), Some(&any));
        assert!(new.at(&["properties", "a", "nullable"]).is_some());
    }
}
