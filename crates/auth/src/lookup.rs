//! What authentication, authorization and admission read of a cluster.

use std::sync::Arc;

use drydock_machinery::Object;

/// Reads the watch cache. What a writer was told is written is seen here.
pub trait Reader: Send + Sync {
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Object>>;

    /// All objects of a resource, in key order; of one namespace unless that is "".
    fn list(&self, group: &str, resource: &str, namespace: &str) -> Vec<Arc<Object>>;

    /// A number that changes whenever any object of the resource changes: what was derived from a list is good as
    /// long as this is the same. The provided one walks the list; a cache that knows its last change should say so.
    fn version(&self, group: &str, resource: &str) -> u64 {
        let objects = self.list(group, resource, "");
        let latest = objects.iter().map(|object| object.revision()).max().unwrap_or(0);
        latest.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(objects.len() as u64)
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use std::collections::BTreeMap;

    use drydock_machinery::{ObjectMeta, Value};

    use super::*;

    /// Objects by resource, for tests of this crate.
    #[derive(Default)]
    pub(crate) struct Objects(BTreeMap<(String, String, String), Arc<Object>>);

    impl Objects {
        pub(crate) fn put(&mut self, resource: &str, object: Value) {
            let key = (resource.to_owned(), object.namespace().to_owned(), object.name().to_owned());
            let revision = self.0.values().map(|object| object.revision()).max().unwrap_or(0) + 1;
            self.0.insert(key, Arc::new(Object::new(object, revision)));
        }

        pub(crate) fn remove(&mut self, resource: &str, namespace: &str, name: &str) {
            self.0.remove(&(resource.to_owned(), namespace.to_owned(), name.to_owned()));
        }
    }

    impl Reader for Objects {
        fn get(&self, _group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Object>> {
            self.0.get(&(resource.to_owned(), namespace.to_owned(), name.to_owned())).cloned()
        }

        fn list(&self, _group: &str, resource: &str, namespace: &str) -> Vec<Arc<Object>> {
            let wanted = |key: &&(String, String, String)| {
                key.0 == resource && (namespace.is_empty() || key.1 == namespace)
            };
            self.0.keys().filter(wanted).map(|key| self.0[key].clone()).collect()
        }
    }
}
