//! Sets of fields that are equal, and their `FieldsV1` trees, kept once: all pods of a Deployment have the same, and so
//! have the first objects of all clusters. A tree that is in the pool need not be read again, a set not be written.
//!
//! State: a pool of the process. Nobody can tell whether a tree came from it, as trees are never changed in place.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher as _;
use std::sync::{Arc, LazyLock, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;

use super::serialize::FieldsError;
use super::set::FieldSet;
use crate::names::GroupVersionKind;
use crate::value::Value;

/// So many distinct sets are kept; then the pool begins anew, so that what nobody uses any more goes.
const KEEP: usize = 1024;

static POOL: LazyLock<Mutex<Pool>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Pool {
    by_hash: HashMap<u64, Arc<Known>, foldhash::fast::FixedState>,
    /// By the address of the tree, which is in use as long as the entry is.
    by_tree: HashMap<usize, Arc<Known>, foldhash::fast::FixedState>,
    /// What creators of a kind's objects came to own, latest first.
    created: HashMap<GroupVersionKind, VecDeque<Arc<Known>>, foldhash::fast::FixedState>,
}

pub(super) struct Known {
    pub(super) set: FieldSet,
    pub(super) tree: Value,
    /// The tree's JSON, once it has been written.
    json: OnceLock<Bytes>,
}

/// The JSON of a tree that is in the pool: what `write` appends, kept from the first time on. None when it is not.
pub(crate) fn fields_json(tree: &Value, write: impl FnOnce(&mut Vec<u8>)) -> Option<Bytes> {
    let at = tree.storage()?;
    let known = POOL.lock().by_tree.get(&at)?.clone();
    let json = known.json.get_or_init(|| {
        let mut out = Vec::new();
        write(&mut out);
        Bytes::from(out)
    });
    Some(json.clone())
}

/// How many sets are remembered of a kind's creations.
const CREATED: usize = 4;

/// What creators of objects of a built-in kind came to own, latest first.
pub(super) fn created(kind: &GroupVersionKind) -> VecDeque<Arc<Known>> {
    POOL.lock().created.get(kind).cloned().unwrap_or_default()
}

/// Notes what the creator of an object of a built-in kind came to own.
pub(super) fn note_created(kind: &GroupVersionKind, set: &FieldSet) {
    let known = known(set);
    let mut pool = POOL.lock();
    let created = pool.created.entry(kind.clone()).or_default();
    created.retain(|other| !Arc::ptr_eq(other, &known));
    created.truncate(CREATED - 1);
    created.push_front(known);
}

/// The set's tree.
pub(super) fn tree_of(set: &FieldSet) -> Value {
    known(set).tree.clone()
}

/// The set that `tree` is the `FieldsV1` of.
///
/// # Errors
/// When it is of none.
pub(super) fn set_of(tree: &Value) -> Result<FieldSet, FieldsError> {
    if let Some(known) = tree.storage().and_then(|at| POOL.lock().by_tree.get(&at).cloned()) {
        return Ok(known.set.clone());
    }
    FieldSet::from_fields_v1(tree)
}

fn known(set: &FieldSet) -> Arc<Known> {
    // Whoever makes two sets of one hash makes one of them be written anew each time, and no more.
    let hash = foldhash::fast::FixedState::default().hash_one(set);
    let found = POOL.lock().by_hash.get(&hash).cloned();
    if let Some(known) = found
        && known.set == *set
    {
        return known;
    }
    let known = Arc::new(Known { set: set.clone(), tree: set.to_fields_v1(), json: OnceLock::new() });
    let mut pool = POOL.lock();
    if pool.by_hash.len() >= KEEP {
        *pool = Pool::default();
    }
    let replaced = pool.by_hash.insert(hash, known.clone());
    if let Some(at) = replaced.and_then(|replaced| replaced.tree.storage()) {
        pool.by_tree.remove(&at);
    }
    if let Some(at) = known.tree.storage() {
        pool.by_tree.insert(at, known.clone());
    }
    known
}

/// Lets an object that was read from its encoded form share its `managedFields` with others.
pub fn share_managed_fields(object: &mut Value) {
    if object.array_at(&["metadata", "managedFields"]).is_empty() {
        return;
    }
    let Some(entries) = object.at_mut(&["metadata", "managedFields"]).as_array_mut() else { return };
    for entry in entries.make_mut() {
        let Some(fields) = entry.as_object_mut().and_then(|entry| entry.get_mut("fieldsV1")) else {
            continue;
        };
        if let Ok(set) = FieldSet::from_fields_v1(fields) {
            // A tree with something in it that no set has stays as it is.
            fields.share_with(&tree_of(&set));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    fn fields(object: &Value) -> Value {
        object.array_at(&["metadata", "managedFields"])[0].get("fieldsV1").cloned().unwrap()
    }

    #[test]
    fn equal_managed_fields_are_one_tree() {
        let object = |name: &str| {
            value!({"metadata": {"name": name, "managedFields": [
                {"manager": name, "fieldsV1": {"f:data": {".": {}, "f:of-the-pool-test": {}}}}]}})
        };
        let (mut a, mut b) = (object("a"), object("b"));
        share_managed_fields(&mut a);
        share_managed_fields(&mut b);
        assert_eq!((&a, &b), (&object("a"), &object("b")));
        assert!(fields(&a).shares_storage(&fields(&b)));
    }

    #[test]
    fn what_no_set_has_stays_in_its_tree() {
        let object = value!({"metadata": {"managedFields": [{"fieldsV1": {"z:unknown": {}, "f:data": {}}}]}});
        let mut shared = object.clone();
        share_managed_fields(&mut shared);
        assert_eq!(shared, object);
    }

    #[test]
    fn a_tree_of_the_pool_is_the_set_it_was_made_from() {
        let set = FieldSet::of_fields(&[&["spec", "pool-test"], &["spec"]]);
        let tree = tree_of(&set);
        assert_eq!(set_of(&tree).unwrap(), set);
        assert_eq!(set_of(&Value::from_json(&tree.to_json()).unwrap()).unwrap(), set);
    }
}
