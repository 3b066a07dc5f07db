//! Scaling: of one replica set, and of all in proportion when a deployment is scaled in the middle of a rollout.

use std::sync::Arc;

use drydock_client::resources::REPLICA_SETS;
use drydock_machinery::{Object, ObjectMeta, Status};

use super::annotations::{self, DESIRED_REPLICAS, MAX_REPLICAS};
use super::replica_sets::{Missing, Sets, max_total, wanted};
use super::rolling::is_complete;
use super::{Deployments, count_at, is_paused, is_recreate, replicas};

impl Deployments {
    /// Some active set was last scaled for another number of replicas.
    pub(super) fn is_scaling(&self, deployment: &Object, sets: &[Arc<Object>]) -> bool {
        let mut active = sets.iter().filter(|set| replicas(set) > 0);
        active.any(|set| {
            annotations::count(set, DESIRED_REPLICAS).is_some_and(|desired| desired != replicas(deployment))
        })
    }

    /// Scales without rolling: for paused deployments and changed replicas.
    pub(super) async fn sync_scale(
        &self,
        deployment: &Arc<Object>,
        sets: Vec<Arc<Object>>,
    ) -> Result<(), Status> {
        let (deployment, sets) = self.split(deployment, sets, Missing::Leave).await?;
        self.scale_all(&deployment, &sets).await?;
        if is_paused(&deployment) && is_complete(&deployment, &deployment) {
            self.clean_up(&deployment, &sets.old).await?;
        }
        self.sync_status(&deployment, &sets).await
    }

    async fn scale_all(&self, deployment: &Arc<Object>, sets: &Sets) -> Result<(), Status> {
        if let Some(only) = active_or_latest(sets) {
            if replicas(&only) != replicas(deployment) {
                self.scale_and_record(deployment, &only, replicas(deployment)).await?;
            }
            return Ok(());
        }
        if sets.new.as_ref().is_some_and(|new| is_saturated(deployment, new)) {
            for set in sets.active_old() {
                self.scale_and_record(deployment, &set, 0).await?;
            }
            return Ok(());
        }
        if is_recreate(deployment) { Ok(()) } else { self.scale_in_proportion(deployment, sets).await }
    }

    async fn scale_in_proportion(&self, deployment: &Arc<Object>, sets: &Sets) -> Result<(), Status> {
        let mut active: Vec<_> = sets.all().filter(|set| replicas(set) > 0).cloned().collect();
        let allowed = if replicas(deployment) > 0 { max_total(deployment) } else { 0 };
        let to_add = allowed - wanted(&active);
        // The biggest first; of equal ones the newest when growing, the oldest when shrinking.
        active.sort_by_key(|set| set.creation_timestamp().to_owned());
        if to_add > 0 {
            active.reverse();
        }
        active.sort_by_key(|set| std::cmp::Reverse(replicas(set)));
        let mut added = 0;
        let mut targets = Vec::with_capacity(active.len());
        for set in &active {
            let share = if to_add == 0 { 0 } else { proportion(deployment, set, to_add, added) };
            added += share;
            targets.push(replicas(set) + share);
        }
        if to_add != 0
            && let Some(first) = targets.first_mut()
        {
            *first = (*first + to_add - added).max(0);
        }
        for (set, target) in active.iter().zip(targets) {
            self.scale(deployment, set, target).await?;
        }
        Ok(())
    }

    /// Scales when the size differs; true when it did.
    pub(super) async fn scale_and_record(
        &self,
        deployment: &Arc<Object>,
        set: &Arc<Object>,
        target: i64,
    ) -> Result<bool, Status> {
        if replicas(set) == target {
            return Ok(false);
        }
        self.scale(deployment, set, target).await?;
        Ok(true)
    }

    /// Writes size and annotations where they differ; answers the set when it was written.
    pub(super) async fn scale(
        &self,
        deployment: &Arc<Object>,
        set: &Arc<Object>,
        target: i64,
    ) -> Result<Option<Arc<Object>>, Status> {
        let before = replicas(set);
        let mut copy = set.value().clone();
        let annotated =
            annotations::set_replicas_annotations(&mut copy, replicas(deployment), max_total(deployment));
        if before == target && !annotated {
            return Ok(None);
        }
        copy.set(&["spec", "replicas"], target);
        let written = self.ctx.client.update(&REPLICA_SETS, copy).await?;
        if before != target {
            let direction = if before < target { "up" } else { "down" };
            let name = set.name();
            let message = format!("Scaled {direction} replica set {name} from {before} to {target}");
            self.ctx.events.normal(deployment, "ScalingReplicaSet", message);
        }
        Ok(Some(written))
    }
}

/// The only active set, or the latest when none is active; None when several are.
fn active_or_latest(sets: &Sets) -> Option<Arc<Object>> {
    let active: Vec<_> = sets.all().filter(|set| replicas(set) > 0).collect();
    match active.as_slice() {
        [] => sets
            .new
            .clone()
            .or_else(|| sets.old.iter().max_by_key(|set| set.creation_timestamp().to_owned()).cloned()),
        [only] => Some(Arc::clone(only)),
        _ => None,
    }
}

/// The new set runs all that the deployment wants, and all of it is available.
fn is_saturated(deployment: &Object, new: &Object) -> bool {
    annotations::count(new, DESIRED_REPLICAS).is_some_and(|desired| {
        replicas(new) == replicas(deployment)
            && desired == replicas(deployment)
            && count_at(new, &["status", "availableReplicas"], 0) == replicas(deployment)
    })
}

/// The set's share of `to_add` (which may be negative), of which `added` has been given away.
fn proportion(deployment: &Object, set: &Object, to_add: i64, added: i64) -> i64 {
    if replicas(set) == 0 || to_add == added {
        return 0;
    }
    let fraction = fraction(deployment, set);
    let allowed = to_add - added;
    if to_add > 0 { fraction.min(allowed) } else { fraction.max(allowed) }
}

fn fraction(deployment: &Object, set: &Object) -> i64 {
    if replicas(deployment) == 0 {
        return -replicas(set);
    }
    let size = replicas(set);
    let annotated = annotations::count(set, MAX_REPLICAS).filter(|max| *max != 0);
    let was = annotated.unwrap_or_else(|| count_at(deployment, &["status", "replicas"], 0)).max(1);
    let new_size = (size as f64 * max_total(deployment) as f64 / was as f64).round() as i64;
    new_size - size
}
