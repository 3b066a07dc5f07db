//! Which resources this API server serves, and what it knows of each.
//!
//! Built-in resources are made once per Kubernetes version and shared by all tenants; custom resources are a tenant's
//! own. Both are [`Resource`]s: nothing behind this module asks which one it has, but for [`Resource::custom`].
//!
//! The tenant's set is published whole ([`Resources::table`]); the CRD registrar is its only writer.

mod builtin;
mod table;

use std::sync::Arc;

use drydock_kinds::Strategy;
use drydock_machinery::crd::CustomResource;
use drydock_machinery::crd::columns::Columns;
use drydock_machinery::{GroupVersionKind, GroupVersionResource, Schema, Value};
use drydock_runtime::CancellationToken;

use crate::conversion::Conversion;

pub use builtin::builtin;
pub use table::{GroupInfo, ResourceTable, Resources, VersionInfo};

/// One resource in one served version.
#[derive(Clone)]
pub struct Resource {
    pub gvr: GroupVersionResource,
    pub gvk: GroupVersionKind,
    pub list_kind: String,
    pub singular: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    /// In discovery's order.
    pub verbs: Vec<String>,
    pub subresources: Vec<Subresource>,
    pub source: Source,
    /// What the keys of its objects start with. Two resources may share their objects (events).
    pub prefix: Box<str>,
    /// The version that is stored. Objects of other versions are converted.
    pub storage: GroupVersionKind,
    /// None for kinds without a schema of their own.
    pub schema: Option<Schema>,
    pub strategy: &'static dyn Strategy,
    /// Says how discovery names the storage version; "" for virtual resources.
    pub storage_version_hash: String,
    pub custom: Option<Arc<Custom>>,
}

/// Where a resource's answers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Store,
    /// Nowhere: requests act or are answered at once, as reviews and bindings.
    Request,
    /// The process itself: ComponentStatuses.
    Components,
}

/// `pods/status` and its like.
#[derive(Clone, Debug)]
pub struct Subresource {
    pub name: String,
    pub kind: GroupVersionKind,
    /// Discovery names the kind's group and version.
    pub foreign: bool,
    pub verbs: Vec<String>,
}

/// What only custom resources have.
#[derive(Debug)]
pub struct Custom {
    /// The version's entry of `spec.versions`.
    pub version: Value,
    pub compiled: CustomResource,
    /// Between the definition's versions.
    pub(crate) conversion: Arc<Conversion>,
    /// What objects are pruned to when they are stored.
    pub storage_schema: Schema,
    /// None when a column's path does not parse.
    pub columns: Option<Columns>,
    /// What users of a deprecated version are told.
    pub warning: Option<String>,
    /// `spec.preserveUnknownFields`, of old definitions.
    pub preserve_unknown: bool,
    pub definition_uid: String,
    /// Being deleted: creates are refused.
    pub terminating: bool,
    /// Cancelled once the definition is gone or says otherwise: watches end, and their clients look again.
    pub outdated: CancellationToken,
}

impl Resource {
    pub fn has_verb(&self, verb: &str) -> bool {
        self.verbs.iter().any(|own| own == verb)
    }

    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|sub| sub.name == name)
    }

    pub fn is_stored(&self) -> bool {
        self.source == Source::Store
    }

    pub fn is_storage_version(&self) -> bool {
        self.gvk == self.storage
    }

    /// The kind of the objects that the registry works on: the stored one, but the request's for custom resources.
    pub fn working_kind(&self) -> &GroupVersionKind {
        if self.custom.is_some() { &self.gvk } else { &self.storage }
    }

    /// How messages name it: `deployments.apps`.
    pub fn group_resource(&self) -> String {
        self.gvr.group_resource()
    }
}

impl std::fmt::Debug for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.gvr)
    }
}
