//! Counters on which the devices of a pool draw together.

use std::collections::HashMap;

use drydock_machinery::Key;
use drydock_machinery::quantity::Quantity;

use super::pool::Pool;
use super::slice::{CounterSet, Device};

/// What is left of a pool's counters, by set and name.
#[derive(Debug, Default)]
pub(super) struct Counters(HashMap<(Key, Key), Quantity>);

impl Counters {
    /// `is_taken` tells of a device whether it draws on them already.
    pub(super) fn new(pool: &Pool, is_taken: impl Fn(&Device) -> bool) -> Self {
        let sets = pool.counters.values();
        let counters = sets.flat_map(|set| {
            set.counters.iter().map(|(name, value)| ((set.name.clone(), name.clone()), value.clone()))
        });
        let mut left = Self(counters.collect());
        for device in pool.devices().filter(|device| is_taken(device)) {
            left.change(&device.consumes, |left, used| *left -= used);
        }
        left
    }

    /// Draws what the device needs, unless something would be short then.
    pub(super) fn take(&mut self, device: &Device) -> bool {
        self.change(&device.consumes, |left, used| *left -= used);
        let enough = self.0.values().all(|left| !left.is_negative());
        if !enough {
            self.give_back(device);
        }
        enough
    }

    pub(super) fn give_back(&mut self, device: &Device) {
        self.change(&device.consumes, |left, used| *left += used);
    }

    fn change(&mut self, uses: &[CounterSet], by: fn(&mut Quantity, &Quantity)) {
        for set in uses {
            for (name, used) in &set.counters {
                if let Some(left) = self.0.get_mut(&(set.name.clone(), name.clone())) {
                    by(left, used);
                }
            }
        }
    }
}
