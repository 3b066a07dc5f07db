//! An API service that another server answers for: a real one, over TLS, which looks at who asks.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use drydock_apiserver::{ApiServer, FrontProxy, testing};
use drydock_auth::pki::Authority;
use drydock_machinery::{Value, value};
use drydock_runtime::{Clock, Tasks};
use drydock_store::memory::MemoryStore;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const DAY: Duration = Duration::from_secs(24 * 3600);

struct Fixture {
    address: std::net::SocketAddr,
    tasks: Tasks,
    /// Of the extension server; closing it stops the server.
    extension: Tasks,
    port: u16,
    ca: Authority,
}

fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().unwrap()
}

/// Says what it was asked, by whom.
async fn answer(mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    if request.headers().contains_key("upgrade") {
        let upgrade = hyper::upgrade::on(&mut request);
        let echo = async move {
            let (mut read, mut write) = tokio::io::split(TokioIo::new(upgrade.await.unwrap()));
            let _ = tokio::io::copy(&mut read, &mut write).await;
        };
        #[expect(clippy::disallowed_methods, reason = "a server of a test's own")]
        tokio::spawn(echo);
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        answer.headers_mut().insert("connection", "Upgrade".parse().unwrap());
        answer.headers_mut().insert("upgrade", "echo".parse().unwrap());
        return answer;
    }
    let path = request.uri().path().to_owned();
    let headers = request.headers().clone();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let header = |name: &str| {
        let all = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        all.collect::<Vec<_>>().join(",")
    };
    let value = match path.as_str() {
        "/apis/ext.example.com/v1" => value!({"kind": "APIResourceList", "apiVersion": "v1",
        "groupVersion": "ext.example.com/v1", "resources": [
            {"name": "things", "singularName": "thing", "namespaced": true, "kind": "Thing", "verbs": ["get", "list"]},
            {"name": "things/status", "singularName": "", "namespaced": true, "kind": "Thing", "verbs": ["get"]},
        ]}),
        "/openapi/v3" => value!({"paths": {"apis/ext.example.com/v1":
            {"serverRelativeURL": "/openapi/v3/apis/ext.example.com/v1?hash=ABC"}}}),
        "/openapi/v2" => value!({
            "paths": {"/apis/ext.example.com/v1/things": {"get": {"responses": {"200": {"schema":
                {"$ref": "#/definitions/com.example.Thing"}}}}}, "/version/": {"get": {}}},
            "definitions": {"com.example.Thing": {"type": "object"}, "com.example.Other": {}},
        }),
        "/apis/ext.example.com/v1/elsewhere" => {
            *answer.status_mut() = StatusCode::FOUND;
            answer.headers_mut().insert("location", "https://example.com/".parse().unwrap());
            Value::Null
        }
        path => value!({"path": path, "user": header("x-remote-user"), "groups": header("x-remote-group"),
            "authorization": header("authorization"), "from": header("x-forwarded-for"), "body": String::from_utf8_lossy(&body).into_owned()}),
    };
    *answer.body_mut() = Full::new(value.to_json().into());
    answer
}

async fn start_extension(front_proxy: &Authority, ca: &Authority, tasks: &Tasks) -> u16 {
    let issued = ca.issue_server("ext", &["ext.default.svc".to_owned()]).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(front_proxy.certificate_der().to_vec())).unwrap();
    // Without a certificate of the front proxy nobody gets in.
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(&issued.certificate_pem), key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("localhost:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let of = tasks.clone();
    tasks.spawn("extension", async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            of.spawn("extension-connection", async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(|request| async { Ok::<_, Infallible>(answer(request).await) });
                let server = hyper::server::conn::http1::Builder::new();
                let _ = server.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
            });
        }
    });
    port
}

async fn start() -> Fixture {
    let clock = Clock::real();
    let tasks = Tasks::new("test", clock.clone());
    let extension = tasks.child("extension", clock.clone());
    let (front_proxy, ca) =
        (Authority::generate("front-proxy").unwrap(), Authority::generate("ext").unwrap());
    let port = start_extension(&front_proxy, &ca, &extension).await;
    let issued = front_proxy.issue_client("front-proxy-client", &[], DAY).unwrap();
    let mut config = testing::open_config(Arc::new(MemoryStore::new()), tasks.clone(), clock);
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
    let chain = certificates(&issued.certificate_pem);
    let builder = rustls::ClientConfig::builder();
    let certified = CertifiedKey::from_der(chain, key, builder.crypto_provider()).unwrap();
    config.front_proxy = Some(FrontProxy { certificate: Arc::new(SingleCertAndKey::from(certified)) });
    let server = ApiServer::start(config).await.unwrap();
    server.set_ready();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn("listener", async move { server.serve(listener, None).await });
    Fixture { address, tasks, extension, port, ca }
}

