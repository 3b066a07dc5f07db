//! A set of paths, as a tree.

use std::cmp::Ordering;

use super::path::{Path, PathElement};

/// Which fields someone manages.
///
/// Invariants: members and children are sorted and have no element twice; no child is empty. An element may be both
/// a member and have children: then the thing itself and some of what is in it are in the set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSet {
    pub(super) members: Vec<PathElement>,
    pub(super) children: Vec<(PathElement, FieldSet)>,
}

/// What a walk found in one node: whether the node itself is in the set, and what of its inside is.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) member: bool,
    pub(super) set: FieldSet,
}

impl Found {
    pub(super) fn is_empty(&self) -> bool {
        !self.member && self.set.is_empty()
    }
}

impl FieldSet {
    /// The set of these paths of field names.
    pub fn of_fields(paths: &[&[&str]]) -> Self {
        let mut set = Self::default();
        for path in paths {
            let path: Vec<PathElement> = path.iter().map(|name| PathElement::field(name)).collect();
            set.insert(&path);
        }
        set
    }

    /// The empty set.
    pub(super) fn none() -> &'static Self {
        static NONE: FieldSet = FieldSet { members: Vec::new(), children: Vec::new() };
        &NONE
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.is_empty()
    }

    /// Adds one path; not its parents. The empty path is the object itself and is never in a set.
    pub fn insert(&mut self, path: &Path) {
        match path {
            [] => {}
            [last] => self.insert_member(last.clone()),
            [first, rest @ ..] => self.child_mut(first).insert(rest),
        }
    }

    pub fn has(&self, path: &Path) -> bool {
        match path {
            [] => false,
            [last] => self.has_member(last),
            [first, rest @ ..] => self.child(first).is_some_and(|child| child.has(rest)),
        }
    }

    /// Calls `visit` with every path: those of this level, then those below.
    pub fn for_each(&self, visit: &mut impl FnMut(&Path)) {
        self.for_each_below(&mut Vec::new(), visit);
    }

    fn for_each_below(&self, prefix: &mut Vec<PathElement>, visit: &mut impl FnMut(&Path)) {
        for member in &self.members {
            prefix.push(member.clone());
            visit(prefix);
            prefix.pop();
        }
        for (element, child) in &self.children {
            prefix.push(element.clone());
            child.for_each_below(prefix, visit);
            prefix.pop();
        }
    }

    pub(super) fn has_member(&self, element: &PathElement) -> bool {
        self.members.binary_search(element).is_ok()
    }

    pub(super) fn child(&self, element: &PathElement) -> Option<&Self> {
        let i = self.children.binary_search_by(|(e, _)| e.cmp(element)).ok()?;
        Some(&self.children[i].1)
    }

    pub(super) fn insert_member(&mut self, element: PathElement) {
        // Walks mostly come in order.
        if self.members.last().is_none_or(|last| *last < element) {
            self.members.push(element);
        } else if let Err(i) = self.members.binary_search(&element) {
            self.members.insert(i, element);
        }
    }

    pub(super) fn child_mut(&mut self, element: &PathElement) -> &mut Self {
        let i = match self.children.binary_search_by(|(e, _)| e.cmp(element)) {
            Ok(i) => i,
            Err(i) => {
                self.children.insert(i, (element.clone(), Self::default()));
                i
            }
        };
        &mut self.children[i].1
    }

    /// Adds what was found in the node `element`.
    pub(super) fn add(&mut self, element: PathElement, found: Found) {
        if found.set.is_empty() {
            if found.member {
                self.insert_member(element);
            }
            return;
        }
        if found.member {
            self.insert_member(element.clone());
        }
        // Walks mostly come in order.
        if self.children.last().is_none_or(|(last, _)| *last < element) {
            self.children.push((element, found.set));
            return;
        }
        let child = self.child_mut(&element);
        *child = if child.is_empty() { found.set } else { child.union(&found.set) };
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        if self.is_empty() || other.is_empty() {
            return if self.is_empty() { other.clone() } else { self.clone() };
        }
        let mut out = Self::default();
        zip(&self.members, &other.members, |e| e, |a, b| out.members.extend(a.or(b).cloned()));
        zip(
            &self.children,
            &other.children,
            |(e, _)| e,
            |a, b| {
                out.children.extend(match (a, b) {
                    (Some((element, a)), Some((_, b))) => Some((element.clone(), a.union(b))),
                    (a, b) => a.or(b).cloned(),
                });
            },
        );
        out
    }

    /// As [`FieldSet::union`], without copying what only one has.
    #[must_use]
    pub(super) fn joined(self, other: Self) -> Self {
        if self.is_empty() || other.is_empty() {
            return if self.is_empty() { other } else { self };
        }
        self.union(&other)
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut out = Self::default();
        zip(
            &self.members,
            &other.members,
            |e| e,
            |a, b| {
                out.members.extend(a.filter(|_| b.is_some()).cloned());
            },
        );
        zip(
            &self.children,
            &other.children,
            |(e, _)| e,
            |a, b| {
                if let (Some((element, a)), Some((_, b))) = (a, b) {
                    out.push_child(element, a.intersection(b));
                }
            },
        );
        out
    }

    /// What is in `self` but not in `other`. A member's children stay when only the member is in `other`.
    #[must_use]
    pub fn difference(mut self, other: &Self) -> Self {
        self.remove_all(other, false);
        self
    }

    /// As [`FieldSet::difference`], but everything below a member of `other` goes too.
    #[must_use]
    pub fn recursive_difference(mut self, other: &Self) -> Self {
        self.remove_all(other, true);
        self
    }

    fn remove_all(&mut self, other: &Self, with_inside: bool) {
        if !other.members.is_empty() {
            self.members.retain(|member| !other.has_member(member));
        }
        if other.children.is_empty() && (other.members.is_empty() || !with_inside) {
            return;
        }
        self.children.retain_mut(|(element, child)| {
            if with_inside && other.has_member(element) {
                return false;
            }
            let Some(others) = other.child(element) else { return true };
            child.remove_all(others, with_inside);
            !child.is_empty()
        });
    }

    /// Appends a child, which comes after all others, unless it is empty.
    fn push_child(&mut self, element: &PathElement, child: Self) {
        if !child.is_empty() {
            self.children.push((element.clone(), child));
        }
    }
}

/// Walks two sorted lists side by side.
fn zip<'a, T>(
    left: &'a [T],
    right: &'a [T],
    key: impl Fn(&'a T) -> &'a PathElement,
    mut visit: impl FnMut(Option<&'a T>, Option<&'a T>),
) {
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => key(a).cmp(key(b)),
        };
        match order {
            Ordering::Less => visit(left.next(), None),
            Ordering::Greater => visit(None, right.next()),
            Ordering::Equal => visit(left.next(), right.next()),
        }
    }
}
