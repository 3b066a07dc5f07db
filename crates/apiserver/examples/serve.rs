//! An API server on its own, for trying it and for replaying conversations against it:
//! `cargo run -p drydock-apiserver --example serve -- 127.0.0.1:6443 KUBECONFIG`.
//!
//! Plain HTTP, objects in memory, everybody is an administrator; each namespace gets its default service account.

use drydock_apiserver::testing;
use drydock_auth::UserInfo;
use drydock_client::{Client, Options, Request, Verb, WatchEvent};
use drydock_machinery::{GroupVersionResource, ObjectMeta, Value, value};
use drydock_runtime::{Clock, Tasks};
use futures::StreamExt;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tokio::runtime::Runtime::new()?.block_on(serve())
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:6443".to_owned());
    let kubeconfig = args.next().unwrap_or_else(|| "kubeconfig".to_owned());
    let clock = Clock::real();
    let tasks = Tasks::new("example", clock.clone());
    let server = testing::open(&tasks, clock).await;
    let client = server.client(UserInfo::api_server());
    let accounts = client.clone();
    tasks.spawn("service-accounts", async move { default_accounts(accounts).await });
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        create(&client, "namespaces", "", value!({"metadata": {"name": name}})).await;
    }
    let listener = tokio::net::TcpListener::bind(&address).await?;
    std::fs::write(kubeconfig, config(&address))?;
    println!("serving on {address}");
    server.serve(listener, None).await;
    Ok(())
}

fn config(address: &str) -> Vec<u8> {
    value!({
        "apiVersion": "v1", "kind": "Config", "current-context": "example",
        "contexts": [{"name": "example", "context": {"cluster": "example", "user": "example"}}],
        "clusters": [{"name": "example", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "example", "user": {}}],
    })
    .to_json()
}

async fn create(client: &Client, resource: &'static str, namespace: &str, body: Value) {
    let mut request = request(Verb::Create, resource, namespace);
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
