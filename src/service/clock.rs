//! Clusters' clocks: read, set to another speed, stepped by hand.

use std::time::Duration;

use drydock_runtime::wall;

use crate::database::node_pool::NodePoolState;

use super::Service;
use super::cluster::ClusterKey;
use super::control_plane::{ClockChange, ClockState, ControlPlane};
use super::error::{Result, ServiceError};
use super::validation::Findings;

/// Faster than that no cluster could follow.
pub const MAX_SPEED: f64 = 100_000.0;
/// A clock is stepped at about an hour in a few seconds.
pub const MAX_ADVANCE: Duration = Duration::from_hours(31 * 24);

/// How long stepping waits for machines to be ordered.
const CATCH_UP: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Slower than that it might as well stand.
const MIN_SPEED: f64 = 0.001;

/// A speed that a clock can have; 0 is standing still.
pub(crate) fn check_speed(speed: f64) -> Result<(), String> {
    if speed == 0.0 || (MIN_SPEED..=MAX_SPEED).contains(&speed) {
        return Ok(());
    }
    Err(format!("{speed} must be 0, which stops the clock, or between {MIN_SPEED} and {MAX_SPEED}"))
}

impl Service {
    /// # Errors
    /// No such cluster, or its control plane does not run (yet).
    pub async fn cluster_clock(&self, key: &ClusterKey) -> Result<ClockState> {
        let cluster = self.cluster_record(key).await?;
        let plane = self.inner.fleet.plane(&cluster.uid);
        Ok(plane.ok_or_else(|| super::cluster::not_serving(&cluster))?.clock())
    }

    /// Changes the clock, and answers what it shows when it has been stepped as far as asked for, or after `patience`.
    ///
    /// # Errors
    /// No such cluster, its control plane does not run (yet), or invalid values.
    pub async fn cluster_clock_change(
        &self,
        key: &ClusterKey,
        change: ClockChange,
        patience: Duration,
    ) -> Result<ClockState> {
        let mut findings = Findings::default();
        if let Some(speed) = change.speed {
            findings.check("speed", check_speed(speed));
        }
        if change.advance.is_some_and(|by| by.is_zero() || by > MAX_ADVANCE) {
            findings.add("advance", "must be more than 0 and at most 744h");
        }
        if change == ClockChange::default() {
            findings.add("advance", "is required, unless speed is given");
        }
        if !findings.0.is_empty() {
            return Err(ServiceError::Invalid(findings.0));
        }
        let cluster = self.cluster_record(key).await?;
        let plane = self.inner.fleet.plane(&cluster.uid);
        let plane = plane.ok_or_else(|| super::cluster::not_serving(&cluster))?;
        if change.advance.is_some() {
            wall::timeout(CATCH_UP, self.caught_up(&cluster.uid, &*plane)).await.transpose()?;
        }
        plane.change_clock(change).await.map_err(|error| ServiceError::Conflict(error.reason))?;
        let closing = self.closing();
        tokio::select! {
            _ = wall::timeout(patience, plane.clock_arrived()) => {}
            () = closing.cancelled() => {}
        }
        Ok(plane.clock())
    }

    /// Waits until the machines of all that was recorded are ordered: who makes a node pool and then steps the clock wants
    /// its nodes to come in that time.
    async fn caught_up(&self, uid: &str, plane: &dyn ControlPlane) -> Result<()> {
        loop {
            let status = plane.status();
            let records = self.inner.database.node_pool_list(uid, None, "", i64::MAX).await?;
            let behind = records.iter().filter(|pool| pool.state != NodePoolState::Deleting).any(|pool| {
                let seen =
                    status.pools.iter().find(|seen| seen.name == pool.name && seen.wanted == pool.nodes);
                seen.is_none_or(|seen| seen.trouble.is_none() && seen.observed.machines < pool.nodes)
            });
            if !behind {
                return Ok(());
            }
            tokio::select! {
                () = plane.changed(&status) => {}
                () = wall::sleep(LOOK_AGAIN) => {}
            }
        }
    }
}
