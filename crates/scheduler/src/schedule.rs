//! The decision.

use drydock_machinery::ObjectMeta;

use crate::cluster::Cluster;
use crate::dra::Reservation;
use crate::fit_error::FitError;
use crate::node_info::NodeInfo;
use crate::plugins::{self, CycleState, Plugin, Rejection};
use crate::pod_info::PodInfo;
use crate::trial;
use crate::volumes::Binding;

/// At least so many feasible nodes are compared, if there are as many.
const MIN_FEASIBLE: usize = 100;

/// Where a pod goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    pub node: String,
    /// How many nodes were looked at: where the next search may begin.
    pub evaluated: usize,
    /// What the pod's claims need there first.
    pub bindings: Vec<Binding>,
    /// And its resource claims.
    pub reservation: Option<Reservation>,
}

impl Placement {
    /// Whether something has to be done before the pod can be bound.
    pub(crate) fn takes_time(&self) -> bool {
        !self.bindings.is_empty() || self.reservation.is_some()
    }
}

/// Finds a node for `pod`. The search begins at node number `start` (modulo their count), so that successive pods do
/// not all look at the same ones; it has no other input.
///
/// # Errors
/// What each node has against the pod.
pub fn schedule(cluster: &Cluster, pod: &PodInfo, start: usize) -> Result<Placement, FitError> {
    let nodes = cluster.nodes();
    if nodes.is_empty() {
        return Err(FitError::default());
    }
    let state = CycleState::new(cluster, pod);
    if let Some(refusal) = refusal(&state) {
        return Err(FitError { nodes: nodes.len(), pre_filter: Some(refusal), ..FitError::default() });
    }
    let named = pod.required_node_affinity.node_names();
    let wanted = feasible_to_find(nodes.len());
    let mut feasible: Vec<&NodeInfo> = Vec::new();
    let mut rejections = Vec::new();
    let mut evaluated = 0;
    for offset in 0..nodes.len() {
        let node = &nodes[(start + offset) % nodes.len()];
        evaluated += 1;
        let outcome = match &named {
            Some(names) if !names.contains(&node.name()) => Err(not_named()),
            _ => trial::fits(cluster, pod, &state, node),
        };
        match outcome {
            Ok(()) => feasible.push(node),
            Err(rejection) if rejection.is_error => {
                return Err(FitError {
                    nodes: nodes.len(),
                    error: rejection.reasons.into_iter().next().map(String::into_boxed_str),
                    ..FitError::default()
                });
            }
            Err(rejection) => rejections.push((node.name().to_owned(), rejection)),
        }
        if feasible.len() >= wanted {
            break;
        }
    }
    if feasible.is_empty() {
        let mut fit = FitError { nodes: nodes.len(), rejections, ..FitError::default() };
        fit.release = state.devices.release(nodes, &pod.object, &fit);
        return Err(fit);
    }
    let best = best(cluster, &state, pod, &feasible, start);
    let node = feasible[best];
    // The filter has found them before.
    let bindings = cluster.volumes().bindings(&state.pod_volumes, &node.node).unwrap_or_default();
    let reservation = state.devices.reservation(pod, node);
    Ok(Placement { node: node.name().to_owned(), evaluated, bindings, reservation })
}

/// Why no node needs to be looked at.
fn refusal(state: &CycleState) -> Option<(Plugin, String)> {
    let volumes = state.pod_volumes.refusal.clone().map(|refusal| (Plugin::VolumeBinding, refusal));
    volumes.or_else(|| Some((Plugin::DynamicResources, state.devices.refusal.clone()?)))
}

fn not_named() -> Rejection {
    Rejection {
        plugin: Plugin::NodeAffinity,
        reasons: vec!["node(s) didn't satisfy plugin(s) [NodeAffinity]".to_owned()],
        unresolvable: true,
        is_error: false,
    }
}

/// All of up to a hundred nodes; of more, a twentieth, but a hundred.
fn feasible_to_find(nodes: usize) -> usize {
    (nodes / 20).max(MIN_FEASIBLE).min(nodes)
}

/// The index of the best node; of equals, one that depends on `start`.
fn best(cluster: &Cluster, state: &CycleState, pod: &PodInfo, feasible: &[&NodeInfo], start: usize) -> usize {
    if feasible.len() == 1 {
        return 0;
    }
    let scores = plugins::score(cluster, state, pod, feasible);
    let top = scores.iter().copied().max().unwrap_or(0);
    let ties: Vec<usize> = (0..scores.len()).filter(|i| scores[*i] == top).collect();
    let name_hash =
        pod.object.name().bytes().fold(start, |hash, byte| hash.wrapping_mul(31) + usize::from(byte));
    ties[name_hash % ties.len()]
}
