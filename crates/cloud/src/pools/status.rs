//! What is published.

use drydock_machinery::Value;

use super::fleet::Machine;
use super::reconciler::Reconciler;
use super::{Desired, Want};
use crate::{
    Counts, MachinePhase, MachineStatus, NodePoolsStatus, PoolReason, PoolState, PoolStatus,
    UNINITIALIZED_TAINT,
};

/// Whether a Node is Ready and initialised.
pub(crate) fn is_ready(node: &Value) -> bool {
    let conditions = node.array_at(&["status", "conditions"]).iter();
    let ready = conditions
        .filter(|condition| condition.str_at(&["type"]) == "Ready")
        .any(|condition| condition.str_at(&["status"]) == "True");
    let taints = node.array_at(&["spec", "taints"]);
    ready && taints.iter().all(|taint| taint.str_at(&["key"]) != UNINITIALIZED_TAINT)
}

impl Reconciler {
    /// Publishes what is known, when it differs from what was.
    pub(super) fn publish(&mut self, desired: &Desired) {
        let mut next = NodePoolsStatus {
            released: self.released,
            release_reason: self.release_reason(desired),
            ..NodePoolsStatus::default()
        };
        for (name, want) in &desired.pools {
            let status = self.pool_status(name, want, desired.release);
            next.pools.insert(name.clone(), status);
        }
        self.shared.status.send_if_modified(|status| {
            let changed = *status != next;
            *status = next;
            changed
        });
    }

    /// Why a release does not go on: what it met, or that nothing can be seen of the cloud at all.
    fn release_reason(&self, desired: &Desired) -> Option<PoolReason> {
        let trouble = self.blind.as_ref().or(self.release_trouble.as_ref()).or(self.orphans.as_ref());
        trouble.filter(|_| desired.release && !self.released).map(|trouble| trouble.reason.clone())
    }

    fn pool_status(&mut self, name: &str, want: &Want, release: bool) -> PoolStatus {
        let mut machines: Vec<MachineStatus> =
            self.machines_of(name).into_iter().map(|machine| self.machine_status(machine)).collect();
        machines.sort_by(|a, b| (a.created_at, &a.node_name).cmp(&(b.created_at, &b.node_name)));
        let current: Vec<&MachineStatus> =
            machines.iter().filter(|machine| machine.phase == MachinePhase::Launched).collect();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let counts = Counts {
            desired: match want {
                Want::Keep(spec) => spec.size,
                Want::Delete(_) => 0,
            },
            current: count(current.len()),
            ready: count(current.iter().filter(|machine| machine.ready).count()),
        };
        let steady = counts.ready == counts.desired && machines.len() == counts.desired as usize;
        let trouble = self.troubles.get(name).or(self.blind.as_ref()).or(self.orphans.as_ref());
        let reason = trouble.map(|trouble| trouble.reason.clone());
        let state = match want {
            Want::Delete(_) if self.deleted.contains(name) => PoolState::Deleted,
            _ if release && self.released => PoolState::Deleted,
            Want::Delete(_) => PoolState::Deleting,
            _ if release => PoolState::Deleting,
            Want::Keep(_) if reason.is_some() => PoolState::Degraded,
            Want::Keep(_) if steady => PoolState::Active,
            Want::Keep(_) if self.was_active.contains(name) => PoolState::Updating,
            Want::Keep(_) => PoolState::Creating,
        };
        if state == PoolState::Active {
            self.was_active.insert(name.to_owned());
        }
        PoolStatus { state, counts, reason, machines }
    }

    fn machine_status(&self, machine: &Machine) -> MachineStatus {
        let record = &machine.record;
        let draining = (record.phase == MachinePhase::Draining).then(|| machine.drain.progress.clone());
        MachineStatus {
            instance_id: record.instance_id.clone(),
            node_name: record.node_name.clone(),
            provider_id: record.provider_id.clone(),
            zone: record.zone.clone(),
            instance_type: record.instance_type.clone(),
            version: record.version.clone(),
            phase: record.phase,
            instance_state: machine.state(),
            ready: !record.node_name.is_empty() && self.node_is_ready(&record.node_name),
            created_at: record.created_at,
            draining: draining.flatten(),
        }
    }
}
