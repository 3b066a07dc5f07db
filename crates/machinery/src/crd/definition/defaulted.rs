//! Whether a schema's defaults are values that the schema allows.

use crate::crd::{compile, embedded, list_type, node::Node, validate as validate_value};
use crate::decode::prune;
use crate::schema::Shape;
use crate::status::{FieldErrors, FieldPath};
use crate::value::Value;

pub(super) fn validate(errors: &mut FieldErrors, schema: &Value, path: &FieldPath) {
    walk(errors, schema, Place::Root, path);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    /// In an object's own `apiVersion`, `kind` or `metadata`.
    Meta,
    Elsewhere,
}

fn walk(errors: &mut FieldErrors, s: &Value, place: Place, path: &FieldPath) {
    if let Some(default) = s.get("default").filter(|default| !default.is_null()) {
        check(errors, s, default, place, &path.child("default"));
    }
    // Defaults under additional properties are forbidden, so there is no need to go there.
    let is_object = place == Place::Root || s.bool_at(&["x-kubernetes-embedded-resource"]);
    let below = if place == Place::Meta && !is_object { Place::Meta } else { Place::Elsewhere };
    if let Some(items) = s.get("items").filter(|items| matches!(items, Value::Object(_))) {
        walk(errors, items, below, &path.child("items"));
    }
    for (name, property) in s.object_at(&["properties"]).iter() {
        let meta = is_object && matches!(name.as_str(), "metadata" | "apiVersion" | "kind");
        let place = if meta { Place::Meta } else { below };
        walk(errors, property, place, &path.child("properties").key(name));
    }
}

fn check(errors: &mut FieldErrors, s: &Value, default: &Value, place: Place, path: &FieldPath) {
    let compiled = compile::schema_below(s);
    if place != Place::Meta {
        let mut pruned = default.clone();
        if !prune(&mut pruned, compiled.root()).is_empty() {
            errors.invalid(path, default.clone(), "must not have unknown fields");
        }
        let mut coerced = default.clone();
        if let Err(wrong) = embedded::coerce(&mut coerced, compiled.root(), path, &mut Vec::new()) {
            return errors.append(wrong);
        }
        let mut wrong = FieldErrors::new();
        if matches!(compiled.root().shape(), Shape::Struct(_) | Shape::Map { .. } | Shape::List { .. }) {
            embedded::validate(&mut wrong, default, compiled.root(), path);
            list_type::validate(&mut wrong, default, compiled.root(), path);
        }
        if !wrong.is_empty() {
            return errors.append(wrong);
        }
    }
    errors.append(validate_value::validate(&Node::compile(s), default, None, path));
}
