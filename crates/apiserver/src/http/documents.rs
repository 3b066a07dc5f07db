//! Documents that are made once per set of resources: aggregated discovery, OpenAPI.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use drydock_machinery::openapi::{self, Document};
use parking_lot::Mutex;

use crate::definitions::openapi_v2;
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

/// OpenAPI documents of custom resources.
#[derive(Default)]
pub(crate) struct CustomDocuments {
    /// By path.
    pub(crate) v3: BTreeMap<String, Arc<Document>>,
    resources: Vec<Arc<Resource>>,
    v2: OnceLock<Document>,
    v2_protobuf: OnceLock<Bytes>,
}

impl CustomDocuments {
    pub(crate) fn new(v3: BTreeMap<String, Arc<Document>>, resources: Vec<Arc<Resource>>) -> Self {
        Self { v3, resources, ..Self::default() }
    }

    /// The document of all resources, the built-in ones and these; None when there are none of these. Made on first
    /// use.
    pub(crate) fn v2(&self) -> Option<&Document> {
        let make = || Document::new(&openapi_v2::document(&self.resources));
        (!self.resources.is_empty()).then(|| self.v2.get_or_init(make))
    }

    /// The same in protobuf.
    pub(crate) fn v2_protobuf(&self) -> Option<&Bytes> {
        let make = || openapi::encode_v2(&openapi_v2::document(&self.resources));
        (!self.resources.is_empty()).then(|| self.v2_protobuf.get_or_init(make))
    }
}

impl std::fmt::Debug for CustomDocuments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CustomDocuments").field("v3", &self.v3.keys()).finish_non_exhaustive()
    }
}

/// Documents of one generation of the resource table.
#[derive(Debug)]
struct Generation<K, V> {
    number: u64,
    documents: HashMap<K, Arc<V>>,
}

impl<K, V> Default for Generation<K, V> {
    fn default() -> Self {
        Self { number: 0, documents: HashMap::new() }
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
        generation: u64,
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
