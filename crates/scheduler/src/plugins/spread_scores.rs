//! How evenly PodTopologySpread finds pods spread.
//!
//! By the pod's soft constraints. A pod without any constraints is spread by those of its profile, by default over hosts
//! and zones, together with those that its services, or what controls it, select.

use std::collections::{HashMap, HashSet};

use drydock_machinery::ObjectMeta;

use super::spread::{InForce, eligible};
use crate::cluster::Cluster;
use crate::groups::Group;
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::profile::SpreadDefaults;

const HOST: &str = "kubernetes.io/hostname";

/// None when there is nothing to spread.
pub(super) fn scores(
    cluster: &Cluster,
    defaults: &SpreadDefaults,
    pod: &PodInfo,
    nodes: &[&NodeInfo],
) -> Option<Vec<i64>> {
    let group = if pod.spread.is_empty() { cluster.groups().of(pod) } else { Group::None };
    let (counted, needs_all_keys): (Vec<InForce<'_>>, bool) = if pod.spread.is_empty() {
        if group == Group::None {
            return None;
        }
        let soft = defaults.constraints.iter().filter(|constraint| !constraint.hard);
        let counted = soft.map(|constraint| InForce { constraint, group: Some(&group) });
        (counted.collect(), !defaults.is_system)
    } else {
        let soft = pod.spread.iter().filter(|constraint| !constraint.hard);
        (soft.map(|constraint| InForce { constraint, group: None }).collect(), true)
    };
    if counted.is_empty() {
        return None;
    }
    let has_keys =
        |node: &NodeInfo| !needs_all_keys || counted.iter().all(|one| node.node.label(key(one)).is_some());
    let candidates: Vec<&NodeInfo> = nodes.iter().copied().filter(|node| has_keys(node)).collect();
    let mut totals: Vec<Option<f64>> = nodes.iter().map(|node| has_keys(node).then_some(0.0)).collect();
    for one in &counted {
        let (counts, domains) = counts_by_domain(cluster, pod, one, &candidates, &has_keys);
        let weight = ((domains + 2) as f64).ln();
        for (node, total) in nodes.iter().zip(&mut totals) {
            let (Some(total), Some(domain)) = (total, node.node.label(key(one))) else { continue };
            let count = match &counts {
                Some(counts) => counts.get(domain).copied().unwrap_or(0),
                None => count(one, pod, node).unwrap_or(0),
            };
            *total += count as f64 * weight + (one.constraint.max_skew - 1) as f64;
        }
    }
    Some(reversed(totals.into_iter().map(|total| total.map(|total| total.round() as i64)).collect()))
}

/// How many pods each domain of the candidates has, and how many domains these are. Hosts count for themselves.
fn counts_by_domain<'a>(
    cluster: &'a Cluster,
    pod: &PodInfo,
    one: &InForce<'_>,
    candidates: &[&'a NodeInfo],
    has_keys: &impl Fn(&NodeInfo) -> bool,
) -> (Option<HashMap<&'a str, i64>>, usize) {
    if key(one) == HOST {
        return (None, candidates.len());
    }
    let domain = |node: &'a NodeInfo| node.node.label(key(one)).unwrap_or("");
    let known: HashSet<&str> = candidates.iter().map(|node| domain(node)).collect();
    let mut counts: HashMap<&str, i64> = HashMap::new();
    for node in cluster.nodes().iter().filter(|node| has_keys(node) && known.contains(domain(node))) {
        if let Some(count) = count(one, pod, node) {
            *counts.entry(domain(node)).or_default() += count;
        }
    }
    (Some(counts), known.len())
}

fn key<'a>(one: &InForce<'a>) -> &'a str {
    &one.constraint.topology_key
}

/// How many pods of a node count; None where the node does not count at all.
fn count(one: &InForce<'_>, pod: &PodInfo, node: &NodeInfo) -> Option<i64> {
    // A host that the pod's affinity or a taint excludes is no candidate.
    let counts = key(one) == HOST || eligible(one.constraint, pod, node);
    counts.then(|| one.matching(pod, node))
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
