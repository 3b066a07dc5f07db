//! Decisions over hand-made clusters, and the loop against the fake server.

use std::sync::Arc;

use drydock_client::SharedInformers;
use drydock_client::resources::{EVENTS, NODES, PODS};
use drydock_client::testing::FakeServer;
use drydock_machinery::{Object, ObjectMeta, Value, value};
use drydock_runtime::{Clock, Tasks};

use crate::preemption::{NoPreemption, Preemption};
use crate::{Binding, Cluster, FitError, Placement, PodInfo, Scheduler, SchedulerConfig, Storage};

mod volumes;

/// With the default profile.
fn schedule(cluster: &Cluster, pod: &PodInfo, start: usize) -> Result<Placement, FitError> {
    crate::schedule(cluster, &Arc::default(), pod, start)
}

fn preempt(cluster: &Cluster, pod: &PodInfo, fit: &FitError) -> Result<Preemption, NoPreemption> {
    crate::preemption::preempt(cluster, &Arc::default(), pod, fit)
}

pub(crate) fn node(name: &str, cpu: &str) -> Value {
    value!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "20"}},
    })
}

pub(crate) fn pod(name: &str, cpu: &str) -> Value {
    value!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "d", "uid": name, "labels": {"app": name}},
        "spec": {
            "schedulerName": "default-scheduler",
            "containers": [{"name": "c", "image": "a:1", "resources": {"requests": {"cpu": cpu}}}],
        },
    })
}

pub(crate) fn info(pod: Value) -> Arc<PodInfo> {
    Arc::new(PodInfo::new(Arc::new(Object::new(pod, 1))))
}

