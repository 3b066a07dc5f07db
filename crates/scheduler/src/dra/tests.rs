//! Decisions about devices over hand-made clusters, and the loop against the fake server.

use std::sync::Arc;

use drydock_client::resources::{NODES, PODS, RESOURCE_CLAIMS, RESOURCE_SLICES};
use drydock_client::testing::FakeServer;
use drydock_client::{ApiResource, SharedInformers};
use drydock_machinery::{Object, ObjectMeta, Value, value};
use drydock_runtime::{Clock, Tasks};

use super::{DEVICE_CLASSES, DeviceKind};
use crate::{Cluster, FitError, Placement, PodInfo, Scheduler, SchedulerConfig, schedule};

fn node(name: &str) -> Value {
    value!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"rack": name}},
        "status": {"allocatable": {"cpu": "8", "memory": "8Gi", "pods": "20"}},
    })
}

fn pod(name: &str, claims: &[&str]) -> Value {
    let claims: Vec<Value> =
        claims.iter().map(|claim| value!({"name": *claim, "resourceClaimName": *claim})).collect();
    value!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "d", "uid": name},
        "spec": {
            "schedulerName": "default-scheduler", "resourceClaims": claims,
            "containers": [{"name": "c", "image": "a:1"}],
        },
    })
}

fn class() -> Value {
    let selector = value!({"cel": {"expression": "device.driver == 'd.example.com'"}});
    value!({
        "apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": "gpu"},
        "spec": {"selectors": [selector]},
    })
}

/// A pool of one slice on node `a`.
fn slice(devices: Value) -> Value {
    value!({
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": "s"},
        "spec": {
            "driver": "d.example.com", "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1},
            "nodeName": "a", "devices": devices,
        },
    })
}

fn claim(name: &str, requests: Value) -> Value {
    value!({
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim",
        "metadata": {"name": name, "namespace": "d", "uid": name},
        "spec": {"devices": {"requests": requests}},
    })
}

