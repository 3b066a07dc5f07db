//! Which part of the old object a part of the new one was, and whether it is the same: what ratcheting goes by.

use super::schema::{ListKind, Shape, Typed};
use crate::value::{Key, Value};

/// A part of an object and what it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Correlated<'a> {
    new: &'a Value,
    old: &'a Value,
    schema: &'a Typed,
}

impl<'a> Correlated<'a> {
    pub(super) fn new(new: &'a Value, old: &'a Value, schema: &'a Typed) -> Self {
        Self { new, old, schema }
    }

    fn key(self, name: &str) -> Option<Self> {
        let (new, old) = (self.new.get(name)?, self.old.get(name)?);
        Some(Self { new, old, schema: self.schema.property(name)? })
    }

    fn index(self, index: usize) -> Option<Self> {
        let new = self.new.as_array()?.get(index)?;
        let old = counterpart(self.schema, self.old, new).filter(|old| !old.is_null())?;
        Some(Self { new, old, schema: self.schema.items()? })
    }

    /// Whether nothing changed. What the schema does not know counts as changed.
    fn is_unchanged(self) -> bool {
        match (self.new, self.old) {
            (Value::Array(new), Value::Array(old)) => {
                if new.len() != old.len() {
                    return false;
                }
                let is_map = matches!(self.schema.shape, Shape::List { kind: ListKind::Map(_), .. });
                if !is_map {
                    return new == old;
                }
                (0..new.len()).all(|index| self.index(index).is_some_and(Self::is_unchanged))
            }
            (Value::Object(new), Value::Object(old)) => {
                new.len() == old.len()
                    && new.keys().all(|name| self.key(name).is_some_and(Self::is_unchanged))
            }
            (new, old) => new == old,
        }
    }
}

/// The element of a list of type `map` that has the same keys.
pub(super) fn counterpart<'a>(schema: &Typed, list: &'a Value, element: &Value) -> Option<&'a Value> {
    let Shape::List { kind: ListKind::Map(keys), .. } = &schema.shape else { return None };
    if keys.is_empty() || !is_keyed(keys, element) {
        return None;
    }
    let same = |other: &&Value| keys.iter().all(|key| other.get(key) == element.get(key));
    list.as_array()?.iter().find(same)
}

/// Whether all keys are there and scalar.
fn is_keyed(keys: &[Key], element: &Value) -> bool {
    keys.iter().all(|key| {
        let value = element.get(key);
        matches!(value, Some(Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_)))
    })
}

/// Where the walk stands in both objects.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ratchet<'a> {
    /// None when this part cannot be found in the old object.
    current: Option<Correlated<'a>>,
    /// The nearest part around that could.
    parent: Option<Correlated<'a>>,
}

impl<'a> Ratchet<'a> {
    pub(super) fn root(current: Option<Correlated<'a>>) -> Self {
        Self { current, parent: None }
    }

    pub(super) fn key(self, name: &str) -> Self {
        match self.current {
            None => self,
            // Type and version are converted, so that they cannot differ.
            Some(_) if self.parent.is_none() && matches!(name, "apiVersion" | "kind") => Self::default(),
            Some(current) => Self { current: current.key(name), parent: Some(current) },
        }
    }

    pub(super) fn index(self, index: usize) -> Self {
        match self.current {
            None => self,
            Some(current) => Self { current: current.index(index), parent: Some(current) },
        }
    }

    /// For `allOf`, whose rules are let pass only when what is around them is unchanged.
    pub(super) fn all_of(self) -> Self {
        Self { current: None, parent: self.parent }
    }

    /// Whether a failure here was one before.
    pub(super) fn lets_pass(self) -> bool {
        self.current.or(self.parent).is_some_and(Correlated::is_unchanged)
    }
}
