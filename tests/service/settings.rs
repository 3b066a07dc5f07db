//! Settings of clusters: checked, recorded, handed to the control plane at once, and shown without secrets.

use serde_json::{Value, json};

use crate::harness::World;

fn policy(level: &str) -> Value {
    json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": level}]})
}

impl World {
    /// What the cluster's control plane was configured with last.
    fn configured(&self, uid: &str) -> Value {
        let state = self.fakes.state.lock().unwrap();
        let settings = state.open[uid].settings.lock().unwrap();
        serde_json::to_value(&*settings).unwrap()
    }
}

#[tokio::test]
async fn settings_are_given_changed_and_taken_back() {
    let mut world = World::new().await;
    let webhook = json!({"cacheTtl": "1m", "kubeConfig": {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://hook.example"}}],
        "users": [{"name": "u", "user": {"token": "s3cret"}}],
    }});
    let body = json!({"name": "web", "auditPolicy": policy("Metadata"), "tokenWebhook": webhook});
    world.done(world.post("/v1/clusters", &body).await).await;
    let cluster = world.get("/v1/clusters/web").await.ok().json;
    assert_eq!(cluster["auditPolicy"], policy("Metadata"));
    assert_eq!(cluster["tokenWebhook"]["kubeConfig"]["users"][0]["user"], json!({"token": "REDACTED"}));
    let uid = cluster["uid"].as_str().unwrap();
    assert_eq!(world.configured(uid), json!({"auditPolicy": policy("Metadata"), "tokenWebhook": webhook}));

    // A document is replaced as a whole, others stay.
    let change = json!({"auditPolicy": policy("Request")});
    let changed = world.patch("/v1/clusters/web", &change).await.ok().json;
    assert_eq!(changed["auditPolicy"], policy("Request"));
    assert_eq!(world.configured(uid), json!({"auditPolicy": policy("Request"), "tokenWebhook": webhook}));

    world.stop().await;
    world.start().await.unwrap();
    let cluster = world.get("/v1/clusters/web").await.ok().json;
    assert_eq!(cluster["auditPolicy"], policy("Request"), "settings outlive the service");

    let change = json!({"auditPolicy": null, "tokenWebhook": null});
    let changed = world.patch("/v1/clusters/web", &change).await.ok().json;
    assert_eq!((changed.get("auditPolicy"), changed.get("tokenWebhook")), (None, None));
}

#[tokio::test]
async fn what_is_wrong_with_settings_is_named() {
    let world = World::new().await;
    let body = json!({
        "name": "web",
        "auditPolicy": policy("All"),
        "authenticationConfiguration": {"kind": "AuthenticationConfiguration"},
        "authorizationConfiguration": [],
    });
    let (code, errors) = world.post("/v1/clusters", &body).await.problem(422);
    assert_eq!(code, "invalid");
    assert_eq!(errors, ["authorizationConfiguration: must be an object, not []"]);
    let mut body = body;
    body.as_object_mut().unwrap().remove("authorizationConfiguration");
    let (_, errors) = world.post("/v1/clusters", &body).await.problem(422);
    assert_eq!(
        errors,
        [
            "authenticationConfiguration.apiVersion: Unsupported value: \"\": supported values: \
             \"apiserver.config.k8s.io/v1\", \"apiserver.config.k8s.io/v1beta1\", \"apiserver.config.k8s.io/v1alpha1\"",
            "auditPolicy.rules[0].level: Unsupported value: \"All\": supported values: \"None\", \"Metadata\", \
             \"Request\", \"RequestResponse\"",
        ]
    );
    world.cluster("web", 0).await;
    let before = world.get("/v1/clusters/web").await.ok().json;
    let (_, errors) =
        world.patch("/v1/clusters/web", &json!({"auditPolicy": policy("All")})).await.problem(422);
    assert_eq!(errors.len(), 1);
    assert_eq!(world.get("/v1/clusters/web").await.ok().json, before);
}

#[tokio::test]
async fn a_scheduler_configuration_is_a_setting() {
    let world = World::new().await;
    let profiles = |profile: Value| {
        json!({
            "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
            "profiles": [profile],
        })
    };
    let good = profiles(json!({"schedulerName": "packing"}));
    world
        .done(world.post("/v1/clusters", &json!({"name": "web", "schedulerConfiguration": good})).await)
        .await;
    let cluster = world.get("/v1/clusters/web").await.ok().json;
    assert_eq!(cluster["schedulerConfiguration"], good);
    assert_eq!(world.configured(cluster["uid"].as_str().unwrap()), json!({"schedulerConfiguration": good}));
    let bad = json!({"schedulerConfiguration": profiles(json!({"plugins": {"filter": {"enabled": [{"name": "X"}]}}}))});
    let (_, errors) = world.patch("/v1/clusters/web", &bad).await.problem(422);
    assert_eq!(
        errors,
        [
            "schedulerConfiguration.profiles[0].plugins.filter.enabled[0]: Invalid value: \"X\": FilterPlugin \"X\" does not exist"
        ]
    );
    let changed = world.patch("/v1/clusters/web", &json!({"schedulerConfiguration": null})).await.ok().json;
    assert_eq!(changed.get("schedulerConfiguration"), None);
}

#[tokio::test]
async fn scheduling_is_explained() {
    let world = World::new().await;
    world.cluster("web", 0).await;
    let path = "/v1/clusters/web/scheduling";
    let explained = world.get(&format!("{path}?pod=p&namespace=n")).await.ok().json;
    assert_eq!((&explained["namespace"], &explained["nodes"][0]["total"]), (&json!("n"), &json!(7)));
    assert_eq!(world.get(&format!("{path}?pod=p")).await.ok().json["namespace"], "default");
    assert_eq!(world.get(path).await.problem(422).1, ["pod: is required"]);
    assert_eq!(world.get(&format!("{path}?pod=none")).await.problem(404).0, "notFound");
    assert_eq!(world.get(&format!("{path}?pod=foreign")).await.problem(409).0, "noProfile");
    assert_eq!(world.get("/v1/clusters/none/scheduling?pod=p").await.problem(404).0, "notFound");
}

#[tokio::test]
async fn the_audit_log_is_downloaded() {
    let world = World::new().await;
    world.cluster("web", 0).await;
    let answer = world.get("/v1/clusters/web/audit-log").await.ok();
    assert_eq!(answer.headers["content-type"], "application/jsonl");
    assert_eq!(answer.text, "{}\n");
    assert_eq!(world.get("/v1/clusters/web/audit-log?follow=true").await.ok().text, "{\"followed\":true}\n");
    assert_eq!(world.get("/v1/clusters/none/audit-log").await.problem(404).0, "notFound");
}
