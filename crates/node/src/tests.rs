//! Kubelets against the fake server, on a clock that is moved by hand.

use std::sync::Arc;
use std::time::Duration;

use drydock_client::dialer::{LogOptions, NodeDialer};
use drydock_client::resources::{EVENTS, LEASES, NODES, PODS};
use drydock_client::testing::FakeServer;
use drydock_client::{DeleteOptions, SharedInformers};
use drydock_machinery::{Object, ObjectMeta, Value, value};
use drydock_runtime::{Clock, Tasks};
use futures::StreamExt;

use crate::{NodeAgents, NodeAgentsConfig, NodeSpec};

pub(crate) struct Played {
    pub(crate) server: FakeServer,
    pub(crate) agents: Arc<NodeAgents>,
    pub(crate) tasks: Tasks,
}

/// A hundred times as fast as real time.
pub(crate) fn played() -> Played {
    let clock = Clock::scaled(100.0);
    let server = FakeServer::new(clock.clone());
    let tasks = Tasks::new("t", clock);
    let client = server.client();
    let agents = NodeAgents::start(NodeAgentsConfig {
        client_for: Arc::new(move |_| client.clone()),
        events: server.client(),
        informers: SharedInformers::new(server.client(), tasks.clone()),
        tasks: tasks.clone(),
    });
    Played { server, agents, tasks }
}

pub(crate) fn spec() -> NodeSpec {
    NodeSpec {
        name: "a".to_owned(),
        capacity: value!({"cpu": "4", "memory": "8Gi", "pods": "110"}).as_object().unwrap().clone(),
        addresses: vec![("InternalIP".to_owned(), "10.0.0.9".to_owned())],
        pod_cidr: Some("10.1.0.0/24".to_owned()),
        ..NodeSpec::default()
    }
}

pub(crate) fn pod(name: &str, extra: Value) -> Value {
    let mut pod = value!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "d"},
        "spec": {"nodeName": "a", "restartPolicy": "Always", "containers": [{"name": "c", "image": "nginx:1"}]},
    });
    if let Some(fields) = extra.as_object() {
        for (key, value) in fields.iter() {
            pod.set(&["spec", key], value.clone());
        }
    }
    pod
}

pub(crate) fn find(server: &FakeServer, name: &str) -> Option<Arc<Object>> {
    server.all(&PODS).into_iter().find(|pod| pod.name() == name)
}

pub(crate) fn is(server: &FakeServer, name: &str, kind: &str) -> bool {
    find(server, name).is_some_and(|pod| {
        let conditions = pod.array_at(&["status", "conditions"]).iter();
        conditions.into_iter().any(|c| c.str_at(&["type"]) == kind && c.str_at(&["status"]) == "True")
    })
}

fn phase(server: &FakeServer, name: &str) -> String {
    find(server, name).map(|pod| pod.str_at(&["status", "phase"]).to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn a_node_registers_becomes_ready_and_keeps_its_lease() {
    let Played { server, agents, tasks } = played();
    agents.add(spec());
    let ready = |s: &FakeServer| {
        s.all(&NODES).iter().any(|node| {
            let conditions = node.array_at(&["status", "conditions"]).iter();
            conditions.into_iter().any(|c| c.str_at(&["type"]) == "Ready" && c.str_at(&["status"]) == "True")
        })
    };
    server.until(ready).await;
    let renewed = |s: &FakeServer| s.all(&LEASES).first().map(|lease| lease.revision());
    server.until(|s| renewed(s).is_some()).await;
    let first = renewed(&server);
    server.until(|s| renewed(s) != first).await;
    agents.suspend("a");
    tasks.close().await;
}

fn starts(server: &FakeServer) -> usize {
    server.all(&EVENTS).iter().filter(|event| event.str_at(&["reason"]) == "Starting").count()
}

fn ready_since(server: &FakeServer) -> Option<String> {
    let node = server.all(&NODES).into_iter().next()?;
    let conditions = node.array_at(&["status", "conditions"]).iter();
    let mut ready = conditions.filter(|c| c.str_at(&["type"]) == "Ready" && c.str_at(&["status"]) == "True");
    Some(ready.next()?.str_at(&["lastTransitionTime"]).to_owned())
}

#[tokio::test]
async fn a_node_of_before_a_restart_stays_ready_and_one_whose_machine_was_stopped_boots() {
    let Played { server, agents, tasks } = played();
    agents.add(spec());
    server.until(|s| ready_since(s).is_some() && starts(s) == 1).await;
    let since = ready_since(&server);
    tasks.clock().sleep(Duration::from_secs(3)).await;
    tasks.close().await;

    let tasks = Tasks::new("again", Clock::scaled(100.0));
    let client = server.client();
    let again = NodeAgents::start(NodeAgentsConfig {
        client_for: Arc::new(move |_| client.clone()),
        events: server.client(),
        informers: SharedInformers::new(server.client(), tasks.clone()),
        tasks: tasks.clone(),
    });
    again.add(spec());
    again.resume("a");
    server.client().create(&PODS, pod("p", value!({}))).await.unwrap();
    server.until(|s| is(s, "p", "Ready")).await;
    assert_eq!((ready_since(&server), starts(&server)), (since.clone(), 1));

    again.suspend("a");
    again.resume("a");
    server.until(|s| starts(s) == 2 && ready_since(s).is_some_and(|now| Some(now) != since)).await;
    tasks.close().await;
}

#[tokio::test]
async fn a_pod_runs_logs_and_stops() {
    let Played { server, agents, tasks } = played();
    agents.add(spec());
    let client = server.client();
    client.create(&PODS, pod("p", value!({}))).await.unwrap();
    server.until(|s| is(s, "p", "Ready")).await;
    let running = find(&server, "p").unwrap();
    assert_eq!(running.str_at(&["status", "podIP"]), "10.1.0.2");
    assert_eq!(running.str_at(&["status", "hostIP"]), "10.0.0.9");
    let options = LogOptions { tail_lines: Some(1), ..LogOptions::default() };
    let mut log = agents.logs(&running, options).await.unwrap();
    let text = log.next().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&text).ends_with('\n'), "{text:?}");
    client.delete(&PODS, "d", "p", DeleteOptions::default()).await.unwrap();
    server.until(|s| find(s, "p").is_none()).await;
    let reasons: Vec<String> =
        server.all(&EVENTS).iter().map(|event| event.str_at(&["reason"]).to_owned()).collect();
    for reason in ["Pulling", "Pulled", "Created", "Started", "Killing"] {
        assert!(reasons.iter().any(|have| have == reason), "{reason} in {reasons:?}");
    }
    tasks.close().await;
}

