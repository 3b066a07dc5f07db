//! The cluster's clock, across stops.
//!
//! A stopped cluster's clock stands still, so what it shows must be remembered. It is saved on close, and every half
//! minute of wall time in which the cluster wrote something; a start that finds no clean save goes on half a minute
//! later than the last one, so that no timestamp is earlier than one already given out.

use std::sync::Arc;
use std::time::Duration;

use drydock_runtime::{Clock, Tasks, wall};
use drydock_store::{Payload, Range, Revision, Store, Txn, Write};
use serde::{Deserialize, Serialize};

use crate::TenantError;

const KEY: &str = "/drydock/clock";
const PERIOD: Duration = Duration::from_secs(30);

#[derive(Serialize, Deserialize)]
struct Saved {
    time: jiff::Timestamp,
    clean: bool,
}

/// A clock that goes on from what the store remembers, or from now.
pub(crate) async fn clock(store: &dyn Store, speed: f64) -> Result<Clock, TenantError> {
    let found = store.range(Range { prefix: KEY.to_owned(), ..Range::default() }).await?;
    let Some(entry) = found.entries.first() else { return Ok(Clock::scaled(speed)) };
    let saved: Saved = serde_json::from_slice(&entry.value.bytes)
        .map_err(|error| TenantError::Damaged { what: "clock", why: error.to_string() })?;
    let gap = if saved.clean { Duration::ZERO } else { PERIOD.mul_f64(speed.max(1.0)) };
    let time = saved.time.saturating_add(gap).unwrap_or(saved.time);
    Ok(Clock::starting_at(time, speed))
}

#[derive(Clone)]
pub(crate) struct Keeper {
    store: Arc<dyn Store>,
    clock: Clock,
}

impl Keeper {
    /// Saves now and then until the tasks end.
    pub(crate) fn start(store: Arc<dyn Store>, clock: Clock, tasks: &Tasks) -> Self {
        let keeper = Self { store, clock };
        let periodic = keeper.clone();
        tasks.spawn("clock-keeper", async move {
            let mut saved_at = periodic.write(false).await;
            loop {
                wall::sleep(PERIOD).await;
                let revision = periodic.store.revision().await.ok();
                if revision.is_some() && revision != saved_at {
                    saved_at = periodic.write(false).await;
                }
            }
        });
        keeper
    }

    /// The last save before a close.
    pub(crate) async fn save(&self) {
        self.write(true).await;
    }

    async fn write(&self, clean: bool) -> Option<Revision> {
        let saved = Saved { time: self.clock.now(), clean };
        let bytes = serde_json::to_vec(&saved).ok()?;
        let write = Write::Put { key: KEY.into(), value: Payload::new(bytes), expires_at: None };
        let written = self.store.commit(Txn { writes: vec![write], ..Txn::default() }).await;
        if let Err(error) = &written {
            tracing::warn!(error = %drydock_runtime::tasks::chain(error), "saving the clock failed");
        }
        written.ok()
    }
}
