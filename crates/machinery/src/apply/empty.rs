//! What Go's empty struct of a kind looks like: what a creation is compared with.

use crate::names::GroupVersionKind;
use crate::schema::{Field, Shape, StringFormat, TypeRef};
use crate::value::{Map, Value};

/// An empty object. A built-in kind's has the structs that Go embeds by value, and required fields' zero values: who
/// creates an object does not come to own `spec` itself, since that was there before.
pub(super) fn empty_object(kind: &GroupVersionKind, schema: TypeRef<'_>) -> Value {
    let mut object = struct_fields(schema);
    object.insert("apiVersion", kind.api_version());
    object.insert("kind", kind.kind.as_ref());
    Value::Object(object)
}

fn struct_fields(ty: TypeRef<'_>) -> Map {
    let Shape::Struct(fields) = ty.shape() else { return Map::new() };
    let always =
        fields.fields.iter().filter_map(|field| Some((field.name.clone(), always_written(ty, field)?)));
    always.collect()
}

fn always_written(ty: TypeRef<'_>, field: &Field) -> Option<Value> {
    let proto = field.proto.as_ref()?;
    let ty = ty.with(field.ty);
    if !proto.optional && matches!(ty.shape(), Shape::Struct(_)) {
        return Some(Value::Object(struct_fields(ty)));
    }
    if !field.required {
        return None;
    }
    Some(match ty.shape() {
        _ if proto.optional => Value::Null,
        Shape::String(StringFormat::Time | StringFormat::MicroTime) => Value::Null,
        Shape::String(_) => Value::from(""),
        Shape::Bool => Value::Bool(false),
        Shape::Integer { .. } | Shape::Number | Shape::IntOrString => Value::Int(0),
        Shape::Quantity => Value::from("0"),
        _ => Value::Null,
    })
}
