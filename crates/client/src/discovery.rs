//! What an API server serves, as the namespace controller, the garbage collector and quota need to know it.

use drydock_machinery::{GroupVersionKind, GroupVersionResource};

/// A resource as discovery describes it. Of subresources only scale is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiResource {
    pub resource: GroupVersionResource,
    pub kind: String,
    pub namespaced: bool,
    pub verbs: Vec<String>,
    /// It has a scale subresource.
    pub scalable: bool,
}

impl ApiResource {
    pub fn new(resource: GroupVersionResource, kind: &str, namespaced: bool, verbs: &[&str]) -> Self {
        let verbs = verbs.iter().map(|verb| (*verb).to_owned()).collect();
        Self { resource, kind: kind.to_owned(), namespaced, verbs, scalable: false }
    }

    pub fn has_verb(&self, verb: &str) -> bool {
        self.verbs.iter().any(|have| have == verb)
    }

    pub fn gvk(&self) -> GroupVersionKind {
        GroupVersionKind {
            group: self.resource.group.clone(),
            version: self.resource.version.clone(),
            kind: self.kind.clone().into(),
        }
    }
}
