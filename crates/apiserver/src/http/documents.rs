//! Discovery and OpenAPI documents, made once per set of resources.

#[derive(Debug, Default)]
pub(crate) struct Documents {}
