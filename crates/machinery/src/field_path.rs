//! Where in an object, for messages.

use std::fmt;
use std::sync::Arc;

use ecow::EcoString;

/// `spec.containers[0].name`, `metadata.labels[a/b]`.
///
/// Validation makes a path for everything that it looks at and shows hardly any, so a path is a chain of steps, and
/// becomes a text when something is wrong there.
#[derive(Clone, Default)]
pub struct FieldPath(Option<Arc<Node>>);

/// Aligned so that what is allocated for one is a power of two, which the allocator gives out fastest.
#[repr(align(32))]
struct Node {
    parent: FieldPath,
    step: Step,
}

enum Step {
    Field(&'static str),
    Child(EcoString),
    Index(usize),
    Key(EcoString),
}

impl FieldPath {
    pub fn new(root: &str) -> Self {
        if root.is_empty() { Self::root() } else { Self::root().child_named(root) }
    }

    /// The empty path; [`FieldPath::child`] of it has no leading dot.
    pub fn root() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn child(&self, name: &'static str) -> Self {
        self.step(Step::Field(name))
    }

    /// As [`FieldPath::child`], where the name is not known beforehand.
    #[must_use]
    pub fn child_named(&self, name: &str) -> Self {
        self.step(Step::Child(name.into()))
    }

    #[must_use]
    pub fn index(&self, i: usize) -> Self {
        self.step(Step::Index(i))
    }

    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.step(Step::Key(key.into()))
    }

    fn step(&self, step: Step) -> Self {
        Self(Some(Arc::new(Node { parent: self.clone(), step })))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(node) = &self.0 else { return Ok(()) };
        node.parent.write(f)?;
        match &node.step {
            Step::Field(name) => write_child(f, &node.parent, name),
            Step::Child(name) => write_child(f, &node.parent, name),
            Step::Index(i) => write!(f, "[{i}]"),
            Step::Key(key) => write!(f, "[{key}]"),
        }
    }
}

fn write_child(f: &mut fmt::Formatter<'_>, parent: &FieldPath, name: &str) -> fmt::Result {
    if parent.0.is_some() {
        f.write_str(".")?;
    }
    f.write_str(name)
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_none() { f.write_str("<nil>") } else { self.write(f) }
    }
}

impl fmt::Debug for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_written_as_upstream_writes_them() {
        let container = FieldPath::new("spec").child("containers").index(0);
        assert_eq!(container.child("name").to_string(), "spec.containers[0].name");
        assert_eq!(FieldPath::new("metadata").child("labels").key("a/b").to_string(), "metadata.labels[a/b]");
        assert_eq!(FieldPath::root().index(1).child("kind").to_string(), "[1].kind");
        assert_eq!(FieldPath::root().to_string(), "<nil>");
    }
}
