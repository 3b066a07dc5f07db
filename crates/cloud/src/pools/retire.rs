//! Ending machines: by order of a smaller size, or because they are gone.

use std::time::Duration;

use drydock_client::{DeleteOptions, resources};
use drydock_cloud_api::{CloudErrorKind, InstanceState};
use drydock_machinery::{ObjectMeta, Status};
use jiff::Timestamp;

use super::Want;
use super::drain::{self, Kubelet};
use super::fleet::Machine;
use super::look::VISIBLE_AFTER;
use super::reconciler::Reconciler;
use super::trouble::Cause;
use crate::MachinePhase;

impl Reconciler {
    /// Machines that the cloud failed are to be terminated, and make themselves known as the pool's trouble.
    pub(super) async fn end_failed(&mut self, pool: &str) -> Result<(), Cause> {
        let failed = self.tokens_of(pool, |machine| {
            machine.record.phase != MachinePhase::Terminating
                && machine.state() == Some(InstanceState::Failed)
        });
        let failure = self.note_failures(&failed);
        let mut ending = Vec::new();
        for token in &failed {
            self.remove_agent(token).await;
            ending.extend(self.fleet.get(token).map(|machine| {
                let mut record = machine.record.clone();
                record.phase = MachinePhase::Terminating;
                record
            }));
        }
        self.write(ending).await?;
        failure.map_or(Ok(()), Err)
    }

    /// Why the cloud failed these, if it did: the first reason. Zones without capacity are left alone for a while.
    fn note_failures(&mut self, tokens: &[String]) -> Option<Cause> {
        let mut first = None;
        for token in tokens {
            let Some(machine) = self.fleet.get(token) else { continue };
            let Some(failure) = machine.instance.as_ref().and_then(|i| i.failure.clone()) else { continue };
            let zone = machine.record.zone.clone();
            first = first.or_else(|| Some(Cause::of_machine(&machine.record.instance_id, &failure)));
            if failure.kind == CloudErrorKind::InsufficientCapacity {
                self.leave_zone(&zone);
            }
        }
        first
    }

    /// Machines that somebody else terminated, or the cloud by itself: their agents fall silent, and others take their
    /// place. Their Nodes are the cloud controller manager's to delete.
    pub(super) async fn drop_lost(&mut self, pool: &str) -> Result<(), Cause> {
        let lost = self.tokens_of(pool, |machine| {
            machine.record.phase != MachinePhase::Terminating
                && machine.state().is_some_and(InstanceState::is_ending)
        });
        let failure = self.note_failures(&lost);
        for token in &lost {
            self.remove_agent(token).await;
            if let Some(machine) = self.fleet.get(token) {
                let record = &machine.record;
                tracing::info!(
                    pool,
                    instance = record.instance_id,
                    "machine was terminated by somebody else"
                );
            }
        }
        self.forget_records(&lost).await?;
        failure.map_or(Ok(()), Err)
    }

    /// Drops machines that were never made, as far as is known: should one appear, it is nobody's.
    pub(super) async fn drop_wanted(&mut self, tokens: &[String]) -> Result<(), Cause> {
        if tokens.iter().any(|token| self.fleet.get(token).is_some_and(|machine| machine.may_exist)) {
            self.settled_at = self.clock.now().saturating_add(VISIBLE_AFTER / 6).unwrap_or(Timestamp::MAX);
        }
        self.forget_records(tokens).await
    }

    pub(super) async fn forget_records(&mut self, tokens: &[String]) -> Result<(), Cause> {
        if tokens.is_empty() {
            return Ok(());
        }
        let outcome = self.config.records.remove(&self.config.cluster.uid, tokens).await;
        outcome.map_err(|error| Cause::from(&error))?;
        for token in tokens {
            self.fleet.remove(token);
        }
        Ok(())
    }

