//! Deployments, replica sets and the garbage collector together, against the fake server.

use std::sync::Arc;

use drydock_client::resources::*;
use drydock_client::testing::FakeServer;
use drydock_client::{DeleteOptions, Propagation};
use drydock_machinery::{Object, ObjectMeta, Value, value};

use crate::testing::{cluster, make_pods_ready};

fn deployment(replicas: i64, image: &str) -> Value {
    value!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop", "namespace": "d"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": "shop"}}, "progressDeadlineSeconds": 600,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "template": {
                "metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [{"name": "app", "image": image}]},
            },
        },
    })
}

fn only(server: &FakeServer) -> Arc<Object> {
    server.all(&DEPLOYMENTS).remove(0)
}

async fn until_rolled_out(server: &FakeServer, image: &str, replicas: i64) {
    for _ in 0..200 {
        make_pods_ready(server).await;
        let done = super::rolling::is_complete(&only(server), &only(server))
            && server.all(&PODS).len() as i64 == replicas
            && server
                .all(&PODS)
                .iter()
                .all(|pod| pod.array_at(&["spec", "containers"])[0].str_at(&["image"]) == image);
        if done {
            return;
        }
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        drydock_runtime::wall::sleep(std::time::Duration::from_millis(2)).await;
    }
    panic!("no rollout: {:#?}\n{:?}", server.writes(), only(server));
}

#[tokio::test]
async fn a_deployment_rolls_out_updates_and_is_collected() {
    let (server, tasks) = cluster().await;
    let client = server.client();
    client.create(&DEPLOYMENTS, deployment(3, "a:1")).await.unwrap();
    until_rolled_out(&server, "a:1", 3).await;
    let shop = only(&server);
    assert_eq!(shop.annotation("deployment.kubernetes.io/revision"), Some("1"));

    let mut new = shop.value().clone();
    new.set(&["spec", "template"], deployment(3, "a:2").at(&["spec", "template"]).unwrap().clone());
    client.update(&DEPLOYMENTS, new).await.unwrap();
    until_rolled_out(&server, "a:2", 3).await;
    assert_eq!(server.all(&REPLICA_SETS).len(), 2);
    server.until(|s| only(s).annotation("deployment.kubernetes.io/revision") == Some("2")).await;

    let events: Vec<String> =
        server.all(&EVENTS).iter().map(|event| event.str_at(&["message"]).to_owned()).collect();
    assert!(events.iter().any(|message| message.ends_with("from 0 to 3")), "{events:?}");

    client.delete(&DEPLOYMENTS, "d", "shop", DeleteOptions::default()).await.unwrap();
    server.until(|s| s.all(&PODS).is_empty() && s.all(&REPLICA_SETS).is_empty()).await;
    tasks.close().await;
}

#[tokio::test]
async fn a_foreground_deletion_waits_and_an_orphaning_one_leaves_dependents() {
    let (server, tasks) = cluster().await;
    let client = server.client();
    client.create(&DEPLOYMENTS, deployment(2, "a:1")).await.unwrap();
    until_rolled_out(&server, "a:1", 2).await;
    let orphan = DeleteOptions::default().propagation(Propagation::Orphan);
    client.delete(&DEPLOYMENTS, "d", "shop", orphan).await.unwrap();
    server.until(|s| s.all(&DEPLOYMENTS).is_empty()).await;
    let set = server.all(&REPLICA_SETS).remove(0);
    assert!(set.owner_references().is_empty());
    let foreground = DeleteOptions::default().propagation(Propagation::Foreground);
    client.delete(&REPLICA_SETS, "d", set.name(), foreground).await.unwrap();
    server.until(|s| s.all(&REPLICA_SETS).is_empty()).await;
    assert!(server.all(&PODS).is_empty());
    tasks.close().await;
}

