//! The audit log: what real clients did, as upstream writes it down.

mod common;

use std::io::BufRead as _;
use std::process::{Command, Stdio};

use common::{Service, eventually};
use serde_json::{Value, json};

const POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  resources: [{group: coordination.k8s.io, resources: [leases]}]
- level: Metadata
  resources: [{resources: [secrets]}]
- level: RequestResponse
  omitManagedFields: true
  resources: [{resources: [configmaps, namespaces]}]
- level: Request
  resources: [{resources: [pods]}]
- level: Metadata
";

fn events(service: &Service, cluster: &str) -> Vec<Value> {
    let log = service.ok(&["cluster", "audit-log", cluster]);
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The events that have all these values, once there are any.
#[track_caller]
fn wait_for(service: &Service, cluster: &str, wanted: &[(&str, Value)]) -> Vec<Value> {
    eventually(&format!("an event with {wanted:?}"), || {
        let all = events(service, cluster);
        let fits = |event: &&Value| wanted.iter().all(|(path, value)| event.pointer(path) == Some(value));
        let found: Vec<Value> = all.iter().filter(fits).cloned().collect();
        if found.is_empty() { Err(format!("{} others", all.len())) } else { Ok(found) }
    })
}

#[test]
fn requests_are_written_down_as_the_policy_says() {
    let service = Service::start();
    let policy = service.path("policy.yaml");
    std::fs::write(&policy, POLICY).unwrap();
    let policy = policy.to_string_lossy().into_owned();
    service.ok(&["cluster", "create", "audited", "--audit-policy", &policy, "--wait"]);
    let kubectl = service.kubectl("audited");
    let find = |wanted: &[(&str, Value)]| wait_for(&service, "audited", wanted).remove(0);
    let about = |verb: &str, resource: &str, name: &str| {
        find(&[
            ("/verb", verb.into()),
            ("/objectRef/resource", resource.into()),
            ("/objectRef/name", name.into()),
            ("/user/username", "kubernetes-admin".into()),
        ])
    };

    kubectl.feed(&["create"], "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b}\n");
    let created = about("create", "configmaps", "c");
    assert_eq!(created["kind"], "Event");
    assert_eq!(created["apiVersion"], "audit.k8s.io/v1");
    assert_eq!(
        (&created["level"], &created["stage"]),
        (&json!("RequestResponse"), &json!("ResponseComplete"))
    );
    assert_eq!(created["user"]["groups"], json!(["system:masters", "system:authenticated"]));
    assert_eq!(created["sourceIPs"], json!(["127.0.0.1"]));
    assert!(created["userAgent"].as_str().unwrap().starts_with("kubectl/"));
    assert!(created["requestURI"].as_str().unwrap().starts_with("/api/v1/namespaces/default/configmaps?"));
    let object = json!({"resource": "configmaps", "namespace": "default", "name": "c", "apiVersion": "v1"});
    assert_eq!(created["objectRef"], object);
    assert_eq!(created["responseStatus"], json!({"metadata": {}, "code": 201}));
    assert_eq!(created["requestObject"]["data"], json!({"a": "b"}));
    assert_eq!(created["responseObject"]["metadata"]["name"], "c");
    assert!(created["responseObject"]["metadata"].get("managedFields").is_none());
    assert_eq!(created["annotations"]["authorization.k8s.io/decision"], "allow");
    assert_eq!(created["auditID"].as_str().unwrap().len(), 36);

    kubectl.ok(&["create", "secret", "generic", "s", "--from-literal=a=b"]);
    let secret = about("create", "secrets", "s");
    assert!(secret.get("requestObject").is_none() && secret.get("responseObject").is_none());

    // Failures say what was answered.
    kubectl.fails(&["get", "configmap", "none"]);
    let missing = about("get", "configmaps", "none");
    let status = &missing["responseStatus"];
    assert_eq!((&status["code"], &status["reason"]), (&json!(404), &json!("NotFound")));
    assert_eq!(status["message"], "configmaps \"none\" not found");

    // Who acts as somebody else is both.
    kubectl.fails(&["--as", "ann", "--as-group", "devs", "get", "secrets"]);
    let acted = find(&[("/impersonatedUser/username", "ann".into()), ("/responseStatus/code", 403.into())]);
    assert_eq!(acted["user"]["username"], "kubernetes-admin");
    assert_eq!(acted["impersonatedUser"]["groups"], json!(["devs", "system:authenticated"]));
    assert_eq!(acted["annotations"]["authorization.k8s.io/decision"], "forbid");

    // What lasts is written down twice.
    kubectl.output(&["get", "configmaps", "--watch-only", "--request-timeout=1s"]);
    let watch = [("/verb", json!("watch")), ("/user/username", "kubernetes-admin".into())];
    let stage = |stage: &str| [&watch[..], &[("/stage", stage.into())]].concat();
    let started = find(&stage("ResponseStarted"));
    assert_eq!(find(&stage("ResponseComplete"))["auditID"], started["auditID"]);

    // The cluster's own components are clients like others.
    kubectl.ok(&["create", "namespace", "team"]);
    let account = json!("system:serviceaccount:kube-system:service-account-controller");
    find(&[("/user/username", account), ("/objectRef/namespace", "team".into()), ("/verb", "create".into())]);

    // What pod security enforced, and what it would have.
    let audit = "pod-security.kubernetes.io";
    kubectl.ok(&["label", "namespace", "team", &format!("{audit}/audit=baseline")]);
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: team}\n\
        spec: {hostNetwork: true, containers: [{name: c, image: i}]}\n";
    kubectl.feed(&["create"], pod);
    let pod = about("create", "pods", "p");
    assert_eq!(pod["annotations"][format!("{audit}/enforce-policy")], "privileged:latest");
    let violations = pod["annotations"][format!("{audit}/audit-violations")].as_str().unwrap();
    assert!(
        violations.starts_with("would violate PodSecurity \"baseline:latest\": host namespaces"),
        "{violations}"
    );
    assert!(pod.get("requestObject").is_some() && pod.get("responseObject").is_none());

    assert!(events(&service, "audited").iter().all(|event| event["objectRef"]["resource"] != "leases"));
    let metrics = kubectl.ok(&["get", "--raw", "/metrics"]);
    assert!(metrics.contains("apiserver_audit_error_total{plugin=\"log\"} 0\n"), "{metrics}");
}

