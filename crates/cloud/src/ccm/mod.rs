//! The cloud controller manager, as k8s.io/cloud-provider has it, over the provider seam.
//!
//! * `node`: initialises Nodes that registered with the uninitialized taint, and keeps their addresses;
//! * `lifecycle`: deletes Nodes whose machine is gone, taints those whose machine is stopped;
//! * `service`: gives Services of type LoadBalancer their load balancer, where the cloud has them;
//! * `route`: points pod CIDRs to machines, where the cloud has routes.
//!
//! Owns no durable state. Absent: node pools, which are not Kubernetes' business.

mod lifecycle;
mod lookup;
mod node;
mod route;
mod service;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use drydock_client::{Change, Client, EventRecorder, Informer, SharedInformers, resources};
use drydock_cloud_api::{CloudProvider, ClusterRef};
use drydock_runtime::{Clock, Tasks};
use tokio::sync::Notify;

/// What the cloud controller manager works with.
#[derive(Clone)]
pub struct CcmConfig {
    pub cluster: ClusterRef,
    pub provider: Arc<dyn CloudProvider>,
    /// As `system:cloud-controller-manager`: nodes and their status, services and their status, events.
    pub client: Client,
    pub informers: SharedInformers,
}

/// The controllers of one cluster. They end with the tasks they were started on.
#[derive(Debug)]
pub struct CloudControllerManager;

/// What every controller here has.
#[derive(Clone)]
struct Context {
    cluster: ClusterRef,
    provider: Arc<dyn CloudProvider>,
    client: Client,
    events: EventRecorder,
    clock: Clock,
    nodes: Arc<Informer>,
    /// Told when a Node comes.
    came: Arc<Notify>,
}

impl Context {
    /// Waits while there are no Nodes at all, so that a cluster without any costs nothing.
    async fn some_nodes(&self) {
        while self.nodes.is_empty() {
            self.came.notified().await;
        }
    }
}

impl CloudControllerManager {
    /// Starts the controllers for which the provider has what they need.
    pub fn start(config: CcmConfig, tasks: &Tasks) -> Self {
        let nodes = config.informers.informer(&resources::NODES);
        let context = |component: &str| Context {
            came: came(&nodes),
            cluster: config.cluster.clone(),
            provider: config.provider.clone(),
            client: config.client.clone(),
            events: EventRecorder::new(config.client.clone(), tasks.clone(), component),
            clock: tasks.clock().clone(),
            nodes: nodes.clone(),
        };
        if let Some(instances) = config.provider.instances() {
            node::start(context("cloud-node-controller"), instances.clone(), tasks);
            lifecycle::start(context("cloud-node-lifecycle-controller"), instances, tasks);
        }
        if let Some(balancers) = config.provider.load_balancers() {
            let services = config.informers.informer(&resources::SERVICES);
            service::start(context("service-controller"), balancers, services, tasks);
        }
        if let Some(routes) = config.provider.routes() {
            route::start(context("route_controller"), routes, tasks);
        }
        Self
    }
}

/// Told when a Node comes. One for each waiter, since a notice goes to one.
fn came(nodes: &Informer) -> Arc<Notify> {
    let came = Arc::new(Notify::new());
    let notify = came.clone();
    nodes.on_change(move |change| {
        if let Change::Added(_) = change {
            notify.notify_one();
        }
    });
    came
}
