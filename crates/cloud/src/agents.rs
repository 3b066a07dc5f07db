//! The kubelets' seam: what node pools ask of whoever runs them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use drydock_cloud_api::Address;

use crate::{NodeResources, Taint};

/// The kubelet of one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentSpec {
    /// The Node's name, and the agent's identity: `system:node:NAME`.
    pub node_name: String,
    pub node_pool: String,
    pub instance_id: String,
    /// `v1.36.0`.
    pub kubelet_version: String,
    /// What it registers with, besides the labels that every kubelet gives itself (hostname, os, arch).
    pub labels: BTreeMap<String, String>,
    /// What it registers with: the pool's, and the uninitialized taint that the cloud node controller removes.
    pub taints: Vec<Taint>,
    /// What a kubelet under an external cloud provider knows of itself: its InternalIP and Hostname.
    pub addresses: Vec<Address>,
    pub resources: NodeResources,
    pub max_pods: u32,
    /// `amd64`, `arm64`.
    pub architecture: String,
}

/// Runs kubelets. Every method is idempotent and quick; it does not wait for the API.
#[async_trait]
pub trait NodeAgents: Send + Sync + 'static {
    /// The machine runs: its kubelet registers the Node unless it is there, and keeps it. Called again after a restart
    /// of the service, and when a stopped machine was started.
    async fn start(&self, agent: &AgentSpec) -> Result<(), AgentError>;

    /// The machine was stopped and may come back: its kubelet falls silent. As a graceful shutdown does, it may first
    /// say that its Node is not Ready.
    async fn stop(&self, node_name: &str);

    /// The machine is gone for good, and its kubelet with it. The Node is others' to delete.
    async fn remove(&self, node_name: &str) {
        self.stop(node_name).await;
    }
}

/// Why an agent could not be started.
#[derive(Debug, thiserror::Error)]
#[error("node agent: {0}")]
pub struct AgentError(pub String);
