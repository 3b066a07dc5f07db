//! What every provider must do, as tests over the seam. A provider's tests name a [`Subject`] and call
//! [`conformance_suite!`](crate::conformance_suite).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use drydock_runtime::wall;

use crate::{
    CloudErrorKind, CloudProvider, ClusterRef, Instance, InstanceState, Instances, LaunchRequest,
    LoadBalancerPort, LoadBalancerRequest, PoolRequest, Route,
};

/// A provider under test.
#[async_trait]
pub trait Subject: Send + Sync {
    fn provider(&self) -> Arc<dyn CloudProvider>;

    /// A region that it has.
    fn region(&self) -> String;

    /// An instance type that it has.
    fn instance_type(&self) -> String;

    /// Lets some time pass in the cloud. The suite calls it some hundred times before it gives up waiting.
    async fn settle(&self);

    /// Stops the machine as somebody at the cloud's console would.
    async fn stop_by_hand(&self, instance_id: &str);
}

/// Runs the whole suite, one test per behaviour. `$subject` is an async expression.
#[macro_export]
macro_rules! conformance_suite {
    ($subject:expr) => {
        $crate::conformance_suite!(@each $subject;
            launching_twice_with_a_token_makes_one_instance,
            concurrent_launches_with_a_token_make_one_instance,
            the_token_of_a_terminated_instance_makes_no_second_one,
            a_launched_instance_runs_and_is_described_in_full,
            instances_are_listed_by_cluster_only,
            a_name_used_again_sees_nothing_of_the_old_cluster,
            terminating_is_idempotent,
            a_stopped_instance_is_stopped_and_can_be_terminated,
            an_instance_of_another_cluster_is_not_found,
            preparing_a_pool_is_idempotent,
            a_prepared_pool_says_where_its_instances_can_go,
            an_unknown_instance_type_is_an_invalid_request,
            an_unknown_zone_is_an_invalid_request,
            an_instance_type_has_facts,
            zones_are_sorted_and_take_instances,
            releasing_leaves_nothing,
            releasing_what_never_was_succeeds,
            load_balancers_are_ensured_listed_and_deleted,
            routes_are_created_listed_and_deleted
        );
    };
    (@each $subject:expr; $($behaviour:ident),*) => {$(
        #[tokio::test]
        async fn $behaviour() {
            let subject = $subject;
            $crate::conformance::$behaviour(&subject).await;
        }
    )*};
}

/// A cluster that nobody else uses.
pub fn unique_cluster(subject: &dyn Subject) -> ClusterRef {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let uid = format!("{:x}-{n:x}-{:x}", wall::now().as_nanosecond(), std::process::id());
    ClusterRef { name: format!("c{n}"), uid, account: "default".into(), region: subject.region() }
}

fn pool(subject: &dyn Subject, cluster: &ClusterRef) -> PoolRequest {
    PoolRequest {
        cluster: cluster.clone(),
        node_pool: "workers".into(),
        instance_type: subject.instance_type(),
        tags: BTreeMap::from([("team".into(), "blue".into())]),
        user_data: "#!/bin/sh\necho hello\n".into(),
        zones: Vec::new(),
        spot: false,
        params: BTreeMap::new(),
    }
}

fn launch(subject: &dyn Subject, cluster: &ClusterRef, token: &str) -> LaunchRequest {
    LaunchRequest {
        cluster: cluster.clone(),
        node_pool: "workers".into(),
        client_token: format!("{token}-{}", cluster.uid),
        instance_type: subject.instance_type(),
        zone: None,
        tags: BTreeMap::from([("team".into(), "blue".into())]),
        user_data: String::new(),
        spot: false,
        params: BTreeMap::new(),
    }
}

fn instances(subject: &dyn Subject) -> Arc<dyn Instances> {
    subject.provider().instances().expect("the provider has instances")
}

/// A cluster with a prepared pool.
async fn prepared(subject: &dyn Subject) -> (Arc<dyn Instances>, ClusterRef) {
    let cluster = unique_cluster(subject);
    let cloud = instances(subject);
    cloud.prepare_pool(&pool(subject, &cluster)).await.expect("prepare_pool");
    (cloud, cluster)
}

