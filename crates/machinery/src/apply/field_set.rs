//! The fields that a value sets.

use super::path::PathElement;
use super::set::{FieldSet, Found};
use super::typed::{Atom, Ty, list_element};
use crate::value::{Map, Value};

/// Every leaf and list element of an object. Elements that occur twice count as one leaf.
pub(super) fn field_set(value: &Value, ty: Ty<'_>) -> FieldSet {
    found(value, ty).set
}

fn found(value: &Value, ty: Ty<'_>) -> Found {
    let mut out = Found::default();
    match (ty.atom(Some(value)), value) {
        (Atom::Scalar(_) | Atom::AtomicList(_) | Atom::Map { atomic: true, .. }, _) => out.member = true,
        (Atom::Map { ty, .. }, Value::Object(map)) => add_fields(&mut out.set, map, ty),
        (atom @ (Atom::Set(item) | Atom::ListMap(item, _)), Value::Array(items)) => {
            add_elements(&mut out.set, items, atom, item);
        }
        _ => {}
    }
    out
}

fn add_fields(set: &mut FieldSet, map: &Map, ty: Ty<'_>) {
    for (key, value) in map.iter() {
        let Some(child) = ty.child(key) else { continue };
        let mut below = found(value, child);
        let empty = match value {
            Value::Null => true,
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        below.member |= empty || ty.declared(key).is_none();
        set.add(PathElement::Field(key.clone()), below);
    }
}

fn add_elements(set: &mut FieldSet, items: &[Value], atom: Atom<'_>, item: Ty<'_>) {
    let elements: Vec<(PathElement, &Value)> =
        items.iter().filter_map(|value| Some((list_element(atom, value).ok()?, value))).collect();
    for (element, value) in &elements {
        let times = elements.iter().filter(|(other, _)| other == element).take(2).count();
        let below = if times > 1 { FieldSet::default() } else { found(value, item).set };
        set.add(element.clone(), Found { member: true, set: below });
    }
}
