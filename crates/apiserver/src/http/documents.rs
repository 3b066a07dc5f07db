//! Documents that are made once per set of resources: aggregated discovery, OpenAPI.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use drydock_machinery::Catalog;
use drydock_machinery::openapi::{self, Document, V2Addition};
use parking_lot::Mutex;

use crate::aggregation::Aggregation;
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
    v2: Mutex<Option<KeptV2>>,
}

/// What there is to add to the one document of OpenAPI v2, and of what it was made.
#[derive(Debug)]
struct KeptV2 {
    custom: Arc<CustomDocuments>,
    remote: u64,
    addition: Option<Arc<V2Addition>>,
}

/// OpenAPI of custom resources.
#[derive(Debug, Default)]
pub(crate) struct CustomDocuments {
    /// By path.
    pub(crate) v3: BTreeMap<String, Arc<Document>>,
    /// What they describe.
    pub(crate) resources: Vec<Arc<Resource>>,
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

    /// What this cluster adds to the one document of OpenAPI v2; None when that is nothing.
    pub(crate) fn v2_addition(
        &self,
        catalog: &'static Catalog,
        aggregation: &Aggregation,
    ) -> Option<Arc<V2Addition>> {
        let (custom, generation) = (self.custom_openapi(), aggregation.generation());
        let mut kept = self.v2.lock();
        if let Some(kept) = kept.as_ref()
            && Arc::ptr_eq(&kept.custom, &custom)
            && kept.remote == generation
        {
            return kept.addition.clone();
        }
        let remote = aggregation.swaggers();
        let addition = (!custom.resources.is_empty() || !remote.is_empty()).then(|| {
            let custom = crate::definitions::openapi_v2(&custom.resources);
            Arc::new(openapi::v2_addition(catalog, &custom, remote.iter().map(|part| &**part)))
        });
        *kept = Some(KeptV2 { custom, remote: generation, addition: addition.clone() });
        addition
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
