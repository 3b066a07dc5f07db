//! A cluster in memory for this crate's tests: fake API server, mock cloud with faults, agents that register Nodes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use drydock_client::testing::FakeServer;
use drydock_client::{
    ApiResource, Client, PatchType, Reply, Request, SharedInformers, Transport, Verb, WatchStream, resources,
};
use drydock_cloud_api::{CloudProvider, ClusterRef, Faults, Instance, Instances, Layer, Layers};
use drydock_machinery::{Object, ObjectMeta, Reason, Status, Value, value};
use drydock_provider_mock::{MockCloud, MockConfig, MockProvider};
use drydock_runtime::{Clock, Tasks};
use parking_lot::Mutex;

use crate::{
    AgentError, AgentSpec, CcmConfig, CloudControllerManager, MemoryRecords, NodeAgents, NodePools,
    NodePoolsConfig, PoolSpec, PoolState, PoolStatus,
};

pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) server: FakeServer,
    pub(crate) client: Client,
    pub(crate) cloud: Arc<MockCloud>,
    pub(crate) mock: Arc<MockProvider>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) records: Arc<MemoryRecords>,
    pub(crate) agents: Arc<FakeAgents>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) cluster: ClusterRef,
}

impl World {
    pub(crate) fn new() -> Self {
        // It runs, too, as well as being moved: on a clock that stands, events of one moment have one name.
        let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().unwrap(), 1.0);
        let server = FakeServer::new(clock.clone());
        let gate = Arc::new(Gate { server: server.clone(), refused: Mutex::default() });
        let client = Client::new(gate.clone());
        let cloud = MockCloud::in_memory(MockConfig::default());
        Self {
            mock: cloud.provider(clock.clone()),
            cloud,
            faults: Arc::default(),
            records: Arc::default(),
            agents: Arc::new(FakeAgents { client: client.clone(), started: Mutex::default() }),
            cluster: ClusterRef {
                uid: "u1".into(),
                account: "default".into(),
                name: "dev".into(),
                region: "us-east-1".into(),
            },
            gate,
            client,
            server,
            clock,
        }
    }

    pub(crate) fn provider(&self) -> Arc<dyn CloudProvider> {
        Layers::default().layer(self.faults.clone()).around(self.mock.clone())
    }

    /// Starts node pools, as a process that has just come up does.
    pub(crate) fn start_pools(&self, pools: Vec<PoolSpec>) -> (NodePools, Tasks) {
        let tasks = Tasks::new("t", self.clock.clone());
        let config = NodePoolsConfig {
            cluster: self.cluster.clone(),
            provider: self.provider(),
            records: self.records.clone(),
            agents: self.agents.clone(),
            client: self.client.clone(),
            informers: SharedInformers::new(self.client.clone(), tasks.clone()),
        };
        (NodePools::start(config, &tasks, pools), tasks)
    }

    pub(crate) fn start_ccm(&self) -> Tasks {
        self.start_ccm_through(self.faults.clone())
    }

    /// With a layer of one's own around the cloud.
    pub(crate) fn start_ccm_through(&self, layer: Arc<dyn Layer>) -> Tasks {
        let tasks = Tasks::new("t", self.clock.clone());
        let config = CcmConfig {
            cluster: self.cluster.clone(),
            provider: Layers::default().layer(layer).around(self.mock.clone()),
            client: self.client.clone(),
            informers: SharedInformers::new(self.client.clone(), tasks.clone()),
        };
        CloudControllerManager::start(config, &tasks);
        tasks
    }

    /// Moves the clock until `condition` holds.
    pub(crate) async fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        for _ in 0..8000 {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            if condition() {
                return;
            }
            self.clock.advance(Duration::from_millis(250));
        }
        panic!("never came true: {what}; writes: {:#?}", self.server.writes());
    }

    /// Lets `by` pass in steps.
    pub(crate) async fn pass(&self, by: Duration) {
        let until = self.clock.now() + by;
        self.until("time passes", || self.clock.now() >= until).await;
    }

    pub(crate) async fn instances(&self) -> Vec<Instance> {
        Instances::list(&*self.mock, &self.cluster).await.unwrap()
    }

    pub(crate) fn nodes(&self) -> Vec<Arc<Object>> {
        self.server.all(&resources::NODES)
    }

    pub(crate) fn events(&self) -> Vec<String> {
        let events = self.server.all(&resources::EVENTS);
        events.iter().map(|event| event.str_at(&["reason"]).to_owned()).collect()
    }

    /// A pod of a ReplicaSet on a node.
    pub(crate) async fn pod(&self, name: &str, node: &str, owner: &str) {
        let pod = value!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": name, "namespace": "default",
                "ownerReferences": [{"kind": owner, "name": "o", "controller": true}],
            },
            "spec": {"nodeName": node},
        });
        self.client.create(&resources::PODS, pod).await.unwrap();
    }
}

