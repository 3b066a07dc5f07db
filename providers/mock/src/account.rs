//! The account: everything of every cluster, its limits, and the journal.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use drydock_cloud_api::{CloudError, CloudErrorKind, LoadBalancerPort, Route};
use drydock_runtime::Clock;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::MockProvider;
use crate::journal::{Change, Entry, Journal, OpenError};
use crate::machine::Machine;

/// How the cloud behaves. Durations are on the tenants' clocks.
#[derive(Clone, Debug)]
pub struct MockConfig {
    /// From launch or start to Running.
    pub boot: Duration,
    /// From the order to stop to Stopped.
    pub stop: Duration,
    /// From the order to terminate to Terminated.
    pub shutdown: Duration,
    /// Until a load balancer has its address.
    pub balancer: Duration,
}

impl Default for MockConfig {
    fn default() -> Self {
        let second = Duration::from_secs(1);
        Self { boot: second, stop: second, shutdown: second, balancer: 15 * second }
    }
}

/// The account. See the crate's documentation.
#[derive(Debug)]
pub struct MockCloud {
    pub(crate) config: MockConfig,
    state: Mutex<Account>,
}

#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) clusters: BTreeMap<String, Holdings>,
    journal: Option<Journal>,
    /// Machines that a zone takes at most.
    pub(crate) capacity: BTreeMap<String, u32>,
    /// Machines that the account may have.
    pub(crate) quota: Option<u32>,
    next_balancer: u32,
}

/// What one cluster has.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    pub(crate) machines: BTreeMap<String, Machine>,
    pub(crate) by_token: HashMap<String, String>,
    pub(crate) ips: HashSet<u16>,
    next_ip: u16,
    pub(crate) balancers: BTreeMap<String, Balancer>,
    pub(crate) routes: BTreeMap<String, Route>,
    pub(crate) pools: BTreeSet<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Balancer {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) ports: Vec<LoadBalancerPort>,
    pub(crate) instances: Vec<String>,
    pub(crate) created_at: Timestamp,
}

impl MockCloud {
    /// A cloud that ends with the process.
    pub fn in_memory(config: MockConfig) -> Arc<Self> {
        Arc::new(Self { config, state: Mutex::default() })
    }

    /// A cloud that is kept in the file at `path`, which is made unless it is there.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or cannot be written. It is then left as it was.
    pub fn open(path: &Path, config: MockConfig) -> Result<Arc<Self>, OpenError> {
        let mut account = Account::default();
        Journal::read(path, |entry| account.apply(entry))?;
        account.journal = Some(Journal::rewrite(path, &account.snapshot())?);
        Ok(Arc::new(Self { config, state: Mutex::new(account) }))
    }

    /// One tenant's view, on its clock.
    pub fn provider(self: &Arc<Self>, clock: Clock) -> Arc<MockProvider> {
        Arc::new(MockProvider::new(self.clone(), clock))
    }

    /// Lets a zone take no more machines than this in all; None for any number.
    pub fn set_zone_capacity(&self, zone: &str, machines: Option<u32>) {
        let mut account = self.state.lock();
        match machines {
            Some(machines) => account.capacity.insert(zone.to_owned(), machines),
            None => account.capacity.remove(zone),
        };
    }

    /// Lets the account have no more machines than this; None for any number.
    pub fn set_quota(&self, machines: Option<u32>) {
        self.state.lock().quota = machines;
    }

    /// Reads or changes the account. What `f` changes it must hand to [`Account::commit`].
    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut Account) -> T) -> T {
        f(&mut self.state.lock())
    }
}

impl Account {
    pub(crate) fn holdings(&self, cluster: &str) -> Option<&Holdings> {
        self.clusters.get(cluster)
    }

    /// Writes changes to the journal, and then makes them.
    pub(crate) fn commit(
        &mut self,
        operation: &'static str,
        cluster: &str,
        changes: Vec<Change>,
    ) -> Result<(), CloudError> {
        let entries: Vec<Entry> =
            changes.into_iter().map(|change| Entry { cluster: cluster.to_owned(), change }).collect();
        if let Some(journal) = &mut self.journal {
            journal.append(&entries).map_err(|error| {
                let message = format!("cannot write {}: {error}", journal.path().display());
                CloudError::new(CloudErrorKind::Internal, operation, message)
            })?;
        }
        for entry in entries {
            self.apply(entry);
        }
        self.shorten_journal();
        Ok(())
    }

