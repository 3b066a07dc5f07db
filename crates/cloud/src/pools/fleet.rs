//! What is known of each machine, and the pure decision which to add, to drop and to drain.

use std::collections::BTreeMap;

use drydock_cloud_api::{Instance, InstanceState};
use drydock_runtime::Stopwatch;
use jiff::Timestamp;

use super::Want;
use crate::{MachinePhase, MachineRecord, PoolSpec};

/// A machine on record.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) record: MachineRecord,
    /// As the cloud last described it.
    pub(super) instance: Option<Instance>,
    pub(super) agent: Agent,
    pub(super) drain: Drain,
    /// A launch under its token was under way, and nobody knows what came of it.
    pub(super) may_exist: bool,
    /// Since this process had the answer to its launch.
    pub(super) launched: Option<Stopwatch>,
}

/// What this process has told the machine's agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agent {
    Unknown,
    Started,
    Stopped,
    Removed,
}

/// How far a drain is.
#[derive(Clone, Debug, Default)]
pub(super) struct Drain {
    pub(super) cordoned: bool,
    /// When what was refused is asked for again.
    pub(super) next_evict: Option<Timestamp>,
    /// What is left, for people.
    pub(super) progress: Option<String>,
}

impl Machine {
    /// One that is now put on record.
    pub(super) fn new(record: MachineRecord) -> Self {
        Self {
            record,
            instance: None,
            agent: Agent::Unknown,
            drain: Drain::default(),
            may_exist: false,
            launched: None,
        }
    }

    /// One that was on record when the process started: the one before may have launched it.
    pub(super) fn recorded(record: MachineRecord) -> Self {
        Self { may_exist: true, ..Self::new(record) }
    }

    pub(super) fn state(&self) -> Option<InstanceState> {
        self.instance.as_ref().map(|instance| instance.state)
    }

    /// Counts towards its pool's size.
    pub(super) fn is_current(&self) -> bool {
        matches!(self.record.phase, MachinePhase::Wanted | MachinePhase::Launched)
    }

    /// Something is going on that the next look may find done.
    pub(super) fn is_moving(&self) -> bool {
        match self.record.phase {
            MachinePhase::Launched => match self.state() {
                None => true,
                Some(state) => !matches!(state, InstanceState::Running | InstanceState::Stopped),
            },
            _ => true,
        }
    }

    pub(super) fn take_instance(&mut self, instance: Instance) {
        let record = &mut self.record;
        // Clouds forget some of it when a machine is terminated; its Node still has to be found.
        for (known, said) in [
            (&mut record.instance_id, &instance.id),
            (&mut record.node_name, &instance.node_name),
            (&mut record.provider_id, &instance.provider_id),
            (&mut record.zone, &instance.zone),
        ] {
            if !said.is_empty() {
                known.clone_from(said);
            }
        }
        if self.record.phase == MachinePhase::Wanted {
            self.record.phase = MachinePhase::Launched;
        }
        self.instance = Some(instance);
    }
}

/// What a pool needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) add: u32,
    /// Tokens of machines that were never made, as far as is known.
    pub(super) drop: Vec<String>,
    pub(super) drain: Vec<String>,
}

/// Compares a pool's machines with what is wanted. `is_ready` says whether a Node is Ready.
pub(super) fn plan(want: &Want, machines: &[&Machine], is_ready: impl Fn(&str) -> bool) -> Plan {
    let size = match want {
        Want::Keep(spec) => spec.size as usize,
        Want::Delete(_) => 0,
    };
    let mut plan = Plan::default();
    let mut current = Vec::new();
    for machine in machines.iter().copied().filter(|machine| machine.is_current()) {
        if is_outdated(machine, want.spec()) {
            plan.drop.push(machine.record.client_token.clone());
        } else {
            current.push(machine);
        }
    }
    if current.len() <= size {
        plan.add = u32::try_from(size - current.len()).unwrap_or(0);
        return plan;
    }
    for machine in victims(current, size, is_ready) {
        let token = machine.record.client_token.clone();
        match machine.record.phase {
            MachinePhase::Wanted => plan.drop.push(token),
            _ => plan.drain.push(token),
        }
    }
    plan
}

