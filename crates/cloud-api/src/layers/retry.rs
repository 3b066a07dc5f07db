//! When a call is tried again within itself: on wall time, since the cloud does not run faster with a cluster's clock.
//! Longer troubles are the caller's business, which shows them to people.

use std::time::Duration;

use crate::{CloudError, CloudErrorKind};

/// How often, and after how long, a failed call is tried again at once.
#[derive(Clone, Debug)]
pub struct Retry {
    /// Attempts in all.
    pub attempts: u32,
    pub first_delay: Duration,
    pub last_delay: Duration,
    /// The kinds that are worth it.
    pub kinds: Vec<CloudErrorKind>,
}

impl Default for Retry {
    /// Four attempts on throttling and server-side errors, 0.2 s doubling to 3 s.
    fn default() -> Self {
        Self {
            attempts: 4,
            first_delay: Duration::from_millis(200),
            last_delay: Duration::from_secs(3),
            kinds: vec![CloudErrorKind::Throttled, CloudErrorKind::Internal],
        }
    }
}

impl Retry {
    pub fn never() -> Self {
        Self { attempts: 1, ..Self::default() }
    }

    /// How long to wait after the attempt of this number (0 is the first) failed; None to give up.
    pub(super) fn delay(&self, attempt: u32, error: &CloudError) -> Option<Duration> {
        if attempt + 1 >= self.attempts || !self.kinds.contains(&error.kind) {
            return None;
        }
        let doubled = self.first_delay.saturating_mul(1 << attempt.min(16)).min(self.last_delay);
        // Half to all of it, so that the callers of one moment do not come back together.
        let jittered = doubled.mul_f64(rand::random_range(0.5..=1.0));
        Some(error.retry_after.map_or(jittered, |asked| asked.max(jittered)))
    }
}
