//! Node pools: intent, observation, trouble.

use drydock::database::cluster::Reason;
use drydock::service::control_plane::Trouble;
use serde_json::json;

use crate::harness::World;

fn trouble(code: &str, message: &str, permanent: bool) -> Trouble {
    Trouble { reason: Reason::new(code, message), permanent }
}

#[tokio::test]
async fn a_pool_is_created_scaled_and_deleted() {
    let world = World::new().await;
    world.cluster("dev", 1).await;
    let body = json!({
        "name": "gpu", "nodes": 2, "instanceType": "g5.xlarge", "zones": ["us-east-1a"], "spot": true,
        "labels": {"a/b": "c"}, "taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}],
    });
    let operation = world.done(world.post("/v1/clusters/dev/node-pools", &body).await).await;
    assert_eq!((&operation["type"], &operation["nodePool"]), (&json!("nodePoolCreate"), &json!("gpu")));
    let pool = world.get("/v1/clusters/dev/node-pools/gpu").await.ok().json;
    for field in ["name", "nodes", "instanceType", "zones", "spot", "labels", "taints"] {
        assert_eq!(pool[field], body[field], "{field}");
    }
    assert_eq!(pool["state"], "active");
    assert_eq!(pool["observed"], json!({"machines": 2, "ready": 2}));
    assert_eq!(world.get("/v1/clusters/dev").await.json["nodes"], json!({"wanted": 3, "ready": 3}));

    let pools = world.get("/v1/clusters/dev/node-pools?limit=1").await.ok().json;
    assert_eq!(pools["items"][0]["name"], "default");
    let token = pools["nextPageToken"].as_str().unwrap();
    let rest = world.get(&format!("/v1/clusters/dev/node-pools?pageToken={token}")).await.ok().json;
    assert_eq!(rest["items"][0], pool);

    for nodes in [5, 2, 0] {
        let scaled = world.patch("/v1/clusters/dev/node-pools/gpu", &json!({ "nodes": nodes })).await;
        assert_eq!(world.done(scaled).await["type"], "nodePoolScale");
        let pool = world.get("/v1/clusters/dev/node-pools/gpu").await.json;
        assert_eq!((&pool["nodes"], &pool["observed"]["ready"]), (&json!(nodes), &json!(nodes)));
    }
    world.done(world.delete("/v1/clusters/dev/node-pools/gpu").await).await;
    assert_eq!(world.get("/v1/clusters/dev/node-pools/gpu").await.problem(404).0, "notFound");
}

#[tokio::test]
async fn what_stands_in_the_way_is_told_and_goes_by_itself() {
    let world = World::new().await;
    world.cluster("dev", 0).await;
    world.fakes.change(|state| {
        state.troubled.insert("a".into(), trouble("Unreachable", "RunInstances: connection refused", false));
    });
    let creation = world.post("/v1/clusters/dev/node-pools", &json!({"name": "a", "nodes": 3})).await;
    let pool = world.until("/v1/clusters/dev/node-pools/a", "/state", "degraded").await;
    assert_eq!(pool["reason"], json!({"code": "Unreachable", "message": "RunInstances: connection refused"}));
    let path = creation.headers["location"].to_str().unwrap().to_owned();
    let operation = world.get(&path).await.json;
    assert_eq!(operation["state"], "running");
    assert_eq!(operation["progress"]["message"], "0 of 3 nodes are ready: RunInstances: connection refused");
    world.fakes.change(|state| state.troubled.clear());
    world.done(creation).await;
    let pool = world.get("/v1/clusters/dev/node-pools/a").await.json;
    assert_eq!((&pool["state"], &pool["reason"]), (&json!("active"), &json!(null)));
}

#[tokio::test]
async fn what_can_never_succeed_fails_with_the_reason() {
    let world = World::new().await;
    world.fakes.change(|state| {
        state.troubled.insert("default".into(), trouble("InvalidRequest", "no such type", true));
    });
    let body = json!({"name": "dev", "nodePools": [{"name": "default", "nodes": 1}]});
    let ended = world.ended(world.post("/v1/clusters", &body).await).await;
    assert_eq!(ended["error"], json!({"code": "InvalidRequest", "message": "no such type"}));
    assert_eq!(world.get("/v1/clusters/dev/node-pools/default").await.json["state"], "failed");
    assert_eq!(world.get("/v1/clusters/dev").await.json["state"], "active");
}

#[tokio::test]
async fn a_later_scale_ends_an_earlier_one() {
    let world = World::new().await;
    world.cluster("dev", 1).await;
    world.fakes.change(|state| {
        state.held.insert("default".into());
    });
    let first = world.patch("/v1/clusters/dev/node-pools/default", &json!({"nodes": 5})).await;
    let second = world.patch("/v1/clusters/dev/node-pools/default", &json!({"nodes": 3})).await;
    let ended = world.ended(first).await;
    assert_eq!(ended["error"]["message"], "the node pool was scaled again");
    world.until("/v1/clusters/dev/node-pools/default", "/state", "scaling").await;
    world.fakes.change(|state| state.held.clear());
    world.done(second).await;
}

#[tokio::test]
async fn nodes_are_counted_as_they_come() {
    let world = World::new().await;
    world.cluster("dev", 1).await;
    world.fakes.change(|state| {
        state.held.insert("default".into());
    });
    let scaled = world.patch("/v1/clusters/dev/node-pools/default", &json!({"nodes": 4})).await;
    let path = scaled.headers["location"].to_str().unwrap().to_owned();
    world.until(&path, "/progress/message", "1 of 4 nodes are ready").await;
    let operation = world.get(&path).await.json;
    assert_eq!((&operation["progress"]["done"], &operation["progress"]["total"]), (&json!(0), &json!(3)));
}
