//! Node pools on a clock moved by hand, over the mock cloud.

use std::time::Duration;

use drydock_client::{DeleteOptions, resources};
use drydock_cloud_api::{CloudErrorKind, InstanceFailure};
use drydock_machinery::{ObjectMeta, value};

use crate::testing::{World, is_active, name_of, pool_of};
use crate::{MachinePhase, PoolRecords, PoolSpec, PoolState, UNINITIALIZED_TAINT};

fn spec(size: u32) -> PoolSpec {
    PoolSpec::new("workers", size, "t3.medium", "v1.36.0")
}

#[tokio::test]
async fn a_pool_becomes_nodes_spread_over_zones() {
    let world = World::new();
    let ccm = world.start_ccm();
    let (pools, tasks) = world.start_pools(vec![]);
    let mut wanted = spec(3);
    wanted.labels.insert("tier".into(), "web".into());
    pools.set(wanted);
    world.until("three nodes are ready", || is_active(&pools, "workers", 3)).await;
    let mut zones: Vec<String> =
        world.nodes().iter().map(|n| n.label("topology.kubernetes.io/zone").unwrap().to_owned()).collect();
    zones.sort();
    assert_eq!(zones, ["us-east-1a", "us-east-1b", "us-east-1c"]);
    let started = world.agents.started.lock().clone();
    let agent = started.values().next().unwrap();
    assert_eq!(agent.taints[0].key, UNINITIALIZED_TAINT);
    assert_eq!(agent.labels["tier"], "web");
    assert_eq!(agent.labels[crate::NODE_POOL_LABEL], "workers");
    assert_eq!(agent.resources.allocatable["cpu"], "1930m");
    assert_eq!(agent.max_pods, 17);
    tasks.close().await;
    ccm.close().await;
}

#[tokio::test]
async fn growing_adds_and_shrinking_drains_terminates_and_deletes_the_node() {
    let world = World::new();
    let ccm = world.start_ccm();
    let (pools, tasks) = world.start_pools(vec![spec(2)]);
    world.until("two nodes", || is_active(&pools, "workers", 2)).await;
    pools.set(spec(3));
    world.until("three nodes", || is_active(&pools, "workers", 3)).await;
    assert_eq!(world.instances().await.len(), 3);
    for node in world.nodes() {
        world.pod(&format!("web-{}", node.name()), node.name(), "ReplicaSet").await;
        world.pod(&format!("agent-{}", node.name()), node.name(), "DaemonSet").await;
    }
    pools.set(spec(2));
    let evicted = || {
        let pods = world.server.all(&resources::PODS);
        pods.iter().find(|pod| pod.is_deleting()).cloned()
    };
    world.until("a pod is evicted", || evicted().is_some()).await;
    let pod = evicted().unwrap();
    assert!(pod.name().starts_with("web-"), "a DaemonSet's pod stays: {}", pod.name());
    let victim = pod.str_at(&["spec", "nodeName"]).to_owned();
    let node = world.client.get(&resources::NODES, "", &victim).await.unwrap();
    assert!(node.bool_at(&["spec", "unschedulable"]), "cordoned first");
    world.pass(Duration::from_secs(20)).await;
    assert_eq!(world.instances().await.len(), 3, "the machine waits for its pods");
    let machine = pool_of(&pools, "workers").machines.into_iter().find(|m| m.node_name == victim).unwrap();
    assert_eq!((machine.phase, machine.draining.as_deref()), (MachinePhase::Draining, Some("1 pod left")));
    world
        .client
        .delete(&resources::PODS, "default", pod.name(), DeleteOptions::default().grace(0))
        .await
        .unwrap();
    world.until("two nodes are left", || is_active(&pools, "workers", 2)).await;
    assert_eq!(world.instances().await.len(), 2);
    assert!(world.nodes().iter().all(|node| node.name() != victim));
    assert_eq!(world.records.list("u1").await.unwrap().len(), 2);
    tasks.close().await;
    ccm.close().await;
}

#[tokio::test]
async fn a_disruption_budget_holds_a_drain_until_its_time_out() {
    let world = World::new();
    let ccm = world.start_ccm();
    let mut one = spec(1);
    one.drain_timeout_seconds = 120;
    let (pools, tasks) = world.start_pools(vec![one.clone()]);
    world.until("a node", || is_active(&pools, "workers", 1)).await;
    let node = name_of(&world.nodes()[0]);
    world.pod("web", &node, "ReplicaSet").await;
    world.gate.refused.lock().push("web".into());
    one.size = 0;
    pools.set(one);
    world.pass(Duration::from_secs(100)).await;
    assert_eq!(world.nodes().len(), 1, "the budget holds it");
    let status = pool_of(&pools, "workers");
    let progress = status.machines[0].draining.clone().unwrap();
    assert!(progress.contains("disruption budget"), "{progress}");
    world.until("it is terminated regardless", || world.nodes().is_empty()).await;
    assert!(world.events().contains(&"PodEvictionFailure".to_owned()));
    world.until("the pool is empty", || is_active(&pools, "workers", 0)).await;
    tasks.close().await;
    ccm.close().await;
}

