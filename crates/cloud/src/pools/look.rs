//! What the cloud has, compared with the records: every pass begins with it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use drydock_cloud_api::{Instance, InstanceState, Instances};
use jiff::Timestamp;

use super::reconciler::Reconciler;
use super::trouble::{Cause, Trouble};
use crate::{MachinePhase, MachineRecord};

/// How long a cloud may not yet know of a machine that it has just made.
pub(super) const VISIBLE_AFTER: Duration = Duration::from_secs(60);
/// The same on wall time, for a cloud that does not run as fast as the cluster's clock.
const VISIBLE_AFTER_WALL: Duration = Duration::from_secs(10);

impl Reconciler {
    /// Brings the fleet up to date with what the cloud says, and ends what is nobody's.
    pub(super) async fn look(&mut self) -> Result<(), Cause> {
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
        self.end_orphans(&cloud, by_id.into_values()).await;
        Ok(())
    }

    /// Terminates what is on no record. One that cannot be is reported, and keeps nobody from the rest.
    async fn end_orphans(&mut self, cloud: &Arc<dyn Instances>, found: impl Iterator<Item = Instance>) {
        if self.orphans.as_ref().is_some_and(|trouble| trouble.next_attempt() > self.clock.now()) {
            return;
        }
        let mut failure = None;
        for orphan in found.filter(|instance| !instance.state.is_ending()) {
            tracing::warn!(instance = orphan.id, "terminating an instance that is on no record");
            if let Err(error) = cloud.terminate(&self.config.cluster, &orphan.id).await {
                failure = failure.or(Some(error));
            }
        }
        self.orphans =
            failure.map(|error| Trouble::again(self.orphans.as_ref(), Cause::from(&error), &self.clock));
    }

    /// A machine that the cloud did not list: terminated, vanished, or not yet visible.
    async fn confirm_missing(&mut self, cloud: &Arc<dyn Instances>, token: &str) -> Result<(), Cause> {
        let Some(machine) = self.fleet.get_mut(token) else { return Ok(()) };
        let id = &machine.record.instance_id;
        let found = cloud.get(&self.config.cluster, id).await.map_err(|error| Cause::from(&error))?;
        let visible_at = machine.record.created_at.saturating_add(VISIBLE_AFTER).unwrap_or(Timestamp::MAX);
        let launched = machine.launched.is_some_and(|watch| watch.elapsed() < VISIBLE_AFTER_WALL);
        let young = launched || self.clock.now() < visible_at;
        match (found, &mut machine.instance) {
            (Some(instance), _) => machine.take_instance(instance),
            (None, _) if young && machine.record.phase == MachinePhase::Launched => machine.instance = None,
            (None, Some(instance)) => instance.state = InstanceState::Terminated,
            (None, None) => machine.instance = Some(vanished(&machine.record, &self.config.cluster.region)),
        }
        Ok(())
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
        failure: None,
    }
}