    fn shorten_journal(&mut self) {
        let live = self.clusters.values().map(|holdings| holdings.machines.len() + 4).sum();
        let Some(journal) = self.journal.as_ref().filter(|journal| journal.is_long(live)) else { return };
        match Journal::rewrite(journal.path(), &self.snapshot()) {
            Ok(journal) => self.journal = Some(journal),
            // The long one is still good.
            Err(error) => tracing::warn!(error = %error, "mock cloud's journal stays long"),
        }
    }

    fn apply(&mut self, entry: Entry) {
        let holdings = self.clusters.entry(entry.cluster.clone()).or_default();
        match entry.change {
            Change::Machine(machine) => {
                holdings.ips.insert(machine.ip);
                holdings.next_ip = holdings.next_ip.max(machine.ip);
                holdings.by_token.insert(machine.client_token.clone(), machine.id.clone());
                holdings.machines.insert(machine.id.clone(), *machine);
            }
            Change::ForgetMachine(id) => {
                if let Some(machine) = holdings.machines.remove(&id) {
                    holdings.ips.remove(&machine.ip);
                    holdings.by_token.remove(&machine.client_token);
                }
            }
            Change::Balancer(balancer) => {
                self.next_balancer = self.next_balancer.max(balancer_number(&balancer.address) + 1);
                holdings.balancers.insert(balancer.name.clone(), *balancer);
            }
            Change::ForgetBalancer(name) => drop(holdings.balancers.remove(&name)),
            Change::Route(route) => drop(holdings.routes.insert(route.destination_cidr.clone(), route)),
            Change::ForgetRoute(cidr) => drop(holdings.routes.remove(&cidr)),
            Change::Pool(pool) => drop(holdings.pools.insert(pool)),
            Change::ForgetPool(pool) => drop(holdings.pools.remove(&pool)),
        }
        if holdings.is_empty() {
            self.clusters.remove(&entry.cluster);
        }
    }

    /// Everything as changes from nothing.
    fn snapshot(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (cluster, holdings) in &self.clusters {
            let pools = holdings.pools.iter().cloned().map(Change::Pool);
            let machines = holdings.machines.values().cloned().map(|m| Change::Machine(Box::new(m)));
            let balancers = holdings.balancers.values().cloned().map(|b| Change::Balancer(Box::new(b)));
            let routes = holdings.routes.values().cloned().map(Change::Route);
            let changes = pools.chain(machines).chain(balancers).chain(routes);
            entries.extend(changes.map(|change| Entry { cluster: cluster.clone(), change }));
        }
        entries
    }

    /// An address of 198.18.0.0/15, which is nobody's on the internet.
    pub(crate) fn new_balancer_address(&self) -> String {
        let n = self.next_balancer % 0x1_fffe + 1;
        format!("198.{}.{}.{}", 18 + (n >> 16), (n >> 8) & 0xff, n & 0xff)
    }
}

fn balancer_number(address: &str) -> u32 {
    let n = address.parse::<std::net::Ipv4Addr>().map_or(0, u32::from);
    (n & 0x1_ffff).saturating_sub(1)
}

impl Holdings {
    fn is_empty(&self) -> bool {
        self.machines.is_empty()
            && self.balancers.is_empty()
            && self.routes.is_empty()
            && self.pools.is_empty()
    }

    /// A number of 172.31.0.0/16 that no machine has; None when all are taken.
    pub(crate) fn free_ip(&self) -> Option<u16> {
        // The first ones are the network's own, as on EC2.
        let first = self.next_ip.max(15);
        (1..=u16::MAX)
            .map(|step| first.wrapping_add(step))
            .find(|ip| *ip > 15 && *ip < 0xfff0 && !self.ips.contains(ip))
    }
}
