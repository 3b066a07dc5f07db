//! The route controller: every Node's pod CIDRs lead to its machine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use drydock_client::{PatchType, resources};
use drydock_cloud_api::{CloudError, Route, Routes};
use drydock_machinery::{Object, ObjectMeta, Status, value};
use drydock_runtime::{OnError, Stopwatch, Tasks};

use super::Context;
use crate::pace::rest;

/// `--route-reconciliation-period`.
const EVERY: Duration = Duration::from_secs(10);

pub(super) fn start(context: Context, routes: Arc<dyn Routes>, tasks: &Tasks) {
    let controller = Arc::new(RouteController { context, routes });
    tasks.supervise("route-controller", OnError::Restart, move || {
        let controller = controller.clone();
        async move {
            controller.context.nodes.synced().await;
            loop {
                let working = Stopwatch::start();
                // Without Nodes there is nothing but routes of former ones: one look takes them.
                if let Err(error) = controller.reconcile().await {
                    tracing::warn!(%error, "couldn't reconcile node routes");
                }
                rest(&controller.context.clock, EVERY, working.elapsed()).await;
                if controller.context.nodes.is_empty() {
                    let _ = controller.reconcile().await;
                }
                controller.context.some_nodes().await;
            }
        }
    });
}

struct RouteController {
    context: Context,
    routes: Arc<dyn Routes>,
}

impl RouteController {
    async fn reconcile(&self) -> Result<(), CloudError> {
        let cluster = &self.context.cluster;
        let nodes = self.context.nodes.list();
        let existing = self.routes.list(cluster).await?;
        let mut wanted: BTreeMap<String, (Route, Arc<Object>)> = BTreeMap::new();
        for node in &nodes {
            for route in self.routes_of(node) {
                wanted.insert(route.destination_cidr.clone(), (route, node.clone()));
            }
        }
        for route in &existing {
            let right = wanted.get(&route.destination_cidr);
            let right = right.is_some_and(|(want, _)| want.target_instance == route.target_instance);
            if !right || route.blackhole {
                self.routes.delete(cluster, route).await?;
            }
        }
        for (cidr, (route, node)) in &wanted {
            let there = existing.iter().any(|have| {
                have.destination_cidr == *cidr
                    && have.target_instance == route.target_instance
                    && !have.blackhole
            });
            let outcome = if there { Ok(()) } else { self.routes.create(cluster, route).await };
            self.report(node, route, outcome).await;
        }
        Ok(())
    }

    fn routes_of(&self, node: &Object) -> Vec<Route> {
        let target = self.context.provider.instance_id(node.str_at(&["spec", "providerID"]));
        let Some(target) = target else { return Vec::new() };
        let cidrs = node.array_at(&["spec", "podCIDRs"]).iter().filter_map(|cidr| cidr.as_str());
        cidrs
            .enumerate()
            .map(|(n, cidr)| Route {
                // The cluster's name keeps it readable, the Node's UID unique.
                name: format!("{:.26}-{}-{n}", self.context.cluster.name, node.uid()),
                target_instance: target.clone(),
                destination_cidr: cidr.to_owned(),
                blackhole: false,
            })
            .collect()
    }

    async fn report(&self, node: &Object, route: &Route, outcome: Result<(), CloudError>) {
        let written = match outcome {
            Ok(()) => {
                self.set_condition(node, "False", "RouteCreated", "RouteController created a route").await
            }
            Err(error) => {
                let message = format!(
                    "Could not create route {} {} for node {}: {error}",
                    route.name,
                    route.destination_cidr,
                    node.name()
                );
                self.context.events.warning(node, "FailedToCreateRoute", message);
                let why = "RouteController failed to create a route";
                self.set_condition(node, "True", "NoRouteCreated", why).await
            }
        };
        if let Err(status) = written {
            tracing::debug!(node = node.name(), %status, "network condition was not written");
        }
    }

    async fn set_condition(
        &self,
        node: &Object,
        state: &str,
        reason: &str,
        message: &str,
    ) -> Result<(), Status> {
        let mut conditions = node.array_at(&["status", "conditions"]).iter();
        let known = conditions.find(|condition| condition.str_at(&["type"]) == "NetworkUnavailable");
        if known.is_some_and(|known| known.str_at(&["status"]) == state) {
            return Ok(());
        }
        let now = self.context.clock.now_rfc3339();
        let patch = value!({"status": {"conditions": [{
            "type": "NetworkUnavailable", "status": state, "reason": reason, "message": message,
            "lastTransitionTime": now, "lastHeartbeatTime": now,
        }]}});
        let client = &self.context.client;
        client.patch_status(&resources::NODES, "", node.name(), PatchType::Strategic, patch).await.map(drop)
    }
}
