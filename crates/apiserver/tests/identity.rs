//! Who comes in by headers of a front proxy, and what the audit log says of it.

use std::sync::Arc;

use bytes::Bytes;
use drydock_apiserver::audit::{AuditLog, Limits};
use drydock_apiserver::{Access, ApiServer, Config, Identity, testing};
use drydock_auth::audit::Policy;
use drydock_auth::pki::ClusterPki;
use drydock_auth::tokens::{SigningKey, TokenAuthority, TokenConfig};
use drydock_auth::{Authenticator, Authorizer, UserInfo};
use drydock_machinery::{Value, value};
use drydock_runtime::{Clock, Tasks};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;

struct Fixture {
    folder: tempfile::TempDir,
    tasks: Tasks,
    server: ApiServer,
    pki: ClusterPki,
}

async fn start() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::new("test", Clock::real());
    let pki = ClusterPki::generate(SigningKey::generate_ecdsa().unwrap()).unwrap();
    let tokens = TokenAuthority::new(TokenConfig::default(), vec![SigningKey::generate_ecdsa().unwrap()]);
    let authenticator =
        Authenticator::new(Arc::new(tokens)).with_front_proxy(pki.front_proxy.certificate_der().to_vec());
    let identity = Arc::new(Identity::new(Arc::new(authenticator)));
    let store = Arc::new(drydock_store::memory::MemoryStore::new());
    let server = ApiServer::start(Config {
        authenticator: identity.clone(),
        tokens: identity,
        authorizer: Arc::new(Access::new(Arc::new(Authorizer::new()))),
        audit_log: Some(AuditLog { file: folder.path().join("audit.log"), limits: Limits::default() }),
        ..testing::open_config(store, tasks.clone(), Clock::real())
    });
    let server = server.await.unwrap();
    server.set_ready();
    Fixture { folder, tasks, server, pki }
}

impl Fixture {
    /// Sends a request over a connection of its own with a client certificate, as TLS would have verified it.
    async fn send(
        &self,
        certificate: Vec<u8>,
        request: http::request::Builder,
        body: &str,
    ) -> (StatusCode, Value) {
        let (client, served) = tokio::io::duplex(64 * 1024);
        let server = self.server.clone();
        let chain = vec![CertificateDer::from(certificate)];
        self.tasks.spawn("connection", async move {
            server.serve_connection(served, chain, Some([192, 0, 2, 7].into())).await;
        });
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(client)).await.unwrap();
        self.tasks.spawn("client", async move { drop(connection.await) });
        let request = request.header("host", "test").header("content-type", "application/json");
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, Value::from_json(&body).unwrap_or_default())
    }

    fn front_proxy(&self) -> Vec<u8> {
        self.pki.issue_front_proxy_client().unwrap().certificate_der().unwrap()
    }

    fn events(&self) -> Vec<Value> {
        let log = std::fs::read_to_string(self.folder.path().join("audit.log")).unwrap();
        log.lines().map(|line| Value::from_json(line.as_bytes()).unwrap()).collect()
    }
}

const WHO: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

fn who() -> http::request::Builder {
    who_at(Request::post(WHO))
}

fn who_at(request: http::request::Builder) -> http::request::Builder {
    request.header("x-remote-user", "ann").header("x-remote-group", "system:masters")
}

#[tokio::test]
async fn a_front_proxy_says_who_asks_and_nobody_else_does() {
    let f = start().await;
    let review = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#;
    let request = who().header("X-Remote-Extra-Example.com%2fteam", "blue").header("x-remote-uid", "7");
    let (status, answer) = f.send(f.front_proxy(), request, review).await;
    assert_eq!(status, StatusCode::CREATED, "{answer:?}");
    let user = UserInfo::from_value(answer.at(&["status", "userInfo"]).unwrap(), "username");
    assert_eq!((user.name.as_str(), user.uid.as_str()), ("ann", "7"));
    assert_eq!(user.groups, ["system:masters", "system:authenticated"]);
    assert_eq!(user.extra["example.com/team"], ["blue"]);

    // A user's certificate is the user's, whatever the headers say.
    let hour = std::time::Duration::from_secs(3600);
    let bob =
        f.pki.cluster.issue_client("bob", &["system:masters"], hour).unwrap().certificate_der().unwrap();
    let (_, answer) = f.send(bob, who(), review).await;
    assert_eq!(answer.str_at(&["status", "userInfo", "username"]), "bob");
    // Nor is a proxy somebody itself, or any certificate of its authority a proxy's.
    assert_eq!(f.send(f.front_proxy(), Request::post(WHO), review).await.0, StatusCode::UNAUTHORIZED);
    let other = f.pki.front_proxy.issue_client("other", &[], hour).unwrap().certificate_der().unwrap();
    assert_eq!(f.send(other, who(), review).await.0, StatusCode::UNAUTHORIZED);
    f.tasks.close().await;
}

