//! The capabilities, as one tenant sees them on its clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use drydock_cloud_api::{
    CloudError, CloudErrorKind, CloudProvider, ClusterRef, Instance, InstanceType, Instances, LaunchRequest,
    LoadBalancer, LoadBalancerAddress, LoadBalancerRequest, LoadBalancers, PoolRequest, Route, Routes, Zones,
    catalog,
};
use drydock_runtime::Clock;
use jiff::Timestamp;
use rand::Rng;

use crate::MockCloud;
use crate::account::{Account, Balancer, Holdings};
use crate::journal::Change;
use crate::machine::{Machine, after};
use crate::places;

/// One tenant's view of a [`MockCloud`]. Besides the capabilities it has what one does at a cloud's console.
#[derive(Clone, Debug)]
pub struct MockProvider {
    cloud: Arc<MockCloud>,
    clock: Clock,
}

impl MockProvider {
    pub(crate) fn new(cloud: Arc<MockCloud>, clock: Clock) -> Self {
        Self { cloud, clock }
    }

    /// Stops a machine. False when there is none of that id that could be stopped.
    pub fn stop_by_hand(&self, id: &str) -> bool {
        let now = self.clock.now();
        self.change_machine(id, |machine| machine.stopped_at = Some(machine.stopped_at.unwrap_or(now)))
    }

    /// Starts a stopped machine.
    pub fn start_by_hand(&self, id: &str) -> bool {
        let now = self.clock.now();
        self.change_machine(id, |machine| {
            if machine.stopped_at.take().is_some() {
                machine.started_at = now;
            }
        })
    }

    /// Terminates a machine, as an impatient colleague or the end of a spot offer does.
    pub fn terminate_by_hand(&self, id: &str) -> bool {
        let now = self.clock.now();
        self.change_machine(id, |machine| machine.terminated_at = Some(now))
    }

    fn change_machine(&self, id: &str, change: impl FnOnce(&mut Machine)) -> bool {
        self.cloud.with(|account| {
            let owner = account.clusters.iter().find(|(_, holdings)| holdings.machines.contains_key(id));
            let Some((cluster, holdings)) = owner else { return false };
            let mut machine = holdings.machines[id].clone();
            if machine.terminated_at.is_some() {
                return false;
            }
            change(&mut machine);
            let cluster = cluster.clone();
            account.commit("change", &cluster, vec![Change::Machine(Box::new(machine))]).is_ok()
        })
    }
}

impl CloudProvider for MockProvider {
    fn name(&self) -> &'static str {
        "mock"
    }

    fn instances(&self) -> Option<Arc<dyn Instances>> {
        Some(Arc::new(self.clone()))
    }

    fn load_balancers(&self) -> Option<Arc<dyn LoadBalancers>> {
        Some(Arc::new(self.clone()))
    }

    fn routes(&self) -> Option<Arc<dyn Routes>> {
        Some(Arc::new(self.clone()))
    }

    fn zones(&self) -> Option<Arc<dyn Zones>> {
        Some(Arc::new(self.clone()))
    }
}

fn invalid(operation: &'static str, message: String) -> CloudError {
    CloudError::new(CloudErrorKind::InvalidRequest, operation, message)
}

fn check_region(operation: &'static str, region: &str) -> Result<(), CloudError> {
    if places::is_region(region) {
        return Ok(());
    }
    let known = places::REGIONS.join(", ");
    Err(invalid(operation, format!("InvalidRegion: there is no region {region:?}; those are {known}")))
}

fn check_type(operation: &'static str, name: &str) -> Result<InstanceType, CloudError> {
    catalog::any(name).ok_or_else(|| {
        invalid(operation, format!("InvalidInstanceType: the instance type {name:?} does not exist"))
    })
}

#[async_trait]
impl Instances for MockProvider {
    async fn prepare_pool(&self, pool: &PoolRequest) -> Result<(), CloudError> {
        const OP: &str = "PreparePool";
        check_region(OP, &pool.cluster.region)?;
        check_type(OP, &pool.instance_type)?;
        let known = places::zones(&pool.cluster.region);
        if let Some(zone) = pool.zones.iter().find(|zone| !known.contains(zone)) {
            return Err(invalid(
                OP,
                format!("InvalidZone: {zone:?} is not a zone of {}", pool.cluster.region),
            ));
        }
        self.cloud.with(|account| {
            let there =
                account.holdings(&pool.cluster.uid).is_some_and(|h| h.pools.contains(&pool.node_pool));
            if there {
                return Ok(());
            }
            account.commit(OP, &pool.cluster.uid, vec![Change::Pool(pool.node_pool.clone())])
        })
    }

