//! Which events are repeats, which are too many: client-go's `EventCorrelator`, with its default limits.

use std::collections::{HashMap, HashSet};

use drydock_machinery::Key;
use jiff::Timestamp;

/// Different messages of one group before they are combined into one event.
const MAX_SIMILAR: usize = 10;
/// A group that was silent this long starts anew, seconds.
const SIMILAR_INTERVAL: i64 = 600;
/// How much may be said about one object in a burst, and the seconds until it may be once more.
const SPAM_BURST: f64 = 25.0;
const SPAM_REFILL: f64 = 300.0;
/// A series ends after six minutes without its event.
const SERIES_INTERVAL: i64 = 360;
/// Entries of each map before the oldest ones are dropped.
const MAX_ENTRIES: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Correlator {
    groups: HashMap<String, Group>,
    seen: HashMap<String, Seen>,
    buckets: HashMap<String, Bucket>,
}

#[derive(Debug)]
struct Group {
    messages: HashSet<String>,
    last: Timestamp,
}

/// An event that exists on the server.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) name: Key,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) count: u32,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    last: Timestamp,
}

#[derive(Debug)]
pub(super) enum Verdict {
    Write {
        message: String,
        /// Where the event is remembered; see [`Correlator::forget`].
        slot: String,
        seen: Seen,
    },
    /// Too much was said about the object.
    Drop,
}

impl Correlator {
    /// Decides about one more event of a group of events that differ in their message only.
    pub(super) fn observe(
        &mut self,
        object: &str,
        group: &str,
        message: String,
        name: &Key,
        now: Timestamp,
    ) -> Verdict {
        self.trim();
        let (message, slot) = self.aggregate(group, message, now);
        let seen = self.count(&slot, name, now);
        if self.is_spam(object, now) {
            return Verdict::Drop;
        }
        Verdict::Write { message, slot, seen }
    }

    /// Counts the event of a series.
    pub(super) fn repeat(&mut self, slot: &str, name: &Key, now: Timestamp) -> Seen {
        self.trim();
        if self.seen.get(slot).is_some_and(|seen| seconds(seen.last, now) > SERIES_INTERVAL) {
            self.seen.remove(slot);
        }
        self.count(slot, name, now)
    }

    /// The event could not be written: the next one like it is a first one.
    pub(super) fn forget(&mut self, slot: &str) {
        self.seen.remove(slot);
    }

    fn aggregate(&mut self, group: &str, message: String, now: Timestamp) -> (String, String) {
        let entry = self
            .groups
            .entry(group.to_owned())
            .or_insert_with(|| Group { messages: HashSet::new(), last: now });
        if seconds(entry.last, now) > SIMILAR_INTERVAL {
            entry.messages.clear();
        }
        entry.last = now;
        entry.messages.insert(message.clone());
        if entry.messages.len() < MAX_SIMILAR {
            let slot = format!("{group}/{message}");
            return (message, slot);
        }
        entry.messages.remove(&message);
        (format!("(combined from similar events): {message}"), group.to_owned())
    }

    fn count(&mut self, slot: &str, name: &Key, now: Timestamp) -> Seen {
        let seen = self.seen.entry(slot.to_owned()).or_insert_with(|| Seen {
            name: name.clone(),
            first: now,
            last: now,
            count: 0,
        });
        seen.count += 1;
        seen.last = now;
        seen.clone()
    }

    fn is_spam(&mut self, object: &str, now: Timestamp) -> bool {
        let bucket =
            self.buckets.entry(object.to_owned()).or_insert_with(|| Bucket { tokens: SPAM_BURST, last: now });
        let passed = now.duration_since(bucket.last).as_secs_f64().max(0.0);
        bucket.tokens = (bucket.tokens + passed / SPAM_REFILL).min(SPAM_BURST);
        bucket.last = now;
        if bucket.tokens < 1.0 {
            return true;
        }
        bucket.tokens -= 1.0;
        false
    }

    fn trim(&mut self) {
        drop_oldest(&mut self.seen, |seen| seen.last);
        drop_oldest(&mut self.groups, |group| group.last);
        drop_oldest(&mut self.buckets, |bucket| bucket.last);
    }
}

/// Of a map that is full, drops a quarter at once: to look for the oldest takes a while.
fn drop_oldest<V>(map: &mut HashMap<String, V>, last: impl Fn(&V) -> Timestamp) {
    if map.len() <= MAX_ENTRIES {
        return;
    }
    let mut all: Vec<(Timestamp, String)> =
        map.iter().map(|(key, value)| (last(value), key.clone())).collect();
    all.sort_unstable();
    for (_, key) in &all[..MAX_ENTRIES / 4] {
        map.remove(key);
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> i64 {
    to.duration_since(from).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn observe(correlator: &mut Correlator, message: &str) -> Option<(String, u32)> {
        match correlator.observe("object", "group", message.to_owned(), &Key::from("n"), now()) {
            Verdict::Write { message, seen, .. } => Some((message, seen.count)),
            Verdict::Drop => None,
        }
    }

    #[test]
    fn a_repeat_counts_up_and_a_flood_is_combined() {
        let mut correlator = Correlator::default();
        assert_eq!(observe(&mut correlator, "a"), Some(("a".to_owned(), 1)));
        assert_eq!(observe(&mut correlator, "a"), Some(("a".to_owned(), 2)));
        for i in 0..8 {
            assert_eq!(observe(&mut correlator, &format!("m{i}")), Some((format!("m{i}"), 1)));
        }
        assert_eq!(observe(&mut correlator, "x"), Some(("(combined from similar events): x".to_owned(), 1)));
        assert_eq!(observe(&mut correlator, "y"), Some(("(combined from similar events): y".to_owned(), 2)));
    }

    #[test]
    fn an_object_that_is_talked_about_too_much_is_not_listened_to() {
        let mut correlator = Correlator::default();
        for i in 1..=25 {
            assert_eq!(observe(&mut correlator, "a"), Some(("a".to_owned(), i)));
        }
        assert_eq!(observe(&mut correlator, "a"), None);
    }

    #[test]
    fn what_may_be_said_comes_back_with_parts_of_seconds() {
        let mut correlator = Correlator::default();
        for _ in 0..25 {
            assert!(!correlator.is_spam("object", now()));
        }
        // Asked about more often than once a second, for 302 seconds.
        let later = |i: i64| now() + jiff::SignedDuration::from_millis(400 * i);
        let heard = (1..=755).filter(|i| !correlator.is_spam("object", later(*i))).count();
        assert_eq!(heard, 1);
    }

    #[test]
    fn of_many_the_oldest_are_forgotten() {
        let mut correlator = Correlator::default();
        for i in 0..=MAX_ENTRIES as i64 {
            correlator.count(&i.to_string(), &Key::from("n"), now() + jiff::SignedDuration::from_secs(i));
        }
        correlator.trim();
        assert_eq!(correlator.seen.len(), MAX_ENTRIES + 1 - MAX_ENTRIES / 4);
        assert!(!correlator.seen.contains_key("0") && correlator.seen.contains_key("4096"));
    }
}
