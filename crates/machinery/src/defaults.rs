//! What the schema says absent fields are: OpenAPI's defaults for built-in types, structural defaults for custom resources.
//!
//! Zero values that Go writes always are the decoder's ([`crate::decode`]); defaults that depend on other fields, or that no
//! schema mentions, are the kind's strategy (`drydock-kinds`).

use crate::schema::{Field, Shape, Struct, TypeRef};
use crate::value::{Map, Value};

/// Fills in the defaults of `schema`, also inside of what a default filled in. Idempotent.
///
/// A null where the schema does not allow null counts as absent, as in apiextensions.
pub fn apply_defaults(value: &mut Value, schema: TypeRef<'_>) {
    if may_default(schema) {
        apply(value, schema);
    }
}

/// Drops nulls where a custom resource's schema allows none; run after [`apply_defaults`], which has replaced those
/// that have a default.
pub fn drop_nulls(value: &mut Value, schema: TypeRef<'_>) {
    match (value, schema.shape()) {
        (Value::Object(map), Shape::Struct(fields)) => {
            map.retain(|name, value| {
                let Some(field) = fields.field(name) else { return true };
                let ty = schema.with(field.ty);
                if value.is_null() {
                    return is_nullable(field, ty);
                }
                if is_container(ty) {
                    drop_nulls(value, ty);
                }
                true
            });
        }
        (Value::Object(map), Shape::Map { value, .. }) => {
            let ty = schema.with(*value);
            map.retain(|_, value| !value.is_null() || allows_null(ty));
            if is_container(ty) {
                map.iter_mut().for_each(|(_, value)| drop_nulls(value, ty));
            }
        }
        (Value::Array(items), Shape::List { item, .. }) => {
            let ty = schema.with(*item);
            if is_container(ty) {
                items.make_mut().iter_mut().for_each(|value| drop_nulls(value, ty));
            }
        }
        _ => {}
    }
}

/// What storing an object of a built-in kind does to it: protobuf does not tell an empty list or map from none, so
/// that those which are written always come back as null.
pub fn forget_empty(value: &mut Value, schema: TypeRef<'_>) {
    // Looked at first: what is written to is copied.
    if has_empty(value, schema) {
        nil_empty(value, schema);
    }
}

fn has_empty(value: &Value, schema: TypeRef<'_>) -> bool {
    if !schema.table.has_nilable(schema.id) {
        return false;
    }
    match (value, schema.shape()) {
        (Value::Object(map), Shape::Struct(fields)) => map.iter().any(|(name, value)| {
            fields.field(name).is_some_and(|field| {
                (schema.table.is_nilable(field) && is_empty(value)) || has_empty(value, schema.with(field.ty))
            })
        }),
        (Value::Object(map), Shape::Map { value: ty, .. }) => {
            map.values().any(|value| has_empty(value, schema.with(*ty)))
        }
        (Value::Array(items), Shape::List { item, .. }) => {
            items.iter().any(|value| has_empty(value, schema.with(*item)))
        }
        _ => false,
    }
}