#[tokio::test]
async fn an_event_has_the_requests_audit_id_and_where_it_came_from() {
    let f = start().await;
    f.server.set_audit_policy(Some(
        Policy::parse(
            &value!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "Metadata"}]}),
        )
        .unwrap(),
    ));
    let request = Request::get("/api/v1/namespaces/a/pods?limit=1")
        .header("x-remote-user", "ann")
        .header("audit-id", "my-id")
        .header("x-forwarded-for", "198.51.100.1, 203.0.113.2")
        .header("user-agent", "x".repeat(2000));
    assert_eq!(f.send(f.front_proxy(), request, "").await.0, StatusCode::FORBIDDEN);
    f.tasks.close().await;
    let events = f.events();
    let stages: Vec<&str> = events.iter().map(|event| event.str_at(&["stage"])).collect();
    assert_eq!(stages, ["RequestReceived", "ResponseComplete"]);
    let last = &events[1];
    assert_eq!(last.str_at(&["auditID"]), "my-id");
    assert_eq!(last.str_at(&["requestURI"]), "/api/v1/namespaces/a/pods?limit=1");
    assert_eq!(last.at(&["sourceIPs"]).unwrap(), &value!(["198.51.100.1", "203.0.113.2", "192.0.2.7"]));
    assert_eq!(last.str_at(&["userAgent"]), format!("{}...TRUNCATED", "x".repeat(1024)));
    assert_eq!(last.str_at(&["annotations", "authorization.k8s.io/decision"]), "forbid");
    assert_eq!(last.i64_at(&["responseStatus", "code"]), Some(403));
    assert_eq!(last.str_at(&["requestReceivedTimestamp"]).len(), "2026-01-01T00:00:00.000000Z".len());
}

#[tokio::test]
async fn a_write_that_creates_needs_the_right_to_create() {
    let f = start().await;
    let rbac =
        |resource: &str| who_at(Request::post(format!("/apis/rbac.authorization.k8s.io/v1/{resource}")));
    let role = r#"{"metadata": {"name": "writer"}, "rules": [{"apiGroups": ["", "coordination.k8s.io"],
        "resources": ["configmaps", "leases"], "verbs": ["update", "patch"]}]}"#;
    let binding = r#"{"metadata": {"name": "writer"}, "subjects": [{"kind": "User", "name": "bob"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "writer"}}"#;
    for (resource, body) in [("clusterroles", role), ("clusterrolebindings", binding)] {
        let (status, answer) = f.send(f.front_proxy(), rbac(resource), body).await;
        assert_eq!(status, StatusCode::CREATED, "{answer:?}");
    }
    let refused = async |request: http::request::Builder, body: &str, expected: &str| {
        let request = request.header("x-remote-user", "bob");
        let (status, answer) = f.send(f.front_proxy(), request, body).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{answer:?}");
        assert_eq!(answer.str_at(&["message"]), expected);
    };
    refused(
        Request::patch("/api/v1/namespaces/a/configmaps/c?fieldManager=t")
            .header("content-type", "application/apply-patch+yaml"),
        r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}"#,
        "configmaps \"c\" is forbidden: User \"bob\" cannot create resource \"configmaps\" in API group \"\" in the \
         namespace \"a\"",
    )
    .await;
    refused(
        Request::put("/apis/coordination.k8s.io/v1/namespaces/a/leases/l"),
        r#"{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}}"#,
        "leases.coordination.k8s.io \"l\" is forbidden: User \"bob\" cannot create resource \"leases\" in API group \
         \"coordination.k8s.io\" in the namespace \"a\"",
    )
    .await;
    // It is asked of what could be created.
    let request =
        Request::put("/apis/coordination.k8s.io/v1/namespaces/a/leases/l").header("x-remote-user", "bob");
    let invalid = r#"{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"},
        "spec": {"leaseDurationSeconds": 0}}"#;
    assert_eq!(f.send(f.front_proxy(), request, invalid).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    // The old paths of watches are no way around either.
    let deleted = who_at(Request::delete("/api/v1/watch/namespaces/a/configmaps/c"));
    assert_eq!(f.send(f.front_proxy(), deleted, "").await.0, StatusCode::METHOD_NOT_ALLOWED);
    f.tasks.close().await;
}
