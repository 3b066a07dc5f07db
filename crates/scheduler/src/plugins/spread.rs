//! PodTopologySpread.

use std::collections::HashMap;

use drydock_machinery::{Key, ObjectMeta};

use super::{Plugin, Rejection};
use crate::cluster::Cluster;
use crate::node_info::NodeInfo;
use crate::pod_info::{PodInfo, SpreadConstraint};

const REASON: &str = "node(s) didn't match pod topology spread constraints";
const REASON_MISSING: &str = "node(s) didn't match pod topology spread constraints (missing required label)";

/// For each hard constraint, how many matching pods each domain has.
#[derive(Clone, Debug, Default)]
pub(crate) struct SpreadState {
    hard: Vec<HashMap<Key, i64>>,
    /// The least of each, 0 when there are fewer domains than `minDomains`.
    minimum: Vec<i64>,
}

impl SpreadState {
    pub(super) fn new(cluster: &Cluster, pod: &PodInfo) -> Self {
        if pod.hard_spread().next().is_none() {
            return Self::default();
        }
        let mut state =
            Self { hard: pod.hard_spread().map(|_| HashMap::new()).collect(), minimum: Vec::new() };
        for node in cluster.nodes() {
            state.count(pod, node, 1);
        }
        state.find_minimum(pod);
        state
    }

    /// Counts the node's pods, or with -1 no longer.
    pub(super) fn count(&mut self, pod: &PodInfo, node: &NodeInfo, by: i64) {
        if !pod.hard_spread().all(|constraint| node.node.label(&constraint.topology_key).is_some()) {
            return;
        }
        for (constraint, counts) in pod.hard_spread().zip(&mut self.hard) {
            if eligible(constraint, pod, node) {
                let domain = node.node.label(&constraint.topology_key).unwrap_or("");
                *counts.entry(domain.into()).or_default() += by * matching(constraint, pod, node);
            }
        }
    }

    pub(super) fn find_minimum(&mut self, pod: &PodInfo) {
        let minimum = |(constraint, counts): (&SpreadConstraint, &HashMap<Key, i64>)| {
            let enough = counts.len() as i64 >= constraint.min_domains;
            if enough { counts.values().copied().min().unwrap_or(0) } else { 0 }
        };
        self.minimum = pod.hard_spread().zip(&self.hard).map(minimum).collect();
    }
}

/// Whether the node's pods count at all.
pub(super) fn eligible(constraint: &SpreadConstraint, pod: &PodInfo, node: &NodeInfo) -> bool {
    let affinity = !constraint.honor_affinity || pod.required_node_affinity.matches(&node.node);
    let hard_taints = |effect: &str| matches!(effect, "NoSchedule" | "NoExecute");
    let taints = !constraint.honor_taints
        || node.taints.iter().filter(|taint| hard_taints(&taint.effect)).all(|taint| pod.tolerates(taint));
    affinity && taints
}

/// How many pods on the node count for the constraint.
pub(super) fn matching(constraint: &SpreadConstraint, pod: &PodInfo, node: &NodeInfo) -> i64 {
    if constraint.selector.is_everything() {
        // As upstream has it.
        return 0;
    }
    let counts = |other: &&std::sync::Arc<PodInfo>| {
        other.object.namespace() == pod.object.namespace()
            && !other.object.is_deleting()
            && constraint.selector.matches(other.object.labels())
    };
    node.pods.values().filter(counts).count() as i64
}

pub(super) fn filter(state: &SpreadState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
    for (i, constraint) in pod.hard_spread().enumerate() {
        let Some(domain) = node.node.label(&constraint.topology_key) else {
            return Err(Rejection::unresolvable(Plugin::PodTopologySpread, REASON_MISSING));
        };
        let own = i64::from(constraint.selector.matches(pod.object.labels()));
        let count = state.hard[i].get(domain).copied().unwrap_or(0);
        if count + own - state.minimum[i] > constraint.max_skew {
            return Err(Rejection::new(Plugin::PodTopologySpread, REASON));
        }
    }
    Ok(())
}