/// Waits until `probe` answers.
async fn eventually<T, F: Future<Output = Option<T>>>(
    subject: &dyn Subject,
    what: &str,
    mut probe: impl FnMut() -> F,
) -> T {
    for _ in 0..300 {
        if let Some(found) = probe().await {
            return found;
        }
        subject.settle().await;
    }
    panic!("never came true: {what}");
}

async fn in_state(
    subject: &dyn Subject,
    cloud: &Arc<dyn Instances>,
    cluster: &ClusterRef,
    id: &str,
    state: InstanceState,
) -> Instance {
    eventually(subject, &format!("{id} is {state:?}"), || async {
        cloud.get(cluster, id).await.expect("get").filter(|found| found.state == state)
    })
    .await
}

async fn gone(subject: &dyn Subject, cloud: &Arc<dyn Instances>, cluster: &ClusterRef, id: &str) {
    eventually(subject, &format!("{id} is gone"), || async {
        let found = cloud.get(cluster, id).await.expect("get");
        found.is_none_or(|found| found.state == InstanceState::Terminated).then_some(())
    })
    .await;
}

/// Terminates everything and releases, as deleting a cluster does.
async fn clean_up(subject: &dyn Subject, cloud: &Arc<dyn Instances>, cluster: &ClusterRef) {
    for instance in cloud.list(cluster).await.expect("list") {
        cloud.terminate(cluster, &instance.id).await.expect("terminate");
    }
    eventually(subject, "all instances are gone", || async {
        cloud.list(cluster).await.expect("list").is_empty().then_some(())
    })
    .await;
    cloud.release_pool(cluster, "workers").await.expect("release_pool");
    eventually(subject, "the cluster is released", || async {
        match cloud.release_cluster(cluster).await {
            Ok(()) => Some(()),
            Err(error) if error.kind == CloudErrorKind::InUse => None,
            Err(error) => panic!("release_cluster: {error}"),
        }
    })
    .await;
}

pub async fn launching_twice_with_a_token_makes_one_instance(subject: &dyn Subject) {
    let (cloud, cluster) = prepared(subject).await;
    let first = cloud.launch(&launch(subject, &cluster, "a")).await.expect("launch");
    let again = cloud.launch(&launch(subject, &cluster, "a")).await.expect("launch again");
    let other = cloud.launch(&launch(subject, &cluster, "b")).await.expect("launch another");
    assert_eq!(first.id, again.id);
    assert_ne!(first.id, other.id);
    assert_eq!(cloud.list(&cluster).await.expect("list").len(), 2);
    clean_up(subject, &cloud, &cluster).await;
}

pub async fn concurrent_launches_with_a_token_make_one_instance(subject: &dyn Subject) {
    let (cloud, cluster) = prepared(subject).await;
    let request = launch(subject, &cluster, "a");
    let launches = (0..4).map(|_| cloud.launch(&request));
    let answers = futures::future::join_all(launches).await;
    // A provider may refuse all but one while that one is under way, but never makes a second machine.
    let ids: std::collections::BTreeSet<_> = answers.iter().flatten().map(|found| &found.id).collect();
    assert_eq!(ids.len(), 1, "{answers:?}");
    assert_eq!(cloud.list(&cluster).await.expect("list").len(), 1);
    clean_up(subject, &cloud, &cluster).await;
}

pub async fn the_token_of_a_terminated_instance_makes_no_second_one(subject: &dyn Subject) {
    let (cloud, cluster) = prepared(subject).await;
    let first = cloud.launch(&launch(subject, &cluster, "a")).await.expect("launch");
    cloud.terminate(&cluster, &first.id).await.expect("terminate");
    let again = cloud.launch(&launch(subject, &cluster, "a")).await.expect("launch again");
    assert_eq!(first.id, again.id);
    assert!(again.state.is_ending(), "{again:?}");
    clean_up(subject, &cloud, &cluster).await;
}

