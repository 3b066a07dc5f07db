//! Clusters: from request to record to control plane and back.

use drydock::database::cluster::Reason;
use serde_json::json;

use crate::harness::World;

#[tokio::test]
async fn a_cluster_is_created_read_listed_and_deleted() {
    let world = World::new().await;
    let body = json!({
        "name": "web", "version": "1.34", "region": "eu-west-1", "labels": {"team": "a"},
        "network": {"podCidr": "10.0.0.0/16", "serviceCidr": "10.1.0.0/16"},
        "nodePools": [{"name": "default", "nodes": 2}, {"name": "gpu", "nodes": 0, "instanceType": "p3.2xlarge"}],
    });
    let operation = world.done(world.post("/v1/clusters", &body).await).await;
    assert_eq!(operation["type"], "clusterCreate");
    assert_eq!(operation["target"], "/v1/clusters/web");
    assert_eq!(operation["progress"], json!({"done": 3, "total": 3, "percent": 100, "message": "done"}));

    let cluster = world.get("/v1/clusters/web").await.ok().json;
    assert_eq!(cluster["state"], "active");
    assert_eq!(cluster["version"], "1.34");
    assert_eq!(cluster["provider"], "mock");
    assert_eq!(cluster["account"], "default");
    assert_eq!(cluster["region"], "eu-west-1");
    assert_eq!(cluster["network"], body["network"]);
    assert_eq!(cluster["labels"], body["labels"]);
    assert_eq!(cluster["nodes"], json!({"wanted": 2, "ready": 2}));
    assert!(cluster["endpoint"].as_str().unwrap().starts_with("https://127.0.0.1:"));

    let uid = cluster["uid"].as_str().unwrap();
    assert_eq!(world.get(&format!("/v1/clusters/{uid}")).await.ok().json, cluster);
    assert_eq!(world.get("/v1/clusters").await.ok().json, json!({ "items": [cluster] }));

    let gone = world.done(world.delete("/v1/clusters/web").await).await;
    assert_eq!(gone["type"], "clusterDelete");
    assert_eq!(world.get("/v1/clusters/web").await.problem(404).0, "notFound");
    assert_eq!(world.fakes.state.lock().unwrap().destroyed, ["web"]);
    // The name is free again.
    world.cluster("web", 0).await;
}

#[tokio::test]
async fn defaults_are_the_services() {
    let world = World::new().await;
    let cluster = world.cluster("dev", 0).await;
    assert_eq!(cluster["version"], "1.36");
    assert_eq!(cluster["region"], "us-east-1");
    assert_eq!(cluster["network"], json!({"podCidr": "10.244.0.0/16", "serviceCidr": "10.96.0.0/12"}));
}

