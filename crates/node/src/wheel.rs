//! What is due when.

use std::collections::{BTreeMap, HashMap};

use drydock_machinery::Key;
use jiff::Timestamp;

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Due {
    /// Register the node, or go on with that.
    Register(Key),
    /// Post the node's first Ready status.
    Ready(Key),
    /// Renew the node's lease.
    Lease(Key),
    /// Post the node's status.
    Status(Key),
    /// Make resources allocatable that somebody else says the node has.
    Extended(Key),
    /// The pod's next step; by `namespace/name`.
    Pod(Key),
}

/// Each thing is due at most once.
#[derive(Debug, Default)]
pub(crate) struct Wheel {
    by_time: BTreeMap<(Timestamp, u64), Due>,
    slots: HashMap<Due, (Timestamp, u64)>,
    sequence: u64,
}

impl Wheel {
    /// Plans `due` for `at`, in place of any other time.
    pub(crate) fn plan(&mut self, due: Due, at: Timestamp) {
        self.cancel(&due);
        self.sequence += 1;
        let slot = (at, self.sequence);
        self.by_time.insert(slot, due.clone());
        self.slots.insert(due, slot);
    }

    /// As [`Wheel::plan`], unless it is planned already.
    pub(crate) fn plan_if_absent(&mut self, due: Due, at: Timestamp) {
        if !self.slots.contains_key(&due) {
            self.plan(due, at);
        }
    }

    pub(crate) fn cancel(&mut self, due: &Due) {
        if let Some(slot) = self.slots.remove(due) {
            self.by_time.remove(&slot);
        }
    }

    /// Takes what is due by `now`, earliest first.
    pub(crate) fn take(&mut self, now: Timestamp) -> Vec<Due> {
        let mut taken = Vec::new();
        while let Some(first) = self.by_time.first_entry() {
            if first.key().0 > now {
                break;
            }
            let due = first.remove();
            self.slots.remove(&due);
            taken.push(due);
        }
        taken
    }

    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.by_time.first_key_value().map(|((at, _), _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_come_in_time_and_once() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut wheel = Wheel::default();
        wheel.plan(Due::Lease("b".into()), at(2));
        wheel.plan(Due::Lease("a".into()), at(1));
        wheel.plan(Due::Lease("b".into()), at(3));
        wheel.plan_if_absent(Due::Lease("a".into()), at(9));
        assert_eq!(wheel.next(), Some(at(1)));
        assert_eq!(wheel.take(at(2)), [Due::Lease("a".into())]);
        wheel.cancel(&Due::Lease("b".into()));
        assert_eq!(wheel.next(), None);
    }
}
