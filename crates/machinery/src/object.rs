//! A whole API object at one revision.

use std::ops::Deref;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::json;
use crate::names::GroupVersionKind;
use crate::value::{Map, Value, write_json_string};

/// An immutable API object, shared as `Arc<Object>` by the watch cache, informers, controllers and the scheduler.
///
/// Invariant: the tree has `apiVersion`, `kind` and `metadata.resourceVersion`, and the latter is `revision`.
/// To change an object take its [`Object::value`], clone it (O(1)), write to the clone and send that to the API.
#[derive(Debug)]
pub struct Object {
    value: Value,
    revision: u64,
    encoded: OnceLock<Encoded>,
    was_sent: AtomicBool,
}

/// An object's JSON.
#[derive(Debug)]
enum Encoded {
    /// Of a built-in kind: without the opening brace, `kind` and `apiVersion`, which come first.
    Rest(Box<[u8]>),
    Whole(Box<[u8]>),
}

impl Object {
    /// Stamps `revision` into the tree's `metadata.resourceVersion`.
    pub fn new(mut value: Value, revision: u64) -> Self {
        value.set(&["metadata", "resourceVersion"], revision.to_string());
        Self { value, revision, encoded: OnceLock::new(), was_sent: AtomicBool::new(false) }
    }

    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The store revision at which this version of the object was written.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Appends the whole object as JSON.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match self.kept() {
            Some(Encoded::Whole(json)) => out.extend_from_slice(json),
            Some(Encoded::Rest(rest)) => {
                self.write_head(out);
                out.extend_from_slice(rest);
            }
            None => match json::kind_of(&self.value) {
                Some(kind) => {
                    self.write_head(out);
                    json::write_rest(&self.value, kind, out);
                }
                None => json::write(&self.value, out),
            },
        }
    }

    /// Appends the object as its list has it: built-in kinds without `kind` and `apiVersion`.
    pub fn write_item(&self, out: &mut Vec<u8>) {
        match self.kept() {
            Some(Encoded::Whole(json)) => out.extend_from_slice(json),
            Some(Encoded::Rest(rest)) => {
                out.push(b'{');
                out.extend_from_slice(rest);
            }
            None => match json::kind_of(&self.value) {
                Some(kind) => {
                    out.push(b'{');
                    json::write_rest(&self.value, kind, out);
                }
                None => json::write(&self.value, out),
            },
        }
    }

    fn write_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"kind\":");
        write_json_string(self.kind(), out);
        out.extend_from_slice(b",\"apiVersion\":");
        write_json_string(self.api_version(), out);
        out.push(b',');
    }

    /// The JSON, kept from the second use on: most objects are sent once, to whom wrote them, and not again for long.
    fn kept(&self) -> Option<&Encoded> {
        if let Some(kept) = self.encoded.get() {
            return Some(kept);
        }
        if !self.was_sent.swap(true, Ordering::Relaxed) {
            return None;
        }
        Some(self.encoded.get_or_init(|| {
            let mut out = Vec::with_capacity(512);
            match json::kind_of(&self.value) {
                Some(kind) => {
                    json::write_rest(&self.value, kind, &mut out);
                    Encoded::Rest(out.into_boxed_slice())
                }
                None => {
                    json::write(&self.value, &mut out);
                    Encoded::Whole(out.into_boxed_slice())
                }
            }
        }))
    }
}

impl Deref for Object {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}

/// The fields that every object has. Absent strings read as "".
pub trait ObjectMeta {
    fn api_version(&self) -> &str;
    fn kind(&self) -> &str;
    fn gvk(&self) -> GroupVersionKind;
    fn name(&self) -> &str;
    fn namespace(&self) -> &str;
    fn uid(&self) -> &str;
    fn resource_version(&self) -> &str;
    fn generation(&self) -> i64;
    fn labels(&self) -> &Map;
    fn label(&self, key: &str) -> Option<&str>;
    fn annotations(&self) -> &Map;
    fn annotation(&self, key: &str) -> Option<&str>;
    /// RFC 3339, as stored.
    fn creation_timestamp(&self) -> &str;
    /// RFC 3339, when deletion was asked for.
    fn deletion_timestamp(&self) -> Option<&str>;
    fn is_deleting(&self) -> bool;
    fn finalizers(&self) -> impl Iterator<Item = &str>;
    fn owner_references(&self) -> &[Value];
    /// The owner reference with `controller: true`.
    fn controller_ref(&self) -> Option<&Value>;
    /// `namespace/name`, or `name` for cluster-scoped objects.
    fn key(&self) -> String;
}

impl ObjectMeta for Value {
    fn api_version(&self) -> &str {
        self.str_at(&["apiVersion"])
    }

    fn kind(&self) -> &str {
        self.str_at(&["kind"])
    }

    fn gvk(&self) -> GroupVersionKind {
        GroupVersionKind::from_api_version(self.api_version(), self.kind())
    }

    fn name(&self) -> &str {
        self.str_at(&["metadata", "name"])
    }

    fn namespace(&self) -> &str {
        self.str_at(&["metadata", "namespace"])
    }

    fn uid(&self) -> &str {
        self.str_at(&["metadata", "uid"])
    }

    fn resource_version(&self) -> &str {
        self.str_at(&["metadata", "resourceVersion"])
    }

    fn generation(&self) -> i64 {
        self.i64_at(&["metadata", "generation"]).unwrap_or(0)
    }

    fn labels(&self) -> &Map {
        self.object_at(&["metadata", "labels"])
    }

    fn label(&self, key: &str) -> Option<&str> {
        self.labels().get(key).and_then(Value::as_str)
    }

    fn annotations(&self) -> &Map {
        self.object_at(&["metadata", "annotations"])
    }

    fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations().get(key).and_then(Value::as_str)
    }

    fn creation_timestamp(&self) -> &str {
        self.str_at(&["metadata", "creationTimestamp"])
    }

    fn deletion_timestamp(&self) -> Option<&str> {
        self.at(&["metadata", "deletionTimestamp"]).and_then(Value::as_str)
    }

    fn is_deleting(&self) -> bool {
        self.deletion_timestamp().is_some()
    }

    fn finalizers(&self) -> impl Iterator<Item = &str> {
        self.array_at(&["metadata", "finalizers"]).iter().filter_map(Value::as_str)
    }

    fn owner_references(&self) -> &[Value] {
        self.array_at(&["metadata", "ownerReferences"])
    }

    fn controller_ref(&self) -> Option<&Value> {
        self.owner_references().iter().find(|owner| owner.bool_at(&["controller"]))
    }

    fn key(&self) -> String {
        match self.namespace() {
            "" => self.name().to_owned(),
            namespace => [namespace, "/", self.name()].concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn the_encoded_object_is_the_tree_with_its_revision() {
        let tree =
            value!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}});
        let object = Object::new(tree, 7);
        let written = |write: fn(&Object, &mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&object, &mut out);
            String::from_utf8(out).unwrap()
        };
        let first = written(Object::write_json);
        assert_eq!(Value::from_json(first.as_bytes()).unwrap(), *object.value());
        assert_eq!(object.resource_version(), "7");
        assert!(first.starts_with(r#"{"kind":"ConfigMap","apiVersion":"v1","metadata""#));
        // From now on the encoded form is kept.
        assert_eq!(written(Object::write_json), first);
        assert_eq!(
            written(Object::write_item),
            first.replace(r#""kind":"ConfigMap","apiVersion":"v1","#, "")
        );
    }
}
