//! The pass: look at the cloud, then take each machine's next step.
//!
//! Owns the fleet. The only writer of the cluster's records.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use drydock_client::{EventRecorder, Informer};
use drydock_cloud_api::{CloudError, CloudErrorKind, InstanceType, Instances, PoolRequest};
use drydock_runtime::{Clock, Hold, Stopwatch, TaskError, Tasks, wall};
use jiff::Timestamp;

use super::fleet::{self, Machine};
use super::status::is_ready;
use super::trouble::{Cause, Trouble};
use super::{Desired, NodePoolsConfig, Shared, Want};
use crate::pace::{BREATHER, breather};
use crate::{MachinePhase, MachineRecord};

/// Between looks at the cloud while something moves, and otherwise.
const FAST: Duration = Duration::from_secs(1);
const SLOW: Duration = Duration::from_secs(5);
/// With nothing on record: only to find what a lost answer may have left behind.
const EMPTY: Duration = Duration::from_secs(60);

pub(super) struct Reconciler {
    pub(super) config: NodePoolsConfig,
    pub(super) shared: Arc<Shared>,
    pub(super) nodes: Arc<Informer>,
    /// With the index [`super::drain::BY_NODE`].
    pub(super) pods: Arc<Informer>,
    pub(super) clock: Clock,
    pub(super) events: EventRecorder,
    /// By client token.
    pub(super) fleet: BTreeMap<String, Machine>,
    /// By pool: what keeps it from launching or terminating.
    pub(super) troubles: BTreeMap<String, Trouble>,
    /// What keeps us from looking.
    pub(super) blind: Option<Trouble>,
    /// What keeps us from ending instances that are on no record.
    pub(super) orphans: Option<Trouble>,
    /// By pool: what was asked for, and the zones that were answered.
    pub(super) prepared: BTreeMap<String, (PoolRequest, Vec<String>)>,
    pub(super) deleted: BTreeSet<String>,
    pub(super) was_active: BTreeSet<String>,
    /// Zones without capacity, until then.
    pub(super) exhausted: BTreeMap<String, Timestamp>,
    pub(super) types: HashMap<String, InstanceType>,
    /// Machines whose launch was given up may still appear until then.
    pub(super) settled_at: Timestamp,
    pub(super) release_trouble: Option<Trouble>,
    pub(super) released: bool,
    generation: u64,
}

impl Reconciler {
    pub(super) fn new(
        config: NodePoolsConfig,
        shared: Arc<Shared>,
        [nodes, pods]: [Arc<Informer>; 2],
        clock: Clock,
        tasks: &Tasks,
    ) -> Self {
        let events = EventRecorder::new(config.client.clone(), tasks.clone(), "node-pool-controller");
        Self {
            config,
            shared,
            nodes,
            pods,
            clock,
            events,
            fleet: BTreeMap::new(),
            troubles: BTreeMap::new(),
            blind: None,
            orphans: None,
            prepared: BTreeMap::new(),
            deleted: BTreeSet::new(),
            was_active: BTreeSet::new(),
            exhausted: BTreeMap::new(),
            types: HashMap::new(),
            settled_at: Timestamp::MIN,
            release_trouble: None,
            released: false,
            generation: 0,
        }
    }

    pub(super) async fn run(mut self) -> Result<(), TaskError> {
        self.load().await;
        loop {
            let hold = self.clock.hold();
            let looked = Stopwatch::start();
            let wait = self.pass().await;
            self.sleep(wait, breather(looked.elapsed()), hold).await;
        }
    }

    /// Reads the records; says so while they cannot be read.
    async fn load(&mut self) {
        loop {
            match self.config.records.list(&self.config.cluster.uid).await {
                Ok(records) => {
                    let machines =
                        records.into_iter().map(|r| (r.client_token.clone(), Machine::recorded(r)));
                    self.fleet = machines.collect();
                    self.blind = None;
                    return;
                }
                Err(error) => {
                    let trouble = Trouble::again(self.blind.as_ref(), Cause::from(&error), &self.clock);
                    let until = trouble.next_attempt();
                    self.blind = Some(trouble);
                    let desired = self.shared.desired.lock().clone();
                    self.publish(&desired);
                    self.clock.sleep_until(until).await;
                }
            }
        }
    }

