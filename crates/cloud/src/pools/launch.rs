//! Adding machines: a record first, then the launch under its token.

use std::collections::BTreeMap;
use std::time::Duration;

use drydock_cloud_api::{CloudErrorKind, LaunchRequest, PoolRequest};
use drydock_runtime::Stopwatch;
use futures::future::join_all;
use jiff::Timestamp;
use rand::Rng;

use super::fleet::{Machine, emptiest_zone};
use super::reconciler::Reconciler;
use super::trouble::Cause;
use crate::{MachinePhase, MachineRecord, PoolSpec};

/// How many launches are under way at a time.
const AT_ONCE: usize = 16;
/// How long a zone without capacity is left alone.
const EXHAUSTED_FOR: Duration = Duration::from_secs(60);

impl Reconciler {
    /// Puts `count` more machines on record, spread over the zones.
    pub(super) async fn add(&mut self, spec: &PoolSpec, count: u32) -> Result<(), Cause> {
        let zones = self.open_zones(spec).await?;
        let mut used: BTreeMap<String, usize> = BTreeMap::new();
        for machine in self.machines_of(&spec.name).into_iter().filter(|machine| machine.is_current()) {
            *used.entry(machine.record.zone.clone()).or_default() += 1;
        }
        let now = self.clock.now();
        let mut records = Vec::new();
        for _ in 0..count {
            let zone = emptiest_zone(&zones, &used).cloned().unwrap_or_default();
            *used.entry(zone.clone()).or_default() += 1;
            records.push(MachineRecord {
                cluster_uid: self.config.cluster.uid.clone(),
                node_pool: spec.name.clone(),
                client_token: format!("{:032x}", rand::rng().random::<u128>()),
                phase: MachinePhase::Wanted,
                instance_type: spec.instance_type.clone(),
                zone,
                version: spec.version.clone(),
                instance_id: String::new(),
                node_name: String::new(),
                provider_id: String::new(),
                created_at: now,
                drain_started_at: None,
            });
        }
        self.write(records).await
    }

    /// The pool's zones that are not known to be full; empty when there is no choice of zones.
    async fn open_zones(&mut self, spec: &PoolSpec) -> Result<Vec<String>, Cause> {
        let mut zones = self.prepare(spec).await?;
        let now = self.clock.now();
        let all = zones.len();
        zones.retain(|zone| self.exhausted.get(zone).is_none_or(|until| *until <= now));
        if zones.is_empty() && all > 0 {
            let message = format!("no zone has {} capacity now", spec.instance_type);
            return Err(Cause::new(CloudErrorKind::InsufficientCapacity.as_str(), message));
        }
        Ok(zones)
    }

    /// For a while no machine goes to this zone.
    pub(super) fn leave_zone(&mut self, zone: &str) {
        if !zone.is_empty() {
            let until = self.clock.now().saturating_add(EXHAUSTED_FOR).unwrap_or(Timestamp::MAX);
            self.exhausted.insert(zone.to_owned(), until);
        }
    }

    /// Launches what is wanted and does not exist yet.
    pub(super) async fn launch(&mut self, spec: &PoolSpec) -> Result<(), Cause> {
        let tokens = self.tokens_of(&spec.name, |machine| machine.record.phase == MachinePhase::Wanted);
        if tokens.is_empty() {
            return Ok(());
        }
        self.prepare(spec).await?;
        let cloud = self.cloud()?;
        for chunk in tokens.chunks(AT_ONCE) {
            let requests: Vec<LaunchRequest> = chunk
                .iter()
                .filter_map(|token| self.fleet.get(token))
                .map(|machine| self.launch_request(spec, machine))
                .collect();
            for token in chunk {
                if let Some(machine) = self.fleet.get_mut(token) {
                    machine.may_exist = true;
                }
            }
            let answers = join_all(requests.iter().map(|request| cloud.launch(request))).await;
            self.take_answers(spec, requests, answers).await?;
        }
        Ok(())
    }

    /// Makes what the pool's machines share, unless that was done; answers the zones that they can go to.
    async fn prepare(&mut self, spec: &PoolSpec) -> Result<Vec<String>, Cause> {
        let request = PoolRequest {
            cluster: self.config.cluster.clone(),
            node_pool: spec.name.clone(),
            instance_type: spec.instance_type.clone(),
            tags: spec.tags.clone(),
            user_data: spec.user_data.clone(),
            zones: spec.zones.clone(),
            spot: spec.spot,
            params: spec.params.clone(),
        };
        if let Some((prepared, zones)) = self.prepared.get(&spec.name)
            && *prepared == request
        {
            return Ok(zones.clone());
        }
        let zones = self.cloud()?.prepare_pool(&request).await.map_err(|error| Cause::from(&error))?;
        self.prepared.insert(spec.name.clone(), (request, zones.clone()));
        Ok(zones)
    }

    fn launch_request(&self, spec: &PoolSpec, machine: &Machine) -> LaunchRequest {
        let record = &machine.record;
        LaunchRequest {
            cluster: self.config.cluster.clone(),
            node_pool: spec.name.clone(),
            client_token: record.client_token.clone(),
            instance_type: record.instance_type.clone(),
            zone: (!record.zone.is_empty()).then(|| record.zone.clone()),
            tags: spec.tags.clone(),
            user_data: spec.user_data.clone(),
            spot: spec.spot,
            params: spec.params.clone(),
        }
    }

    async fn take_answers(
        &mut self,
        spec: &PoolSpec,
        requests: Vec<LaunchRequest>,
        answers: Vec<Result<drydock_cloud_api::Instance, drydock_cloud_api::CloudError>>,
    ) -> Result<(), Cause> {
        let mut launched = Vec::new();
        let mut nowhere = Vec::new();
        let mut failure = None;
        for (request, answer) in requests.into_iter().zip(answers) {
            let token = request.client_token;
            match answer {
                Ok(instance) => {
                    if let Some(machine) = self.fleet.get_mut(&token) {
                        machine.take_instance(instance);
                        machine.launched = Some(Stopwatch::start());
                        launched.push(machine.record.clone());
                    }
                }
                Err(error) if error.kind == CloudErrorKind::InsufficientCapacity => {
                    self.leave_zone(request.zone.as_deref().unwrap_or_default());
                    nowhere.push(token);
                    failure = failure.or(Some(error));
                }
                // The record stays: a machine may have been made, and is launched again under the same token.
                Err(error) => {
                    if let Some(machine) = self.fleet.get_mut(&token) {
                        machine.may_exist &= !error.is_refusal();
                    }
                    failure = Some(error);
                }
            }
        }
        self.write(launched).await?;
        // Nothing was made: another record, with another zone, takes its place.
        self.forget_records(&nowhere).await?;
        match failure {
            None => Ok(()),
            Some(error) if error.kind == CloudErrorKind::InsufficientCapacity => {
                // Worth a word only when no zone is left.
                let others = self.open_zones(spec).await.is_ok_and(|zones| !zones.is_empty());
                if others { Ok(()) } else { Err(Cause::from(&error)) }
            }
            Some(error) => {
                // Somebody may have removed what was prepared.
                self.prepared.remove(&spec.name);
                Err(Cause::from(&error))
            }
        }
    }
}
