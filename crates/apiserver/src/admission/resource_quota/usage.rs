//! What an object counts for, by the names that quotas use.

use std::collections::{BTreeMap, BTreeSet};

use drydock_kinds::is_pod_level;
use drydock_machinery::quantity::{Format, Quantity};
use drydock_machinery::{ObjectMeta, Value};

use super::super::AdmissionRequest;
use super::super::resources::{Amounts, Side, add, amounts, of_container, of_pod};

/// Resources of the core group whose objects have counted by their bare name since before `count/` was invented.
const BARE: [&str; 6] = [
    "configmaps",
    "persistentvolumeclaims",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
];

/// Updates that may add to what an object counts for.
pub(super) fn grows_on_update(request: &AdmissionRequest<'_>) -> bool {
    request.is_of("", "pods") && request.subresource == "resize"
        || request.is_for("", "pods") && is_terminating(request.object()) != is_terminating(request.old())
        || request.is_for("", "services")
        || request.is_for("", "persistentvolumeclaims")
        || request.is_for(DEVICES, "resourceclaims")
}

/// Whether the pod ends by itself, at a time that it says.
pub(super) fn is_terminating(pod: &Value) -> bool {
    pod.i64_at(&["spec", "activeDeadlineSeconds"]).is_some_and(|seconds| seconds >= 0)
}

/// Whether a quota on `name` is about the request's resource.
pub(super) fn counts(request: &AdmissionRequest<'_>, name: &str) -> bool {
    let resource = &*request.resource.resource;
    if name == count_name(request) {
        return true;
    }
    if request.is_of(DEVICES, "resourceclaims") {
        return name.ends_with(PER_DEVICE_CLASS);
    }
    if !request.resource.group.is_empty() {
        return false;
    }
    match resource {
        "pods" => {
            matches!(name, "pods" | "cpu" | "memory" | "ephemeral-storage")
                || name.starts_with("requests.") && name != "requests.storage"
                || name.starts_with("limits.")
                || name.starts_with("hugepages-")
        }
        "services" => matches!(name, "services" | "services.nodeports" | "services.loadbalancers"),
        "persistentvolumeclaims" => {
            matches!(name, "persistentvolumeclaims" | "requests.storage") || name.contains(CLASS_INFIX)
        }
        _ => BARE.contains(&resource) && name == resource,
    }
}

fn count_name(request: &AdmissionRequest<'_>) -> String {
    format!("count/{}", request.resource.group_resource())
}

/// What the request adds: the object's usage, less the old one's when that `counted`. Zeros are left out.
pub(super) fn added(request: &AdmissionRequest<'_>, counted: bool) -> Amounts {
    let mut added = of_object(request, request.object());
    if counted {
        let before = of_object(request, request.old());
        for (name, amount) in &mut added {
            if let Some(before) = before.get(name) {
                *amount -= before;
            }
        }
    }
    added.retain(|_, amount| !amount.is_zero() && !amount.is_negative());
    added
}

fn of_object(request: &AdmissionRequest<'_>, object: &Value) -> Amounts {
    let one = || Quantity::new(1, Format::DecimalSi);
    let mut usage = Amounts::from([(count_name(request), one())]);
    if request.is_of(DEVICES, "resourceclaims") {
        add(&mut usage, &of_resource_claim(object));
    }
    if !request.resource.group.is_empty() {
        return usage;
    }
    let resource = &*request.resource.resource;
    match resource {
        "pods" => add(&mut usage, &of_pod_object(object)),
        "services" => add(&mut usage, &of_service(object)),
        "persistentvolumeclaims" => add(&mut usage, &of_claim(object)),
        _ if BARE.contains(&resource) => {
            usage.insert(resource.to_owned(), one());
        }
        _ => {}
    }
    usage
}

fn of_pod_object(pod: &Value) -> Amounts {
    let mut usage = Amounts::from([("pods".to_owned(), Quantity::new(1, Format::DecimalSi))]);
    for (name, amount) in of_pod(pod, Side::Requests) {
        // Extended resources count as requests only.
        if is_native(&name) {
            usage.insert(name.clone(), amount.clone());
        }
        usage.insert(format!("requests.{name}"), amount);
    }
    for (name, amount) in of_pod(pod, Side::Limits) {
        if is_native(&name) {
            usage.insert(format!("limits.{name}"), amount);
        }
    }
    usage
}

fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

