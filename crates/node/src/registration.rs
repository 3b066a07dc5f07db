//! The Node object and its lease, as a kubelet writes them.

use std::sync::Arc;

use drydock_client::resources::{LEASES, NODES};
use drydock_client::{Client, PatchType, Request, Verb};
use drydock_machinery::value::Map;
use drydock_machinery::{Object, ObjectMeta, Status, Value, value};
use drydock_runtime::{Clock, clock};

use crate::seed;
use crate::spec::NodeSpec;

pub(crate) const LEASE_NAMESPACE: &str = "kube-node-lease";
const LEASE_SECONDS: i64 = 40;

/// Whether the kubelet is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    Starting,
    Ready,
}

/// How a kubelet came to its Node.
pub(crate) enum Registered {
    /// It boots.
    Booting,
    /// It goes on where the one of before the service's restart ended.
    CarriedOn(Arc<Object>),
}

/// Why a kubelet starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Its machine is new here: just launched, or of before the service's restart, whose time stood still meanwhile.
    First,
    /// Its machine was stopped.
    Reboot,
}

/// Creates the Node, or takes over the one that is there.
pub(crate) async fn register(
    client: &Client,
    spec: &NodeSpec,
    start: Start,
    clock: &Clock,
) -> Result<Registered, Status> {
    let now = clock.now_rfc3339();
    let mut node = node(spec);
    let status = status(spec, Readiness::Starting, &now, None);
    node.set(&["status"], status);
    match client.create(&NODES, node).await {
        Ok(_) => Ok(Registered::Booting),
        Err(status) if status.is_already_exists() => {
            let old = client.get(&NODES, "", &spec.name).await?;
            if start == Start::Reboot || !is_ready(&old) {
                post_status(client, spec, &old, Readiness::Starting, clock, false).await?;
                return Ok(Registered::Booting);
            }
            post_status(client, spec, &old, Readiness::Ready, clock, false).await?;
            Ok(Registered::CarriedOn(old))
        }
        Err(status) => Err(status),
    }
}

fn is_ready(node: &Object) -> bool {
    let mut conditions = node.array_at(&["status", "conditions"]).iter();
    conditions.any(|c| c.str_at(&["type"]) == "Ready" && c.str_at(&["status"]) == "True")
}

fn node(spec: &NodeSpec) -> Value {
    let mut node = value!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": spec.name,
            "labels": {
                "kubernetes.io/hostname": spec.name,
                "kubernetes.io/os": spec.info.operating_system, "beta.kubernetes.io/os": spec.info.operating_system,
                "kubernetes.io/arch": spec.info.architecture, "beta.kubernetes.io/arch": spec.info.architecture,
            },
            "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
        },
        "spec": {},
    });
    for (field, map) in [("labels", &spec.labels), ("annotations", &spec.annotations)] {
        for (key, text) in map.iter() {
            node.set(&["metadata", field, key], text.clone());
        }
    }
    if let Some(provider_id) = &spec.provider_id {
        node.set(&["spec", "providerID"], provider_id.clone());
    }
    if !spec.taints.is_empty() {
        node.set(
            &["spec", "taints"],
            spec.taints.iter().map(crate::spec::Taint::to_value).collect::<Vec<_>>(),
        );
    }
    node
}

/// `old` says since when conditions hold.
fn status(spec: &NodeSpec, readiness: Readiness, now: &str, old: Option<&Value>) -> Value {
    let allocatable = if spec.allocatable.is_empty() { &spec.capacity } else { &spec.allocatable };
    let mut status = value!({
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": node_info(spec),
    });
    status.set(&["capacity"], spec.capacity.clone());
    status.set(&["allocatable"], allocatable.clone());
    let mut addresses: Vec<Value> =
        spec.addresses.iter().map(|(kind, address)| value!({"type": kind, "address": address})).collect();
    if !spec.addresses.iter().any(|(kind, _)| kind == "Hostname") {
        addresses.push(value!({"type": "Hostname", "address": spec.name}));
    }
    status.set(&["addresses"], addresses);
    status.set(&["conditions"], conditions(readiness, now, old));
    status
}

