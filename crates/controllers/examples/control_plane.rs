//! An API server with controllers and scheduler, for replaying conversations against them:
//! `cargo run -p drydock-controllers --example control_plane -- 127.0.0.1:6443 KUBECONFIG`.
//!
//! No nodes, objects in memory, a certificate that nobody trusts, an administrator's token.

use std::sync::Arc;

use drydock_apiserver::admission::AdmissionChain;
use drydock_apiserver::{Access, ApiServer, Identity, testing};
use drydock_auth::pki::Authority;
use drydock_auth::tokens::{SigningKey, TokenAuthority, TokenConfig};
use drydock_auth::{Authenticator, Authorizer, UserInfo};
use drydock_client::resources::NAMESPACES;
use drydock_client::{Client, SharedInformers};
use drydock_controllers::{ControllerManager, ManagerConfig};
use drydock_machinery::{GroupVersionResource, Value, value};
use drydock_runtime::{Clock, Tasks};
use drydock_scheduler::{Scheduler, SchedulerConfig};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

const ADMIN_TOKEN: &str = "admin";

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    tokio::runtime::Runtime::new()?.block_on(serve())
}

async fn serve() -> Result<(), Error> {
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
    bootstrap(&server.client(UserInfo::api_server())).await;
    start_components(&server, &tasks);
    server.set_ready();
    let listener = tokio::net::TcpListener::bind(&address).await?;
    std::fs::write(kubeconfig, kubeconfig_for(&address))?;
    println!("serving on {address}");
    server.serve(listener, Some(tls()?)).await;
    Ok(())
}

fn start_components(server: &ApiServer, tasks: &Tasks) {
    let masters = |name: &str| UserInfo::new(name, &["system:masters", "system:authenticated"]);
    let informers =
        SharedInformers::new(server.client(masters("system:kube-controller-manager")), tasks.clone());
    let of = server.clone();
    let client_for = Arc::new(move |name: &str| -> Client {
        let groups = ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"];
        of.client(UserInfo::new(format!("system:serviceaccount:kube-system:{name}"), &groups))
    });
    let config =
        ManagerConfig::new(client_for, informers.clone(), tasks.clone(), "a certificate\n".to_owned());
    ControllerManager::start(&config);
    let scheduler = server.client(UserInfo::new("system:kube-scheduler", &["system:authenticated"]));
    Scheduler::start(SchedulerConfig::new(scheduler, informers, tasks.clone()));
}

async fn bootstrap(client: &Client) {
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        create(client, &NAMESPACES, "", value!({"metadata": {"name": name}})).await;
    }
    for part in drydock_auth::bootstrap::policy() {
        let resource = GroupVersionResource::new("rbac.authorization.k8s.io", "v1", part.resource);
        create(client, &resource, part.namespace, part.object.clone()).await;
    }
    let classes = [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];
    for (name, priority) in classes {
        let body = value!({"metadata": {"name": name}, "value": priority});
        create(client, &drydock_client::resources::PRIORITY_CLASSES, "", body).await;
    }
}

async fn create(client: &Client, resource: &GroupVersionResource, namespace: &str, mut body: Value) {
    if !namespace.is_empty() {
        body.set(&["metadata", "namespace"], namespace);
    }
    if let Err(status) = client.create(resource, body).await {
        eprintln!("{status}");
    }
}

/// A certificate of a CA that nobody knows.
fn tls() -> Result<Arc<ServerConfig>, Error> {
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
    let cluster = value!({"server": format!("https://{address}"), "insecure-skip-tls-verify": true});
    let mut config = value!({
        "apiVersion": "v1", "kind": "Config", "current-context": "example",
        "contexts": [{"name": "example", "context": {"cluster": "example", "user": "example"}}],
        "users": [{"name": "example", "user": {"token": ADMIN_TOKEN}}],
    });
    let mut named = value!({"name": "example"});
    named.set(&["cluster"], cluster);
    config.set(&["clusters"], vec![named]);
    config.to_json()
}
