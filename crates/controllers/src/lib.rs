//! The controller manager: one file or folder per controller.
//!
//! Every controller is a work queue fed by shared informers and a reconcile function that re-reads state by key. It holds
//! a client with an identity of its own (`deployment-controller`, …), so RBAC applies to it as upstream. Waiting is on
//! the tenant's Clock; an idle controller is one parked task. State lives in the API server only: what controllers keep
//! (expectations, the garbage collector's graph) can be lost at any moment.
//!
//! Deliberately absent: cloud controllers (`drydock-cloud`), anything that talks to the store, leader election.

mod bootstrap_tokens;
mod certificates;
mod cluster_role_aggregation;
mod context;
mod cron_job;
mod daemon_set;
mod deployment;
mod device_taint_eviction;
mod disruption;
mod endpoints;
mod garbage_collector;
mod horizontal_pod_autoscaler;
mod job;
mod legacy_tokens;
mod namespace;
mod node;
mod replicaset;
mod resource_claim;
mod resource_quota;
mod root_ca;
mod service_account;
mod service_account_tokens;
mod service_cidr;
mod stateful_set;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod ttl_after_finished;
mod util;
mod volume;

pub use certificates::{CertificateSigner, SigningError, SigningRequest};
pub use cluster_role_aggregation::AGGREGATION_MANAGER;
pub use context::{Context, ControllerManager, MANAGER, ManagerConfig};
pub use service_account_tokens::SecretTokens;
