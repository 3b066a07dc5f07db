//! Services' endpoints: `Endpoints`, `EndpointSlice`s, and slices that mirror hand-made `Endpoints`.
//!
//! The three controllers share how a pod becomes an endpoint ([`service`]); each owns what it writes.

mod legacy;
mod mirroring;
mod order;
mod reconcile;
mod service;
mod slices;
mod trigger;

pub(crate) use legacy::start;
pub(crate) use mirroring::start as start_mirroring;
pub(crate) use slices::start as start_slices;

/// When what an object shows last changed.
const TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";
const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";
const MANAGED_BY_SLICE: &str = "endpointslice.kubernetes.io/managed-by";
const SERVICE_NAME: &str = "kubernetes.io/service-name";
