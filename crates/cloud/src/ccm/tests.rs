//! The cloud controller manager on a clock moved by hand, over the mock cloud.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use drydock_client::{PatchType, resources};
use drydock_cloud_api::{
    CloudErrorKind, CloudMetrics, Instance, Instances, LaunchRequest, LoadBalancers, Routes,
};
use drydock_machinery::{ObjectMeta, Value, value};

use crate::UNINITIALIZED_TAINT;
use crate::testing::{World, set_ready};

async fn machine(world: &World, token: &str) -> Instance {
    let request = LaunchRequest {
        cluster: world.cluster.clone(),
        node_pool: "p".into(),
        client_token: token.into(),
        instance_type: "t3.medium".into(),
        zone: None,
        tags: BTreeMap::new(),
        user_data: String::new(),
        spot: false,
        params: BTreeMap::new(),
    };
    let instance = world.mock.launch(&request).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    instance
}

async fn register(world: &World, name: &str, spec: Value) {
    let mut node = value!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
    node.set(&["spec"], spec);
    node.set(&["status", "conditions"], value!([{"type": "Ready", "status": "True"}]));
    node.set(&["status", "addresses"], value!([{"type": "Hostname", "address": name}]));
    world.client.create(&resources::NODES, node).await.unwrap();
}

fn uninitialized() -> Value {
    value!({"taints": [{"key": UNINITIALIZED_TAINT, "value": "true", "effect": "NoSchedule"}]})
}

#[tokio::test]
async fn a_registered_node_is_initialised() {
    let world = World::new();
    let ccm = world.start_ccm();
    let instance = machine(&world, "a").await;
    register(&world, &instance.node_name, uninitialized()).await;
    world.until("an event says so", || world.events() == ["Synced"]).await;
    let node = &world.nodes()[0];
    assert_eq!(node.str_at(&["spec", "providerID"]), instance.provider_id);
    assert!(node.array_at(&["spec", "taints"]).is_empty());
    assert_eq!(node.label("node.kubernetes.io/instance-type"), Some("t3.medium"));
    let internal = instance.addresses[0].address.clone();
    assert_eq!(
        node.at(&["status", "addresses"]),
        Some(&value!([
            {"type": "InternalIP", "address": internal},
            {"type": "Hostname", "address": instance.node_name},
        ]))
    );
    ccm.close().await;
}

#[tokio::test]
async fn a_node_that_comes_before_its_machine_is_known_is_initialised_later() {
    let world = World::new();
    let ccm = world.start_ccm();
    world.faults.set_outage(Some(CloudErrorKind::Unreachable));
    let instance = machine(&world, "a").await;
    register(&world, &instance.node_name, uninitialized()).await;
    world.pass(Duration::from_secs(10)).await;
    assert!(world.events().is_empty());
    world.faults.set_outage(None);
    world.until("initialised", || world.events() == ["Synced"]).await;
    ccm.close().await;
}

#[tokio::test]
async fn only_a_node_that_is_not_ready_and_whose_machine_is_gone_is_deleted() {
    let world = World::new();
    let ccm = world.start_ccm();
    let (gone, there) = (machine(&world, "a").await, machine(&world, "b").await);
    for instance in [&gone, &there] {
        register(&world, &instance.node_name, value!({"providerID": instance.provider_id})).await;
    }
    register(&world, "foreign", value!({"providerID": "kwok://foreign"})).await;
    world.mock.terminate_by_hand(&gone.id);
    world.pass(Duration::from_secs(30)).await;
    assert_eq!(world.nodes().len(), 3, "a Ready node is not asked about");
    for name in [&gone.node_name, &there.node_name, "foreign"] {
        set_ready(&world.client, name, "Unknown").await;
    }
    world.until("deleted", || world.nodes().len() == 2).await;
    world.pass(Duration::from_secs(30)).await;
    assert!(world.nodes().iter().all(|node| node.name() != gone.node_name));
    assert_eq!(world.nodes().len(), 2);
    ccm.close().await;
}

#[tokio::test]
async fn a_node_whose_machine_went_before_it_was_initialised_is_deleted() {
    let world = World::new();
    let instance = machine(&world, "a").await;
    register(&world, &instance.node_name, uninitialized()).await;
    set_ready(&world.client, &instance.node_name, "Unknown").await;
    world.mock.terminate_by_hand(&instance.id);
    world.clock.advance(Duration::from_secs(5));
    // By hand, without a machine: nobody's business.
    register(&world, "by-hand", value!({})).await;
    set_ready(&world.client, "by-hand", "Unknown").await;
    let ccm = world.start_ccm();
    world.until("deleted", || world.nodes().len() == 1).await;
    world.pass(Duration::from_secs(30)).await;
    assert_eq!(world.nodes()[0].name(), "by-hand");
    ccm.close().await;
}

#[tokio::test]
async fn many_dead_nodes_are_looked_for_with_one_list() {
    let world = World::new();
    let metrics = Arc::new(CloudMetrics::default());
    for n in 0..20 {
        register(&world, &format!("n{n}"), value!({"providerID": format!("mock:///us-east-1a/i-{n}")})).await;
        set_ready(&world.client, &format!("n{n}"), "Unknown").await;
    }
    let ccm = world.start_ccm_through(metrics.clone());
    world.until("all are deleted", || world.nodes().is_empty()).await;
    let lists = metrics.counts().iter().find(|row| row.operation == "list").map_or(0, |row| row.count);
    assert!(lists <= 5, "{lists} lists for 20 nodes");
    ccm.close().await;
}

