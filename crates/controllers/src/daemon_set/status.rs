//! A daemon set's status.

use std::sync::Arc;

use drydock_client::resources::DAEMON_SETS;
use drydock_machinery::{Object, ObjectMeta, Status};

use super::{ByNode, DaemonSets, is_updated, place};
use crate::util::{count_at, pod, set_count};

/// Writes it when it differs.
pub(super) async fn write(
    sets: &DaemonSets,
    set: &Object,
    by_node: &ByNode,
    hash: &str,
    collisions: Option<i64>,
) -> Result<(), Status> {
    let min_ready = count_at(set, &["spec", "minReadySeconds"], 0);
    let now = sets.ctx.clock.now();
    let (mut desired, mut current, mut misscheduled) = (0, 0, 0);
    let (mut ready, mut available, mut updated) = (0, 0, 0);
    for node in sets.nodes.list() {
        let pods = by_node.get(node.name()).map_or(&[][..], Vec::as_slice);
        if !place::fit(set, &node).should_run {
            misscheduled += i64::from(!pods.is_empty());
            continue;
        }
        desired += 1;
        // One pod speaks for the node: the oldest, of those that are on it before those that are to come. A new one that
        // surges over it does not count yet.
        let order = |pod: &&Arc<Object>| {
            (pod::node_name(pod).is_empty(), pod.creation_timestamp().to_owned(), pod.name().to_owned())
        };
        let Some(pod) = pods.iter().min_by_key(order) else { continue };
        current += 1;
        if pod::is_ready(pod) {
            ready += 1;
            available += i64::from(pod::is_available(pod, min_ready, now));
        }
        updated += i64::from(is_updated(pod, hash));
    }
    let mut new = set.value().clone();
    new.set(&["status", "currentNumberScheduled"], current);
    new.set(&["status", "numberMisscheduled"], misscheduled);
    new.set(&["status", "desiredNumberScheduled"], desired);
    new.set(&["status", "numberReady"], ready);
    new.set(&["status", "observedGeneration"], set.generation());
    set_count(&mut new, &["status", "updatedNumberScheduled"], updated);
    set_count(&mut new, &["status", "numberAvailable"], available);
    set_count(&mut new, &["status", "numberUnavailable"], desired - available);
    if let Some(collisions) = collisions {
        new.set(&["status", "collisionCount"], collisions);
    }
    if new.get("status") == set.get("status") {
        return Ok(());
    }
    sets.ctx.client.update_status(&DAEMON_SETS, new).await.map(drop)
}