    /// Takes one step of each drain of the pool.
    pub(super) async fn drain(&mut self, pool: &str, want: &Want) -> Result<(), Cause> {
        let limit = Duration::from_secs(u64::from(want.spec().drain_timeout_seconds));
        let draining = self.tokens_of(pool, |machine| machine.record.phase == MachinePhase::Draining);
        let mut done = Vec::new();
        for token in draining {
            let now = self.clock.now();
            let Some(machine) = self.fleet.get_mut(&token) else { continue };
            let alive = machine.state().is_none_or(|state| state == InstanceState::Running);
            let kubelet = if alive { Kubelet::Alive } else { Kubelet::Dead };
            let node_name = machine.record.node_name.clone();
            let mut drain = std::mem::take(&mut machine.drain);
            let outcome =
                drain::step(&self.config.client, &self.pods, &node_name, kubelet, now, &mut drain).await;
            if let Err(status) = &outcome {
                drain.progress = Some(status.message.clone());
            }
            let began = machine.record.drain_started_at.unwrap_or(now);
            let late = now >= began.saturating_add(limit).unwrap_or(Timestamp::MAX);
            let progress = drain.progress.clone().unwrap_or_default();
            machine.drain = drain;
            let empty = matches!(outcome, Ok(true));
            if late && !empty {
                self.warn_of_timeout(&node_name, &progress);
            }
            if late || empty {
                done.extend(self.fleet.get(&token).map(|machine| {
                    let mut record = machine.record.clone();
                    record.phase = MachinePhase::Terminating;
                    record
                }));
            }
        }
        self.write(done).await
    }

    fn warn_of_timeout(&self, node_name: &str, progress: &str) {
        tracing::warn!(node = node_name, progress, "drain took too long, terminating regardless");
        if let Some(node) = self.nodes.get("", node_name) {
            let message = format!("Node could not be drained in time, terminating it: {progress}");
            self.events.warning(&node, "PodEvictionFailure", message);
        }
    }

    /// Terminates what is to be terminated, and deletes the Nodes.
    pub(super) async fn retire(&mut self, pool: &str) -> Result<(), Cause> {
        let going = self.tokens_of(pool, |machine| machine.record.phase == MachinePhase::Terminating);
        let mut outcome = Ok(());
        let mut gone = Vec::new();
        for token in going {
            self.remove_agent(&token).await;
            outcome = outcome.and(self.terminate(&token).await);
            let deleted = self.delete_node(&token).await;
            if let Err(status) = &deleted {
                tracing::debug!(%status, "node cannot be deleted yet");
            }
            let state = self.fleet.get(&token).and_then(Machine::state);
            if state == Some(InstanceState::Terminated) && deleted.is_ok() {
                gone.push(token);
            }
        }
        outcome.and(self.forget_records(&gone).await)
    }

    /// Terminates a machine unless it is on its way out.
    pub(super) async fn terminate(&mut self, token: &str) -> Result<(), Cause> {
        let Some(machine) = self.fleet.get(token) else { return Ok(()) };
        if machine.state().is_some_and(InstanceState::is_ending) {
            return Ok(());
        }
        let id = machine.record.instance_id.clone();
        let outcome = self.cloud()?.terminate(&self.config.cluster, &id).await;
        outcome.map_err(|error| Cause::from(&error))?;
        if let Some(instance) = self.fleet.get_mut(token).and_then(|machine| machine.instance.as_mut()) {
            instance.state = InstanceState::ShuttingDown;
        }
        Ok(())
    }

    async fn delete_node(&self, token: &str) -> Result<(), Status> {
        let Some(record) = self.fleet.get(token).map(|machine| &machine.record) else { return Ok(()) };
        let Some(node) = self.nodes.get("", &record.node_name) else { return Ok(()) };
        let provider_id = node.str_at(&["spec", "providerID"]);
        if !provider_id.is_empty() && provider_id != record.provider_id {
            // Another machine took the name.
            return Ok(());
        }
        let options = DeleteOptions::of_uid(node.uid());
        match self.config.client.delete(&resources::NODES, "", node.name(), options).await {
            Err(status) if !status.is_not_found() && !status.is_conflict() => Err(status),
            _ => Ok(()),
        }
    }

    /// When the last machine is gone, so is the pool.
    pub(super) async fn finish_delete(&mut self, pool: &str) -> Result<(), Cause> {
        let unsettled = self.clock.now() < self.settled_at;
        if self.deleted.contains(pool) || !self.machines_of(pool).is_empty() || unsettled {
            return Ok(());
        }
        let outcome = self.cloud()?.release_pool(&self.config.cluster, pool).await;
        outcome.map_err(|error| Cause::from(&error))?;
        self.prepared.remove(pool);
        self.deleted.insert(pool.to_owned());
        Ok(())
    }
}