    async fn release_pool(&self, cluster: &ClusterRef, node_pool: &str) -> Result<(), CloudError> {
        self.cloud.with(|account| {
            if !account.holdings(&cluster.uid).is_some_and(|h| h.pools.contains(node_pool)) {
                return Ok(());
            }
            account.commit("ReleasePool", &cluster.uid, vec![Change::ForgetPool(node_pool.to_owned())])
        })
    }

    async fn release_cluster(&self, cluster: &ClusterRef) -> Result<(), CloudError> {
        const OP: &str = "ReleaseCluster";
        let now = self.clock.now();
        self.cloud.with(|account| {
            let Some(holdings) = account.holdings(&cluster.uid) else { return Ok(()) };
            let in_use = holdings.machines.values().find(|m| !is_terminated(m, now, self));
            if let Some(machine) = in_use {
                let message = format!("DependencyViolation: {} still uses the cluster's network", machine.id);
                return Err(CloudError::new(CloudErrorKind::InUse, OP, message));
            }
            let machines = holdings.machines.keys().cloned().map(Change::ForgetMachine);
            let pools = holdings.pools.iter().cloned().map(Change::ForgetPool);
            let routes = holdings.routes.keys().cloned().map(Change::ForgetRoute);
            let changes = machines.chain(pools).chain(routes).collect();
            account.commit(OP, &cluster.uid, changes)
        })
    }

    async fn launch(&self, request: &LaunchRequest) -> Result<Instance, CloudError> {
        const OP: &str = "RunInstances";
        check_region(OP, &request.cluster.region)?;
        check_type(OP, &request.instance_type)?;
        let now = self.clock.now();
        self.cloud.with(|account| {
            let none = Holdings::default();
            let holdings = account.holdings(&request.cluster.uid).unwrap_or(&none);
            let known = holdings.by_token.get(&request.client_token).and_then(|id| holdings.machines.get(id));
            if let Some(machine) = known.filter(|machine| !machine.is_forgotten(now)) {
                return Ok(machine.describe(now, &self.cloud.config));
            }
            let zone = self.choose_zone(account, request, now)?;
            let machine = new_machine(holdings, request, zone, now)?;
            let answer = machine.describe(now, &self.cloud.config);
            let mut changes = forget_old(holdings, now);
            changes.push(Change::Machine(Box::new(machine)));
            account.commit(OP, &request.cluster.uid, changes)?;
            Ok(answer)
        })
    }

    async fn list(&self, cluster: &ClusterRef) -> Result<Vec<Instance>, CloudError> {
        let now = self.clock.now();
        Ok(self.cloud.with(|account| {
            let machines = account.holdings(&cluster.uid).into_iter().flat_map(|h| h.machines.values());
            machines
                .filter(|machine| !is_terminated(machine, now, self))
                .map(|machine| machine.describe(now, &self.cloud.config))
                .collect()
        }))
    }

    async fn get(&self, cluster: &ClusterRef, id: &str) -> Result<Option<Instance>, CloudError> {
        let now = self.clock.now();
        Ok(self.cloud.with(|account| {
            let machine = account.holdings(&cluster.uid)?.machines.get(id)?;
            (!machine.is_forgotten(now)).then(|| machine.describe(now, &self.cloud.config))
        }))
    }

    async fn terminate(&self, cluster: &ClusterRef, id: &str) -> Result<(), CloudError> {
        let now = self.clock.now();
        self.cloud.with(|account| {
            let machine = account.holdings(&cluster.uid).and_then(|h| h.machines.get(id));
            let Some(mut machine) = machine.filter(|m| m.terminated_at.is_none()).cloned() else {
                return Ok(());
            };
            machine.terminated_at = Some(now);
            account.commit("TerminateInstances", &cluster.uid, vec![Change::Machine(Box::new(machine))])
        })
    }

    async fn instance_type(&self, region: &str, name: &str) -> Result<InstanceType, CloudError> {
        const OP: &str = "DescribeInstanceTypes";
        check_region(OP, region)?;
        check_type(OP, name)
    }
}

fn is_terminated(machine: &Machine, now: Timestamp, view: &MockProvider) -> bool {
    machine.terminated_at.is_some_and(|at| now >= after(at, view.cloud.config.shutdown))
}

