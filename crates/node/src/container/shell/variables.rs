//! A shell's variables, counted against what the exec may hold.

use std::collections::BTreeMap;

use super::super::budget::Held;

/// What a variable costs besides its text.
const ENTRY: usize = 64;

/// By name: the value, and whether children see it.
#[derive(Clone, Debug)]
pub(crate) struct Variables {
    all: BTreeMap<String, (String, bool)>,
    held: Held,
}

impl Variables {
    /// None yet; `held` is what they will be counted in.
    pub(crate) fn new(held: Held) -> Self {
        Self { all: BTreeMap::new(), held }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&(String, bool)> {
        self.all.get(name)
    }

    pub(crate) fn insert(&mut self, name: String, variable: (String, bool)) {
        self.remove(&name);
        if self.held.grow(cost(&name, &variable.0)) {
            self.all.insert(name, variable);
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        if let Some((value, _)) = self.all.remove(name) {
            self.held.shrink(cost(name, &value));
        }
    }

    /// Keeps what children see.
    pub(crate) fn keep_exported(&mut self) {
        let held = &mut self.held;
        self.all.retain(|name, (value, exported)| {
            if !*exported {
                held.shrink(cost(name, value));
            }
            *exported
        });
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.all.keys()
    }
}

fn cost(name: &str, value: &str) -> usize {
    ENTRY + name.len() + value.len()
}
