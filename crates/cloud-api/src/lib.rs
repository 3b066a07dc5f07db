//! The cloud provider seam: capability traits, errors, decorators and the conformance suite.
//!
//! A provider is a set of optional capabilities. Node pools, surge upgrades, repair, the cloud controller manager and
//! the autoscaler are written once over these in `drydock-cloud`; a provider only talks to its cloud. Retries,
//! metrics and faults are [`Layers`] around a provider, not code in it.
//!
//! Rules for every method of every capability:
//! * It is idempotent. Asking for what is already so succeeds; removing what is gone succeeds.
//! * It may be cut off at any await, and the process may die: the next call with the same arguments carries on.
//! * It makes nothing that [`Instances::list`], [`LoadBalancers::list`] or the release calls cannot find by the
//!   cluster's UID alone, so that nothing leaks.
//! * It does not retry and does not wait for a cloud's slow transitions: it answers what the cloud says now.
//!
//! A provider proves this by passing `conformance` (feature `testing`).
//!
//! Deliberately absent: Kubernetes objects and policy. A provider neither sees a cluster's API nor decides when.
//! How Azure, GCP and real containers fit is sketched in `docs/adr/0010-cloud-seam.md`.

use std::sync::Arc;

mod capabilities;
pub mod catalog;
#[cfg(feature = "testing")]
pub mod conformance;
mod error;
mod instances;
mod layers;
mod storage;

pub use capabilities::{
    InstanceGroups, LoadBalancer, LoadBalancerAddress, LoadBalancerPort, LoadBalancerRequest, LoadBalancers,
    Route, Routes, Zones,
};
pub use error::{CloudError, CloudErrorKind};
pub use instances::{
    Address, AddressKind, ClusterRef, Instance, InstanceFailure, InstanceState, InstanceType, Instances,
    LaunchRequest, PoolRequest,
};
pub use layers::{Call, CallCount, CloudMetrics, Faults, Layer, Layers, Operation, Retry, Throttle};
pub use storage::{Storage, StorageClass};

/// A cloud.
pub trait CloudProvider: Send + Sync + 'static {
    /// `mock`, `aws`, `azure`, `gcp`. Mostly the scheme of its provider ids, too.
    fn name(&self) -> &'static str;

    /// What stands before `://` in `spec.providerID`: `aws`, `azure`, `gce`, `mock`.
    fn provider_id_scheme(&self) -> &'static str {
        self.name()
    }

    /// The cloud's own id in a `spec.providerID` of this provider: what follows the last slash, as with most clouds.
    fn instance_id(&self, provider_id: &str) -> Option<String> {
        let rest = provider_id.strip_prefix(self.provider_id_scheme())?.strip_prefix("://")?;
        let id = rest.rsplit('/').next()?;
        (!id.is_empty()).then(|| id.to_owned())
    }

    fn instances(&self) -> Option<Arc<dyn Instances>> {
        None
    }

    fn instance_groups(&self) -> Option<Arc<dyn InstanceGroups>> {
        None
    }

    fn load_balancers(&self) -> Option<Arc<dyn LoadBalancers>> {
        None
    }

    fn routes(&self) -> Option<Arc<dyn Routes>> {
        None
    }

    fn zones(&self) -> Option<Arc<dyn Zones>> {
        None
    }

    /// What its clusters store on; None when claims are left to whoever installs a driver.
    fn storage(&self) -> Option<Storage> {
        None
    }
}
