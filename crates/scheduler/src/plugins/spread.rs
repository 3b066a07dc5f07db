//! PodTopologySpread.

use std::collections::HashMap;
use std::sync::Arc;

use drydock_machinery::{Key, ObjectMeta};

use super::Rejection;
use crate::cluster::Cluster;
use crate::groups::Group;
use crate::node_info::NodeInfo;
use crate::plugin::{Plugin, Point};
use crate::pod_info::{PodInfo, SpreadConstraint};
use crate::profile::Profile;

const REASON: &str = "node(s) didn't match pod topology spread constraints";
const REASON_MISSING: &str = "node(s) didn't match pod topology spread constraints (missing required label)";

/// For each hard constraint, how many matching pods each domain has.
#[derive(Clone, Debug, Default)]
pub(crate) struct SpreadState {
    /// For a pod without constraints, the profile's.
    defaults: Option<Arc<Defaults>>,
    hard: Vec<HashMap<Key, i64>>,
    /// The least of each, 0 when there are fewer domains than `minDomains`.
    minimum: Vec<i64>,
}

/// Hard constraints of a profile, for a pod that belongs together with others.
#[derive(Debug)]
struct Defaults {
    constraints: Vec<SpreadConstraint>,
    group: Group,
}

/// A constraint, and whom it counts: those that its selector matches, or a group.
#[derive(Clone, Copy)]
pub(super) struct InForce<'a> {
    pub(super) constraint: &'a SpreadConstraint,
    pub(super) group: Option<&'a Group>,
}

impl InForce<'_> {
    /// How many pods on the node count.
    pub(super) fn matching(&self, pod: &PodInfo, node: &NodeInfo) -> i64 {
        match self.group {
            Some(group) => group.count(pod, node),
            None => matching(self.constraint, pod, node),
        }
    }

    /// Whether the pod itself will.
    fn counts(&self, pod: &PodInfo) -> bool {
        self.group.is_some() || self.constraint.selector.matches(pod.object.labels())
    }
}

impl SpreadState {
    pub(super) fn new(cluster: &Cluster, profile: &Profile, pod: &PodInfo) -> Self {
        if !profile.has(Point::PreFilter, Plugin::PodTopologySpread) {
            return Self::default();
        }
        let defaults = Defaults::of(cluster, profile, pod).map(Arc::new);
        let mut state = Self { defaults, ..Self::default() };
        state.hard = hard(state.defaults.as_deref(), pod).map(|_| HashMap::new()).collect();
        if state.hard.is_empty() {
            return state;
        }
        for node in cluster.nodes() {
            state.count(pod, node, 1);
        }
        state.find_minimum(pod);
        state
    }

    /// Counts the node's pods, or with -1 no longer.
    pub(super) fn count(&mut self, pod: &PodInfo, node: &NodeInfo, by: i64) {
        let Self { defaults, hard: counted, .. } = self;
        let defaults = defaults.as_deref();
        let has_key = |one: InForce<'_>| node.node.label(&one.constraint.topology_key).is_some();
        if !hard(defaults, pod).all(has_key) {
            return;
        }
        for (one, counts) in hard(defaults, pod).zip(counted) {
            if eligible(one.constraint, pod, node) {
                let domain = node.node.label(&one.constraint.topology_key).unwrap_or("");
                *counts.entry(domain.into()).or_default() += by * one.matching(pod, node);
            }
        }
    }

    pub(super) fn find_minimum(&mut self, pod: &PodInfo) {
        let minimum = |(one, counts): (InForce<'_>, &HashMap<Key, i64>)| {
            let enough = counts.len() as i64 >= one.constraint.min_domains;
            if enough { counts.values().copied().min().unwrap_or(0) } else { 0 }
        };
        self.minimum = hard(self.defaults.as_deref(), pod).zip(&self.hard).map(minimum).collect();
    }
}

impl Defaults {
    fn of(cluster: &Cluster, profile: &Profile, pod: &PodInfo) -> Option<Self> {
        let constraints = profile.args.spread.constraints.iter().filter(|constraint| constraint.hard);
        let constraints: Vec<SpreadConstraint> = constraints.cloned().collect();
        if constraints.is_empty() || !pod.spread.is_empty() {
            return None;
        }
        let group = cluster.groups().of(pod);
        (group != Group::None).then_some(Self { constraints, group })
    }
}

/// The hard constraints that are in force for the pod: its own, or the defaults.
fn hard<'a>(defaults: Option<&'a Defaults>, pod: &'a PodInfo) -> impl Iterator<Item = InForce<'a>> {
    let own = pod.hard_spread().map(|constraint| InForce { constraint, group: None });
    let defaults = defaults.into_iter().flat_map(|defaults| {
        defaults.constraints.iter().map(|constraint| InForce { constraint, group: Some(&defaults.group) })
    });
    own.chain(defaults)
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
fn matching(constraint: &SpreadConstraint, pod: &PodInfo, node: &NodeInfo) -> i64 {
    if constraint.selector.is_everything() {
        // As upstream has it.
        return 0;
    }
    let counts = |other: &&Arc<PodInfo>| {
        other.object.namespace() == pod.object.namespace()
            && !other.object.is_deleting()
            && constraint.selector.matches(other.object.labels())
    };
    node.pods.values().filter(counts).count() as i64
}

pub(super) fn filter(state: &SpreadState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
    for (i, one) in hard(state.defaults.as_deref(), pod).enumerate() {
        let Some(domain) = node.node.label(&one.constraint.topology_key) else {
            return Err(Rejection::unresolvable(Plugin::PodTopologySpread, REASON_MISSING));
        };
        let own = i64::from(one.counts(pod));
        let count = state.hard[i].get(domain).copied().unwrap_or(0);
        if count + own - state.minimum[i] > one.constraint.max_skew {
            return Err(Rejection::new(Plugin::PodTopologySpread, REASON));
        }
    }
    Ok(())
}
