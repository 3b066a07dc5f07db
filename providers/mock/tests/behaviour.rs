//! What is the mock cloud's own: its file, its limits, its console.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use drydock_cloud_api::{
    CloudErrorKind, CloudProvider, ClusterRef, InstanceState, Instances, LaunchRequest, LoadBalancers,
};
use drydock_provider_mock::{MockCloud, MockConfig, MockProvider, OpenError};
use drydock_runtime::Clock;

fn clock() -> Clock {
    Clock::manual("2026-01-01T00:00:00Z".parse().unwrap())
}

fn cluster() -> ClusterRef {
    ClusterRef { uid: "u1".into(), account: "default".into(), name: "Dev_1".into(), region: "eastus".into() }
}

fn request(token: &str, zone: Option<&str>) -> LaunchRequest {
    LaunchRequest {
        cluster: cluster(),
        node_pool: "workers".into(),
        client_token: token.into(),
        instance_type: "medium".into(),
        zone: zone.map(Into::into),
        tags: BTreeMap::new(),
        user_data: String::new(),
        spot: false,
        params: BTreeMap::new(),
    }
}

fn open(path: &Path) -> Arc<MockProvider> {
    MockCloud::open(path, MockConfig::default()).unwrap().provider(clock())
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mock.jsonl");
    let cloud = open(&path);
    let a = cloud.launch(&request("a", None)).await.unwrap();
    let b = cloud.launch(&request("b", None)).await.unwrap();
    cloud.terminate(&cluster(), &b.id).await.unwrap();
    // A kill in the middle of a write leaves half a line that nobody was told of.
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"{\"cluster\":\"u1\",\"machine\":{\"id\":\"i-").unwrap();
    drop(cloud);

    let cloud = open(&path);
    assert_eq!(cloud.get(&cluster(), &a.id).await.unwrap(), Some(a.clone()));
    assert_eq!(cloud.get(&cluster(), &b.id).await.unwrap().unwrap().state, InstanceState::ShuttingDown);
    assert_eq!(cloud.launch(&request("a", None)).await.unwrap().id, a.id);
    let c = cloud.launch(&request("c", None)).await.unwrap();
    assert!(c.addresses != a.addresses && c.node_name != a.node_name);
    drop(cloud);
    assert_eq!(Instances::list(&*open(&path), &cluster()).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mock.jsonl");
    std::fs::write(&path, "nonsense\n{}\n").unwrap();
    let error = MockCloud::open(&path, MockConfig::default()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { line: 1, .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "nonsense\n{}\n");
}

#[tokio::test]
async fn the_file_does_not_grow_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mock.jsonl");
    let cloud = open(&path);
    let one = cloud.launch(&request("a", None)).await.unwrap();
    for _ in 0..3000 {
        cloud.stop_by_hand(&one.id);
        cloud.start_by_hand(&one.id);
    }
    assert!(std::fs::read_to_string(&path).unwrap().lines().count() < 2000);
    drop(cloud);
    assert_eq!(Instances::list(&*open(&path), &cluster()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_full_zone_has_no_capacity_and_others_take_over() {
    let cloud = MockCloud::in_memory(MockConfig::default());
    let provider = cloud.provider(clock());
    cloud.set_zone_capacity("eastus-1", Some(1));
    provider.launch(&request("a", Some("eastus-1"))).await.unwrap();
    let error = provider.launch(&request("b", Some("eastus-1"))).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::InsufficientCapacity);
    assert_ne!(provider.launch(&request("c", None)).await.unwrap().zone, "eastus-1");
    cloud.set_quota(Some(2));
    let error = provider.launch(&request("d", None)).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::QuotaExceeded);
    cloud.set_quota(None);
    cloud.set_zone_capacity("eastus-1", None);
    provider.launch(&request("b", Some("eastus-1"))).await.unwrap();
}

#[tokio::test]
async fn a_machine_stopped_by_hand_starts_again_with_its_name_and_address() {
    let clock = clock();
    let provider = MockCloud::in_memory(MockConfig::default()).provider(clock.clone());
    let one = provider.launch(&request("a", None)).await.unwrap();
    assert!(one.node_name.starts_with("dev-1-workers-"), "{}", one.node_name);
    assert!(provider.stop_by_hand(&one.id));
    clock.advance(Duration::from_secs(1));
    assert_eq!(provider.get(&cluster(), &one.id).await.unwrap().unwrap().state, InstanceState::Stopped);
    assert!(provider.start_by_hand(&one.id));
    clock.advance(Duration::from_secs(1));
    let again = provider.get(&cluster(), &one.id).await.unwrap().unwrap();
    assert_eq!((again.state, &again.addresses), (InstanceState::Running, &one.addresses));
    assert!(provider.terminate_by_hand(&one.id));
    assert!(!provider.start_by_hand(&one.id), "what is terminated does not come back");
    clock.advance(Duration::from_secs(3601));
    assert_eq!(provider.get(&cluster(), &one.id).await.unwrap(), None, "and is forgotten in an hour");
}

#[tokio::test]
async fn load_balancers_have_addresses_of_their_own() {
    let clock = clock();
    let provider = MockCloud::in_memory(MockConfig::default()).provider(clock.clone());
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..300 {
        let request = drydock_cloud_api::LoadBalancerRequest {
            cluster: cluster(),
            name: format!("a{n}"),
            namespace: "default".into(),
            service: "web".into(),
            ports: Vec::new(),
            instances: Vec::new(),
            annotations: BTreeMap::new(),
            internal: false,
        };
        assert_eq!(provider.ensure(&request).await.unwrap(), [], "it takes a while");
    }
    clock.advance(MockConfig::default().balancer);
    for balancer in LoadBalancers::list(&*provider, &cluster()).await.unwrap() {
        seen.insert(format!("{:?}", balancer.addresses));
    }
    assert_eq!(seen.len(), 300);
    assert_eq!(provider.name(), "mock");
}
