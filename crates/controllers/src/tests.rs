//! Workloads other than deployments, and nodes, against the fake server.

use std::time::Duration;

use drydock_client::DeleteOptions;
use drydock_client::resources::*;
use drydock_client::testing::FakeServer;
use drydock_machinery::{GroupVersionResource, ObjectMeta, Value, value};

use crate::testing::{cluster, make_pods_ready};
use crate::util::conditions;

fn workload(kind: &str, name: &str, spec: Value) -> Value {
    let version = if matches!(kind, "Job" | "CronJob") { "batch/v1" } else { "apps/v1" };
    let mut object =
        value!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "d"}});
    object.set(&["spec"], spec);
    object
}

fn template() -> Value {
    value!({
        "metadata": {"labels": {"app": "x"}},
        "spec": {"restartPolicy": "Always", "containers": [{"name": "c", "image": "a:1"}]},
    })
}

fn with_template(mut spec: Value) -> Value {
    spec.set(&["template"], template());
    spec.set(&["selector", "matchLabels", "app"], "x");
    spec
}

fn status_of(server: &FakeServer, resource: &GroupVersionResource, field: &str) -> i64 {
    server.all(resource).first().and_then(|object| object.i64_at(&["status", field])).unwrap_or(-1)
}

/// Plays the kubelet until `done`.
async fn play(server: &FakeServer, done: impl Fn(&FakeServer) -> bool) {
    for _ in 0..400 {
        make_pods_ready(server).await;
        if done(server) {
            return;
        }
        drydock_runtime::wall::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited in vain: {:#?}", server.writes());
}

async fn set_phase(server: &FakeServer, pod: &Value, phase: &str) {
    let mut new = pod.clone();
    new.set(&["status", "phase"], phase);
    server.client().update_status(&PODS, new).await.unwrap();
}

#[tokio::test]
async fn a_stateful_set_makes_its_pods_in_order_and_removes_them_from_the_top() {
    let (server, tasks) = cluster().await;
    let client = server.client();
    let spec = with_template(
        value!({"replicas": 3, "serviceName": "db", "updateStrategy": {"type": "RollingUpdate"}}),
    );
    client.create(&STATEFUL_SETS, workload("StatefulSet", "db", spec)).await.unwrap();
    server.until(|s| s.all(&PODS).len() == 1).await;
    assert_eq!(server.all(&PODS)[0].name(), "db-0");
    play(&server, |s| status_of(s, &STATEFUL_SETS, "readyReplicas") == 3).await;
    let mut set = server.all(&STATEFUL_SETS)[0].value().clone();
    set.set(&["spec", "replicas"], 1);
    client.update(&STATEFUL_SETS, set).await.unwrap();
    server.until(|s| s.all(&PODS).len() == 1).await;
    assert_eq!(server.all(&PODS)[0].name(), "db-0");
    let gone: Vec<String> =
        server.writes().into_iter().filter(|write| write.starts_with("gone pods")).collect();
    assert_eq!(gone, ["gone pods d/db-2", "gone pods d/db-1"]);
    tasks.close().await;
}

#[tokio::test]
async fn a_stateful_set_says_again_which_its_pods_are() {
    let (server, tasks) = cluster().await;
    let client = server.client();
    let spec = with_template(value!({"replicas": 1, "serviceName": "db"}));
    client.create(&STATEFUL_SETS, workload("StatefulSet", "db", spec)).await.unwrap();
    play(&server, |s| status_of(s, &STATEFUL_SETS, "readyReplicas") == 1).await;
    let names = ["statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"];
    let mut pod = server.all(&PODS)[0].value().clone();
    for name in names {
        pod.remove(&["metadata", "labels", name]);
    }
    client.update(&PODS, pod).await.unwrap();
    let told = |s: &FakeServer| {
        names.map(|name| s.all(&PODS)[0].value().str_at(&["metadata", "labels", name]).to_owned())
    };
    play(&server, |s| told(s) == ["db-0", "0"]).await;
    tasks.close().await;
}

#[tokio::test]
async fn a_pod_that_has_ended_stays_its_sets() {
    let (server, tasks) = cluster().await;
    let client = server.client();
    let spec = with_template(value!({"replicas": 1}));
    client.create(&REPLICA_SETS, workload("ReplicaSet", "x", spec)).await.unwrap();
    play(&server, |s| status_of(s, &REPLICA_SETS, "readyReplicas") == 1).await;
    let ended = server.all(&PODS)[0].clone();
    set_phase(&server, ended.value(), "Failed").await;
    play(&server, |s| s.all(&PODS).len() == 2).await;
    let of_ended = |s: &FakeServer| s.all(&PODS).into_iter().find(|pod| pod.uid() == ended.uid()).unwrap();
    let mut relabelled = of_ended(&server).value().clone();
    relabelled.set(&["metadata", "labels", "app"], "other");
    client.update(&PODS, relabelled).await.unwrap();
    // What is next written by the controller comes after it has seen the pod.
    let mut set = server.all(&REPLICA_SETS)[0].value().clone();
    set.set(&["spec", "replicas"], 2);
    client.update(&REPLICA_SETS, set).await.unwrap();
    play(&server, |s| status_of(s, &REPLICA_SETS, "readyReplicas") == 2).await;
    assert!(of_ended(&server).controller_ref().is_some());
    tasks.close().await;
}

#[tokio::test]
async fn a_stateful_set_rolls_from_the_top() {
    let (server, tasks) = cluster().await;
    let client = server.client();
    let spec = with_template(
        value!({"replicas": 2, "serviceName": "db", "updateStrategy": {"type": "RollingUpdate"}}),
    );
    client.create(&STATEFUL_SETS, workload("StatefulSet", "db", spec)).await.unwrap();
    play(&server, |s| status_of(s, &STATEFUL_SETS, "readyReplicas") == 2).await;
    let mut set = server.all(&STATEFUL_SETS)[0].value().clone();
    set.set(&["spec", "template", "spec", "containers"], value!([{"name": "c", "image": "a:2"}]));
    client.update(&STATEFUL_SETS, set).await.unwrap();
    play(&server, |s| {
        let new = |pod: &Value| pod.array_at(&["spec", "containers"])[0].str_at(&["image"]) == "a:2";
        s.all(&PODS).len() == 2
            && s.all(&PODS).iter().all(|pod| new(pod))
            && s.all(&STATEFUL_SETS)[0].str_at(&["status", "currentRevision"])
                == s.all(&STATEFUL_SETS)[0].str_at(&["status", "updateRevision"])
    })
    .await;
    let gone: Vec<String> =
        server.writes().into_iter().filter(|write| write.starts_with("gone pods")).collect();
    assert_eq!(gone, ["gone pods d/db-1", "gone pods d/db-0"]);
    assert_eq!(server.all(&CONTROLLER_REVISIONS).len(), 2);
    tasks.close().await;
}

fn node(name: &str) -> Value {
    value!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"pool": "p"}}, "spec": {},
        "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]},
    })
}

