//! The decision.

use std::sync::Arc;

use drydock_machinery::ObjectMeta;

use crate::cluster::Cluster;
use crate::dra::Reservation;
use crate::fit_error::FitError;
use crate::node_info::NodeInfo;
use crate::plugin::{Plugin, Point};
use crate::plugins::{self, CycleState, Rejection};
use crate::pod_info::PodInfo;
use crate::profile::Profile;
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

/// Finds a node for `pod`, as its `profile` says. The search begins at node number `start` (modulo their count), so that successive pods do
/// not all look at the same ones; it has no other input.
///
/// # Errors
/// What each node has against the pod.
pub fn schedule(
    cluster: &Cluster,
    profile: &Arc<Profile>,
    pod: &PodInfo,
    start: usize,
) -> Result<Placement, FitError> {
    let nodes = cluster.nodes();
    if nodes.is_empty() {
        return Err(FitError::default());
    }
    let state = CycleState::new(cluster, profile, pod);
    if let Some(refusal) = state.refusal() {
        return Err(FitError { nodes: nodes.len(), pre_filter: Some(refusal), ..FitError::default() });
    }
    let named = named(profile, pod);
    let wanted = feasible_to_find(nodes.len(), profile.percentage_of_nodes);
    let mut feasible: Vec<&NodeInfo> = Vec::new();
    let mut rejections = Vec::new();
    let mut evaluated = 0;
    for offset in 0..nodes.len() {
        let node = &nodes[(start + offset) % nodes.len()];
        evaluated += 1;
        match verdict(cluster, pod, &state, named.as_deref(), node) {
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
        if profile.has(Point::PostFilter, Plugin::DynamicResources) {
            fit.release = state.devices.release(nodes, &pod.object, &fit);
        }
        return Err(fit);
    }
    let best = best(cluster, &state, pod, &feasible, start);
    let node = feasible[best];
    let bindings = state.bindings(node);
    let reservation = state.reservation(pod, node);
    Ok(Placement { node: node.name().to_owned(), evaluated, bindings, reservation })
}

/// The only nodes that are looked at.
pub(crate) fn named<'a>(profile: &Profile, pod: &'a PodInfo) -> Option<Vec<&'a str>> {
    let asked = profile.has(Point::PreFilter, Plugin::NodeAffinity);
    if asked { pod.required_node_affinity.node_names() } else { None }
}

/// What the filters say of the node, of which the affinity of the pod may leave only the `named` ones.
pub(crate) fn verdict(
    cluster: &Cluster,
    pod: &PodInfo,
    state: &CycleState,
    named: Option<&[&str]>,
    node: &NodeInfo,
) -> Result<(), Rejection> {
    match named {
        Some(names) if !names.contains(&node.name()) => Err(not_named()),
        _ => trial::fits(cluster, pod, state, node),
    }
}

fn not_named() -> Rejection {
    Rejection {
        plugin: Plugin::NodeAffinity,
        reasons: vec!["node(s) didn't satisfy plugin(s) [NodeAffinity]".to_owned()],
        unresolvable: true,
        is_error: false,
    }
}

/// All of up to a hundred nodes; of more, a hundred at least, and so many in a hundred as the profile says. Where it
/// leaves that open, a twentieth; upstream takes more of fewer than 5,000 nodes then.
fn feasible_to_find(nodes: usize, percentage: usize) -> usize {
    let percentage = if percentage == 0 { 5 } else { percentage };
    (nodes * percentage / 100).max(MIN_FEASIBLE).min(nodes)
}

/// The index of the best node; of equals, one that depends on `start`.
fn best(cluster: &Cluster, state: &CycleState, pod: &PodInfo, feasible: &[&NodeInfo], start: usize) -> usize {
    if feasible.len() == 1 {
        return 0;
    }
    let scores = plugins::totals(&plugins::scores(cluster, state, pod, feasible), feasible.len());
    let top = scores.iter().copied().max().unwrap_or(0);
    let ties: Vec<usize> = (0..scores.len()).filter(|i| scores[*i] == top).collect();
    let name_hash =
        pod.object.name().bytes().fold(start, |hash, byte| hash.wrapping_mul(31) + usize::from(byte));
    ties[name_hash % ties.len()]
}