fn nil_empty(value: &mut Value, schema: TypeRef<'_>) {
    match (value, schema.shape()) {
        (Value::Object(map), Shape::Struct(fields)) => {
            for (name, value) in map.iter_mut() {
                let Some(field) = fields.field(name) else { continue };
                if schema.table.is_nilable(field) && is_empty(value) {
                    *value = Value::Null;
                } else {
                    nil_empty(value, schema.with(field.ty));
                }
            }
        }
        (Value::Object(map), Shape::Map { value: ty, .. }) => {
            map.iter_mut().for_each(|(_, value)| nil_empty(value, schema.with(*ty)));
        }
        (Value::Array(items), Shape::List { item, .. }) => {
            items.make_mut().iter_mut().for_each(|value| nil_empty(value, schema.with(*item)));
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

fn apply(value: &mut Value, schema: TypeRef<'_>) {
    match (value, schema.shape()) {
        (Value::Object(map), Shape::Struct(fields)) => structure(map, schema, fields),
        (Value::Object(map), Shape::Map { value: ty, .. }) => {
            let ty = schema.with(*ty);
            if is_container(ty) && may_default(ty) {
                map.iter_mut().for_each(|(_, value)| element(value, ty));
            }
        }
        (Value::Array(items), Shape::List { item, .. }) => {
            let ty = schema.with(*item);
            if is_container(ty) && may_default(ty) {
                items.make_mut().iter_mut().for_each(|value| element(value, ty));
            }
        }
        _ => {}
    }
}

fn structure(map: &mut Map, schema: TypeRef<'_>, fields: &Struct) {
    for field in fields.fields.iter() {
        let Some(default) = &field.default else { continue };
        let ty = schema.with(field.ty);
        let absent = match map.get(&field.name) {
            None => true,
            Some(value) => value.is_null() && !is_nullable(field, ty),
        };
        if absent {
            map.insert(field.name.clone(), default.clone());
        }
    }
    for field in fields.fields.iter() {
        let ty = schema.with(field.ty);
        if is_container(ty)
            && map.contains_key(&field.name)
            && may_default(ty)
            && let Some(value) = map.get_mut(&field.name)
        {
            apply(value, ty);
        }
    }
}

fn element(value: &mut Value, ty: TypeRef<'_>) {
    if value.is_null()
        && !allows_null(ty)
        && let Some(default) = ty.ty().source.as_ref().and_then(|source| source.get("default"))
    {
        *value = default.clone();
    }
    apply(value, ty);
}

/// Whether a type is worth going into: values without defaults are not copied for writing.
fn may_default(ty: TypeRef<'_>) -> bool {
    ty.table.has_defaults(ty.id)
}

fn is_container(ty: TypeRef<'_>) -> bool {
    matches!(ty.shape(), Shape::Struct(_) | Shape::Map { .. } | Shape::List { .. })
}

fn is_nullable(field: &Field, ty: TypeRef<'_>) -> bool {
    field.nullable || allows_null(ty)
}

/// Only custom resources' schemas have a word on null, and unknown contents allow it.
fn allows_null(ty: TypeRef<'_>) -> bool {
    match ty.ty().source.as_deref() {
        Some(source) if source.as_object().is_some_and(|own| !own.is_empty()) => {
            source.bool_at(&["nullable"])
        }
        _ => matches!(ty.shape(), Shape::Any),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    #[test]
    fn empty_lists_that_are_always_written_are_forgotten() {
        let schema = Catalog::builtin().schema(&GroupVersionKind::new("", "v1", "LimitRange")).unwrap();
        let mut range = crate::value!({"metadata": {"finalizers": []}, "spec": {"limits": []}});
        forget_empty(&mut range, schema.root());
        assert_eq!(range, crate::value!({"metadata": {"finalizers": []}, "spec": {"limits": null}}));
    }

    use super::*;
    use crate::catalog::Catalog;
    use crate::names::GroupVersionKind;
    use crate::schema::{Schema, StringFormat, Type, TypeId, TypeTable};
    use crate::value;

    #[test]
    fn a_built_in_type_gets_what_its_openapi_says() {
        let schema = Catalog::builtin().schema(&GroupVersionKind::new("apps", "v1", "Deployment")).unwrap();
        let mut deployment = value!({"spec": {"template": {"spec": {
            "containers": [{"ports": [{"containerPort": 80}, {"containerPort": 53, "protocol": "UDP"}]}],
            "volumes": [{"rbd": {"image": "i"}}]}}}});
        apply_defaults(&mut deployment, schema.root());
        assert_eq!(
            deployment,
            value!({"spec": {"template": {"spec": {
                "containers": [{"ports": [
                    {"containerPort": 80, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]}],
                "volumes": [{"rbd": {"image": "i", "keyring": "/etc/ceph/keyring", "pool": "rbd", "user": "admin"}}]}}}})
        );
    }

    /// `{a: string = "x", b: {c: string = "y"} = {}, n: string = "z" or null, list: [{c}]}`
    fn custom() -> Schema {
        let field = |name: &str, ty: u32, default: Option<Value>, nullable: bool| Field {
            name: name.into(),
            ty: TypeId(ty),
            default,
            nullable,
            ..Field::default()
        };
        let ty = |shape| Type { name: "".into(), shape, source: Some(Arc::new(Value::object())) };
        let fields = |fields| Shape::Struct(Struct { fields, ..Struct::default() });
        let types = vec![
            ty(fields(vec![
                field("a", 1, Some("x".into()), false),
                field("b", 2, Some(Value::object()), false),
                field("list", 3, None, false),
                field("n", 1, Some("z".into()), true),
            ])),
            ty(Shape::String(StringFormat::Plain)),
            ty(fields(vec![field("c", 1, Some("y".into()), false), field("d", 1, None, false)])),
            ty(Shape::List { item: TypeId(2), list_type: crate::schema::ListType::Atomic }),
        ];
        Schema { table: Arc::new(TypeTable::new(types)), root: TypeId(0) }
    }

    #[test]
    fn a_custom_resource_gets_its_structural_defaults() {
        for (given, want) in [
            (value!({}), value!({"a": "x", "b": {"c": "y"}, "n": "z"})),
            (
                value!({"a": null, "n": null, "b": {"c": null, "d": null}, "list": [{}, {"c": "own"}]}),
                value!({"a": "x", "n": null, "b": {"c": "y"}, "list": [{"c": "y"}, {"c": "own"}]}),
            ),
        ] {
            let mut value = given;
            apply_defaults(&mut value, custom().root());
            drop_nulls(&mut value, custom().root());
            assert_eq!(value, want);
        }
    }
}
