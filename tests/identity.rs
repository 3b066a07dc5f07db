//! Who may come in and what they may do, by a cluster's settings: real kubectl, a real issuer of tokens that changes its
//! keys, real webhooks.

mod common;

use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::tls_server::TlsServer;
use common::{Service, text};
use drydock_auth::tokens::SigningKey;
use drydock_runtime::wall;
use serde_json::{Value, json};

/// kubectl without any credentials but those of the arguments.
struct Bare {
    folder: tempfile::TempDir,
    server: String,
}

impl Bare {
    fn of(service: &Service, cluster: &str) -> Self {
        let shown = service.ok(&["cluster", "get", cluster, "-o", "json"]);
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), shown["certificateAuthority"].as_str().unwrap())
            .unwrap();
        std::fs::write(folder.path().join("none"), "").unwrap();
        Self { folder, server: shown["endpoint"].as_str().unwrap().to_owned() }
    }

    fn kubectl(&self, args: &[&str]) -> Output {
        let path = |name: &str| self.folder.path().join(name);
        let mut command = std::process::Command::new(common::tool("DRYDOCK_TEST_KUBECTL", "kubectl"));
        command.arg("--kubeconfig").arg(path("none")).arg("--server").arg(&self.server);
        command.arg("--certificate-authority").arg(path("ca.pem")).args(args);
        command.env("KUBECACHEDIR", path("cache")).output().expect("kubectl starts")
    }

    /// Who the server says that the token's holder is.
    fn whoami(&self, token: &str) -> Result<Value, String> {
        let output = self.kubectl(&["--token", token, "auth", "whoami", "-o", "json"]);
        if !output.status.success() {
            return Err(text(&output.stderr).trim().to_owned());
        }
        let review: Value = serde_json::from_slice(&output.stdout).unwrap();
        Ok(review["status"]["userInfo"].clone())
    }
}

const UNAUTHORIZED: &str = "error: You must be logged in to the server (Unauthorized)";

/// An issuer whose keys a test changes.
struct Issuer {
    server: TlsServer,
    keys: Arc<Mutex<Vec<SigningKey>>>,
    fetches: Arc<AtomicUsize>,
}

impl Issuer {
    fn start() -> Self {
        let keys: Arc<Mutex<Vec<SigningKey>>> = Arc::default();
        let fetches: Arc<AtomicUsize> = Arc::default();
        let (own, count) = (keys.clone(), fetches.clone());
        let url: Arc<Mutex<String>> = Arc::default();
        let own_url = url.clone();
        let server = TlsServer::start(move |path, _| {
            let url = own_url.lock().unwrap().clone();
            match path {
                "/.well-known/openid-configuration" => {
                    (200, json!({"issuer": url, "jwks_uri": format!("{url}/keys")}))
                }
                "/keys" => {
                    count.fetch_add(1, Ordering::SeqCst);
                    let keys: Vec<Value> = own
                        .lock()
                        .unwrap()
                        .iter()
                        .map(|key| serde_json::from_slice(&key.to_jwk().to_json()).unwrap())
                        .collect();
                    (200, json!({ "keys": keys }))
                }
                _ => (404, json!({})),
            }
        });
        server.url().clone_into(&mut url.lock().unwrap());
        Self { server, keys, fetches }
    }

    fn rotate(&self) -> SigningKey {
        let key = SigningKey::generate_ecdsa().unwrap();
        *self.keys.lock().unwrap() = vec![key.clone()];
        key
    }

    fn token(&self, key: &SigningKey, change: impl FnOnce(&mut Value)) -> String {
        let now = wall::now().as_second();
        let mut claims = json!({
            "iss": self.server.url(), "aud": ["kube"], "sub": "u-1", "iat": now, "exp": now + 600,
            "email": "ann@example.com", "teams": ["dev", "ops"], "tenant": "acme", "jti": "t-1",
        });
        change(&mut claims);
        key.sign(&claims).unwrap()
    }

    fn configuration(&self) -> Value {
        json!({
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "AuthenticationConfiguration",
            "jwt": [{
                "issuer": {
                    "url": self.server.url(), "audiences": ["kube"], "certificateAuthority": self.server.ca_pem(),
                },
                "claimValidationRules": [
                    {"claim": "tenant", "requiredValue": "acme"},
                    {"expression": "!claims.?banned.orValue(false)", "message": "is banned"},
                ],
                "claimMappings": {
                    "username": {"claim": "email", "prefix": "id:"},
                    "groups": {"expression": "claims.teams.map(team, 'id:' + team)"},
                    "uid": {"claim": "sub"},
                },
            }],
        })
    }
}

fn write(service: &Service, name: &str, document: &Value) -> String {
    let path = service.path(name);
    std::fs::write(&path, document.to_string()).unwrap();
    path.to_string_lossy().into_owned()
}

