//! `FieldsV1` trees that are equal, kept once: all pods of a Deployment have the same, and so have the first objects of
//! all clusters.
//!
//! State: a pool of the process. Nobody can tell whether a tree came from it, as trees are never changed in place.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::value::Value;

/// So many distinct trees are kept; then the pool begins anew, so that what nobody uses any more goes.
const KEEP: usize = 1024;

static POOL: LazyLock<Mutex<HashMap<u64, Value>>> = LazyLock::new(Mutex::default);

/// A tree equal to `fields`.
pub(super) fn pooled(fields: Value) -> Value {
    let mut hasher = DefaultHasher::new();
    hash(&fields, &mut hasher);
    let hash = hasher.finish();
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = pool.get(&hash)
        && *known == fields
    {
        return known.clone();
    }
    if pool.len() >= KEEP {
        pool.clear();
    }
    pool.insert(hash, fields.clone());
    fields
}

/// Lets an object that was read from its encoded form share its `managedFields` with others.
pub fn share_managed_fields(object: &mut Value) {
    if object.array_at(&["metadata", "managedFields"]).is_empty() {
        return;
    }
    let Some(entries) = object.at_mut(&["metadata", "managedFields"]).as_array_mut() else { return };
    for entry in entries.make_mut() {
        if let Some(fields) = entry.as_object_mut().and_then(|entry| entry.get_mut("fieldsV1")) {
            *fields = pooled(std::mem::take(fields));
        }
    }
}

fn hash(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Object(map) => {
            map.len().hash(hasher);
            for (key, below) in map.iter() {
                key.hash(hasher);
                hash(below, hasher);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| hash(item, hasher)),
        Value::String(text) => text.hash(hasher),
        // No set has others.
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn equal_managed_fields_are_one_tree() {
        let object = |name: &str| {
            value!({"metadata": {"name": name, "managedFields": [
                {"manager": name, "fieldsV1": {"f:data": {".": {}, "f:of-the-pool-test": {}}}}]}})
        };
        let (mut a, mut b) = (object("a"), object("b"));
        let fields =
            |object: &Value| object.array_at(&["metadata", "managedFields"])[0].get("fieldsV1").cloned();
        share_managed_fields(&mut a);
        share_managed_fields(&mut b);
        assert_eq!((&a, &b), (&object("a"), &object("b")));
        assert!(fields(&a).unwrap().shares_storage(&fields(&b).unwrap()));
    }
}
