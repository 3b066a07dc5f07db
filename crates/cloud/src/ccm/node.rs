//! The cloud node controller: initialises Nodes, and keeps their addresses.

use std::sync::Arc;
use std::time::Duration;

use drydock_client::{Controller, PatchType, WorkQueue, resources};
use drydock_cloud_api::{Address, AddressKind, Instance, Instances};
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value, value};
use drydock_runtime::{OnError, Stopwatch, Tasks};

use super::Context;
use super::lookup::Lookup;
use crate::UNINITIALIZED_TAINT;
use crate::pace::rest;

/// `--node-status-update-frequency`.
const ADDRESSES_EVERY: Duration = Duration::from_secs(300);
const WORKERS: usize = 8;
/// As client-go's `RetryOnConflict`.
const CONFLICTS: usize = 20;

const PROVIDED_NODE_IP: &str = "alpha.kubernetes.io/provided-node-ip";

pub(super) fn start(context: Context, instances: Arc<dyn Instances>, tasks: &Tasks) {
    let queue = Arc::new(WorkQueue::new(context.clock.clone()));
    let enqueue = queue.clone();
    context.nodes.on_change(move |change| {
        if is_uninitialized(change.object()) {
            enqueue.add_object(change.object());
        }
    });
    let lookup =
        Lookup::new(context.cluster.clone(), context.provider.clone(), instances, context.clock.clone());
    let controller = Arc::new(NodeController { context, lookup });
    let nodes = controller.context.nodes.clone();
    let refresh = controller.clone();
    Controller::new("cloud-node-controller", queue).workers(WORKERS).needs([nodes]).start(
        tasks,
        move |key| {
            let controller = controller.clone();
            async move { controller.initialize(&key).await }
        },
    );
    tasks.supervise("cloud-node-addresses", OnError::Restart, move || {
        let controller = refresh.clone();
        async move {
            loop {
                controller.context.some_nodes().await;
                let looking = Stopwatch::start();
                controller.refresh_addresses().await;
                rest(&controller.context.clock, ADDRESSES_EVERY, looking.elapsed()).await;
            }
        }
    });
}

struct NodeController {
    context: Context,
    lookup: Lookup,
}

impl NodeController {
    async fn initialize(&self, key: &Key) -> Result<(), Status> {
        for _ in 0..CONFLICTS {
            match self.initialize_once(key).await {
                Err(status) if status.is_conflict() => {}
                outcome => return outcome,
            }
        }
        self.initialize_once(key).await
    }

    async fn initialize_once(&self, name: &str) -> Result<(), Status> {
        let client = &self.context.client;
        let Some(node) = client.find(&resources::NODES, "", name).await? else { return Ok(()) };
        if !is_uninitialized(&node) {
            return Ok(());
        }
        let found = self.lookup.find(&node).await.map_err(|error| {
            Status::internal(format!("failed to get instance metadata for node {name}: {error}"))
        })?;
        let instance = found.ok_or_else(|| {
            Status::internal(format!("failed to get instance metadata for node {name}: instance not found"))
        })?;
        let updated = client.update(&resources::NODES, initialized(&node, &instance)).await?;
        self.update_addresses(&updated, &instance).await?;
        self.context.events.normal(&updated, "Synced", "Node synced successfully");
        Ok(())
    }

    async fn update_addresses(&self, node: &Object, instance: &Instance) -> Result<(), Status> {
        let Some(addresses) = node_addresses(node, instance) else {
            tracing::warn!(node = node.name(), "the node's provided IP is not one of its machine's");
            return Ok(());
        };
        if node.array_at(&["status", "addresses"]) == addresses.as_slice() {
            return Ok(());
        }
        let patch = value!({"status": {"addresses": addresses}});
        let client = &self.context.client;
        client.patch_status(&resources::NODES, "", node.name(), PatchType::Merge, patch).await.map(drop)
    }