    /// Until the next pass is due, or the desire changes; on wall time for `floor` at least unless it does,
    /// with the clock held.
    async fn sleep(&mut self, wait: Option<Duration>, floor: Duration, hold: Hold) {
        let shared = self.shared.clone();
        let clock = self.clock.clone();
        let deadline = wait.and_then(|wait| clock.now().checked_add(wait).ok());
        let hold = deadline.is_some().then_some(hold);
        let due = async {
            wall::sleep(floor).await;
            drop(hold);
            clock.sleep_until(deadline.unwrap_or(Timestamp::MAX)).await;
        };
        tokio::pin!(due);
        loop {
            tokio::select! {
                () = shared.wake.notified() => return,
                () = shared.nodes_changed.notified() => {
                    let publishing = Stopwatch::start();
                    let desired = shared.desired.lock().clone();
                    self.publish(&desired);
                    // Many nodes change together: the larger the pools, the fewer the publications.
                    wall::sleep(publishing.elapsed().saturating_mul(BREATHER)).await;
                }
                () = &mut due, if deadline.is_some() => return,
            }
        }
    }

    /// One pass. Answers when the next is due; None when only a changed desire needs one.
    async fn pass(&mut self) -> Option<Duration> {
        let desired = self.shared.desired.lock().clone();
        self.take_desire(&desired);
        let idle = desired.pools.is_empty() && self.fleet.is_empty() && !desired.release;
        if idle || self.released {
            self.publish(&desired);
            return None;
        }
        if self.blind.as_ref().is_none_or(|blind| blind.next_attempt() <= self.clock.now()) {
            match self.look().await {
                Ok(()) => {
                    self.blind = None;
                    self.work(&desired).await;
                }
                Err(cause) => {
                    let trouble = Trouble::again(self.blind.as_ref(), cause, &self.clock);
                    if trouble.is_news(self.blind.as_ref()) {
                        let (cluster, reason) = (&self.config.cluster.name, &trouble.reason.message);
                        tracing::warn!(%cluster, reason, "cannot look at the cloud");
                    }
                    self.blind = Some(trouble);
                }
            }
        }
        self.publish(&desired);
        Some(self.next_pass(&desired))
    }

    /// A new desire is tried at once, whatever was wrong with the old one.
    fn take_desire(&mut self, desired: &Desired) {
        if desired.generation == self.generation {
            return;
        }
        self.generation = desired.generation;
        self.troubles.clear();
        self.blind = None;
        self.orphans = None;
        self.release_trouble = None;
        self.exhausted.clear();
        self.deleted.retain(|name| matches!(desired.pools.get(name), Some(Want::Delete(_))));
        self.was_active.retain(|name| matches!(desired.pools.get(name), Some(Want::Keep(_))));
    }

    fn next_pass(&self, desired: &Desired) -> Duration {
        let now = self.clock.now();
        let deleting = desired
            .pools
            .iter()
            .any(|(name, want)| matches!(want, Want::Delete(_)) && !self.deleted.contains(name));
        let troubles =
            self.troubles.values().chain(&self.blind).chain(&self.orphans).chain(&self.release_trouble);
        let retry = troubles.map(Trouble::next_attempt).min();
        let retry = retry.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
        let moving = desired.release || deleting || self.fleet.values().any(Machine::is_moving);
        let tick = match (self.blind.is_some(), moving, self.fleet.is_empty()) {
            (true, _, _) => EMPTY,
            (_, true, _) => FAST,
            (_, _, true) => EMPTY,
            _ => SLOW,
        };
        retry.map_or(tick, |retry| retry.min(tick)).max(Duration::from_millis(50))
    }

