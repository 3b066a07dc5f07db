//! Sets that were written when the schema was another one.

use super::path::PathElement;
use super::set::FieldSet;
use super::typed::{Atom, Ty};

/// A field that has become atomic is owned as a whole by whom a part of it belonged to. None when nothing changes.
pub(super) fn reconcile(set: &FieldSet, ty: Ty<'_>) -> Option<FieldSet> {
    let mut atomic = FieldSet::default();
    walk(set, ty, &mut Vec::new(), &mut atomic);
    (!atomic.is_empty()).then(|| set.clone().recursive_difference(&atomic).joined(atomic))
}

/// Collects the atomic nodes of which `set` has parts.
fn walk(set: &FieldSet, ty: Ty<'_>, path: &mut Vec<PathElement>, atomic: &mut FieldSet) {
    // Free-form maps of custom resources are not reconciled.
    if set.is_empty() || matches!(ty, Ty::Deduced) {
        return;
    }
    let atom = ty.atom(None);
    if let Atom::AtomicList(_) | Atom::Map { atomic: true, .. } = atom {
        return atomic.insert(path);
    }
    for (element, below) in &set.children {
        let child = match (atom, element) {
            (Atom::Map { ty, .. }, PathElement::Field(name)) => ty.child(name),
            (Atom::Set(item) | Atom::ListMap(item, _), _) => Some(item),
            _ => None,
        };
        if let Some(child) = child {
            path.push(element.clone());
            walk(below, child, path, atomic);
            path.pop();
        }
    }
}
