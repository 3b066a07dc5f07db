//! Documents that are made once per set of resources: aggregated discovery, OpenAPI.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use drydock_machinery::openapi::Document;
use parking_lot::Mutex;

/// An aggregated discovery document.
#[derive(Debug)]
pub(crate) struct Aggregated {
    pub(crate) bytes: Bytes,
    pub(crate) etag: String,
}

/// The documents of the newest set of resources.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    aggregated: Mutex<Generation<(bool, &'static str), Aggregated>>,
    custom_openapi: Mutex<Arc<CustomDocuments>>,
}

/// OpenAPI v3 documents of custom resources, by path.
pub(crate) type CustomDocuments = BTreeMap<String, Arc<Document>>;

/// Documents of one generation of the resource table and of other servers' resources.
#[derive(Debug)]
struct Generation<K, V> {
    number: (u64, u64),
    documents: HashMap<K, Arc<V>>,
}

impl<K, V> Default for Generation<K, V> {
    fn default() -> Self {
        Self { number: (0, 0), documents: HashMap::new() }
    }
}

impl Documents {
    /// The OpenAPI documents of the custom resources served now.
    pub(crate) fn custom_openapi(&self) -> Arc<CustomDocuments> {
        self.custom_openapi.lock().clone()
    }

    pub(crate) fn set_custom_openapi(&self, documents: CustomDocuments) {
        *self.custom_openapi.lock() = Arc::new(documents);
    }

    /// The document of this generation, made by `make` if there is none yet.
    pub(crate) fn aggregated(
        &self,
        generation: (u64, u64),
        core: bool,
        version: &'static str,
        make: impl FnOnce() -> Aggregated,
    ) -> Arc<Aggregated> {
        let mut known = self.aggregated.lock();
        if known.number != generation {
            *known = Generation { number: generation, documents: HashMap::new() };
        }
        known.documents.entry((core, version)).or_insert_with(|| Arc::new(make())).clone()
    }
}
