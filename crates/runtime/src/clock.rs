//! Time as a seam.
//!
//! A clock maps wall time to its own time by a rate: 1 is real time, 60 is a minute a second, 0 stands still. Waiting
//! is on the clock's own time, so a change of rate, a step by hand or a stop re-plans every waiter at once.
//!
//! Who steps a clock by hand waits, between steps, for those who [`Clock::hold`] it: work that takes wall time, such as
//! calls to a cloud, would otherwise always come too late.
//!
//! Invariant: a clock never goes backwards. Clones are the same clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;

/// Tells the time and waits. Cheap to clone; clones share the time.
#[derive(Clone, Debug)]
pub struct Clock {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    mapping: Mutex<Mapping>,
    /// Bumped when the mapping changes, so that waiters plan anew.
    changed: watch::Sender<u64>,
    /// How many are at work that steps should wait for.
    holds: watch::Sender<usize>,
}

/// Made by [`Clock::hold`].
#[derive(Debug)]
pub struct Hold(Clock);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.inner.holds.send_modify(|holds| *holds -= 1);
    }
}

/// `own time = base + (wall - anchor) * rate`.
#[derive(Clone, Copy, Debug)]
struct Mapping {
    anchor: Instant,
    base: Timestamp,
    rate: f64,
}

impl Mapping {
    fn at(&self, wall: Instant) -> Timestamp {
        let elapsed = scale(wall.saturating_duration_since(self.anchor), self.rate);
        self.base.saturating_add(elapsed).unwrap_or(self.base)
    }
}

impl Clock {
    /// Real time.
    pub fn real() -> Self {
        Self::scaled(1.0)
    }

    /// Starts now and runs `rate` times as fast as real time. The rate is finite and not negative.
    pub fn scaled(rate: f64) -> Self {
        Self::starting_at(now_wall(), rate)
    }

    /// Stands still at `start` until [`Clock::advance`] or [`Clock::set_rate`].
    pub fn manual(start: Timestamp) -> Self {
        Self::starting_at(start, 0.0)
    }

    /// Starts at `base`, as a tenant's clock does that resumes after a stop.
    pub fn starting_at(base: Timestamp, rate: f64) -> Self {
        let mapping = Mapping { anchor: now_instant(), base, rate: clean(rate) };
        let (changed, holds) = (watch::Sender::new(0), watch::Sender::new(0));
        Self { inner: Arc::new(Inner { mapping: Mutex::new(mapping), changed, holds }) }
    }

    pub fn now(&self) -> Timestamp {
        self.inner.mapping.lock().at(now_instant())
    }

    /// The time as `metav1.Time` writes it: RFC 3339, whole seconds, UTC.
    pub fn now_rfc3339(&self) -> String {
        rfc3339(self.now())
    }

    /// How many times as fast as real time the clock runs; 0 when it stands still.
    pub fn rate(&self) -> f64 {
        self.inner.mapping.lock().rate
    }

    /// Goes on from the present time at another rate.
    pub fn set_rate(&self, rate: f64) {
        self.change(|mapping, now| *mapping = Mapping { rate: clean(rate), ..now });
    }

    /// Jumps forward by `by`, at once.
    pub fn advance(&self, by: Duration) {
        self.change(|mapping, now| {
            *mapping = Mapping { base: now.base.saturating_add(by).unwrap_or(now.base), ..now };
        });
    }

    /// Says that something is at work in this moment of the clock's time. Nothing but [`Clock::released`] heeds it.
    pub fn hold(&self) -> Hold {
        self.inner.holds.send_modify(|holds| *holds += 1);
        Hold(self.clone())
    }

    /// Answers when nobody holds the clock.
    pub async fn released(&self) {
        let _ = self.inner.holds.subscribe().wait_for(|holds| *holds == 0).await;
    }

    fn change(&self, f: impl FnOnce(&mut Mapping, Mapping)) {
        let mut mapping = self.inner.mapping.lock();
        let wall = now_instant();
        let now = Mapping { anchor: wall, base: mapping.at(wall), rate: mapping.rate };
        f(&mut mapping, now);
        drop(mapping);
        self.inner.changed.send_modify(|generation| *generation += 1);
    }

    /// Waits for `duration` of the clock's own time.
    pub async fn sleep(&self, duration: Duration) {
        let deadline = self.now().saturating_add(duration).unwrap_or(Timestamp::MAX);
        self.sleep_until(deadline).await;
    }