#[tokio::test]
async fn a_daemon_set_runs_on_every_node_and_follows_nodes() {
    let (server, tasks) = cluster().await;
    let client = server.client();
    client.create(&NODES, node("a")).await.unwrap();
    client.create(&NODES, node("b")).await.unwrap();
    let spec = with_template(value!({"updateStrategy": {"type": "RollingUpdate"}}));
    client.create(&DAEMON_SETS, workload("DaemonSet", "agent", spec)).await.unwrap();
    play(&server, |s| status_of(s, &DAEMON_SETS, "numberAvailable") == 2).await;
    client.create(&NODES, node("c")).await.unwrap();
    play(&server, |s| status_of(s, &DAEMON_SETS, "numberAvailable") == 3).await;
    let mut set = server.all(&DAEMON_SETS)[0].value().clone();
    set.set(&["spec", "template", "spec", "containers"], value!([{"name": "c", "image": "a:2"}]));
    client.update(&DAEMON_SETS, set).await.unwrap();
    play(&server, |s| {
        let set = &s.all(&DAEMON_SETS)[0];
        let count = |name| set.i64_at(&["status", name]);
        set.generation() == 2
            && count("observedGeneration") == Some(2)
            && count("updatedNumberScheduled") == Some(3)
            && count("numberAvailable") == Some(3)
    })
    .await;
    assert_eq!(server.all(&PODS).len(), 3);
    tasks.close().await;
}

fn job(extra: Value) -> Value {
    let mut spec = with_template(value!({"completions": 2, "parallelism": 2, "backoffLimit": 0}));
    for (key, value) in extra.as_object().unwrap().iter() {
        spec.set(&[key], value.clone());
    }
    workload("Job", "tally", spec)
}

