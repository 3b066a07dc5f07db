//! What may change in an object, and what upstream says when more does.

use crate::common::{Kind, change_errors, context, created, decoded, stored, updated};
use drydock_kinds::strategy;
use drydock_machinery::catalog::Catalog;
use drydock_machinery::{Value, value};

/// The errors of making `change` to `object`, which has been stored before.
fn change(kind: Kind, object: &Value, change: impl FnOnce(&mut Value)) -> Vec<String> {
    change_errors(kind, "", &created(kind, object), change)
}

const POD: Kind = ("", "v1", "pods");

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
    let moved = change(kind, &service, |service| {
        service.set(&["spec", "clusterIP"], "10.96.0.10");
        service.set(&["spec", "clusterIPs"], value!(["10.96.0.10"]));
    });
    assert_eq!(moved, ["spec.clusterIPs[0]: Invalid value: [\"10.96.0.10\"]: may not change once set"]);
}

#[test]
fn a_service_of_another_type_loses_what_only_the_old_one_had() {
    let kind = ("", "v1", "services");
    let service = value!({"metadata": {"name": "s"}, "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.9",
        "clusterIPs": ["10.96.0.9"], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
        "loadBalancerClass": "example.com/c", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30090,
        "ports": [{"port": 80, "nodePort": 30080}]},
        "status": {"loadBalancer": {"ingress": [{"hostname": "h"}]}}});
    let old = stored(kind, &service);
    let plain = updated(kind, "", &old, |service| service.set(&["spec", "type"], "ClusterIP"));
    let expected = value!({"type": "ClusterIP", "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"],
        "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster",
        "sessionAffinity": "None", "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]});
    assert_eq!(plain.get("spec"), Some(&expected));
    assert_eq!(plain.get("status"), Some(&value!({"loadBalancer": {}})));
    let name = updated(kind, "", &old, |service| {
        service.set(&["spec", "type"], "ExternalName");
        service.set(&["spec", "ports"], value!([]));
    });
    let expected = value!({"type": "ExternalName", "sessionAffinity": "None", "ports": []});
    assert_eq!(name.get("spec"), Some(&expected));
    // What was changed with the type is for validation to refuse.
    let changed = updated(kind, "", &old, |service| {
        service.set(&["spec", "type"], "ClusterIP");
        service.set(&["spec", "ports"], value!([{"port": 80, "nodePort": 30081}]));
        service.set(&["spec", "loadBalancerClass"], "example.com/d");
    });
    assert_eq!(changed.array_at(&["spec", "ports"])[0].i64_at(&["nodePort"]), Some(30081));
    assert_eq!(changed.str_at(&["spec", "loadBalancerClass"]), "example.com/d");
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
        let mut pod = stored(POD, &pod);
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
    let count = |kind: Kind, object: &Value| {
        change(kind, object, |object| object.set(&["metadata", "labels"], value!({"bad key": "v"}))).len()
    };
    assert_eq!(count(("", "v1", "configmaps"), &config_map), 4);
    assert_eq!(count(POD, &pod()), 4);
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

/// A storage class has one more look at its whole body than at what changed.
#[test]
fn a_changed_object_is_looked_at_in_upstreams_order() {
    let class = value!({"metadata": {"name": "c"}, "provisioner": "example.com/p"});
    let errors = change(("storage.k8s.io", "v1", "storageclasses"), &class, |class| {
        class.set(&["parameters"], value!({"": "v"}));
        class.set(&["metadata", "finalizers"], value!(["short"]));
    });
    let short = "metadata.finalizers[0]: Invalid value: \"short\": name is neither a standard finalizer name nor is it fully qualified";
    let expected = [
        short,
        "parameters: Invalid value: \"\": field can not be empty.",
        short,
        "parameters: Invalid value: {\"\":\"v\"}: field is immutable",
    ];
    assert_eq!(errors, expected);
    let role = value!({"metadata": {"name": "r", "namespace": "ns"}, "rules": []});
    let errors = change(("rbac.authorization.k8s.io", "v1", "roles"), &role, |role| {
        role.set(&["metadata", "finalizers"], value!(["short"]));
        role.set(&["rules"], value!([{"verbs": [], "apiGroups": [""], "resources": ["pods"]}]));
    });
    let verbs = "rules[0].verbs: Required value: verbs must contain at least one value";
    assert_eq!(errors, [short, verbs, short]);
    let map = value!({"metadata": {"name": "m", "namespace": "ns"}, "immutable": true, "data": {"a": "b"}});
    let errors = change(("", "v1", "configmaps"), &map, |map| {
        map.set(&["data"], value!({"a b": "c"}));
        map.set(&["metadata", "finalizers"], value!(["short"]));
    });
    assert_eq!(errors.len(), 4, "{errors:?}");
    assert_eq!(errors[1], "data: Forbidden: field is immutable when `immutable` is set");
    assert!(errors[3].starts_with("data[a b]: Invalid value"), "{errors:?}");
}

#[test]
fn everything_about_a_changed_volume_is_said_twice() {
    let volume = value!({"metadata": {"name": "v"}, "spec": {"capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"], "nfs": {"server": "s", "path": "/"}}});
    let errors = change(("", "v1", "persistentvolumes"), &volume, |volume| {
        volume.set(&["spec", "accessModes"], value!([]));
    });
    assert_eq!(errors, ["spec.accessModes: Required value"; 2]);
}

