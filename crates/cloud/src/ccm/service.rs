//! The service controller: a load balancer for every Service of type LoadBalancer without a class.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use drydock_client::{Controller, Informer, PatchType, WorkQueue, resources};
use drydock_cloud_api::{LoadBalancerAddress, LoadBalancerPort, LoadBalancerRequest, LoadBalancers};
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value, value};
use drydock_runtime::Tasks;
use parking_lot::Mutex;

use super::Context;

const FINALIZER: &str = "service.kubernetes.io/load-balancer-cleanup";
const EXCLUDE_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";
const AUTOSCALER_TAINT: &str = "ToBeDeletedByClusterAutoscaler";
/// A failed sync comes back after 5 s, doubling to 5 min.
const FIRST_DELAY: Duration = Duration::from_secs(5);
const LAST_DELAY: Duration = Duration::from_secs(300);
/// A load balancer without an address is looked at again.
const ADDRESS_EVERY: Duration = Duration::from_secs(1);

pub(super) fn start(
    context: Context,
    balancers: Arc<dyn LoadBalancers>,
    services: Arc<Informer>,
    tasks: &Tasks,
) {
    let queue = Arc::new(WorkQueue::new(context.clock.clone()));
    let enqueue = queue.clone();
    services.on_change(move |change| {
        let concerns = |service: &Object| wants_balancer(service) || has_finalizer(service);
        if concerns(change.object()) || change.old().is_some_and(|old| concerns(old)) {
            enqueue.add_object(change.object());
        }
    });
    let (enqueue, all) = (queue.clone(), services.clone());
    context.nodes.on_change(move |change| {
        // Readiness does not matter, and a heartbeat changes nothing.
        let same = change.old().is_some_and(|old| backend(old) == backend(change.object()));
        if !same {
            for service in all.list().iter().filter(|service| wants_balancer(service)) {
                enqueue.add_object(service);
            }
        }
    });
    let needs = [services.clone(), context.nodes.clone()];
    let controller = Arc::new(ServiceController {
        context,
        balancers,
        services,
        queue: queue.clone(),
        synced: Mutex::default(),
    });
    Controller::new("service-controller", queue).needs(needs).start(tasks, move |key| {
        let controller = controller.clone();
        async move {
            controller.sync(&key).await;
            Ok(())
        }
    });
}

struct ServiceController {
    context: Context,
    balancers: Arc<dyn LoadBalancers>,
    services: Arc<Informer>,
    queue: Arc<WorkQueue>,
    /// By key: what was last made so.
    synced: Mutex<HashMap<Key, Synced>>,
}

#[derive(Default, Clone)]
struct Synced {
    request: Option<LoadBalancerRequest>,
    has_address: bool,
    failures: u32,
    /// It was said that there is no node yet.
    warned: bool,
}

impl ServiceController {
    async fn sync(&self, key: &Key) {
        let Some(service) = self.services.get_key(key) else {
            self.synced.lock().remove(key);
            return;
        };
        let outcome = if wants_balancer(&service) && !service.is_deleting() {
            self.ensure(key, &service).await
        } else {
            self.clean_up(key, &service).await
        };
        let Err(why) = outcome else { return };
        let mut synced = self.synced.lock();
        let entry = synced.entry(key.clone()).or_default();
        let delay = FIRST_DELAY.saturating_mul(1 << entry.failures.min(8)).min(LAST_DELAY);
        entry.failures += 1;
        drop(synced);
        let message = format!("Error syncing load balancer: {why}");
        self.context.events.warning(&service, "SyncLoadBalancerFailed", message);
        self.queue.add_after(key.clone(), delay);
    }

