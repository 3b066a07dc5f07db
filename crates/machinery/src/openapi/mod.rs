//! OpenAPI documents: `/openapi/v3` and what it lists, and `/openapi/v2`.
//!
//! A document is made from the catalog of its version on its first request, once per process, and shared by all tenants:
//! nothing here is per tenant. Custom resources add documents of their own: [`custom_paths`] describes their operations
//! as the built-in ones', [`document`] puts paths and schemas together, and [`definition_v3`] gives the built-in schemas
//! they refer to. In OpenAPI v2 there is one document for all: [`v2_with`] adds to it.

mod built_in;
mod custom;
mod descriptions;
mod operations;
mod paths;
mod remote;
mod schemas;
mod v2;
mod v2_protobuf;
mod v3;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

pub(crate) use built_in::BuiltInDocuments;
pub use built_in::{index, v2_document, v2_protobuf, v3_document};
pub use custom::{CustomDefinition, V2Addition, v2_addition, v2_with};
pub use operations::{Described, DescribedSubresource};
pub use paths::custom_paths;
pub use remote::v2_part;
pub use schemas::definition_v3;
pub use v3::document;

/// A rendered document.
#[derive(Clone, Debug)]
pub struct Document {
    pub json: Bytes,
    /// Changes with the content; upper-case hexadecimal, as in `?hash=`.
    pub hash: String,
}

impl Document {
    pub fn new(value: &crate::Value) -> Self {
        let json = Bytes::from(value.to_json());
        let hash = content_hash(&json);
        Self { json, hash }
    }
}

/// What upstream says of a field of a built-in type, where descriptions are compiled in.
pub fn description(definition: &str, field: &str) -> Option<&'static str> {
    Some(descriptions::of(definition)?.field(field)).filter(|text| !text.is_empty())
}

/// 128 bits that tell contents apart. Not cryptographic: two FNV-1a runs with different offsets.
fn content_hash(bytes: &[u8]) -> String {
    let fnv = |offset: u64| {
        bytes.iter().fold(offset, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
    };
    format!("{:016X}{:016X}", fnv(0xcbf2_9ce4_8422_2325), fnv(0x6c62_272e_07bb_0142))
}

/// Documents by path, each made once.
type Cache = BTreeMap<String, OnceLock<Arc<Document>>>;