fn forget_old(holdings: &Holdings, now: Timestamp) -> Vec<Change> {
    let old = holdings.machines.values().filter(|machine| machine.is_forgotten(now));
    old.map(|machine| Change::ForgetMachine(machine.id.clone())).collect()
}

impl MockProvider {
    /// The zone asked for, or the emptiest that has room.
    fn choose_zone(
        &self,
        account: &Account,
        request: &LaunchRequest,
        now: Timestamp,
    ) -> Result<String, CloudError> {
        const OP: &str = "RunInstances";
        let region = &request.cluster.region;
        let mut zones = places::zones(region);
        if let Some(zone) = &request.zone {
            if !zones.contains(zone) {
                return Err(invalid(OP, format!("InvalidZone: {zone:?} is not a zone of {region}")));
            }
            zones = vec![zone.clone()];
        }
        let limited = account.quota.is_some() || !account.capacity.is_empty();
        let counted: Vec<&Holdings> = if limited {
            account.clusters.values().collect()
        } else {
            account.holdings(&request.cluster.uid).into_iter().collect()
        };
        let mut used: BTreeMap<&str, u32> = BTreeMap::new();
        for machine in
            counted.iter().flat_map(|h| h.machines.values()).filter(|m| !is_terminated(m, now, self))
        {
            *used.entry(&machine.zone).or_default() += 1;
        }
        if let Some(quota) = account.quota.filter(|quota| used.values().sum::<u32>() >= *quota) {
            let message =
                format!("InstanceLimitExceeded: the account may have no more than {quota} instances");
            return Err(CloudError::new(CloudErrorKind::QuotaExceeded, OP, message));
        }
        let taken = |zone: &str| used.get(zone).copied().unwrap_or(0);
        let room = |zone: &String| account.capacity.get(zone).is_none_or(|limit| taken(zone) < *limit);
        zones.into_iter().filter(room).min_by_key(|zone| taken(zone)).ok_or_else(|| {
            let place = request.zone.as_deref().unwrap_or(region);
            let message = format!(
                "InsufficientInstanceCapacity: there is not enough {} capacity in {place} now",
                request.instance_type
            );
            CloudError::new(CloudErrorKind::InsufficientCapacity, OP, message)
        })
    }
}

fn new_machine(
    holdings: &Holdings,
    request: &LaunchRequest,
    zone: String,
    now: Timestamp,
) -> Result<Machine, CloudError> {
    let ip = holdings.free_ip().ok_or_else(|| {
        let message = "InsufficientFreeAddresses: the subnet has no free address".to_owned();
        CloudError::new(CloudErrorKind::QuotaExceeded, "RunInstances", message)
    })?;
    let mut random = rand::rng();
    let id = format!("i-{:017x}", random.random::<u128>() >> 60);
    Ok(Machine {
        node_name: node_name(holdings, request),
        id,
        node_pool: request.node_pool.clone(),
        instance_type: request.instance_type.clone(),
        zone,
        region: request.cluster.region.clone(),
        tags: request.tags.clone(),
        client_token: request.client_token.clone(),
        spot: request.spot,
        ip,
        started_at: now,
        stopped_at: None,
        terminated_at: None,
    })
}

/// `CLUSTER-POOL-xxxxx`, a DNS label that no other machine of the cluster has.
fn node_name(holdings: &Holdings, request: &LaunchRequest) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let clean = |text: &str| -> String {
        let lower = text.to_ascii_lowercase();
        lower.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
    };
    let mut base = format!("{}-{}", clean(&request.cluster.name), clean(&request.node_pool));
    base.truncate(57);
    let base = base.trim_matches('-');
    let mut random = rand::rng();
    loop {
        let suffix: String =
            (0..5).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())])).collect();
        let name = format!("{base}-{suffix}");
        if holdings.machines.values().all(|machine| machine.node_name != name) {
            return name;
        }
    }
}

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
            let alive = |id: &str| holdings.machines.get(id).is_some_and(|m| !is_terminated(m, now, self));
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

#[async_trait]
impl Zones for MockProvider {
    async fn regions(&self) -> Result<Vec<String>, CloudError> {
        Ok(places::REGIONS.iter().map(|&region| region.to_owned()).collect())
    }

    async fn zones(&self, region: &str) -> Result<Vec<String>, CloudError> {
        check_region("DescribeAvailabilityZones", region)?;
        Ok(places::zones(region))
    }
}
