//! Rest between looks at a cloud.
//!
//! On a fast clock looks come fast; a cloud is not. So work is followed by several times its own wall time of rest.

use std::time::Duration;

use drydock_runtime::{Clock, wall};

pub(crate) const BREATHER: u32 = 4;
const LONGEST_BREATHER: Duration = Duration::from_secs(1);

/// How long to rest on wall time, at least, after work that took this long.
pub(crate) fn breather(worked: Duration) -> Duration {
    worked.saturating_mul(BREATHER).min(LONGEST_BREATHER)
}

/// Waits for `period` of the clock, and on wall time for a breather at least.
pub(crate) async fn rest(clock: &Clock, period: Duration, worked: Duration) {
    let until = clock.now().saturating_add(period).unwrap_or(jiff::Timestamp::MAX);
    wall::sleep(breather(worked)).await;
    clock.sleep_until(until).await;
}