async fn service(world: &World, name: &str) {
    let service = value!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "type": "LoadBalancer",
            "ports": [{"name": "http", "protocol": "TCP", "port": 80, "nodePort": 30080}],
        },
    });
    world.client.create(&resources::SERVICES, service).await.unwrap();
}

fn ingress(world: &World) -> Option<Value> {
    let services = world.server.all(&resources::SERVICES);
    services.first()?.at(&["status", "loadBalancer", "ingress"]).cloned()
}

#[tokio::test]
async fn a_service_gets_a_load_balancer_that_follows_nodes_and_goes_with_it() {
    let world = World::new();
    let ccm = world.start_ccm();
    let instance = machine(&world, "a").await;
    register(&world, &instance.node_name, value!({"providerID": instance.provider_id})).await;
    service(&world, "web").await;
    world.until("it has an address", || ingress(&world).is_some()).await;
    let address = ingress(&world).unwrap();
    let balancer = LoadBalancers::list(&*world.mock, &world.cluster).await.unwrap().remove(0);
    assert!(balancer.name.starts_with('a') && balancer.name.len() <= 32);
    assert_eq!(balancer.instances, [instance.id]);

    let second = machine(&world, "b").await;
    register(&world, &second.node_name, value!({"providerID": second.provider_id})).await;
    world.until("it is updated", || world.events().contains(&"UpdatedLoadBalancer".to_owned())).await;
    let balancer = LoadBalancers::list(&*world.mock, &world.cluster).await.unwrap().remove(0);
    assert_eq!(balancer.instances.len(), 2);
    assert_eq!(ingress(&world), Some(address));

    world.client.delete(&resources::SERVICES, "default", "web", Default::default()).await.unwrap();
    world.until("the service is gone", || world.server.all(&resources::SERVICES).is_empty()).await;
    assert!(LoadBalancers::list(&*world.mock, &world.cluster).await.unwrap().is_empty());
    world.until("all is said", || world.events().contains(&"DeletedLoadBalancer".to_owned())).await;
    let said = world.events();
    for reason in ["EnsuringLoadBalancer", "EnsuredLoadBalancer", "DeletingLoadBalancer"] {
        assert!(said.contains(&reason.to_owned()), "{reason} in {said:?}");
    }
    ccm.close().await;
}

#[tokio::test]
async fn a_load_balancer_waits_for_the_first_node() {
    let world = World::new();
    let ccm = world.start_ccm();
    service(&world, "web").await;
    world.until("it is said", || world.events() == ["UnAvailableLoadBalancer"]).await;
    world.pass(Duration::from_secs(60)).await;
    assert!(LoadBalancers::list(&*world.mock, &world.cluster).await.unwrap().is_empty());
    assert!(world.server.all(&resources::SERVICES)[0].finalizers().next().is_none());

    let instance = machine(&world, "a").await;
    register(&world, &instance.node_name, value!({"providerID": instance.provider_id})).await;
    world.until("it has an address", || ingress(&world).is_some()).await;
    ccm.close().await;
}

#[tokio::test]
async fn a_service_that_is_no_load_balancer_any_more_loses_it() {
    let world = World::new();
    let ccm = world.start_ccm();
    world.faults.fail("load_balancer_ensure", CloudErrorKind::QuotaExceeded, 1);
    let instance = machine(&world, "a").await;
    register(&world, &instance.node_name, value!({"providerID": instance.provider_id})).await;
    service(&world, "web").await;
    world.until("it has an address", || ingress(&world).is_some()).await;
    assert!(world.events().contains(&"SyncLoadBalancerFailed".to_owned()), "the first try failed");
    let patch = value!({"spec": {"type": "ClusterIP"}});
    world.client.patch(&resources::SERVICES, "default", "web", PatchType::Merge, patch).await.unwrap();
    world
        .until("the finalizer is gone", || {
            world.server.all(&resources::SERVICES)[0].finalizers().next().is_none()
        })
        .await;
    assert_eq!(ingress(&world), None);
    assert!(LoadBalancers::list(&*world.mock, &world.cluster).await.unwrap().is_empty());
    ccm.close().await;
}

#[tokio::test]
async fn pod_networks_have_routes_to_their_machines() {
    let world = World::new();
    let ccm = world.start_ccm();
    let instance = machine(&world, "a").await;
    let spec = value!({"providerID": instance.provider_id, "podCIDRs": ["10.244.1.0/24"]});
    register(&world, &instance.node_name, spec).await;
    let condition = |kind: &str| {
        let nodes = world.nodes();
        let found =
            nodes.first()?.array_at(&["status", "conditions"]).iter().find(|c| c.str_at(&["type"]) == kind);
        found.map(|c| format!("{}/{}", c.str_at(&["status"]), c.str_at(&["reason"])))
    };
    let created = Some("False/RouteCreated".to_owned());
    world.until("the node says so", || condition("NetworkUnavailable") == created).await;
    let routes = Routes::list(&*world.mock, &world.cluster).await.unwrap();
    assert_eq!(routes.len(), 1);
    assert_eq!(
        (routes[0].destination_cidr.as_str(), &routes[0].target_instance),
        ("10.244.1.0/24", &instance.id)
    );
    world.client.delete(&resources::NODES, "", &instance.node_name, Default::default()).await.unwrap();
    world.pass(Duration::from_secs(30)).await;
    assert!(Routes::list(&*world.mock, &world.cluster).await.unwrap().is_empty());
    ccm.close().await;
}