pub async fn a_launched_instance_runs_and_is_described_in_full(subject: &dyn Subject) {
    let (cloud, cluster) = prepared(subject).await;
    let launched = cloud.launch(&launch(subject, &cluster, "a")).await.expect("launch");
    let running = in_state(subject, &cloud, &cluster, &launched.id, InstanceState::Running).await;
    let scheme = format!("{}://", subject.provider().provider_id_scheme());
    assert!(running.provider_id.starts_with(&scheme), "{running:?}");
    let id = subject.provider().instance_id(&running.provider_id);
    assert_eq!(id.as_ref(), Some(&running.id), "a providerID leads back: {running:?}");
    assert_eq!(running.failure, None);
    assert_eq!(running.node_name, launched.node_name, "a node's name never changes");
    assert!(is_dns_subdomain(&running.node_name), "{running:?}");
    assert_eq!(running.node_pool, "workers");
    assert_eq!(running.instance_type, subject.instance_type());
    assert_eq!(running.region, cluster.region);
    assert!(!running.zone.is_empty());
    assert!(running.addresses.iter().any(|a| a.kind == crate::AddressKind::InternalIP), "{running:?}");
    assert_eq!(running.tags.get("team").map(String::as_str), Some("blue"));
    assert_eq!(running.client_token, launch(subject, &cluster, "a").client_token);
    let listed = cloud.list(&cluster).await.expect("list");
    assert_eq!(listed, [running], "list and get describe the same");
    clean_up(subject, &cloud, &cluster).await;
}

fn is_dns_subdomain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|label| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

pub async fn instances_are_listed_by_cluster_only(subject: &dyn Subject) {
    let (cloud, one) = prepared(subject).await;
    let (_, two) = prepared(subject).await;
    let in_one = cloud.launch(&launch(subject, &one, "a")).await.expect("launch");
    let in_two = cloud.launch(&launch(subject, &two, "a")).await.expect("launch");
    let ids = |found: Vec<Instance>| found.into_iter().map(|i| i.id).collect::<Vec<_>>();
    assert_eq!(ids(cloud.list(&one).await.expect("list")), [in_one.id]);
    assert_eq!(ids(cloud.list(&two).await.expect("list")), [in_two.id]);
    clean_up(subject, &cloud, &one).await;
    clean_up(subject, &cloud, &two).await;
}

pub async fn a_name_used_again_sees_nothing_of_the_old_cluster(subject: &dyn Subject) {
    let (cloud, old) = prepared(subject).await;
    cloud.launch(&launch(subject, &old, "a")).await.expect("launch");
    let new = ClusterRef { name: old.name.clone(), ..unique_cluster(subject) };
    cloud.prepare_pool(&pool(subject, &new)).await.expect("prepare_pool");
    assert_eq!(cloud.list(&new).await.expect("list"), []);
    clean_up(subject, &cloud, &new).await;
    assert_eq!(cloud.list(&old).await.expect("list").len(), 1);
    clean_up(subject, &cloud, &old).await;
}

pub async fn terminating_is_idempotent(subject: &dyn Subject) {
    let (cloud, cluster) = prepared(subject).await;
    let launched = cloud.launch(&launch(subject, &cluster, "a")).await.expect("launch");
    cloud.terminate(&cluster, &launched.id).await.expect("terminate");
    cloud.terminate(&cluster, &launched.id).await.expect("terminate again");
    gone(subject, &cloud, &cluster, &launched.id).await;
    cloud.terminate(&cluster, &launched.id).await.expect("terminate what is gone");
    cloud.terminate(&cluster, "i-0123456789abcdef0").await.expect("terminate what never was");
    assert_eq!(cloud.list(&cluster).await.expect("list"), []);
    clean_up(subject, &cloud, &cluster).await;
}

pub async fn a_stopped_instance_is_stopped_and_can_be_terminated(subject: &dyn Subject) {
    let (cloud, cluster) = prepared(subject).await;
    let launched = cloud.launch(&launch(subject, &cluster, "a")).await.expect("launch");
    in_state(subject, &cloud, &cluster, &launched.id, InstanceState::Running).await;
    subject.stop_by_hand(&launched.id).await;
    in_state(subject, &cloud, &cluster, &launched.id, InstanceState::Stopped).await;
    assert_eq!(cloud.list(&cluster).await.expect("list").len(), 1, "a stopped instance still exists");
    cloud.terminate(&cluster, &launched.id).await.expect("terminate");
    gone(subject, &cloud, &cluster, &launched.id).await;
    clean_up(subject, &cloud, &cluster).await;
}

