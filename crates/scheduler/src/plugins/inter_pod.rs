//! InterPodAffinity.

use std::collections::HashMap;

use drydock_machinery::{Key, ObjectMeta};

use super::{Plugin, Rejection};
use crate::affinity::PodTerm;
use crate::cluster::Cluster;
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

/// A topology: key and value.
type Domain = (String, Key);

/// Counts per domain, worked out once per pod.
#[derive(Clone, Debug, Default)]
pub(crate) struct InterPodState {
    /// Existing pods whose required anti-affinity excludes the incoming one.
    existing_anti: HashMap<Domain, i64>,
    /// Existing pods that match all required affinity terms of the incoming one.
    affinity: HashMap<Domain, i64>,
    /// Existing pods that match a required anti-affinity term of the incoming one.
    anti: HashMap<Domain, i64>,
    /// The incoming pod matches its own affinity terms, so that the first of a group can be placed.
    matches_itself: bool,
}

impl InterPodState {
    pub(super) fn new(cluster: &Cluster, pod: &PodInfo) -> Self {
        let mut state = Self::default();
        if cluster.has_anti_affinity() {
            state.count_existing_anti(cluster, pod);
        }
        if pod.required_affinity.is_empty() && pod.required_anti_affinity.is_empty() {
            return state;
        }
        let own_labels = cluster.namespace_labels(pod.object.namespace());
        state.matches_itself = pod.required_affinity.iter().all(|term| term.matches(&pod.object, own_labels));
        for node in cluster.nodes() {
            for other in node.pods.values() {
                let labels = cluster.namespace_labels(other.object.namespace());
                let matches = |term: &PodTerm| term.matches(&other.object, labels);
                if !pod.required_affinity.is_empty() && pod.required_affinity.iter().all(matches) {
                    count(&mut state.affinity, node, pod.required_affinity.iter());
                }
                let anti = pod.required_anti_affinity.iter().filter(|term| matches(term));
                count(&mut state.anti, node, anti);
            }
        }
        state
    }

    fn count_existing_anti(&mut self, cluster: &Cluster, pod: &PodInfo) {
        let labels = cluster.namespace_labels(pod.object.namespace());
        for node in cluster.nodes().iter().filter(|node| node.with_anti_affinity > 0) {
            for other in node.pods.values() {
                let terms = other.required_anti_affinity.iter();
                count(&mut self.existing_anti, node, terms.filter(|term| term.matches(&pod.object, labels)));
            }
        }
    }
}

fn domain(node: &NodeInfo, term: &PodTerm) -> Option<Domain> {
    let value = node.node.label(&term.topology_key)?;
    Some((term.topology_key.clone(), value.into()))
}

fn count<'a>(counts: &mut HashMap<Domain, i64>, node: &NodeInfo, terms: impl Iterator<Item = &'a PodTerm>) {
    for term in terms {
        if let Some(domain) = domain(node, term) {
            *counts.entry(domain).or_default() += 1;
        }
    }
}

pub(super) fn filter(state: &InterPodState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
    if !satisfies_affinity(state, pod, node) {
        return Err(Rejection::unresolvable(
            Plugin::InterPodAffinity,
            "node(s) didn't match pod affinity rules",
        ));
    }
    let excluded = |term| domain(node, term).is_some_and(|domain| state.anti.contains_key(&domain));
    if pod.required_anti_affinity.iter().any(excluded) {
        return Err(Rejection::new(Plugin::InterPodAffinity, "node(s) didn't match pod anti-affinity rules"));
    }
    let excluding = |(key, value): &Domain| node.node.label(key) == Some(value);
    if state.existing_anti.keys().any(excluding) {
        let reason = "node(s) didn't satisfy existing pods anti-affinity rules";
        return Err(Rejection::new(Plugin::InterPodAffinity, reason));
    }
    Ok(())
}

fn satisfies_affinity(state: &InterPodState, pod: &PodInfo, node: &NodeInfo) -> bool {
    let mut all = true;
    for term in &pod.required_affinity {
        let Some(domain) = domain(node, term) else { return false };
        all &= state.affinity.contains_key(&domain);
    }
    // The first pod of a group that wants to be together has nobody to be with.
    all || (state.affinity.is_empty() && state.matches_itself)
}

/// The weight of an existing pod's required affinity to the incoming one.
const HARD_WEIGHT: i64 = 1;

/// By preferred terms, in both directions; None when there are none.
pub(super) fn scores(cluster: &Cluster, pod: &PodInfo, nodes: &[&NodeInfo]) -> Option<Vec<i64>> {
    let own = !pod.preferred_affinity.is_empty() || !pod.preferred_anti_affinity.is_empty();
    if !own && !cluster.has_affinity() {
        return None;
    }
    let mut weights: HashMap<Domain, i64> = HashMap::new();
    let mut add = |node: &NodeInfo, term: &PodTerm, weight: i64| {
        if let Some(domain) = domain(node, term) {
            *weights.entry(domain).or_default() += weight;
        }
    };
    let own_labels = cluster.namespace_labels(pod.object.namespace());
    for node in cluster.nodes().iter().filter(|node| own || node.with_affinity > 0) {
        for other in node.pods.values() {
            let labels = cluster.namespace_labels(other.object.namespace());
            for (terms, sign) in [(&pod.preferred_affinity, 1), (&pod.preferred_anti_affinity, -1)] {
                for term in terms.iter().filter(|term| term.matches(&other.object, labels)) {
                    add(node, term, sign * term.weight);
                }
            }
            for (terms, sign) in [(&other.preferred_affinity, 1), (&other.preferred_anti_affinity, -1)] {
                for term in terms.iter().filter(|term| term.matches(&pod.object, own_labels)) {
                    add(node, term, sign * term.weight);
                }
            }
            for term in other.required_affinity.iter().filter(|term| term.matches(&pod.object, own_labels)) {
                add(node, term, HARD_WEIGHT);
            }
        }
    }
    if weights.is_empty() {
        return None;
    }
    let sum = |node: &&NodeInfo| {
        let here = weights.iter().filter(|((key, value), _)| node.node.label(key) == Some(value));
        here.map(|(_, weight)| weight).sum::<i64>()
    };
    let sums: Vec<i64> = nodes.iter().map(sum).collect();
    let (min, max) = (sums.iter().copied().min()?, sums.iter().copied().max()?);
    let stretched = |sum: &i64| if max == min { 0 } else { 100 * (sum - min) / (max - min) };
    Some(sums.iter().map(stretched).collect())
}
