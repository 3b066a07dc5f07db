//! Bad input: what is wrong and where, and nothing changes.

use http::Method;
use serde_json::{Value, json};

use crate::harness::World;

/// Asks to create a cluster, and answers what is wrong with it.
async fn wrong(world: &World, body: Value) -> Vec<String> {
    let answer = world.post("/v1/clusters", &body).await;
    let (code, errors) = answer.problem(422);
    assert_eq!(code, "invalid");
    errors
}

#[tokio::test]
async fn every_field_at_fault_is_named() {
    let world = World::new().await;
    let rule = "must be 1 to 63 lower case letters, digits or '-', and begin and end with a letter or digit";
    assert_eq!(wrong(&world, json!({})).await, ["name: is required"]);
    assert_eq!(wrong(&world, json!({"name": "Not OK"})).await, [format!("name: \"Not OK\" {rule}")]);
    assert_eq!(
        wrong(&world, json!({"name": "a", "version": "1.32", "provider": "vapour", "region": "nowhere!"}))
            .await,
        [
            "version: \"1.32\" must be one of 1.36, 1.35, 1.34, 1.33",
            "provider: \"vapour\" must be one of mock",
        ]
    );
    for region in ["nowhere!", "us-east-9", ""] {
        // A pool in it is not blamed for where it is.
        let pools = json!([{"name": "p", "instanceType": "m5.large", "zones": ["us-east-1a"]}]);
        let said = wrong(&world, json!({"name": "a", "region": region, "nodePools": pools})).await;
        let begins =
            format!("region: {region:?} must be a region of mock: one of local, us-east-1, us-east-2, ");
        assert!(said.len() == 1 && said[0].starts_with(&begins), "{said:?}");
    }
    let network = json!({"podCidr": "10.0.0.0/8", "serviceCidr": "10.96.0.0/12"});
    assert_eq!(
        wrong(&world, json!({"name": "a", "network": network, "labels": {"-": "x"}})).await,
        [
            "network.serviceCidr: 10.96.0.0/12 overlaps with network.podCidr 10.0.0.0/8",
            "labels[\"-\"]: \"-\" must be a label key: [DOMAIN/]NAME with 63 letters, digits, '-', '_' or '.' at most",
        ]
    );
    let pools = json!([
        {"name": "p", "nodes": 10_001, "instanceType": "huge", "zones": ["us-east-1a", "moon-1"]},
        {"name": "p", "taints": [{"key": "a", "effect": "Never"}]},
    ]);
    let errors = wrong(&world, json!({"name": "a", "nodePools": pools})).await;
    let fields: Vec<_> = errors.iter().map(|error| error.split(": ").next().unwrap()).collect();
    let expected = [
        "nodePools[0].nodes",
        "nodePools[0].instanceType",
        "nodePools[0].zones[1]",
        "nodePools[1].taints[0].effect",
        "nodePools[1].name",
    ];
    assert_eq!(fields, expected, "{errors:#?}");
    assert_eq!(world.get("/v1/clusters").await.json, json!({"items": []}));
    assert_eq!(world.get("/v1/operations").await.json, json!({"items": []}));
}

#[tokio::test]
async fn shapes_are_strict() {
    let world = World::new().await;
    assert_eq!(
        wrong(&world, json!({"name": 7, "nodes": 3, "nodePools": {"a": 1}, "network": {"podCIDR": "x"}, "labels": {"a": 1}}))
            .await,
        [
            "name: must be a string, not 7",
            "labels[\"a\"]: must be a string, not 1",
            "nodePools: must be a list, not {\"a\":1}",
            "network.podCIDR: is not a field of a network; those are podCidr, serviceCidr",
            "nodes: is not a field of a cluster; those are network, name, version, provider, region, labels, authenticationConfiguration, tokenWebhook, \
             authorizationConfiguration, auditPolicy, schedulerConfiguration, nodePools",
        ]
    );
    assert_eq!(
        wrong(
            &world,
            json!({"name": "a", "nodePools": [{"name": "p", "nodes": -1, "taints": [{"key": "k"}]}, 3]})
        )
        .await,
        [
            "nodePools[1]: must be an object, not 3",
            "nodePools[0].nodes: must be a whole number from 0, not -1",
            "nodePools[0].taints[0].effect: is required",
        ]
    );
}