impl Fixture {
    async fn send(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        self.tasks.spawn("client", async move {
            let _ = connection.with_upgrades().await;
        });
        sender.send_request(request).await.unwrap()
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let bytes = body.map(|body| body.to_json()).unwrap_or_default();
        let request = Request::builder().method(method).uri(path).header("host", "api");
        let request = request.header("authorization", "Bearer secret").header("x-remote-user", "impostor");
        let response = self.send(request.body(Full::new(Bytes::from(bytes))).unwrap()).await;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = || Value::from(String::from_utf8_lossy(&bytes).into_owned());
        (code, Value::from_json(&bytes).unwrap_or_else(|_| text()))
    }

    /// Registers the group with the given certificate authority.
    async fn register(&self, ca: &str) {
        let service = value!({"metadata": {"name": "ext"}, "spec": {"type": "ExternalName", "externalName": "localhost"}});
        self.call(Method::POST, "/api/v1/namespaces/default/services", Some(service)).await;
        let bundle = base64::engine::general_purpose::STANDARD.encode(ca);
        let service = value!({"metadata": {"name": "v1.ext.example.com"}, "spec": {
            "group": "ext.example.com", "version": "v1", "groupPriorityMinimum": 17750, "versionPriority": 15,
            "service": {"namespace": "default", "name": "ext", "port": i64::from(self.port)}, "caBundle": bundle,
        }});
        let (code, made) = self.call(Method::POST, SERVICES, Some(service)).await;
        assert_eq!(code, 201, "{made:?}");
    }

    /// Waits for the condition to have this reason, and answers its message.
    async fn until(&self, reason: &str) -> String {
        loop {
            let (_, service) = self.call(Method::GET, &format!("{SERVICES}/v1.ext.example.com"), None).await;
            let condition = service.array_at(&["status", "conditions"]).first().cloned().unwrap_or_default();
            if condition.str_at(&["reason"]) == reason {
                return condition.str_at(&["message"]).to_owned();
            }
            drydock_runtime::wall::sleep(Duration::from_millis(10)).await;
        }
    }
}

const SERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
const THINGS: &str = "/apis/ext.example.com/v1/namespaces/default/things";

