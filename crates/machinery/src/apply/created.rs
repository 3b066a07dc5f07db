//! Objects that are created like others before them: their creator comes to own the same fields.
//!
//! To look whether an object has just the fields of a set takes a fraction of what it takes to compare it with the empty
//! object, to hash what comes of that and to find it in the pool. Only built-in kinds are looked at; what is in any way
//! uncommon (an element twice, say) counts as not alike, and goes the long way.

use super::path::{PathElement, same};
use super::set::FieldSet;
use super::typed::{Atom, Ty, elements, fields, is_list_element};
use super::validate::{Given, validate};
use crate::value::Value;

/// Longer lists go the long way.
const SEEN: usize = u64::BITS as usize;

/// Fields that nobody comes to own.
#[derive(Clone, Copy)]
pub(super) struct Exempt<'a> {
    /// These, and all that is in them.
    pub(super) reset: Option<&'a FieldSet>,
    /// These, not what is in them.
    pub(super) never: Option<&'a FieldSet>,
}

/// Whether who creates `new` comes to own just `set`, where `empty` is the kind's empty object. False also when that
/// would take long to tell.
pub(super) fn owns(set: &FieldSet, empty: &Value, new: &Value, ty: Ty<'_>, exempt: Exempt<'_>) -> bool {
    differs(Some(empty), new, ty, set, exempt).is_some()
}

/// Whether the place itself differs. None when what differs inside of it is not just `below`.
fn differs(
    old: Option<&Value>,
    new: &Value,
    ty: Ty<'_>,
    below: &FieldSet,
    exempt: Exempt<'_>,
) -> Option<bool> {
    let atom = ty.atom(Some(new));
    let is_leaf = match (atom, new) {
        (Atom::Map { atomic: false, .. }, Value::Object(map)) => map.is_empty(),
        (Atom::Set(_) | Atom::ListMap(..), Value::Array(items)) => items.is_empty(),
        (Atom::Scalar(_), _) | (_, Value::Null) => true,
        (Atom::AtomicList(_), Value::Array(_)) | (Atom::Map { .. }, Value::Object(_)) => {
            // What is in it belongs to it, but has to be in order.
            if !ty.has_no_associative_list() && validate(new, ty, Given::Object).is_err() {
                return None;
            }
            true
        }
        _ => return None,
    };
    match (atom, old) {
        (_, None) if is_leaf => below.is_empty().then_some(true),
        (Atom::Map { atomic: false, .. }, Some(Value::Object(old))) if is_leaf && !old.is_empty() => {
            below.is_empty().then_some(false)
        }
        (_, Some(old)) if is_leaf => {
            let was_leaf = fields(old).is_empty() && elements(old).is_empty();
            (was_leaf && below.is_empty()).then(|| !same(old, new))
        }
        (Atom::Map { ty, .. }, None | Some(Value::Object(_) | Value::Null)) => {
            has_fields(old, new, ty, below, exempt).then_some(old.is_none())
        }
        (Atom::Set(item) | Atom::ListMap(item, _), _) if elements(old.unwrap_or(&Value::Null)).is_empty() => {
            has_elements(new, atom, item, below, exempt).then_some(old.is_none())
        }
        _ => None,
    }
}

impl<'a> Exempt<'a> {
    fn inside(self, element: &PathElement) -> Self {
        let inside = |set: Option<&'a FieldSet>| set.and_then(|set| set.child(element));
        Self { reset: inside(self.reset), never: inside(self.never) }
    }

    fn is_any(self) -> bool {
        self.reset.is_some() || self.never.is_some()
    }
}

/// Both the map's fields and the set's elements are sorted by name.
fn has_fields(old: Option<&Value>, new: &Value, ty: Ty<'_>, set: &FieldSet, exempt: Exempt<'_>) -> bool {
    let old = old.map(fields);
    let (mut members, mut children) = (&set.members[..], &set.children[..]);
    let is = |element: &PathElement, key: &str| matches!(element, PathElement::Field(name) if name == key);
    for (key, value) in fields(new).iter() {
        let Some(child) = ty.child(key) else { return false };
        let (mut owned, mut inside) = (true, exempt);
        if exempt.is_any() {
            let element = PathElement::Field(key.clone());
            if exempt.reset.is_some_and(|reset| reset.has_member(&element)) {
                continue;
            }
            owned = exempt.never.is_none_or(|never| !never.has_member(&element));
            inside = exempt.inside(&element);
        }
        let below = match children {
            [(element, below), rest @ ..] if is(element, key) => {
                children = rest;
                below
            }
            _ => FieldSet::none(),
        };
        let Some(differs) = differs(old.and_then(|old| old.get(key)), value, child, below, inside) else {
            return false;
        };
        if owned && differs {
            match members {
                [element, rest @ ..] if is(element, key) => members = rest,
                _ => return false,
            }
        }
    }
    members.is_empty() && children.is_empty()
}

