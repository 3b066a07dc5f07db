//! The cloud provider seam: capability traits, errors and the conformance suite.
//!
//! A provider is a set of optional capabilities. Node pools, surge upgrades, repair, the cloud controller manager and
//! the autoscaler are written once over these in `drydock-cloud`; a provider only talks to its cloud. Retries,
//! throttling, metrics and faults are decorators around a provider, not code in it.
//!
//! Deliberately absent: Kubernetes objects and policy. A provider neither sees a cluster's API nor decides when.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

/// A cloud.
pub trait CloudProvider: Send + Sync + 'static {
    /// `mock`, `aws`, `azure`, `gcp`.
    fn name(&self) -> &'static str;

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
}

/// Who owns a cloud resource: everything of one cluster can be found by it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct ClusterRef {
    /// Unique over time, also when a name is used again.
    pub uid: String,
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
}

/// A machine, as the cloud describes it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Instance {
    /// The cloud's own: `i-0abc…`.
    pub id: String,
    /// As `spec.providerID` has it: `aws:///us-east-1a/i-0abc…`.
    pub provider_id: String,
    /// What its Node is called: the private DNS name on AWS.
    pub node_name: String,
    pub state: InstanceState,
    pub instance_type: String,
    pub zone: String,
    pub region: String,
    pub addresses: Vec<Address>,
    pub tags: BTreeMap<String, String>,
    /// The idempotency token it was launched with, "" when unknown.
    pub client_token: String,
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

/// What an instance type has.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct InstanceType {
    pub name: String,
    pub cpu_millis: u64,
    pub memory_bytes: u64,
    /// GPUs and the like: extended resource name to count.
    pub extended: BTreeMap<String, u64>,
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
    pub client_token: String,
    pub instance_type: String,
    pub zone: Option<String>,
    pub tags: BTreeMap<String, String>,
    /// What the machine boots with, not base64-encoded.
    pub user_data: String,
    pub spot: bool,
}

/// Machines one by one.
#[async_trait]
pub trait Instances: Send + Sync {
    /// Makes what all instances of a pool share (network, security group, launch template) unless it is there.
    async fn prepare_pool(&self, pool: &PoolRequest) -> Result<(), CloudError>;

    /// Removes what [`Instances::prepare_pool`] made for the pool. Succeeds when nothing is left.
    async fn release_pool(&self, cluster: &ClusterRef, node_pool: &str) -> Result<(), CloudError>;

    /// Removes what all pools of a cluster share. Succeeds when nothing is left.
    async fn release_cluster(&self, cluster: &ClusterRef) -> Result<(), CloudError>;

    async fn launch(&self, request: &LaunchRequest) -> Result<Instance, CloudError>;

    /// Every instance of the cluster that is not long terminated, of all its pools.
    async fn list(&self, cluster: &ClusterRef) -> Result<Vec<Instance>, CloudError>;

    /// By the cloud's own id. None when the cloud does not know it (any more).
    async fn get(&self, cluster: &ClusterRef, id: &str) -> Result<Option<Instance>, CloudError>;

    /// Succeeds when the instance is gone already.
    async fn terminate(&self, cluster: &ClusterRef, id: &str) -> Result<(), CloudError>;

    async fn instance_type(&self, region: &str, name: &str) -> Result<InstanceType, CloudError>;
}

/// What all instances of a pool share.
#[derive(Clone, Debug)]
pub struct PoolRequest {
    pub cluster: ClusterRef,
    pub node_pool: String,
    pub instance_type: String,
    pub tags: BTreeMap<String, String>,
    pub user_data: String,
    pub zones: Vec<String>,
}

/// Groups that the cloud keeps at a size by itself (Auto Scaling groups, scale sets, managed instance groups).
#[async_trait]
pub trait InstanceGroups: Send + Sync {
    async fn ensure(&self, pool: &PoolRequest, size: u32) -> Result<(), CloudError>;
    async fn remove_instance(
        &self,
        cluster: &ClusterRef,
        node_pool: &str,
        id: &str,
    ) -> Result<(), CloudError>;
    async fn delete(&self, cluster: &ClusterRef, node_pool: &str) -> Result<(), CloudError>;
}

/// What `Service` of type LoadBalancer needs.
#[async_trait]
pub trait LoadBalancers: Send + Sync {
    /// Creates or updates; answers the addresses to publish. Idempotent by `name`.
    async fn ensure(&self, balancer: &LoadBalancerRequest) -> Result<Vec<LoadBalancerAddress>, CloudError>;
    async fn delete(&self, cluster: &ClusterRef, name: &str) -> Result<(), CloudError>;
}

#[derive(Clone, Debug)]
pub struct LoadBalancerRequest {
    pub cluster: ClusterRef,
    /// `a` and the Service's UID without dashes, 32 characters at most.
    pub name: String,
    pub namespace: String,
    pub service: String,
    pub ports: Vec<LoadBalancerPort>,
    /// Instance ids that take traffic.
    pub instances: Vec<String>,
    pub annotations: BTreeMap<String, String>,
    pub internal: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadBalancerPort {
    pub name: String,
    pub protocol: String,
    pub port: u16,
    pub node_port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadBalancerAddress {
    Ip(String),
    Hostname(String),
}

/// Pod CIDRs in the cloud's route tables.
#[async_trait]
pub trait Routes: Send + Sync {
    async fn list(&self, cluster: &ClusterRef) -> Result<Vec<Route>, CloudError>;
    async fn create(&self, cluster: &ClusterRef, route: &Route) -> Result<(), CloudError>;
    async fn delete(&self, cluster: &ClusterRef, route: &Route) -> Result<(), CloudError>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub name: String,
    pub target_instance: String,
    pub destination_cidr: String,
    pub blackhole: bool,
}

#[async_trait]
pub trait Zones: Send + Sync {
    async fn regions(&self) -> Result<Vec<String>, CloudError>;
    async fn zones(&self, region: &str) -> Result<Vec<String>, CloudError>;
}

/// Why a cloud did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct CloudError {
    pub kind: CloudErrorKind,
    /// The provider's call that failed: `RunInstances`.
    pub operation: &'static str,
    /// The cloud's own words, with its error code.
    pub message: String,
    /// When the cloud said how long to wait.
    pub retry_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloudErrorKind {
    /// No answer: connection refused, DNS, time-out.
    Unreachable,
    /// Slow down.
    Throttled,
    /// The cloud failed on its side.
    Internal,
    /// No such capacity now; another zone or type may have it.
    InsufficientCapacity,
    /// An account limit.
    QuotaExceeded,
    /// Credentials or permissions.
    Unauthorized,
    NotFound,
    /// The request will never succeed as it is: unknown type, bad name.
    InvalidRequest,
    /// Something else holds it: a security group still in use.
    InUse,
    Unsupported,
}

impl CloudError {
    pub fn new(kind: CloudErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        Self { kind, operation, message: message.into(), retry_after: None }
    }

    pub fn kind(&self) -> CloudErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later without anybody changing it.
    pub fn is_retryable(&self) -> bool {
        !matches!(self.kind, CloudErrorKind::InvalidRequest | CloudErrorKind::Unsupported)
    }
}
