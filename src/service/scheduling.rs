//! Why pods are where they are: what a cluster's scheduler makes of one of them.

use serde::Serialize;

use super::Service;
use super::cluster::{ClusterKey, not_serving};
use super::error::{Result, ServiceError};

/// What the scheduler makes of a pod, in the words and with the numbers of its plugins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scheduling {
    pub namespace: String,
    pub pod: String,
    /// The profile, by its scheduler name.
    pub profile: String,
    /// Where the pod is. It was judged as if it was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What keeps the pod from being tried at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<Objection>,
    /// Why no node was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Objection>,
    /// What the pod's condition would say, but for what preemption would find; absent when a node would do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The nodes of the highest total, by name.
    pub best: Vec<String>,
    /// All nodes, by name.
    pub nodes: Vec<NodeScheduling>,
}

/// What a plugin has against something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Objection {
    pub plugin: String,
    pub reason: String,
}

/// What became of one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeScheduling {
    pub name: String,
    pub feasible: bool,
    /// The filters that were asked, in their order: up to the first that has something against the node.
    pub filters: Vec<FilterVerdict>,
    /// Of a feasible node: by each plugin that has to do with the pod.
    pub scores: Vec<PluginScore>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FilterVerdict {
    pub plugin: String,
    pub passed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PluginScore {
    pub plugin: String,
    /// 0 to 100.
    pub normalized: i64,
    pub weight: i64,
    pub weighted: i64,
}

impl Service {
    /// What the cluster's scheduler makes of a pod now, whether it has a node or not.
    ///
    /// # Errors
    /// No such cluster or pod, a control plane that does not run, or a pod that is not for the cluster's scheduler.
    pub async fn cluster_explain_scheduling(
        &self,
        key: &ClusterKey,
        namespace: &str,
        pod: &str,
    ) -> Result<Scheduling> {
        let cluster = self.cluster_record(key).await?;
        let plane = self.inner.fleet.plane(&cluster.uid).ok_or_else(|| not_serving(&cluster))?;
        let explained = plane.explain_scheduling(namespace, pod).await;
        let explained = explained.map_err(|error| ServiceError::Conflict(error.reason))?;
        explained.ok_or_else(|| ServiceError::NotFound { kind: "pod", name: format!("{namespace}/{pod}") })
    }
}
