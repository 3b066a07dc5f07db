//! Endpoint slices of services with a selector.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use drydock_client::resources::{ENDPOINT_SLICES, NODES, PODS, SERVICES};
use drydock_client::{Controller, Informer, WorkQueue};
use drydock_machinery::{Key, Map, Object, ObjectMeta, Status, Value, value};

use super::reconcile::{self, Desired, Frame, Ports};
use super::tracker::{self, Tracker, Writer};
use super::trigger::Triggers;
use super::{HEADLESS_LABEL, MANAGED_BY_SLICE, SERVICE_NAME, TRIGGER_TIME, service};
use crate::Context;
use crate::util::owner::controller_ref;
use crate::util::pod_control::is_namespace_terminating;
use crate::util::{pod, split_key};

/// How soon and how late failures are retried, as with upstream.
const RETRIES: Range<Duration> = Duration::from_secs(1)..Duration::from_secs(1000);
const MANAGED_BY: &str = "endpointslice-controller.k8s.io";
pub(super) const BY_SERVICE: &str = "slice-service";
const ZONE: &str = "topology.kubernetes.io/zone";

struct Slices {
    ctx: Context,
    services: Arc<Informer>,
    pods: Arc<Informer>,
    nodes: Arc<Informer>,
    slices: Arc<Informer>,
    triggers: Triggers,
    tracker: Tracker,
}

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::with_retries(ctx.clock.clone(), RETRIES));
    let this = Arc::new(Slices {
        services: ctx.informers.informer(&SERVICES),
        pods: ctx.informers.informer(&PODS),
        nodes: ctx.informers.informer(&NODES),
        slices: ctx.informers.informer(&ENDPOINT_SLICES),
        triggers: Triggers::default(),
        tracker: Tracker::default(),
        ctx,
    });
    service::watch_services_and_pods(&this.services, &this.pods, &queue);
    index_by_service(&this.slices);
    let (to, me) = (queue.clone(), this.clone());
    this.slices.on_change(move |change| {
        for service in me.tracker.concerned(MANAGED_BY, change) {
            to.add(service);
        }
    });
    let needs = [this.services.clone(), this.pods.clone(), this.nodes.clone(), this.slices.clone()];
    let tasks = this.ctx.tasks.clone();
    Controller::new("endpointslice", queue).workers(5).needs(needs).start(&tasks, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await }
    });
}

/// Finds slices by who manages them and for which service.
pub(super) fn index_by_service(slices: &Informer) {
    slices.add_index(BY_SERVICE, |slice| {
        let label = |key| slice.label(key).unwrap_or("");
        vec![index_value(label(MANAGED_BY_SLICE), slice.namespace(), label(SERVICE_NAME)).into()]
    });
}

pub(super) fn index_value(manager: &str, namespace: &str, service: &str) -> String {
    format!("{manager}/{namespace}/{service}")
}

impl Slices {
    async fn sync(&self, key: &Key) -> Result<(), Status> {
        let (namespace, name) = split_key(key);
        // Slices of a service that is gone are garbage-collected through their owner.
        let Some(service) = self.services.get(namespace, name) else {
            self.triggers.forget(key);
            self.tracker.forget(key);
            return Ok(());
        };
        let Some(selector) = service::selector(&service) else { return Ok(()) };
        if service.is_deleting() {
            return Ok(());
        }
        let mut pods = self.pods.list_in(namespace);
        pods.retain(|pod| selector.matches(pod.labels()) && service::has_endpoint(pod, true));
        let existing = self.slices.by_index(BY_SERVICE, &index_value(MANAGED_BY, namespace, name));
        if self.tracker.is_stale(key, &existing) {
            return Err(tracker::stale());
        }
        match self.reconcile(&service, &pods, &existing).await {
            Ok(()) => Ok(()),
            Err(status) if is_namespace_terminating(&status) => Ok(()),
            Err(status) if status.is_conflict() => Err(status),
            Err(status) => {
                let message = format!("Error updating Endpoint Slices for Service {key}: {status}");
                self.ctx.events.warning(&service, "FailedToUpdateEndpointSlices", message);
                Err(status)
            }
        }
    }

