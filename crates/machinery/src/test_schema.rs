//! Small schemas for tests, from JSON schema with upstream's `x-kubernetes-*` keys.

use std::sync::Arc;

use crate::schema::{
    Field, ListType, PatchStrategy, Schema, Shape, StringFormat, Struct, Type, TypeId, TypeTable,
};
use crate::value;
use crate::value::Value;

pub(crate) fn schema(source: Value) -> Schema {
    let mut types = Vec::new();
    let root = add(&mut types, &source);
    Schema { table: Arc::new(TypeTable::new(types)), root }
}

/// A few fields of `PodTemplate`, flattened to what tests need.
pub(crate) fn pod_like() -> Schema {
    let port = value!({"type": "object", "properties": {
        "containerPort": {"type": "integer"}, "protocol": {"type": "string", "default": "TCP"},
        "name": {"type": "string"}}});
    let container = value!({"type": "object", "x-go": "Container", "properties": {
        "name": {"type": "string"}, "image": {"type": "string"},
        "args": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "atomic"},
        "ports": {"type": "array", "items": port, "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["containerPort", "protocol"],
            "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "containerPort"},
        "env": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "name",
            "items": {"type": "object", "properties": {"name": {"type": "string"}, "value": {"type": "string"}}}}}});
    let strings = value!({"type": "object", "additionalProperties": {"type": "string"}});
    let mut metadata = value!({"type": "object", "properties": {
        "name": {"type": "string"}, "namespace": {"type": "string"}, "uid": {"type": "string"},
        "resourceVersion": {"type": "string"}, "creationTimestamp": {"type": "string"},
        "generation": {"type": "integer"}, "selfLink": {"type": "string"},
        "finalizers": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set",
            "x-kubernetes-patch-strategy": "merge"},
        "managedFields": {"type": "array", "items": {}, "x-kubernetes-list-type": "atomic"}}});
    metadata.set(&["properties", "labels"], strings.clone());
    metadata.set(&["properties", "annotations"], strings.clone());
    let mut selector = strings;
    selector.set(&["x-kubernetes-map-type"], "atomic");
    let volume = value!({"type": "object", "properties": {"name": {"type": "string"},
        "emptyDir": {"type": "object", "properties": {"medium": {"type": "string"}}},
        "hostPath": {"type": "object", "properties": {"path": {"type": "string"}}}}});
    let spec = value!({"type": "object", "properties": {
        "replicas": {"type": "integer"}, "nodeSelector": selector,
        "containers": {"type": "array", "items": container, "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"], "x-kubernetes-patch-strategy": "merge",
            "x-kubernetes-patch-merge-key": "name"},
        "volumes": {"type": "array", "items": volume, "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"], "x-kubernetes-patch-strategy": "merge,retainKeys",
            "x-kubernetes-patch-merge-key": "name"},
        "tolerations": {"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "atomic"},
        "securityContext": {"type": "object", "properties": {
            "runAsUser": {"type": "integer"}, "fsGroup": {"type": "integer"}}}}});
    schema(value!({"type": "object", "properties": {
        "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": metadata, "spec": spec,
        "status": {"type": "object", "properties": {"phase": {"type": "string"}}}}}))
}

fn add(types: &mut Vec<Type>, source: &Value) -> TypeId {
    let id = TypeId(u32::try_from(types.len()).unwrap());
    types.push(Type { name: source.str_at(&["x-go"]).into(), shape: Shape::Any, source: None });
    let shape = shape(types, source);
    types[id.0 as usize].shape = shape;
    id
}

fn shape(types: &mut Vec<Type>, source: &Value) -> Shape {
    let atomic = source.str_at(&["x-kubernetes-map-type"]) == "atomic";
    match source.str_at(&["type"]) {
        "string" => Shape::String(StringFormat::Plain),
        "integer" => Shape::Integer { bits: 64 },
        "boolean" => Shape::Bool,
        "number" => Shape::Number,
        "array" => {
            let keys = source.array_at(&["x-kubernetes-list-map-keys"]).iter();
            let list_type = match source.str_at(&["x-kubernetes-list-type"]) {
                "set" => ListType::Set,
                "map" => ListType::Map { keys: keys.map(|key| key.as_str().unwrap().into()).collect() },
                _ => ListType::Atomic,
            };
            Shape::List { item: add(types, &source.object_at(&["items"]).clone().into()), list_type }
        }
        "object" => match source.get("additionalProperties") {
            Some(value) => Shape::Map { value: add(types, value), atomic },
            None => {
                let fields = source.object_at(&["properties"]).iter();
                let fields = fields.map(|(name, source)| field(types, name, source)).collect();
                Shape::Struct(Struct { fields, atomic, ..Struct::default() })
            }
        },
        _ => Shape::Any,
    }
}

fn field(types: &mut Vec<Type>, name: &str, source: &Value) -> Field {
    let strategy = source.str_at(&["x-kubernetes-patch-strategy"]);
    Field {
        name: name.into(),
        ty: add(types, source),
        default: source.get("default").cloned(),
        patch: PatchStrategy {
            merge: strategy.contains("merge"),
            replace: strategy.contains("replace"),
            retain_keys: strategy.contains("retainKeys"),
            merge_key: source.get("x-kubernetes-patch-merge-key").and_then(Value::as_str).map(Into::into),
        },
        ..Field::default()
    }
}