    async fn ensure(&self, key: &Key, service: &Arc<Object>) -> Result<(), String> {
        let request = self.request(service);
        let before = self.synced.lock().get(key).cloned().unwrap_or_default();
        let same = before.request.as_ref() == Some(&request);
        if same && before.has_address {
            return Ok(());
        }
        if request.instances.is_empty() && before.request.is_none() && !has_finalizer(service) {
            self.await_first_node(key, service);
            return Ok(());
        }
        let only_hosts = before.request.as_ref().is_some_and(|old| {
            LoadBalancerRequest { instances: request.instances.clone(), ..old.clone() } == request
        });
        let events = &self.context.events;
        if request.instances.is_empty() && !same {
            self.warn_of_no_nodes(service);
        }
        if !only_hosts {
            events.normal(service, "EnsuringLoadBalancer", "Ensuring load balancer");
        }
        self.add_finalizer(service)
            .await
            .map_err(|status| format!("failed to add load balancer cleanup finalizer: {status}"))?;
        let addresses = self.balancers.ensure(&request).await.map_err(|error| {
            if only_hosts {
                let message = format!("Error updating load balancer with new hosts: {error}");
                events.warning(service, "UpdateLoadBalancerFailed", message);
            }
            format!("failed to ensure load balancer: {error}")
        })?;
        let has_address = !addresses.is_empty();
        // Before there is an address, what others wrote there stays.
        if has_address || before.has_address {
            self.write_status(service, &addresses)
                .await
                .map_err(|status| format!("failed to update load balancer status: {status}"))?;
        }
        let entry = Synced { request: Some(request), has_address, ..Synced::default() };
        self.synced.lock().insert(key.clone(), entry);
        if !has_address {
            self.queue.add_after(key.clone(), ADDRESS_EVERY);
        } else if only_hosts && before.has_address {
            events.normal(service, "UpdatedLoadBalancer", "Updated load balancer with new hosts");
        } else {
            events.normal(service, "EnsuredLoadBalancer", "Ensured load balancer");
        }
        Ok(())
    }

    /// A cluster without nodes gets no load balancer, which would cost money and lead nowhere. A node's coming starts
    /// it.
    fn await_first_node(&self, key: &Key, service: &Object) {
        let warned = {
            let mut synced = self.synced.lock();
            std::mem::replace(&mut synced.entry(key.clone()).or_default().warned, true)
        };
        if !warned {
            self.warn_of_no_nodes(service);
        }
    }

    fn warn_of_no_nodes(&self, service: &Object) {
        let message = "There are no available nodes for LoadBalancer";
        self.context.events.warning(service, "UnAvailableLoadBalancer", message);
    }

    async fn clean_up(&self, key: &Key, service: &Arc<Object>) -> Result<(), String> {
        if !has_finalizer(service) {
            self.synced.lock().remove(key);
            return Ok(());
        }
        let events = &self.context.events;
        events.normal(service, "DeletingLoadBalancer", "Deleting load balancer");
        let name = balancer_name(service);
        self.balancers
            .delete(&self.context.cluster, &name)
            .await
            .map_err(|error| format!("failed to delete load balancer: {error}"))?;
        self.write_status(service, &[])
            .await
            .map_err(|status| format!("failed to clear status: {status}"))?;
        self.remove_finalizer(service)
            .await
            .map_err(|status| format!("failed to remove load balancer cleanup finalizer: {status}"))?;
        events.normal(service, "DeletedLoadBalancer", "Deleted load balancer");
        self.synced.lock().remove(key);
        Ok(())
    }

    fn request(&self, service: &Object) -> LoadBalancerRequest {
        let text = |value: &Value, field: &str| value.str_at(&[field]).to_owned();
        let port = |value: &Value, field: &str| {
            value.i64_at(&[field]).and_then(|port| u16::try_from(port).ok()).unwrap_or(0)
        };
        let ports = service.array_at(&["spec", "ports"]).iter().map(|p| LoadBalancerPort {
            name: text(p, "name"),
            protocol: text(p, "protocol"),
            port: port(p, "port"),
            node_port: port(p, "nodePort"),
        });
        let annotations = service.annotations().iter();
        let annotations = annotations
            .filter_map(|(key, value)| Some((key.to_string(), value.as_str()?.to_owned())))
            .collect();
        let nodes = self.context.nodes.list();
        let provider = &self.context.provider;
        let instances =
            nodes.iter().filter_map(|node| backend(node)).filter_map(|id| provider.instance_id(id));
        LoadBalancerRequest {
            cluster: self.context.cluster.clone(),
            name: balancer_name(service),
            namespace: service.namespace().to_owned(),
            service: service.name().to_owned(),
            ports: ports.collect(),
            instances: instances.collect(),
            internal: is_internal(&annotations),
            annotations,
        }
    }

