//! Pods that wait for a node.
//!
//! A pod is ready to be tried (by priority, then by age), backing off after a failure (by default 1 s doubling to 10 s),
//! waiting for the cluster to change in a way that concerns the plugins that refused it, or held by scheduling gates or
//! for want of its resource claims.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use drydock_machinery::{Key, ObjectMeta};
use jiff::Timestamp;

use crate::pod_info::PodInfo;
use crate::profile::Backoff;

/// A pod that nothing has concerned for so long is tried again all the same.
const STALE_AFTER: Duration = Duration::from_secs(5 * 60);

#[derive(Debug, Default)]
pub(crate) struct Queue {
    entries: HashMap<Key, Entry>,
    ready: BinaryHeap<(i64, Reverse<u64>, Key)>,
    /// When backing-off pods are ready, and when waiting ones are stale.
    timed: BTreeMap<(Timestamp, u64), Key>,
    /// Backing-off pods that need not wait when nothing else is to be done: first those whose pause ends in the same
    /// second as the first one's, by priority and age.
    pausing: BTreeMap<Pause, Key>,
    sequence: u64,
    backoff: Backoff,
}

/// The second in which the pause ends, the pod's priority, and its number among the timed.
type Pause = (i64, Reverse<i64>, u64);

#[derive(Debug)]
struct Entry {
    pod: Arc<PodInfo>,
    attempts: u32,
    last_attempt: Timestamp,
    place: Place,
    /// The plugins that changes have concerned since the pod was taken.
    missed: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// With the number under which it is in the heap.
    Ready(u64),
    Trying,
    BackingOff((Timestamp, u64), Pause),
    /// After an error, which is not likely to be gone sooner.
    Recovering((Timestamp, u64)),
    /// With the plugins that refused it, and when it is stale.
    Waiting(u32, (Timestamp, u64)),
    Gated,
}

/// Whether a pod may be tried at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    Closed,
}

/// Why a pod backs off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Refused,
    /// Likely to happen again when nothing but time helps.
    Error,
}

impl Queue {
    /// For pauses that begin from now on.
    pub(crate) fn set_backoff(&mut self, backoff: Backoff) {
        self.backoff = backoff;
    }

    /// Adds a pod or its new version; `changed` says that the new version may fare better than the old one.
    pub(crate) fn put(&mut self, pod: Arc<PodInfo>, gate: Gate, changed: bool, now: Timestamp) {
        let uid = Key::from(pod.object.uid());
        let gated = gate == Gate::Closed;
        let Some(entry) = self.entries.get_mut(&uid) else {
            let entry =
                Entry { pod, attempts: 0, last_attempt: Timestamp::MIN, place: Place::Gated, missed: 0 };
            self.entries.insert(uid.clone(), entry);
            if !gated {
                self.make_ready(&uid);
            }
            return;
        };
        entry.pod = pod;
        match entry.place {
            Place::Gated if !gated => self.make_ready(&uid),
            // What no plugin has refused is tried again after whatever happens to it.
            Place::Waiting(by, _) if changed || by == !0 => self.wake(&uid, now),
            Place::Trying if changed => entry.missed = !0,
            _ => {}
        }
    }

    pub(crate) fn remove(&mut self, uid: &str) {
        if let Some(entry) = self.entries.remove(uid) {
            self.untime(entry.place);
        }
    }

    /// Forgets when the pod would have been ready.
    fn untime(&mut self, place: Place) {
        match place {
            Place::BackingOff(slot, pause) => {
                self.timed.remove(&slot);
                self.pausing.remove(&pause);
            }
            Place::Recovering(slot) | Place::Waiting(_, slot) => drop(self.timed.remove(&slot)),
            Place::Ready(_) | Place::Trying | Place::Gated => {}
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
            entry.missed = 0;
            entry.attempts += 1;
            entry.last_attempt = now;
            return Some(entry.pod.clone());
        }
        let (_, uid) = self.pausing.pop_first()?;
        self.untime(self.entries.get(&uid)?.place);
        let entry = self.entries.get_mut(&uid)?;
        entry.place = Place::Trying;
        entry.missed = 0;
        entry.attempts += 1;
        entry.last_attempt = now;
        Some(entry.pod.clone())
    }

    /// These plugins found no node for it.
    pub(crate) fn refused(&mut self, uid: &str, plugins: u32, now: Timestamp) {
        let slot = self.slot(now.saturating_add(STALE_AFTER).unwrap_or(Timestamp::MAX));
        let Some(entry) = self.entries.get_mut(uid) else { return };
        if entry.missed & plugins != 0 {
            return self.back_off(uid, now, Cause::Refused);
        }
        entry.place = Place::Waiting(plugins, slot);
        self.timed.insert(slot, uid.into());
    }

    /// Something went wrong that may not go wrong again.
    pub(crate) fn retry(&mut self, uid: &str, now: Timestamp) {
        if let Some(entry) = self.entries.get_mut(uid) {
            entry.place = Place::Trying;
            self.back_off(uid, now, Cause::Error);
        }
    }

    /// The cluster changed in a way that concerns pods refused by any of `plugins`.
    pub(crate) fn cluster_changed(&mut self, plugins: u32, now: Timestamp) {
        self.cluster_changed_for(now, |_| plugins);
    }

