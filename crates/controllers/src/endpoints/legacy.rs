//! `v1 Endpoints`, as old clients read them.

use std::collections::BTreeMap;
use std::sync::Arc;

use drydock_client::resources::{ENDPOINTS, PODS, SERVICES};
use drydock_client::{Change, Controller, DeleteOptions, Informer, WorkQueue};
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value, value};

use super::trigger::Triggers;
use super::{HEADLESS_LABEL, TRIGGER_TIME, order, service};
use crate::Context;
use crate::util::pod_control::is_namespace_terminating;
use crate::util::{pod, split_key};

const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
/// More addresses than this are cut off.
const MAX_ADDRESSES: usize = 1000;

struct Endpoints {
    ctx: Context,
    services: Arc<Informer>,
    pods: Arc<Informer>,
    endpoints: Arc<Informer>,
    triggers: Triggers,
}

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let this = Arc::new(Endpoints {
        services: ctx.informers.informer(&SERVICES),
        pods: ctx.informers.informer(&PODS),
        endpoints: ctx.informers.informer(&ENDPOINTS),
        triggers: Triggers::default(),
        ctx,
    });
    service::watch_services_and_pods(&this.services, &this.pods, &queue);
    let to = queue.clone();
    this.endpoints.on_change(move |change| {
        // What this controller wrote may have been deleted by others. Upstream leaves changes to the next sync, and
        // Endpoints that never had a Service alone.
        if matches!(change, Change::Deleted(_)) {
            to.add_object(change.object());
        }
    });
    let needs = [this.services.clone(), this.pods.clone(), this.endpoints.clone()];
    let tasks = this.ctx.tasks.clone();
    Controller::new("endpoints", queue).workers(5).needs(needs).start(&tasks, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await }
    });
}

impl Endpoints {
    async fn sync(&self, key: &Key) -> Result<(), Status> {
        let (namespace, name) = split_key(key);
        let Some(service) = self.services.get(namespace, name) else {
            self.triggers.forget(key);
            return self.delete(namespace, name).await;
        };
        let Some(selector) = service::selector(&service) else { return Ok(()) };
        let mut pods = self.pods.list_in(namespace);
        pods.retain(|pod| selector.matches(pod.labels()));
        let trigger = self.triggers.next(&service, &pods);
        let subsets = subsets(&service, &pods);
        let current = self.endpoints.get(namespace, name);
        let mut wanted = match &current {
            Some(current) => current.value().clone(),
            None => value!({
                "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": name, "namespace": namespace},
            }),
        };
        let mut labels = service.labels().clone();
        labels.remove(HEADLESS_LABEL);
        labels.insert(MANAGED_BY, "endpoint-controller");
        if service::is_headless(&service) {
            labels.insert(HEADLESS_LABEL, "");
        }
        wanted.set(&["metadata", "labels"], labels);
        if subsets.is_empty() {
            wanted.remove(&["subsets"]);
        } else {
            wanted.set(&["subsets"], subsets);
        }
        if current.as_ref().is_some_and(|current| *current.value() == wanted) {
            return Ok(());
        }
        match trigger {
            Some(time) => wanted.set(&["metadata", "annotations", TRIGGER_TIME], time),
            None => drop(wanted.remove(&["metadata", "annotations", TRIGGER_TIME])),
        }
        self.write(&service, current.is_some(), wanted).await
    }

    async fn write(&self, service: &Object, exists: bool, wanted: Value) -> Result<(), Status> {
        let outcome = if exists {
            self.ctx.client.update(&ENDPOINTS, wanted.clone()).await
        } else {
            self.ctx.client.create(&ENDPOINTS, wanted.clone()).await
        };
        let Err(status) = outcome else { return Ok(()) };
        if is_namespace_terminating(&status) {
            return Ok(());
        }
        let (reason, what) = if exists {
            ("FailedToUpdateEndpoint", "update endpoint")
        } else {
            ("FailedToCreateEndpoint", "create endpoint for service")
        };
        let message = format!("Failed to {what} {}/{}: {status}", service.namespace(), service.name());
        let mut about = wanted;
        if !exists {
            // Upstream's new Endpoints have none until they are sent.
            about.remove(&["metadata", "namespace"]);
        }
        self.ctx.events.warning(&about, reason, message);
        Err(status)
    }

    async fn delete(&self, namespace: &str, name: &str) -> Result<(), Status> {
        if self.endpoints.get(namespace, name).is_none() {
            return Ok(());
        }
        match self.ctx.client.delete(&ENDPOINTS, namespace, name, DeleteOptions::default()).await {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(()),
        }
    }
}

#[derive(Default)]
struct Subset {
    ports: Vec<Value>,
    ready: BTreeMap<String, Value>,
    not_ready: BTreeMap<String, Value>,
}

/// Ports grouped by the addresses that have them.
fn subsets(service: &Object, pods: &[Arc<Object>]) -> Vec<Value> {
    // The addresses of each port; None stands for those without any.
    let mut by_port: BTreeMap<Option<Vec<u8>>, Subset> = BTreeMap::new();
    let family = service::families(service)[0];
    let publish = service::publishes_not_ready(service);
    let declared = service.array_at(&["spec", "ports"]);
    for pod in pods.iter().filter(|pod| service::has_endpoint(pod, publish)).take(MAX_ADDRESSES) {
        let Some(ip) = service::address(pod, family) else { continue };
        let ready = publish || pod::is_ready(pod);
        let mut add = |port: Option<Value>| {
            let subset = by_port.entry(port.as_ref().map(Value::to_json)).or_default();
            subset.ports = port.into_iter().collect();
            let list = if ready { &mut subset.ready } else { &mut subset.not_ready };
            list.insert(format!("{ip}/{}", pod.uid()), address(service, pod, ip));
        };
        // Each port that the pod has; a headless service may have none at all.
        declared.iter().filter_map(|port| endpoint_port(pod, port)).for_each(|port| add(Some(port)));
        if declared.is_empty() && service::is_headless(service) {
            add(None);
        }
    }
    let mut subsets: Vec<Subset> = Vec::new();
    for one in by_port.into_values() {
        match subsets.iter_mut().find(|other| other.ready == one.ready && other.not_ready == one.not_ready) {
            Some(same) => same.ports.extend(one.ports),
            None => subsets.push(one),
        }
    }
    subsets.into_iter().map(Subset::into_value).collect()
}

impl Subset {
    fn into_value(mut self) -> Value {
        order::sort_subset_ports(&mut self.ports);
        let mut subset = Value::object();
        let lists = [("addresses", self.ready), ("notReadyAddresses", self.not_ready)];
        for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            subset.set(&[name], list.into_values().collect::<Vec<_>>());
        }
        if !self.ports.is_empty() {
            subset.set(&["ports"], self.ports);
        }
        subset
    }
}

fn address(service: &Object, pod: &Object, ip: &str) -> Value {
    let mut address = value!({"ip": ip});
    if let Some(hostname) = service::hostname(pod, service) {
        address.set(&["hostname"], hostname);
    }
    // A pod without a node has "", which no Endpoints may have: upstream's writes of such fail, too.
    address.set(&["nodeName"], pod::node_name(pod));
    address.set(&["targetRef"], service::target_ref(pod));
    address
}

fn endpoint_port(pod: &Value, port: &Value) -> Option<Value> {
    let number = service::target_port(pod, port)?;
    let mut out = value!({"port": number, "protocol": service::protocol(port)});
    for field in ["name", "appProtocol"] {
        if !port.str_at(&[field]).is_empty() {
            out.set(&[field], port.str_at(&[field]));
        }
    }
    Some(out)
}
