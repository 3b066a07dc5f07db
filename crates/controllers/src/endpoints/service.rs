//! What services and pods say about endpoints.

use std::sync::Arc;

use drydock_client::{Informer, WorkQueue};
use drydock_machinery::selector::Selector;
use drydock_machinery::{Map, Object, ObjectMeta, Value, value};

use crate::util::pod;

/// Queues services when they or the pods that they select change.
pub(super) fn watch_services_and_pods(services: &Arc<Informer>, pods: &Informer, queue: &Arc<WorkQueue>) {
    let to = queue.clone();
    services.on_change(move |change| to.add_object(change.object()));
    let (to, services) = (queue.clone(), services.clone());
    pods.on_change(move |change| {
        let pod = change.object();
        let old = change.old();
        if old.is_some_and(|old| !matters(old, pod)) {
            return;
        }
        for service in services.list_in(pod.namespace()) {
            let Some(selector) = selector(&service) else { continue };
            if selector.matches(pod.labels()) || old.is_some_and(|old| selector.matches(old.labels())) {
                to.add_object(&service);
            }
        }
    });
    fn matters(old: &Value, new: &Value) -> bool {
        // Neither its end nor its node, as with upstream: a ready pod has a node, and one that ends is ready no more.
        let fields: [&[&str]; 5] = [
            &["status", "podIPs"],
            &["metadata", "deletionTimestamp"],
            &["spec", "hostname"],
            &["spec", "subdomain"],
            &["metadata", "labels"],
        ];
        pod::is_ready(old) != pod::is_ready(new) || fields.iter().any(|field| old.at(field) != new.at(field))
    }
}

/// None for services whose endpoints are somebody else's business.
pub(super) fn selector(service: &Value) -> Option<Selector> {
    let map = service.object_at(&["spec", "selector"]);
    let external = service.str_at(&["spec", "type"]) == "ExternalName";
    (!map.is_empty() && !external).then(|| Selector::from_set(map))
}

pub(super) fn is_headless(service: &Value) -> bool {
    service.str_at(&["spec", "clusterIP"]) == "None"
}

pub(super) fn publishes_not_ready(service: &Value) -> bool {
    service.bool_at(&["spec", "publishNotReadyAddresses"])
}

/// The service's labels without those that the controllers write themselves.
pub(super) fn own_labels(service: &Value) -> Map {
    let mut labels = service.labels().clone();
    for key in [super::HEADLESS_LABEL, super::MANAGED_BY_SLICE, super::SERVICE_NAME] {
        labels.remove(key);
    }
    labels
}

/// Whether the pod belongs among endpoints at all.
pub(super) fn has_endpoint(pod: &Value, include_terminating: bool) -> bool {
    let has_ip =
        !pod.array_at(&["status", "podIPs"]).is_empty() || !pod.str_at(&["status", "podIP"]).is_empty();
    has_ip && !pod::is_finished(pod) && (include_terminating || !pod.is_deleting())
}

/// The pod's address of a family, `IPv4` or `IPv6`.
pub(super) fn address<'a>(pod: &'a Value, family: &str) -> Option<&'a str> {
    let is_six = family == "IPv6";
    let listed = pod.array_at(&["status", "podIPs"]).iter().map(|ip| ip.str_at(&["ip"]));
    let single = std::iter::once(pod.str_at(&["status", "podIP"]));
    listed.chain(single).find(|ip| !ip.is_empty() && ip.contains(':') == is_six)
}

/// The families that the service's endpoints have.
pub(super) fn families(service: &Value) -> Vec<&str> {
    let families: Vec<_> =
        service.array_at(&["spec", "ipFamilies"]).iter().filter_map(Value::as_str).collect();
    if families.is_empty() { vec!["IPv4"] } else { families }
}

pub(super) fn target_ref(pod: &Object) -> Value {
    value!({"kind": "Pod", "namespace": pod.namespace(), "name": pod.name(), "uid": pod.uid()})
}

/// The hostname under which a headless service's pod has a DNS record.
pub(super) fn hostname<'a>(pod: &'a Value, service: &Value) -> Option<&'a str> {
    let hostname = pod.str_at(&["spec", "hostname"]);
    let same = pod.str_at(&["spec", "subdomain"]) == service.name();
    (same && !hostname.is_empty()).then_some(hostname)
}

/// The port of the pod that the service's port leads to. None when the pod has no port of that name.
pub(super) fn target_port(pod: &Value, port: &Value) -> Option<i64> {
    match port.get("targetPort") {
        Some(Value::String(name)) => named_port(pod, name, protocol(port)),
        Some(Value::Int(0)) | None => port.i64_at(&["port"]),
        Some(target) => target.as_i64(),
    }
}

fn named_port(pod: &Value, name: &str, protocol: &str) -> Option<i64> {
    let sidecars = pod.array_at(&["spec", "initContainers"]).iter();
    let sidecars = sidecars.filter(|container| container.str_at(&["restartPolicy"]) == "Always");
    let containers = pod.array_at(&["spec", "containers"]).iter().chain(sidecars);
    containers
        .flat_map(|container| container.array_at(&["ports"]))
        .find(|port| port.str_at(&["name"]) == name && self::protocol(port) == protocol)
        .and_then(|port| port.i64_at(&["containerPort"]))
}

pub(super) fn protocol(port: &Value) -> &str {
    match port.str_at(&["protocol"]) {
        "" => "TCP",
        protocol => protocol,
    }
}
