//! Dropping what a custom resource's structural schema does not know.

use crate::schema::{Shape, TypeRef};
use crate::value::{Map, Value};

const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";

/// Drops unknown fields of `value`; answers their paths, sorted, such as `spec.list[0].foo`. Values of another type
/// than the schema's are left for validation to refuse, without the fields that no schema is there for.
pub fn prune(value: &mut Value, schema: TypeRef<'_>) -> Vec<String> {
    let mut paths = Vec::new();
    prune_at(value, schema, &mut String::new(), &mut paths);
    paths.sort();
    paths
}

fn prune_at(value: &mut Value, schema: TypeRef<'_>, path: &mut String, paths: &mut Vec<String>) {
    let here = path.len();
    match (value, schema.shape()) {
        (Value::Object(map), Shape::Struct(fields)) => {
            let known = |name: &str| {
                fields.field(name).is_some()
                    || (fields.embedded_resource && matches!(name, "apiVersion" | "kind" | "metadata"))
            };
            if !fields.preserve_unknown && !map.keys().all(|name| known(name)) {
                map.retain(|name, _| {
                    let keep = known(name);
                    if !keep {
                        paths.push(joined(path, name));
                    }
                    keep
                });
            }
            // An embedded object's metadata is not pruned, but typed.
            let pruned = |name: &str| !fields.embedded_resource || name != "metadata";
            let below =
                |name: &str| fields.field(name).filter(|_| pruned(name)).map(|field| schema.with(field.ty));
            each(map, below, path, paths);
        }
        (Value::Object(map), Shape::Map { value, .. }) => {
            each(map, |_| Some(schema.with(*value)), path, paths);
        }
        (Value::Array(items), Shape::List { item, .. }) => {
            let item = schema.with(*item);
            if is_leaf(item) && !items.iter().any(is_container) {
                return;
            }
            for (i, value) in items.make_mut().iter_mut().enumerate() {
                path.push_str(&format!("[{i}]"));
                prune_at(value, item, path, paths);
                path.truncate(here);
            }
        }
        (_, Shape::Any) => {}
        // Metadata is not pruned, but typed.
        (value, _) if schema.ty().source.is_some() => {
            let preserves = schema.ty().source.as_ref().is_some_and(|own| own.bool_at(&[PRESERVE]));
            if !preserves {
                drop_all(value, path, paths);
            }
        }
        _ => {}
    }
}

/// Drops every field, of objects in lists too: nothing is known of them.
fn drop_all(value: &mut Value, path: &mut String, paths: &mut Vec<String>) {
    let here = path.len();
    match value {
        Value::Object(map) if !map.is_empty() => {
            paths.extend(map.keys().map(|name| joined(path, name)));
            *map = Map::default();
        }
        Value::Array(items) if items.iter().any(is_container) => {
            for (i, value) in items.make_mut().iter_mut().enumerate() {
                path.push_str(&format!("[{i}]"));
                drop_all(value, path, paths);
                path.truncate(here);
            }
        }
        _ => {}
    }
}

fn is_container(value: &Value) -> bool {
    matches!(value, Value::Object(_) | Value::Array(_))
}

fn each<'s>(
    map: &mut Map,
    ty: impl Fn(&str) -> Option<TypeRef<'s>>,
    path: &mut String,
    paths: &mut Vec<String>,
) {
    let here = path.len();
    for (name, value) in map.iter_mut() {
        let Some(ty) = ty(name).filter(|ty| !is_leaf(*ty) || is_container(value)) else { continue };
        *path = joined(path, name);
        prune_at(value, ty, path, paths);
        path.truncate(here);
    }
}

/// Whether nothing below can be pruned.
fn is_leaf(ty: TypeRef<'_>) -> bool {
    !matches!(ty.shape(), Shape::Struct(_) | Shape::Map { .. } | Shape::List { .. })
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
