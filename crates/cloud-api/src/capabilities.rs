//! What a cloud may have besides machines.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::{CloudError, ClusterRef, PoolRequest};

/// Groups that the cloud keeps at a size by itself (Auto Scaling groups, scale sets, managed instance groups).
#[async_trait]
pub trait InstanceGroups: Send + Sync {
    /// Creates the pool's group, or brings it to this size. The size is absolute, hence idempotent. A group that is made
    /// smaller chooses by itself what goes: [`InstanceGroups::remove_instance`] is for a choice of one's own.
    async fn ensure(&self, pool: &PoolRequest, size: u32) -> Result<(), CloudError>;

    /// Takes one instance out and makes the group smaller by one. Succeeds without a change when it is gone already.
    async fn remove_instance(
        &self,
        cluster: &ClusterRef,
        node_pool: &str,
        id: &str,
    ) -> Result<(), CloudError>;

    /// Deletes the group with its instances. Succeeds when it is gone already.
    async fn delete(&self, cluster: &ClusterRef, node_pool: &str) -> Result<(), CloudError>;
}

/// What `Service` of type LoadBalancer needs.
#[async_trait]
pub trait LoadBalancers: Send + Sync {
    /// Creates or updates, by `name`; answers the addresses to publish, none while the cloud has not yet given any.
    async fn ensure(&self, balancer: &LoadBalancerRequest) -> Result<Vec<LoadBalancerAddress>, CloudError>;

    /// Succeeds when it is gone already.
    async fn delete(&self, cluster: &ClusterRef, name: &str) -> Result<(), CloudError>;

    /// Every load balancer of the cluster.
    async fn list(&self, cluster: &ClusterRef) -> Result<Vec<LoadBalancer>, CloudError>;
}

/// A load balancer, as the cloud describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadBalancer {
    pub name: String,
    pub addresses: Vec<LoadBalancerAddress>,
    /// Instance ids that take traffic.
    pub instances: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
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

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LoadBalancerPort {
    pub name: String,
    pub protocol: String,
    pub port: u16,
    pub node_port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum LoadBalancerAddress {
    Ip(String),
    Hostname(String),
}

/// Pod CIDRs in the cloud's route tables.
#[async_trait]
pub trait Routes: Send + Sync {
    /// Every route of the cluster.
    async fn list(&self, cluster: &ClusterRef) -> Result<Vec<Route>, CloudError>;

    /// Creates it, or points an existing route of that destination to the target.
    async fn create(&self, cluster: &ClusterRef, route: &Route) -> Result<(), CloudError>;

    /// Succeeds when it is gone already.
    async fn delete(&self, cluster: &ClusterRef, route: &Route) -> Result<(), CloudError>;
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Route {
    pub name: String,
    /// An instance id.
    pub target_instance: String,
    pub destination_cidr: String,
    /// Its target is gone.
    pub blackhole: bool,
}

#[async_trait]
pub trait Zones: Send + Sync {
    async fn regions(&self) -> Result<Vec<String>, CloudError>;

    /// The zones of a region that take instances, sorted.
    ///
    /// # Errors
    /// `InvalidRequest` for a region that the cloud does not have.
    async fn zones(&self, region: &str) -> Result<Vec<String>, CloudError>;
}
