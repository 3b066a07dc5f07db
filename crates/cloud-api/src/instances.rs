//! Machines, one by one.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::{CloudError, CloudErrorKind};

/// Who owns a cloud resource: everything of one cluster can be found by it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct ClusterRef {
    /// Unique over time, also when a name is used again.
    pub uid: String,
    /// Where the cluster is at home, where a cloud has more places than regions: an Azure subscription and resource group,
    /// a GCP project. What a provider was configured with if it has one only.
    pub account: String,
    pub name: String,
    pub region: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceState {
    Pending,
    Running,
    Stopping,
    Stopped,
    ShuttingDown,
    Terminated,
    /// The cloud could not make it, or gave it up, and it will not get better; it is still there, to be terminated.
    /// [`Instance::failure`] says why.
    Failed,
}

impl InstanceState {
    /// Whether the machine is on its way out for good, or gone.
    pub fn is_ending(self) -> bool {
        matches!(self, Self::ShuttingDown | Self::Terminated)
    }
}

/// A machine, as the cloud describes it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Instance {
    /// The cloud's own: `i-0abc…`.
    pub id: String,
    /// As `spec.providerID` has it: `aws:///us-east-1a/i-0abc…`.
    pub provider_id: String,
    /// What its Node is called: the private DNS name on AWS. Never changes, but a cloud may forget it ("") of a machine
    /// that is terminated.
    pub node_name: String,
    /// The pool it was launched for, "" when the cloud does not say.
    pub node_pool: String,
    pub state: InstanceState,
    pub instance_type: String,
    pub zone: String,
    pub region: String,
    pub addresses: Vec<Address>,
    pub tags: BTreeMap<String, String>,
    /// The idempotency token it was launched with, "" when unknown.
    pub client_token: String,
    /// Why the cloud by itself failed or ended it, where it says so: capacity that ran out after the launch was
    /// answered, a disk that cannot be decrypted, a spot machine that is wanted back. None when somebody ended it.
    pub failure: Option<InstanceFailure>,
}

/// Why the cloud failed or ended a machine.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct InstanceFailure {
    pub kind: CloudErrorKind,
    /// The cloud's own words, with its code.
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Address {
    pub kind: AddressKind,
    pub address: String,
}

/// `NodeAddressType` of core/v1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum AddressKind {
    InternalIP,
    ExternalIP,
    InternalDNS,
    ExternalDNS,
    Hostname,
}

impl AddressKind {
    /// As `status.addresses[].type` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InternalIP => "InternalIP",
            Self::ExternalIP => "ExternalIP",
            Self::InternalDNS => "InternalDNS",
            Self::ExternalDNS => "ExternalDNS",
            Self::Hostname => "Hostname",
        }
    }
}

/// What an instance type has.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct InstanceType {
    pub name: String,
    pub cpu_millis: u64,
    pub memory_bytes: u64,
    /// GPUs and the like: extended resource name to count.
    pub extended: BTreeMap<String, u64>,
    /// As `kubernetes.io/arch` has it: `amd64`, `arm64`.
    pub architecture: String,
    /// What the cloud's own agent allows by its network interfaces.
    pub max_pods: u32,
}

/// One machine to make.
#[derive(Clone, Debug)]
pub struct LaunchRequest {
    pub cluster: ClusterRef,
    pub node_pool: String,
    /// Stable for this wanted machine: launching again with it answers the same machine and makes no second one.
    /// 1 to 64 characters of `[A-Za-z0-9-]`.
    pub client_token: String,
    pub instance_type: String,
    /// None leaves the choice to the cloud.
    pub zone: Option<String>,
    /// The user's own tags; the provider adds those that mark the owner.
    pub tags: BTreeMap<String, String>,
    /// What the machine boots with, not base64-encoded.
    pub user_data: String,
    pub spot: bool,
    /// What only this provider knows: `image`, `subnet`, `keyName`. Unknown keys are ignored.
    pub params: BTreeMap<String, String>,
}

/// What all instances of a pool share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolRequest {
    pub cluster: ClusterRef,
    pub node_pool: String,
    pub instance_type: String,
    pub tags: BTreeMap<String, String>,
    pub user_data: String,
    pub zones: Vec<String>,
    pub spot: bool,
    /// As [`LaunchRequest::params`].
    pub params: BTreeMap<String, String>,
}

/// Machines one by one.
#[async_trait]
pub trait Instances: Send + Sync {
    /// Makes what all instances of a pool share (network, security group, launch template) unless it is there, and
    /// brings it up to date with the request. Answers the zones that its instances can go to, of those asked for if any;
    /// none where there is no choice of zones.
    ///
    /// # Errors
    /// `InvalidRequest` for an instance type or parameter that the cloud does not know, or a network it cannot use.
    /// `InProgress` where making it takes the cloud a while.
    async fn prepare_pool(&self, pool: &PoolRequest) -> Result<Vec<String>, CloudError>;

    /// Removes what [`Instances::prepare_pool`] made for the pool. Succeeds when nothing is left. Does not touch the
    /// pool's instances.
    async fn release_pool(&self, cluster: &ClusterRef, node_pool: &str) -> Result<(), CloudError>;

    /// Removes what all pools of a cluster share, and what is left of its pools. Succeeds when nothing is left. Does not
    /// touch instances.
    ///
    /// # Errors
    /// `InUse` while instances that use it are still shutting down: ask again.
    async fn release_cluster(&self, cluster: &ClusterRef) -> Result<(), CloudError>;

    /// Makes a machine, unless one was made with this `client_token` before: then answers that one, also when it is
    /// terminated by now and the cloud still knows it. Needs [`Instances::prepare_pool`] first.
    ///
    /// # Errors
    /// `InvalidRequest`, `InsufficientCapacity`, `QuotaExceeded` and `Unauthorized` mean that nothing was made. After
    /// any other error a machine may exist: launch again with the same token. A cloud that finds out later, in an
    /// operation of its own, answers the machine as `Pending` and describes it as `Failed` or `Terminated`, with the
    /// failure, once it knows.
    async fn launch(&self, request: &LaunchRequest) -> Result<Instance, CloudError>;

    /// Every instance of the cluster, of all its pools, that is not `Terminated`. May lag behind
    /// [`Instances::launch`] by some seconds where the cloud does.
    async fn list(&self, cluster: &ClusterRef) -> Result<Vec<Instance>, CloudError>;

    /// By the cloud's own id. None when the cloud does not know it (any more), or when it is another cluster's.
    async fn get(&self, cluster: &ClusterRef, id: &str) -> Result<Option<Instance>, CloudError>;

    /// Starts the termination. Succeeds when the instance is gone already, or never was.
    async fn terminate(&self, cluster: &ClusterRef, id: &str) -> Result<(), CloudError>;

    /// # Errors
    /// `InvalidRequest` when the region has no type of that name.
    async fn instance_type(&self, region: &str, name: &str) -> Result<InstanceType, CloudError>;
}
