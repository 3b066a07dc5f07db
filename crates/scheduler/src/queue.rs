//! Pods that wait for a node.
//!
//! A pod is ready to be tried (by priority, then by age), backing off after a failure (1 s doubling to 10 s), waiting
//! for the cluster to change in a way that concerns the plugins that refused it, or held by scheduling gates.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use drydock_machinery::{Key, ObjectMeta};
use jiff::Timestamp;

use crate::pod_info::PodInfo;

const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LAST_BACKOFF: Duration = Duration::from_secs(10);
/// A pod that nothing has concerned for so long is tried again all the same.
const STALE_AFTER: Duration = Duration::from_secs(5 * 60);

#[derive(Debug, Default)]
pub(crate) struct Queue {
    entries: HashMap<Key, Entry>,
    ready: BinaryHeap<(i64, Reverse<u64>, Key)>,
    /// When backing-off pods are ready, and when waiting ones are stale.
    timed: BTreeMap<(Timestamp, u64), Key>,
    sequence: u64,
}

#[derive(Debug)]
struct Entry {
    pod: Arc<PodInfo>,
    attempts: u32,
    last_attempt: Timestamp,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// With the number under which it is in the heap.
    Ready(u64),
    Trying,
    BackingOff((Timestamp, u64)),
    /// With the plugins that refused it, and when it is stale.
    Waiting(u32, (Timestamp, u64)),
    Gated,
}

impl Queue {
    /// Adds a pod or its new version; `changed` says that the new version may fare better than the old one.
    pub(crate) fn put(&mut self, pod: Arc<PodInfo>, changed: bool, now: Timestamp) {
        let uid = Key::from(pod.object.uid());
        let gated = !pod.object.array_at(&["spec", "schedulingGates"]).is_empty();
        let Some(entry) = self.entries.get_mut(&uid) else {
            let entry = Entry { pod, attempts: 0, last_attempt: Timestamp::MIN, place: Place::Gated };
            self.entries.insert(uid.clone(), entry);
            if !gated {
                self.make_ready(&uid);
            }
            return;
        };
        entry.pod = pod;
        match entry.place {
            Place::Gated if !gated => self.make_ready(&uid),
            Place::Waiting(..) if changed => self.wake(&uid, now),
            _ => {}
        }
    }

    pub(crate) fn remove(&mut self, uid: &str) {
        if let Some(entry) = self.entries.remove(uid)
            && let Place::BackingOff(slot) | Place::Waiting(_, slot) = entry.place
        {
            self.timed.remove(&slot);
        }
    }

    /// The next pod to try. The caller says how it went with [`Queue::refused`], [`Queue::retry`] or
    /// [`Queue::remove`].
    pub(crate) fn pop(&mut self, now: Timestamp) -> Option<Arc<PodInfo>> {
        self.release_due(now);
        while let Some((_, Reverse(number), uid)) = self.ready.pop() {
            let Some(entry) = self.entries.get_mut(&uid) else { continue };
            if entry.place != Place::Ready(number) {
                continue;
            }
            entry.place = Place::Trying;
            entry.attempts += 1;
            entry.last_attempt = now;
            return Some(entry.pod.clone());
        }
        None
    }

    /// These plugins found no node for it.
    pub(crate) fn refused(&mut self, uid: &str, plugins: u32, now: Timestamp) {
        let slot = self.slot(now.saturating_add(STALE_AFTER).unwrap_or(Timestamp::MAX));
        let Some(entry) = self.entries.get_mut(uid) else { return };
        entry.place = Place::Waiting(plugins, slot);
        self.timed.insert(slot, uid.into());
    }

    /// Something went wrong that may not go wrong again.
    pub(crate) fn retry(&mut self, uid: &str, now: Timestamp) {
        if let Some(entry) = self.entries.get_mut(uid) {
            entry.place = Place::Trying;
            self.back_off(uid, now);
        }
    }

    /// The cluster changed in a way that concerns pods refused by any of `plugins`.
    pub(crate) fn cluster_changed(&mut self, plugins: u32, now: Timestamp) {
        let concerned = |entry: &Entry| matches!(entry.place, Place::Waiting(by, _) if by & plugins != 0);
        let uids: Vec<Key> =
            self.entries.iter().filter(|(_, entry)| concerned(entry)).map(|(uid, _)| uid.clone()).collect();
        for uid in uids {
            self.wake(&uid, now);
        }
    }

    /// When [`Queue::pop`] may find something that it does not find now.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.timed.first_key_value().map(|((at, _), _)| *at)
    }

    fn wake(&mut self, uid: &Key, now: Timestamp) {
        if let Some(entry) = self.entries.get(uid)
            && let Place::Waiting(_, slot) = entry.place
        {
            self.timed.remove(&slot);
            self.back_off(uid, now);
        }
    }

    fn back_off(&mut self, uid: &str, now: Timestamp) {
        let Some(entry) = self.entries.get(uid) else { return };
        let factor = 1u32.checked_shl(entry.attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        let delay = FIRST_BACKOFF.checked_mul(factor).unwrap_or(LAST_BACKOFF).min(LAST_BACKOFF);
        let until = entry.last_attempt.saturating_add(delay).unwrap_or(Timestamp::MAX);
        let uid = Key::from(uid);
        if until <= now {
            return self.make_ready(&uid);
        }
        let slot = self.slot(until);
        if let Some(entry) = self.entries.get_mut(&uid) {
            entry.place = Place::BackingOff(slot);
            self.timed.insert(slot, uid);
        }
    }

    fn release_due(&mut self, now: Timestamp) {
        while let Some(first) = self.timed.first_entry() {
            if first.key().0 > now {
                return;
            }
            let uid = first.remove();
            self.make_ready(&uid);
        }
    }

    fn make_ready(&mut self, uid: &Key) {
        self.sequence += 1;
        if let Some(entry) = self.entries.get_mut(uid) {
            entry.place = Place::Ready(self.sequence);
            self.ready.push((entry.pod.priority, Reverse(self.sequence), uid.clone()));
        }
    }

    fn slot(&mut self, at: Timestamp) -> (Timestamp, u64) {
        self.sequence += 1;
        (at, self.sequence)
    }
}
