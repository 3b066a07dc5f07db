//! Groups that an issuer's tokens leave to another server: OpenID Connect's distributed claims, over TLS.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use drydock_apiserver::{ApiServer, Config, Identity, testing};
use drydock_auth::Authenticator;
use drydock_auth::config::AuthenticationConfiguration;
use drydock_auth::pki::Authority;
use drydock_auth::tokens::{SigningKey, TokenAuthority, TokenConfig};
use drydock_machinery::{Value, value};
use drydock_runtime::{Clock, Tasks};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::net::TcpListener;

const NEVER: i64 = 4_000_000_000;

/// A server that issues tokens, and answers one about whoever shows it `secret`.
struct Server {
    url: String,
    key: SigningKey,
    groups: &'static str,
}

impl Server {
    fn answer(&self, request: &Request<Incoming>) -> (StatusCode, Vec<u8>) {
        let shown = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        match request.uri().path() {
            "/.well-known/openid-configuration" => {
                let document = json!({"issuer": self.url, "jwks_uri": format!("{}/keys", self.url)});
                (StatusCode::OK, document.to_string().into_bytes())
            }
            "/keys" => {
                let mut keys = Value::object();
                keys.set(&["keys"], vec![self.key.to_jwk()]);
                (StatusCode::OK, keys.to_json())
            }
            "/groups" if shown == Some("Bearer secret") => {
                let claims = json!({"iss": self.url, "aud": "kube", "exp": NEVER, "groups": [self.groups]});
                (StatusCode::OK, self.key.sign(&claims).unwrap().into_bytes())
            }
            "/groups" => (StatusCode::UNAUTHORIZED, Vec::new()),
            _ => (StatusCode::NOT_FOUND, Vec::new()),
        }
    }
}

async fn serve(ca: &Authority, groups: &'static str, tasks: &Tasks) -> Arc<Server> {
    let issued = ca.issue_server("localhost", &["localhost".to_owned()]).unwrap();
    let chain = CertificateDer::pem_slice_iter(issued.certificate_pem.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("localhost:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let server = Arc::new(Server { url, key: SigningKey::generate_ecdsa().unwrap(), groups });
    let (serving, of) = (server.clone(), tasks.clone());
    tasks.spawn("issuer", async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, serving) = (acceptor.clone(), serving.clone());
            of.spawn("issuer-connection", async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(|request| {
                    let (code, body) = serving.answer(&request);
                    let mut answer = Response::new(Full::new(Bytes::from(body)));
                    *answer.status_mut() = code;
                    async { Ok::<_, Infallible>(answer) }
                });
                let http = hyper::server::conn::http1::Builder::new();
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    server
}

#[tokio::test]
async fn groups_may_be_another_servers_to_tell() {
    let tasks = Tasks::new("test", Clock::real());
    let ca = Authority::generate("ids").unwrap();
    let (issuer, directory) = (serve(&ca, "own", &tasks).await, serve(&ca, "devs", &tasks).await);
    let tokens = TokenAuthority::new(TokenConfig::default(), vec![SigningKey::generate_ecdsa().unwrap()]);
    let identity = Arc::new(Identity::new(Arc::new(Authenticator::new(Arc::new(tokens)))));
    let configuration = value!({
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration",
        "jwt": [{
            "issuer": {"url": issuer.url.as_str(), "audiences": ["kube"], "certificateAuthority": ca.certificate_pem()},
            "claimMappings": {
                "username": {"claim": "sub", "prefix": ""}, "groups": {"claim": "groups", "prefix": "g:"},
            },
        }],
    });
    identity.configure(AuthenticationConfiguration::parse(&configuration, &[], 36).unwrap(), None);
    let store = Arc::new(drydock_store::memory::MemoryStore::new());
    let server = ApiServer::start(Config {
        authenticator: identity.clone(),
        tokens: identity,
        ..testing::open_config(store, tasks.clone(), Clock::real())
    });
    let server = server.await.unwrap();
    server.set_ready();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn("listener", async move { server.serve(listener, None).await });

    let who = async |endpoint: String, access_token: &str| {
        let token = issuer.key.sign(&json!({
            "iss": issuer.url, "aud": "kube", "exp": NEVER, "sub": "ann", "_claim_names": {"groups": "src"},
            "_claim_sources": {"src": {"endpoint": endpoint, "access_token": access_token}},
        }));
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tasks.spawn("client", async move { drop(connection.await) });
        let review = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#;
        let request = Request::post("/apis/authentication.k8s.io/v1/selfsubjectreviews")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", token.unwrap()))
            .body(Full::new(Bytes::from(review)));
        let answer = sender.send_request(request.unwrap()).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, Value::from_json(&body).unwrap().at(&["status", "userInfo", "groups"]).cloned())
    };
    let groups = |group: &str| Some(value!([group, "system:authenticated"]));
    let at = |server: &Server| format!("{}/groups", server.url);
    assert_eq!(who(at(&directory), "secret").await, (StatusCode::CREATED, groups("g:devs")));
    assert_eq!(who(at(&issuer), "secret").await, (StatusCode::CREATED, groups("g:own")));
    // Without an endpoint it is no distributed claim.
    let none = Some(value!(["system:authenticated"]));
    assert_eq!(who(String::new(), "").await, (StatusCode::CREATED, none));
    for refused in [who(at(&directory), "wrong").await, who(format!("{}/x", directory.url), "secret").await] {
        assert_eq!(refused, (StatusCode::UNAUTHORIZED, None));
    }
    tasks.close().await;
}
