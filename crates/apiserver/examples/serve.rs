//! An API server on its own, for trying it and for replaying conversations against it:
//! `cargo run -p drydock-apiserver --example serve -- 127.0.0.1:6443 KUBECONFIG`.
//!
//! A certificate that nobody trusts, objects in memory, an administrator's token; each namespace gets its default service account.

use std::sync::Arc;

use drydock_apiserver::admission::AdmissionChain;
use drydock_apiserver::{Access, ApiServer, Identity, testing};
use drydock_auth::pki::Authority;
use drydock_auth::tokens::{SigningKey, TokenAuthority, TokenConfig};
use drydock_auth::{Authenticator, Authorizer, UserInfo};
use drydock_client::{Client, Options, Request, Verb, WatchEvent};
use drydock_machinery::{GroupVersionResource, ObjectMeta, Value, value};
use drydock_runtime::{Clock, Tasks};
use futures::StreamExt;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

const ADMIN_TOKEN: &str = "admin";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tokio::runtime::Runtime::new()?.block_on(serve())
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:6443".to_owned());
    let kubeconfig = args.next().unwrap_or_else(|| "kubeconfig".to_owned());
    let clock = Clock::real();
    let tasks = Tasks::new("example", clock.clone());
    let store = Arc::new(drydock_store::memory::MemoryStore::new());
    let tokens = Arc::new(TokenAuthority::new(TokenConfig::default(), vec![SigningKey::generate_ecdsa()?]));
    let admin = UserInfo::new("admin", &["system:masters"]);
    let authenticator = Authenticator::new(tokens).with_static_token(ADMIN_TOKEN, admin);
    let authenticator = Arc::new(Identity::new(Arc::new(authenticator)));
    let authorizer = Arc::new(Authorizer::new());
    let config = drydock_apiserver::Config {
        authenticator: authenticator.clone(),
        admission: AdmissionChain::upstream(&authorizer),
        authorizer: Arc::new(Access::new(authorizer)),
        tokens: authenticator,
        ..testing::open_config(store, tasks.clone(), clock)
    };
    let server = ApiServer::start(config).await?;
    let client = server.client(UserInfo::api_server());
    let accounts = client.clone();
    tasks.spawn("service-accounts", async move { default_accounts(accounts).await });
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        create(&client, "namespaces", "", value!({"metadata": {"name": name}})).await;
    }
    for part in drydock_auth::bootstrap::policy() {
        let resource = GroupVersionResource::new("rbac.authorization.k8s.io", "v1", part.resource);
        create_in(&client, resource, part.namespace, part.object.clone()).await;
    }
    for (name, priority) in
        [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)]
    {
        let resource = GroupVersionResource::new("scheduling.k8s.io", "v1", "priorityclasses");
        create_in(&client, resource, "", value!({"metadata": {"name": name}, "value": priority})).await;
    }
    server.set_ready();
    let listener = tokio::net::TcpListener::bind(&address).await?;
    std::fs::write(kubeconfig, kubeconfig_for(&address))?;
    println!("serving on {address}");
    server.serve(listener, Some(tls()?)).await;
    Ok(())
}

/// A certificate of a CA that nobody knows.
fn tls() -> Result<Arc<ServerConfig>, Box<dyn std::error::Error>> {
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let issued = Authority::generate("example")?.issue_server("example", &names)?;
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(issued.certificate_pem.as_bytes()).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes())?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn kubeconfig_for(address: &str) -> Vec<u8> {
    value!({
        "apiVersion": "v1", "kind": "Config", "current-context": "example",
        "contexts": [{"name": "example", "context": {"cluster": "example", "user": "example"}}],
        "clusters": [{"name": "example", "cluster": {"server": format!("https://{address}"), "insecure-skip-tls-verify": true}}],
        "users": [{"name": "example", "user": {"token": ADMIN_TOKEN}}],
    })
    .to_json()
}

async fn create(client: &Client, resource: &'static str, namespace: &str, body: Value) {
    create_in(client, GroupVersionResource::new("", "v1", resource), namespace, body).await;
}

async fn create_in(client: &Client, resource: GroupVersionResource, namespace: &str, body: Value) {
    let mut request = Request { resource, ..request(Verb::Create, "", namespace) };
    request.body = Some(body);
    if let Err(status) = client.transport().call(request).await {
        eprintln!("{status}");
    }
}

fn request(verb: Verb, resource: &'static str, namespace: &str) -> Request {
    Request {
        verb,
        resource: GroupVersionResource::new("", "v1", resource),
        namespace: namespace.to_owned(),
        name: String::new(),
        subresource: String::new(),
        options: Options::default(),
        body: None,
    }
}

async fn default_accounts(client: Client) {
    let Ok(mut watch) = client.transport().watch(request(Verb::List, "namespaces", "")).await else { return };
    while let Some(event) = watch.next().await {
        if let WatchEvent::Added(namespace) = event {
            create(&client, "serviceaccounts", namespace.name(), value!({"metadata": {"name": "default"}}))
                .await;
        }
    }
}