#[tokio::test]
async fn a_machine_terminated_by_hand_is_replaced_and_its_node_deleted() {
    let world = World::new();
    let ccm = world.start_ccm();
    let (pools, tasks) = world.start_pools(vec![spec(2)]);
    world.until("two nodes", || is_active(&pools, "workers", 2)).await;
    let victim = world.instances().await[0].clone();
    assert!(world.mock.terminate_by_hand(&victim.id));
    let has = || world.nodes().iter().any(|node| node.name() == victim.node_name);
    world.until("its node is deleted", || !has()).await;
    world.until("another takes its place", || is_active(&pools, "workers", 2)).await;
    assert!(world.events().contains(&"DeletingNode".to_owned()));
    assert_eq!(world.nodes().len(), 2);
    tasks.close().await;
    ccm.close().await;
}

#[tokio::test]
async fn a_stopped_machine_keeps_its_node_and_comes_back() {
    let world = World::new();
    let ccm = world.start_ccm();
    let (pools, tasks) = world.start_pools(vec![spec(1)]);
    world.until("a node", || is_active(&pools, "workers", 1)).await;
    let id = world.instances().await[0].id.clone();
    assert!(world.mock.stop_by_hand(&id));
    let tainted = || {
        world.nodes()[0]
            .array_at(&["spec", "taints"])
            .iter()
            .any(|t| t.str_at(&["key"]) == crate::SHUTDOWN_TAINT)
    };
    world.until("it has the shutdown taint", tainted).await;
    assert_eq!(pool_of(&pools, "workers").counts.ready, 0);
    assert!(world.agents.started.lock().is_empty());
    assert!(world.mock.start_by_hand(&id));
    world.until("it is back", || is_active(&pools, "workers", 1)).await;
    world.until("without the taint", || !tainted()).await;
    assert_eq!(world.instances().await.len(), 1, "nothing took its place meanwhile");
    tasks.close().await;
    ccm.close().await;
}

#[tokio::test]
async fn a_cloud_that_does_not_answer_degrades_the_pool_until_it_does() {
    let world = World::new();
    let ccm = world.start_ccm();
    world.faults.set_outage(Some(CloudErrorKind::Unreachable));
    let (pools, tasks) = world.start_pools(vec![spec(2)]);
    world.until("it says so", || pool_of(&pools, "workers").state == PoolState::Degraded).await;
    let reason = pool_of(&pools, "workers").reason.unwrap();
    assert_eq!(reason.code, "Unreachable");
    assert!(reason.next_attempt.is_some());
    world.pass(Duration::from_secs(300)).await;
    world.faults.set_outage(None);
    world.until("it recovers by itself", || is_active(&pools, "workers", 2)).await;
    assert_eq!(pool_of(&pools, "workers").reason, None);
    world.faults.set_outage(Some(CloudErrorKind::Unreachable));
    world.until("and says so again", || pool_of(&pools, "workers").state == PoolState::Degraded).await;
    world.pass(Duration::from_secs(120)).await;
    assert_eq!(world.nodes().len(), 2, "an outage costs no node");
    world.faults.set_outage(None);
    world.until("active again", || is_active(&pools, "workers", 2)).await;
    tasks.close().await;
    ccm.close().await;
}

#[tokio::test]
async fn lost_answers_and_restarts_make_no_machine_twice_and_leave_none_behind() {
    let world = World::new();
    let ccm = world.start_ccm();
    world.faults.lose_answer("launch", CloudErrorKind::Unreachable, 2);
    let mut started = None;
    for _ in 0..6 {
        // A process that dies a moment after it came up, again and again.
        let (pools, tasks) = world.start_pools(vec![spec(4)]);
        world.pass(Duration::from_millis(750)).await;
        tasks.close().await;
        drop(pools);
        assert!(world.instances().await.len() <= 4, "made twice");
        started = Some(world.instances().await.len());
    }
    assert!(started.is_some());
    let (pools, tasks) = world.start_pools(vec![spec(4)]);
    world.until("four nodes", || is_active(&pools, "workers", 4)).await;
    assert_eq!(world.instances().await.len(), 4);
    // A launch whose answer is lost, and that nobody wants any more by the time it is looked for.
    world.faults.lose_answer("launch", CloudErrorKind::Unreachable, 1);
    pools.set(spec(5));
    let degraded = || pool_of(&pools, "workers").state == PoolState::Degraded;
    world.until("the answer is lost", degraded).await;
    pools.set(spec(4));
    world.until("four nodes again", || is_active(&pools, "workers", 4)).await;
    world.pass(Duration::from_secs(120)).await;
    assert_eq!(world.instances().await.len(), 4, "the orphan was found");
    tasks.close().await;
    ccm.close().await;
}