#[tokio::test]
async fn a_job_counts_each_pod_once_and_completes() {
    let (server, tasks) = cluster().await;
    server.client().create(&JOBS, job(value!({}))).await.unwrap();
    server.until(|s| s.all(&PODS).len() == 2).await;
    for pod in server.all(&PODS) {
        set_phase(&server, &pod, "Succeeded").await;
    }
    server.until(|s| conditions::is_true(&s.all(&JOBS)[0], "Complete")).await;
    assert_eq!(status_of(&server, &JOBS, "succeeded"), 2);
    server.until(|s| s.all(&PODS).iter().all(|pod| pod.finalizers().next().is_none())).await;
    let job = server.all(&JOBS).remove(0);
    assert_eq!(job.at(&["status", "uncountedTerminatedPods"]), Some(&value!({})));
    assert!(job.at(&["status", "active"]).is_none());
    tasks.close().await;
}

#[tokio::test]
async fn a_job_past_its_limit_fails_and_stops_its_pods() {
    let (server, tasks) = cluster().await;
    server.client().create(&JOBS, job(value!({}))).await.unwrap();
    server.until(|s| s.all(&PODS).len() == 2).await;
    set_phase(&server, &server.all(&PODS)[0], "Failed").await;
    server.until(|s| conditions::is_true(&s.all(&JOBS)[0], "Failed")).await;
    assert_eq!(status_of(&server, &JOBS, "failed"), 2);
    assert_eq!(server.all(&PODS).len(), 1);
    tasks.close().await;
}

/// A failure that the policy ignores does not count, but new pods wait after it as after others.
#[tokio::test]
async fn new_pods_wait_after_failures_that_are_ignored() {
    let (server, tasks) = cluster().await;
    let policy = value!({"podFailurePolicy": {"rules": [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ]}});
    server.client().create(&JOBS, job(policy)).await.unwrap();
    server.until(|s| s.all(&PODS).len() == 2).await;
    let mut pod = server.all(&PODS)[0].value().clone();
    let condition = value!({"type": "DisruptionTarget", "status": "True"});
    pod.set(&["status"], value!({"phase": "Failed", "conditions": [condition]}));
    server.client().update_status(&PODS, pod).await.unwrap();
    server.until(|s| s.all(&PODS).iter().any(|pod| pod.finalizers().next().is_none())).await;
    server
        .until(|s| s.all(&JOBS)[0].at(&["status", "active"]).is_none_or(|active| *active != 2.into()))
        .await;
    assert_eq!(server.all(&PODS).len(), 2);
    assert_eq!(status_of(&server, &JOBS, "failed"), -1);
    tasks.close().await;
}

#[tokio::test]
async fn a_suspended_job_says_what_it_stops() {
    let (server, tasks) = cluster().await;
    let client = server.client();
    client.create(&JOBS, job(value!({}))).await.unwrap();
    server.until(|s| status_of(s, &JOBS, "active") == 2).await;
    let patch = value!({"spec": {"suspend": true}});
    client.patch(&JOBS, "d", "tally", drydock_client::PatchType::Merge, patch).await.unwrap();
    let suspended = |s: &FakeServer| {
        let is_suspended = conditions::is_true(&s.all(&JOBS)[0], "Suspended");
        // From the first word on.
        assert!(!is_suspended || status_of(s, &JOBS, "terminating") >= 0);
        is_suspended
    };
    server.until(suspended).await;
    tasks.close().await;
}

#[tokio::test]
async fn an_indexed_job_numbers_its_pods() {
    let (server, tasks) = cluster().await;
    server.client().create(&JOBS, job(value!({"completionMode": "Indexed"}))).await.unwrap();
    server.until(|s| s.all(&PODS).len() == 2).await;
    let mut indexes: Vec<String> = server
        .all(&PODS)
        .iter()
        .map(|pod| pod.annotation("batch.kubernetes.io/job-completion-index").unwrap_or("").to_owned())
        .collect();
    indexes.sort();
    assert_eq!(indexes, ["0", "1"]);
    for pod in server.all(&PODS) {
        set_phase(&server, &pod, "Succeeded").await;
    }
    server.until(|s| conditions::is_true(&s.all(&JOBS)[0], "Complete")).await;
    assert_eq!(server.all(&JOBS)[0].str_at(&["status", "completedIndexes"]), "0,1");
    tasks.close().await;
}