    /// As [`Queue::cluster_changed`], where `concerned` says of each pod which plugins the change concerns.
    pub(crate) fn cluster_changed_for(&mut self, now: Timestamp, concerned: impl Fn(&PodInfo) -> u32) {
        for entry in self.entries.values_mut().filter(|entry| entry.place == Place::Trying) {
            entry.missed |= concerned(&entry.pod);
        }
        let concerned =
            |entry: &Entry| matches!(entry.place, Place::Waiting(by, _) if by & concerned(&entry.pod) != 0);
        let uids: Vec<Key> =
            self.entries.iter().filter(|(_, entry)| concerned(entry)).map(|(uid, _)| uid.clone()).collect();
        for uid in uids {
            self.wake(&uid, now);
        }
    }

    /// Pods that were held for want of their claims may be tried when these are there.
    pub(crate) fn open_gates(&mut self, is_open: impl Fn(&PodInfo) -> bool) {
        let gated =
            self.entries.iter().filter(|(_, entry)| entry.place == Place::Gated && is_open(&entry.pod));
        let uids: Vec<Key> = gated.map(|(uid, _)| uid.clone()).collect();
        for uid in uids {
            self.make_ready(&uid);
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
            self.back_off(uid, now, Cause::Refused);
        }
    }

    fn back_off(&mut self, uid: &str, now: Timestamp, cause: Cause) {
        let Some(entry) = self.entries.get(uid) else { return };
        let factor = 1u32.checked_shl(entry.attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        let Backoff { first, last } = self.backoff;
        let delay = first.checked_mul(factor).unwrap_or(last).min(last);
        let until = entry.last_attempt.saturating_add(delay).unwrap_or(Timestamp::MAX);
        let uid = Key::from(uid);
        if until <= now {
            return self.make_ready(&uid);
        }
        let slot = self.slot(until);
        let Some(entry) = self.entries.get_mut(&uid) else { return };
        let pause = (until.as_second(), Reverse(entry.pod.priority), slot.1);
        entry.place = match cause {
            Cause::Refused => Place::BackingOff(slot, pause),
            Cause::Error => Place::Recovering(slot),
        };
        if cause == Cause::Refused {
            self.pausing.insert(pause, uid.clone());
        }
        self.timed.insert(slot, uid);
    }

    fn release_due(&mut self, now: Timestamp) {
        while let Some(first) = self.timed.first_entry() {
            if first.key().0 > now {
                return;
            }
            let uid = first.remove();
            if let Some(Place::BackingOff(_, pause)) = self.entries.get(&uid).map(|entry| entry.place) {
                self.pausing.remove(&pause);
            }
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

#[cfg(test)]
mod tests {
    use drydock_machinery::{Object, value};

    use super::*;

    fn pod(uid: &str, priority: i64) -> Arc<PodInfo> {
        let tree = value!({"metadata": {"name": uid, "uid": uid}, "spec": {"priority": priority}});
        Arc::new(PodInfo::new(Arc::new(Object::new(tree, 1))))
    }

    fn popped(queue: &mut Queue, now: Timestamp) -> Option<String> {
        queue.pop(now).map(|pod| pod.object.uid().to_owned())
    }

    #[test]
    fn refused_pods_need_not_wait_when_nothing_else_is_to_be_done() {
        let now: Timestamp = "2026-01-01T00:00:00.100Z".parse().unwrap();
        let mut queue = Queue::default();
        for (uid, priority) in [("low", 0), ("high", 10)] {
            queue.put(pod(uid, priority), Gate::Open, true, now);
            assert_eq!(popped(&mut queue, now).as_deref(), Some(uid));
            queue.refused(uid, 1, now);
        }
        assert_eq!(popped(&mut queue, now), None);
        queue.cluster_changed(1, now);
        assert_eq!(
            popped(&mut queue, now).as_deref(),
            Some("high"),
            "by priority, as their pauses end together"
        );
        queue.retry("high", now);
        assert_eq!(popped(&mut queue, now).as_deref(), Some("low"));
        assert_eq!(popped(&mut queue, now), None, "after an error the pause is kept");
    }

    #[test]
    fn a_pod_that_no_plugin_has_refused_is_tried_again_after_any_change_of_it() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut queue = Queue::default();
        for (plugins, again) in [(1, None), (!0, Some("a"))] {
            queue.put(pod("a", 0), Gate::Open, true, now);
            assert_eq!(popped(&mut queue, now).as_deref(), Some("a"));
            queue.refused("a", plugins, now);
            queue.put(pod("a", 0), Gate::Open, false, now);
            assert_eq!(popped(&mut queue, now).as_deref(), again);
            queue.remove("a");
        }
    }

    #[test]
    fn what_changes_while_a_pod_is_tried_is_not_missed() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut queue = Queue::default();
        queue.put(pod("a", 0), Gate::Open, true, now);
        assert_eq!(popped(&mut queue, now).as_deref(), Some("a"));
        queue.cluster_changed(2, now);
        queue.refused("a", 2, now);
        assert_eq!(popped(&mut queue, now).as_deref(), Some("a"));
    }
}