fn of_service(service: &Value) -> Amounts {
    let ports = service.array_at(&["spec", "ports"]).len();
    let count = |count: usize| Quantity::new(i64::try_from(count).unwrap_or(i64::MAX), Format::DecimalSi);
    let mut usage = Amounts::from([("services".to_owned(), count(1))]);
    match service.str_at(&["spec", "type"]) {
        "NodePort" => {
            usage.insert("services.nodeports".to_owned(), count(ports));
        }
        "LoadBalancer" => {
            let allocates = service.at(&["spec", "allocateLoadBalancerNodePorts"]).and_then(Value::as_bool);
            let node_ports = if allocates == Some(false) {
                let ports = service.array_at(&["spec", "ports"]).iter();
                ports.filter(|port| port.i64_at(&["nodePort"]).is_some_and(|port| port != 0)).count()
            } else {
                ports
            };
            usage.insert("services.nodeports".to_owned(), count(node_ports));
            usage.insert("services.loadbalancers".to_owned(), count(1));
        }
        _ => {}
    }
    usage
}

const CLASS_INFIX: &str = ".storageclass.storage.k8s.io/";

fn of_claim(claim: &Value) -> Amounts {
    let one = Quantity::new(1, Format::DecimalSi);
    let mut usage = Amounts::from([("persistentvolumeclaims".to_owned(), one.clone())]);
    let class = match claim.annotation("volume.beta.kubernetes.io/storage-class") {
        Some(class) => class,
        None => claim.str_at(&["spec", "storageClassName"]),
    };
    if !class.is_empty() {
        usage.insert(format!("{class}{CLASS_INFIX}persistentvolumeclaims"), one);
    }
    if let Some(storage) = amounts(claim.at(&["spec", "resources", "requests"])).remove("storage") {
        if !class.is_empty() {
            usage.insert(format!("{class}{CLASS_INFIX}requests.storage"), storage.clone());
        }
        usage.insert("requests.storage".to_owned(), storage);
    }
    usage
}

const DEVICES: &str = "resource.k8s.io";
const PER_DEVICE_CLASS: &str = ".deviceclass.resource.k8s.io/devices";

/// The devices that a resource claim asks for, by their class. Of requests with alternatives each class counts for its
/// worst one.
///
/// Deliberately absent: the extended resources that device classes stand for.
fn of_resource_claim(claim: &Value) -> Amounts {
    let mut usage = Amounts::new();
    for request in claim.array_at(&["spec", "devices", "requests"]) {
        let alternatives = request.array_at(&["firstAvailable"]);
        let exactly = request.get("exactly").filter(|exactly| !exactly.is_null());
        let mut worst: BTreeMap<String, i64> = BTreeMap::new();
        let one = exactly.map_or(&[][..], std::slice::from_ref);
        for asked in if alternatives.is_empty() { one } else { alternatives } {
            let name = format!("{}{PER_DEVICE_CLASS}", asked.str_at(&["deviceClassName"]));
            let most = worst.entry(name).or_default();
            *most = (*most).max(devices(asked));
        }
        let amounts = worst.into_iter().map(|(name, count)| (name, Quantity::new(count, Format::DecimalSi)));
        add(&mut usage, &amounts.collect());
    }
    usage
}

/// How many devices one request may get.
fn devices(request: &Value) -> i64 {
    /// The most that a claim can be given at all.
    const MOST: i64 = 32;
    match request.str_at(&["allocationMode"]) {
        "ExactCount" => request.i64_at(&["count"]).unwrap_or(0),
        "All" => MOST,
        _ => 0,
    }
}

/// Whether cpu, memory or huge pages are given for the pod as a whole.
fn has_own_resources(pod: &Value) -> bool {
    ["requests", "limits"]
        .iter()
        .any(|list| pod.object_at(&["spec", "resources", list]).keys().any(|name| is_pod_level(name)))
}

/// Quotas on CPU and memory want every container to say what it needs: what is missing, and in which containers.
pub(super) fn unspecified(request: &AdmissionRequest<'_>, counted: &[&str]) -> Option<String> {
    const DEMANDED: [&str; 6] =
        ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];
    if !request.is_of("", "pods") {
        return None;
    }
    let pod = request.object();
    if has_own_resources(pod) {
        return None;
    }
    let demanded: Vec<&str> = counted.iter().copied().filter(|name| DEMANDED.contains(name)).collect();
    let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for container in ["containers", "initContainers"].iter().flat_map(|list| pod.array_at(&["spec", list])) {
        let (requests, limits) =
            (of_container(container, Side::Requests), of_container(container, Side::Limits));
        for name in &demanded {
            let given = match name.split_once('.') {
                Some(("limits", name)) => limits.contains_key(name),
                Some((_, name)) => requests.contains_key(name),
                None => requests.contains_key(*name),
            };
            if !given {
                missing.entry(name).or_default().insert(container.str_at(&["name"]));
            }
        }
    }
    let parts: Vec<String> = missing
        .into_iter()
        .map(|(name, containers)| {
            format!("{name} for: {}", containers.into_iter().collect::<Vec<_>>().join(","))
        })
        .collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}
