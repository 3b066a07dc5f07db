//! Decisions over hand-made clusters, and the loop against the fake server.

use std::sync::Arc;

use drydock_client::SharedInformers;
use drydock_client::resources::{EVENTS, NODES, PODS};
use drydock_client::testing::FakeServer;
use drydock_machinery::{Object, ObjectMeta, Value, value};
use drydock_runtime::{Clock, Tasks};

use crate::{Cluster, PodInfo, Scheduler, SchedulerConfig, schedule};

fn node(name: &str, cpu: &str) -> Value {
    value!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "20"}},
    })
}

fn pod(name: &str, cpu: &str) -> Value {
    value!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "d", "uid": name, "labels": {"app": name}},
        "spec": {
            "schedulerName": "default-scheduler",
            "containers": [{"name": "c", "image": "a:1", "resources": {"requests": {"cpu": cpu}}}],
        },
    })
}

fn info(pod: Value) -> Arc<PodInfo> {
    Arc::new(PodInfo::new(Arc::new(Object::new(pod, 1))))
}

fn cluster(nodes: impl IntoIterator<Item = Value>) -> Cluster {
    let mut cluster = Cluster::default();
    for node in nodes {
        cluster.set_node(&Arc::new(Object::new(node, 1)));
    }
    cluster
}

#[track_caller]
fn refused(cluster: &Cluster, pod: Value) -> String {
    schedule(cluster, &info(pod), 0).unwrap_err().to_string()
}

#[test]
fn the_message_counts_each_reason() {
    let mut tainted = node("b", "4");
    tainted.set(&["spec", "taints"], value!([{"key": "k", "effect": "NoSchedule"}]));
    let mut cordoned = node("c", "4");
    cordoned.set(&["spec", "unschedulable"], true);
    let cluster = cluster([node("a", "1"), tainted, cordoned]);
    assert_eq!(
        refused(&cluster, pod("p", "2")),
        "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s), \
         1 node(s) were unschedulable."
    );
    assert_eq!(refused(&Cluster::default(), pod("p", "1")), "no nodes available to schedule pods");
}

#[test]
fn the_emptier_node_is_taken() {
    let mut cluster = cluster([node("a", "4"), node("b", "4")]);
    cluster.add_pod("a", info(pod("x", "2")));
    for start in 0..4 {
        assert_eq!(schedule(&cluster, &info(pod("p", "1")), start).unwrap().node, "b");
    }
}

#[test]
fn anti_affinity_works_in_both_directions() {
    let mut cluster = cluster([node("a", "4")]);
    let mut loner = pod("loner", "1");
    let term = value!([{
        "topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "p"}},
    }]);
    let path = ["spec", "affinity", "podAntiAffinity", "requiredDuringSchedulingIgnoredDuringExecution"];
    loner.set(&path, term);
    cluster.add_pod("a", info(loner.clone()));
    assert_eq!(
        refused(&cluster, pod("p", "1")),
        "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules."
    );
    cluster.remove_pod("loner");
    cluster.add_pod("a", info(pod("p", "1")));
    assert_eq!(
        refused(&cluster, loner),
        "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules."
    );
}

#[test]
fn hard_spreading_keeps_the_skew() {
    let mut cluster = cluster([node("a", "4"), node("b", "4")]);
    let mut spread = pod("p", "1");
    spread.set(
        &["spec", "topologySpreadConstraints"],
        value!([{
            "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "p"}},
        }]),
    );
    let mut other = spread.clone();
    other.set(&["metadata", "uid"], "other");
    cluster.add_pod("a", info(other));
    for start in 0..4 {
        assert_eq!(schedule(&cluster, &info(spread.clone()), start).unwrap().node, "b");
    }
}

struct Running {
    server: FakeServer,
    tasks: Tasks,
}

fn running() -> Running {
    let clock = Clock::real();
    let server = FakeServer::new(clock.clone());
    let tasks = Tasks::new("t", clock);
    let informers = SharedInformers::new(server.client(), tasks.clone());
    Scheduler::start(SchedulerConfig::new(server.client(), informers, tasks.clone()));
    Running { server, tasks }
}

fn find(server: &FakeServer, name: &str) -> Option<Arc<Object>> {
    server.all(&PODS).into_iter().find(|pod| pod.name() == name)
}

#[tokio::test]
async fn a_pod_waits_for_a_node_and_is_bound_when_it_comes() {
    let Running { server, tasks } = running();
    let client = server.client();
    client.create(&PODS, pod("p", "1")).await.unwrap();
    let reason = |s: &FakeServer| {
        let pod = find(s, "p")?;
        let first = pod.array_at(&["status", "conditions"]).first()?.clone();
        Some(first.str_at(&["message"]).to_owned())
    };
    server.until(|s| reason(s).as_deref() == Some("no nodes available to schedule pods")).await;
    client.create(&NODES, node("a", "4")).await.unwrap();
    server.until(|s| find(s, "p").is_some_and(|p| p.str_at(&["spec", "nodeName"]) == "a")).await;
    server.until(|s| s.all(&EVENTS).iter().any(|event| event.str_at(&["reason"]) == "Scheduled")).await;
    tasks.close().await;
}

#[tokio::test]
async fn a_pod_of_higher_priority_pushes_one_out() {
    let Running { server, tasks } = running();
    let client = server.client();
    client.create(&NODES, node("a", "2")).await.unwrap();
    let mut low = pod("low", "2");
    low.set(&["spec", "priority"], 0);
    client.create(&PODS, low).await.unwrap();
    server.until(|s| find(s, "low").is_some_and(|p| !p.str_at(&["spec", "nodeName"]).is_empty())).await;
    let mut high = pod("high", "1");
    high.set(&["spec", "priority"], 1000);
    client.create(&PODS, high).await.unwrap();
    server.until(|s| find(s, "low").is_some_and(|p| p.is_deleting())).await;
    let grace = drydock_client::DeleteOptions::default().grace(0);
    client.delete(&PODS, "d", "low", grace).await.unwrap();
    server.until(|s| find(s, "high").is_some_and(|p| p.str_at(&["spec", "nodeName"]) == "a")).await;
    tasks.close().await;
}

/// A thousand nodes, five thousand pods: deciding alone must be far faster than the goal for the whole.
#[test]
fn deciding_is_fast_enough_to_matter_nowhere() {
    let mut cluster = cluster((0..1000).map(|i| node(&format!("n{i}"), "64")));
    let watch = drydock_runtime::wall::Stopwatch::start();
    let count = 500;
    let mut start = 0;
    for i in 0..count {
        let mut object = pod(&format!("p{i}"), "100m");
        object.set(&["metadata", "uid"], format!("u{i}"));
        let pod = info(object);
        let placement = schedule(&cluster, &pod, start).unwrap();
        start += placement.evaluated;
        cluster.add_pod(&placement.node, pod);
    }
    let per_pod = watch.elapsed() / count;
    assert!(per_pod.as_millis() < 20, "{per_pod:?} per pod");
}
