//! Node pools: desired machines to machines to Nodes, for one cluster.
//!
//! One task per cluster works in passes: look at the cloud, compare with records and specs, take the next step of
//! each machine, publish. A pass never waits for something slow to finish (a boot, a drain): it comes back. So a pass
//! may end anywhere, and the process with it.
//!
//! * `fleet`: what is known of each machine, and the pure decision what to add and what to drain;
//! * `reconciler`: the pass; `look`, `launch`, `kubelets`, `retire` and `release` are its parts;
//! * `drain`: one step of emptying a node;
//! * `status`: what is published.

mod drain;
mod fleet;
mod kubelets;
mod launch;
mod look;
mod reconciler;
mod release;
mod retire;
mod status;
#[cfg(test)]
mod tests;
mod trouble;

use std::collections::BTreeMap;
use std::sync::Arc;

use drydock_client::{Client, SharedInformers, resources};
use drydock_cloud_api::{CloudProvider, ClusterRef};
use drydock_runtime::{OnError, Tasks};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::{Counts, NodeAgents, NodePoolsStatus, PoolRecords, PoolSpec, PoolState, PoolStatus};

use reconciler::Reconciler;

pub use release::release_remains;

/// What a cluster's node pools work with.
#[derive(Clone)]
pub struct NodePoolsConfig {
    pub cluster: ClusterRef,
    pub provider: Arc<dyn CloudProvider>,
    pub records: Arc<dyn PoolRecords>,
    pub agents: Arc<dyn NodeAgents>,
    /// Must be allowed to get, patch and delete nodes, create evictions and events.
    /// `informers` watch nodes and pods.
    pub client: Client,
    pub informers: SharedInformers,
}

/// The node pools of one cluster. Clones are the same.
#[derive(Clone)]
pub struct NodePools {
    shared: Arc<Shared>,
}

struct Shared {
    desired: Mutex<Desired>,
    /// The desire changed.
    wake: Notify,
    /// A node came, went, or changed between ready and not ready.
    nodes_changed: Notify,
    status: watch::Sender<NodePoolsStatus>,
}

#[derive(Clone, Debug, Default)]
struct Desired {
    pools: BTreeMap<String, Want>,
    /// Everything is to go, pools or not.
    release: bool,
    /// Counts changes, so that a pass knows whether its troubles are about an old desire.
    generation: u64,
}

#[derive(Clone, Debug)]
enum Want {
    Keep(Arc<PoolSpec>),
    /// With what it was, for its machines' last hours.
    Delete(Arc<PoolSpec>),
}

impl Want {
    fn spec(&self) -> &Arc<PoolSpec> {
        match self {
            Self::Keep(spec) | Self::Delete(spec) => spec,
        }
    }
}

impl NodePools {
    /// Starts working for `pools`, which are all pools of the cluster: machines of others are left alone.
    pub fn start(config: NodePoolsConfig, tasks: &Tasks, pools: Vec<PoolSpec>) -> Self {
        let wanted = pools.into_iter().map(|spec| (spec.name.clone(), Want::Keep(Arc::new(spec))));
        let desired = Desired { pools: wanted.collect(), ..Desired::default() };
        let status = NodePoolsStatus { pools: first_statuses(&desired), ..NodePoolsStatus::default() };
        let shared = Arc::new(Shared {
            desired: Mutex::new(desired),
            wake: Notify::new(),
            nodes_changed: Notify::new(),
            status: watch::Sender::new(status),
        });
        let nodes = config.informers.informer(&resources::NODES);
        let on_change = shared.clone();
        nodes.on_change(move |change| {
            let before = change.old().map(|old| status::is_ready(old));
            if before != Some(status::is_ready(change.object())) {
                on_change.nodes_changed.notify_one();
            }
        });
        let pods = config.informers.informer(&resources::PODS);
        pods.add_index(drain::BY_NODE, |pod| match pod.str_at(&["spec", "nodeName"]) {
            "" => Vec::new(),
            node => vec![node.into()],
        });
        let (for_task, clock, tasks_of) = (shared.clone(), tasks.clock().clone(), tasks.clone());
        tasks.supervise("node-pools", OnError::Restart, move || {
            let informers = [nodes.clone(), pods.clone()];
            let reconciler =
                Reconciler::new(config.clone(), for_task.clone(), informers, clock.clone(), &tasks_of);
            async move { reconciler.run().await }
        });
        Self { shared }
    }

    /// Makes a pool, or changes it. The caller keeps the spec: it is not durable here.
    pub fn set(&self, spec: PoolSpec) {
        self.change(|desired| {
            desired.pools.insert(spec.name.clone(), Want::Keep(Arc::new(spec)));
        });
    }

    /// Drains and terminates a pool's machines and releases what they shared. When the pool's state is `Deleted`,
    /// nothing is left. May be called again, also for a pool that never was or that an earlier process began to delete.
    /// The spec is for its machines' last hours: their kubelets run until they are drained.
    pub fn delete(&self, spec: PoolSpec) {
        self.change(|desired| {
            desired.pools.insert(spec.name.clone(), Want::Delete(Arc::new(spec)));
        });
    }

    /// Drops a deleted pool's entry from the status.
    pub fn forget(&self, name: &str) {
        self.change(|desired| {
            if matches!(desired.pools.get(name), Some(Want::Delete(_))) {
                desired.pools.remove(name);
            }
        });
    }

    /// The cluster is deleted: terminates all its machines without draining, and releases everything it has in the
    /// cloud, load balancers and routes too. Done when the status says `released`. Needs no API server. Once is enough;
    /// called again it changes nothing, nor does it hurry what waits after a failure.
    pub fn release(&self) {
        if !self.shared.desired.lock().release {
            self.change(|desired| desired.release = true);
        }
    }

    /// Looks at the cloud now rather than at the next tick.
    pub fn poke(&self) {
        self.shared.wake.notify_one();
    }

    /// The status now and from now on.
    pub fn subscribe(&self) -> watch::Receiver<NodePoolsStatus> {
        self.shared.status.subscribe()
    }

    fn change(&self, f: impl FnOnce(&mut Desired)) {
        let mut desired = self.shared.desired.lock();
        f(&mut desired);
        desired.generation += 1;
        let first = first_statuses(&desired);
        drop(desired);
        self.shared.status.send_if_modified(|status| {
            let mut changed = false;
            for (name, pool) in first {
                // What is deleted and wanted again is another pool: that the former is gone says nothing of it.
                let former = |known: &PoolStatus| {
                    known.state == PoolState::Deleted && pool.state == PoolState::Creating
                };
                if status.pools.get(&name).is_none_or(former) {
                    status.pools.insert(name, pool);
                    changed = true;
                }
            }
            changed
        });
        self.shared.wake.notify_one();
    }
}

/// What is said of each pool until it was looked at.
fn first_statuses(desired: &Desired) -> BTreeMap<String, PoolStatus> {
    let first = |want: &Want| match want {
        Want::Keep(spec) => {
            PoolStatus { counts: Counts { desired: spec.size, ..Counts::default() }, ..PoolStatus::default() }
        }
        Want::Delete(_) => PoolStatus { state: PoolState::Deleting, ..PoolStatus::default() },
    };
    desired.pools.iter().map(|(name, want)| (name.clone(), first(want))).collect()
}

impl std::fmt::Debug for NodePools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodePools").field("status", &*self.shared.status.borrow()).finish()
    }
}
