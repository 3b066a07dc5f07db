//! The pass: look at the cloud, then take each machine's next step.
//!
//! Owns the fleet. The only writer of the cluster's records.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use drydock_client::{EventRecorder, Informer};
use drydock_cloud_api::{
    CloudError, CloudErrorKind, Instance, InstanceState, InstanceType, Instances, PoolRequest,
};
use drydock_runtime::{Clock, Hold, Stopwatch, TaskError, Tasks, wall};
use jiff::Timestamp;

use super::fleet::{self, Agent, Machine};
use super::status::is_ready;
use super::trouble::{Cause, Trouble};
use super::{Desired, NodePoolsConfig, Shared, Want};
use crate::{AgentSpec, KubeletMode, MachinePhase, MachineRecord, PoolSpec, Taint, node_resources};

/// Between looks at the cloud while something moves, and otherwise.
const FAST: Duration = Duration::from_secs(1);
const SLOW: Duration = Duration::from_secs(5);
/// With nothing on record: only to find what a lost answer may have left behind.
const EMPTY: Duration = Duration::from_secs(60);
/// On a fast clock passes come fast; a cloud is not. A pass is followed by several times its own wall time of rest.
const BREATHER: u32 = 4;
const LONGEST_BREATHER: Duration = Duration::from_secs(1);
/// How long a cloud may not yet know of a machine that it has just made.
pub(super) const VISIBLE_AFTER: Duration = Duration::from_secs(60);

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
    pub(super) prepared: BTreeMap<String, PoolRequest>,
    pub(super) deleted: BTreeSet<String>,
    pub(super) was_active: BTreeSet<String>,
    pub(super) zones: Option<Vec<String>>,
    /// Zones without capacity, until then.
    pub(super) exhausted: BTreeMap<String, Timestamp>,
    types: HashMap<String, InstanceType>,
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
            prepared: BTreeMap::new(),
            deleted: BTreeSet::new(),
            was_active: BTreeSet::new(),
            zones: None,
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
            let floor = looked.elapsed().saturating_mul(BREATHER).min(LONGEST_BREATHER);
            self.sleep(wait, floor, hold).await;
        }
    }

    /// Reads the records; says so while they cannot be read.
    async fn load(&mut self) {
        loop {
            match self.config.records.list(&self.config.cluster.uid).await {
                Ok(records) => {
                    let machines = records.into_iter().map(|r| (r.client_token.clone(), Machine::new(r)));
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
                    tracing::warn!(cluster = %self.config.cluster.name, ?cause, "cannot look at the cloud");
                    self.blind = Some(Trouble::again(self.blind.as_ref(), cause, &self.clock));
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
        let troubles = self.troubles.values().chain(&self.blind).chain(&self.release_trouble);
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

    /// Brings the fleet up to date with what the cloud says, and ends what is nobody's.
    async fn look(&mut self) -> Result<(), Cause> {
        let cloud = self.cloud()?;
        let found = cloud.list(&self.config.cluster).await.map_err(|error| Cause::from(&error))?;
        let mut by_id: BTreeMap<String, Instance> = found.into_iter().map(|i| (i.id.clone(), i)).collect();
        let with_token = by_id.values().filter(|instance| !instance.client_token.is_empty());
        let ids: HashMap<String, String> =
            with_token.map(|i| (i.client_token.clone(), i.id.clone())).collect();
        let mut adopted = Vec::new();
        let mut missing = Vec::new();
        for (token, machine) in &mut self.fleet {
            let known = by_id.remove(&machine.record.instance_id);
            if let Some(instance) = known {
                machine.take_instance(instance);
            } else if !machine.record.instance_id.is_empty() {
                missing.push(token.clone());
            } else if let Some(instance) = ids.get(token).and_then(|id| by_id.remove(id)) {
                // Launched before a kill, or with a lost answer.
                machine.take_instance(instance);
                adopted.push(machine.record.clone());
            }
        }
        if !adopted.is_empty() {
            self.config.records.put(&adopted).await.map_err(|error| Cause::from(&error))?;
        }
        for token in missing {
            self.confirm_missing(&cloud, &token).await?;
        }
        for orphan in by_id.into_values().filter(|instance| !instance.state.is_ending()) {
            tracing::warn!(instance = orphan.id, "terminating an instance that is on no record");
            let outcome = cloud.terminate(&self.config.cluster, &orphan.id).await;
            outcome.map_err(|error| Cause::from(&error))?;
        }
        Ok(())
    }

    /// A machine that the cloud did not list: terminated, vanished, or not yet visible.
    async fn confirm_missing(&mut self, cloud: &Arc<dyn Instances>, token: &str) -> Result<(), Cause> {
        let Some(machine) = self.fleet.get_mut(token) else { return Ok(()) };
        let id = &machine.record.instance_id;
        let found = cloud.get(&self.config.cluster, id).await.map_err(|error| Cause::from(&error))?;
        let visible_at = machine.record.created_at.saturating_add(VISIBLE_AFTER).unwrap_or(Timestamp::MAX);
        let young = self.clock.now() < visible_at;
        match (found, &mut machine.instance) {
            (Some(instance), _) => machine.take_instance(instance),
            (None, _) if young && machine.record.phase == MachinePhase::Launched => machine.instance = None,
            (None, Some(instance)) => instance.state = InstanceState::Terminated,
            (None, None) => machine.instance = Some(vanished(&machine.record, &self.config.cluster.region)),
        }
        Ok(())
    }

    async fn work(&mut self, desired: &Desired) {
        if desired.release {
            self.release_pass(desired).await;
            return;
        }
        for (name, want) in &desired.pools {
            let before = self.troubles.get(name).cloned();
            let gated = before.as_ref().is_some_and(|trouble| trouble.next_attempt() > self.clock.now());
            match self.pool_pass(name, want, gated).await {
                Ok(()) if gated => {}
                Ok(()) => drop(self.troubles.remove(name)),
                Err(cause) => {
                    tracing::warn!(pool = name, ?cause, "node pool does not get what it wants");
                    let trouble = Trouble::again(before.as_ref(), cause, &self.clock);
                    self.troubles.insert(name.clone(), trouble);
                }
            }
        }
    }

    /// All steps of one pool. A failing step does not keep the others; the first failure is reported.
    async fn pool_pass(&mut self, name: &str, want: &Want, gated: bool) -> Result<(), Cause> {
        let mut outcome = self.drop_lost(name).await;
        outcome = outcome.and(self.plan(name, want, gated).await);
        if let Want::Keep(spec) = want
            && !gated
        {
            outcome = outcome.and(self.launch(spec).await);
        }
        if let Some(spec) = want.spec() {
            outcome = outcome.and(self.run_agents(spec).await);
        }
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
    async fn plan(&mut self, name: &str, want: &Want, gated: bool) -> Result<(), Cause> {
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
            Want::Keep(spec) if plan.add > 0 && !gated => self.add(spec, plan.add).await,
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

    /// Starts the agents of machines that run, and stops those of machines that do not.
    async fn run_agents(&mut self, spec: &PoolSpec) -> Result<(), Cause> {
        if spec.kubelet == KubeletMode::External {
            return Ok(());
        }
        let up = |m: &Machine| m.state() == Some(InstanceState::Running) && m.agent != Agent::Started;
        let started = |m: &Machine| matches!(m.record.phase, MachinePhase::Launched | MachinePhase::Draining);
        for token in self.tokens_of(&spec.name, |machine| up(machine) && started(machine)) {
            let Some(machine) = self.fleet.get(&token) else { continue };
            let Some(instance) = machine.instance.clone() else { continue };
            let kind = self.instance_type(&instance.instance_type).await?;
            let agent = agent_spec(spec, &instance, &kind, &self.fleet[&token].record.version);
            let outcome = self.config.agents.start(&agent).await;
            outcome.map_err(|error| Cause::new("AgentFailure", error.to_string()))?;
            self.mark_agent(&token, Agent::Started);
        }
        let down = |m: &Machine| {
            matches!(m.state(), Some(InstanceState::Stopping | InstanceState::Stopped))
                && m.agent != Agent::Stopped
        };
        for token in self.tokens_of(&spec.name, down) {
            self.stop_agent(&token).await;
        }
        Ok(())
    }

    /// The machine stands still.
    async fn stop_agent(&mut self, token: &str) {
        let Some(machine) = self.fleet.get(token).filter(|machine| machine.agent != Agent::Stopped) else {
            return;
        };
        self.config.agents.stop(&machine.record.node_name).await;
        self.mark_agent(token, Agent::Stopped);
    }

    /// The machine is gone, or about to be.
    pub(super) async fn remove_agent(&mut self, token: &str) {
        let Some(machine) = self.fleet.get(token).filter(|machine| machine.agent != Agent::Removed) else {
            return;
        };
        if !machine.record.node_name.is_empty() {
            self.config.agents.remove(&machine.record.node_name).await;
        }
        self.mark_agent(token, Agent::Removed);
    }

    fn mark_agent(&mut self, token: &str, agent: Agent) {
        if let Some(machine) = self.fleet.get_mut(token) {
            machine.agent = agent;
        }
    }

    async fn instance_type(&mut self, name: &str) -> Result<InstanceType, Cause> {
        if let Some(known) = self.types.get(name) {
            return Ok(known.clone());
        }
        let region = &self.config.cluster.region;
        let found = self.cloud()?.instance_type(region, name).await.map_err(|error| Cause::from(&error))?;
        self.types.insert(name.to_owned(), found.clone());
        Ok(found)
    }
}

/// What stands for a machine of which the cloud knows nothing any more.
fn vanished(record: &MachineRecord, region: &str) -> Instance {
    Instance {
        id: record.instance_id.clone(),
        provider_id: record.provider_id.clone(),
        node_name: record.node_name.clone(),
        node_pool: record.node_pool.clone(),
        state: InstanceState::Terminated,
        instance_type: record.instance_type.clone(),
        zone: record.zone.clone(),
        region: region.to_owned(),
        addresses: Vec::new(),
        tags: BTreeMap::new(),
        client_token: record.client_token.clone(),
    }
}

fn agent_spec(spec: &PoolSpec, instance: &Instance, kind: &InstanceType, version: &str) -> AgentSpec {
    let max_pods = spec.max_pods.unwrap_or(kind.max_pods);
    let mut labels = spec.labels.clone();
    labels.insert(crate::NODE_POOL_LABEL.to_owned(), spec.name.clone());
    let uninitialized = Taint {
        key: crate::UNINITIALIZED_TAINT.to_owned(),
        value: "true".to_owned(),
        effect: "NoSchedule".to_owned(),
    };
    let taints = std::iter::once(uninitialized).chain(spec.taints.iter().cloned()).collect();
    AgentSpec {
        node_name: instance.node_name.clone(),
        node_pool: spec.name.clone(),
        instance_id: instance.id.clone(),
        kubelet_version: version.to_owned(),
        labels,
        taints,
        addresses: instance.addresses.clone(),
        resources: node_resources(kind, max_pods, spec.reservation),
        max_pods,
        architecture: kind.architecture.clone(),
    }
}
