//! Documents that are made once per set of resources: aggregated discovery, OpenAPI.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
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
