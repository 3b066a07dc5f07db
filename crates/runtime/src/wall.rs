//! Wall time, for what the other side compares with its own clock: I/O timeouts, the validity of certificates, tokens
//! and signatures, and measuring.

use std::time::{Duration, Instant};

use futures::FutureExt as _;
use jiff::Timestamp;

use crate::clock::{now_instant, now_wall};

/// The machine's time.
pub fn now() -> Timestamp {
    now_wall()
}

/// Runs `future` for at most `duration` of wall time, from this call on; None when time ran out.
///
/// An `async fn` would hold the future twice: as what it was given and as what it waits for.
#[expect(clippy::disallowed_methods, reason = "this is the place that waits")]
pub fn timeout<F: Future>(duration: Duration, future: F) -> impl Future<Output = Option<F::Output>> {
    tokio::time::timeout(duration, future).map(Result::ok)
}

/// Waits for wall time to pass.
#[expect(clippy::disallowed_methods, reason = "this is the place that waits")]
pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Measures how long something takes.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    pub fn start() -> Self {
        Self(now_instant())
    }

    pub fn elapsed(&self) -> Duration {
        now_instant().saturating_duration_since(self.0)
    }
}