#[tokio::test]
async fn a_log_is_cut_where_its_reader_says_and_sent_in_pieces() {
    let Played { server, agents, tasks } = played();
    agents.add(spec());
    let client = server.client();
    let extra = value!({"containers": [{"name": "c", "image": "busybox:1", "command": ["echo", "éa"]}]});
    client.create(&PODS, pod("p", extra)).await.unwrap();
    client.create(&PODS, pod("long", value!({}))).await.unwrap();
    server.until(|s| is(s, "long", "Ready") && find(s, "p").is_some_and(|pod| starts_of(&pod) > 0)).await;
    let said = async |name: &str, options: LogOptions| {
        let pieces = agents.logs(&find(&server, name).unwrap(), options).await.unwrap();
        pieces.map(|piece| piece.unwrap()).collect::<Vec<_>>().await
    };
    let limit = |bytes: i64| LogOptions { limit_bytes: Some(bytes), ..LogOptions::default() };
    assert_eq!(said("p", limit(1)).await.concat(), "é".as_bytes()[..1]);
    assert_eq!(said("p", limit(3)).await.concat(), "éa".as_bytes());
    tasks.clock().advance(std::time::Duration::from_hours(24 * 365));
    let pieces = said("long", LogOptions::default()).await;
    assert!(pieces.len() > 1 && pieces.iter().all(|piece| piece.len() < 128 * 1024), "{}", pieces.len());
    assert!(pieces.concat().len() < 64 * 1024 * 1024);
    tasks.close().await;
}

fn starts_of(pod: &Object) -> usize {
    let statuses = pod.array_at(&["status", "containerStatuses"]).iter();
    statuses.filter(|status| !status.str_at(&["containerID"]).is_empty()).count()
}

#[tokio::test]
async fn init_containers_come_first_and_a_finite_pod_succeeds() {
    let Played { server, agents, tasks } = played();
    agents.add(spec());
    let extra = value!({
        "restartPolicy": "Never",
        "initContainers": [{"name": "i", "image": "busybox:1"}],
        "containers": [{"name": "c", "image": "busybox:1", "command": ["sh", "-c", "echo hi; sleep 2"]}],
    });
    server.client().create(&PODS, pod("p", extra)).await.unwrap();
    server.until(|s| phase(s, "p") == "Succeeded").await;
    let done = find(&server, "p").unwrap();
    let init = &done.array_at(&["status", "initContainerStatuses"])[0];
    assert_eq!(init.i64_at(&["state", "terminated", "exitCode"]), Some(0));
    tasks.close().await;
}

#[tokio::test]
async fn an_extended_resource_in_the_capacity_becomes_allocatable() {
    let Played { server, agents, tasks } = played();
    agents.add(spec());
    server.until(|s| !s.all(&LEASES).is_empty()).await;
    let mut node = server.all(&NODES)[0].value().clone();
    node.set(&["status", "capacity", "example.com/dongle"], "4");
    server.client().update_status(&NODES, node).await.unwrap();
    let allocatable = |s: &FakeServer| s.all(&NODES)[0].object_at(&["status", "allocatable"]).clone();
    server.until(|s| allocatable(s).get("example.com/dongle") == Some(&Value::from("4"))).await;
    assert_eq!(allocatable(&server).get("cpu"), Some(&Value::from("4")));
    tasks.close().await;
}

