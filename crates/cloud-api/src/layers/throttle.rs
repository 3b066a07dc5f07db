//! Keeps to a cloud's rate limits, whatever the speed of the clusters' clocks: limits are per second of wall time.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use drydock_runtime::{Stopwatch, wall};
use parking_lot::Mutex;

use super::{Call, Layer};
use crate::CloudError;

/// A token bucket for each operation, as EC2 has one for each of its actions. Calls above the rate wait, in order. Shared
/// by all clusters of an account.
#[derive(Debug)]
pub struct Throttle {
    per_second: f64,
    burst: f64,
    started: Stopwatch,
    buckets: Mutex<HashMap<&'static str, Bucket>>,
}

/// Negative tokens are those of calls that wait.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    filled_at: Duration,
}

impl Throttle {
    /// `burst` calls of an operation at once, and `per_second` more in each second.
    ///
    /// # Panics
    /// When either is not positive.
    pub fn new(per_second: f64, burst: f64) -> Self {
        assert!(per_second > 0.0 && burst > 0.0, "a throttle lets something through");
        Self { per_second, burst, started: Stopwatch::start(), buckets: Mutex::default() }
    }

    /// Takes a token; answers how long the call has to wait for it.
    fn take(&self, operation: &'static str, now: Duration) -> Duration {
        let mut buckets = self.buckets.lock();
        let full = Bucket { tokens: self.burst, filled_at: now };
        let bucket = buckets.entry(operation).or_insert(full);
        let filled = now.saturating_sub(bucket.filled_at).as_secs_f64() * self.per_second;
        bucket.tokens = (bucket.tokens + filled).min(self.burst) - 1.0;
        bucket.filled_at = now;
        let missing = -bucket.tokens / self.per_second;
        if missing > 0.0 { Duration::from_secs_f64(missing) } else { Duration::ZERO }
    }
}

#[async_trait]
impl Layer for Throttle {
    async fn before(&self, call: &Call) -> Result<(), CloudError> {
        let wait = self.take(call.operation.name, self.started.elapsed());
        if !wait.is_zero() {
            wall::sleep(wait).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_then_calls_come_at_the_rate() {
        let throttle = Throttle::new(10.0, 3.0);
        let at = |ms| throttle.take("list", Duration::from_millis(ms)).as_millis();
        assert_eq!([at(0), at(0), at(0), at(0), at(0)], [0, 0, 0, 100, 200]);
        assert_eq!(throttle.take("launch", Duration::ZERO).as_millis(), 0, "each operation has its own");
        assert_eq!(at(1000), 0, "it fills up again");
        assert_eq!([at(9000), at(9000), at(9000), at(9000)], [0, 0, 0, 100], "and no further");
    }
}
