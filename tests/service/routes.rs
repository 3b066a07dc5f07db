//! Every route with who may use it.

use drydock::doors::rest::ROUTES;
use http::Method;

use crate::harness::World;

const TOKEN: &str = "0123456789abcdef";

fn filled(template: &str) -> String {
    ["cluster", "nodePool", "operation", "provider"]
        .iter()
        .fold(template.to_owned(), |path, name| path.replace(&format!("{{{name}}}"), "none"))
}

#[tokio::test]
async fn every_route_demands_what_it_should() {
    let world = World::with(|config| config.api_token = Some(TOKEN.to_owned())).await;
    let mut golden = String::new();
    for (method, template, demands) in ROUTES {
        let method: Method = method.parse().unwrap();
        let path = filled(template);
        let bare = world.call(method.clone(), &path, &[], "").await;
        let wrong =
            world.call(method.clone(), &path, &[("authorization", "Bearer 0123456789abcdeX")], "").await;
        let bearer = format!("Bearer {TOKEN}");
        let right = world.call(method.clone(), &path, &[("authorization", &bearer)], "").await;
        for refused in [&bare, &wrong] {
            assert_eq!(refused.status == 401, *demands, "{method} {template}");
        }
        assert_ne!(right.status, 401, "{method} {template}");
        let access = if *demands { "token" } else { "open" };
        golden.push_str(&format!("{method:6} {template} {access} {}\n", right.status.as_u16()));
    }
    insta::assert_snapshot!(golden);
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_with_a_problem() {
    let world = World::new().await;
    assert_eq!(world.get("/v1/nothing").await.problem(404).0, "noSuchPath");
    assert_eq!(world.get("/v2/clusters").await.problem(404).0, "noSuchPath");
    for (_, template, _) in ROUTES {
        let answer = world.call(Method::PUT, &filled(template), &[], "").await;
        assert_eq!(answer.problem(405).0, "methodNotAllowed");
        let mut allowed: Vec<_> = answer.headers["allow"].to_str().unwrap().split(',').collect();
        allowed.retain(|method| *method != "HEAD");
        let served = ROUTES.iter().filter(|(_, path, _)| path == template).map(|(method, _, _)| *method);
        assert_eq!(allowed, served.collect::<Vec<_>>(), "{template}");
    }
    let answer = world.call(Method::PUT, "/v1/clusters", &[], "").await;
    assert_eq!(answer.problem(405).0, "methodNotAllowed");
    assert_eq!(answer.headers["allow"], "GET,HEAD,POST");
    assert_eq!(answer.json["instance"], "/v1/clusters");
}

#[tokio::test]
async fn a_foreign_host_is_refused_unless_a_token_is_demanded() {
    let world = World::new().await;
    let answer = world.call(Method::GET, "/v1/clusters", &[("host", "evil.example:8080")], "").await;
    assert_eq!(answer.problem(421).0, "foreignHost");
    world.call(Method::GET, "/v1/clusters", &[("host", "localhost:8080")], "").await.ok();

    let world = World::with(|config| config.api_token = Some(TOKEN.to_owned())).await;
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("host", "drydock.example"), ("authorization", bearer.as_str())];
    world.call(Method::GET, "/v1/clusters", &headers, "").await.ok();
}

#[tokio::test]
async fn health_readiness_metrics_and_catalogs_answer() {
    let world = World::new().await;
    world.cluster("dev", 2).await;
    assert_eq!(world.get("/healthz").await.ok().text, "ok\n");
    assert_eq!(world.get("/readyz").await.ok().text, "ok\n");
    let metrics = world.get("/metrics").await.ok().text;
    for line in [
        "drydock_clusters{provider=\"mock\",state=\"active\"} 1\n",
        "drydock_node_pools{state=\"active\"} 1\n",
        "drydock_nodes_wanted 2\n",
        "drydock_nodes_ready 2\n",
        "drydock_operations{type=\"clusterCreate\",state=\"succeeded\"} 1\n",
        "drydock_http_requests_total{method=\"POST\",route=\"/v1/clusters\",status=\"202\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
    assert!(metrics.ends_with("# EOF\n") && metrics.matches("# EOF").count() == 1, "{metrics}");
    let versions = world.get("/v1/versions").await.ok().json;
    let names: Vec<_> = versions["items"].as_array().unwrap().iter().map(|item| &item["version"]).collect();
    assert_eq!(names, ["1.36", "1.35", "1.34", "1.33"]);
    let providers = world.get("/v1/providers").await.ok().json;
    assert_eq!(providers["items"][0], world.get("/v1/providers/mock").await.ok().json);
    assert_eq!(providers["items"][0]["default"], true);
    assert_eq!(world.get("/v1/providers/vapour").await.problem(404).0, "notFound");
}