#[tokio::test]
async fn null_is_no_value_that_a_field_can_have() {
    let world = World::new().await;
    assert_eq!(
        wrong(&world, json!({"name": null, "region": null, "labels": {"a": null}, "nodePools": null})).await,
        [
            "name: must be a string, not null",
            "region: must be a string, not null",
            "labels[\"a\"]: must be a string, not null",
            "nodePools: must be a list, not null",
        ]
    );
    world.cluster("dev", 1).await;
    let (_, errors) = world.patch("/v1/clusters/dev", &json!({"labels": null})).await.problem(422);
    assert_eq!(errors, ["labels: must be an object of strings, not null"]);
    let pool = "/v1/clusters/dev/node-pools/default";
    let (_, errors) = world.patch(pool, &json!({"nodes": null})).await.problem(422);
    assert_eq!(errors, ["nodes: must be a whole number from 0, not null"]);
}

#[tokio::test]
async fn malformed_bodies_say_where() {
    let world = World::new().await;
    let check = async |media: &str, body: &str, says: &str| {
        let answer = world.call(Method::POST, "/v1/clusters", &[("content-type", media)], body).await;
        let (code, _) = answer.problem(400);
        let detail = answer.json["detail"].as_str().unwrap();
        assert!(code == "malformed" && detail.contains(says), "{detail}");
    };
    check(
        "application/json",
        "{\"name\": ",
        "the body is not JSON: EOF while parsing a value at line 1 column 9",
    )
    .await;
    check("application/json", "[]", "the body must be an object").await;
    check("application/json", "", "the body is not JSON").await;
    check("application/json", "{\"name\":\"a\",\"name\":\"b\"}", "the field \"name\" is given twice").await;
    check("application/yaml", "name: a\n  version: x\n", "line 2").await;
    let twice = "the body is not YAML: line 2 column 1: duplicate mapping key: name";
    check("application/yaml", "name: a\nname: b\n", twice).await;
    check("application/json", &"[".repeat(100_000), "recursion limit").await;
    check("application/yaml", &"[".repeat(100_000), "the body is not YAML").await;
}

#[tokio::test]
async fn bodies_must_be_of_a_known_type_and_a_sensible_size() {
    let world = World::new().await;
    let post = async |headers: &[(&str, &str)], body: &str| {
        world.call(Method::POST, "/v1/clusters", headers, body).await
    };
    assert_eq!(post(&[], "{}").await.problem(415).0, "unsupportedMediaType");
    assert_eq!(post(&[("content-type", "text/plain")], "{}").await.problem(415).0, "unsupportedMediaType");
    // A merge patch creates nothing, and only what the document names is taken.
    for media in ["application/merge-patch+json", "text/yaml", "application/jsonx"] {
        let answer = post(&[("content-type", media)], "{\"name\":\"a\"}").await;
        assert_eq!(answer.problem(415).0, "unsupportedMediaType");
        let detail = format!("the Content-Type must be application/json or application/yaml, not {media}");
        assert_eq!(answer.json["detail"], detail);
    }
    let json = [("content-type", "Application/JSON; charset=utf-8")];
    assert_eq!(post(&json, "{}").await.problem(422).1, ["name: is required"]);
    let large = format!("{{\"name\":\"{}\"}}", "a".repeat(1 << 20));
    assert_eq!(post(&[("content-type", "application/json")], &large).await.problem(413).0, "bodyTooLarge");
}

