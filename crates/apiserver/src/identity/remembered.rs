//! Answers that are good for a while, a bounded number of them. Their time is wall time: those who answered have their own
//! clocks.

use std::collections::HashMap;
use std::time::Duration;

use drydock_runtime::Stopwatch;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

/// No more answers than that; an answer is about as large as a user.
const MOST: usize = 4096;

/// The digest of a question: what was asked may be a secret.
pub(super) type Key = [u8; 32];

pub(super) fn key(parts: &[&[u8]]) -> Key {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

pub(super) struct Remembered<T>(Mutex<HashMap<Key, Entry<T>>>);

struct Entry<T> {
    since: Stopwatch,
    good_for: Duration,
    answer: T,
}

impl<T> Entry<T> {
    fn is_good(&self) -> bool {
        self.since.elapsed() < self.good_for
    }
}

impl<T: Clone> Remembered<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    pub(super) fn get(&self, key: &Key) -> Option<T> {
        self.0.lock().get(key).filter(|entry| entry.is_good()).map(|entry| entry.answer.clone())
    }

    pub(super) fn put(&self, key: Key, answer: T, good_for: Duration) {
        let mut entries = self.0.lock();
        if entries.len() >= MOST {
            entries.retain(|_, entry| entry.is_good());
        }
        if entries.len() >= MOST {
            entries.clear();
        }
        entries.insert(key, Entry { since: Stopwatch::start(), good_for, answer });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_forgotten_in_time() {
        let remembered = Remembered::new();
        let question = key(&[b"a", b"bc"]);
        assert_ne!(question, key(&[b"ab", b"c"]));
        remembered.put(question, 1, Duration::from_secs(60));
        assert_eq!(remembered.get(&question), Some(1));
        remembered.put(question, 2, Duration::ZERO);
        assert_eq!(remembered.get(&question), None);
    }
}
