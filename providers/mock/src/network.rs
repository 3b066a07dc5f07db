//! Load balancers and routes.

use async_trait::async_trait;
use drydock_cloud_api::{
    CloudError, ClusterRef, LoadBalancer, LoadBalancerAddress, LoadBalancerRequest, LoadBalancers, Route,
    Routes,
};
use jiff::Timestamp;

use crate::MockProvider;
use crate::account::Balancer;
use crate::journal::Change;
use crate::machine::after;

#[async_trait]
impl LoadBalancers for MockProvider {
    async fn ensure(&self, request: &LoadBalancerRequest) -> Result<Vec<LoadBalancerAddress>, CloudError> {
        let now = self.clock.now();
        self.cloud.with(|account| {
            let uid = &request.cluster.uid;
            let known = account.holdings(uid).and_then(|h| h.balancers.get(&request.name)).cloned();
            let mut balancer = known.clone().unwrap_or_else(|| Balancer {
                name: request.name.clone(),
                address: account.new_balancer_address(),
                ports: Vec::new(),
                instances: Vec::new(),
                created_at: now,
            });
            balancer.ports.clone_from(&request.ports);
            balancer.instances.clone_from(&request.instances);
            let answer = self.balancer_addresses(&balancer, now);
            let same = known.is_some_and(|k| k.ports == balancer.ports && k.instances == balancer.instances);
            if !same {
                account.commit("EnsureLoadBalancer", uid, vec![Change::Balancer(Box::new(balancer))])?;
            }
            Ok(answer)
        })
    }

    async fn delete(&self, cluster: &ClusterRef, name: &str) -> Result<(), CloudError> {
        self.cloud.with(|account| {
            if !account.holdings(&cluster.uid).is_some_and(|h| h.balancers.contains_key(name)) {
                return Ok(());
            }
            account.commit("DeleteLoadBalancer", &cluster.uid, vec![Change::ForgetBalancer(name.to_owned())])
        })
    }

    async fn list(&self, cluster: &ClusterRef) -> Result<Vec<LoadBalancer>, CloudError> {
        let now = self.clock.now();
        Ok(self.cloud.with(|account| {
            let balancers = account.holdings(&cluster.uid).into_iter().flat_map(|h| h.balancers.values());
            balancers
                .map(|balancer| LoadBalancer {
                    name: balancer.name.clone(),
                    addresses: self.balancer_addresses(balancer, now),
                    instances: balancer.instances.clone(),
                })
                .collect()
        }))
    }
}

impl MockProvider {
    fn balancer_addresses(&self, balancer: &Balancer, now: Timestamp) -> Vec<LoadBalancerAddress> {
        let ready = now >= after(balancer.created_at, self.cloud.config.balancer);
        if ready { vec![LoadBalancerAddress::Ip(balancer.address.clone())] } else { Vec::new() }
    }
}

#[async_trait]
impl Routes for MockProvider {
    async fn list(&self, cluster: &ClusterRef) -> Result<Vec<Route>, CloudError> {
        let now = self.clock.now();
        Ok(self.cloud.with(|account| {
            let Some(holdings) = account.holdings(&cluster.uid) else { return Vec::new() };
            let alive = |id: &str| holdings.machines.get(id).is_some_and(|m| !self.is_terminated(m, now));
            let routes = holdings.routes.values().cloned();
            routes.map(|route| Route { blackhole: !alive(&route.target_instance), ..route }).collect()
        }))
    }

    async fn create(&self, cluster: &ClusterRef, route: &Route) -> Result<(), CloudError> {
        self.cloud
            .with(|account| account.commit("CreateRoute", &cluster.uid, vec![Change::Route(route.clone())]))
    }

    async fn delete(&self, cluster: &ClusterRef, route: &Route) -> Result<(), CloudError> {
        self.cloud.with(|account| {
            if !account.holdings(&cluster.uid).is_some_and(|h| h.routes.contains_key(&route.destination_cidr))
            {
                return Ok(());
            }
            let change = Change::ForgetRoute(route.destination_cidr.clone());
            account.commit("DeleteRoute", &cluster.uid, vec![change])
        })
    }
}