fn has_elements(list: &Value, atom: Atom<'_>, item: Ty<'_>, set: &FieldSet, exempt: Exempt<'_>) -> bool {
    let values = elements(list);
    // No list of a built-in kind has elements that are exempt.
    if exempt.is_any() || set.members.len() != values.len() || values.len() > SEEN {
        return false;
    }
    let (mut seen, mut children) = (0_u64, 0);
    for (i, value) in values.iter().enumerate() {
        // Elements mostly are in the order in which they are sorted.
        let mut places = (i..values.len()).chain(0..i);
        let Some(at) = places.find(|at| is_list_element(atom, value, &set.members[*at])) else {
            return false;
        };
        if seen & (1 << at) != 0 {
            return false;
        }
        seen |= 1 << at;
        let below = set.child(&set.members[at]);
        children += usize::from(below.is_some());
        if differs(None, value, item, below.unwrap_or(FieldSet::none()), exempt).is_none() {
            return false;
        }
    }
    children == set.children.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::compare::compare;
    use super::*;
    use crate::schema::Schema;
    use crate::test_schema::pod_like;
    use crate::value;

    fn empty() -> Value {
        value!({"apiVersion": "v1", "kind": "Thing", "metadata": {}, "spec": {"containers": null}, "status": {}})
    }

    fn reset() -> FieldSet {
        FieldSet::of_fields(&[&["status"]])
    }

    fn never() -> FieldSet {
        FieldSet::of_fields(&[&["apiVersion"], &["kind"], &["metadata"], &["metadata", "name"]])
    }

    /// By way of a comparison, as all others than creations go.
    fn set_of(schema: &Schema, new: &Value) -> FieldSet {
        let found = compare(&empty(), new, Ty::new(schema.root())).without(&reset());
        found.modified.joined(found.added).difference(&never())
    }

    fn is_owned(schema: &Schema, set: &FieldSet, new: &Value) -> bool {
        let (reset, never) = (reset(), never());
        let exempt = Exempt { reset: Some(&reset), never: Some(&never) };
        owns(set, &empty(), new, Ty::new(schema.root()), exempt)
    }

    /// One of a few values for a path, or none.
    fn choice(
        path: &'static [&'static str],
        values: &[Value],
    ) -> impl Strategy<Value = Option<(Path, Value)>> + use<> {
        let values: Vec<Option<(Path, Value)>> =
            values.iter().map(|value| Some((path, value.clone()))).chain([None]).collect();
        prop::sample::select(values)
    }

    type Path = &'static [&'static str];

    fn objects() -> impl Strategy<Value = Value> {
        let container = value!({"name": "a", "image": "x", "args": ["1"], "ports": [{"containerPort": 1}]});
        let other = value!({"name": "b", "env": [{"name": "E", "value": "1"}], "ports": []});
        let pair = value!([container.clone(), other.clone()]);
        let twice = value!([container.clone(), container.clone()]);
        let ports =
            value!([{"name": "a", "ports": [{"containerPort": 1}, {"containerPort": 2}]}, other.clone()]);
        let parts = (
            choice(&["metadata", "name"], &[value!("n"), value!("m")]),
            choice(&["metadata", "labels"], &[value!({}), value!({"a": "1"}), value!({"a": "2", "b": "1"})]),
            choice(
                &["metadata", "finalizers"],
                &[value!(["a", "b"]), value!(["a", "a"]), value!(["b", "a"])],
            ),
            choice(&["spec"], &[value!({}), value!({"replicas": 1}), value!({"replicas": null})]),
            choice(&["spec", "nodeSelector"], &[value!({"a": "b"}), value!({}), value!({"c": "d"})]),
            choice(&["spec", "containers"], &[value!([]), value!([other]), pair, twice, ports]),
            choice(&["spec", "volumes"], &[value!([{"name": "v", "emptyDir": {}}]), value!([{"name": "v"}])]),
            choice(&["status"], &[value!({"phase": "a"}), value!({})]),
        );
        parts.prop_map(|(a, b, c, d, e, f, g, h)| {
            let mut object = value!({"apiVersion": "v1", "kind": "Thing"});
            for (path, value) in [a, b, c, d, e, f, g, h].into_iter().flatten() {
                object.set(path, value);
            }
            object
        })
    }

    fn has_twice(object: &Value) -> bool {
        let names = |path: &[&str]| -> Vec<String> {
            object
                .array_at(path)
                .iter()
                .map(|item| format!("{:?}", item.get("name").unwrap_or(item)))
                .collect()
        };
        [names(&["spec", "containers"]), names(&["metadata", "finalizers"])]
            .iter()
            .any(|names| matches!(&names[..], [a, b] if a == b))
    }

    proptest! {
        #[test]
        fn what_is_alike_is_what_a_comparison_finds(objects in prop::collection::vec(objects(), 2..6)) {
            let schema = pod_like();
            for (a, b) in objects.iter().flat_map(|a| objects.iter().map(move |b| (a, b))) {
                let (set, other) = (set_of(&schema, a), set_of(&schema, b));
                let expected = set == other && !has_twice(b);
                prop_assert_eq!(is_owned(&schema, &set, b), expected, "{:?} as {:?}: {:?}", b, a, set);
            }
        }
    }
}