/// Not yet made, and no longer wanted as it is on record.
fn is_outdated(machine: &Machine, spec: &PoolSpec) -> bool {
    let record = &machine.record;
    let elsewhere = !spec.zones.is_empty() && !spec.zones.contains(&record.zone);
    record.phase == MachinePhase::Wanted
        && (record.instance_type != spec.instance_type || record.version != spec.version || elsewhere)
}

/// Those that go first: not yet made, then not ready, then of the fullest zone, then the youngest.
fn victims(mut current: Vec<&Machine>, size: usize, is_ready: impl Fn(&str) -> bool) -> Vec<&Machine> {
    let mut zones: BTreeMap<&str, usize> = BTreeMap::new();
    for machine in &current {
        *zones.entry(&machine.record.zone).or_default() += 1;
    }
    // Youngest last, so that `max_by_key`, which takes the last of equals, takes the youngest.
    current.sort_by_key(|machine| (machine.record.created_at, &machine.record.client_token));
    let fixed = |machine: &Machine| {
        let made = machine.record.phase != MachinePhase::Wanted;
        (!made, !is_ready(&machine.record.node_name))
    };
    let mut left: Vec<_> = current.into_iter().map(|machine| (fixed(machine), machine)).collect();
    let mut out = Vec::new();
    while left.len() > size {
        let rank = |i: &usize| (left[*i].0, zones[left[*i].1.record.zone.as_str()]);
        let Some(i) = (0..left.len()).max_by_key(rank) else { break };
        let (_, victim) = left.remove(i);
        if let Some(count) = zones.get_mut(victim.record.zone.as_str()) {
            *count -= 1;
        }
        out.push(victim);
    }
    out
}

/// The zone with the fewest of the pool's machines, of those given; the first of equals.
pub(super) fn emptiest_zone<'a>(zones: &'a [String], used: &BTreeMap<String, usize>) -> Option<&'a String> {
    zones.iter().min_by_key(|zone| used.get(*zone).copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn machine(token: &str, phase: MachinePhase, zone: &str, age: i64) -> Machine {
        let created_at = Timestamp::from_second(1_000_000 - age).unwrap();
        Machine::new(MachineRecord {
            cluster_uid: "u".into(),
            node_pool: "p".into(),
            client_token: token.into(),
            phase,
            instance_type: "m".into(),
            zone: zone.into(),
            version: String::new(),
            instance_id: String::new(),
            node_name: token.into(),
            provider_id: String::new(),
            created_at,
            drain_started_at: None,
        })
    }

    #[test]
    fn a_pool_shrinks_by_what_is_missed_least() {
        use MachinePhase::{Draining, Launched, Wanted};
        let machines = [
            machine("old-a", Launched, "a", 50),
            machine("young-a", Launched, "a", 10),
            machine("b", Launched, "b", 40),
            machine("sick-b", Launched, "b", 60),
            machine("never", Wanted, "c", 5),
            machine("going", Draining, "c", 5),
        ];
        let all: Vec<&Machine> = machines.iter().collect();
        let at = |size| {
            let want = Want::Keep(Arc::new(PoolSpec::new("p", size, "m", "")));
            let plan = plan(&want, &all, |node| node != "sick-b");
            (plan.add, plan.drop.join(" "), plan.drain.join(" "))
        };
        let text = |add, drop: &str, drain: &str| (add, drop.to_owned(), drain.to_owned());
        assert_eq!(at(7), text(2, "", ""));
        assert_eq!(at(5), text(0, "", ""));
        assert_eq!(at(4), text(0, "never", ""));
        assert_eq!(at(3), text(0, "never", "sick-b"));
        assert_eq!(at(2), text(0, "never", "sick-b young-a"));
        assert_eq!(at(0), text(0, "never", "sick-b young-a b old-a"));
        let spec = Arc::new(PoolSpec::new("p", 7, "m", ""));
        let deleted = plan(&Want::Delete(spec), &all, |_| true);
        assert_eq!((deleted.add, deleted.drop.len(), deleted.drain.len()), (0, 1, 4));
    }
}