const NODE: Kind = ("", "v1", "nodes");

#[test]
fn a_changed_node_is_a_node() {
    let node = value!({"metadata": {"name": "n"}, "spec": {}});
    let errors = change(NODE, &node, |node| node.set(&["spec", "podCIDRs"], value!(["x"])));
    let expected = "spec.podCIDRs[0]: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
    assert_eq!(errors, [expected]);
}

#[test]
fn nodes_are_not_configured_by_the_server_any_more() {
    let source = value!({"configMap": {"name": "c", "namespace": "ns", "kubeletConfigKey": "k"}});
    let node = value!({"metadata": {"name": "n"}, "spec": {"configSource": source.clone()},
        "status": {"config": {"error": "e"}}});
    let node = created(NODE, &node);
    assert_eq!(node.at(&["spec", "configSource"]), None);
    assert_eq!(node.at(&["status", "config"]), None);
    let set = |node: &mut Value| node.set(&["spec", "configSource"], source.clone());
    assert_eq!(updated(NODE, "", &node, set).at(&["spec", "configSource"]), None);
    let mut had = node.clone();
    set(&mut had);
    assert!(updated(NODE, "", &had, |_| {}).at(&["spec", "configSource"]).is_some());
}

#[test]
fn what_a_lease_has_of_elections_it_keeps() {
    let lease = |spec: Value| value!({"metadata": {"name": "l", "namespace": "ns"}, "spec": spec});
    let kind = ("coordination.k8s.io", "v1", "leases");
    let both = value!({"strategy": "OldestEmulationVersion", "preferredHolder": "h"});
    let created = created(kind, &lease(both.clone()));
    assert_eq!(created.get("spec"), Some(&value!({})));
    let old = stored(kind, &lease(value!({"strategy": "OldestEmulationVersion"})));
    let new = updated(kind, "", &old, |lease| lease.set(&["spec"], both.clone()));
    assert_eq!(new.get("spec"), Some(&value!({"strategy": "OldestEmulationVersion"})));
}

#[test]
fn a_volume_remembers_when_its_phase_changed() {
    let kind = ("", "v1", "persistentvolumes");
    let volume = value!({"metadata": {"name": "v"}, "status": {"phase": "Available", "lastPhaseTransitionTime": "2024-01-01T00:00:00Z"}});
    let old = stored(kind, &volume);
    let time = ["status", "lastPhaseTransitionTime"];
    let kept = updated(kind, "status", &old, |volume| {
        volume.remove(&time);
    });
    assert_eq!(kept.str_at(&time), "2024-01-01T00:00:00Z");
    let moved = updated(kind, "status", &old, |volume| volume.set(&["status", "phase"], "Bound"));
    assert_eq!(moved.str_at(&time), "1970-01-01T00:00:00Z");
}

#[test]
fn a_new_pods_annotated_profiles_become_fields() {
    let key = |name: &str| format!("container.apparmor.security.beta.kubernetes.io/{name}");
    let mut pod = value!({"metadata": {"name": "p", "namespace": "ns"}, "spec": {
        "securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}},
        "initContainers": [{"name": "i", "image": "i"}],
        "containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"},
            {"name": "c", "image": "i", "securityContext": {"appArmorProfile": {"type": "Unconfined"}}}]}});
    for (name, profile) in
        [("i", "localhost/local"), ("a", "runtime/default"), ("b", "localhost/"), ("c", "unconfined")]
    {
        pod.set(&["metadata", "annotations", &key(name)], profile);
    }
    let strategy = strategy("", "pods");
    let made = created(POD, &pod);
    let profile = |list: &str, i: usize| {
        made.array_at(&["spec", list])[i].at(&["securityContext", "appArmorProfile"]).cloned()
    };
    assert_eq!(
        profile("initContainers", 0),
        Some(value!({"type": "Localhost", "localhostProfile": "local"}))
    );
    assert_eq!(profile("containers", 0), None, "the pod's own field says the same");
    assert_eq!(profile("containers", 1), None, "no profile has no name");
    assert_eq!(profile("containers", 2), Some(value!({"type": "Unconfined"})));
    let warnings = strategy.warnings_before_create(&decoded(POD, &pod));
    let text = |name: &str| {
        format!(
            "metadata.annotations[{}]: deprecated since v1.30; use the \"appArmorProfile\" field instead",
            key(name)
        )
    };
    // Who gives the field too is told nothing.
    assert_eq!(warnings, [text("i"), text("b")]);
    pod.set(&["spec", "os", "name"], "windows");
    assert_eq!(created(POD, &pod).array_at(&["spec", "initContainers"])[0].get("securityContext"), None);
}

