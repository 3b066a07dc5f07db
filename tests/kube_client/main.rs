//! The whole product with the kube-rs client: typed objects and typed errors, rather than the text that kubectl prints.

#[path = "../common/mod.rs"]
mod common;
mod errors;
mod history;
mod objects;
mod pods;
mod watches;

use std::fmt::Debug;
use std::time::Duration;

use common::{Kubectl, Service};
use drydock_runtime::{Stopwatch, wall};
use k8s_openapi::NamespaceResourceScope;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Status;
use kube::runtime::wait::{Condition, await_condition};
use kube::{Api, Client, Config, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A service with one cluster of `nodes` nodes, twenty times as fast as the wall, and a client of its administrator.
async fn cluster(nodes: u32) -> (Service, Client) {
    let service = Service::start_with(&["--speed", "20"]);
    let kubectl = service.cluster("kube", nodes);
    let client = Client::try_from(config(&kubectl).await).expect("a client");
    (service, client)
}

async fn config(kubectl: &Kubectl) -> Config {
    let kubeconfig =
        Kubeconfig::read_from(&kubectl.kubeconfig).expect("a kubeconfig that kube-rs understands");
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a configuration");
    // A refused eviction is to be seen, not repeated for minutes.
    config.default_retry = false;
    config
}

fn namespaced<K>(client: &Client) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    Api::namespaced(client.clone(), "default")
}

/// A typed object of its JSON.
fn typed<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).expect("JSON of that kind")
}

/// Waits on a watch until the object of that name satisfies `condition`.
async fn wait<K>(api: &Api<K>, name: &str, condition: impl Condition<K>) -> Option<K>
where
    K: Clone + Debug + Send + DeserializeOwned + Resource + 'static,
{
    await_condition(api.clone(), name, condition).await.expect("a watch")
}

/// Repeats `call` until it succeeds, for at most a minute.
async fn eventually<T>(what: &str, call: impl AsyncFn() -> kube::Result<T>) -> T {
    let watch = Stopwatch::start();
    loop {
        match call().await {
            Ok(value) => return value,
            Err(last) if watch.elapsed() > Duration::from_secs(60) => {
                panic!("not in a minute: {what}; last: {last}")
            }
            Err(_) => wall::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// The Status of a refusal.
fn refusal<T: Debug>(result: kube::Result<T>) -> Status {
    match result {
        Err(kube::Error::Api(status)) => *status,
        other => panic!("a refusal by the server was expected: {other:?}"),
    }
}
