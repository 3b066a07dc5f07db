//! The pools of devices that a node can reach.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use drydock_machinery::{Key, Object};

use super::slice::{CounterSet, Device, Slice};

/// The slices of one driver's pool, of its current generation.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) driver: Key,
    pub(super) name: Key,
    pub(super) health: Health,
    /// Those with devices for the node, by name.
    pub(super) slices: Vec<Arc<Slice>>,
    /// Those without, whose devices draw on the same counters.
    pub(super) elsewhere: Vec<Arc<Slice>>,
    pub(super) counters: HashMap<Key, CounterSet>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Good,
    /// Its driver is still publishing slices.
    Incomplete,
    /// Its slices contradict each other.
    Invalid,
}

impl Pool {
    pub(super) fn id(&self) -> String {
        format!("{}/{}", self.driver, self.name)
    }

    pub(super) fn devices(&self) -> impl Iterator<Item = &Device> {
        self.slices.iter().chain(&self.elsewhere).flat_map(|slice| &slice.devices)
    }

    fn has_conditions(&self) -> bool {
        self.slices.iter().flat_map(|slice| &slice.devices).any(|device| device.conditions.is_some())
    }
}

/// All that the node can reach, by driver and name; those with devices that take time to get ready come last.
pub(super) fn pools(slices: &BTreeMap<Key, Arc<Slice>>, node: &Object) -> Vec<Pool> {
    let mut by_id: BTreeMap<(Key, Key), Vec<Arc<Slice>>> = BTreeMap::new();
    for slice in slices.values().filter(|slice| slice.concerns(node)) {
        let pool = by_id.entry((slice.driver.clone(), slice.pool.clone())).or_default();
        let current = pool.first().map_or(slice.generation, |first| first.generation);
        if slice.generation > current {
            pool.clear();
        }
        if slice.generation >= current {
            pool.push(slice.clone());
        }
    }
    let pools = by_id.into_iter().filter_map(|((driver, name), here)| {
        let generation = here.first()?.generation;
        let of_pool = slices.values().filter(|slice| slice.driver == driver && slice.pool == name);
        if of_pool.clone().any(|slice| slice.generation > generation) {
            return None;
        }
        let all: Vec<&Arc<Slice>> = of_pool.filter(|slice| slice.generation == generation).collect();
        Some(pool(driver, name, here, &all))
    });
    let (late, mut early): (Vec<Pool>, Vec<Pool>) = pools.partition(Pool::has_conditions);
    early.extend(late);
    early
}

fn pool(driver: Key, name: Key, here: Vec<Arc<Slice>>, all: &[&Arc<Slice>]) -> Pool {
    let mut pool = Pool {
        driver,
        name,
        health: Health::Good,
        slices: Vec::new(),
        elsewhere: Vec::new(),
        counters: HashMap::new(),
    };
    if here.first().is_some_and(|first| all.len() as i64 != first.count) {
        pool.health = Health::Incomplete;
        return pool;
    }
    let names: HashSet<Key> = here.iter().map(|slice| slice.name.clone()).collect();
    let elsewhere = all.iter().filter(|slice| !names.contains(&slice.name)).map(|slice| (*slice).clone());
    pool.elsewhere = elsewhere.collect();
    let sets = here.iter().flat_map(|slice| &slice.counters);
    for set in sets {
        if pool.counters.insert(set.name.clone(), set.clone()).is_some() {
            pool.health = Health::Invalid;
        }
    }
    pool.slices = here.into_iter().filter(|slice| slice.counters.is_empty()).collect();
    if has_duplicates(&pool.slices) || !pool.devices().all(|device| counts_on_known(device, &pool.counters)) {
        pool.health = Health::Invalid;
    }
    pool
}

fn has_duplicates(slices: &[Arc<Slice>]) -> bool {
    let mut names = HashSet::new();
    slices.iter().flat_map(|slice| &slice.devices).any(|device| !names.insert(&device.id.device))
}

fn counts_on_known(device: &Device, sets: &HashMap<Key, CounterSet>) -> bool {
    device.consumes.iter().all(|used| {
        sets.get(&used.name).is_some_and(|set| {
            used.counters.iter().all(|(name, _)| set.counters.iter().any(|(known, _)| known == name))
        })
    })
}
