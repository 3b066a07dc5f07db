//! Machines and zones, as one tenant sees them on its clock. `network` has the other capabilities.

use std::sync::Arc;

use async_trait::async_trait;
use drydock_cloud_api::{
    CloudError, CloudErrorKind, CloudProvider, ClusterRef, Instance, InstanceFailure, InstanceState,
    InstanceType, Instances, LaunchRequest, LoadBalancers, PoolRequest, Routes, Storage, StorageClass, Zones,
    catalog,
};
use drydock_runtime::Clock;
use jiff::Timestamp;

use crate::MockCloud;
use crate::account::Holdings;
use crate::journal::Change;
use crate::machine::Machine;
use crate::placement::new_machine;
use crate::places;

/// One tenant's view of a [`MockCloud`]. Besides the capabilities it has what one does at a cloud's console.
#[derive(Clone, Debug)]
pub struct MockProvider {
    pub(crate) cloud: Arc<MockCloud>,
    pub(crate) clock: Clock,
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

    /// Fails a machine, as a cloud does that finds out too late that it cannot have it.
    pub fn fail_by_hand(&self, id: &str, failure: InstanceFailure) -> bool {
        self.change_machine(id, |machine| machine.failure = Some(failure))
    }

    pub(crate) fn is_terminated(&self, machine: &Machine, now: Timestamp) -> bool {
        machine.state(now, &self.cloud.config) == InstanceState::Terminated
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

    fn storage(&self) -> Option<Storage> {
        Some(STORAGE)
    }
}

/// Disks of the mock cloud live in a zone, as most clouds' do.
const STORAGE: Storage = Storage {
    driver: "mock.csi.drydock.dev",
    topology_key: "topology.kubernetes.io/zone",
    disks_per_node: 24,
    size_step: 1 << 30,
    classes: &[StorageClass {
        name: "standard",
        provisioner: "mock.csi.drydock.dev",
        parameters: &[],
        is_default: true,
        waits_for_consumer: true,
        allows_expansion: true,
    }],
};

pub(crate) fn invalid(operation: &'static str, message: String) -> CloudError {
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
    async fn prepare_pool(&self, pool: &PoolRequest) -> Result<Vec<String>, CloudError> {
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
            if !there {
                account.commit(OP, &pool.cluster.uid, vec![Change::Pool(pool.node_pool.clone())])?;
            }
            Ok(if pool.zones.is_empty() { known } else { pool.zones.clone() })
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
            let in_use = holdings.machines.values().find(|m| !self.is_terminated(m, now));
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
                .filter(|machine| !self.is_terminated(machine, now))
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

fn forget_old(holdings: &Holdings, now: Timestamp) -> Vec<Change> {
    let old = holdings.machines.values().filter(|machine| machine.is_forgotten(now));
    old.map(|machine| Change::ForgetMachine(machine.id.clone())).collect()
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
