//! Simulated kubelets behind the seams of node pools (who runs them) and of the API server (who reaches containers).

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use drydock_apiserver::ApiServer;
use drydock_auth::UserInfo;
use drydock_client::SharedInformers;
use drydock_client::dialer::{DialError, ExecOptions, ExecStreams, LogOptions, NodeDialer, Stream};
use drydock_cloud::{AgentError, AgentSpec};
use drydock_machinery::{Map, Object, Reason, Status, Value};
use drydock_node::{NodeAgents, NodeAgentsConfig, NodeInfo, NodeSpec, Taint};
use drydock_runtime::Tasks;
use futures::stream::BoxStream;

use crate::components::masters;

/// The cluster's kubelets. The API server is given them before it exists, so they start later.
pub(crate) struct Agents {
    tasks: Tasks,
    running: OnceLock<Arc<NodeAgents>>,
}

impl Agents {
    pub(crate) fn new(tasks: &Tasks) -> Arc<Self> {
        Arc::new(Self { tasks: tasks.clone(), running: OnceLock::new() })
    }

    pub(crate) fn start(&self, server: &ApiServer, informers: SharedInformers) {
        let of = server.clone();
        let client_for = Arc::new(move |node: &str| {
            of.client(UserInfo::new(format!("system:node:{node}"), &["system:nodes", "system:authenticated"]))
        });
        let agents = NodeAgents::start(NodeAgentsConfig {
            client_for,
            events: server.client(masters("system:drydock:nodes")),
            informers,
            tasks: self.tasks.clone(),
        });
        let _ = self.running.set(agents);
    }

    fn running(&self) -> Result<&Arc<NodeAgents>, Status> {
        let starting =
            || Status::new(503, Reason::ServiceUnavailable, "the cluster's node agents are starting");
        self.running.get().ok_or_else(starting)
    }

    fn dialed(&self) -> Result<&Arc<NodeAgents>, DialError> {
        self.running().map_err(|status| DialError::Unreachable(status.message))
    }
}

#[async_trait]
impl drydock_cloud::NodeAgents for Agents {
    async fn start(&self, agent: &AgentSpec) -> Result<(), AgentError> {
        let agents = self.running().map_err(|status| AgentError(status.message))?;
        agents.add(node_spec(agent));
        agents.resume(&agent.node_name);
        Ok(())
    }

    async fn stop(&self, node_name: &str) {
        if let Ok(agents) = self.running() {
            agents.suspend(node_name);
        }
    }

    async fn remove(&self, node_name: &str) {
        if let Ok(agents) = self.running() {
            agents.remove(node_name);
        }
    }
}

fn node_spec(agent: &AgentSpec) -> NodeSpec {
    let texts = |map: &std::collections::BTreeMap<String, String>| -> Map {
        map.iter().map(|(key, text)| (key.as_str().into(), Value::from(text.as_str()))).collect()
    };
    let addresses =
        agent.addresses.iter().map(|address| (format!("{:?}", address.kind), address.address.clone()));
    NodeSpec {
        name: agent.node_name.clone(),
        capacity: texts(&agent.resources.capacity),
        allocatable: texts(&agent.resources.allocatable),
        labels: texts(&agent.labels),
        taints: agent
            .taints
            .iter()
            .map(|taint| Taint {
                key: taint.key.clone(),
                value: taint.value.clone(),
                effect: taint.effect.clone(),
            })
            .collect(),
        addresses: addresses.collect(),
        info: NodeInfo {
            kubelet_version: agent.kubelet_version.clone(),
            architecture: agent.architecture.clone(),
            ..NodeInfo::default()
        },
        ..NodeSpec::default()
    }
}

#[async_trait]
impl NodeDialer for Agents {
    async fn logs(
        &self,
        pod: &Object,
        options: LogOptions,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, Status> {
        self.running()?.logs(pod, options).await
    }

    async fn exec(&self, pod: &Object, options: ExecOptions) -> Result<ExecStreams, DialError> {
        self.dialed()?.exec(pod, options).await
    }

    async fn forwardable(&self, pod: &Object) -> Result<(), DialError> {
        self.dialed()?.forwardable(pod).await
    }

    async fn port_forward(&self, pod: &Object, port: u16) -> Result<Box<dyn Stream>, String> {
        let agents = self.running().map_err(|status| status.message)?;
        agents.port_forward(pod, port).await
    }

    async fn pod_network(&self, address: IpAddr, port: u16) -> Option<Result<Box<dyn Stream>, String>> {
        self.running().ok()?.pod_network(address, port).await
    }

    async fn kubelet(&self, node: &str) -> Result<Box<dyn Stream>, DialError> {
        self.dialed()?.kubelet(node).await
    }
}