#[tokio::test]
async fn a_full_zone_is_left_alone_and_a_full_cloud_is_reported() {
    let world = World::new();
    let ccm = world.start_ccm();
    world.cloud.set_zone_capacity("us-east-1a", Some(0));
    let (pools, tasks) = world.start_pools(vec![spec(3)]);
    world.until("others take over", || is_active(&pools, "workers", 3)).await;
    assert!(world.instances().await.iter().all(|instance| instance.zone != "us-east-1a"));
    for zone in ["us-east-1b", "us-east-1c"] {
        world.cloud.set_zone_capacity(zone, Some(0));
    }
    pools.set(spec(4));
    world.until("it is reported", || pool_of(&pools, "workers").state == PoolState::Degraded).await;
    assert_eq!(pool_of(&pools, "workers").reason.unwrap().code, "InsufficientCapacity");
    assert_eq!(pool_of(&pools, "workers").counts.ready, 3);
    world.cloud.set_zone_capacity("us-east-1a", None);
    world.until("capacity is back", || is_active(&pools, "workers", 4)).await;
    tasks.close().await;
    ccm.close().await;
}

#[tokio::test]
async fn an_impossible_pool_says_why_and_a_corrected_one_is_tried_at_once() {
    let world = World::new();
    let ccm = world.start_ccm();
    let mut wrong = spec(1);
    wrong.instance_type = "t3.enormous".into();
    let (pools, tasks) = world.start_pools(vec![wrong]);
    world.until("it says why", || pool_of(&pools, "workers").state == PoolState::Degraded).await;
    let reason = pool_of(&pools, "workers").reason.unwrap();
    assert_eq!(reason.code, "InvalidRequest");
    assert!(reason.message.contains("t3.enormous"), "{}", reason.message);
    pools.set(spec(1));
    world.until("corrected", || is_active(&pools, "workers", 1)).await;
    tasks.close().await;
    ccm.close().await;
}

#[tokio::test]
async fn deleting_a_pool_leaves_nothing_of_it() {
    let world = World::new();
    let ccm = world.start_ccm();
    let mut other = spec(1);
    other.name = "other".into();
    let (pools, tasks) = world.start_pools(vec![spec(2), other]);
    world.until("both", || is_active(&pools, "workers", 2) && is_active(&pools, "other", 1)).await;
    pools.delete(spec(2));
    world.until("deleted", || pool_of(&pools, "workers").state == PoolState::Deleted).await;
    assert_eq!(world.instances().await.len(), 1);
    assert_eq!(world.nodes().len(), 1);
    pools.forget("workers");
    let known = || pools.subscribe().borrow().pools.contains_key("workers");
    world.until("forgotten", || !known()).await;
    assert!(is_active(&pools, "other", 1));
    pools.delete(PoolSpec::new("never-was", 1, "t3.medium", "v1.36.0"));
    world.until("also deleted", || pool_of(&pools, "never-was").state == PoolState::Deleted).await;
    tasks.close().await;
    ccm.close().await;
}

#[tokio::test]
async fn releasing_a_cluster_leaves_nothing_in_the_cloud() {
    let world = World::new();
    let (pools, tasks) = world.start_pools(vec![spec(3)]);
    world.until("machines run", || world.agents.started.lock().len() == 3).await;
    world.faults.fail("release_cluster", CloudErrorKind::InUse, 2);
    world.faults.fail("terminate", CloudErrorKind::Throttled, 1);
    pools.release();
    let released = || pools.subscribe().borrow().released;
    world.until("released", released).await;
    assert!(world.instances().await.is_empty());
    assert!(world.agents.started.lock().is_empty());
    assert!(world.records.list("u1").await.unwrap().is_empty());
    let writes = world.server.writes();
    assert!(!writes.iter().any(|write| write.starts_with("gone nodes")), "needs no API server");
    tasks.close().await;
}

