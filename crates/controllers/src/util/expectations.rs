//! What a controller expects to see of its own doing before it counts again.
//!
//! An informer may lag behind a create or delete that has just been acknowledged; counting then would make one pod too
//! many. Until the informer has shown what was done (or five minutes have passed) the owner is left alone.

use std::collections::{HashMap, HashSet};

use drydock_machinery::Key;
use drydock_runtime::Clock;
use jiff::Timestamp;
use parking_lot::Mutex;

const TIMEOUT_SECONDS: i64 = 300;

#[derive(Debug)]
pub(crate) struct Expectations {
    clock: Clock,
    pending: Mutex<HashMap<Key, Pending>>,
}

#[derive(Debug)]
struct Pending {
    creations: i64,
    deletions: HashSet<Key>,
    since: Timestamp,
}

impl Expectations {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, pending: Mutex::default() }
    }

    pub(crate) fn satisfied(&self, owner: &str) -> bool {
        let mut pending = self.pending.lock();
        let Some(entry) = pending.get(owner) else { return true };
        let fulfilled = entry.creations <= 0 && entry.deletions.is_empty();
        let expired = self.clock.now().duration_since(entry.since).as_secs() > TIMEOUT_SECONDS;
        if fulfilled || expired {
            pending.remove(owner);
            return true;
        }
        false
    }

    pub(crate) fn expect_creations(&self, owner: &str, count: i64) {
        self.change(owner, |entry| entry.creations += count);
    }

    /// `what` names each object, by uid or key, as later given to [`Expectations::deleted`].
    pub(crate) fn expect_deletions(&self, owner: &str, what: impl IntoIterator<Item = Key>) {
        self.change(owner, |entry| entry.deletions.extend(what));
    }

    /// A creation was seen, or has failed.
    pub(crate) fn created(&self, owner: &str) {
        if let Some(entry) = self.pending.lock().get_mut(owner) {
            entry.creations -= 1;
        }
    }

    /// A deletion was seen, or has failed.
    pub(crate) fn deleted(&self, owner: &str, what: &str) {
        if let Some(entry) = self.pending.lock().get_mut(owner) {
            entry.deletions.remove(what);
        }
    }

    pub(crate) fn forget(&self, owner: &str) {
        self.pending.lock().remove(owner);
    }

    fn change(&self, owner: &str, change: impl FnOnce(&mut Pending)) {
        let mut pending = self.pending.lock();
        let now = self.clock.now();
        let entry = pending.entry(owner.into()).or_insert_with(|| Pending {
            creations: 0,
            deletions: HashSet::new(),
            since: now,
        });
        entry.since = now;
        change(entry);
    }
}