    async fn refresh_addresses(&self) {
        self.lookup.invalidate();
        for node in self.context.nodes.list() {
            if is_uninitialized(&node) {
                continue;
            }
            match self.lookup.find(&node).await {
                Ok(Some(instance)) if !instance.addresses.is_empty() => {
                    if let Err(status) = self.update_addresses(&node, &instance).await {
                        tracing::debug!(node = node.name(), %status, "addresses were not refreshed");
                    }
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(node = node.name(), %error, "cannot refresh addresses"),
            }
        }
    }
}

fn is_uninitialized(node: &Value) -> bool {
    node.array_at(&["spec", "taints"]).iter().any(|taint| taint.str_at(&["key"]) == UNINITIALIZED_TAINT)
}

/// The Node as its machine is: providerID, labels, and without the taint.
fn initialized(node: &Object, instance: &Instance) -> Value {
    let mut out = node.value().clone();
    if out.str_at(&["spec", "providerID"]).is_empty() {
        out.set(&["spec", "providerID"], instance.provider_id.as_str());
    }
    let facts = [
        (["node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type"], &instance.instance_type),
        (["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"], &instance.zone),
        (["topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"], &instance.region),
    ];
    for (labels, fact) in facts {
        for label in labels.into_iter().filter(|_| !fact.is_empty()) {
            out.set(&["metadata", "labels", label], fact.as_str());
        }
    }
    let taints = node.array_at(&["spec", "taints"]).iter();
    let kept: Vec<Value> =
        taints.filter(|taint| taint.str_at(&["key"]) != UNINITIALIZED_TAINT).cloned().collect();
    if kept.is_empty() {
        out.remove(&["spec", "taints"]);
    } else {
        out.set(&["spec", "taints"], kept);
    }
    out
}

/// The machine's addresses, with the kubelet's own hostname when the cloud knows none, and narrowed to the IP that the
/// kubelet was told to use. None when the machine does not have that IP.
fn node_addresses(node: &Object, instance: &Instance) -> Option<Vec<Value>> {
    let mut addresses = instance.addresses.clone();
    let hostname = node
        .array_at(&["status", "addresses"])
        .iter()
        .find(|address| address.str_at(&["type"]) == AddressKind::Hostname.as_str());
    if let Some(hostname) = hostname
        && addresses.iter().all(|address| address.kind != AddressKind::Hostname)
    {
        let address = hostname.str_at(&["address"]).to_owned();
        addresses.push(Address { kind: AddressKind::Hostname, address });
    }
    if let Some(ip) = node.annotation(PROVIDED_NODE_IP) {
        let chosen: Vec<Address> = addresses.iter().filter(|a| a.address == ip).cloned().collect();
        if chosen.is_empty() {
            return None;
        }
        let others = addresses.iter().filter(|a| chosen.iter().all(|c| c.kind != a.kind)).cloned();
        addresses = chosen.iter().cloned().chain(others).collect();
    }
    let to_value = |a: &Address| value!({"type": a.kind.as_str(), "address": a.address});
    Some(addresses.iter().map(to_value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use drydock_cloud_api::InstanceState;

    fn instance(addresses: &[(AddressKind, &str)]) -> Instance {
        let address =
            |(kind, address): &(AddressKind, &str)| Address { kind: *kind, address: (*address).into() };
        Instance {
            id: "i-1".into(),
            provider_id: "aws:///us-east-1a/i-1".into(),
            node_name: "n".into(),
            node_pool: "p".into(),
            state: InstanceState::Running,
            instance_type: "t3.medium".into(),
            zone: "us-east-1a".into(),
            region: "us-east-1".into(),
            addresses: addresses.iter().map(address).collect(),
            tags: Default::default(),
            client_token: String::new(),
            failure: None,
        }
    }

    #[test]
    fn addresses_keep_the_hostname_and_honour_a_provided_ip() {
        use AddressKind::{ExternalIP, InternalIP};
        let machine =
            instance(&[(InternalIP, "10.0.0.1"), (InternalIP, "10.0.0.2"), (ExternalIP, "3.3.3.3")]);
        let node = |annotations: Value| {
            Object::new(
                value!({
                    "metadata": {"name": "n", "annotations": annotations},
                    "status": {"addresses": [{"type": "Hostname", "address": "n"}]},
                }),
                1,
            )
        };
        let show = |node: &Object| {
            let addresses = node_addresses(node, &machine)?;
            let text =
                addresses.iter().map(|a| format!("{}={}", a.str_at(&["type"]), a.str_at(&["address"])));
            Some(text.collect::<Vec<_>>().join(" "))
        };
        let plain = node(value!({}));
        let all = "InternalIP=10.0.0.1 InternalIP=10.0.0.2 ExternalIP=3.3.3.3 Hostname=n";
        assert_eq!(show(&plain).as_deref(), Some(all));
        let told = node(value!({PROVIDED_NODE_IP: "10.0.0.2"}));
        assert_eq!(show(&told).as_deref(), Some("InternalIP=10.0.0.2 ExternalIP=3.3.3.3 Hostname=n"));
        assert_eq!(show(&node(value!({PROVIDED_NODE_IP: "10.9.9.9"}))), None);
    }

    #[test]
    fn an_initialized_node_has_its_machines_facts_and_its_other_taints() {
        let node = Object::new(
            value!({
                "metadata": {"name": "n", "labels": {"mine": "yes"}},
                "spec": {"taints": [
                    {"key": UNINITIALIZED_TAINT, "value": "true", "effect": "NoSchedule"},
                    {"key": "gpu", "effect": "NoSchedule"},
                ]},
            }),
            1,
        );
        let out = initialized(&node, &instance(&[]));
        assert_eq!(out.str_at(&["spec", "providerID"]), "aws:///us-east-1a/i-1");
        assert_eq!(out.at(&["spec", "taints"]), Some(&value!([{"key": "gpu", "effect": "NoSchedule"}])));
        assert_eq!(
            Value::from(out.labels().clone()),
            value!({
                "mine": "yes",
                "beta.kubernetes.io/instance-type": "t3.medium",
                "node.kubernetes.io/instance-type": "t3.medium",
                "topology.kubernetes.io/zone": "us-east-1a",
                "failure-domain.beta.kubernetes.io/zone": "us-east-1a",
                "topology.kubernetes.io/region": "us-east-1",
                "failure-domain.beta.kubernetes.io/region": "us-east-1",
            })
        );
    }
}