#[test]
fn an_issuers_tokens_are_users_until_its_keys_or_the_settings_change() {
    let service = Service::start();
    let issuer = Issuer::start();
    let first = issuer.rotate();
    let config = write(&service, "authn.yaml", &issuer.configuration());
    service.ok(&["cluster", "create", "id", "--authentication-config", &config, "--wait"]);
    let bare = Bare::of(&service, "id");

    let token = issuer.token(&first, |_| {});
    let ann = bare.whoami(&token).unwrap();
    assert_eq!(ann["username"], "id:ann@example.com");
    assert_eq!(ann["uid"], "u-1");
    assert_eq!(ann["groups"], json!(["id:dev", "id:ops", "system:authenticated"]));
    assert_eq!(ann["extra"]["authentication.kubernetes.io/credential-id"], json!(["JTI=t-1"]));
    let refused = bare.kubectl(&["--token", &token, "get", "pods"]);
    assert!(text(&refused.stderr).contains("User \"id:ann@example.com\" cannot list resource \"pods\""));

    let wrong = |change: fn(&mut Value)| bare.whoami(&issuer.token(&first, change)).unwrap_err();
    assert_eq!(wrong(|claims| claims["aud"] = json!("other")), UNAUTHORIZED);
    assert_eq!(wrong(|claims| claims["exp"] = json!(1)), UNAUTHORIZED);
    assert_eq!(wrong(|claims| claims["iss"] = json!("https://else.example")), UNAUTHORIZED);
    assert_eq!(wrong(|claims| claims["tenant"] = json!("other")), UNAUTHORIZED);
    assert_eq!(wrong(|claims| claims["banned"] = json!(true)), UNAUTHORIZED);
    assert_eq!(issuer.fetches.load(Ordering::SeqCst), 1, "known keys are not fetched again");

    let second = issuer.rotate();
    assert_eq!(bare.whoami(&issuer.token(&second, |_| {})).unwrap()["username"], "id:ann@example.com");
    assert_eq!(bare.whoami(&token).unwrap_err(), UNAUTHORIZED, "the old key is gone");

    // A review says why.
    let kubectl = service.kubectl("id");
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {
        "token": issuer.token(&second, |claims| claims["aud"] = json!("other"))}});
    let review = kubectl.feed(&["create", "-o", "jsonpath={.status.error}"], &review.to_string());
    assert!(review.contains("oidc: expected audience \"kube\" got [\"other\"]"), "{review}");

    service.ok(&["cluster", "update", "id", "--unset", "authentication-config"]);
    assert_eq!(bare.whoami(&issuer.token(&second, |_| {})).unwrap_err(), UNAUTHORIZED);
    let mut narrow = issuer.configuration();
    narrow["anonymous"] = json!({"enabled": true, "conditions": [{"path": "/livez"}]});
    let config = write(&service, "authn.yaml", &narrow);
    service.ok(&["cluster", "update", "id", "--authentication-config", &config]);
    assert!(bare.whoami(&issuer.token(&second, |_| {})).is_ok());
    // The server knows no passwords: whoever has one is as anonymous as without. kubectl would ask for it otherwise.
    let anonymous =
        |path: &str| bare.kubectl(&["--username", "nobody", "--password", "none", "get", "--raw", path]);
    assert_eq!(text(&anonymous("/livez").stdout), "ok");
    let refused = anonymous("/version");
    assert!(text(&refused.stderr).contains("Unauthorized"), "{}", text(&refused.stderr));
}

#[test]
fn settings_that_make_no_sense_are_refused_by_their_fields() {
    let service = Service::start();
    let mut config = Issuer::start().configuration();
    config["jwt"][0]["issuer"]["url"] = "http://id.example".into();
    config["jwt"][0]["claimMappings"]["uid"] = json!({"expression": "claims.sub ++"});
    let config = write(&service, "authn.yaml", &config);
    let refused = service.drydock(&["cluster", "create", "bad", "--authentication-config", &config]);
    assert_eq!(refused.status.code(), Some(4));
    let said = text(&refused.stderr);
    for finding in [
        "authenticationConfiguration.jwt[0].issuer.url: Invalid value: \"http://id.example\": URL scheme must be https",
        "authenticationConfiguration.jwt[0].claimMappings.uid.expression: Invalid value: \"claims.sub ++\": compilation failed",
    ] {
        assert!(said.contains(finding), "{said}");
    }
}

