//! What may change in an object, and what upstream says when more does.

use drydock_kinds::{Context, strategy};
use drydock_machinery::catalog::Catalog;
use drydock_machinery::decode::{self, FieldValidation};
use drydock_machinery::{Value, defaults, value};

fn context(subresource: &str) -> Context<'_> {
    Context { now: jiff::Timestamp::UNIX_EPOCH, subresource, minor_version: 36 }
}

fn stored(group: &str, version: &str, resource: &str, object: &Value) -> Value {
    let catalog = Catalog::builtin();
    let known = catalog.resource(group, version, resource).expect("a built-in resource");
    let schema = catalog.schema(&known.kind).expect("a schema");
    let mut object = decode::value(object, schema.root(), FieldValidation::Ignore).expect("decodable").value;
    defaults::apply_defaults(&mut object, schema.root());
    object.set(&["metadata", "resourceVersion"], "1");
    object.set(&["metadata", "uid"], "u");
    strategy(group, resource).set_defaults(&mut object);
    object
}

/// The errors of making `change` to `object`, which has been stored before.
fn change(kind: (&str, &str, &str), object: &Value, change: impl FnOnce(&mut Value)) -> Vec<String> {
    let (group, version, resource) = kind;
    let strategy = strategy(group, resource);
    let mut old = stored(group, version, resource, object);
    strategy.prepare_for_create(&context(""), &mut old);
    let mut new = old.clone();
    change(&mut new);
    strategy.set_defaults(&mut new);
    strategy.prepare_for_update(&context(""), &mut new, &old);
    strategy.validate_update(&context(""), &new, &old).iter().map(ToString::to_string).collect()
}

const POD: (&str, &str, &str) = ("", "v1", "pods");

fn pod() -> Value {
    value!({"metadata": {"name": "p", "namespace": "ns"}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}})
}