#[tokio::test]
async fn a_cron_job_that_is_due_starts_a_job() {
    let (server, tasks) = cluster().await;
    let mut cron =
        workload("CronJob", "tick", value!({"schedule": "* * * * *", "jobTemplate": {"spec": {}}}));
    cron.set(&["spec", "jobTemplate", "spec"], job(value!({})).at(&["spec"]).unwrap().clone());
    // As if the last run had been a while ago.
    cron.set(&["status", "lastScheduleTime"], "2026-01-01T00:00:00Z");
    server.client().create(&CRON_JOBS, cron).await.unwrap();
    server.until(|s| s.all(&JOBS).len() == 1).await;
    server.until(|s| s.all(&CRON_JOBS)[0].array_at(&["status", "active"]).len() == 1).await;
    tasks.close().await;
}

#[tokio::test]
async fn an_unready_node_is_tainted_and_a_new_one_gets_a_range() {
    let (server, tasks) = cluster().await;
    let client = server.client();
    client.create(&NODES, node("a")).await.unwrap();
    server.until(|s| !s.all(&NODES)[0].str_at(&["spec", "podCIDR"]).is_empty()).await;
    let mut unready = server.all(&NODES)[0].value().clone();
    unready.set(&["status", "conditions"], value!([{"type": "Ready", "status": "False"}]));
    unready.remove(&["metadata", "resourceVersion"]);
    client.update_status(&NODES, unready).await.unwrap();
    let tainted = |s: &FakeServer| {
        let node = s.all(&NODES).remove(0);
        let mut taints = node.array_at(&["spec", "taints"]).iter();
        taints.any(|taint| taint.str_at(&["key"]) == "node.kubernetes.io/not-ready")
    };
    server.until(tainted).await;
    tasks.close().await;
}

/// A budget `b` of the pods of app `x`.
fn budget(mut spec: Value) -> Value {
    spec.set(&["selector", "matchLabels", "app"], "x");
    value!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b", "namespace": "d"},
        "spec": spec,
    })
}

#[tokio::test]
async fn a_budget_counts_what_may_be_disrupted() {
    let (server, tasks) = cluster().await;
    let client = server.client();
    client.create(&POD_DISRUPTION_BUDGETS, budget(value!({"minAvailable": 1}))).await.unwrap();
    let spec = with_template(value!({"replicas": 3}));
    client.create(&REPLICA_SETS, workload("ReplicaSet", "x", spec)).await.unwrap();
    play(&server, |s| status_of(s, &POD_DISRUPTION_BUDGETS, "disruptionsAllowed") == 2).await;
    client.delete(&PODS, "d", server.all(&PODS)[0].name(), DeleteOptions::default()).await.unwrap();
    play(&server, |s| status_of(s, &POD_DISRUPTION_BUDGETS, "disruptionsAllowed") == 2).await;
    tasks.close().await;
}

#[tokio::test]
async fn a_budget_that_says_nothing_allows_nothing() {
    let (server, tasks) = cluster().await;
    let client = server.client();
    client.create(&POD_DISRUPTION_BUDGETS, budget(value!({}))).await.unwrap();
    let spec = with_template(value!({"replicas": 3}));
    client.create(&REPLICA_SETS, workload("ReplicaSet", "x", spec)).await.unwrap();
    play(&server, |s| status_of(s, &POD_DISRUPTION_BUDGETS, "currentHealthy") == 3).await;
    assert_eq!(status_of(&server, &POD_DISRUPTION_BUDGETS, "expectedPods"), 0);
    assert_eq!(status_of(&server, &POD_DISRUPTION_BUDGETS, "disruptionsAllowed"), 0);
    tasks.close().await;
}

#[tokio::test]
async fn an_ephemeral_volume_gets_a_claim_and_the_claim_comes_back() {
    let (server, tasks) = cluster().await;
    let client = server.client();
    let pod = value!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "d"},
        "spec": {"containers": [{"name": "c", "image": "a:1"}], "volumes": [{
            "name": "s", "ephemeral": {"volumeClaimTemplate": {"spec": {"storageClassName": "x"}}},
        }]},
    });
    let pod = client.create(&PODS, pod).await.unwrap();
    let claim =
        |s: &FakeServer| s.all(&PERSISTENT_VOLUME_CLAIMS).into_iter().find(|claim| claim.name() == "p-s");
    server.until(|s| claim(s).is_some()).await;
    let made = claim(&server).unwrap();
    assert_eq!(made.controller_ref().map(|owner| owner.str_at(&["uid"])), Some(pod.uid()));
    client.delete(&PERSISTENT_VOLUME_CLAIMS, "d", "p-s", DeleteOptions::default()).await.unwrap();
    server.until(|s| claim(s).is_some_and(|again| again.uid() != made.uid())).await;
    tasks.close().await;
}