    async fn add_finalizer(&self, service: &Object) -> Result<(), Status> {
        if has_finalizer(service) {
            return Ok(());
        }
        let finalizers: Vec<&str> = service.finalizers().chain([FINALIZER]).collect();
        self.write_finalizers(service, &finalizers).await
    }

    async fn remove_finalizer(&self, service: &Object) -> Result<(), Status> {
        let finalizers: Vec<&str> = service.finalizers().filter(|name| *name != FINALIZER).collect();
        match self.write_finalizers(service, &finalizers).await {
            Err(status) if status.is_not_found() => Ok(()),
            outcome => outcome,
        }
    }

    async fn write_finalizers(&self, service: &Object, finalizers: &[&str]) -> Result<(), Status> {
        let patch = value!({"metadata": {"finalizers": finalizers}});
        let (namespace, name) = (service.namespace(), service.name());
        let client = &self.context.client;
        client.patch(&resources::SERVICES, namespace, name, PatchType::Merge, patch).await.map(drop)
    }

    async fn write_status(&self, service: &Object, addresses: &[LoadBalancerAddress]) -> Result<(), Status> {
        let ingress: Vec<Value> = addresses
            .iter()
            .map(|address| match address {
                LoadBalancerAddress::Ip(ip) => value!({"ip": ip, "ipMode": "VIP"}),
                LoadBalancerAddress::Hostname(hostname) => value!({"hostname": hostname}),
            })
            .collect();
        if service.array_at(&["status", "loadBalancer", "ingress"]) == ingress.as_slice() {
            return Ok(());
        }
        let patch = if ingress.is_empty() {
            value!({"status": {"loadBalancer": {"ingress": null}}})
        } else {
            value!({"status": {"loadBalancer": {"ingress": ingress}}})
        };
        let (namespace, name) = (service.namespace(), service.name());
        let client = &self.context.client;
        client.patch_status(&resources::SERVICES, namespace, name, PatchType::Merge, patch).await.map(drop)
    }
}

fn wants_balancer(service: &Object) -> bool {
    service.str_at(&["spec", "type"]) == "LoadBalancer"
        && service.at(&["spec", "loadBalancerClass"]).is_none_or(Value::is_null)
}

fn has_finalizer(service: &Object) -> bool {
    service.finalizers().any(|name| name == FINALIZER)
}

/// `DefaultLoadBalancerName`.
fn balancer_name(service: &Object) -> String {
    let mut name = format!("a{}", service.uid().replace('-', ""));
    name.truncate(32);
    name
}

fn is_internal(annotations: &std::collections::BTreeMap<String, String>) -> bool {
    let says = |key: &str, value: &str| annotations.get(key).is_some_and(|v| v.eq_ignore_ascii_case(value));
    says("service.beta.kubernetes.io/aws-load-balancer-internal", "true")
        || says("service.beta.kubernetes.io/aws-load-balancer-scheme", "internal")
        || says("service.beta.kubernetes.io/azure-load-balancer-internal", "true")
        || says("networking.gke.io/load-balancer-type", "Internal")
}

/// The providerID of a Node that takes traffic.
fn backend(node: &Object) -> Option<&str> {
    let provider_id = node.str_at(&["spec", "providerID"]);
    let leaving =
        node.array_at(&["spec", "taints"]).iter().any(|taint| taint.str_at(&["key"]) == AUTOSCALER_TAINT);
    let out = node.is_deleting() || leaving || node.label(EXCLUDE_LABEL).is_some() || provider_id.is_empty();
    (!out).then_some(provider_id)
}