#[test]
fn a_pods_image_may_change() {
    let errors = change(POD, &pod(), |pod| {
        let container = value!({"name": "c", "image": "i:2"});
        pod.set(&["spec", "containers"], vec![container]);
    });
    // The pull policy of the old image stays what it was set to, so it has to be given again.
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn a_pods_command_may_not_change() {
    let errors = change(POD, &pod(), |pod| {
        let mut container = pod.array_at(&["spec", "containers"])[0].clone();
        container.set(&["command"], vec!["x"]);
        pod.set(&["spec", "containers"], vec![container]);
    });
    let expected = "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n@@ -5,7 +5,9 @@\n   {\n    \"Name\": \"c\",\n    \"Image\": \"i:1\",\n-   \"Command\": null,\n+   \"Command\": [\n+    \"x\"\n+   ],\n    \"Args\": null,\n    \"WorkingDir\": \"\",\n    \"Ports\": null,\n";
    assert_eq!(errors, [expected]);
}

#[test]
fn tolerations_may_only_be_added() {
    let mut gated = pod();
    gated.set(&["spec", "tolerations"], value!([{"key": "a", "operator": "Exists"}]));
    let added = change(POD, &gated, |pod| {
        pod.set(
            &["spec", "tolerations"],
            value!([{"key": "a", "operator": "Exists"}, {"key": "b", "operator": "Exists"}]),
        );
    });
    assert!(added.is_empty(), "{added:?}");
    let removed = change(POD, &gated, |pod| {
        pod.remove(&["spec", "tolerations"]);
    });
    assert_eq!(
        removed,
        ["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"]
    );
}

#[test]
fn a_services_address_stays() {
    let service = value!({"metadata": {"name": "s", "namespace": "ns"},
        "spec": {"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack", "ports": [{"port": 80}]}});
    let kind = ("", "v1", "services");
    let kept = change(kind, &service, |service| {
        service.remove(&["spec", "clusterIP"]);
        service.remove(&["spec", "clusterIPs"]);
    });
    assert!(kept.is_empty(), "{kept:?}");
    let moved = change(kind, &service, |service| service.set(&["spec", "clusterIP"], "10.96.0.10"));
    assert_eq!(moved, ["spec.clusterIPs[0]: Invalid value: [\"10.96.0.10\"]: may not change once set"]);
}

#[test]
fn a_services_ports_keep_their_node_ports_until_the_type_changes() {
    let kind = strategy("", "services");
    let service = value!({"metadata": {"name": "s"}, "spec": {"type": "NodePort", "clusterIP": "10.96.0.9",
        "clusterIPs": ["10.96.0.9"], "ports": [{"port": 80, "nodePort": 30080}]}});
    let old = stored("", "v1", "services", &service);
    let mut new = old.clone();
    new.set(&["spec", "ports"], value!([{"port": 80, "protocol": "TCP", "targetPort": 80}]));
    kind.prepare_for_update(&context(""), &mut new, &old);
    assert_eq!(new.array_at(&["spec", "ports"])[0].i64_at(&["nodePort"]), Some(30080));
    let mut new = old.clone();
    new.set(&["spec", "type"], "ClusterIP");
    kind.prepare_for_update(&context(""), &mut new, &old);
    assert_eq!(new.array_at(&["spec", "ports"])[0].i64_at(&["nodePort"]), None);
    assert_eq!(new.at(&["spec", "externalTrafficPolicy"]), None);
}

#[test]
fn a_new_pod_waits_in_its_class() {
    let kind = strategy("", "pods");
    for (resources, class) in [
        (value!({}), "BestEffort"),
        (value!({"requests": {"cpu": "1"}}), "Burstable"),
        (value!({"limits": {"cpu": "1", "memory": "1Gi"}}), "Guaranteed"),
    ] {
        let mut pod = pod();
        pod.set(&["status", "phase"], "Running");
        let mut container = pod.array_at(&["spec", "containers"])[0].clone();
        container.set(&["resources"], resources);
        pod.set(&["spec", "containers"], vec![container]);
        let mut pod = stored("", "v1", "pods", &pod);
        kind.prepare_for_create(&context(""), &mut pod);
        assert_eq!(pod.get("status"), Some(&value!({"phase": "Pending", "qosClass": class})));
    }
}

#[test]
fn every_built_in_kind_takes_its_defaults_once() {
    for group in Catalog::builtin().groups() {
        for resource in group.versions.iter().flat_map(|version| &version.resources) {
            let kind = strategy(group.name, resource.name);
            let mut once = value!({"apiVersion": resource.kind.api_version(), "metadata": {"name": "n"}});
            kind.set_defaults(&mut once);
            let mut twice = once.clone();
            kind.set_defaults(&mut twice);
            assert_eq!(once, twice, "{}/{}", group.name, resource.name);
            // Neither may panic on what has nothing in it.
            kind.prepare_for_create(&context(""), &mut twice);
            let _ = kind.validate_create(&context(""), &twice);
            let _ = kind.validate_update(&context(""), &twice, &once);
            let _ = kind.validate_update(&context("status"), &twice, &once);
            let _ = kind.selectable_fields(&twice);
        }
    }
}

#[test]
fn metadata_is_looked_at_as_often_as_upstream_looks() {
    let config_map = value!({"metadata": {"name": "c", "namespace": "ns"}});
    let count = |kind: (&str, &str, &str), object: &Value| {
        change(kind, object, |object| object.set(&["metadata", "labels"], value!({"bad key": "v"}))).len()
    };
    assert_eq!(count(("", "v1", "configmaps"), &config_map), 4);
    assert_eq!(count(POD, &pod()), 3);
    let class = value!({"metadata": {"name": "c"}, "spec": {"attacher": "x", "nodeName": "n",
        "source": {"persistentVolumeName": "v"}}});
    assert_eq!(count(("storage.k8s.io", "v1", "volumeattachments"), &class), 3);
}

#[test]
fn owners_are_shown_in_the_order_of_the_struct() {
    let config_map = value!({"metadata": {"name": "c", "namespace": "ns"}});
    let owner = |name: &str| value!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": "u", "controller": true});
    let owners = vec![owner("a"), owner("b")];
    let found = change(("", "v1", "configmaps"), &config_map, |object| {
        object.set(&["metadata", "ownerReferences"], owners);
    });
    assert!(
        found[0].contains(r#"[{"apiVersion":"v1","kind":"Pod","name":"a","uid":"u","controller":true},"#),
        "{found:?}"
    );
}