#[tokio::test]
async fn hundreds_of_machines_come_and_go() {
    let world = World::new();
    let ccm = world.start_ccm();
    let mut many = spec(200);
    many.instance_type = "medium".into();
    let (pools, tasks) = world.start_pools(vec![many]);
    world.until("all are ready", || is_active(&pools, "workers", 200)).await;
    pools.delete(spec(200));
    let deleted = || pools.subscribe().borrow().pools["workers"].state == PoolState::Deleted;
    world.until("none", deleted).await;
    assert!(world.nodes().is_empty());
    tasks.close().await;
    ccm.close().await;
}

#[tokio::test]
async fn a_pool_of_a_deleted_ones_name_is_another_pool() {
    let world = World::new();
    let ccm = world.start_ccm();
    let (pools, tasks) = world.start_pools(vec![spec(1)]);
    world.until("a node", || is_active(&pools, "workers", 1)).await;
    pools.delete(spec(1));
    world.until("deleted", || pool_of(&pools, "workers").state == PoolState::Deleted).await;
    pools.set(spec(2));
    assert_eq!(pool_of(&pools, "workers").state, PoolState::Creating, "at once, not only after a pass");
    world.until("two nodes", || is_active(&pools, "workers", 2)).await;
    tasks.close().await;
    ccm.close().await;
}

#[tokio::test]
async fn a_restart_while_a_pool_is_deleted_makes_nothing_new() {
    let world = World::new();
    let ccm = world.start_ccm();
    let (pools, tasks) = world.start_pools(vec![spec(2)]);
    world.until("two nodes", || is_active(&pools, "workers", 2)).await;
    let node = name_of(&world.nodes()[0]);
    world.pod("web", &node, "ReplicaSet").await;
    world.gate.refused.lock().push("web".into());
    pools.delete(spec(2));
    world.until("one is left, which drains", || pool_of(&pools, "workers").machines.len() == 1).await;
    tasks.close().await;
    let before = world.records.list("u1").await.unwrap();
    let (pools, tasks) = world.start_pools(vec![]);
    world.pass(Duration::from_secs(5)).await;
    pools.delete(spec(2));
    world.pass(Duration::from_secs(5)).await;
    let after = world.records.list("u1").await.unwrap();
    assert_eq!(before.len(), 1);
    assert_eq!(before, after, "nothing else was wanted");
    assert!(world.agents.started.lock().contains_key(&node), "its kubelet runs until it is drained");
    world.gate.refused.lock().clear();
    world
        .until("it is evicted", || world.server.all(&resources::PODS).iter().any(|pod| pod.is_deleting()))
        .await;
    let now = DeleteOptions::default().grace(0);
    world.client.delete(&resources::PODS, "default", "web", now).await.unwrap();
    world.until("deleted", || pool_of(&pools, "workers").state == PoolState::Deleted).await;
    assert!(world.instances().await.is_empty());
    tasks.close().await;
    ccm.close().await;
}

#[tokio::test]
async fn a_release_says_that_the_cloud_is_unreachable_and_goes_on_when_it_is_back() {
    let world = World::new();
    let (pools, tasks) = world.start_pools(vec![spec(2)]);
    world.until("machines run", || world.agents.started.lock().len() == 2).await;
    tasks.close().await;
    world.faults.set_outage(Some(CloudErrorKind::Unreachable));
    // The process that deletes the cluster is another, and knows no pools.
    let (pools_after, tasks) = world.start_pools(vec![]);
    drop(pools);
    pools_after.release();
    let status = || pools_after.subscribe().borrow().clone();
    world.until("it says so", || status().release_reason.is_some()).await;
    assert_eq!(status().release_reason.unwrap().code, "Unreachable");
    world.pass(Duration::from_secs(100)).await;
    world.faults.set_outage(None);
    world.until("released", || status().released).await;
    assert_eq!(status().release_reason, None);
    assert!(world.instances().await.is_empty());
    tasks.close().await;
}

#[tokio::test]
async fn a_machine_that_cannot_be_terminated_keeps_no_other_alive() {
    let world = World::new();
    let (pools, tasks) = world.start_pools(vec![spec(3)]);
    world.until("machines run", || world.agents.started.lock().len() == 3).await;
    // One refusal: the first machine that is tried.
    world.faults.fail("terminate", CloudErrorKind::Unauthorized, 1);
    pools.release();
    let status = || pools.subscribe().borrow().clone();
    world.until("it says so", || status().release_reason.is_some_and(|r| r.code == "Unauthorized")).await;
    world.pass(Duration::from_secs(10)).await;
    assert_eq!(world.instances().await.len(), 1, "the others are gone");
    world.until("released", || status().released).await;
    tasks.close().await;
}

