//! One step of emptying a node: cordon it, evict what may be evicted, say what is left.
//!
//! As `kubectl drain --ignore-daemonsets --delete-emptydir-data --force`, one look at a time. Disruption budgets are
//! the API server's to enforce: a refused eviction (429) is asked for again five seconds later.

use std::time::Duration;

use drydock_client::{Client, Informer, PatchType, resources};
use drydock_machinery::{Object, ObjectMeta, Status, value};
use futures::future::join_all;
use jiff::Timestamp;

use super::fleet::Drain;

/// The index of pods by node. The simulated kubelets have the same, and share it.
pub(super) const BY_NODE: &str = "node";

const EVICT_AGAIN: Duration = Duration::from_secs(5);

/// Whether the machine behind a node can still end its pods.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kubelet {
    Alive,
    /// Stopped or gone: evicted pods will not disappear before their node does.
    Dead,
}

/// True when the node is empty, or gone.
pub(super) async fn step(
    client: &Client,
    pods: &Informer,
    node_name: &str,
    kubelet: Kubelet,
    now: Timestamp,
    drain: &mut Drain,
) -> Result<bool, Status> {
    if !drain.cordoned {
        let Some(node) = client.find(&resources::NODES, "", node_name).await? else { return Ok(true) };
        if !node.bool_at(&["spec", "unschedulable"]) {
            let patch = value!({"spec": {"unschedulable": true}});
            client.patch(&resources::NODES, "", node_name, PatchType::Merge, patch).await?;
        }
        drain.cordoned = true;
    }
    if !pods.has_synced() {
        return Ok(false);
    }
    let pods = pods.by_index(BY_NODE, node_name);
    let left: Vec<_> = pods.iter().filter(|pod| must_go(pod)).collect();
    let (leaving, staying): (Vec<_>, Vec<_>) = left.into_iter().partition(|pod| pod.is_deleting());
    let mut waiting = if kubelet == Kubelet::Alive { leaving.len() } else { 0 };
    let mut refused = Vec::new();
    if drain.next_evict.is_none_or(|next| now >= next) {
        for (pod, outcome) in join_all(staying.iter().map(|pod| evict(client, pod))).await {
            match outcome {
                Ok(()) if kubelet == Kubelet::Alive => waiting += 1,
                Ok(()) => {}
                Err(status) if status.is_not_found() => {}
                Err(status) => refused.push(format!("{}: {}", pod.key(), why(&status))),
            }
        }
        drain.next_evict = (!refused.is_empty()).then(|| now.saturating_add(EVICT_AGAIN).unwrap_or(now));
    } else {
        // Not yet asked again: what held them holds.
        waiting += staying.len();
        drain.progress = Some(format!("{}; {}", left_over(waiting), tail(drain.progress.as_deref())));
        return Ok(false);
    }
    let total = waiting + refused.len();
    drain.progress = Some(match refused.first() {
        Some(first) => format!("{}; {first}", left_over(total)),
        None => left_over(total),
    });
    Ok(total == 0)
}

fn left_over(pods: usize) -> String {
    if pods == 1 { "1 pod left".to_owned() } else { format!("{pods} pods left") }
}

/// A refusal's words, with its first cause: which budget, and what it needs.
fn why(status: &Status) -> String {
    let cause = status.details.as_ref().and_then(|details| details.causes.first());
    match cause.filter(|cause| !cause.message.is_empty()) {
        Some(cause) => format!("{} {}", status.message, cause.message),
        None => status.message.clone(),
    }
}

/// What held the pods, from the last progress.
fn tail(progress: Option<&str>) -> &str {
    progress.and_then(|text| text.split_once("; ")).map_or("waiting to evict again", |(_, tail)| tail)
}

async fn evict<'a>(client: &Client, pod: &'a Object) -> (&'a Object, Result<(), Status>) {
    let (namespace, name) = (pod.namespace(), pod.name());
    let body = value!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
        "deleteOptions": {"preconditions": {"uid": pod.uid()}},
    });
    let outcome = client.create_subresource(&resources::PODS, namespace, name, "eviction", body).await;
    (pod, outcome.map(drop))
}

/// Not a DaemonSet's, not a static pod's mirror, not finished.
fn must_go(pod: &Object) -> bool {
    let daemon = pod.controller_ref().is_some_and(|owner| owner.str_at(&["kind"]) == "DaemonSet");
    let mirror = pod.annotation("kubernetes.io/config.mirror").is_some();
    let finished = matches!(pod.str_at(&["status", "phase"]), "Succeeded" | "Failed");
    !daemon && !mirror && !finished
}