#[tokio::test]
async fn yaml_is_taken_as_well() {
    let world = World::new().await;
    let body = "name: dev\nversion: 1.35 # a number to YAML\nnodePools:\n- {name: a, nodes: 1}\n";
    let headers = [("content-type", "application/yaml")];
    world.done(world.call(Method::POST, "/v1/clusters", &headers, body).await).await;
    assert_eq!(world.get("/v1/clusters/dev").await.json["version"], "1.35");
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let world = World::new().await;
    let check = async |path: &str, says: &[&str]| {
        let (code, errors) = world.get(path).await.problem(422);
        assert_eq!(
            (code.as_str(), errors),
            ("invalid", says.iter().map(|text| (*text).to_owned()).collect())
        );
    };
    check("/v1/clusters?limit=0", &["limit: \"0\" must be a whole number between 1 and 500"]).await;
    check("/v1/clusters?pageToken=x", &["pageToken: is not a page token of this list"]).await;
    check("/v1/clusters?pageToken=eA", &["pageToken: is not a page token of this list"]).await;
    check("/v1/clusters?state=fine", &["state: \"fine\" must be one of creating, active, failed, deleting"])
        .await;
    check("/v1/clusters?state=", &["state: \"\" must be one of creating, active, failed, deleting"]).await;
    check("/v1/clusters?limit=", &["limit: \"\" must be a whole number between 1 and 500"]).await;
    check(
        "/v1/operations?colour=red&limit=1&limit=2",
        &[
            "limit: is given twice",
            "colour: is not a parameter of this request; those are limit, pageToken, state, type, cluster, nodePool",
        ],
    )
    .await;
    check("/v1/operations/x?wait=61", &["wait: \"61\" must be a whole number between 0 and 60"]).await;
    world.cluster("dev", 1).await;
    let kubeconfig = "/v1/clusters/dev/kubeconfig?credential=password";
    check(kubeconfig, &["credential: \"password\" must be one of certificate, token"]).await;
}

#[tokio::test]
async fn parameters_that_a_write_does_not_take_are_refused_and_nothing_is_written() {
    let world = World::new().await;
    let before = world.cluster("dev", 1).await;
    let json = ("content-type", "application/json");
    for (method, path, body) in [
        (Method::POST, "/v1/clusters?dryRun=true", json!({"name": "other"})),
        (Method::PATCH, "/v1/clusters/dev?dryRun=true", json!({"labels": {"a": "b"}})),
        (Method::DELETE, "/v1/clusters/dev?dryRun=true", json!({})),
        (Method::POST, "/v1/clusters/dev/clock?dryRun=true", json!({"advance": "5m"})),
        (Method::POST, "/v1/clusters/dev/node-pools?dryRun=true", json!({"name": "other"})),
        (Method::PATCH, "/v1/clusters/dev/node-pools/default?dryRun=true", json!({"nodes": 2})),
        (Method::DELETE, "/v1/clusters/dev/node-pools/default?dryRun=true", json!({})),
        (Method::GET, "/metrics?dryRun=true", json!({})),
    ] {
        let (_, errors) = world.call(method, path, &[json], &body.to_string()).await.problem(422);
        assert_eq!(errors, ["dryRun: is not a parameter of this request; it takes none"], "{path}");
    }
    assert_eq!(world.get("/v1/clusters").await.json["items"], json!([before]));
    assert_eq!(world.get("/v1/operations").await.json["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn paths_that_are_no_text_are_refused_with_a_problem() {
    let world = World::new().await;
    let answer = world.get("/v1/clusters/%FF").await;
    assert_eq!(answer.problem(400).0, "malformed");
    assert_eq!(world.get("/v1/clusters/a%2Fb").await.problem(404).0, "notFound");
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_missing() {
    let world = World::new().await;
    world.cluster("dev", 1).await;
    for (path, detail) in [
        ("/v1/clusters/x", "there is no cluster \"x\""),
        ("/v1/clusters/x/kubeconfig", "there is no cluster \"x\""),
        ("/v1/clusters/x/node-pools", "there is no cluster \"x\""),
        ("/v1/clusters/dev/node-pools/x", "there is no node pool \"x\""),
        ("/v1/operations/x", "there is no operation \"x\""),
    ] {
        let answer = world.get(path).await;
        assert_eq!(answer.problem(404).0, "notFound");
        assert_eq!(answer.json["detail"], detail);
    }
    assert_eq!(world.post("/v1/clusters", &json!({"name": "dev"})).await.problem(409).0, "alreadyExists");
    let pool = world.post("/v1/clusters/dev/node-pools", &json!({"name": "default"})).await;
    assert_eq!(pool.problem(409).0, "alreadyExists");
    let (_, errors) = world.patch("/v1/clusters/dev/node-pools/default", &json!({})).await.problem(422);
    assert_eq!(errors, ["nodes: is required"]);
    let (_, errors) =
        world.patch("/v1/clusters/dev/node-pools/default", &json!({"nodes": 99999})).await.problem(422);
    assert_eq!(errors, ["nodes: 99999 must be 10000 at most"]);
}