#[test]
fn a_status_keeps_generations_that_its_writer_knows_nothing_of() {
    let mut old = created(POD, &pod());
    old.set(
        &["status"],
        value!({"phase": "Pending", "qosClass": "BestEffort", "observedGeneration": 3,
        "conditions": [{"type": "Ready", "status": "False", "observedGeneration": 2}]}),
    );
    let new = updated(POD, "status", &old, |pod| {
        pod.set(&["status"], value!({"phase": "Running", "conditions": [
            {"type": "Initialized", "status": "True"}, {"type": "Ready", "status": "True"}, {"type": "Ready", "status": "False"}]}));
    });
    let expected = value!({"phase": "Running", "qosClass": "BestEffort", "observedGeneration": 3, "conditions": [
        {"type": "Initialized", "status": "True"},
        {"type": "Ready", "status": "True", "observedGeneration": 2},
        {"type": "Ready", "status": "False"}]});
    assert_eq!(new.get("status"), Some(&expected));
}

#[test]
fn an_updated_claim_gets_no_unknown_source() {
    let kind = ("", "v1", "persistentvolumeclaims");
    let old = created(
        kind,
        &value!({"metadata": {"name": "c", "namespace": "ns"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}),
    );
    let source = value!({"apiGroup": "example.com", "kind": "Thing", "name": "t"});
    let new = updated(kind, "", &old, |claim| claim.set(&["spec", "dataSource"], source));
    assert_eq!(new.at(&["spec", "dataSource"]), None);
}

#[test]
fn an_account_refers_to_secrets_by_name() {
    let kind = ("", "v1", "serviceaccounts");
    let account =
        value!({"metadata": {"name": "a", "namespace": "ns"}, "secrets": [{"name": "s", "kind": "Secret"}]});
    let old = created(kind, &account);
    assert_eq!(old.get("secrets"), Some(&value!([{"name": "s"}])));
    let new = updated(kind, "", &old, |account| {
        account.set(&["secrets"], value!([{"name": "t", "namespace": "x"}]))
    });
    assert_eq!(new.get("secrets"), Some(&value!([{"name": "t"}])));
}

#[test]
fn labels_are_merged_into_selectors_as_often_as_they_are_named() {
    let mut pod = pod();
    pod.set(&["metadata", "labels"], value!({"a": "1"}));
    pod.set(
        &["spec", "topologySpreadConstraints"],
        value!([{"maxSkew": 1, "topologyKey": "k",
        "whenUnsatisfiable": "DoNotSchedule", "matchLabelKeys": ["a"],
        "labelSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["1"]}]}}]),
    );
    let pod = created(POD, &pod);
    let errors: Vec<String> =
        strategy("", "pods").validate_create(&context(""), &pod).iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "spec.topologySpreadConstraints[0][0]: Invalid value: \"a\": exists in both matchLabelKeys and labelSelector"
        ]
    );
}

#[test]
fn a_stateful_set_that_was_wrong_keeps_its_template() {
    let set = value!({
        "metadata": {"name": "s", "namespace": "ns"},
        "spec": {
            "selector": {"matchLabels": {"app": "a"}},
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            },
        },
    });
    let kind = ("apps", "v1", "statefulsets");
    let unnamed =
        |set: &mut Value| set.set(&["spec", "template", "spec", "containers"], value!([{"image": "i"}]));
    assert!(!change(kind, &set, unnamed).is_empty());
    let mut wrong = created(kind, &set);
    wrong.set(&["spec", "replicas"], -1);
    let errors = change_errors(kind, "", &wrong, unnamed);
    let expected = "spec.replicas: Invalid value: -1: must be greater than or equal to 0";
    assert_eq!(errors, [expected]);
}

#[test]
fn an_endpoint_slice_has_no_topology_of_before() {
    let kind = ("discovery.k8s.io", "v1", "endpointslices");
    let slice = value!({
        "metadata": {"name": "s", "namespace": "ns"},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"], "deprecatedTopology": {"a": "b"}}],
    });
    let slice = created(kind, &slice);
    assert_eq!(slice.array_at(&["endpoints"])[0].get("deprecatedTopology"), None);
}

#[test]
fn a_daemon_set_on_delete_has_both_numbers_or_none() {
    let kind = ("apps", "v1", "daemonsets");
    let of = |strategy: Value| {
        let set = decoded(kind, &value!({"metadata": {"name": "d"}, "spec": {"updateStrategy": strategy}}));
        set.at(&["spec", "updateStrategy", "rollingUpdate"]).cloned()
    };
    assert_eq!(of(value!({"type": "OnDelete"})), None);
    let one = of(value!({"type": "OnDelete", "rollingUpdate": {"maxUnavailable": 1}}));
    assert_eq!(one, Some(value!({"maxSurge": 0, "maxUnavailable": 1})));
}

#[test]
fn a_jobs_own_labels_are_its_own() {
    let kind = ("batch", "v1", "jobs");
    let labels = |own: Value| {
        let job = created(
            kind,
            &value!({
                "metadata": {"name": "j", "namespace": "ns", "labels": own},
                "spec": {"template": {
                    "metadata": {"labels": {"app": "a"}},
                    "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]},
                }},
            }),
        );
        job.object_at(&["metadata", "labels"]).len()
    };
    assert_eq!(labels(value!({"app": "a"})), 1);
    // None are the template's, with those that are generated.
    assert_eq!(labels(Value::Null), 5);
}

#[test]
fn a_quotas_scopes_are_a_set() {
    let kind = ("", "v1", "resourcequotas");
    let quota = value!({
        "metadata": {"name": "q", "namespace": "ns"}, "spec": {"scopes": ["BestEffort", "Terminating"]},
    });
    let to = |scopes: Value| change(kind, &quota, |quota| quota.set(&["spec", "scopes"], scopes));
    assert_eq!(to(value!(["Terminating", "BestEffort", "Terminating"])), [""; 0]);
    let expected = "spec.scopes: Invalid value: [\"BestEffort\"]: field is immutable";
    assert_eq!(to(value!(["BestEffort"])), [expected]);
}

#[test]
fn a_claims_source_is_of_its_own_namespace() {
    let kind = ("", "v1", "persistentvolumeclaims");
    let with = |source: Value| {
        let claim = value!({
            "metadata": {"name": "c", "namespace": "ns"},
            "spec": {"dataSourceRef": source, "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        });
        created(kind, &claim).at(&["spec", "dataSourceRef"]).is_some()
    };
    assert!(with(value!({"kind": "PersistentVolumeClaim", "name": "a"})));
    assert!(!with(value!({"kind": "PersistentVolumeClaim", "name": "a", "namespace": "other"})));
}

#[test]
fn fields_of_features_that_are_off_are_dropped_and_old_ones_kept() {
    let slices = ("resource.k8s.io", "v1", "resourceslices");
    let slice = value!({"metadata": {"name": "s"}, "spec": {"devices": [{
        "name": "d", "attributes": {"a": {"bools": [true]}, "b": {"int": 1}},
        "nodeAllocatableResourceMappings": {"cpu": {"allocationMultiplier": "1"}},
    }]}});
    let device = |slice: &Value| slice.array_at(&["spec", "devices"])[0].clone();
    let made = device(&created(slices, &slice));
    assert_eq!(made.get("attributes"), Some(&value!({"a": {}, "b": {"int": 1}})));
    assert_eq!(made.get("nodeAllocatableResourceMappings"), None);
    let old = stored(slices, &slice);
    assert_eq!(device(&updated(slices, "", &old, |_| {})), device(&old));

    let drivers = ("storage.k8s.io", "v1", "csidrivers");
    let driver = value!({"metadata": {"name": "d"}, "spec": {"preventPodSchedulingIfMissing": true}});
    let at = ["spec", "preventPodSchedulingIfMissing"];
    assert_eq!(created(drivers, &driver).at(&at), None);
    let old = stored(drivers, &driver);
    assert!(updated(drivers, "", &old, |_| {}).bool_at(&at));

    let mounts = value!({"containerStatuses": [{"name": "c", "volumeMounts": [
        {"name": "v", "mountPath": "/v", "volumeStatus": {"image": {"imageRef": "r"}}}]}]});
    let pod = value!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let report = |pod: &mut Value| pod.set(&["status"], mounts.clone());
    let mount = |pod: &Value| {
        let statuses = pod.array_at(&["status", "containerStatuses"]);
        statuses[0].array_at(&["volumeMounts"])[0].get("volumeStatus").cloned()
    };
    let old = stored(POD, &pod);
    assert_eq!(mount(&updated(POD, "status", &old, report)), None);
    let mut had = old.clone();
    report(&mut had);
    assert!(mount(&updated(POD, "status", &had, report)).is_some());
}