#[tokio::test]
async fn owners_in_a_circle_do_not_wait_for_each_other() {
    let (server, tasks) = cluster().await;
    let client = server.client();
    let names = ["ring-a", "ring-b", "ring-c"];
    for name in names {
        let object =
            value!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "d"}});
        client.create(&CONFIG_MAPS, object).await.unwrap();
    }
    for (name, owner) in names.iter().zip(["ring-c", "ring-a", "ring-b"]) {
        let owner = client.get(&CONFIG_MAPS, "d", owner).await.unwrap();
        let mut owned = client.get(&CONFIG_MAPS, "d", name).await.unwrap().value().clone();
        let reference = value!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner.name(), "uid": owner.uid(),
            "blockOwnerDeletion": true});
        owned.set(&["metadata", "ownerReferences"], vec![reference]);
        client.update(&CONFIG_MAPS, owned).await.unwrap();
    }
    let foreground = DeleteOptions::default().propagation(Propagation::Foreground);
    client.delete(&CONFIG_MAPS, "d", "ring-a", foreground).await.unwrap();
    server.until(|s| !s.all(&CONFIG_MAPS).iter().any(|object| object.name().starts_with("ring-"))).await;
    tasks.close().await;
}

#[tokio::test]
async fn a_new_namespace_gets_its_account_and_ca_and_a_deleted_one_is_emptied() {
    let (server, tasks) = cluster().await;
    server.until(|s| s.all(&SERVICE_ACCOUNTS).len() == 1 && s.all(&CONFIG_MAPS).len() == 1).await;
    let mut namespace = server.all(&NAMESPACES).remove(0).value().clone();
    namespace.set(&["metadata", "finalizers"], vec!["test/hold"]);
    let client = server.client();
    client.update(&NAMESPACES, namespace).await.unwrap();
    client.delete(&NAMESPACES, "", "d", DeleteOptions::default()).await.unwrap();
    server.until(|s| s.all(&NAMESPACES)[0].array_at(&["spec", "finalizers"]).is_empty()).await;
    assert!(server.all(&SERVICE_ACCOUNTS).is_empty() && server.all(&CONFIG_MAPS).is_empty());
    tasks.close().await;
}

#[tokio::test]
async fn a_service_gets_endpoints_and_slices() {
    let (server, tasks) = cluster().await;
    let client = server.client();
    let service = value!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "till", "namespace": "d", "labels": {"team": "x"}},
        "spec": {"selector": {"app": "shop"}, "ports": [{"port": 80, "targetPort": 8080, "protocol": "TCP"}]},
    });
    client.create(&SERVICES, service).await.unwrap();
    client.create(&DEPLOYMENTS, deployment(2, "a:1")).await.unwrap();
    until_rolled_out(&server, "a:1", 2).await;
    let addresses = |s: &FakeServer| {
        let all = s.all(&ENDPOINTS);
        all.iter()
            .flat_map(|e| e.array_at(&["subsets"]))
            .map(|s| s.array_at(&["addresses"]).len())
            .sum::<usize>()
    };
    server.until(|s| addresses(s) == 2).await;
    let endpoints = server.all(&ENDPOINTS).remove(0);
    assert_eq!(endpoints.label("endpoints.kubernetes.io/managed-by"), Some("endpoint-controller"));
    tasks.close().await;
}

#[tokio::test]
async fn a_deployment_goes_back_by_annotation() {
    let (server, tasks) = cluster().await;
    let client = server.client();
    client.create(&DEPLOYMENTS, deployment(1, "a:1")).await.unwrap();
    until_rolled_out(&server, "a:1", 1).await;
    let mut new = only(&server).value().clone();
    new.set(&["spec", "template"], deployment(1, "a:2").at(&["spec", "template"]).unwrap().clone());
    client.update(&DEPLOYMENTS, new).await.unwrap();
    until_rolled_out(&server, "a:2", 1).await;
    let ask = async |revision: &str| {
        let mut new = only(&server).value().clone();
        new.set(&["metadata", "annotations", super::rollback::ROLLBACK_TO], revision);
        server.client().update(&DEPLOYMENTS, new).await.unwrap();
        server.until(|s| only(s).annotation(super::rollback::ROLLBACK_TO).is_none()).await;
    };
    let told = |reason: &str| server.all(&EVENTS).iter().any(|event| event.str_at(&["reason"]) == reason);
    // The last one before the present.
    ask("0").await;
    until_rolled_out(&server, "a:1", 1).await;
    server.until(|s| only(s).annotation("deployment.kubernetes.io/revision") == Some("3")).await;
    assert!(told("DeploymentRollback"));
    ask("3").await;
    ask("7").await;
    server
        .until(|_| told("DeploymentRollbackTemplateUnchanged") && told("DeploymentRollbackRevisionNotFound"))
        .await;
    assert_eq!(server.all(&REPLICA_SETS).len(), 2);
    tasks.close().await;
}