#[tokio::test]
async fn an_orphan_that_cannot_be_terminated_keeps_no_pool_from_working() {
    let world = World::new();
    let ccm = world.start_ccm();
    let (pools, tasks) = world.start_pools(vec![spec(1)]);
    world.until("a node", || is_active(&pools, "workers", 1)).await;
    tasks.close().await;
    world
        .records
        .remove("u1", &[world.records.list("u1").await.unwrap()[0].client_token.clone()])
        .await
        .unwrap();
    world.faults.fail("terminate", CloudErrorKind::Unauthorized, 2);
    let (pools, tasks) = world.start_pools(vec![spec(1)]);
    world.until("the pool says so", || pool_of(&pools, "workers").reason.is_some()).await;
    world.until("and has its node", || pool_of(&pools, "workers").counts.ready == 1).await;
    assert_eq!(world.instances().await.len(), 2);
    world.until("the orphan goes in the end", || is_active(&pools, "workers", 1)).await;
    world.pass(Duration::from_secs(5)).await;
    assert_eq!(world.instances().await.len(), 1);
    tasks.close().await;
    ccm.close().await;
}

#[tokio::test]
async fn a_machine_that_the_cloud_fails_is_replaced_elsewhere_and_the_pool_says_why() {
    let world = World::new();
    let ccm = world.start_ccm();
    let (pools, tasks) = world.start_pools(vec![spec(1)]);
    world.until("a node", || is_active(&pools, "workers", 1)).await;
    let first = world.instances().await.remove(0);
    let message = "ZONE_RESOURCE_POOL_EXHAUSTED: no room".to_owned();
    let failure = InstanceFailure { kind: CloudErrorKind::InsufficientCapacity, message };
    assert!(world.mock.fail_by_hand(&first.id, failure));
    world.until("it says why", || pool_of(&pools, "workers").reason.is_some()).await;
    let reason = pool_of(&pools, "workers").reason.unwrap();
    assert_eq!(reason.code, "InsufficientCapacity");
    assert!(reason.message.contains(&first.id) && reason.message.contains("EXHAUSTED"), "{}", reason.message);
    world.until("another takes its place", || is_active(&pools, "workers", 1)).await;
    let second = world.instances().await;
    assert_eq!(second.len(), 1, "the failed one was terminated");
    assert_ne!((&second[0].id, &second[0].zone), (&first.id, &first.zone));
    tasks.close().await;
    ccm.close().await;
}

#[tokio::test]
async fn machines_that_fail_again_and_again_are_made_ever_more_slowly() {
    let world = World::new();
    let (pools, tasks) = world.start_pools(vec![spec(1)]);
    let mut made = std::collections::BTreeSet::new();
    let until = world.clock.now() + Duration::from_secs(300);
    while world.clock.now() < until {
        for instance in world.instances().await.into_iter().filter(|instance| !instance.state.is_ending()) {
            let message = "Client.InternalError: the disk cannot be decrypted".to_owned();
            world.mock.fail_by_hand(
                &instance.id,
                InstanceFailure { kind: CloudErrorKind::InvalidRequest, message },
            );
            made.insert(instance.id);
        }
        world.pass(Duration::from_secs(1)).await;
    }
    assert!((3..15).contains(&made.len()), "{} machines in five minutes", made.len());
    assert_eq!(pool_of(&pools, "workers").state, PoolState::Degraded);
    tasks.close().await;
}

#[tokio::test]
async fn a_machine_may_have_the_name_of_a_former_one() {
    let world = World::new();
    let ccm = world.start_ccm();
    let (pools, tasks) = world.start_pools(vec![spec(1)]);
    world.until("a node", || is_active(&pools, "workers", 1)).await;
    tasks.close().await;
    let name = name_of(&world.nodes()[0]);
    // A process that finds the wrong Node when it comes up.
    let node = value!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
        "spec": {"providerID": "mock:///us-east-1a/i-0former"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    });
    world.client.delete(&resources::NODES, "", &name, DeleteOptions::default()).await.unwrap();
    world.client.create(&resources::NODES, node).await.unwrap();
    let (_pools, tasks) = world.start_pools(vec![spec(1)]);
    let id = world.instances().await[0].provider_id.clone();
    let provider_id = || {
        let node = world.nodes().into_iter().find(|node| node.name() == name)?;
        Some(node.str_at(&["spec", "providerID"]).to_owned())
    };
    world.until("the node is its machine's", || provider_id() == Some(id.clone())).await;
    tasks.close().await;
    ccm.close().await;
}
