//! The work queue: keys to reconcile, each at most once in the queue and by one worker at a time.
//!
//! As client-go's: a key added while it is being worked on comes back when that is done. Failures are retried after
//! a delay that doubles per key, on the Clock: from 5 ms to 1000 s unless the queue says otherwise.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use drydock_machinery::{Key, ObjectMeta, Value};
use drydock_runtime::Clock;
use foldhash::{HashMap, HashSet};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// How soon and how late failures are retried; client-go's default.
const RETRIES: Range<Duration> = Duration::from_millis(5)..Duration::from_secs(1000);

/// A queue of keys. Share it in an `Arc`.
#[derive(Debug)]
pub struct WorkQueue {
    clock: Clock,
    retries: Range<Duration>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Key>,
    /// In `ready`, or to go there when its present processing is done.
    dirty: HashSet<Key>,
    processing: HashSet<Key>,
    failures: HashMap<Key, u32>,
    /// By due time; the number keeps equal times apart.
    delayed: BTreeMap<(Timestamp, u64), Key>,
    due: HashMap<Key, (Timestamp, u64)>,
    sequence: u64,
}

impl State {
    fn add(&mut self, key: Key) -> bool {
        if !self.dirty.insert(key.clone()) {
            return false;
        }
        if self.processing.contains(&key) {
            return false;
        }
        self.ready.push_back(key);
        true
    }

    fn take_due(&mut self, now: Timestamp) {
        while let Some(entry) = self.delayed.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let key = entry.remove();
            self.due.remove(&key);
            self.add(key);
        }
    }
}

impl WorkQueue {
    pub fn new(clock: Clock) -> Self {
        Self::with_retries(clock, RETRIES)
    }

    /// A queue whose failures are first retried after `retries.start`, and not later than after `retries.end`.
    pub fn with_retries(clock: Clock, retries: Range<Duration>) -> Self {
        Self { clock, retries, state: Mutex::default(), changed: Notify::new() }
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    pub fn add(&self, key: impl Into<Key>) {
        if self.state.lock().add(key.into()) {
            self.changed.notify_one();
        }
    }

    /// Adds the object's `namespace/name`.
    pub fn add_object(&self, object: &Value) {
        self.add(object.key());
    }

    /// Adds the key when `delay` has passed. An earlier time that is already planned stands.
    pub fn add_after(&self, key: impl Into<Key>, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        let key = key.into();
        let at = self.clock.now().saturating_add(delay).unwrap_or(Timestamp::MAX);
        let mut state = self.state.lock();
        if let Some(planned) = state.due.get(&key).copied() {
            if planned.0 <= at {
                return;
            }
            state.delayed.remove(&planned);
        }
        state.sequence += 1;
        let slot = (at, state.sequence);
        state.due.insert(key.clone(), slot);
        state.delayed.insert(slot, key);
        drop(state);
        self.changed.notify_one();
    }

    /// Adds the key after a delay that doubles with each failure since the last [`WorkQueue::forget`].
    pub fn add_rate_limited(&self, key: impl Into<Key>) {
        let key = key.into();
        let failures = {
            let mut state = self.state.lock();
            let failures = state.failures.entry(key.clone()).or_default();
            *failures += 1;
            *failures
        };
        let factor = 1u32.checked_shl(failures - 1).unwrap_or(u32::MAX);
        let Range { start, end } = self.retries;
        self.add_after(key, start.checked_mul(factor).unwrap_or(end).min(end));
    }

    /// How often the key was added rate-limited since it was last forgotten.
    pub fn requeues(&self, key: &str) -> u32 {
        self.state.lock().failures.get(key).copied().unwrap_or(0)
    }

    pub fn forget(&self, key: &str) {
        self.state.lock().failures.remove(key);
    }

    /// How many keys are ready to be worked on.
    pub fn len(&self) -> usize {
        self.state.lock().ready.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits for a key. The caller calls [`WorkQueue::done`] with it afterwards. Cancel-safe.
    pub async fn next(&self) -> Key {
        loop {
            let changed = self.changed.notified();
            let next_due = {
                let mut state = self.state.lock();
                if !state.delayed.is_empty() {
                    state.take_due(self.clock.now());
                }
                if let Some(key) = state.ready.pop_front() {
                    state.dirty.remove(&key);
                    state.processing.insert(key.clone());
                    if !state.ready.is_empty() {
                        self.changed.notify_one();
                    }
                    return key;
                }
                state.delayed.first_key_value().map(|((at, _), _)| *at)
            };
            match next_due {
                None => changed.await,
                Some(at) => tokio::select! {
                    () = changed => {}
                    () = self.clock.sleep_until(at) => {}
                },
            }
        }
    }

    /// The key's processing is over.
    pub fn done(&self, key: &Key) {
        let mut state = self.state.lock();
        state.processing.remove(key);
        if state.dirty.contains(key) {
            state.ready.push_back(key.clone());
            drop(state);
            self.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> WorkQueue {
        WorkQueue::new(Clock::manual("2026-01-01T00:00:00Z".parse().unwrap()))
    }

    #[tokio::test]
    async fn a_key_added_twice_comes_once() {
        let queue = queue();
        queue.add("a");
        queue.add("b");
        queue.add("a");
        assert_eq!(queue.next().await, "a");
        assert_eq!(queue.next().await, "b");
        assert!(queue.is_empty());
    }

    #[tokio::test]
    async fn a_key_added_while_in_work_comes_back_when_that_is_done() {
        let queue = queue();
        queue.add("a");
        let key = queue.next().await;
        queue.add("a");
        assert!(queue.is_empty());
        queue.done(&key);
        assert_eq!(queue.next().await, "a");
    }

    #[tokio::test]
    async fn a_delayed_key_comes_when_the_clock_says_so() {
        let queue = queue();
        queue.add_after("a", Duration::from_secs(10));
        queue.add_after("a", Duration::from_secs(20));
        let mut next = Box::pin(queue.next());
        assert!(futures::poll!(&mut next).is_pending());
        queue.clock().advance(Duration::from_secs(10));
        assert_eq!(next.await, "a");
    }

    #[tokio::test]
    async fn failures_double_the_delay() {
        let queue = queue();
        for (expected, _) in [(5, ()), (10, ()), (20, ())] {
            queue.add_rate_limited("a");
            let mut next = Box::pin(queue.next());
            assert!(futures::poll!(&mut next).is_pending());
            queue.clock().advance(Duration::from_millis(expected));
            let key = next.await;
            queue.done(&key);
        }
        queue.forget("a");
        assert_eq!(queue.requeues("a"), 0);
    }

    #[tokio::test]
    async fn the_delay_has_an_end() {
        let (start, end) = (Duration::from_secs(1), Duration::from_secs(3));
        let queue = WorkQueue::with_retries(queue().clock, start..end);
        for delay in [1, 2, 3, 3] {
            queue.add_rate_limited("a");
            let mut next = Box::pin(queue.next());
            queue.clock().advance(Duration::from_secs(delay) - Duration::from_millis(1));
            assert!(futures::poll!(&mut next).is_pending());
            queue.clock().advance(Duration::from_millis(1));
            queue.done(&next.await);
        }
    }
}
