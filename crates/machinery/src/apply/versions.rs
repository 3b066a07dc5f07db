//! An object in other versions of its API.

use crate::schema::{Schema, TypeRef};
use crate::value::Value;

/// The versions that an object can be had in.
pub trait Versions {
    /// The object's schema in `api_version`, such as `apps/v1`; None when that version does not exist (any more).
    fn schema(&self, api_version: &str) -> Option<TypeRef<'_>>;

    /// The object in `api_version`, which is not the one that it is in; None when it cannot be converted.
    fn convert(&self, object: &Value, api_version: &str) -> Option<Value>;
}

/// A kind that there is only one version of.
#[derive(Clone, Copy, Debug)]
pub struct OneVersion<'a> {
    pub api_version: &'a str,
    pub schema: &'a Schema,
}

impl Versions for OneVersion<'_> {
    fn schema(&self, api_version: &str) -> Option<TypeRef<'_>> {
        (api_version == self.api_version).then(|| self.schema.root())
    }

    fn convert(&self, _: &Value, _: &str) -> Option<Value> {
        None
    }
}