#[tokio::test]
async fn a_budget_asks_any_controller_for_its_scale() {
    let (server, tasks) = cluster().await;
    let client = server.client();
    let widgets = GroupVersionResource::new("example.com", "v1", "widgets");
    let served = drydock_client::ApiResource::new(widgets.clone(), "Widget", true, &["get"]);
    server.serve(vec![drydock_client::ApiResource { scalable: true, ..served }]);
    let widget = value!({
        "apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "d"},
        "spec": {"replicas": 4},
    });
    let widget = client.create(&widgets, widget).await.unwrap();
    let owner = value!({
        "apiVersion": "example.com/v1", "kind": "Widget", "name": "w", "uid": widget.uid(), "controller": true,
    });
    let mut pod = value!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "namespace": "d", "labels": {"app": "x"}},
        "spec": {"containers": [{"name": "c", "image": "a:1"}]},
    });
    pod.set(&["metadata", "ownerReferences"], vec![owner]);
    client.create(&PODS, pod).await.unwrap();
    client.create(&POD_DISRUPTION_BUDGETS, budget(value!({"maxUnavailable": 1}))).await.unwrap();
    server.until(|s| status_of(s, &POD_DISRUPTION_BUDGETS, "expectedPods") == 4).await;
    tasks.close().await;
}

#[tokio::test]
async fn a_suspended_job_that_has_enough_is_complete() {
    let (server, tasks) = cluster().await;
    let client = server.client();
    client.create(&JOBS, job(value!({"suspend": true, "completions": 0}))).await.unwrap();
    server.until(|s| conditions::is_true(&s.all(&JOBS)[0], "Complete")).await;
    assert!(!conditions::is_true(&server.all(&JOBS)[0], "Suspended"));
    tasks.close().await;
}

#[tokio::test]
async fn a_pod_of_two_budgets_says_so() {
    let (server, tasks) = cluster().await;
    let client = server.client();
    for name in ["one", "other"] {
        let mut budget = budget(value!({"minAvailable": 1}));
        budget.set(&["metadata", "name"], name);
        client.create(&POD_DISRUPTION_BUDGETS, budget).await.unwrap();
    }
    server.until(|s| status_of(s, &POD_DISRUPTION_BUDGETS, "observedGeneration") >= 0).await;
    let spec = with_template(value!({"replicas": 1}));
    client.create(&REPLICA_SETS, workload("ReplicaSet", "x", spec)).await.unwrap();
    let is_told = |s: &FakeServer| {
        let mut events = s.all(&EVENTS).into_iter();
        events.any(|event| event.str_at(&["reason"]) == "MultiplePodDisruptionBudgets")
    };
    play(&server, is_told).await;
    tasks.close().await;
}

/// The ports of all slices.
fn slice_ports(server: &FakeServer) -> Vec<i64> {
    let slices = server.all(&ENDPOINT_SLICES);
    let ports = slices.iter().flat_map(|slice| slice.array_at(&["ports"]));
    ports.filter_map(|port| port.i64_at(&["port"])).collect()
}

#[tokio::test]
async fn a_slice_is_used_again_when_ports_change() {
    let (server, tasks) = cluster().await;
    let client = server.client();
    let service = value!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "d"},
        "spec": {
            "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv4"], "type": "ClusterIP",
            "selector": {"app": "x"}, "ports": [{"name": "a", "port": 80, "targetPort": 8080, "protocol": "TCP"}],
            "publishNotReadyAddresses": true,
        },
    });
    client.create(&SERVICES, service).await.unwrap();
    let pod = value!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "namespace": "d", "labels": {"app": "x"}},
        "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "a:1"}]},
        "status": {"phase": "Running", "podIP": "10.1.0.1", "podIPs": [{"ip": "10.1.0.1"}]},
    });
    client.create(&PODS, pod).await.unwrap();
    server.until(|s| slice_ports(s) == [8080]).await;
    let before = server.all(&ENDPOINT_SLICES);
    let mut new = server.all(&SERVICES)[0].value().clone();
    new.at_mut(&["spec", "ports"]).as_array_mut().unwrap().make_mut()[0].set(&["targetPort"], 9090);
    client.update(&SERVICES, new).await.unwrap();
    server.until(|s| slice_ports(s) == [9090]).await;
    let after = server.all(&ENDPOINT_SLICES);
    assert_eq!((after.len(), after[0].uid()), (1, before[0].uid()));
    tasks.close().await;
}