fn exactly(count: i64) -> Value {
    value!([{"name": "r", "exactly": {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": count}}])
}

fn info(pod: Value) -> Arc<PodInfo> {
    Arc::new(PodInfo::new(Arc::new(Object::new(pod, 1))))
}

fn cluster(objects: impl IntoIterator<Item = (DeviceKind, Value)>) -> Cluster {
    let mut cluster = Cluster::default();
    for name in ["a", "b"] {
        cluster.set_node(&Arc::new(Object::new(node(name), 1)));
    }
    let class = (DeviceKind::Class, class());
    for (kind, object) in std::iter::once(class).chain(objects) {
        cluster.devices_mut().set(kind, &Arc::new(Object::new(object, 1)));
    }
    cluster
}

fn place(cluster: &Cluster, claims: &[&str]) -> Result<Placement, FitError> {
    schedule(cluster, &Arc::default(), &info(pod("p", claims)), 0)
}

/// The devices that each claim gets.
#[track_caller]
fn devices(cluster: &Cluster, claims: &[&str]) -> Vec<String> {
    let placement = place(cluster, claims).unwrap();
    let reservation = placement.reservation.unwrap();
    let of_claim = |allocation: &Value| {
        let results = allocation.array_at(&["devices", "results"]).iter();
        results.map(|one| one.str_at(&["device"])).collect::<Vec<_>>().join(",")
    };
    reservation.claims.iter().map(|one| of_claim(one.allocation.as_ref().unwrap())).collect()
}

#[track_caller]
fn refused(cluster: &Cluster, claims: &[&str]) -> String {
    place(cluster, claims).unwrap_err().to_string()
}

fn named(names: &[&str]) -> Value {
    Value::from(names.iter().map(|name| value!({"name": *name})).collect::<Vec<_>>())
}

#[test]
fn a_claim_gets_devices_where_they_are() {
    let mut cluster = cluster([
        (DeviceKind::Slice, slice(named(&["g0", "g1", "g2"]))),
        (DeviceKind::Claim, claim("c", exactly(2))),
        (DeviceKind::Claim, claim("e", exactly(2))),
    ]);
    let placement = place(&cluster, &["c"]).unwrap();
    assert_eq!(placement.node, "a");
    let reservation = placement.reservation.unwrap();
    let allocation = reservation.claims[0].allocation.clone().unwrap();
    let selector = allocation.at(&["nodeSelector", "nodeSelectorTerms"]).unwrap();
    assert_eq!(
        *selector,
        value!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}])
    );
    let first = &allocation.array_at(&["devices", "results"])[0];
    let wanted = value!({"request": "r", "driver": "d.example.com", "pool": "p", "device": "g0"});
    assert_eq!(*first, wanted);
    cluster.devices_mut().assume(&reservation);
    let again = refused(&cluster, &["c"]);
    assert!(again.contains("resource claim d/c is in the process of being allocated"), "{again}");
    assert_eq!(refused(&cluster, &["e"]), "0/2 nodes are available: 2 cannot allocate all claims.");
}

#[test]
fn all_devices_are_all_that_match() {
    let big = value!([{"name": "r", "exactly": {
        "deviceClassName": "gpu", "allocationMode": "All",
        "selectors": [{"cel": {"expression": "device.attributes['d.example.com'].size == 'big'"}}],
    }}]);
    let device = |name: &str, size: &str| value!({"name": name, "attributes": {"size": {"string": size}}});
    let cluster = cluster([
        (DeviceKind::Slice, slice(value!([device("g0", "big"), device("g1", "small"), device("g2", "big")]))),
        (DeviceKind::Claim, claim("c", big)),
    ]);
    assert_eq!(devices(&cluster, &["c"]), ["g0,g2"]);
}

#[test]
fn a_broken_expression_is_an_error() {
    let broken = value!([{"name": "r", "exactly": {
        "deviceClassName": "gpu", "selectors": [{"cel": {"expression": "device.attributes['d.example.com'].none"}}],
    }}]);
    let cluster =
        cluster([(DeviceKind::Slice, slice(named(&["g0"]))), (DeviceKind::Claim, claim("c", broken))]);
    let fit = place(&cluster, &["c"]).unwrap_err();
    assert_eq!(fit.reason(), "SchedulerError");
    assert_eq!(
        fit.to_string(),
        "running \"DynamicResources\" filter plugin: claim d/c: selector #0: CEL runtime error: no such key: none"
    );
}

#[test]
fn alternatives_are_tried_in_their_order() {
    let any = |name: &str, count: i64| value!({"name": name, "deviceClassName": "gpu", "count": count});
    let requests = value!([{"name": "r", "firstAvailable": [any("many", 3), any("few", 1)]}]);
    let mut cluster = cluster([
        (DeviceKind::Slice, slice(named(&["g0", "g1"]))),
        (DeviceKind::Claim, claim("c", requests)),
    ]);
    let mut elsewhere = slice(named(&["h0", "h1", "h2"]));
    elsewhere.set(&["metadata", "name"], "t");
    elsewhere.set(&["spec", "pool", "name"], "q");
    elsewhere.set(&["spec", "nodeName"], "b");
    assert_eq!(devices(&cluster, &["c"]), ["g0"]);
    cluster.devices_mut().set(DeviceKind::Slice, &Arc::new(Object::new(elsewhere, 1)));
    let placement = place(&cluster, &["c"]).unwrap();
    assert_eq!(placement.node, "b", "where the first alternative is");
    let allocation = placement.reservation.unwrap().claims[0].allocation.clone().unwrap();
    assert_eq!(allocation.array_at(&["devices", "results"])[0].str_at(&["request"]), "r/many");
}

#[test]
fn constraints_hold_over_all_devices() {
    let device = |name: &str, numa: i64| value!({"name": name, "attributes": {"numa": {"int": numa}}});
    let mut together = claim("c", exactly(2));
    let mut apart = claim(
        "e",
        value!([
            {"name": "r", "exactly": {"deviceClassName": "gpu"}}, {"name": "s", "exactly": {"deviceClassName": "gpu"}},
        ]),
    );
    together.set(&["spec", "devices", "constraints"], value!([{"matchAttribute": "d.example.com/numa"}]));
    apart.set(&["spec", "devices", "constraints"], value!([{"distinctAttribute": "d.example.com/numa"}]));
    let cluster = cluster([
        (DeviceKind::Slice, slice(value!([device("g0", 0), device("g1", 1), device("g2", 1)]))),
        (DeviceKind::Claim, together),
        (DeviceKind::Claim, apart),
    ]);
    assert_eq!(devices(&cluster, &["c"]), ["g1,g2"]);
    assert_eq!(devices(&cluster, &["e"]), ["g0,g1"]);
    assert!(refused(&cluster, &["c", "e"]).contains("2 cannot allocate all claims"));
}

#[test]
fn devices_draw_on_counters_of_their_pool() {
    let part = |name: &str, memory: &str| value!({"name": name, "consumesCounters": [{"counterSet": "card", "counters": {"memory": {"value": memory}}}]});
    let mut devices_slice = slice(value!([part("half0", "4Gi"), part("half1", "4Gi"), part("whole", "8Gi")]));
    devices_slice.set(&["spec", "pool", "resourceSliceCount"], 2);
    let mut counters = slice(value!([]));
    counters.set(&["metadata", "name"], "counters");
    counters.set(&["spec", "pool", "resourceSliceCount"], 2);
    counters.set(
        &["spec", "sharedCounters"],
        value!([{"name": "card", "counters": {"memory": {"value": "8Gi"}}}]),
    );
    let mut cluster = cluster([
        (DeviceKind::Slice, devices_slice),
        (DeviceKind::Claim, claim("c", exactly(2))),
        (DeviceKind::Claim, claim("three", exactly(3))),
    ]);
    assert_eq!(refused(&cluster, &["c"]), "0/2 nodes are available: 2 cannot allocate all claims.");
    cluster.devices_mut().set(DeviceKind::Slice, &Arc::new(Object::new(counters, 1)));
    assert_eq!(devices(&cluster, &["c"]), ["half0,half1"]);
    assert_eq!(refused(&cluster, &["three"]), "0/2 nodes are available: 2 cannot allocate all claims.");
}

#[test]
fn shared_devices_are_used_until_they_are_full() {
    let asks = |memory: &str| value!([{"name": "r", "exactly": {"deviceClassName": "gpu", "capacity": {"requests": {"memory": memory}}}}]);
    let device =
        value!([{"name": "g0", "allowMultipleAllocations": true, "capacity": {"memory": {"value": "10Gi"}}}]);
    let mut cluster = cluster([
        (DeviceKind::Slice, slice(device)),
        (DeviceKind::Claim, claim("c", asks("6Gi"))),
        (DeviceKind::Claim, claim("e", asks("4Gi"))),
        (DeviceKind::Claim, claim("f", asks("5Gi"))),
    ]);
    let reservation = place(&cluster, &["c"]).unwrap().reservation.unwrap();
    let result = &reservation.claims[0].allocation.as_ref().unwrap().array_at(&["devices", "results"])[0];
    assert_eq!(*result.at(&["consumedCapacity"]).unwrap(), value!({"memory": "6Gi"}));
    assert_eq!(result.str_at(&["shareID"]).len(), 36);
    cluster.devices_mut().assume(&reservation);
    assert_eq!(devices(&cluster, &["e"]), ["g0"]);
    assert!(refused(&cluster, &["f"]).contains("cannot allocate all claims"));
}

#[test]
fn tainted_devices_are_for_those_who_tolerate_it() {
    let taints = value!([{"key": "broken", "effect": "NoSchedule"}]);
    let mut tolerant = exactly(1);
    let tolerations = value!([{"key": "broken", "operator": "Exists"}]);
    tolerant.as_array_mut().unwrap().make_mut()[0].set(&["exactly", "tolerations"], tolerations);
    let cluster = cluster([
        (DeviceKind::Slice, slice(value!([{"name": "g0", "taints": taints}]))),
        (DeviceKind::Claim, claim("c", exactly(1))),
        (DeviceKind::Claim, claim("e", tolerant)),
    ]);
    assert!(refused(&cluster, &["c"]).contains("cannot allocate all claims"));
    assert_eq!(devices(&cluster, &["e"]), ["g0"]);
}

#[test]
fn a_claim_with_devices_ties_its_pod_to_them() {
    let mut allocated = claim("c", exactly(1));
    let terms = value!([{"matchExpressions": [{"key": "rack", "operator": "In", "values": ["b"]}]}]);
    allocated.set(&["status", "allocation", "nodeSelector", "nodeSelectorTerms"], terms);
    let cluster = cluster([(DeviceKind::Claim, allocated)]);
    assert_eq!(place(&cluster, &["c"]).unwrap().node, "b");
    let mut elsewhere = pod("p", &["c"]);
    elsewhere.set(&["spec", "nodeSelector"], value!({"rack": "a"}));
    let fit = schedule(&cluster, &Arc::default(), &info(elsewhere), 0).unwrap_err();
    assert_eq!(fit.release.told(), "deallocation of ResourceClaim completed");
    let mut cluster = cluster;
    cluster.remove_node("b");
    let fit = place(&cluster, &["c"]).unwrap_err();
    assert_eq!(fit.to_string(), "0/1 nodes are available: 1 resourceclaim not available on the node.");
    assert_eq!(fit.release.told(), "deallocation of ResourceClaim completed");
    let mut used = cluster.devices().claim("d/c").unwrap().value().clone();
    used.set(&["status", "reservedFor"], value!([{"uid": "x"}, {"uid": "y"}]));
    cluster.devices_mut().set(DeviceKind::Claim, &Arc::new(Object::new(used, 2)));
    assert_eq!(place(&cluster, &["c"]).unwrap_err().release.told(), "still not schedulable");
}

#[test]
fn a_class_that_is_missing_is_named() {
    let mut cluster = cluster([(DeviceKind::Claim, claim("c", exactly(1)))]);
    cluster.devices_mut().remove(DeviceKind::Class, "gpu");
    assert_eq!(
        refused(&cluster, &["c"]),
        "0/2 nodes are available: request r: device class gpu does not exist."
    );
}

#[test]
fn a_class_stands_for_an_extended_resource() {
    let mut offering = class();
    offering.set(&["spec", "extendedResourceName"], "example.com/gpu");
    let cluster =
        cluster([(DeviceKind::Class, offering), (DeviceKind::Slice, slice(named(&["g0", "g1", "g2"])))]);
    let mut asking = pod("p", &[]);
    let resources = |count: &str| value!({"requests": {"cpu": "1", "example.com/gpu": count}});
    asking.set(&["spec", "initContainers"], value!([{"name": "i", "resources": resources("3")}]));
    asking.set(&["spec", "containers"], value!([{"name": "c", "resources": resources("2")}]));
    let placement = schedule(&cluster, &Arc::default(), &info(asking), 0).unwrap();
    assert_eq!(placement.node, "a");
    let reservation = placement.reservation.unwrap();
    let requests = reservation.claims[0].claim.array_at(&["spec", "devices", "requests"]);
    let told: Vec<(&str, Option<i64>)> =
        requests.iter().map(|one| (one.str_at(&["name"]), one.i64_at(&["exactly", "count"]))).collect();
    assert_eq!(told, [("container-0-request-1", Some(1)), ("container-1-request-1", Some(2))]);
    assert_eq!(reservation.extended_mappings.unwrap().len(), 3, "the init container has two");
}

#[tokio::test]
async fn a_pod_is_bound_when_its_claim_is_there_and_has_devices() {
    let clock = Clock::real();
    let server = FakeServer::new(clock.clone());
    server.serve(vec![ApiResource::new(RESOURCE_SLICES, "ResourceSlice", false, &["list", "watch"])]);
    let tasks = Tasks::new("t", clock);
    let informers = SharedInformers::new(server.client(), tasks.clone());
    Scheduler::start(SchedulerConfig::new(server.client(), informers, tasks.clone()));
    let client = server.client();
    client.create(&NODES, node("a")).await.unwrap();
    client.create(&DEVICE_CLASSES, class()).await.unwrap();
    client.create(&PODS, pod("p", &["c"])).await.unwrap();
    client.create(&PODS, pod("q", &[])).await.unwrap();
    let find = |s: &FakeServer, name: &str| s.all(&PODS).into_iter().find(|pod| pod.name() == name);
    let bound = |s: &FakeServer, name: &str| {
        find(s, name).is_some_and(|pod| pod.str_at(&["spec", "nodeName"]) == "a")
    };
    server.until(|s| bound(s, "q")).await;
    assert!(find(&server, "p").unwrap().array_at(&["status", "conditions"]).is_empty(), "it is not tried");
    client.create(&RESOURCE_CLAIMS, claim("c", exactly(1))).await.unwrap();
    server.until(|s| find(s, "p").is_some_and(|p| !p.array_at(&["status", "conditions"]).is_empty())).await;
    client.create(&RESOURCE_SLICES, slice(named(&["g0"]))).await.unwrap();
    server.until(|s| bound(s, "p")).await;
    let claim = server.all(&RESOURCE_CLAIMS).remove(0);
    assert_eq!(claim.finalizers().collect::<Vec<_>>(), ["resource.kubernetes.io/delete-protection"]);
    let uid = find(&server, "p").unwrap().uid().to_owned();
    let consumer = &claim.array_at(&["status", "reservedFor"])[0];
    assert_eq!(*consumer, value!({"resource": "pods", "name": "p", "uid": uid}));
    assert!(!claim.str_at(&["status", "allocation", "allocationTimestamp"]).is_empty());
    tasks.close().await;
}

#[test]
fn a_shared_device_can_be_had_twice_by_one_claim() {
    let device = value!([{
        "name": "g0", "allowMultipleAllocations": true, "attributes": {"numa": {"int": 0}},
        "capacity": {"memory": {"value": "4Gi", "requestPolicy": {
            "default": "1Gi", "validRange": {"min": "1Gi", "step": "1Gi"},
        }}},
    }]);
    let any = |name: &str| value!({"name": name, "exactly": {"deviceClassName": "gpu"}});
    let mut both = claim("c", value!([any("r"), any("s")]));
    both.set(&["spec", "devices", "constraints"], value!([{"matchAttribute": "d.example.com/numa"}]));
    let cluster = cluster([(DeviceKind::Slice, slice(device)), (DeviceKind::Claim, both)]);
    assert_eq!(devices(&cluster, &["c"]), ["g0,g0"]);
}