#[test]
fn bad_credentials_are_written_down_without_a_user() {
    let service = Service::start();
    let policy = service.path("policy.yaml");
    std::fs::write(&policy, POLICY).unwrap();
    service.cluster("a", 0);
    service.ok(&["cluster", "update", "a", "--audit-policy", &policy.to_string_lossy()]);
    let shown: Value = serde_json::from_str(&service.ok(&["cluster", "get", "a", "-o", "json"])).unwrap();
    let none = service.path("none");
    std::fs::write(&none, "").unwrap();
    std::fs::write(service.path("ca.pem"), shown["certificateAuthority"].as_str().unwrap()).unwrap();
    let refused = Command::new(common::tool("DRYDOCK_TEST_KUBECTL", "kubectl"))
        .arg("--kubeconfig")
        .arg(&none)
        .args([
            "--server",
            shown["endpoint"].as_str().unwrap(),
            "--token",
            "wrong",
            "--certificate-authority",
        ])
        .arg(service.path("ca.pem"))
        .args(["get", "--raw", "/api/v1/namespaces"])
        .output()
        .unwrap();
    assert!(!refused.status.success());
    let event = wait_for(&service, "a", &[("/responseStatus/code", 401.into())]).remove(0);
    assert_eq!((&event["user"], &event["stage"]), (&json!({}), &json!("ResponseStarted")));
    assert_eq!(event["responseStatus"]["message"], "Authentication failed, attempted: bearer");
}

#[test]
fn the_log_is_followed_and_ends_when_there_is_no_policy() {
    let service = Service::start();
    let policy = service.path("policy.yaml");
    std::fs::write(&policy, POLICY).unwrap();
    let kubectl = service.cluster("f", 0);
    assert_eq!(service.ok(&["cluster", "audit-log", "f"]), "");
    service.ok(&["cluster", "update", "f", "--audit-policy", &policy.to_string_lossy()]);
    let mut follow = Command::new(common::binary())
        .args(["cluster", "audit-log", "f", "--follow"])
        .env("DRYDOCK_SERVER", &service.url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    kubectl.ok(&["create", "configmap", "late"]);
    let lines = std::io::BufReader::new(follow.stdout.take().unwrap()).lines();
    let found = lines.map_while(Result::ok).find(|line| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["verb"] == "create" && event["objectRef"]["name"] == "late"
    });
    assert!(found.is_some());
    follow.kill().unwrap();
    follow.wait().unwrap();

    service.ok(&["cluster", "update", "f", "--unset", "audit-policy"]);
    kubectl.ok(&["create", "configmap", "unseen"]);
    service.ok(&["cluster", "update", "f", "--audit-policy", &policy.to_string_lossy()]);
    kubectl.ok(&["create", "configmap", "seen"]);
    wait_for(&service, "f", &[("/objectRef/name", "seen".into())]);
    assert!(events(&service, "f").iter().all(|event| event["objectRef"]["name"] != "unseen"));
}
