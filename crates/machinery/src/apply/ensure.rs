//! Sets in which every named field on the way to a member is a member too.

use super::path::PathElement;
use super::set::FieldSet;
use super::typed::{Atom, Ty};

/// `EnsureNamedFieldsAreMembers`: a set of `.a.b.c` gets `.a` too if `a` is declared, but not `.a.b` if `a` is a map.
pub(super) fn with_named_fields(set: &FieldSet, ty: Option<Ty<'_>>) -> FieldSet {
    let mut out = FieldSet { members: set.members.clone(), children: Vec::with_capacity(set.children.len()) };
    for (element, child) in &set.children {
        let below = match (element, ty) {
            (PathElement::Field(name), Some(ty)) => {
                if ty.declared(name).is_some() {
                    out.insert_member(element.clone());
                }
                ty.child(name)
            }
            (PathElement::Key(_), Some(ty)) => match ty.atom(None) {
                Atom::ListMap(item, _) | Atom::Set(item) | Atom::AtomicList(item) => Some(item),
                _ => None,
            },
            _ => None,
        };
        out.children.push((element.clone(), with_named_fields(child, below)));
    }
    out
}