#[tokio::test]
async fn one_slice_mirrors_many_addresses_and_is_made_anew() {
    let (server, tasks) = cluster().await;
    let client = server.client();
    let service = value!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "d"}, "spec": {},
    });
    client.create(&SERVICES, service).await.unwrap();
    let addresses: Vec<Value> =
        (0..1005).map(|i| value!({"ip": (format!("10.2.{}.{}", i / 250, i % 250 + 1))})).collect();
    let mut endpoints = value!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": "web", "namespace": "d", "annotations": {"note": "1", "gone": "x"}},
        "subsets": [{"ports": [{"name": "a", "port": 80, "protocol": "TCP"}]}],
    });
    endpoints.at_mut(&["subsets"]).as_array_mut().unwrap().make_mut()[0].set(&["addresses"], addresses);
    client.create(&ENDPOINTS, endpoints).await.unwrap();
    let slice = |s: &FakeServer| s.all(&ENDPOINT_SLICES).into_iter().next();
    server.until(|s| slice(s).is_some_and(|slice| slice.array_at(&["endpoints"]).len() == 1000)).await;
    server
        .until(|s| s.all(&EVENTS).iter().any(|event| event.str_at(&["reason"]) == "TooManyAddressesToMirror"))
        .await;
    let before = slice(&server).unwrap();
    let mut new = server.all(&ENDPOINTS)[0].value().clone();
    new.set(&["metadata", "annotations"], value!({"note": "2"}));
    client.update(&ENDPOINTS, new).await.unwrap();
    server.until(|s| slice(s).is_some_and(|slice| slice.annotation("note") == Some("2"))).await;
    let after = slice(&server).unwrap();
    assert_eq!((after.uid(), after.annotation("gone")), (before.uid(), None));
    assert_eq!(server.all(&ENDPOINT_SLICES).len(), 1);
    tasks.close().await;
}

#[tokio::test]
async fn a_pod_goes_when_its_device_is_tainted() {
    let (server, tasks) = cluster().await;
    let client = server.client();
    let slice = value!({
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": "s"},
        "spec": {
            "driver": "gpu", "nodeName": "n", "pool": {"name": "n", "generation": 1, "resourceSliceCount": 1},
            "devices": [{"name": "one"}],
        },
    });
    let slice = client.create(&RESOURCE_SLICES, slice).await.unwrap();
    let claim = value!({
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"name": "c", "namespace": "d"},
        "spec": {},
    });
    let claim = client.create(&RESOURCE_CLAIMS, claim).await.unwrap();
    let pod = value!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "d"},
        "spec": {
            "nodeName": "n", "containers": [{"name": "c", "image": "a:1"}],
            "resourceClaims": [{"name": "gpu", "resourceClaimName": "c"}],
        },
    });
    let pod = client.create(&PODS, pod).await.unwrap();
    let mut given = claim.value().clone();
    let result = value!({"request": "r", "driver": "gpu", "pool": "n", "device": "one"});
    given.set(&["status", "allocation", "devices", "results"], vec![result]);
    let consumer = value!({"resource": "pods", "name": "p", "uid": (pod.uid())});
    given.set(&["status", "reservedFor"], vec![consumer]);
    client.update_status(&RESOURCE_CLAIMS, given).await.unwrap();
    let mut tainted = slice.value().clone();
    let taint = value!({"key": "broken", "effect": "NoExecute", "timeAdded": "2020-01-01T00:00:00Z"});
    tainted.at_mut(&["spec", "devices"]).as_array_mut().unwrap().make_mut()[0].set(&["taints"], vec![taint]);
    client.update(&RESOURCE_SLICES, tainted).await.unwrap();
    let is_told = |s: &FakeServer| {
        s.all(&EVENTS).iter().any(|event| event.str_at(&["reason"]) == "DeviceTaintManagerEviction")
    };
    server.until(|s| is_told(s) && s.all(&PODS).iter().all(|pod| pod.is_deleting())).await;
    tasks.close().await;
}
