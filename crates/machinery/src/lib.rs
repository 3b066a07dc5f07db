//! Pure Kubernetes API machinery: values, schemas, codecs, quantities, selectors, patches, server-side apply.
//!
//! Nothing here does I/O, spawns, or tells the time. The API server, the client, the controllers and the node
//! agents all speak in these types:
//!
//! * [`Value`] is one JSON-shaped tree. Cloning is O(1): arrays and objects are shared until written to.
//! * [`Object`] is a whole API object at one revision, immutable, with its encoded bytes made at most once.
//! * [`Schema`] says what a type's fields are; built-in kinds and custom resources compile to the same form, and
//!   decoding, defaulting, pruning, patching and applying run over it.
//! * [`Status`] is every error that a client can see.
//!
//! Deliberately absent: anything about a particular kind (that is `drydock-kinds`), and typed structs for objects.

#[doc(hidden)]
pub mod __private {
    pub use serde_json::json;
}

pub mod apply;
pub mod catalog;
pub mod cel;
pub mod crd;
pub mod decode;
pub mod defaults;
pub mod document;
mod field_path;
pub mod go_duration;
pub mod go_text;
mod go_url;
pub mod json;
pub mod jsonpath;
pub mod names;
pub mod names_validation;
pub mod object;
pub mod openapi;
pub mod patch;
pub mod protobuf;
pub mod quantity;
pub mod schema;
pub mod selector;
pub mod semantic;
pub mod status;
#[cfg(test)]
mod test_schema;
pub mod value;

pub use catalog::Catalog;
pub use names::{GroupVersionKind, GroupVersionResource};
pub use object::{Object, ObjectMeta};
pub use schema::Schema;
pub use status::{FieldError, FieldErrors, FieldPath, Reason, Status};
pub use value::{Key, Map, Value};