    async fn reconcile(
        &self,
        service: &Object,
        pods: &[Arc<Object>],
        existing: &[Arc<Object>],
    ) -> Result<(), Status> {
        let mut missing_nodes: Vec<String> = Vec::new();
        let writer = Writer { client: &self.ctx.client, tracker: &self.tracker };
        let trigger = self.triggers.next(service, pods);
        let families = service::families(service);
        for family in &families {
            let mut desired = Desired::default();
            for pod in pods {
                let Some(ip) = service::address(pod, family) else { continue };
                let node = self.nodes.get_key(pod::node_name(pod));
                if node.is_none() && !service::publishes_not_ready(service) {
                    let skipped = node_not_found(service, pod);
                    if !missing_nodes.contains(&skipped) {
                        missing_nodes.push(skipped);
                    }
                    continue;
                }
                desired.add(&Ports::new(ports(service, pod)), endpoint(service, pod, ip, node.as_deref()));
            }
            let own: Vec<_> =
                existing.iter().filter(|slice| slice.str_at(&["addressType"]) == *family).cloned().collect();
            let frame = frame(service, trigger.clone(), family);
            reconcile::slices(writer, &frame, &own, desired).await?;
        }
        let unwanted = |slice: &&Arc<Object>| !families.contains(&slice.str_at(&["addressType"]));
        for slice in existing.iter().filter(unwanted) {
            writer.delete(slice).await?;
        }
        // The rest is written first; then the error brings the service back.
        let mut status = Status::internal("nodes not found");
        status.message = match missing_nodes.as_mut_slice() {
            [] => return Ok(()),
            [one] => std::mem::take(one),
            _ => format!("[{}]", missing_nodes.join(", ")),
        };
        Err(status)
    }
}

fn node_not_found(service: &Object, pod: &Object) -> String {
    let (pod, node) = (pod.name(), pod::node_name(pod));
    format!("skipping Pod {pod} for Service {}: Node {node} Not Found", service.key())
}

fn frame(service: &Object, trigger: Option<String>, family: &str) -> Frame {
    let mut labels = service::own_labels(service);
    labels.insert(MANAGED_BY_SLICE, MANAGED_BY);
    labels.insert(SERVICE_NAME, service.name());
    if service::is_headless(service) {
        labels.insert(HEADLESS_LABEL, "");
    }
    let mut annotations = Map::new();
    if let Some(time) = trigger {
        annotations.insert(TRIGGER_TIME, time);
    }
    Frame {
        namespace: service.namespace().to_owned(),
        generate_name: format!("{}-", service.name()),
        address_type: family.to_owned(),
        labels,
        annotations,
        owner: controller_ref(service),
    }
}

fn ports(service: &Object, pod: &Object) -> Vec<Value> {
    let declared = service.array_at(&["spec", "ports"]).iter();
    let ports = declared.filter_map(|port| {
        let number = service::target_port(pod, port)?;
        let mut out = value!({
            "name": port.str_at(&["name"]), "port": number, "protocol": service::protocol(port),
        });
        if !port.str_at(&["appProtocol"]).is_empty() {
            out.set(&["appProtocol"], port.str_at(&["appProtocol"]));
        }
        Some(out)
    });
    ports.collect()
}

fn endpoint(service: &Object, pod: &Object, ip: &str, node: Option<&Object>) -> Value {
    let (serving, terminating) = (pod::is_ready(pod), pod.is_deleting());
    let ready = service::publishes_not_ready(service) || (serving && !terminating);
    let mut endpoint = value!({
        "addresses": [ip],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
    });
    endpoint.set(&["targetRef"], service::target_ref(pod));
    if let Some(hostname) = service::hostname(pod, service) {
        endpoint.set(&["hostname"], hostname);
    }
    if !pod::node_name(pod).is_empty() {
        endpoint.set(&["nodeName"], pod::node_name(pod));
    }
    if let Some(zone) = node.and_then(|node| node.label(ZONE)) {
        endpoint.set(&["zone"], zone);
    }
    if ready {
        hint(service, &mut endpoint);
    }
    endpoint
}

/// With `trafficDistribution` an endpoint is first for those of its own zone, or on its own node.
fn hint(service: &Object, endpoint: &mut Value) {
    let distribution = service.str_at(&["spec", "trafficDistribution"]);
    if !matches!(distribution, "PreferClose" | "PreferSameZone" | "PreferSameNode") {
        return;
    }
    let mut add = |field: &str, list: &str| {
        let name = endpoint.str_at(&[field]).to_owned();
        if !name.is_empty() {
            endpoint.set(&["hints", list], value!([{"name": name}]));
        }
    };
    add("zone", "forZones");
    if distribution == "PreferSameNode" {
        add("nodeName", "forNodes");
    }
}
