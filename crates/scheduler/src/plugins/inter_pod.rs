//! InterPodAffinity.

use std::collections::HashMap;

use drydock_machinery::{Key, ObjectMeta};

use super::Rejection;
use crate::affinity::PodTerm;
use crate::cluster::Cluster;
use crate::node_info::NodeInfo;
use crate::plugin::Plugin;
use crate::pod_info::PodInfo;
use crate::profile::InterPod;

/// Numbers by topology: first by its key, so that a node is asked for few labels however many values there are.
#[derive(Clone, Debug, Default)]
struct Counts(HashMap<String, HashMap<Key, i64>>);

impl Counts {
    /// Adds to the node's domain of the term's topology; domains that are left with nothing are forgotten.
    fn add(&mut self, node: &NodeInfo, term: &PodTerm, by: i64) {
        let Some(domain) = node.node.label(&term.topology_key) else { return };
        if !self.0.contains_key(&term.topology_key) {
            self.0.insert(term.topology_key.clone(), HashMap::new());
        }
        let Some(domains) = self.0.get_mut(&term.topology_key) else { return };
        let count = domains.entry(domain.into()).or_default();
        *count += by;
        if *count == 0 {
            domains.remove(domain);
        }
    }

    fn is_empty(&self) -> bool {
        self.0.values().all(HashMap::is_empty)
    }

    /// Whether the node's domain of the topology has a number.
    fn has(&self, node: &NodeInfo, topology_key: &str) -> bool {
        let domain = node.node.label(topology_key);
        self.0.get(topology_key).zip(domain).is_some_and(|(domains, domain)| domains.contains_key(domain))
    }

    /// The numbers of all domains that the node is in.
    fn of<'a>(&'a self, node: &'a NodeInfo) -> impl Iterator<Item = i64> + 'a {
        self.0.iter().filter_map(|(key, domains)| domains.get(node.node.label(key)?).copied())
    }
}

/// Counts per domain, worked out once per pod.
#[derive(Clone, Debug, Default)]
pub(crate) struct InterPodState {
    /// Existing pods whose required anti-affinity excludes the incoming one.
    existing_anti: Counts,
    /// Existing pods that match all required affinity terms of the incoming one.
    affinity: Counts,
    /// Existing pods that match a required anti-affinity term of the incoming one.
    anti: Counts,
    /// The incoming pod matches its own affinity terms, so that the first of a group can be placed.
    matches_itself: bool,
}

impl InterPodState {
    pub(super) fn new(cluster: &Cluster, pod: &PodInfo) -> Self {
        let own_labels = cluster.namespace_labels(pod.object.namespace());
        let itself = |term: &PodTerm| term.matches(&pod.object, own_labels);
        let matches_itself = pod.required_affinity.iter().all(itself);
        let mut state = Self { matches_itself, ..Self::default() };
        if cluster.has_anti_affinity() || has_required(pod) {
            for node in cluster.nodes() {
                state.count(cluster, pod, node, 1);
            }
        }
        state
    }

    /// Counts the node's pods, or with -1 no longer.
    pub(super) fn count(&mut self, cluster: &Cluster, pod: &PodInfo, node: &NodeInfo, by: i64) {
        if node.with_anti_affinity > 0 {
            let labels = cluster.namespace_labels(pod.object.namespace());
            let terms = node.pods.values().flat_map(|other| &other.required_anti_affinity);
            for term in terms.filter(|term| term.matches(&pod.object, labels)) {
                self.existing_anti.add(node, term, by);
            }
        }
        if !has_required(pod) {
            return;
        }
        for other in node.pods.values() {
            let labels = cluster.namespace_labels(other.object.namespace());
            let matches = |term: &&PodTerm| term.matches(&other.object, labels);
            if pod.required_affinity.iter().all(|term| matches(&term)) {
                pod.required_affinity.iter().for_each(|term| self.affinity.add(node, term, by));
            }
            for term in pod.required_anti_affinity.iter().filter(matches) {
                self.anti.add(node, term, by);
            }
        }
    }
}

fn has_required(pod: &PodInfo) -> bool {
    !pod.required_affinity.is_empty() || !pod.required_anti_affinity.is_empty()
}

pub(super) fn filter(state: &InterPodState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
    if !satisfies_affinity(state, pod, node) {
        return Err(Rejection::unresolvable(
            Plugin::InterPodAffinity,
            "node(s) didn't match pod affinity rules",
        ));
    }
    let excluded = |term: &PodTerm| state.anti.has(node, &term.topology_key);
    if pod.required_anti_affinity.iter().any(excluded) {
        return Err(Rejection::new(Plugin::InterPodAffinity, "node(s) didn't match pod anti-affinity rules"));
    }
    if state.existing_anti.of(node).next().is_some() {
        let reason = "node(s) didn't satisfy existing pods anti-affinity rules";
        return Err(Rejection::new(Plugin::InterPodAffinity, reason));
    }
    Ok(())
}

fn satisfies_affinity(state: &InterPodState, pod: &PodInfo, node: &NodeInfo) -> bool {
    let mut all = true;
    for term in &pod.required_affinity {
        if node.node.label(&term.topology_key).is_none() {
            return false;
        }
        all &= state.affinity.has(node, &term.topology_key);
    }
    // The first pod of a group that wants to be together has nobody to be with.
    all || (state.affinity.is_empty() && state.matches_itself)
}

/// By preferred terms, in both directions; None when there are none.
pub(super) fn scores(
    cluster: &Cluster,
    args: InterPod,
    pod: &PodInfo,
    nodes: &[&NodeInfo],
) -> Option<Vec<i64>> {
    let own = !pod.preferred_affinity.is_empty() || !pod.preferred_anti_affinity.is_empty();
    if !own && (args.ignore_preferences_of_others || !cluster.has_affinity()) {
        return None;
    }
    let mut weights = Counts::default();
    let own_labels = cluster.namespace_labels(pod.object.namespace());
    for node in cluster.nodes().iter().filter(|node| own || node.with_affinity > 0) {
        for other in node.pods.values() {
            let labels = cluster.namespace_labels(other.object.namespace());
            for (terms, sign) in [(&pod.preferred_affinity, 1), (&pod.preferred_anti_affinity, -1)] {
                for term in terms.iter().filter(|term| term.matches(&other.object, labels)) {
                    weights.add(node, term, sign * term.weight);
                }
            }
            for (terms, sign) in [(&other.preferred_affinity, 1), (&other.preferred_anti_affinity, -1)] {
                for term in terms.iter().filter(|term| term.matches(&pod.object, own_labels)) {
                    weights.add(node, term, sign * term.weight);
                }
            }
            for term in other.required_affinity.iter().filter(|term| term.matches(&pod.object, own_labels)) {
                weights.add(node, term, args.hard_weight);
            }
        }
    }
    if weights.is_empty() {
        return None;
    }
    let sums: Vec<i64> = nodes.iter().map(|node| weights.of(node).sum()).collect();
    let (min, max) = (sums.iter().copied().min()?, sums.iter().copied().max()?);
    let stretched = |sum: &i64| if max == min { 0 } else { 100 * (sum - min) / (max - min) };
    Some(sums.iter().map(stretched).collect())
}
