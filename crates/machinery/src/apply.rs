//! Server-side apply and managed fields: who set which field, and what happens when two want the same.
//!
//! [`FieldManager`] is the entry point. Below it, in upstream's layers: [`FieldSet`] (paths, and their `FieldsV1`
//! form), the typed walks over the schema form (validate, field set of a value, compare, merge, remove), the updater
//! (structured-merge-diff's `merge`), and the managers around it (apimachinery's `util/managedfields`).
//!
//! Everything is a pure function of its arguments; time comes in as an argument. The result of an apply is a tree
//! that the caller still has to decode, default and validate.

mod compare;
mod conflict;
mod created;
mod empty;
mod ensure;
mod field_set;
mod manage;
mod managed;
mod merge;
mod overlay;
mod path;
mod pool;
mod reconcile;
mod remove;
mod scale;
mod serialize;
mod set;
mod timestamps;
mod typed;
mod updater;
mod validate;
mod versions;

pub use manage::{FieldManager, manager_or_user_agent};
pub use overlay::overlay;
pub use path::{Path, PathElement};
pub(crate) use pool::fields_json;
pub use pool::share_managed_fields;
pub use scale::{ScaleFields, scale_to_parent, scale_to_subresource};
pub use serialize::FieldsError;
pub use set::FieldSet;
pub use timestamps::revert_timestamps_of_no_change;
pub use versions::{OneVersion, Versions};

#[cfg(test)]
mod tests;
