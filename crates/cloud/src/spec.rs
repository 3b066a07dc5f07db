//! What is desired of a node pool, and what there is.

use std::collections::BTreeMap;

use drydock_cloud_api::InstanceState;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{MachinePhase, Reservation};

/// What a pool should be. The caller has validated names, labels and taints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolSpec {
    /// Unique in the cluster; a DNS label or what the front door allows.
    pub name: String,
    pub size: u32,
    pub instance_type: String,
    /// The kubelets' version: `v1.36.0`.
    pub version: String,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub taints: Vec<Taint>,
    /// Where machines are spread; empty for all zones of the region.
    #[serde(default)]
    pub zones: Vec<String>,
    /// The user's tags on the machines.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// What only the provider knows; see `LaunchRequest::params`.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    #[serde(default)]
    pub kubelet: KubeletMode,
    #[serde(default)]
    pub spot: bool,
    /// None for what the instance type allows.
    #[serde(default)]
    pub max_pods: Option<u32>,
    /// How much of a node the system keeps.
    #[serde(default)]
    pub reservation: Reservation,
    /// How long a drain may take before the machine is terminated regardless, seconds of the tenant's clock.
    #[serde(default = "default_drain_timeout")]
    pub drain_timeout_seconds: u32,
    /// What the machines boot with. Matters to external kubelets.
    #[serde(default)]
    pub user_data: String,
}

fn default_drain_timeout() -> u32 {
    900
}

impl PoolSpec {
    /// A pool with defaults for all but these.
    pub fn new(name: &str, size: u32, instance_type: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            size,
            instance_type: instance_type.to_owned(),
            version: version.to_owned(),
            labels: BTreeMap::new(),
            taints: Vec::new(),
            zones: Vec::new(),
            tags: BTreeMap::new(),
            params: BTreeMap::new(),
            kubelet: KubeletMode::default(),
            spot: false,
            max_pods: None,
            reservation: Reservation::default(),
            drain_timeout_seconds: default_drain_timeout(),
            user_data: String::new(),
        }
    }
}

/// A taint of core/v1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taint {
    pub key: String,
    #[serde(default)]
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule`, `NoExecute`.
    pub effect: String,
}

/// Whose kubelets run on a pool's machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KubeletMode {
    /// The service's own, through [`crate::NodeAgents`].
    #[default]
    Simulated,
    /// The machine's: it boots, joins by its user data, and nobody here speaks for it.
    External,
    /// Real containers on this machine, through [`crate::NodeAgents`].
    Cri,
}

/// Where a pool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PoolState {
    /// On the way to its size for the first time since it was set.
    #[default]
    Creating,
    /// Its size, and every node ready.
    Active,
    /// On the way to another size, or replacing machines.
    Updating,
    /// The cloud does not do what it should; tried again by itself. See [`PoolStatus::reason`].
    Degraded,
    Deleting,
    /// Nothing is left in the cloud. [`crate::NodePools::forget`] removes the entry.
    Deleted,
}

/// What a pool is. Published on every change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolStatus {
    pub state: PoolState,
    pub counts: Counts,
    /// Why it is degraded, or not going on; None when all is well.
    pub reason: Option<PoolReason>,
    /// All machines on record, the oldest first.
    pub machines: Vec<MachineStatus>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub desired: u32,
    /// Machines that exist and are not on their way out.
    pub current: u32,
    /// Of these, those whose Node is Ready and initialised.
    pub ready: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolReason {
    /// A `CloudErrorKind`'s name, or `PodEvictionFailure`, `RecordsUnavailable`, `AgentFailure`.
    pub code: String,
    pub message: String,
    pub since: Timestamp,
    /// When it is tried again.
    pub next_attempt: Option<Timestamp>,
}

/// One machine of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineStatus {
    /// "" until the cloud has answered.
    pub instance_id: String,
    pub node_name: String,
    pub provider_id: String,
    pub zone: String,
    pub instance_type: String,
    pub version: String,
    pub phase: MachinePhase,
    /// As last seen in the cloud.
    pub instance_state: Option<InstanceState>,
    /// Its Node is Ready and initialised.
    pub ready: bool,
    pub created_at: Timestamp,
    /// While it drains: pods that are left, and what holds them.
    pub draining: Option<String>,
}

/// All pools of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodePoolsStatus {
    pub pools: BTreeMap<String, PoolStatus>,
    /// After [`crate::NodePools::release`]: nothing of the cluster is left in the cloud.
    pub released: bool,
    /// Why the release does not go on at the moment.
    pub release_reason: Option<PoolReason>,
}
