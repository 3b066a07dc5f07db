//! A value without some of its fields.

use super::path::PathElement;
use super::set::FieldSet;
use super::typed::{Atom, Ty, list_element};
use crate::value::{Map, Value};

/// Removes the fields and elements in `unwanted`. A container that becomes empty becomes null.
pub(super) fn remove(value: &Value, unwanted: &FieldSet, ty: Ty<'_>) -> Value {
    match (ty.atom(Some(value)), value) {
        (Atom::Scalar(_), scalar) => scalar.clone(),
        (Atom::Map { ty, atomic: false }, Value::Object(map)) => {
            let kept = from_map(map, unwanted, ty);
            if kept.is_empty() { Value::Null } else { Value::Object(kept) }
        }
        (atom @ (Atom::Set(item) | Atom::ListMap(item, _)), Value::Array(items)) => {
            let kept: Vec<Value> =
                items.iter().filter_map(|element| from_list(element, unwanted, atom, item)).collect();
            if kept.is_empty() { Value::Null } else { Value::from(kept) }
        }
        _ => Value::Null,
    }
}

fn from_map(map: &Map, unwanted: &FieldSet, ty: Ty<'_>) -> Map {
    let mut kept = Map::new();
    for (key, value) in map.iter() {
        let element = PathElement::Field(key.clone());
        if unwanted.has_member(&element) {
            continue;
        }
        let value = match (unwanted.child(&element), ty.child(key)) {
            (Some(below), Some(child)) => remove(value, below, child),
            _ => value.clone(),
        };
        kept.insert(key.clone(), value);
    }
    kept
}

fn from_list(value: &Value, unwanted: &FieldSet, atom: Atom<'_>, item: Ty<'_>) -> Option<Value> {
    let Ok(element) = list_element(atom, value) else { return Some(value.clone()) };
    if unwanted.has_member(&element) {
        return None;
    }
    Some(match unwanted.child(&element) {
        Some(below) => remove(value, below, item),
        None => value.clone(),
    })
}