pub(crate) fn cluster(nodes: impl IntoIterator<Item = Value>) -> Cluster {
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
fn terms_that_contradict_each_other_leave_no_node() {
    let cluster = cluster([node("a", "4"), node("b", "4")]);
    let path = ["spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"];
    let field = |name: &str| value!({"key": "metadata.name", "operator": "In", "values": [name]});
    let mut torn = pod("p", "1");
    torn.set(&path, value!({"nodeSelectorTerms": [{"matchFields": [(field("a")), (field("b"))]}]}));
    assert_eq!(refused(&cluster, torn), "0/2 nodes are available: pod affinity terms conflict.");
    let mut either = pod("p", "1");
    either.set(
        &path,
        value!({"nodeSelectorTerms": [
            {"matchFields": [(field("a")), (field("b"))]}, {"matchFields": [(field("b"))]},
        ]}),
    );
    assert_eq!(schedule(&cluster, &info(either), 0).unwrap().node, "b");
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

#[test]
fn budgets_are_spared_before_priority() {
    let mut cluster = cluster([node("a", "2"), node("b", "2")]);
    let low = |name: &str, priority: i64| {
        let mut low = pod(name, "2");
        low.set(&["spec", "priority"], priority);
        info(low)
    };
    cluster.add_pod("a", low("kept", 0));
    cluster.add_pod("b", low("free", 10));
    let budget = value!({
        "metadata": {"name": "b", "namespace": "d"}, "spec": {"selector": {"matchLabels": {"app": "kept"}}},
        "status": {"disruptionsAllowed": 0},
    });
    let mut high = pod("high", "1");
    high.set(&["spec", "priority"], 1000);
    let high = info(high);
    let fit = schedule(&cluster, &high, 0).unwrap_err();
    assert_eq!(preempt(&cluster, &high, &fit).unwrap().node, "a");
    cluster.set_budget(&Arc::new(Object::new(budget, 1)));
    assert_eq!(preempt(&cluster, &high, &fit).unwrap().node, "b");
}

struct Running {
    server: FakeServer,
    scheduler: Arc<Scheduler>,
    tasks: Tasks,
}

fn running() -> Running {
    let clock = Clock::real();
    let server = FakeServer::new(clock.clone());
    let tasks = Tasks::new("t", clock);
    let informers = SharedInformers::new(server.client(), tasks.clone());
    let scheduler = Scheduler::start(SchedulerConfig::new(server.client(), informers, tasks.clone()));
    Running { server, scheduler, tasks }
}

#[tokio::test]
async fn other_profiles_are_in_force_while_it_runs() {
    let Running { server, scheduler, tasks } = running();
    let client = server.client();
    client.create(&NODES, node("a", "4")).await.unwrap();
    let on = |s: &FakeServer, name: &str| {
        find(s, name).map(|pod| pod.str_at(&["spec", "nodeName"]).to_owned()).unwrap_or_default()
    };
    let mut other = pod("other", "1");
    other.set(&["spec", "schedulerName"], "other");
    client.create(&PODS, other).await.unwrap();
    client.create(&PODS, pod("first", "1")).await.unwrap();
    server.until(|s| on(s, "first") == "a").await;
    assert_eq!(on(&server, "other"), "", "nobody's");
    assert_eq!(
        scheduler.explain("d", "other").unwrap_err().to_string(),
        "its schedulerName \"other\" has no profile in this cluster's scheduler"
    );
    let document = value!({
        "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
        "profiles": [{"schedulerName": "other"}],
    });
    scheduler.configure(crate::Configuration::parse(&document).unwrap());
    server.until(|s| on(s, "other") == "a").await;
    let by_other = |event: &Arc<Object>| event.str_at(&["reportingComponent"]) == "other";
    server.until(|s| s.all(&EVENTS).iter().any(by_other)).await;
    client.create(&PODS, pod("second", "1")).await.unwrap();
    client.create(&NODES, node("b", "4")).await.unwrap();
    server
        .until(|_| scheduler.explain("d", "second").is_err_and(|why| why != crate::NotExplained::NoPod))
        .await;
    scheduler.configure(crate::Configuration::default());
    server.until(|s| !on(s, "second").is_empty()).await;
    tasks.close().await;
}

fn find(server: &FakeServer, name: &str) -> Option<Arc<Object>> {
    server.all(&PODS).into_iter().find(|pod| pod.name() == name)
}

#[tokio::test]
async fn a_pod_waits_for_a_node_and_is_bound_when_it_comes() {
    let Running { server, tasks, .. } = running();
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
    let Running { server, tasks, .. } = running();
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

#[test]
fn of_many_nodes_only_some_are_looked_at() {
    let mut cluster = cluster((0..1000).map(|i| node(&format!("n{i}"), "64")));
    let mut start = 0;
    for i in 0..20 {
        let mut object = pod(&format!("p{i}"), "100m");
        object.set(&["metadata", "uid"], format!("u{i}"));
        let pod = info(object);
        let placement = schedule(&cluster, &pod, start).unwrap();
        assert_eq!(placement.evaluated, 100);
        start += placement.evaluated;
        cluster.add_pod(&placement.node, pod);
    }
}

fn of_priority(name: &str, cpu: &str, priority: i64) -> Arc<PodInfo> {
    let mut pod = pod(name, cpu);
    pod.set(&["spec", "priority"], priority);
    info(pod)
}

#[test]
fn room_that_is_kept_for_another_is_not_won_by_pushing_out() {
    let mut cluster = cluster([node("a", "2")]);
    cluster.add_pod("a", of_priority("low", "1", 0));
    cluster.nominate("a", of_priority("first", "2", 1000));
    let second = of_priority("second", "1", 1000);
    let fit = schedule(&cluster, &second, 0).unwrap_err();
    let refusal = preempt(&cluster, &second, &fit).unwrap_err();
    assert!(refusal.hopeless && refusal.told.contains("Insufficient cpu"), "{refusal:?}");
    let third = of_priority("third", "2", 2000);
    let fit = schedule(&cluster, &third, 0).unwrap_err();
    assert_eq!(preempt(&cluster, &third, &fit).unwrap().victims.len(), 1);
}

#[test]
fn who_waits_for_victims_keeps_the_nomination() {
    let mut cluster = cluster([node("a", "2")]);
    let mut victim = pod("victim", "2");
    victim.set(&["metadata", "deletionTimestamp"], "2026-01-01T00:00:00Z");
    let why = value!([{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]);
    victim.set(&["status", "conditions"], why);
    cluster.add_pod("a", info(victim));
    let mut waiting = pod("waiting", "2");
    waiting.set(&["spec", "priority"], 10);
    waiting.set(&["status", "nominatedNodeName"], "a");
    let waiting = info(waiting);
    let fit = schedule(&cluster, &waiting, 0).unwrap_err();
    assert!(!preempt(&cluster, &waiting, &fit).unwrap_err().hopeless);
}

#[test]
fn anti_affinity_ends_with_the_victim_that_has_it() {
    let mut cluster = cluster([node("a", "4"), node("b", "4")]);
    for (name, on) in [("x", "a"), ("y", "b")] {
        let mut loner = pod(name, "1");
        let path = ["spec", "affinity", "podAntiAffinity", "requiredDuringSchedulingIgnoredDuringExecution"];
        loner.set(
            &path,
            value!([{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "p"}}}]),
        );
        cluster.add_pod(on, info(loner));
    }
    cluster.add_pod("a", of_priority("bystander", "1", 5));
    let high = of_priority("p", "1", 1000);
    let fit = schedule(&cluster, &high, 0).unwrap_err();
    let won = preempt(&cluster, &high, &fit).unwrap();
    let victims: Vec<&str> = won.victims.iter().map(|victim| victim.object.name()).collect();
    assert!(matches!((won.node.as_str(), victims.as_slice()), ("a", ["x"]) | ("b", ["y"])), "{won:?}");
}

#[tokio::test]
async fn a_running_pod_that_is_made_smaller_leaves_room_for_one_that_waits() {
    let Running { server, tasks, .. } = running();
    let client = server.client();
    client.create(&NODES, node("a", "2")).await.unwrap();
    client.create(&PODS, pod("big", "2")).await.unwrap();
    let placed =
        |s: &FakeServer, name| find(s, name).is_some_and(|p| !p.str_at(&["spec", "nodeName"]).is_empty());
    server.until(|s| placed(s, "big")).await;
    client.create(&PODS, pod("p", "1")).await.unwrap();
    server.until(|s| find(s, "p").is_some_and(|p| !p.array_at(&["status", "conditions"]).is_empty())).await;
    let mut smaller = find(&server, "big").unwrap().value().clone();
    let containers = pod("big", "1").at(&["spec", "containers"]).cloned().unwrap();
    smaller.set(&["spec", "containers"], containers);
    client.update(&PODS, smaller).await.unwrap();
    server.until(|s| placed(s, "p")).await;
    tasks.close().await;
}

#[tokio::test]
async fn a_nomination_of_before_a_restart_still_keeps_room() {
    let clock = Clock::real();
    let server = FakeServer::new(clock.clone());
    let client = server.client();
    client.create(&NODES, node("a", "2")).await.unwrap();
    let mut preemptor = pod("preemptor", "2");
    preemptor.set(&["spec", "priority"], 1000);
    preemptor.set(&["spec", "schedulingGates"], value!([{"name": "held"}]));
    preemptor.set(&["status", "nominatedNodeName"], "a");
    client.create(&PODS, preemptor).await.unwrap();
    client.create(&PODS, pod("p", "1")).await.unwrap();
    let tasks = Tasks::new("t", clock);
    let informers = SharedInformers::new(server.client(), tasks.clone());
    Scheduler::start(SchedulerConfig::new(server.client(), informers, tasks.clone()));
    server.until(|s| find(s, "p").is_some_and(|p| !p.array_at(&["status", "conditions"]).is_empty())).await;
    let refused = find(&server, "p").unwrap();
    let message = refused.array_at(&["status", "conditions"])[0].str_at(&["message"]).to_owned();
    assert!(message.contains("1 Insufficient cpu"), "{message}");
    tasks.close().await;
}

#[tokio::test]
async fn a_pod_that_somebody_else_has_bound_still_counts_when_binding_it_fails() {
    let Running { server, scheduler, tasks } = running();
    let client = server.client();
    client.create(&NODES, node("a", "2")).await.unwrap();
    let mut bound = pod("bound", "2");
    bound.set(&["spec", "nodeName"], "a");
    let bound = client.create(&PODS, bound).await.unwrap();
    let refused = |s: &FakeServer, name| {
        find(s, name).is_some_and(|p| !p.array_at(&["status", "conditions"]).is_empty())
    };
    client.create(&PODS, pod("p", "1")).await.unwrap();
    server.until(|s| refused(s, "p")).await;
    let conflict =
        drydock_machinery::Status::conflict("", "pods", "bound", "it is assigned to a node already");
    scheduler.binding_failed(&PodInfo::new(bound), &conflict);
    client.create(&PODS, pod("q", "1")).await.unwrap();
    server.until(|s| refused(s, "q")).await;
    assert!(find(&server, "q").unwrap().str_at(&["spec", "nodeName"]).is_empty());
    tasks.close().await;
}

#[test]
fn an_empty_selector_counts_nobody_when_pods_are_spread() {
    let mut cluster = cluster([node("a", "4"), node("b", "4")]);
    let mut spread = pod("p", "1");
    spread.set(
        &["spec", "topologySpreadConstraints"],
        value!([{
            "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {},
        }]),
    );
    for name in ["x", "y", "z"] {
        cluster.add_pod("a", info(pod(name, "100m")));
    }
    let mut only_there = spread.clone();
    only_there.set(&["spec", "nodeSelector"], value!({"kubernetes.io/hostname": "a"}));
    assert_eq!(schedule(&cluster, &info(only_there), 0).unwrap().node, "a");
}

#[test]
fn a_pod_goes_where_it_balances_cpu_and_memory() {
    let mut cluster = cluster([node("a", "8"), node("b", "8")]);
    let resources = |cpu: &str, memory: &str| value!({"requests": {"cpu": cpu, "memory": memory}});
    let of = |name: &str, cpu: &str, memory: &str| {
        let mut pod = pod(name, cpu);
        let containers = value!([{"name": "c", "image": "a:1", "resources": resources(cpu, memory)}]);
        pod.set(&["spec", "containers"], containers);
        info(pod)
    };
    // Equally full, but only on `b` does the pod make up for what is uneven.
    cluster.add_pod("a", of("x", "4", "2Gi"));
    cluster.add_pod("b", of("y", "2", "4Gi"));
    for start in 0..4 {
        assert_eq!(schedule(&cluster, &of("p", "2", "512Mi"), start).unwrap().node, "b");
    }
}

#[test]
fn pods_of_a_service_are_spread_without_being_asked_for_it() {
    let mut cluster = cluster([node("a", "4"), node("b", "4")]);
    cluster.add_pod("b", info(pod("big", "100m")));
    let mut member = pod("x", "0");
    member.set(&["metadata", "labels", "app"], "p");
    cluster.add_pod("a", info(member));
    let nothing = || info(pod("p", "0"));
    assert_eq!(schedule(&cluster, &nothing(), 0).unwrap().node, "a", "the emptier one");
    let service = value!({"metadata": {"name": "s", "namespace": "d"}, "spec": {"selector": {"app": "p"}}});
    cluster.groups_mut().set_service(&Object::new(service, 1));
    assert_eq!(schedule(&cluster, &nothing(), 0).unwrap().node, "b");
}
