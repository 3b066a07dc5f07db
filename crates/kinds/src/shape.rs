//! Small tools for reading and filling trees the way Go structs would be.
//!
//! A Go zero value and an absent field are the same to most of upstream's code; the tools here treat them so.

use drydock_machinery::{Catalog, ObjectMeta as _, Value, semantic};

/// Whether a Go field without pointer would be its zero value.
pub(crate) fn is_zero(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false) | Value::Int(0)) => true,
        Some(Value::String(s)) => s.is_empty(),
        Some(Value::Array(a)) => a.is_empty(),
        Some(Value::Object(m)) => m.is_empty(),
        Some(_) => false,
    }
}

/// Whether a pointer would be nil: absent or null. An empty object counts as present.
pub(crate) fn is_nil(value: Option<&Value>) -> bool {
    matches!(value, None | Some(Value::Null))
}

pub(crate) fn has(value: &Value, path: &[&str]) -> bool {
    !is_nil(value.at(path))
}

/// The value at a path, null counting as absent.
pub(crate) fn present<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    value.at(path).filter(|found| !found.is_null())
}

/// Fills an absent or zero field.
pub(crate) fn default(value: &mut Value, path: &[&str], to: impl Into<Value>) {
    if is_zero(value.at(path)) {
        value.set(path, to);
    }
}

/// Fills an absent field; zero values count as given.
pub(crate) fn default_nil(value: &mut Value, path: &[&str], to: impl Into<Value>) {
    if is_nil(value.at(path)) {
        value.set(path, to);
    }
}

/// Shows absent fields as null: those that are no pointers in Go and are not left out when they are zero.
pub(crate) fn default_null(value: &mut Value, fields: &[&str]) {
    for field in fields {
        if value.get(field).is_none() {
            value.set(&[field], Value::Null);
        }
    }
}

/// Calls `f` on each element of the array at a path, if there is one.
pub(crate) fn each_mut(value: &mut Value, path: &[&str], mut f: impl FnMut(&mut Value)) {
    if value.array_at(path).is_empty() {
        return;
    }
    if let Some(items) = value.at_mut(path).as_array_mut() {
        items.make_mut().iter_mut().for_each(&mut f);
    }
}

/// Calls `f` on the object at a path, if there is one.
pub(crate) fn with_mut(value: &mut Value, path: &[&str], f: impl FnOnce(&mut Value)) {
    if has(value, path) {
        f(value.at_mut(path));
    }
}

/// Whether two fields are semantically equal: absent, null and empty are the same.
pub(crate) fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) if a == b => true,
        (a, b) if is_empty(a) && is_empty(b) => true,
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            a.keys().chain(b.keys()).all(|key| same(a.get(key), b.get(key)))
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(Some(a), Some(b)))
        }
        _ => false,
    }
}

/// Whether two values of one of upstream's types are semantically equal; unlike [`same`] it tells a pointer to nothing
/// from one to an empty struct. `ty` is the type's name after `io.k8s.api.`, such as `core.v1.PodSpec`.
pub(crate) fn same_of(ty: &str, a: Option<&Value>, b: Option<&Value>) -> bool {
    semantic::equal_named(&format!("io.k8s.api.{ty}"), a, b)
}

/// The same for what two objects of one kind have at a path.
pub(crate) fn same_at(object: &Value, old: &Value, path: &[&str]) -> bool {
    let (new, before) = (object.at(path), old.at(path));
    match Catalog::builtin().kind(&object.gvk()).and_then(|kind| kind.at(path)) {
        Some(ty) => semantic::equal(new, before, ty),
        None => same(new, before),
    }
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Array(a)) => a.is_empty(),
        Some(Value::Object(m)) => m.values().all(|value| is_empty(Some(value))),
        Some(_) => false,
    }
}

/// The value at a path, or null: what an error message shows.
pub(crate) fn shown(value: &Value, path: &[&str]) -> Value {
    value.at(path).cloned().unwrap_or_default()
}

/// A time as `metav1.Time` has it: to the second.
pub(crate) fn seconds(time: jiff::Timestamp) -> String {
    jiff::Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

/// Copies what is at `path` of `from`, or removes it where `from` has nothing.
pub(crate) fn keep(value: &mut Value, from: &Value, path: &[&str]) {
    match from.at(path) {
        Some(old) => {
            if value.at(path) != Some(old) {
                value.set(path, old.clone());
            }
        }
        None => {
            value.remove(path);
        }
    }
}
