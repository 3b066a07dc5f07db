//! ETags, If-Match and If-None-Match.

use http::Method;
use serde_json::json;

use crate::harness::World;

const MERGE: (&str, &str) = ("content-type", "application/merge-patch+json");

#[tokio::test]
async fn changes_demand_the_revision_that_they_name() {
    let world = World::new().await;
    world.cluster("dev", 0).await;
    let tag = async || world.get("/v1/clusters/dev").await.headers["etag"].to_str().unwrap().to_owned();
    let old = tag().await;
    let labels = |value: &str| json!({"labels": {"team": value}}).to_string();
    let patch = async |tag: &str, body: String| {
        world.call(Method::PATCH, "/v1/clusters/dev", &[MERGE, ("if-match", tag)], &body).await
    };
    let changed = patch(&old, labels("a")).await.ok();
    assert_eq!(changed.json["labels"], json!({"team": "a"}));
    assert_eq!(changed.headers["etag"], tag().await.as_str());
    assert_ne!(tag().await, old);
    assert_eq!(patch(&old, labels("b")).await.problem(412).0, "preconditionFailed");
    assert_eq!(world.get("/v1/clusters/dev").await.json["labels"], json!({"team": "a"}));
    patch("*", labels("c")).await.ok();
    assert_eq!(patch("c", labels("d")).await.problem(400).0, "malformed");
    // null removes.
    let body = json!({"labels": {"team": null, "x": "y"}}).to_string();
    assert_eq!(patch(&tag().await, body).await.ok().json["labels"], json!({"x": "y"}));

    let delete =
        async |tag: &str| world.call(Method::DELETE, "/v1/clusters/dev", &[("if-match", tag)], "").await;
    assert_eq!(delete(&old).await.problem(412).0, "preconditionFailed");
    let new = tag().await;
    world.done(delete(&new).await).await;
    // A cluster of the same name is another one.
    world.cluster("dev", 0).await;
    assert_eq!(delete(&new).await.problem(412).0, "preconditionFailed");
}

#[tokio::test]
async fn pools_have_revisions_too() {
    let world = World::new().await;
    world.cluster("dev", 1).await;
    let path = "/v1/clusters/dev/node-pools/default";
    let tag = world.get(path).await.headers["etag"].to_str().unwrap().to_owned();
    let same = world.call(Method::GET, path, &[("if-none-match", &tag)], "").await;
    assert_eq!((same.status.as_u16(), same.text.as_str()), (304, ""));
    let body = json!({"nodes": 2}).to_string();
    let scaled = world.call(Method::PATCH, path, &[MERGE, ("if-match", &tag)], &body).await;
    world.done(scaled).await;
    world.call(Method::GET, path, &[("if-none-match", &tag)], "").await.ok();
    let late = world.call(Method::PATCH, path, &[MERGE, ("if-match", &tag)], &body).await;
    assert_eq!(late.problem(412).0, "preconditionFailed");
    let late = world.call(Method::DELETE, path, &[("if-match", &tag)], "").await;
    assert_eq!(late.problem(412).0, "preconditionFailed");
}

#[tokio::test]
async fn what_a_client_has_is_not_sent_again() {
    let world = World::new().await;
    world.cluster("dev", 0).await;
    let tag = world.get("/v1/clusters/dev").await.headers["etag"].to_str().unwrap().to_owned();
    for (seen, status) in [
        (tag.clone(), 304),
        (format!("W/{tag}"), 304),
        (format!("\"other\", {tag}"), 304),
        ("*".to_owned(), 304),
        ("\"other\"".to_owned(), 200),
    ] {
        let headers = [("if-none-match", seen.as_str())];
        let answer = world.call(Method::GET, "/v1/clusters/dev", &headers, "").await;
        assert_eq!(answer.status, status, "{seen}");
        assert_eq!(answer.headers["etag"], tag.as_str());
    }
}