#[tokio::test]
async fn lists_come_in_pages_and_are_filtered() {
    let world = World::new().await;
    for (name, region) in [("c", "us-east-1"), ("a", "us-east-1"), ("b", "eu-west-1"), ("d", "us-east-1")] {
        world.done(world.post("/v1/clusters", &json!({"name": name, "region": region})).await).await;
    }
    let names = |json: &serde_json::Value| {
        let items = json["items"].as_array().unwrap().iter();
        items.map(|item| item["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    let mut page = world.get("/v1/clusters?limit=3").await.ok().json;
    assert_eq!(names(&page), "a b c");
    let token = page["nextPageToken"].as_str().unwrap().to_owned();
    page = world.get(&format!("/v1/clusters?limit=3&pageToken={token}")).await.ok().json;
    assert_eq!(names(&page), "d");
    assert!(page["nextPageToken"].is_null());
    assert_eq!(names(&world.get("/v1/clusters?region=eu-west-1").await.json), "b");
    assert_eq!(
        names(&world.get("/v1/clusters?name=d&state=active&provider=mock&version=1.36").await.json),
        "d"
    );
    assert_eq!(names(&world.get("/v1/clusters?state=failed").await.json), "");
}

#[tokio::test]
async fn a_kubeconfig_is_downloaded_when_the_cluster_serves() {
    let world = World::new().await;
    world.fakes.change(|state| {
        state.broken.insert("dev".into(), Reason::new("PortTaken", "the port is taken"));
    });
    world.post("/v1/clusters", &json!({"name": "dev"})).await;
    world.until("/v1/clusters/dev", "/state", "failed").await;
    let refused = world.get("/v1/clusters/dev/kubeconfig").await;
    assert_eq!(refused.problem(409).0, "notReady");
    assert_eq!(refused.json["detail"], "the cluster \"dev\" does not serve: the port is taken");
    assert_eq!(refused.headers["retry-after"], "1");
    world.fakes.change(|state| state.broken.clear());
    world.until("/v1/clusters/dev", "/state", "active").await;
    let answer = world.get("/v1/clusters/dev/kubeconfig").await.ok();
    assert_eq!(answer.headers["content-type"], "application/yaml");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(answer.text.contains("ClientCertificate"));
    assert!(world.get("/v1/clusters/dev/kubeconfig?credential=token").await.ok().text.contains("Token"));
}

#[tokio::test]
async fn a_cluster_that_does_not_open_is_failed_and_says_why_and_others_serve() {
    let mut world = World::new().await;
    world.cluster("bad", 0).await;
    world.cluster("good", 0).await;
    world.stop().await;
    world.fakes.change(|state| {
        state.broken.insert("bad".into(), Reason::new("StateDamaged", "state.db is not a database"));
    });
    world.start().await.unwrap();
    let bad = world.until("/v1/clusters/bad", "/state", "failed").await;
    assert_eq!(bad["reason"], json!({"code": "StateDamaged", "message": "state.db is not a database"}));
    world.until("/readyz", "", serde_json::Value::Null).await;
    let good = world.get("/v1/clusters/good").await.ok().json;
    assert_eq!(good["state"], "active");
    // It can be deleted as it is.
    world.done(world.delete("/v1/clusters/bad").await).await;
}

#[tokio::test]
async fn everything_is_as_it_was_after_a_stop() {
    let mut world = World::new().await;
    let before = world.cluster("dev", 3).await;
    world.stop().await;
    assert!(world.fakes.state.lock().unwrap().open.is_empty(), "a stop closes clusters");
    world.start().await.unwrap();
    // The nodes are seen again, which is a change of its own.
    let mut after = world.until("/v1/clusters/dev", "/nodes/ready", 3).await;
    assert!(after["updatedAt"].as_str() > before["updatedAt"].as_str());
    after["updatedAt"] = before["updatedAt"].clone();
    assert_eq!(after, before);
}

#[tokio::test]
async fn what_was_interrupted_goes_on_after_a_start() {
    let mut world = World::new().await;
    world.fakes.change(|state| {
        state.held.insert("default".into());
    });
    let body = json!({"name": "dev", "nodePools": [{"name": "default", "nodes": 2}]});
    let accepted = world.post("/v1/clusters", &body).await;
    world.until("/v1/clusters/dev", "/state", "active").await;
    world.cluster("doomed", 0).await;
    world.fakes.change(|state| {
        state.stuck.insert("doomed".into(), Reason::new("Unreachable", "connection refused"));
    });
    let deletion = world.delete("/v1/clusters/doomed").await;
    let doomed = world.until("/v1/clusters/doomed", "/reason/code", "Unreachable").await;
    assert_eq!(doomed["state"], "deleting");
    world.stop().await;
    world.fakes.change(|state| {
        state.held.clear();
        state.stuck.clear();
    });
    world.start().await.unwrap();
    world.done(accepted).await;
    world.done(deletion).await;
}

#[tokio::test]
async fn deleting_twice_is_deleting_once() {
    let world = World::new().await;
    world.cluster("dev", 1).await;
    world.fakes.change(|state| {
        state.stuck.insert("dev".into(), Reason::new("Unreachable", "connection refused"));
    });
    let first = world.delete("/v1/clusters/dev").await;
    let second = world.delete("/v1/clusters/dev").await;
    assert_eq!(first.json["id"], second.json["id"]);
    let path = format!("/v1/operations/{}", first.json["id"].as_str().unwrap());
    world.until(&path, "/progress/message", "connection refused").await;
    // Its name is not free yet, and nothing can be added to it.
    assert_eq!(world.post("/v1/clusters", &json!({"name": "dev"})).await.problem(409).0, "clusterDeleting");
    let pool = world.post("/v1/clusters/dev/node-pools", &json!({"name": "more"})).await;
    assert_eq!(pool.problem(409).0, "clusterDeleting");
    world.fakes.change(|state| state.stuck.clear());
    world.done(second).await;
}

#[tokio::test]
async fn a_creation_ends_when_the_cluster_is_deleted() {
    let world = World::new().await;
    world.fakes.change(|state| {
        state.held.insert("default".into());
    });
    let body = json!({"name": "dev", "nodePools": [{"name": "default", "nodes": 2}]});
    let creation = world.post("/v1/clusters", &body).await;
    world.until("/v1/clusters/dev", "/state", "active").await;
    let deletion = world.delete("/v1/clusters/dev").await;
    let ended = world.ended(creation).await;
    assert_eq!(ended["state"], "failed");
    assert_eq!(ended["error"]["code"], "Superseded");
    world.done(deletion).await;
}

#[tokio::test]
async fn ports_are_kept_apart_and_run_out() {
    let world = World::with(|config| config.cluster_ports.to = config.cluster_ports.from + 1).await;
    let a = world.cluster("a", 0).await;
    let b = world.cluster("b", 0).await;
    assert_ne!(a["endpoint"], b["endpoint"]);
    assert_eq!(world.post("/v1/clusters", &json!({"name": "c"})).await.problem(503).0, "noPort");
    world.done(world.delete("/v1/clusters/a").await).await;
    world.cluster("c", 0).await;
}

#[tokio::test]
async fn a_reconciler_that_fails_is_started_again() {
    let world = World::new().await;
    drydock_runtime::fault::arm("service.observe.before_commit", drydock_runtime::fault::Fault::ErrorOnce);
    world.cluster("dev", 2).await;
}