#[tokio::test]
async fn an_extension_server_answers_for_its_group_until_it_is_gone() {
    let f = start().await;
    f.register(&f.ca.certificate_pem()).await;
    assert_eq!(f.until("Passed").await, "all checks passed");

    let body = value!({"kind": "Thing"});
    let (code, answer) = f.call(Method::POST, &format!("{THINGS}?x=1"), Some(body)).await;
    assert_eq!((code, answer.str_at(&["path"])), (200, THINGS));
    assert_eq!((answer.str_at(&["user"]), answer.str_at(&["authorization"])), ("admin", ""));
    assert_eq!(answer.str_at(&["from"]), "127.0.0.1");
    assert_eq!(answer.str_at(&["groups"]), "system:masters,system:authenticated");
    assert_eq!(answer.str_at(&["body"]), "{\"kind\":\"Thing\"}");
    let (code, text) = f.call(Method::GET, "/apis/ext.example.com/v1/elsewhere", None).await;
    let refused = "the backend attempted to redirect this request, which is not permitted";
    assert_eq!((code, text.as_str()), (502, Some(refused)));

    let (_, groups) = f.call(Method::GET, "/apis", None).await;
    let names: Vec<&str> = groups.array_at(&["groups"]).iter().map(|group| group.str_at(&["name"])).collect();
    let at = names.iter().position(|name| *name == "ext.example.com").unwrap();
    assert!(at < names.len() - 1 && names.contains(&"apps"), "{names:?}");
    let (_, group) = f.call(Method::GET, "/apis/ext.example.com", None).await;
    assert_eq!(group.str_at(&["preferredVersion", "groupVersion"]), "ext.example.com/v1");
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let request = Request::get("/apis").header("accept", accept).body(Full::default()).unwrap();
    let document = f.send(request).await.into_body().collect().await.unwrap().to_bytes();
    let document = Value::from_json(&document).unwrap();
    let mut items = document.array_at(&["items"]).iter();
    let item = items.find(|item| item.str_at(&["metadata", "name"]) == "ext.example.com").unwrap();
    let version = &item.array_at(&["versions"])[0];
    assert_eq!(version.str_at(&["freshness"]), "Current");
    let resource = &version.array_at(&["resources"])[0];
    assert_eq!((resource.str_at(&["resource"]), resource.str_at(&["scope"])), ("things", "Namespaced"));
    assert_eq!(resource.array_at(&["subresources"])[0].str_at(&["subresource"]), "status");
    let (_, index) = f.call(Method::GET, "/openapi/v3", None).await;
    let url = index.str_at(&["paths", "apis/ext.example.com/v1", "serverRelativeURL"]);
    assert_eq!(url, "/openapi/v3/apis/ext.example.com/v1?hash=ABC");
    let (_, swagger) = f.call(Method::GET, "/openapi/v2", None).await;
    assert!(swagger.at(&["paths", "/apis/ext.example.com/v1/things"]).is_some());
    assert!(swagger.at(&["paths", "/api/v1/pods"]).is_some());
    let definition = |name: &str| swagger.at(&["definitions", name]).cloned();
    assert_eq!(definition("com.example.Thing"), Some(value!({"type": "object"})));
    assert_eq!(definition("com.example.Other"), None);

    f.extension.close().await;
    let service = value!({"metadata": {"labels": {"poke": "1"}}});
    let patch = Request::patch(format!("{SERVICES}/v1.ext.example.com"))
        .header("content-type", "application/merge-patch+json")
        .body(Full::new(Bytes::from(service.to_json())));
    assert_eq!(f.send(patch.unwrap()).await.status(), StatusCode::OK);
    let message = f.until("FailedDiscoveryCheck").await;
    assert!(message.starts_with("failing or missing response from https://localhost:"), "{message}");
    assert!(message.ends_with("connect: connection refused"), "{message}");
    let (code, text) = f.call(Method::GET, THINGS, None).await;
    assert_eq!((code, text.as_str()), (503, Some("service unavailable\n")));
    f.tasks.close().await;
}

#[tokio::test]
async fn upgrades_go_through_and_strangers_are_not_trusted() {
    let f = start().await;
    f.register(&f.ca.certificate_pem()).await;
    f.until("Passed").await;
    let request = Request::get(THINGS).header("host", "api").header("connection", "Upgrade");
    let request = request.header("upgrade", "echo").body(Full::default()).unwrap();
    let response = f.send(request).await;
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    stream.write_all(b"ping").await.unwrap();
    let mut echoed = [0; 4];
    stream.read_exact(&mut echoed).await.unwrap();
    assert_eq!(&echoed, b"ping");
    drop(stream);

    f.call(Method::DELETE, &format!("{SERVICES}/v1.ext.example.com"), None).await;
    let (code, _) = f.call(Method::GET, THINGS, None).await;
    assert_eq!(code, 404);
    f.register(&Authority::generate("other").unwrap().certificate_pem()).await;
    let message = f.until("FailedDiscoveryCheck").await;
    assert!(message.ends_with("x509: certificate signed by unknown authority"), "{message}");
    f.tasks.close().await;
}

#[tokio::test]
async fn a_service_that_is_not_there_is_said_to_be() {
    let f = start().await;
    let service = value!({"metadata": {"name": "v1.ext.example.com"}, "spec": {
        "group": "ext.example.com", "version": "v1", "groupPriorityMinimum": 1, "versionPriority": 1,
        "service": {"namespace": "default", "name": "none"}, "insecureSkipTLSVerify": true,
    }});
    f.call(Method::POST, SERVICES, Some(service)).await;
    assert_eq!(f.until("ServiceNotFound").await, "service/none in \"default\" is not present");
    let service = value!({"metadata": {"name": "none"}, "spec": {"ports": [{"port": 80}]}});
    f.call(Method::POST, "/api/v1/namespaces/default/services", Some(service.clone())).await;
    let message = f.until("ServicePortError").await;
    assert_eq!(message, "service/none in \"default\" is not listening on port 443");
    f.tasks.close().await;
}
