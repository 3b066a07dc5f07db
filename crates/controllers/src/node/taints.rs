//! Taints of nodes, and tolerations of pods.

use drydock_client::resources::NODES;
use drydock_client::{Client, PatchType};
use drydock_machinery::{Object, ObjectMeta, Status, Value, value};

pub(super) const NOT_READY: &str = "node.kubernetes.io/not-ready";
pub(super) const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Condition, the status that taints, and the taint.
const BY_CONDITION: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
];

/// The NoSchedule taints that follow from the node's conditions and spec.
fn wanted_no_schedule(node: &Value) -> Vec<&'static str> {
    let status = |kind| crate::util::conditions::condition_status(node, kind);
    let mut wanted: Vec<_> = BY_CONDITION
        .iter()
        .filter(|(kind, bad, _)| status(kind) == *bad)
        .map(|(_, _, taint)| *taint)
        .collect();
    if node.bool_at(&["spec", "unschedulable"]) {
        wanted.push(UNSCHEDULABLE);
    }
    wanted
}

/// The NoExecute taint that follows from the node's readiness.
fn wanted_no_execute(node: &Value) -> Vec<&'static str> {
    let wanted = wanted_no_schedule(node);
    wanted.into_iter().filter(|key| matches!(*key, NOT_READY | UNREACHABLE)).collect()
}

/// Which taints are to be brought up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    NoSchedule,
    NoExecute,
}

/// Brings the node's taints of an effect to what its conditions say. Those of others are left alone. True when written.
pub(super) async fn reconcile(
    client: &Client,
    node: &Object,
    effect: Effect,
    now: &str,
) -> Result<bool, Status> {
    let (name, wanted) = match effect {
        Effect::NoSchedule => ("NoSchedule", wanted_no_schedule(node)),
        Effect::NoExecute => ("NoExecute", wanted_no_execute(node)),
    };
    let ours = |taint: &Value| {
        let key = taint.str_at(&["key"]);
        taint.str_at(&["effect"]) == name
            && (key == UNSCHEDULABLE || BY_CONDITION.iter().any(|(_, _, ours)| *ours == key))
    };
    let old = node.array_at(&["spec", "taints"]);
    let kept = old.iter().filter(|taint| !ours(taint) || wanted.contains(&taint.str_at(&["key"])));
    let mut new: Vec<Value> = kept.cloned().collect();
    for key in wanted {
        if !new.iter().any(|taint| ours(taint) && taint.str_at(&["key"]) == key) {
            new.push(value!({"key": key, "effect": name, "timeAdded": now}));
        }
    }
    if new == old {
        return Ok(false);
    }
    write(client, node, new).await?;
    Ok(true)
}

/// Whether a NoExecute taint of this controller's is on the node.
pub(super) fn is_evicting(node: &Value) -> bool {
    no_execute(node).any(|taint| matches!(taint.str_at(&["key"]), NOT_READY | UNREACHABLE))
}

/// Takes the NoExecute taints of this controller's away, whatever the node's conditions say.
pub(super) async fn clear_no_execute(client: &Client, node: &Object) -> Result<(), Status> {
    if !is_evicting(node) {
        return Ok(());
    }
    let ours = |taint: &&Value| {
        taint.str_at(&["effect"]) == "NoExecute" && matches!(taint.str_at(&["key"]), NOT_READY | UNREACHABLE)
    };
    let kept = node.array_at(&["spec", "taints"]).iter().filter(|taint| !ours(taint)).cloned().collect();
    write(client, node, kept).await
}

async fn write(client: &Client, node: &Object, taints: Vec<Value>) -> Result<(), Status> {
    let mut patch = value!({"metadata": {"resourceVersion": node.resource_version()}, "spec": {}});
    patch.set(&["spec", "taints"], if taints.is_empty() { Value::Null } else { Value::from(taints) });
    client.patch(&NODES, "", node.name(), PatchType::Merge, patch).await.map(drop)
}

pub(super) fn no_execute(node: &Value) -> impl Iterator<Item = &Value> {
    node.array_at(&["spec", "taints"]).iter().filter(|taint| taint.str_at(&["effect"]) == "NoExecute")
}
