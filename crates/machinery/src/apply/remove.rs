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
            let (kept, went_below) = from_map(map, unwanted, ty);
            if kept.is_empty() && !went_below { Value::Null } else { Value::Object(kept) }
        }
        (atom @ (Atom::Set(item) | Atom::ListMap(item, _)), Value::Array(items)) => {
            let (kept, went_below) = from_list(items, unwanted, atom, item);
            if kept.is_empty() && !went_below { Value::Null } else { Value::from(kept) }
        }
        _ => Value::Null,
    }
}

/// What is left of a field or an element of which only parts are unwanted: of a map or list, at least an empty one.
fn remove_below(value: &Value, below: &FieldSet, ty: Ty<'_>) -> Value {
    match (remove(value, below, ty), value) {
        (Value::Null, Value::Object(_)) => Value::object(),
        (Value::Null, Value::Array(_)) => Value::Array(Default::default()),
        (left, _) => left,
    }
}

/// Answers whether parts of fields were looked at, too.
fn from_map(map: &Map, unwanted: &FieldSet, ty: Ty<'_>) -> (Map, bool) {
    let (mut kept, mut went_below) = (Map::new(), false);
    for (key, value) in map.iter() {
        let element = PathElement::Field(key.clone());
        if unwanted.has_member(&element) {
            continue;
        }
        let value = match (unwanted.child(&element), ty.child(key)) {
            (Some(below), Some(child)) => {
                went_below = true;
                remove_below(value, below, child)
            }
            _ => value.clone(),
        };
        kept.insert(key.clone(), value);
    }
    (kept, went_below)
}

fn from_list(items: &[Value], unwanted: &FieldSet, atom: Atom<'_>, item: Ty<'_>) -> (Vec<Value>, bool) {
    let (mut kept, mut went_below) = (Vec::new(), false);
    for value in items {
        let element = list_element(atom, value);
        if element.as_ref().is_ok_and(|element| unwanted.has_member(element)) {
            continue;
        }
        let below = element.ok().and_then(|element| unwanted.child(&element));
        went_below |= below.is_some();
        kept.push(below.map_or_else(|| value.clone(), |below| remove_below(value, below, item)));
    }
    (kept, went_below)
}
