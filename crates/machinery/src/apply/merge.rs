//! An applied configuration laid over a live object. Nothing is removed.

use std::collections::{BTreeMap, BTreeSet};

use ecow::EcoVec;

use super::path::PathElement;
use super::typed::{Atom, Ty, elements, fields, list_element};
use crate::value::{Map, Value};

/// `config` wins; lists keep the live order, except where the configuration orders them otherwise.
pub(super) fn merge(live: &Value, config: &Value, ty: Ty<'_>) -> Value {
    node(live, config, ty).unwrap_or_default()
}

/// None when nothing is left.
fn node(live: &Value, config: &Value, ty: Ty<'_>) -> Option<Value> {
    let config_atom = match (config, ty) {
        // Null takes the form of what it meets.
        (Value::Null, Ty::Deduced | Ty::Atomic) => ty.atom(Some(live)),
        _ => ty.atom(Some(config)),
    };
    match config_atom {
        Atom::Scalar(_) | Atom::AtomicList(_) | Atom::Map { atomic: true, .. } => Some(config.clone()),
        Atom::Map { ty, .. } => {
            let (live, applied) = (fields(live), fields(config));
            if live.is_empty() && applied.is_empty() {
                return Some(config.clone());
            }
            let merged = maps(live, applied, ty);
            (!merged.is_empty()).then_some(Value::Object(merged))
        }
        atom @ (Atom::Set(item) | Atom::ListMap(item, _)) => {
            let (live, applied) = (elements(live), elements(config));
            if live.is_empty() && applied.is_empty() {
                return Some(config.clone());
            }
            let merged = lists(live, applied, atom, item);
            (!merged.is_empty()).then_some(Value::Array(merged))
        }
    }
}

fn maps(live: &Map, config: &Map, ty: Ty<'_>) -> Map {
    let mut out = live.clone();
    for (key, applied) in config.iter() {
        let merged = match (live.get(key), ty.child(key)) {
            (Some(current), Some(child)) => node(current, applied, child),
            _ => Some(applied.clone()),
        };
        match merged {
            Some(value) => out.insert(key.clone(), value),
            None => out.remove(key),
        };
    }
    out
}

struct Indexed<'a> {
    order: Vec<PathElement>,
    /// As many as there are in `order`.
    items: Vec<&'a Value>,
    /// None where the element occurs more than once.
    values: BTreeMap<PathElement, Option<&'a Value>>,
}

fn index<'a>(items: &'a [Value], atom: Atom<'_>) -> Indexed<'a> {
    let mut out = Indexed { order: Vec::new(), items: Vec::new(), values: BTreeMap::new() };
    for value in items {
        let Ok(element) = list_element(atom, value) else { continue };
        out.values.entry(element.clone()).and_modify(|found| *found = None).or_insert(Some(value));
        out.order.push(element);
        out.items.push(value);
    }
    out
}

/// The loop of structured-merge-diff: elements that both have come in the configuration's order, and between two of
/// them first the live object's own, then the configuration's.
fn lists(live: &[Value], config: &[Value], atom: Atom<'_>, item: Ty<'_>) -> EcoVec<Value> {
    let (left, right) = (index(live, atom), index(config, atom));
    let mut shared = right.order.iter().filter(|element| left.values.contains_key(element));
    let mut next_shared = shared.next();
    let mut done = BTreeSet::new();
    let mut out = EcoVec::new();
    let (mut l, mut r) = (0, 0);
    while l < left.order.len() || r < right.order.len() {
        let (ours, theirs) = (left.order.get(l), right.order.get(r));
        if let (Some(ours), Some(theirs)) = (ours, theirs) {
            if ours == theirs {
                done.insert(ours);
                out.extend(element(&left, &right, ours, item));
                (l, r) = (l + 1, r + 1);
                next_shared = shared.next();
                continue;
            }
            if right.values.contains_key(ours) && next_shared.is_some_and(|next| next != ours) {
                // Shared, but not the one whose turn it is.
                l += 1;
                continue;
            }
        }
        if let Some(ours) = ours {
            if !right.values.contains_key(ours) {
                out.push(left.items[l].clone());
                l += 1;
                continue;
            }
            if done.contains(ours) {
                l += 1;
            }
        }
        if let Some(theirs) = theirs {
            done.insert(theirs);
            out.extend(element(&left, &right, theirs, item));
            r += 1;
            if next_shared == Some(theirs) {
                next_shared = shared.next();
            }
        }
    }
    out
}

fn element(left: &Indexed<'_>, right: &Indexed<'_>, element: &PathElement, item: Ty<'_>) -> Option<Value> {
    let applied = right.values.get(element).copied().flatten()?;
    match left.values.get(element).copied().flatten() {
        Some(current) => node(current, applied, item),
        None => Some(applied.clone()),
    }
}
