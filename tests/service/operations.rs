//! Operations: lists, filters, waiting, idempotency keys.

use http::Method;
use serde_json::json;

use crate::harness::World;

#[tokio::test]
async fn operations_are_listed_newest_first_and_filtered() {
    let world = World::new().await;
    world.cluster("a", 0).await;
    world.cluster("b", 1).await;
    world.done(world.patch("/v1/clusters/b/node-pools/default", &json!({"nodes": 2})).await).await;
    world.done(world.delete("/v1/clusters/a").await).await;
    let list = async |query: &str| {
        let answer = world.get(&format!("/v1/operations{query}")).await.ok().json;
        let items = answer["items"].as_array().unwrap().iter();
        items
            .map(|item| format!("{} {}", item["type"].as_str().unwrap(), item["cluster"].as_str().unwrap()))
            .collect()
    };
    let all: Vec<String> = list("").await;
    assert_eq!(all, ["clusterDelete a", "nodePoolScale b", "clusterCreate b", "clusterCreate a"]);
    let of_b: Vec<String> = list("?cluster=b").await;
    assert_eq!(of_b, ["nodePoolScale b", "clusterCreate b"]);
    let scales: Vec<String> = list("?type=nodePoolScale&state=succeeded&nodePool=default").await;
    assert_eq!(scales, ["nodePoolScale b"]);
    let page = world.get("/v1/operations?limit=3").await.json;
    let token = page["nextPageToken"].as_str().unwrap();
    let rest: Vec<String> = list(&format!("?pageToken={token}")).await;
    assert_eq!(rest, ["clusterCreate a"]);
}

#[tokio::test]
async fn waiting_answers_on_change_and_says_when_nothing_changed() {
    let world = World::new().await;
    world.cluster("dev", 1).await;
    world.fakes.change(|state| {
        state.held.insert("default".into());
    });
    let scaled = world.patch("/v1/clusters/dev/node-pools/default", &json!({"nodes": 2})).await;
    let path = scaled.headers["location"].to_str().unwrap().to_owned();
    world.until(&path, "/progress/message", "1 of 2 nodes are ready").await;
    let answer = world.get(&format!("{path}?wait=0")).await.ok();
    let tag = answer.headers["etag"].to_str().unwrap().to_owned();
    let same = world.call(Method::GET, &format!("{path}?wait=0"), &[("if-none-match", &tag)], "").await;
    assert_eq!(same.status, 304);
    let headers = [("if-none-match", tag.as_str())];
    let waiting = format!("{path}?wait=30");
    let waiting = world.call(Method::GET, &waiting, &headers, "");
    let freeing = async { world.fakes.change(|state| state.held.clear()) };
    let (changed, ()) = tokio::join!(waiting, freeing);
    assert_eq!(changed.ok().json["state"], "succeeded");
}

#[tokio::test]
async fn a_stop_lets_those_who_wait_go() {
    let world = World::new().await;
    world.cluster("dev", 1).await;
    world.fakes.change(|state| {
        state.held.insert("default".into());
    });
    let scaled = world.patch("/v1/clusters/dev/node-pools/default", &json!({"nodes": 2})).await;
    let path = format!("{}?wait=30", scaled.headers["location"].to_str().unwrap());
    let closing = async { world.server.as_ref().unwrap().service().begin_close() };
    let (answer, ()) = tokio::join!(world.get(&path), closing);
    assert_ne!(answer.ok().json["state"], "succeeded");
}

#[tokio::test]
async fn an_idempotency_key_makes_a_request_happen_once() {
    let world = World::new().await;
    let create = async |key: &str, body: &serde_json::Value| {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        world.call(Method::POST, "/v1/clusters", &headers, &body.to_string()).await
    };
    let body = json!({"name": "dev"});
    let first = create("k1", &body).await;
    let again = create("k1", &body).await;
    assert_eq!((again.status.as_u16(), &again.json["id"]), (202, &first.json["id"]));
    assert_eq!(create("k2", &body).await.problem(409).0, "alreadyExists");
    assert_eq!(create("k1", &json!({"name": "other"})).await.problem(422).0, "idempotencyKeyReused");
    assert_eq!(create("", &body).await.problem(400).0, "malformed");
    world.done(first).await;
    // Also when it is long over.
    world.done(world.delete("/v1/clusters/dev").await).await;
    assert_eq!(create("k1", &body).await.json["state"], "succeeded");
    assert_eq!(world.get("/v1/clusters").await.json, json!({"items": []}));
}