pub async fn an_instance_of_another_cluster_is_not_found(subject: &dyn Subject) {
    let (cloud, cluster) = prepared(subject).await;
    let stranger = unique_cluster(subject);
    let launched = cloud.launch(&launch(subject, &cluster, "a")).await.expect("launch");
    assert_eq!(cloud.get(&stranger, &launched.id).await.expect("get"), None);
    cloud.terminate(&stranger, &launched.id).await.expect("terminate as a stranger");
    let found = cloud.get(&cluster, &launched.id).await.expect("get").expect("it is still there");
    assert!(!found.state.is_ending(), "{found:?}");
    assert_eq!(cloud.get(&cluster, "i-0123456789abcdef0").await.expect("get"), None);
    clean_up(subject, &cloud, &cluster).await;
}

pub async fn preparing_a_pool_is_idempotent(subject: &dyn Subject) {
    let (cloud, cluster) = prepared(subject).await;
    let mut request = pool(subject, &cluster);
    cloud.prepare_pool(&request).await.expect("prepare again");
    request.user_data = "#!/bin/sh\necho changed\n".into();
    cloud.prepare_pool(&request).await.expect("prepare with other user data");
    cloud.launch(&launch(subject, &cluster, "a")).await.expect("launch");
    clean_up(subject, &cloud, &cluster).await;
}

pub async fn a_prepared_pool_says_where_its_instances_can_go(subject: &dyn Subject) {
    let (cloud, cluster) = prepared(subject).await;
    let mut request = pool(subject, &cluster);
    let zones = cloud.prepare_pool(&request).await.expect("prepare");
    for (n, zone) in zones.iter().enumerate() {
        let mut launch = launch(subject, &cluster, &format!("z{n}"));
        launch.zone = Some(zone.clone());
        assert_eq!(cloud.launch(&launch).await.expect("launch").zone, *zone);
    }
    if let Some(last) = zones.last() {
        request.zones = vec![last.clone()];
        assert_eq!(cloud.prepare_pool(&request).await.expect("prepare with a zone"), request.zones);
        request.zones = vec!["nowhere-1z".into()];
        let error = cloud.prepare_pool(&request).await.expect_err("no such zone");
        assert_eq!(error.kind, CloudErrorKind::InvalidRequest, "{error}");
    }
    clean_up(subject, &cloud, &cluster).await;
}

pub async fn an_unknown_instance_type_is_an_invalid_request(subject: &dyn Subject) {
    let (cloud, cluster) = prepared(subject).await;
    let error = cloud.instance_type(&cluster.region, "t3.enormous").await.expect_err("no such type");
    assert_eq!(error.kind, CloudErrorKind::InvalidRequest, "{error}");
    let mut request = launch(subject, &cluster, "a");
    request.instance_type = "t3.enormous".into();
    let error = cloud.launch(&request).await.expect_err("no such type");
    assert_eq!(error.kind, CloudErrorKind::InvalidRequest, "{error}");
    assert_eq!(cloud.list(&cluster).await.expect("list"), []);
    clean_up(subject, &cloud, &cluster).await;
}

pub async fn an_unknown_zone_is_an_invalid_request(subject: &dyn Subject) {
    let (cloud, cluster) = prepared(subject).await;
    let mut request = launch(subject, &cluster, "a");
    request.zone = Some("nowhere-1z".into());
    let error = cloud.launch(&request).await.expect_err("no such zone");
    assert_eq!(error.kind, CloudErrorKind::InvalidRequest, "{error}");
    clean_up(subject, &cloud, &cluster).await;
}

pub async fn an_instance_type_has_facts(subject: &dyn Subject) {
    let name = subject.instance_type();
    let facts = instances(subject).instance_type(&subject.region(), &name).await.expect("instance_type");
    assert_eq!(facts.name, name);
    assert!(facts.cpu_millis >= 1000 && facts.memory_bytes >= 1 << 29 && facts.max_pods >= 4, "{facts:?}");
    assert!(["amd64", "arm64"].contains(&facts.architecture.as_str()), "{facts:?}");
}