    async fn work(&mut self, desired: &Desired) {
        if desired.release {
            self.release_pass().await;
            return;
        }
        for (name, want) in &desired.pools {
            let before = self.troubles.get(name).cloned();
            let gated = before.as_ref().is_some_and(|trouble| trouble.next_attempt() > self.clock.now());
            match self.pool_pass(name, want, gated).await {
                Ok(()) if gated => {}
                // A machine's failure is not over before its successor runs.
                Ok(()) if before.as_ref().is_some_and(Trouble::is_of_machine) && self.is_booting(name) => {}
                Ok(()) => drop(self.troubles.remove(name)),
                Err(cause) if cause.is_waiting() => drop(self.troubles.remove(name)),
                Err(cause) => {
                    let trouble = Trouble::again(before.as_ref(), cause, &self.clock);
                    if trouble.is_news(before.as_ref()) {
                        let reason = &trouble.reason.message;
                        tracing::warn!(pool = name, reason, "node pool does not get what it wants");
                    }
                    self.troubles.insert(name.clone(), trouble);
                }
            }
        }
    }

    fn is_booting(&self, pool: &str) -> bool {
        self.machines_of(pool).into_iter().any(|machine| machine.is_current() && machine.is_moving())
    }

    /// All steps of one pool. A failing step does not keep the others; the first failure is reported.
    async fn pool_pass(&mut self, name: &str, want: &Want, gated: bool) -> Result<(), Cause> {
        let mut outcome = self.drop_lost(name).await;
        outcome = outcome.and(self.end_failed(name).await);
        let may_launch = !gated && outcome.is_ok();
        outcome = outcome.and(self.plan(name, want, may_launch).await);
        if let Want::Keep(spec) = want
            && may_launch
        {
            outcome = outcome.and(self.launch(spec).await);
        }
        outcome = outcome.and(self.run_agents(want.spec()).await);
        outcome = outcome.and(self.drain(name, want).await);
        if !gated {
            outcome = outcome.and(self.retire(name).await);
            if matches!(want, Want::Delete(_)) {
                outcome = outcome.and(self.finish_delete(name).await);
            }
        }
        outcome
    }

    pub(super) fn machines_of(&self, pool: &str) -> Vec<&Machine> {
        self.fleet.values().filter(|machine| machine.record.node_pool == pool).collect()
    }

    pub(super) fn tokens_of(&self, pool: &str, pick: impl Fn(&Machine) -> bool) -> Vec<String> {
        let picked = self.fleet.values().filter(|machine| machine.record.node_pool == pool && pick(machine));
        picked.map(|machine| machine.record.client_token.clone()).collect()
    }

    pub(super) fn node_is_ready(&self, node_name: &str) -> bool {
        self.nodes.get("", node_name).is_some_and(|node| is_ready(&node))
    }

    pub(super) fn cloud(&self) -> Result<Arc<dyn Instances>, Cause> {
        self.config.provider.instances().ok_or_else(|| {
            let message = format!("provider {} has no instances", self.config.provider.name());
            Cause::from(&CloudError::new(CloudErrorKind::Unsupported, "instances", message))
        })
    }

    /// Compares sizes, and notes what is to be added, dropped and drained.
    async fn plan(&mut self, name: &str, want: &Want, may_launch: bool) -> Result<(), Cause> {
        let plan = fleet::plan(want, &self.machines_of(name), |node| self.node_is_ready(node));
        self.drop_wanted(&plan.drop).await?;
        let now = self.clock.now();
        let mut draining = Vec::new();
        for token in &plan.drain {
            if let Some(machine) = self.fleet.get(token) {
                let mut record = machine.record.clone();
                record.phase = MachinePhase::Draining;
                record.drain_started_at = Some(now);
                draining.push(record);
            }
        }
        self.write(draining).await?;
        match want {
            Want::Keep(spec) if plan.add > 0 && may_launch => self.add(spec, plan.add).await,
            _ => Ok(()),
        }
    }

    /// Writes changed records, and takes them over.
    pub(super) async fn write(&mut self, records: Vec<MachineRecord>) -> Result<(), Cause> {
        if records.is_empty() {
            return Ok(());
        }
        self.config.records.put(&records).await.map_err(|error| Cause::from(&error))?;
        for record in records {
            let token = record.client_token.clone();
            match self.fleet.get_mut(&token) {
                Some(machine) => machine.record = record,
                None => drop(self.fleet.insert(token, Machine::new(record))),
            }
        }
        Ok(())
    }
}
