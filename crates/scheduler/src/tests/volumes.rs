//! Claims and volumes, and what they do to where a pod may go.

use super::*;

fn claiming(claim: &str) -> Value {
    let mut pod = pod("p", "1");
    pod.set(&["spec", "volumes"], value!([{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]));
    pod
}

fn on_host(name: &str, host: &str) -> Value {
    value!({
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "local",
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": [host]},
            ]}]}},
        },
        "status": {"phase": "Available"},
    })
}

fn with_storage(cluster: &mut Cluster, objects: impl IntoIterator<Item = (Storage, Value)>) {
    for (kind, object) in objects {
        cluster.volumes_mut().set(kind, &Arc::new(Object::new(object, 1)));
    }
}

fn waiting_claim() -> Value {
    value!({
        "metadata": {"name": "c", "namespace": "d", "uid": "c"},
        "spec": {
            "storageClassName": "local", "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
        "status": {"phase": "Pending"},
    })
}

fn local_class() -> Value {
    value!({
        "metadata": {"name": "local"}, "volumeBindingMode": "WaitForFirstConsumer",
        "provisioner": "kubernetes.io/no-provisioner",
    })
}

#[test]
fn a_pod_waits_for_its_claims() {
    let mut cluster = cluster([node("a", "4")]);
    assert_eq!(
        refused(&cluster, claiming("c")),
        "0/1 nodes are available: persistentvolumeclaim \"c\" not found."
    );
    with_storage(&mut cluster, [(Storage::Claim, waiting_claim())]);
    assert_eq!(
        refused(&cluster, claiming("c")),
        "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    );
}

#[test]
fn a_waiting_claim_gets_a_volume_of_the_node_that_has_one() {
    let mut cluster = cluster([node("a", "4"), node("b", "4")]);
    with_storage(&mut cluster, [(Storage::Claim, waiting_claim()), (Storage::Class, local_class())]);
    assert_eq!(
        refused(&cluster, claiming("c")),
        "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind."
    );
    with_storage(&mut cluster, [(Storage::Volume, on_host("v", "b"))]);
    let placement = schedule(&cluster, &info(claiming("c")), 0).unwrap();
    assert_eq!(placement.node, "b");
    let [Binding::Volume(volume)] = &placement.bindings[..] else { panic!("{placement:?}") };
    assert_eq!(volume.str_at(&["spec", "claimRef", "uid"]), "c");
    cluster.volumes_mut().assume(&placement.bindings);
    let mut other = waiting_claim();
    other.set(&["metadata", "name"], "other");
    other.set(&["metadata", "uid"], "other");
    with_storage(&mut cluster, [(Storage::Claim, other)]);
    refused(&cluster, claiming("other"));
}

#[test]
fn a_provisioner_is_told_the_node() {
    let mut cluster = cluster([node("a", "4")]);
    let mut class = local_class();
    class.set(&["provisioner"], "ebs.csi.aws.com");
    with_storage(&mut cluster, [(Storage::Claim, waiting_claim()), (Storage::Class, class)]);
    let placement = schedule(&cluster, &info(claiming("c")), 0).unwrap();
    let [Binding::Claim(claim)] = &placement.bindings[..] else { panic!("{placement:?}") };
    assert_eq!(claim.annotation("volume.kubernetes.io/selected-node"), Some("a"));
}

#[test]
fn a_driver_that_tells_of_its_room_is_asked_for_no_more() {
    let mut cluster = cluster([node("a", "4"), node("b", "4")]);
    let mut class = local_class();
    class.set(&["provisioner"], "x.example.com");
    let driver = value!({"metadata": {"name": "x.example.com"}, "spec": {"storageCapacity": true}});
    let room = |size: &str| {
        value!({"metadata": {"name": "r", "namespace": "d"}, "storageClassName": (class.name()), "capacity": size,
            "nodeTopology": {"matchLabels": {"kubernetes.io/hostname": "b"}}})
    };
    let (claim, small, large) = (waiting_claim(), room("1Ki"), room("100Gi"));
    with_storage(
        &mut cluster,
        [
            (Storage::Claim, claim),
            (Storage::Class, class),
            (Storage::Driver, driver),
            (Storage::Capacity, small),
        ],
    );
    assert_eq!(
        refused(&cluster, claiming("c")),
        "0/2 nodes are available: 2 node(s) did not have enough free storage."
    );
    with_storage(&mut cluster, [(Storage::Capacity, large)]);
    assert_eq!(schedule(&cluster, &info(claiming("c")), 0).unwrap().node, "b");
}

#[test]
fn a_bound_volume_keeps_its_pod_near() {
    let mut cluster = cluster([node("a", "4"), node("b", "1")]);
    let mut claim = waiting_claim();
    claim.set(&["spec", "volumeName"], "v");
    claim.set(&["metadata", "annotations", "pv.kubernetes.io/bind-completed"], "yes");
    with_storage(&mut cluster, [(Storage::Claim, claim), (Storage::Volume, on_host("v", "b"))]);
    let mut large = claiming("c");
    large.set(&["spec", "containers"], pod("p", "2").at(&["spec", "containers"]).cloned().unwrap());
    assert_eq!(
        refused(&cluster, large),
        "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match PersistentVolume's node affinity."
    );
    assert_eq!(schedule(&cluster, &info(claiming("c")), 0).unwrap().node, "b");
}

#[test]
fn a_driver_has_no_more_volumes_on_a_node_than_it_can() {
    let mut cluster = cluster([node("a", "4")]);
    let volume = |name: &str| value!({"metadata": {"name": name}, "spec": {"csi": {"driver": "d.example.com", "volumeHandle": name}}});
    let claim = |name: &str, volume: &str| {
        let mut claim = waiting_claim();
        claim.set(&["metadata", "name"], name);
        claim.set(&["spec", "volumeName"], volume);
        claim.set(&["metadata", "annotations", "pv.kubernetes.io/bind-completed"], "yes");
        claim
    };
    let told = value!({"metadata": {"name": "a"}, "spec": {"drivers": [
        {"name": "d.example.com", "nodeID": "a", "allocatable": {"count": 1}}]}});
    with_storage(
        &mut cluster,
        [
            (Storage::Volume, volume("v")),
            (Storage::Volume, volume("w")),
            (Storage::Claim, claim("c", "v")),
            (Storage::Claim, claim("e", "w")),
            (Storage::Node, told),
        ],
    );
    let mut user = claiming("c");
    user.set(&["metadata", "uid"], "user");
    cluster.add_pod("a", info(user));
    assert_eq!(
        refused(&cluster, claiming("e")),
        "0/1 nodes are available: 1 node(s) exceed max volume count."
    );
    assert_eq!(schedule(&cluster, &info(claiming("c")), 0).unwrap().node, "a", "the same volume counts once");
}

#[test]
fn a_claim_for_one_pod_is_not_shared() {
    let mut cluster = cluster([node("a", "4"), node("b", "4")]);
    let mut claim = waiting_claim();
    claim.set(&["spec", "accessModes"], value!(["ReadWriteOncePod"]));
    claim.set(&["spec", "volumeName"], "v");
    claim.set(&["metadata", "annotations", "pv.kubernetes.io/bind-completed"], "yes");
    with_storage(&mut cluster, [(Storage::Claim, claim), (Storage::Volume, on_host("v", "a"))]);
    let mut user = claiming("c");
    user.set(&["metadata", "uid"], "user");
    cluster.add_pod("a", info(user));
    assert_eq!(
        refused(&cluster, claiming("c")),
        "0/2 nodes are available: 2 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode \
         already in-use by another pod."
    );
    let mut high = claiming("c");
    high.set(&["spec", "priority"], 1000);
    let high = info(high);
    let fit = schedule(&cluster, &high, 0).unwrap_err();
    assert_eq!(preempt(&cluster, &high, &fit).unwrap().node, "a");
}
