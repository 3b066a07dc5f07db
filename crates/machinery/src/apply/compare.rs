//! Which fields differ between two objects.

use super::path::{PathElement, same};
use super::set::{FieldSet, Found};
use super::typed::{Atom, Ty, elements, fields, list_element};
use crate::value::{Map, Value};

/// No field is in more than one of the three.
#[derive(Clone, Debug, Default)]
pub(super) struct Comparison {
    pub(super) removed: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) added: FieldSet,
}

impl Comparison {
    /// Leaves out these fields and what is in them.
    #[must_use]
    pub(super) fn without(self, fields: &FieldSet) -> Self {
        if fields.is_empty() {
            return self;
        }
        Self {
            removed: self.removed.recursive_difference(fields),
            modified: self.modified.recursive_difference(fields),
            added: self.added.recursive_difference(fields),
        }
    }

    fn add(&mut self, element: &PathElement, node: Node) {
        let found = [node.removed, node.modified, node.added];
        let sets = [&mut self.removed, &mut self.modified, &mut self.added];
        for (set, found) in sets.into_iter().zip(found).filter(|(_, found)| !found.is_empty()) {
            set.add(element.clone(), found);
        }
    }
}

pub(super) fn compare(old: &Value, new: &Value, ty: Ty<'_>) -> Comparison {
    let node = node(Some(old), Some(new), ty);
    Comparison { removed: node.removed.set, modified: node.modified.set, added: node.added.set }
}

/// What differs at and below one place.
#[derive(Default)]
struct Node {
    removed: Found,
    modified: Found,
    added: Found,
}

fn node(old: Option<&Value>, new: Option<&Value>, ty: Ty<'_>) -> Node {
    let mut out = Node::default();
    out.added.member = old.is_none();
    out.removed.member = new.is_none();
    let (old, new) = match (old, new) {
        (None, None) => return out,
        (Some(old), None) => {
            out.removed.set = below(old, ty);
            return out;
        }
        (None, Some(new)) => {
            out.added.set = below(new, ty);
            return out;
        }
        (Some(old), Some(new)) if old.shares_storage(new) => return out,
        (Some(old), Some(new)) => (old, new),
    };
    let below = match (ty.atom(Some(old)), ty.atom(Some(new))) {
        (Atom::Scalar(_), atom @ Atom::Scalar(_))
        | (Atom::Map { .. }, atom @ Atom::Map { .. })
        | (Atom::AtomicList(_), atom @ Atom::AtomicList(_))
        | (Atom::Set(_), atom @ Atom::Set(_))
        | (Atom::ListMap(..), atom @ Atom::ListMap(..)) => inside(old, new, atom, &mut out),
        (before, after) => {
            // A free-form field became something else: its old inside is gone, its new one is there.
            let mut below = inside(old, new, before, &mut out);
            let other = inside(old, new, after, &mut out);
            below.removed = below.removed.joined(other.removed);
            below.modified = below.modified.joined(other.modified);
            below.added = below.added.joined(other.added);
            below
        }
    };
    out.removed.set = below.removed;
    out.modified.set = below.modified;
    out.added.set = below.added;
    out
}

/// Everything inside of a value that the other object does not have.
fn below(value: &Value, ty: Ty<'_>) -> FieldSet {
    let mut out = FieldSet::default();
    match ty.atom(Some(value)) {
        Atom::Map { ty, atomic: false } => {
            for (key, value) in fields(value).iter() {
                let Some(child) = ty.child(key) else { continue };
                let set = below(value, child);
                out.add(PathElement::Field(key.clone()), Found { member: true, set });
            }
        }
        atom @ (Atom::Set(item) | Atom::ListMap(item, _)) => {
            for (element, _, values) in places(&[], elements(value), atom) {
                // Elements that occur several times are one leaf.
                let set = if let [value] = values[..] { below(value, item) } else { FieldSet::default() };
                out.add(element, Found { member: true, set });
            }
        }
        Atom::Map { .. } | Atom::Scalar(_) | Atom::AtomicList(_) => {}
    }
    out
}

/// What differs inside of two values.
fn inside(old: &Value, new: &Value, atom: Atom<'_>, node: &mut Node) -> Comparison {
    let leaf = match atom {
        Atom::Scalar(_) | Atom::AtomicList(_) | Atom::Map { atomic: true, .. } => true,
        Atom::Map { .. } => fields(old).is_empty() && fields(new).is_empty(),
        Atom::Set(_) | Atom::ListMap(..) => elements(old).is_empty() && elements(new).is_empty(),
    };
    match atom {
        _ if leaf => {
            node.modified.member |= !same(old, new);
            Comparison::default()
        }
        Atom::Map { ty, .. } => maps(fields(old), fields(new), ty),
        Atom::Set(item) | Atom::ListMap(item, _) => lists(elements(old), elements(new), atom, item),
        Atom::Scalar(_) | Atom::AtomicList(_) => Comparison::default(),
    }
}

fn maps(old: &Map, new: &Map, ty: Ty<'_>) -> Comparison {
    let mut out = Comparison::default();
    for (key, before) in old.iter() {
        let Some(child) = ty.child(key) else { continue };
        out.add(&PathElement::Field(key.clone()), node(Some(before), new.get(key), child));
    }
    for (key, after) in new.iter().filter(|(key, _)| !old.contains_key(key)) {
        let Some(child) = ty.child(key) else { continue };
        out.add(&PathElement::Field(key.clone()), node(None, Some(after), child));
    }
    out
}

/// The elements of two lists, in order, with what is at each in either.
fn places<'a>(
    old: &'a [Value],
    new: &'a [Value],
    atom: Atom<'_>,
) -> Vec<(PathElement, Vec<&'a Value>, Vec<&'a Value>)> {
    let mut places: Vec<(PathElement, Vec<&Value>, Vec<&Value>)> = Vec::new();
    let values = old.iter().map(|value| (value, false)).chain(new.iter().map(|value| (value, true)));
    for (value, is_new) in values {
        let Ok(element) = list_element(atom, value) else { continue };
        let i = places.iter().position(|(other, ..)| *other == element).unwrap_or_else(|| {
            places.push((element, Vec::new(), Vec::new()));
            places.len() - 1
        });
        if is_new { places[i].2.push(value) } else { places[i].1.push(value) }
    }
    places
}

fn lists(old: &[Value], new: &[Value], atom: Atom<'_>, item: Ty<'_>) -> Comparison {
    let mut out = Comparison::default();
    for (element, old, new) in places(old, new, atom) {
        let found = match (&old[..], &new[..]) {
            (old @ ([] | [_]), new @ ([] | [_])) => node(old.first().copied(), new.first().copied(), item),
            // Elements that occur several times are one leaf.
            ([_, _, ..], [_, _, ..]) => {
                let mut found = Node::default();
                found.modified.member =
                    old.len() != new.len() || !old.iter().zip(&new).all(|(a, b)| same(a, b));
                found
            }
            ([_, _, ..], new) => {
                let mut found = new.first().map(|new| node(None, Some(new), item)).unwrap_or_default();
                found.removed.member = true;
                found
            }
            (old, [_, _, ..]) => {
                let mut found = old.first().map(|old| node(Some(old), None, item)).unwrap_or_default();
                found.added.member = true;
                found
            }
        };
        out.add(&element, found);
    }
    out
}
