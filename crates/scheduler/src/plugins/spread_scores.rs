//! How evenly PodTopologySpread finds pods spread.
//!
//! By the pod's soft constraints. A pod without any constraints is spread over hosts and zones together with those that
//! its services, or what controls it, select.

use std::collections::{HashMap, HashSet};

use drydock_machinery::ObjectMeta;

use super::spread::{eligible, matching};
use crate::cluster::Cluster;
use crate::groups::Group;
use crate::node_info::NodeInfo;
use crate::pod_info::{PodInfo, SpreadConstraint};

const HOST: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

/// What is counted for one topology.
struct Counted<'a> {
    topology_key: &'a str,
    max_skew: i64,
    /// How many pods of a node count; None where the node does not count at all.
    count: Box<dyn Fn(&NodeInfo) -> Option<i64> + 'a>,
}

/// None when there is nothing to spread.
pub(super) fn scores(cluster: &Cluster, pod: &PodInfo, nodes: &[&NodeInfo]) -> Option<Vec<i64>> {
    let (counted, needs_all_keys) = if pod.spread.is_empty() {
        (by_default(cluster, pod)?, false)
    } else {
        (pod.spread.iter().filter(|one| !one.hard).map(|one| of_constraint(one, pod)).collect(), true)
    };
    if counted.is_empty() {
        return None;
    }
    let has_keys = |node: &NodeInfo| {
        !needs_all_keys || counted.iter().all(|one| node.node.label(one.topology_key).is_some())
    };
    let candidates: Vec<&NodeInfo> = nodes.iter().copied().filter(|node| has_keys(node)).collect();
    let mut totals: Vec<Option<f64>> = nodes.iter().map(|node| has_keys(node).then_some(0.0)).collect();
    for one in &counted {
        let (counts, domains) = counts_by_domain(cluster, one, &candidates, &has_keys);
        let weight = ((domains + 2) as f64).ln();
        for (node, total) in nodes.iter().zip(&mut totals) {
            let (Some(total), Some(domain)) = (total, node.node.label(one.topology_key)) else { continue };
            let count = match &counts {
                Some(counts) => counts.get(domain).copied().unwrap_or(0),
                None => (one.count)(node).unwrap_or(0),
            };
            *total += count as f64 * weight + (one.max_skew - 1) as f64;
        }
    }
    Some(reversed(totals.into_iter().map(|total| total.map(|total| total.round() as i64)).collect()))
}

/// How many pods each domain of the candidates has, and how many domains these are. Hosts count for themselves.
fn counts_by_domain<'a>(
    cluster: &'a Cluster,
    one: &Counted<'_>,
    candidates: &[&'a NodeInfo],
    has_keys: &impl Fn(&NodeInfo) -> bool,
) -> (Option<HashMap<&'a str, i64>>, usize) {
    if one.topology_key == HOST {
        return (None, candidates.len());
    }
    let domain = |node: &'a NodeInfo| node.node.label(one.topology_key).unwrap_or("");
    let known: HashSet<&str> = candidates.iter().map(|node| domain(node)).collect();
    let mut counts: HashMap<&str, i64> = HashMap::new();
    for node in cluster.nodes().iter().filter(|node| has_keys(node) && known.contains(domain(node))) {
        if let Some(count) = (one.count)(node) {
            *counts.entry(domain(node)).or_default() += count;
        }
    }
    (Some(counts), known.len())
}

fn of_constraint<'a>(constraint: &'a SpreadConstraint, pod: &'a PodInfo) -> Counted<'a> {
    Counted {
        topology_key: &constraint.topology_key,
        max_skew: constraint.max_skew,
        count: Box::new(move |node| {
            // A host that the pod's affinity or a taint excludes is no candidate.
            let counts = constraint.topology_key == HOST || eligible(constraint, pod, node);
            counts.then(|| matching(constraint, pod, node))
        }),
    }
}

/// Upstream's default constraints.
fn by_default<'a>(cluster: &'a Cluster, pod: &'a PodInfo) -> Option<Vec<Counted<'a>>> {
    let group = cluster.groups().of(pod);
    if group == Group::None {
        return None;
    }
    let group = std::sync::Arc::new(group);
    let counted = [(HOST, 3), (ZONE, 5)].map(|(topology_key, max_skew)| {
        let group = group.clone();
        let count = move |node: &NodeInfo| {
            let is_in_reach = topology_key == HOST || pod.required_node_affinity.matches(&node.node);
            is_in_reach.then(|| group.count(pod, node))
        };
        Counted { topology_key, max_skew, count: Box::new(count) }
    });
    Some(counted.into())
}

/// Few pods make a high score; nodes without the labels get none.
fn reversed(counts: Vec<Option<i64>>) -> Vec<i64> {
    let known = || counts.iter().flatten().copied();
    let (min, max) = (known().min().unwrap_or(0), known().max().unwrap_or(0));
    let score = |count: Option<i64>| match count {
        None => 0,
        Some(_) if max == 0 => 100,
        Some(count) => 100 * (max + min - count) / max,
    };
    counts.iter().map(|count| score(*count)).collect()
}