#[tokio::test]
async fn an_ephemeral_container_runs_beside_the_others() {
    let Played { server, agents, tasks } = played();
    agents.add(spec());
    server.client().create(&PODS, pod("p", value!({}))).await.unwrap();
    server.until(|s| is(s, "p", "Ready")).await;
    let mut debugged = find(&server, "p").unwrap().value().clone();
    debugged.set(&["spec", "ephemeralContainers"], value!([{"name": "debug", "image": "busybox:1"}]));
    server.client().update(&PODS, debugged).await.unwrap();
    let status = |s: &FakeServer| {
        find(s, "p").and_then(|pod| pod.array_at(&["status", "ephemeralContainerStatuses"]).first().cloned())
    };
    server.until(|s| status(s).is_some()).await;
    let status = status(&server).unwrap();
    assert_eq!(status.str_at(&["name"]), "debug");
    assert!(status.at(&["state", "running", "startedAt"]).is_some(), "{status:?}");
    assert!(is(&server, "p", "Ready"));
    tasks.close().await;
}

#[tokio::test]
async fn a_container_that_keeps_failing_backs_off() {
    let Played { server, agents, tasks } = played();
    agents.add(spec());
    let extra = value!({"containers": [{"name": "c", "image": "busybox:1", "command": ["false"]}]});
    server.client().create(&PODS, pod("p", extra)).await.unwrap();
    let waits = |s: &FakeServer| {
        find(s, "p").is_some_and(|pod| {
            let status = pod.array_at(&["status", "containerStatuses"]).first().cloned().unwrap_or_default();
            status.str_at(&["state", "waiting", "reason"]) == "CrashLoopBackOff"
                && status.i64_at(&["restartCount"]).unwrap_or(0) >= 2
        })
    };
    server.until(waits).await;
    assert_eq!(phase(&server, "p"), "Running");
    tasks.close().await;
}

#[tokio::test]
async fn a_stopped_node_leaves_its_pods_alone_until_it_is_back() {
    let Played { server, agents, tasks } = played();
    agents.add(spec());
    server.until(|s| !s.all(&LEASES).is_empty()).await;
    agents.suspend("a");
    server.client().create(&PODS, pod("p", value!({}))).await.unwrap();
    tasks.clock().sleep(Duration::from_secs(20)).await;
    assert_eq!(phase(&server, "p"), "");
    agents.resume("a");
    server.until(|s| is(s, "p", "Ready")).await;
    tasks.close().await;
}

#[tokio::test]
async fn addresses_are_for_pods_that_run_and_nothing_starts_without_one() {
    let Played { server, agents, tasks } = played();
    // Five addresses can be handed out.
    agents.add(NodeSpec { pod_cidr: Some("10.1.0.0/29".to_owned()), ..spec() });
    let client = server.client();
    let finite = value!({
        "restartPolicy": "Never",
        "containers": [{"name": "c", "image": "busybox:1", "command": ["sh", "-c", "sleep 1"]}],
    });
    client.create(&PODS, pod("done", finite)).await.unwrap();
    server.until(|s| phase(s, "done") == "Succeeded").await;
    let names = ["a", "b", "c", "d", "e", "f"];
    for name in names {
        client.create(&PODS, pod(name, value!({}))).await.unwrap();
    }
    server.until(|s| names.iter().filter(|name| is(s, name, "Ready")).count() == 5).await;
    let waits = names.into_iter().find(|name| !is(&server, name, "Ready")).unwrap();
    let told = |s: &FakeServer| {
        s.all(&EVENTS).iter().any(|event| event.str_at(&["reason"]) == "FailedCreatePodSandBox")
    };
    server.until(told).await;
    assert_eq!(phase(&server, waits), "Pending");
    // The address of one that has ended is another's by now: taking the object away must not free it.
    client.delete(&PODS, "d", "done", DeleteOptions::default()).await.unwrap();
    server.until(|s| find(s, "done").is_none()).await;
    tasks.clock().sleep(Duration::from_secs(10)).await;
    assert_eq!(phase(&server, waits), "Pending");
    let runs = if waits == "a" { "b" } else { "a" };
    client.delete(&PODS, "d", runs, DeleteOptions::default()).await.unwrap();
    server.until(|s| is(s, waits, "Ready")).await;
    let addresses: std::collections::BTreeSet<String> =
        server.all(&PODS).iter().map(|pod| pod.str_at(&["status", "podIP"]).to_owned()).collect();
    assert_eq!(addresses.len(), 5);
    tasks.close().await;
}
