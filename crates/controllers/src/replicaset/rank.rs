//! Which pods go first when there are too many: upstream's `ActivePodsWithRanks`.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::sync::Arc;

use drydock_machinery::{Object, ObjectMeta};
use jiff::Timestamp;

use crate::util::{pod, time_at};

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The `count` pods that are missed least. `related` are the pods of this set and its siblings.
pub(super) fn pods_to_delete(
    active: &[Arc<Object>],
    related: &[Arc<Object>],
    count: usize,
    now: Timestamp,
) -> Vec<Arc<Object>> {
    let mut victims = active.to_vec();
    if count < victims.len() {
        let mut on_node: HashMap<&str, usize> = HashMap::new();
        for pod in related.iter().filter(|pod| pod::is_active(pod)) {
            *on_node.entry(pod::node_name(pod)).or_default() += 1;
        }
        let rank = |pod: &Object| on_node.get(pod::node_name(pod)).copied().unwrap_or(0);
        victims.sort_by(|a, b| compare(a, b, rank(a), rank(b), now));
        victims.truncate(count);
    }
    victims
}

fn compare(a: &Object, b: &Object, rank_a: usize, rank_b: usize, now: Timestamp) -> Ordering {
    let unassigned = |pod: &Object| pod::node_name(pod).is_empty();
    let phase = |pod: &Object| match pod::phase(pod) {
        "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    };
    let cost =
        |pod: &Object| pod.annotation(DELETION_COST).and_then(|cost| cost.parse::<i32>().ok()).unwrap_or(0);
    let created = |pod: &Object| time_at(pod, &["metadata", "creationTimestamp"]);
    Reverse(unassigned(a))
        .cmp(&Reverse(unassigned(b)))
        .then_with(|| phase(a).cmp(&phase(b)))
        .then_with(|| pod::is_ready(a).cmp(&pod::is_ready(b)))
        .then_with(|| cost(a).cmp(&cost(b)))
        .then_with(|| rank_b.cmp(&rank_a))
        .then_with(|| newer_first(pod::ready_since(a), pod::ready_since(b), now))
        .then_with(|| pod::max_restarts(b).cmp(&pod::max_restarts(a)))
        .then_with(|| newer_first(created(a), created(b), now))
        .then_with(|| a.uid().cmp(b.uid()))
}

/// Ages are compared by their order of magnitude, so that scaling down does not always hit the newest.
fn newer_first(a: Option<Timestamp>, b: Option<Timestamp>, now: Timestamp) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => magnitude(a, now).cmp(&magnitude(b, now)),
        _ => Ordering::Equal,
    }
}

fn magnitude(since: Timestamp, now: Timestamp) -> i64 {
    let seconds = now.duration_since(since).as_secs();
    if seconds > 0 { i64::from(seconds.ilog2()) } else { -1 }
}

#[cfg(test)]
mod tests {
    use drydock_machinery::{Value, value};

    use super::*;

    fn pod(name: &str, node: &str, ready: bool) -> Arc<Object> {
        let status = if ready { "True" } else { "False" };
        let tree: Value = value!({
            "metadata": {"name": name, "uid": name},
            "spec": {"nodeName": node},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": status}]},
        });
        Arc::new(Object::new(tree, 1))
    }

    #[test]
    fn unassigned_then_not_ready_then_crowded_pods_go_first() {
        let pods = [
            pod("a", "n1", true),
            pod("b", "n1", true),
            pod("c", "n2", true),
            pod("d", "n2", false),
            pod("e", "", true),
        ];
        let now = Timestamp::UNIX_EPOCH;
        let victims = pods_to_delete(&pods, &pods, 3, now);
        let names: Vec<_> = victims.iter().map(|pod| pod.name()).collect();
        assert_eq!(names, ["e", "d", "a"]);
    }
}
