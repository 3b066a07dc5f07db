//! From a structural schema to the schema form.

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalog::Catalog;
use crate::schema::{Field, ListType, Schema, Shape, StringFormat, Struct, Type, TypeId, TypeRef, TypeTable};
use crate::value::{Key, Value, intern};

const PRESERVES: &str = "x-kubernetes-preserve-unknown-fields";
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

pub(super) fn schema(open_api: &Value) -> Schema {
    let mut builder = Builder::default();
    let root = builder.add(open_api, Place::Root);
    Schema { table: Arc::new(TypeTable::new(builder.types)), root }
}

/// The schema of a part of an object, such as a default.
pub(super) fn schema_below(open_api: &Value) -> Schema {
    let mut builder = Builder::default();
    let root = builder.add(open_api, Place::Below);
    Schema { table: Arc::new(TypeTable::new(builder.types)), root }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Below,
}

#[derive(Default)]
struct Builder {
    types: Vec<Type>,
    object_meta: Option<TypeId>,
    /// A schema around the one at hand preserves unknown fields.
    in_preserving: bool,
}

impl Builder {
    fn push(&mut self, shape: Shape, source: Option<Arc<Value>>) -> TypeId {
        let id = TypeId(u32::try_from(self.types.len()).unwrap_or(u32::MAX));
        self.types.push(Type { name: Default::default(), shape, source });
        id
    }

    fn add(&mut self, source: &Value, place: Place) -> TypeId {
        let id = self.push(Shape::Any, Some(Arc::new(source.clone())));
        let shape = self.shape(source, place);
        self.types[id.0 as usize].shape = shape;
        id
    }

    fn shape(&mut self, source: &Value, place: Place) -> Shape {
        let around = self.in_preserving;
        self.in_preserving |= source.bool_at(&[PRESERVES]);
        let mut shape = self.shape_within(source, place);
        self.in_preserving = around;
        if let Shape::Struct(fields) = &mut shape {
            fields.in_preserving = around;
        }
        shape
    }

    fn shape_within(&mut self, source: &Value, place: Place) -> Shape {
        if source.bool_at(&["x-kubernetes-int-or-string"]) {
            return Shape::IntOrString;
        }
        match source.str_at(&["type"]) {
            "object" => self.object(source, place),
            "array" => Shape::List {
                item: match source.get("items") {
                    Some(items) => self.add(items, Place::Below),
                    None => self.any(),
                },
                list_type: list_type(source),
            },
            "string" => Shape::String(StringFormat::Plain),
            "integer" if source.str_at(&["format"]) == "int32" => Shape::Integer { bits: 32 },
            "integer" => Shape::Integer { bits: 64 },
            "number" => Shape::Number,
            "boolean" => Shape::Bool,
            _ if place == Place::Root => self.object(source, place),
            _ => Shape::Any,
        }
    }

    fn object(&mut self, source: &Value, place: Place) -> Shape {
        let atomic = source.str_at(&["x-kubernetes-map-type"]) == "atomic";
        match source.get("additionalProperties") {
            Some(Value::Object(_)) if place == Place::Below => {
                let value =
                    self.add(&source.object_at(&["additionalProperties"]).clone().into(), Place::Below);
                return Shape::Map { value, atomic };
            }
            Some(Value::Bool(true)) if place == Place::Below => {
                return Shape::Map { value: self.any(), atomic };
            }
            _ => {}
        }
        let embedded_resource = source.bool_at(&["x-kubernetes-embedded-resource"]);
        let required = source.array_at(&["required"]);
        let mut fields = Vec::new();
        for (name, property) in source.object_at(&["properties"]).iter() {
            if name == "metadata" && (embedded_resource || place == Place::Root) {
                continue;
            }
            fields.push(Field {
                name: name.clone(),
                ty: self.add(property, Place::Below),
                required: required.iter().any(|other| other.as_str() == Some(name)),
                nullable: property.bool_at(&["nullable"]),
                default: property.get("default").cloned(),
                enumeration: enumeration(property),
                ..Field::default()
            });
        }
        if embedded_resource || place == Place::Root {
            self.add_object_fields(&mut fields);
        }
        fields.sort_by(|a, b| a.name.as_str().cmp(&b.name));
        let preserve_unknown = source.bool_at(&[PRESERVES]);
        Shape::Struct(Struct { fields, atomic, preserve_unknown, embedded_resource, ..Struct::default() })
    }

    /// `apiVersion`, `kind` and `metadata`, which every object has whether its schema says so or not.
    fn add_object_fields(&mut self, fields: &mut Vec<Field>) {
        for name in ["apiVersion", "kind"] {
            if !fields.iter().any(|field| field.name == name) {
                let ty = self.push(Shape::String(StringFormat::Plain), None);
                fields.push(Field { name: name.into(), ty, ..Field::default() });
            }
        }
        let ty = self.object_meta();
        fields.push(Field { name: "metadata".into(), ty, ..Field::default() });
    }

    fn any(&mut self) -> TypeId {
        self.push(Shape::Any, Some(Arc::new(Value::object())))
    }

    /// The built-in type of metadata, copied into this table.
    fn object_meta(&mut self) -> TypeId {
        if let Some(known) = self.object_meta {
            return known;
        }
        let id = match Catalog::builtin().definition(OBJECT_META) {
            Some(schema) => self.copy(schema.root(), &mut HashMap::new()),
            None => self.any(),
        };
        self.object_meta = Some(id);
        id
    }

    fn copy(&mut self, ty: TypeRef<'_>, copied: &mut HashMap<TypeId, TypeId>) -> TypeId {
        if let Some(known) = copied.get(&ty.id) {
            return *known;
        }
        let id = self.push(Shape::Any, None);
        copied.insert(ty.id, id);
        let mut copy = ty.ty().clone();
        match &mut copy.shape {
            Shape::List { item: inner, .. } | Shape::Map { value: inner, .. } => {
                *inner = self.copy(ty.with(*inner), copied);
            }
            Shape::Struct(fields) => {
                for field in &mut fields.fields {
                    field.ty = self.copy(ty.with(field.ty), copied);
                }
            }
            _ => {}
        }
        self.types[id.0 as usize] = copy;
        id
    }
}

fn list_type(source: &Value) -> ListType {
    match source.str_at(&["x-kubernetes-list-type"]) {
        "set" => ListType::Set,
        "map" => ListType::Map { keys: map_keys(source) },
        _ => ListType::Atomic,
    }
}

pub(super) fn map_keys(source: &Value) -> Vec<Key> {
    let keys = source.array_at(&["x-kubernetes-list-map-keys"]).iter();
    keys.filter_map(Value::as_str).map(intern).collect()
}

fn enumeration(property: &Value) -> Vec<ecow::EcoString> {
    let values = property.array_at(&["enum"]).iter();
    values.filter_map(Value::as_str).map(Into::into).collect()
}