fn node_info(spec: &NodeSpec) -> Value {
    let info = &spec.info;
    let or = |text: &str, what: &str| match text {
        "" => seed::uuid(&[&spec.name, what]),
        text => text.to_owned(),
    };
    value!({
        "machineID": or(&info.machine_id, "machine").replace('-', ""),
        "systemUUID": or(&info.system_uuid, "system"), "bootID": or(&info.boot_id, "boot"),
        "kernelVersion": info.kernel_version, "osImage": info.os_image,
        "containerRuntimeVersion": info.container_runtime_version, "kubeletVersion": info.kubelet_version,
        // Deprecated and empty since 1.33.
        "kubeProxyVersion": "",
        "operatingSystem": info.operating_system, "architecture": info.architecture,
    })
}

fn conditions(readiness: Readiness, now: &str, old: Option<&Value>) -> Vec<Value> {
    let ready = match readiness {
        Readiness::Ready => ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
        Readiness::Starting => (
            "Ready",
            "False",
            "KubeletNotReady",
            "[container runtime status check may not have completed yet, CSINode is not yet initialized]",
        ),
    };
    let all = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ready,
    ];
    all.into_iter()
        .map(|(kind, status, reason, message)| {
            let before = old.and_then(|old| {
                let conditions = old.array_at(&["status", "conditions"]).iter();
                conditions
                    .into_iter()
                    .find(|c| c.str_at(&["type"]) == kind && c.str_at(&["status"]) == status)
            });
            let since = before.map_or(now, |before| before.str_at(&["lastTransitionTime"]));
            value!({
                "type": kind, "status": status, "reason": reason, "message": message,
                "lastHeartbeatTime": now, "lastTransitionTime": since,
            })
        })
        .collect()
}

/// Posts the whole status. `heartbeat` says that nothing but times has changed.
pub(crate) async fn post_status(
    client: &Client,
    spec: &NodeSpec,
    old: &Object,
    readiness: Readiness,
    clock: &Clock,
    heartbeat: bool,
) -> Result<(), Status> {
    let mut new = status(spec, readiness, &clock.now_rfc3339(), Some(old));
    if heartbeat {
        let conditions = new.get("conditions").cloned().unwrap_or_default();
        new = Value::object();
        new.set(&["conditions"], conditions);
    } else if old.at(&["status", "addresses"]).is_some() && !old.str_at(&["spec", "providerID"]).is_empty() {
        // The cloud controller knows the addresses better.
        new.remove(&["addresses"]);
    }
    let mut patch = Value::object();
    patch.set(&["status"], new);
    let request = Request::new(Verb::Patch(PatchType::Strategic), &NODES, "", &spec.name);
    let mut request = request.subresource("status").body(patch);
    request.options.volatile = heartbeat;
    client.object(request).await.map(drop)
}

/// Resources of other makers (`example.com/dongle`) that the node has by its status but does not give out yet.
pub(crate) fn extended(node: &Object) -> Map {
    let allocatable = node.object_at(&["status", "allocatable"]);
    let capacity = node.object_at(&["status", "capacity"]).iter();
    let new = capacity.filter(|(name, amount)| name.contains('/') && allocatable.get(name) != Some(*amount));
    Map::from_entries(new.map(|(name, amount)| (name.clone(), amount.clone())))
}

/// As kubelets do, gives out the extended resources that somebody has patched into the node's capacity.
pub(crate) async fn allocate_extended(client: &Client, node: &Object) -> Result<(), Status> {
    let mut patch = Value::object();
    patch.set(&["status", "allocatable"], extended(node));
    let request = Request::new(Verb::Patch(PatchType::Strategic), &NODES, "", node.name());
    client.object(request.subresource("status").body(patch)).await.map(drop)
}

/// Creates or renews the node's lease.
pub(crate) async fn renew_lease(client: &Client, node: &Object, clock: &Clock) -> Result<(), Status> {
    let now = clock::rfc3339_micro(clock.now());
    let name = node.name();
    let patch = value!({"spec": {"renewTime": now, "holderIdentity": name}});
    let request = Request::new(Verb::Patch(PatchType::Merge), &LEASES, LEASE_NAMESPACE, name);
    match client.object(request.body(patch).volatile()).await {
        Err(status) if status.is_not_found() => {}
        outcome => return outcome.map(drop),
    }
    let lease = value!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {
            "name": name, "namespace": LEASE_NAMESPACE,
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": name, "uid": node.uid()}],
        },
        "spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now},
    });
    let request = Request::new(Verb::Create, &LEASES, LEASE_NAMESPACE, "").body(lease).volatile();
    match client.object(request).await {
        Err(status) if !status.is_already_exists() => Err(status),
        _ => Ok(()),
    }
}
