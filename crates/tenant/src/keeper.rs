//! The cluster's clock, across stops.
//!
//! A stopped cluster's clock stands still, so what it shows must be remembered. It is saved on close, when its speed is
//! changed, and every half minute of wall time in which the cluster wrote something; a start that finds no clean save
//! goes on half a minute later than the last one, so that no timestamp is earlier than one already given out. Before it
//! is stepped by hand, the time that it will show is saved (see `stepper`).

use std::sync::Arc;
use std::time::Duration;

use drydock_runtime::{Clock, Tasks, wall};
use drydock_store::{Payload, Range, Revision, Store, StoreError, Txn, Write};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::TenantError;

const KEY: &str = "/drydock/clock";
const PERIOD: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Saved {
    time: Timestamp,
    clean: bool,
    /// How fast it ran: how far it may have come since.
    #[serde(default)]
    rate: Option<f64>,
    /// The cluster's own speed, which comes before the service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    speed: Option<f64>,
}

/// A clock that goes on from what the store remembers, or from now.
pub(crate) async fn clock(store: &dyn Store, speed: f64) -> Result<(Clock, Option<f64>), TenantError> {
    let found = store.range(Range { prefix: KEY.to_owned(), ..Range::default() }).await?;
    let Some(entry) = found.entries.first() else { return Ok((Clock::scaled(speed), None)) };
    let saved: Saved = serde_json::from_slice(&entry.value.bytes())
        .map_err(|error| TenantError::Damaged { what: "clock", why: error.to_string() })?;
    let gap = if saved.clean { Duration::ZERO } else { PERIOD.mul_f64(saved.rate.unwrap_or(speed).max(0.0)) };
    let time = saved.time.saturating_add(gap).unwrap_or(saved.time);
    Ok((Clock::starting_at(time, saved.speed.unwrap_or(speed)), saved.speed))
}

#[derive(Clone)]
pub(crate) struct Keeper {
    store: Arc<dyn Store>,
    clock: Clock,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// The cluster's own speed.
    speed: Option<f64>,
    /// A time that was saved ahead: no earlier one is saved any more.
    ahead: Timestamp,
}

impl Keeper {
    /// Saves now and then until the tasks end.
    pub(crate) fn start(store: Arc<dyn Store>, clock: Clock, speed: Option<f64>, tasks: &Tasks) -> Self {
        let state = Arc::new(Mutex::new(State { speed, ahead: Timestamp::MIN }));
        let keeper = Self { store, clock, state };
        let periodic = keeper.clone();
        tasks.spawn("clock-keeper", async move {
            let mut saved_at = periodic.save_now_and_then().await;
            loop {
                wall::sleep(PERIOD).await;
                let revision = periodic.store.revision().await.ok();
                if revision.is_some() && revision != saved_at {
                    saved_at = periodic.save_now_and_then().await;
                }
            }
        });
        keeper
    }

    /// The last save before a close.
    pub(crate) async fn close(&self) {
        warn(self.write(true).await);
    }

    /// Runs the clock at the cluster's own speed from now on.
    pub(crate) async fn set_speed(&self, speed: f64) -> Result<(), StoreError> {
        self.clock.set_rate(speed);
        self.state.lock().speed = Some(speed);
        self.write(false).await.map(drop)
    }

    /// Remembers a time that the clock will show soon, as if it showed it.
    pub(crate) async fn save_ahead(&self, time: Timestamp) -> Result<(), StoreError> {
        {
            let mut state = self.state.lock();
            state.ahead = state.ahead.max(time);
        }
        self.write(false).await.map(drop)
    }

    async fn save_now_and_then(&self) -> Option<Revision> {
        warn(self.write(false).await)
    }

    async fn write(&self, clean: bool) -> Result<Revision, StoreError> {
        let saved = {
            let state = self.state.lock();
            let time = if clean { self.clock.now() } else { self.clock.now().max(state.ahead) };
            Saved { time, clean, rate: Some(self.clock.rate()), speed: state.speed }
        };
        let bytes = serde_json::to_vec(&saved).unwrap_or_default();
        let write = Write::Put { key: KEY.into(), value: Payload::new(bytes), expires_at: None };
        self.store.commit(Txn { writes: vec![write], ..Txn::default() }).await
    }
}

fn warn(saved: Result<Revision, StoreError>) -> Option<Revision> {
    if let Err(error) = &saved {
        tracing::warn!(error = %drydock_runtime::tasks::chain(error), "saving the clock failed");
    }
    saved.ok()
}
