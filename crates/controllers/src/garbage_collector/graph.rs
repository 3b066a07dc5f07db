//! Who depends on whom.

use std::collections::{BTreeMap, HashMap};

use drydock_machinery::{GroupVersionResource, Key, Object, ObjectMeta, Value};
use parking_lot::Mutex;

pub(super) const FOREGROUND: &str = "foregroundDeletion";
pub(super) const ORPHAN: &str = "orphan";

/// Being deleted, and waiting for its dependents to be gone first.
pub(super) fn deletes_dependents(object: &Object) -> bool {
    object.is_deleting() && object.finalizers().any(|finalizer| finalizer == FOREGROUND)
}

/// An object, by resource, namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    /// `resource.group`, or `resource` in the core group.
    resource: Key,
    pub(super) namespace: Key,
    pub(super) name: Key,
}

impl Id {
    pub(super) fn of(resource: &GroupVersionResource, object: &Object) -> Self {
        Self {
            resource: resource.group_resource().into(),
            namespace: object.namespace().into(),
            name: object.name().into(),
        }
    }

    pub(super) fn is_of(&self, resource: &GroupVersionResource) -> bool {
        self.resource == resource.group_resource()
    }

    pub(super) fn key(&self) -> Key {
        Key::from(format!("{}|{}|{}", self.resource, self.namespace, self.name))
    }

    pub(super) fn parse(key: &str) -> Option<Self> {
        let mut parts = key.splitn(3, '|').map(Key::from);
        Some(Self { resource: parts.next()?, namespace: parts.next()?, name: parts.next()? })
    }
}

/// An edge, seen from the owner.
#[derive(Clone, Debug)]
pub(super) struct Dependent {
    pub(super) id: Id,
    /// Its owner must not go before it in a foreground deletion.
    pub(super) blocks: bool,
}

/// Edges from owners' uids to their dependents.
#[derive(Debug, Default)]
pub(super) struct Graph {
    edges: Mutex<HashMap<Key, BTreeMap<Id, bool>>>,
}

impl Graph {
    pub(super) fn replace_owners(&self, id: &Id, before: &[Value], after: &[Value]) {
        let mut edges = self.edges.lock();
        for owner in before {
            let uid = owner.str_at(&["uid"]);
            if let Some(dependents) = edges.get_mut(uid) {
                dependents.remove(id);
                if dependents.is_empty() {
                    edges.remove(uid);
                }
            }
        }
        for owner in after {
            let dependents = edges.entry(owner.str_at(&["uid"]).into()).or_default();
            dependents.insert(id.clone(), owner.bool_at(&["blockOwnerDeletion"]));
        }
    }

    pub(super) fn dependents(&self, uid: &str) -> Vec<Dependent> {
        let edges = self.edges.lock();
        let of_owner = edges.get(uid).into_iter().flatten();
        of_owner.map(|(id, blocks)| Dependent { id: id.clone(), blocks: *blocks }).collect()
    }
}
