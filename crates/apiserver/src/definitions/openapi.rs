//! OpenAPI v3 documents of custom resources, one for each group version.

use std::collections::BTreeMap;
use std::sync::Arc;

use drydock_machinery::openapi::{self, Described, DescribedSubresource, Document};
use drydock_machinery::{Map, Value, value};

use crate::http::documents::CustomDocuments;
use crate::resources::Resource;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

/// Those of v3 now, that of v2 when it is asked for.
pub(super) fn documents(resources: Vec<Arc<Resource>>) -> CustomDocuments {
    let mut by_path: BTreeMap<String, Vec<&Arc<Resource>>> = BTreeMap::new();
    for resource in &resources {
        by_path.entry(format!("apis/{}", resource.gvr.api_version())).or_default().push(resource);
    }
    let v3 = by_path.into_iter().map(|(path, resources)| (path, Arc::new(document(&resources)))).collect();
    CustomDocuments::new(v3, resources)
}

fn document(resources: &[&Arc<Resource>]) -> Document {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for resource in resources {
        let described = described(resource);
        for (path, item) in openapi::custom_paths(&described).iter() {
            paths.insert(path.clone(), item.clone());
        }
        schemas.insert(described.definition.as_str(), schema(resource));
        schemas.insert(described.list_definition.as_str(), list_schema(resource, &described.definition));
    }
    let referred = [
        META,
        LIST_META,
        "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
        "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
        "io.k8s.apimachinery.pkg.apis.meta.v1.Patch",
        "io.k8s.api.autoscaling.v1.Scale",
    ];
    for name in referred {
        for (name, definition) in openapi::definition_v3(name).iter() {
            schemas.insert(name.clone(), definition.clone());
        }
    }
    Document::new(&openapi::document(paths, schemas))
}

pub(super) fn described(resource: &Resource) -> Described {
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
                definition: if sub.foreign {
                    "io.k8s.api.autoscaling.v1.Scale".to_owned()
                } else {
                    definition(&sub.kind.kind)
                },
                verbs: vec!["get", "patch", "update"],
            })
            .collect(),
        custom: true,
    }
}

pub(super) fn kind_of(resource: &Resource, kind: &str) -> Value {
    value!([{"group": &*resource.gvr.group, "version": &*resource.gvr.version, "kind": kind}])
}

/// `x-kubernetes-selectable-fields`; None when there are none.
pub(super) fn selectable_fields(resource: &Resource) -> Option<Value> {
    let fields = resource.custom.as_ref()?.version.array_at(&["selectableFields"]);
    let path = |field: &Value| {
        let path = field.str_at(&["jsonPath"]);
        value!({"fieldPath": path.strip_prefix('.').unwrap_or(path)})
    };
    (!fields.is_empty()).then(|| fields.iter().map(path).collect::<Vec<_>>().into())
}

fn reference(name: &str) -> Value {
    value!({"$ref": format!("#/components/schemas/{name}")})
}

fn schema(resource: &Resource) -> Value {
    let own = resource.custom.as_ref().and_then(|custom| custom.version.at(&["schema", "openAPIV3Schema"]));
    let mut schema = own.cloned().unwrap_or_else(|| value!({"type": "object"}));
    schema.set(&["properties", "apiVersion"], value!({"type": "string"}));
    schema.set(&["properties", "kind"], value!({"type": "string"}));
    schema.set(&["properties", "metadata", "allOf"], vec![reference(META)]);
    schema.set(&["x-kubernetes-group-version-kind"], kind_of(resource, &resource.gvk.kind));
    if let Some(fields) = selectable_fields(resource) {
        schema.set(&["x-kubernetes-selectable-fields"], fields);
    }
    schema
}

fn list_schema(resource: &Resource, item: &str) -> Value {
    let mut list = value!({
        "type": "object", "required": ["items"],
        "properties": {"apiVersion": {"type": "string"}, "kind": {"type": "string"}},
    });
    list.set(&["properties", "items"], value!({"type": "array"}));
    list.set(&["properties", "items", "items"], reference(item));
    list.set(&["properties", "metadata"], reference(LIST_META));
    list.set(&["x-kubernetes-group-version-kind"], kind_of(resource, &resource.list_kind));
    if let Some(fields) = selectable_fields(resource) {
        list.set(&["x-kubernetes-selectable-fields"], fields);
    }
    list
}
