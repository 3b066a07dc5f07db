//! Pods that fail as soon as they are made are replaced ever more slowly: a kubelet that rejects them is not fought.

use std::collections::HashMap;
use std::time::Duration;

use drydock_machinery::Key;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

const FIRST: Duration = Duration::from_secs(1);
const LAST: Duration = Duration::from_secs(15 * 60);

/// A set by uid and generation, and a node.
type Place = (Key, Option<i64>, Key);

/// When a failed pod was last replaced in each place, and how long the next has to wait.
#[derive(Debug, Default)]
pub(super) struct Failures {
    last: Mutex<HashMap<Place, (Timestamp, Duration)>>,
}

impl Failures {
    /// The pause that holds at the place. When there is none a failed pod is taken to be replaced now, and the next pause
    /// is twice as long, unless the last was long ago.
    pub(super) fn pause(&self, place: Place, now: Timestamp) -> Option<Duration> {
        let mut last = self.last.lock();
        if let Some((since, pause)) = last.get(&place).copied() {
            if passed(since, now) < pause {
                return Some(pause);
            }
            let next = if passed(since, now) > LAST * 2 { FIRST } else { (pause * 2).min(LAST) };
            last.insert(place, (now, next));
            return None;
        }
        last.retain(|_, (since, _)| passed(*since, now) <= LAST * 2);
        last.insert(place, (now, FIRST));
        None
    }
}

fn passed(since: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(since).max(SignedDuration::ZERO).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_until_a_long_time_without_failures() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let failures = Failures::default();
        let at = |node: &str, second| {
            let now = start + SignedDuration::from_secs(second);
            failures.pause(("set".into(), Some(1), node.into()), now).map(|pause| pause.as_secs())
        };
        assert_eq!(
            [at("a", 0), at("a", 0), at("a", 1), at("a", 2), at("a", 3)],
            [None, Some(1), None, Some(2), None]
        );
        assert_eq!(at("b", 3), None, "each node by itself");
        assert_eq!(at("a", 5), Some(4));
        assert_eq!([at("a", 2_000), at("a", 2_000)], [None, Some(1)]);
    }
}
