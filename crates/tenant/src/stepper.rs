//! The cluster's clock, stepped by hand.
//!
//! A jump of an hour would show every component that its heartbeats, leases and deadlines are an hour late, which never
//! happens to a cluster whose time merely passes. So the clock goes in steps shorter than any heartbeat, and after each
//! it waits until the cluster has done what was due and is quiet.
//!
//! State: the time that is stepped to. Whoever asks for more while it is on the way adds to it.

use std::sync::Arc;
use std::time::Duration;

use drydock_runtime::{Clock, Tasks, wall};
use drydock_store::{Store, StoreError};
use jiff::Timestamp;
use tokio::sync::watch;

use crate::keeper::Keeper;

/// Kubelets renew their leases every ten seconds.
const STEP: Duration = Duration::from_secs(1);
const LONG_STEP: Duration = Duration::from_secs(5);
/// From here on steps are long ones.
const LONG: Duration = Duration::from_secs(600);
/// Before the first step the cluster is quiet when it wrote nothing for so long, of wall time.
const AT_REST: Duration = Duration::from_millis(25);
/// The same after each step.
const QUIET: Duration = Duration::from_millis(2);
/// A cluster that is never quiet is stepped on after so many times that.
const PATIENCE: u32 = 100;
/// Whoever holds the clock for longer is not waited for.
const LONGEST_HOLD: Duration = Duration::from_secs(5);
/// Each time is saved before it is shown: that many steps at once.
const SAVED_AHEAD: u32 = 50;

#[derive(Clone)]
pub(crate) struct Stepper {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    clock: Clock,
    keeper: Keeper,
    tasks: Tasks,
    /// None when the clock is not being stepped.
    target: watch::Sender<Option<Timestamp>>,
}

impl Stepper {
    pub(crate) fn new(store: Arc<dyn Store>, clock: Clock, keeper: Keeper, tasks: Tasks) -> Self {
        Self { inner: Arc::new(Inner { store, clock, keeper, tasks, target: watch::Sender::new(None) }) }
    }

    /// Begins to step the clock forward by `by`.
    pub(crate) fn advance(&self, by: Duration) {
        let mut on_the_way = false;
        self.inner.target.send_modify(|target| {
            on_the_way = target.is_some();
            let from = target.unwrap_or_else(|| self.inner.clock.now());
            *target = Some(from.saturating_add(by).unwrap_or(Timestamp::MAX));
        });
        if on_the_way {
            return;
        }
        let inner = self.inner.clone();
        self.inner.tasks.spawn("clock-stepper", async move {
            if let Err(error) = inner.step_to_target().await {
                tracing::error!(error = %drydock_runtime::tasks::chain(&error), "stepping the clock failed");
                inner.target.send_replace(None);
            }
        });
    }

    /// The time that the clock is being stepped to.
    pub(crate) fn target(&self) -> watch::Receiver<Option<Timestamp>> {
        self.inner.target.subscribe()
    }
}

impl Inner {
    async fn step_to_target(&self) -> Result<(), StoreError> {
        let mut saved = Timestamp::MIN;
        self.quiet(AT_REST).await?;
        while let Some(left) = self.left() {
            let step = left.min(if left > LONG { LONG_STEP } else { STEP });
            let next = later(self.clock.now(), step);
            if next > saved {
                saved = later(self.clock.now(), left.min(step * SAVED_AHEAD));
                self.keeper.save_ahead(saved).await?;
            }
            self.clock.advance(step);
            self.quiet(QUIET).await?;
        }
        Ok(())
    }

    /// How far the target is. None when it is reached, and there is none any more.
    fn left(&self) -> Option<Duration> {
        let mut left = None;
        self.target.send_if_modified(|target| {
            let now = self.clock.now();
            left = target
                .filter(|target| *target > now)
                .map(|target| Duration::try_from(target.duration_since(now)).unwrap_or_default());
            if left.is_none() {
                *target = None;
            }
            left.is_none()
        });
        left
    }

    async fn quiet(&self, for_so_long: Duration) -> Result<(), StoreError> {
        wall::timeout(LONGEST_HOLD, self.clock.released()).await;
        let mut seen = self.store.revision().await?;
        for _ in 0..PATIENCE {
            wall::sleep(for_so_long).await;
            let now = self.store.revision().await?;
            if now == seen {
                break;
            }
            seen = now;
        }
        Ok(())
    }
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}
