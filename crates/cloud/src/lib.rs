//! Node pools and the cloud controller manager, written once over the provider seam, per tenant.
//!
//! * [`NodePools`] makes a cluster's machines follow its pools' specs: launches, replaces, drains, terminates,
//!   releases, and says how it goes ([`PoolStatus`]). It owns the cluster's [`MachineRecord`]s, which it keeps through
//!   [`PoolRecords`] so that a kill at any moment neither leaks nor doubles a machine.
//! * [`CloudControllerManager`] is Kubernetes' own: it initialises Nodes, deletes those whose machine is gone, taints
//!   those whose machine is stopped, and gives Services load balancers and pod networks routes.
//! * [`start_storage`] stands for the cloud's disk driver: a default StorageClass, and volumes for claims.
//!
//! They meet in the cloud and in the API only, as in a real managed cluster: either can be replaced.
//!
//! Absent: anything of a particular cloud, the kubelets themselves ([`NodeAgents`] is their seam), and the intent:
//! pools are desired by whoever calls [`NodePools::set`].

mod agents;
mod capacity;
pub mod ccm;
mod pace;
mod pools;
mod records;
mod spec;
mod storage;
#[cfg(test)]
mod testing;

pub use agents::{AgentError, AgentSpec, NodeAgents};
pub use capacity::{NodeResources, Reservation, node_resources};
pub use ccm::{CcmConfig, CloudControllerManager};
pub use pools::{NodePools, NodePoolsConfig, release_remains};
pub use records::{MachinePhase, MachineRecord, MemoryRecords, PoolRecords, RecordsError};
pub use spec::{
    Counts, KubeletMode, MachineStatus, NodePoolsStatus, PoolReason, PoolSpec, PoolState, PoolStatus, Taint,
};
pub use storage::{StorageConfig, start as start_storage};

/// The label that every node of a pool carries, with the pool's name.
pub const NODE_POOL_LABEL: &str = "drydock.dev/node-pool";
/// The taint that a kubelet under an external cloud provider registers with, until the cloud node controller has
/// initialised the node.
pub const UNINITIALIZED_TAINT: &str = "node.cloudprovider.kubernetes.io/uninitialized";
/// The taint of a node whose machine is stopped.
pub const SHUTDOWN_TAINT: &str = "node.cloudprovider.kubernetes.io/shutdown";
