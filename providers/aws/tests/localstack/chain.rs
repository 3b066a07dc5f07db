//! The whole chain over LocalStack: pool, instances, Nodes, initialised; shrunk, replaced, released; cut off and back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use drydock_client::testing::FakeServer;
use drydock_client::{Client, PatchType, SharedInformers, resources};
use drydock_cloud::{
    AgentError, AgentSpec, CcmConfig, CloudControllerManager, MemoryRecords, NodeAgents, NodePools,
    NodePoolsConfig, NodePoolsStatus, PoolSpec, PoolState,
};
use drydock_cloud_api::{CloudProvider, ClusterRef, Instance, Layers, Retry};
use drydock_machinery::{ObjectMeta, Value, value};
use drydock_runtime::{Clock, Tasks, wall};

use super::proxy::Proxy;
use super::{console, endpoint, localstack, provider};

struct World {
    endpoint: String,
    cluster: ClusterRef,
    provider: Arc<dyn CloudProvider>,
    records: Arc<MemoryRecords>,
    server: FakeServer,
    clock: Clock,
}

impl World {
    /// `through` is the endpoint that the provider uses.
    fn new(endpoint: String, through: &str) -> Self {
        let clock = Clock::scaled(20.0);
        let layers = Layers::default().retry(Retry::default());
        let cluster = drydock_cloud_api::conformance::unique_cluster(&localstack());
        Self {
            provider: layers.around(Arc::new(provider(through))),
            server: FakeServer::new(clock.clone()),
            records: Arc::default(),
            endpoint,
            cluster,
            clock,
        }
    }

    fn start(&self, pools: Vec<PoolSpec>) -> (NodePools, Tasks) {
        let tasks = Tasks::new("t", self.clock.clone());
        let client = self.server.client();
        let informers = SharedInformers::new(client.clone(), tasks.clone());
        let ccm = CcmConfig {
            cluster: self.cluster.clone(),
            provider: self.provider.clone(),
            client: client.clone(),
            informers: informers.clone(),
        };
        CloudControllerManager::start(ccm, &tasks);
        let config = NodePoolsConfig {
            cluster: self.cluster.clone(),
            provider: self.provider.clone(),
            records: self.records.clone(),
            agents: Arc::new(Agents { client: client.clone() }),
            client,
            informers,
        };
        (NodePools::start(config, &tasks, pools), tasks)
    }

    async fn instances(&self) -> Vec<Instance> {
        self.provider.instances().unwrap().list(&self.cluster).await.unwrap()
    }

    /// What EC2 has of the cluster, by its name in the tags: instances, security groups, launch templates.
    async fn leftovers(&self) -> [usize; 3] {
        let console = console(&self.endpoint);
        let tagged = aws_sdk_ec2::types::Filter::builder()
            .name("tag:drydock:cluster-uid")
            .values(&self.cluster.uid)
            .build();
        let alive = aws_sdk_ec2::types::Filter::builder()
            .name("instance-state-name")
            .set_values(Some(["pending", "running", "stopping", "stopped"].map(str::to_owned).to_vec()))
            .build();
        let instances =
            console.describe_instances().filters(tagged.clone()).filters(alive).send().await.unwrap();
        let groups = console.describe_security_groups().filters(tagged.clone()).send().await.unwrap();
        let templates = console.describe_launch_templates().filters(tagged).send().await.unwrap();
        let instances =
            instances.reservations().iter().map(|reservation| reservation.instances().len()).sum();
        [instances, groups.security_groups().len(), templates.launch_templates().len()]
    }
}

async fn until(pools: &NodePools, what: &str, condition: impl FnMut(&NodePoolsStatus) -> bool) {
    let mut status = pools.subscribe();
    let waited = wall::timeout(Duration::from_secs(60), status.wait_for(condition)).await.map(|w| w.is_ok());
    assert_eq!(waited, Some(true), "never came true: {what}; {pools:#?}");
}

fn active(size: u32) -> impl FnMut(&NodePoolsStatus) -> bool {
    move |status| {
        let pool = &status.pools["workers"];
        pool.state == PoolState::Active && pool.counts.ready == size && pool.counts.desired == size
    }
}

fn spec(size: u32) -> PoolSpec {
    PoolSpec { user_data: "#!/bin/sh\n".into(), ..PoolSpec::new("workers", size, "t3.medium", "v1.36.0") }
}

struct Agents {
    client: Client,
}

#[async_trait]
impl NodeAgents for Agents {
    async fn start(&self, agent: &AgentSpec) -> Result<(), AgentError> {
        let taints = agent.taints.iter().map(|t| value!({"key": t.key, "effect": t.effect}));
        let node = value!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": agent.node_name, "labels": agent.labels},
            "spec": {"taints": taints.collect::<Vec<Value>>()},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        });
        let _ = self.client.create(&resources::NODES, node).await;
        self.set_ready(&agent.node_name, "True").await;
        Ok(())
    }

    async fn stop(&self, node_name: &str) {
        self.set_ready(node_name, "False").await;
    }
}