/// A kubeconfig whose certificate is in a file, as upstream's flags take it.
fn webhook_kubeconfig(service: &Service, server: &TlsServer, path: &str) -> String {
    std::fs::write(service.path("webhook-ca.pem"), server.ca_pem()).unwrap();
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "webhook",
        "clusters": [{"name": "webhook", "cluster": {
            "server": format!("{}{path}", server.url()), "certificate-authority": "webhook-ca.pem"}}],
        "users": [{"name": "webhook", "user": {"token": "s3cret"}}],
        "contexts": [{"name": "webhook", "context": {"cluster": "webhook", "user": "webhook"}}],
    });
    write(service, &format!("{}.kubeconfig", path.trim_start_matches('/')), &config)
}

#[test]
fn webhooks_are_asked_about_tokens_and_requests() {
    let service = Service::start();
    let asked: Arc<Mutex<Vec<Value>>> = Arc::default();
    let seen = asked.clone();
    let server = TlsServer::start(move |path, review| {
        let spec = review["spec"].clone();
        seen.lock().unwrap().push(review);
        match path {
            "/tokens" if spec["token"] == "bobs" => (
                201,
                json!({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "status": {
                    "authenticated": true, "user": {"username": "bob", "groups": ["hooked"]}}}),
            ),
            "/tokens" => (201, json!({"status": {"authenticated": false}})),
            "/access" if spec["user"] != "bob" => (404, json!({})),
            "/access" => match spec["resourceAttributes"]["resource"].as_str() {
                Some("configmaps") => (200, json!({"status": {"allowed": true, "reason": "bob likes them"}})),
                Some("secrets") => {
                    (200, json!({"status": {"allowed": false, "denied": true, "reason": "not bob"}}))
                }
                Some("services") => (404, json!({})),
                _ => (200, json!({"status": {"allowed": false}})),
            },
            _ => (404, json!({})),
        }
    });
    let tokens = webhook_kubeconfig(&service, &server, "/tokens");
    let access = webhook_kubeconfig(&service, &server, "/access");
    let authorization = json!({
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthorizationConfiguration",
        "authorizers": [
            {"type": "Node", "name": "node"},
            {"type": "RBAC", "name": "rbac"},
            {"type": "Webhook", "name": "access", "webhook": {
                "timeout": "3s", "authorizedTTL": "5m", "unauthorizedTTL": "5m", "failurePolicy": "NoOpinion",
                "subjectAccessReviewVersion": "v1", "matchConditionSubjectAccessReviewVersion": "v1",
                "matchConditions": [{"expression": "has(request.resourceAttributes) && request.user == 'bob'"}],
                "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": access},
            }},
        ],
    });
    let authorization = write(&service, "authz.yaml", &authorization);
    service.ok(&[
        "cluster",
        "create",
        "hooked",
        "--token-webhook",
        &tokens,
        "--authorization-config",
        &authorization,
        "--wait",
    ]);
    let bare = Bare::of(&service, "hooked");

    let bob = bare.whoami("bobs").unwrap();
    assert_eq!(
        (&bob["username"], &bob["groups"]),
        (&json!("bob"), &json!(["hooked", "system:authenticated"]))
    );
    assert_eq!(bare.whoami("anns").unwrap_err(), UNAUTHORIZED);
    let about = |path: &str| {
        let asked = asked.lock().unwrap();
        asked.iter().filter(|review| review["kind"] == path).cloned().collect::<Vec<_>>()
    };
    let reviews = about("TokenReview");
    assert_eq!(reviews.len(), 2, "answers are remembered: {reviews:?}");
    assert_eq!(reviews[0]["spec"]["audiences"], json!(["https://kubernetes.default.svc"]));

    let get = |what: &str| bare.kubectl(&["--token", "bobs", "get", what, "-n", "default"]);
    assert!(get("configmaps").status.success());
    assert!(get("configmaps").status.success());
    let lists = about("SubjectAccessReview");
    let lists: Vec<_> = lists
        .iter()
        .filter(|review| review["spec"]["resourceAttributes"]["resource"] == "configmaps")
        .collect();
    assert_eq!(lists.len(), 1, "answers are remembered: {lists:?}");
    let wanted = json!({
        "user": "bob", "groups": ["hooked", "system:authenticated"],
        "resourceAttributes": {"namespace": "default", "verb": "list", "version": "v1", "resource": "configmaps"},
    });
    assert_eq!(lists[0]["spec"], wanted);
    let denied = text(&get("secrets").stderr);
    assert!(denied.contains("in the namespace \"default\": not bob"), "{denied}");
    assert!(text(&get("pods").stderr).contains("Forbidden"));
    let failed = text(&get("services").stderr);
    assert!(failed.contains("InternalError") && failed.contains("404"), "{failed}");

    // Secrets are not shown again.
    let shown = service.ok(&["cluster", "get", "hooked", "-o", "json"]);
    assert!(shown.contains("REDACTED") && !shown.contains("s3cret"), "{shown}");
}
