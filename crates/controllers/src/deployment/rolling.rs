//! The RollingUpdate strategy.

use std::sync::Arc;

use drydock_machinery::{Object, ObjectMeta, Status, Value};

use super::replica_sets::{Missing, Sets, max_total, observed, wanted};
use super::{Deployments, count_at, is_recreate, replicas};
use crate::util::intstr::{Round, scaled};

impl Deployments {
    pub(super) async fn roll_update(
        &self,
        deployment: &Arc<Object>,
        sets: Vec<Arc<Object>>,
    ) -> Result<(), Status> {
        let (deployment, sets) = self.split(deployment, sets, Missing::Create).await?;
        if let Some(new) = &sets.new
            && self.scale_new(&deployment, new, &sets).await?
        {
            return self.sync_rollout_status(&deployment, &sets).await;
        }
        if self.scale_down_old(&deployment, &sets).await? {
            return self.sync_rollout_status(&deployment, &sets).await;
        }
        if is_complete(&deployment, &deployment) {
            self.clean_up(&deployment, &sets.old).await?;
        }
        self.sync_rollout_status(&deployment, &sets).await
    }

    /// Takes the new set to what surge allows; true when it was scaled.
    async fn scale_new(
        &self,
        deployment: &Arc<Object>,
        new: &Arc<Object>,
        sets: &Sets,
    ) -> Result<bool, Status> {
        let count = if replicas(new) > replicas(deployment) {
            replicas(deployment)
        } else {
            new_set_replicas(deployment, &sets.old, new)
        };
        self.scale_and_record(deployment, new, count).await
    }

    async fn scale_down_old(&self, deployment: &Arc<Object>, sets: &Sets) -> Result<bool, Status> {
        let mut old = sets.active_old();
        if wanted(&old) == 0 {
            return Ok(false);
        }
        let min_available = replicas(deployment) - max_unavailable(deployment);
        let new_unavailable = sets
            .new
            .as_ref()
            .map_or(0, |new| replicas(new) - count_at(new, &["status", "availableReplicas"], 0));
        let limit = wanted(sets.all()) - min_available - new_unavailable;
        if limit <= 0 {
            return Ok(false);
        }
        let unhealthy = self.clean_up_unhealthy(deployment, &mut old, limit).await?;
        let all: Vec<_> = old.iter().chain(&sets.new).cloned().collect();
        let scaled = self.scale_down_available(deployment, &all, &mut old, min_available).await?;
        Ok(unhealthy + scaled > 0)
    }

    /// Pods that are not available go first: nobody misses them.
    async fn clean_up_unhealthy(
        &self,
        deployment: &Arc<Object>,
        old: &mut [Arc<Object>],
        limit: i64,
    ) -> Result<i64, Status> {
        old.sort_by_key(|set| set.creation_timestamp().to_owned());
        let mut total = 0;
        for set in old.iter_mut() {
            if total >= limit {
                break;
            }
            let (have, available) = (replicas(set), count_at(set, &["status", "availableReplicas"], 0));
            if have == 0 || have == available {
                continue;
            }
            let step = (limit - total).min(have - available);
            if let Some(scaled) = self.scale(deployment, set, have - step).await? {
                *set = scaled;
            }
            total += step;
        }
        Ok(total)
    }

    async fn scale_down_available(
        &self,
        deployment: &Arc<Object>,
        all: &[Arc<Object>],
        old: &mut [Arc<Object>],
        min_available: i64,
    ) -> Result<i64, Status> {
        let limit = observed(all, "availableReplicas") - min_available;
        let mut total = 0;
        if limit <= 0 {
            return Ok(0);
        }
        old.sort_by_key(|set| set.creation_timestamp().to_owned());
        for set in old.iter_mut() {
            if total >= limit {
                break;
            }
            let have = replicas(set);
            if have == 0 {
                continue;
            }
            let step = have.min(limit - total);
            if let Some(scaled) = self.scale(deployment, set, have - step).await? {
                *set = scaled;
            }
            total += step;
        }
        Ok(total)
    }
}

/// How many replicas the set of the present template should have now.
pub(super) fn new_set_replicas(deployment: &Value, old: &[Arc<Object>], new: &Value) -> i64 {
    if is_recreate(deployment) {
        return replicas(deployment);
    }
    let have = if new.at(&["spec", "replicas"]).is_some() { replicas(new) } else { 0 };
    let total = wanted(old) + have;
    let room = max_total(deployment) - total;
    if room <= 0 {
        return have;
    }
    have + room.min(replicas(deployment) - have)
}

/// `maxSurge` resolved; 0 for Recreate.
pub(super) fn max_surge(deployment: &Value) -> i64 {
    fenceposts(deployment).0
}

/// `maxUnavailable` resolved, at most the replicas.
pub(super) fn max_unavailable(deployment: &Value) -> i64 {
    if replicas(deployment) == 0 {
        return 0;
    }
    fenceposts(deployment).1.min(replicas(deployment))
}

fn fenceposts(deployment: &Value) -> (i64, i64) {
    let rolling = &["spec", "strategy", "rollingUpdate"];
    if is_recreate(deployment) || deployment.at(rolling).is_none() {
        return (0, 0);
    }
    let field = |name| deployment.at(rolling).and_then(|rolling| rolling.get(name));
    let surge = scaled(field("maxSurge"), replicas(deployment), Round::Up).unwrap_or(0);
    let unavailable = scaled(field("maxUnavailable"), replicas(deployment), Round::Down).unwrap_or(0);
    // Both may round to zero; then nothing could ever move.
    if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
}

/// Whether `status` (an object with a new status) says that the deployment has arrived.
pub(super) fn is_complete(deployment: &Value, status: &Value) -> bool {
    let count = |name| count_at(status, &["status", name], 0);
    let wanted = replicas(deployment);
    count("updatedReplicas") == wanted
        && count("replicas") == wanted
        && count("availableReplicas") == wanted
        && count("observedGeneration") >= deployment.generation()
}