impl Agents {
    async fn set_ready(&self, node: &str, status: &str) {
        let patch = value!({"status": {"conditions": [{"type": "Ready", "status": status}]}});
        let _ = self.client.patch_status(&resources::NODES, "", node, PatchType::Merge, patch).await;
    }
}

#[tokio::test]
async fn a_pool_lives_shrinks_heals_and_leaves_nothing() {
    let endpoint = endpoint();
    let world = World::new(endpoint.clone(), &endpoint);
    let (pools, tasks) = world.start(vec![spec(3)]);
    until(&pools, "three nodes", active(3)).await;
    assert_eq!(world.leftovers().await, [3, 1, 1]);

    let instances = world.instances().await;
    let nodes = world.server.all(&resources::NODES);
    for instance in &instances {
        let node = nodes.iter().find(|node| node.name() == instance.node_name).unwrap();
        assert_eq!(node.str_at(&["spec", "providerID"]), format!("aws:///{}/{}", instance.zone, instance.id));
        assert_eq!(node.label("topology.kubernetes.io/zone"), Some(instance.zone.as_str()));
        assert_eq!(node.label("node.kubernetes.io/instance-type"), Some("t3.medium"));
        for (tag, value) in [
            (format!("kubernetes.io/cluster/{}", world.cluster.name), "owned"),
            ("eks:cluster-name".to_owned(), world.cluster.name.as_str()),
            ("eks:nodegroup-name".to_owned(), "workers"),
        ] {
            assert_eq!(instance.tags.get(&tag).map(String::as_str), Some(value), "{tag}");
        }
    }

    pools.set(spec(5));
    until(&pools, "five nodes", active(5)).await;
    assert_eq!(world.leftovers().await, [5, 1, 1]);
    pools.set(spec(2));
    until(&pools, "two nodes", active(2)).await;
    assert_eq!(world.leftovers().await, [2, 1, 1]);
    assert_eq!(world.server.all(&resources::NODES).len(), 2);

    let victim = world.instances().await.remove(0);
    console(&endpoint).terminate_instances().instance_ids(&victim.id).send().await.unwrap();
    until(&pools, "it is missed", |status| status.pools["workers"].counts.ready < 2).await;
    until(&pools, "it is replaced", active(2)).await;
    let ids: BTreeSet<String> = world.instances().await.into_iter().map(|instance| instance.id).collect();
    assert!(ids.len() == 2 && !ids.contains(&victim.id));

    pools.release();
    until(&pools, "released", |status| status.released).await;
    assert_eq!(world.leftovers().await, [0, 0, 0]);
    tasks.close().await;
}

#[tokio::test]
async fn a_process_that_dies_again_and_again_makes_nothing_twice() {
    let endpoint = endpoint();
    let world = World::new(endpoint.clone(), &endpoint);
    for n in 0..6 {
        let (pools, tasks) = world.start(vec![spec(4)]);
        // Each time a little later, wherever that is.
        wall::sleep(Duration::from_millis(20 + 45 * n)).await;
        tasks.close().await;
        drop(pools);
        assert!(world.leftovers().await[0] <= 4);
    }
    let (pools, tasks) = world.start(vec![spec(4)]);
    until(&pools, "four nodes", active(4)).await;
    assert_eq!(world.leftovers().await, [4, 1, 1]);
    pools.release();
    until(&pools, "released", |status| status.released).await;
    assert_eq!(world.leftovers().await, [0, 0, 0]);
    tasks.close().await;
}

#[tokio::test]
async fn a_pool_says_that_its_cloud_is_unreachable_and_recovers_by_itself() {
    let endpoint = endpoint();
    let mut proxy = Proxy::start(endpoint.trim_start_matches("http://")).await;
    let world = World::new(endpoint, &format!("http://{}", proxy.address));
    let (pools, tasks) = world.start(vec![spec(2)]);
    until(&pools, "two nodes", active(2)).await;
    proxy.cut().await;
    pools.set(spec(3));
    until(&pools, "it says so", |status| {
        let pool = &status.pools["workers"];
        pool.state == PoolState::Degraded && pool.reason.as_ref().is_some_and(|r| r.code == "Unreachable")
    })
    .await;
    assert_eq!(world.leftovers().await[0], 2);
    proxy.mend().await;
    until(&pools, "it recovers", active(3)).await;
    assert_eq!(world.leftovers().await[0], 3);
    pools.release();
    until(&pools, "released", |status| status.released).await;
    assert_eq!(world.leftovers().await, [0, 0, 0]);
    tasks.close().await;
}