pub async fn zones_are_sorted_and_take_instances(subject: &dyn Subject) {
    let Some(zones) = subject.provider().zones() else { return };
    let (cloud, cluster) = prepared(subject).await;
    let names = zones.zones(&cluster.region).await.expect("zones");
    assert!(names.is_sorted() && !names.is_empty(), "{names:?}");
    for (n, zone) in names.iter().take(2).enumerate() {
        let mut request = launch(subject, &cluster, &format!("z{n}"));
        request.zone = Some(zone.clone());
        let launched = cloud.launch(&request).await.expect("launch in a zone");
        assert_eq!(&launched.zone, zone);
    }
    clean_up(subject, &cloud, &cluster).await;
}

pub async fn releasing_leaves_nothing(subject: &dyn Subject) {
    let (cloud, cluster) = prepared(subject).await;
    cloud.launch(&launch(subject, &cluster, "a")).await.expect("launch");
    clean_up(subject, &cloud, &cluster).await;
    assert_eq!(cloud.list(&cluster).await.expect("list"), []);
    cloud.release_pool(&cluster, "workers").await.expect("release_pool again");
    cloud.release_cluster(&cluster).await.expect("release_cluster again");
}

pub async fn releasing_what_never_was_succeeds(subject: &dyn Subject) {
    let cluster = unique_cluster(subject);
    let cloud = instances(subject);
    cloud.release_pool(&cluster, "workers").await.expect("release_pool");
    cloud.release_cluster(&cluster).await.expect("release_cluster");
    assert_eq!(cloud.list(&cluster).await.expect("list"), []);
}

pub async fn load_balancers_are_ensured_listed_and_deleted(subject: &dyn Subject) {
    let Some(balancers) = subject.provider().load_balancers() else { return };
    let cluster = unique_cluster(subject);
    let mut request = LoadBalancerRequest {
        cluster: cluster.clone(),
        name: "a0123456789abcdef0123456789abcde".into(),
        namespace: "default".into(),
        service: "web".into(),
        ports: vec![LoadBalancerPort {
            name: "http".into(),
            protocol: "TCP".into(),
            port: 80,
            node_port: 30080,
        }],
        instances: Vec::new(),
        annotations: BTreeMap::new(),
        internal: false,
    };
    balancers.ensure(&request).await.expect("ensure");
    let addresses = eventually(subject, "the load balancer has an address", || async {
        let addresses = balancers.ensure(&request).await.expect("ensure again");
        (!addresses.is_empty()).then_some(addresses)
    })
    .await;
    request.instances = vec!["i-1".into()];
    assert_eq!(balancers.ensure(&request).await.expect("update"), addresses, "updates keep the address");
    let listed = balancers.list(&cluster).await.expect("list");
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].name, &listed[0].instances), (&request.name, &request.instances));
    balancers.delete(&cluster, &request.name).await.expect("delete");
    balancers.delete(&cluster, &request.name).await.expect("delete again");
    assert_eq!(balancers.list(&cluster).await.expect("list"), []);
}

pub async fn routes_are_created_listed_and_deleted(subject: &dyn Subject) {
    let Some(routes) = subject.provider().routes() else { return };
    let (cloud, cluster) = prepared(subject).await;
    let instance = cloud.launch(&launch(subject, &cluster, "a")).await.expect("launch");
    let route = Route {
        name: "r1".into(),
        target_instance: instance.id.clone(),
        destination_cidr: "10.244.7.0/24".into(),
        blackhole: false,
    };
    routes.create(&cluster, &route).await.expect("create");
    routes.create(&cluster, &route).await.expect("create again");
    assert_eq!(routes.list(&cluster).await.expect("list"), std::slice::from_ref(&route));
    cloud.terminate(&cluster, &instance.id).await.expect("terminate");
    eventually(subject, "the route is a black hole", || async {
        routes.list(&cluster).await.expect("list").first().is_some_and(|found| found.blackhole).then_some(())
    })
    .await;
    routes.delete(&cluster, &route).await.expect("delete");
    routes.delete(&cluster, &route).await.expect("delete again");
    assert_eq!(routes.list(&cluster).await.expect("list"), []);
    clean_up(subject, &cloud, &cluster).await;
}
