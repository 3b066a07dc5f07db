//! Documents that are made once per set of resources: aggregated discovery, OpenAPI.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use drydock_machinery::openapi::{Document, V2Addition};
use parking_lot::Mutex;

use crate::resources::Resource;

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

/// OpenAPI of custom resources.
#[derive(Debug, Default)]
pub(crate) struct CustomDocuments {
    /// By path.
    pub(crate) v3: BTreeMap<String, Arc<Document>>,
    /// What [`CustomDocuments::v2`] is made of.
    pub(crate) resources: Vec<Arc<Resource>>,
    v2: OnceLock<V2Addition>,
}

impl CustomDocuments {
    pub(crate) fn new(v3: BTreeMap<String, Arc<Document>>, resources: Vec<Arc<Resource>>) -> Self {
        Self { v3, resources, v2: OnceLock::new() }
    }

    /// What there is to add to the one document of OpenAPI v2; made on first use.
    pub(crate) fn v2(&self) -> Option<&V2Addition> {
        if self.resources.is_empty() {
            return None;
        }
        Some(self.v2.get_or_init(|| crate::definitions::openapi_v2(&self.resources)))
    }
}

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