pub(crate) fn pool_of(pools: &NodePools, name: &str) -> PoolStatus {
    pools.subscribe().borrow().pools.get(name).cloned().unwrap_or_default()
}

pub(crate) fn is_active(pools: &NodePools, name: &str, size: u32) -> bool {
    let status = pools.subscribe();
    let status = status.borrow();
    let counts = |pool: &PoolStatus| pool.state == PoolState::Active && pool.counts.ready == size;
    status.pools.get(name).is_some_and(counts)
}

/// Registers Nodes as kubelets do.
pub(crate) struct FakeAgents {
    client: Client,
    pub(crate) started: Mutex<BTreeMap<String, AgentSpec>>,
}

#[async_trait]
impl NodeAgents for FakeAgents {
    async fn start(&self, agent: &AgentSpec) -> Result<(), AgentError> {
        let name = agent.node_name.clone();
        let taints: Vec<Value> = agent
            .taints
            .iter()
            .map(|taint| value!({"key": taint.key, "value": taint.value, "effect": taint.effect}))
            .collect();
        let node = value!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": agent.labels},
            "spec": {"taints": taints},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        });
        if self.client.find(&resources::NODES, "", &name).await.unwrap().is_none() {
            self.client.create(&resources::NODES, node).await.unwrap();
        }
        set_ready(&self.client, &name, "True").await;
        self.started.lock().insert(name, agent.clone());
        Ok(())
    }

    async fn stop(&self, node_name: &str) {
        self.started.lock().remove(node_name);
        set_ready(&self.client, node_name, "False").await;
    }
}

pub(crate) async fn set_ready(client: &Client, node: &str, status: &str) {
    let patch = value!({"status": {"conditions": [{"type": "Ready", "status": status}]}});
    match client.patch_status(&resources::NODES, "", node, PatchType::Merge, patch).await {
        Err(status) if !status.is_not_found() => panic!("{status:?}"),
        _ => {}
    }
}

/// Refuses evictions as a disruption budget does.
pub(crate) struct Gate {
    server: FakeServer,
    pub(crate) refused: Mutex<Vec<String>>,
}

#[async_trait]
impl Transport for Gate {
    async fn call(&self, request: Request) -> Result<Reply, Status> {
        let eviction = request.verb == Verb::Create && request.subresource == "eviction";
        if eviction && self.refused.lock().contains(&request.name) {
            let why = "Cannot evict pod as it would violate the pod's disruption budget.";
            return Err(Status::new(429, Reason::TooManyRequests, why));
        }
        self.server.call(request).await
    }

    async fn watch(&self, request: Request) -> Result<WatchStream, Status> {
        self.server.watch(request).await
    }

    async fn discover(&self) -> Result<Vec<ApiResource>, Status> {
        self.server.discover().await
    }
}

/// The Node's name of a Node.
pub(crate) fn name_of(node: &Object) -> String {
    node.name().to_owned()
}