    /// Waits until the clock shows `deadline`.
    #[expect(clippy::disallowed_methods, reason = "this is the place that waits")]
    pub async fn sleep_until(&self, deadline: Timestamp) {
        let mut changed = self.inner.changed.subscribe();
        loop {
            changed.borrow_and_update();
            let mapping = *self.inner.mapping.lock();
            let now = mapping.at(now_instant());
            if now >= deadline {
                return;
            }
            let left = Duration::try_from(deadline.duration_since(now)).unwrap_or_default();
            if mapping.rate > 0.0 {
                // Rounded up: waking a hair early would only wait again.
                let wall = scale(left, mapping.rate.recip()).saturating_add(Duration::from_micros(50));
                tokio::select! {
                    () = tokio::time::sleep(wall) => {}
                    _ = changed.changed() => {}
                }
            } else {
                let _ = changed.changed().await;
            }
        }
    }

    /// Runs `future` for at most `duration` of the clock's own time; None when time ran out.
    pub async fn timeout<F: Future>(&self, duration: Duration, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = self.sleep(duration) => None,
        }
    }

    /// Ticks every `period` of the clock's own time, the first time after one period. Missed ticks are skipped.
    pub fn timer(&self, period: Duration) -> Timer {
        let next = self.now().saturating_add(period).unwrap_or(Timestamp::MAX);
        Timer { clock: self.clone(), period, next }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::real()
    }
}

/// Made by [`Clock::timer`].
#[derive(Debug)]
pub struct Timer {
    clock: Clock,
    period: Duration,
    next: Timestamp,
}

impl Timer {
    /// Waits for the next tick.
    pub async fn tick(&mut self) {
        self.clock.sleep_until(self.next).await;
        let now = self.clock.now();
        self.next = self.next.max(now).saturating_add(self.period).unwrap_or(Timestamp::MAX);
    }
}

/// `metav1.Time` as text: RFC 3339, whole seconds, UTC.
pub fn rfc3339(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `metav1.MicroTime` as text: RFC 3339, six decimals, UTC.
pub fn rfc3339_micro(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// As long as can be said, where it would be longer.
fn scale(duration: Duration, by: f64) -> Duration {
    if by == 1.0 {
        return duration;
    }
    Duration::try_from_secs_f64(duration.as_secs_f64() * by).unwrap_or(Duration::MAX)
}

fn clean(rate: f64) -> f64 {
    if rate.is_finite() && rate > 0.0 { rate } else { 0.0 }
}

#[expect(clippy::disallowed_methods, reason = "this is the place that tells the time")]
pub(crate) fn now_wall() -> Timestamp {
    Timestamp::now()
}

/// From tokio, so that paused test time moves clocks too.
#[expect(clippy::disallowed_methods, reason = "this is the place that tells the time")]
pub(crate) fn now_instant() -> Instant {
    if tokio::runtime::Handle::try_current().is_ok() {
        tokio::time::Instant::now().into_std()
    } else {
        Instant::now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_fast_clock_waits_less_wall_time() {
        let clock = Clock::starting_at(start(), 60.0);
        let wall = tokio::time::Instant::now();
        clock.sleep(Duration::from_secs(60)).await;
        assert!(wall.elapsed() < Duration::from_millis(1100));
        assert!(clock.now() >= start() + Duration::from_secs(60));
    }

    #[tokio::test(start_paused = true)]
    async fn a_manual_clock_moves_only_by_hand() {
        let clock = Clock::manual(start());
        let waiter = clock.clone();
        let mut sleep = Box::pin(async move { waiter.sleep(Duration::from_secs(10)).await });
        assert!(futures::poll!(&mut sleep).is_pending());
        clock.advance(Duration::from_secs(9));
        assert!(futures::poll!(&mut sleep).is_pending());
        clock.advance(Duration::from_secs(1));
        sleep.await;
        assert_eq!(clock.now_rfc3339(), "2026-01-01T00:00:10Z");
    }

    #[tokio::test]
    async fn whoever_steps_a_clock_waits_for_those_who_hold_it() {
        let clock = Clock::manual(start());
        clock.released().await;
        let (one, other) = (clock.hold(), clock.clone().hold());
        let mut released = Box::pin(clock.released());
        assert!(futures::poll!(&mut released).is_pending());
        drop(one);
        assert!(futures::poll!(&mut released).is_pending());
        drop(other);
        released.await;
    }

    #[tokio::test(start_paused = true)]
    async fn changing_the_rate_wakes_and_replans_waiters() {
        let clock = Clock::manual(start());
        let waiter = clock.clone();
        let sleep = async move { waiter.sleep(Duration::from_secs(3600)).await };
        let speed_up = async { clock.set_rate(3600.0) };
        let wall = tokio::time::Instant::now();
        futures::join!(sleep, speed_up);
        assert!(wall.elapsed() < Duration::from_millis(1100));
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_hardly_moves_can_be_waited_for() {
        for rate in [f64::MIN_POSITIVE, 5e-324, 1e-12] {
            let clock = Clock::scaled(rate);
            let waited = crate::wall::timeout(Duration::from_secs(9), clock.sleep(Duration::from_secs(1)));
            assert!(waited.await.is_none());
        }
        assert_eq!(scale(Duration::MAX, 2.0), Duration::MAX);
    }
}
