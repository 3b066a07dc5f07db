//! Rolling updates of daemon sets: by taking old pods away, or with a surge by adding new ones first.

use std::sync::Arc;

use drydock_machinery::{Object, ObjectMeta, Status, Value};

use super::{ByNode, DaemonSets, is_updated, place};
use crate::util::intstr::{Round, scaled};
use crate::util::{count_at, pod};

fn rolling<'a>(set: &'a Value, field: &str) -> Option<&'a Value> {
    set.at(&["spec", "updateStrategy", "rollingUpdate"]).and_then(|rolling| rolling.get(field))
}

/// `maxSurge` of the nodes wanted; 0 unless the strategy is RollingUpdate.
pub(super) fn max_surge(set: &Value, wanted: i64) -> i64 {
    if set.str_at(&["spec", "updateStrategy", "type"]) != "RollingUpdate" {
        return 0;
    }
    scaled(rolling(set, "maxSurge"), wanted, Round::Up).unwrap_or(0)
}

fn max_unavailable(set: &Value, wanted: i64) -> i64 {
    scaled(rolling(set, "maxUnavailable"), wanted, Round::Up).unwrap_or(1)
}

/// While one surges over another both stay, until the new one is available.
pub(super) fn surplus_with_surge(
    sets: &DaemonSets,
    set: &Object,
    alive: &[Arc<Object>],
    hash: &str,
) -> Vec<Arc<Object>> {
    let min_ready = count_at(set, &["spec", "minReadySeconds"], 0);
    let now = sets.ctx.clock.now();
    let (new, old): (Vec<_>, Vec<_>) = alive.iter().cloned().partition(|pod| is_updated(pod, hash));
    let mut surplus: Vec<Arc<Object>> = new.iter().skip(1).cloned().collect();
    let available = new.first().is_some_and(|pod| pod::is_available(pod, min_ready, now));
    surplus.extend(old.into_iter().skip(usize::from(!available)));
    surplus
}

impl DaemonSets {
    /// Takes the next step of an update.
    pub(super) async fn roll(&self, set: &Object, by_node: &ByNode, hash: &str) -> Result<(), Status> {
        if set.str_at(&["spec", "updateStrategy", "type"]) == "OnDelete" {
            return Ok(());
        }
        let nodes: Vec<_> =
            self.nodes.list().into_iter().filter(|node| place::fit(set, node).should_run).collect();
        let wanted = nodes.len() as i64;
        let surge = max_surge(set, wanted);
        if surge > 0 {
            self.roll_surging(set, by_node, hash, &nodes, surge).await
        } else {
            self.roll_replacing(set, by_node, hash, &nodes, max_unavailable(set, wanted).max(1)).await
        }
    }

    async fn roll_replacing(
        &self,
        set: &Object,
        by_node: &ByNode,
        hash: &str,
        nodes: &[Arc<Object>],
        max_unavailable: i64,
    ) -> Result<(), Status> {
        let min_ready = count_at(set, &["spec", "minReadySeconds"], 0);
        let now = self.ctx.clock.now();
        let mut unavailable = 0;
        let (mut free, mut costly) = (Vec::new(), Vec::new());
        for node in nodes {
            let pods = by_node.get(node.name()).map_or(&[][..], Vec::as_slice);
            let alive = || pods.iter().filter(|pod| !pod.is_deleting());
            let available = alive().any(|pod| pod::is_available(pod, min_ready, now));
            unavailable += i64::from(!available);
            if let Some(old) = alive().find(|pod| !is_updated(pod, hash)) {
                let list = if available { &mut costly } else { &mut free };
                list.push(old.clone());
            }
        }
        let room = usize::try_from((max_unavailable - unavailable).max(0)).unwrap_or(0);
        costly.truncate(room);
        free.extend(costly);
        self.delete_pods(set, &free).await
    }

    async fn roll_surging(
        &self,
        set: &Object,
        by_node: &ByNode,
        hash: &str,
        nodes: &[Arc<Object>],
        surge: i64,
    ) -> Result<(), Status> {
        let min_ready = count_at(set, &["spec", "minReadySeconds"], 0);
        let now = self.ctx.clock.now();
        let mut surging = 0;
        let (mut obsolete, mut candidates) = (Vec::new(), Vec::new());
        for node in nodes {
            let pods = by_node.get(node.name()).map_or(&[][..], Vec::as_slice);
            let alive: Vec<_> = pods.iter().filter(|pod| !pod.is_deleting()).collect();
            let old = alive.iter().find(|pod| !is_updated(pod, hash));
            let new = alive.iter().find(|pod| is_updated(pod, hash));
            match (old, new) {
                (Some(old), Some(new)) if pod::is_available(new, min_ready, now) => {
                    obsolete.push((*old).clone())
                }
                (Some(_), Some(_)) => surging += 1,
                (Some(_), None) => candidates.push(node.name().to_owned()),
                _ => {}
            }
        }
        self.delete_pods(set, &obsolete).await?;
        candidates.truncate(usize::try_from((surge - surging).max(0)).unwrap_or(0));
        self.create_pods(set, candidates, hash).await
    }
}
