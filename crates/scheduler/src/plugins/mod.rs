//! The plugins of upstream's default profile.
//!
//! A filter answers with a [`Rejection`] or nothing; a score is 0 to 100 after normalization. What a plugin works out
//! once per pod is its part of [`CycleState`].

mod devices;
mod inter_pod;
mod node;
mod resource_scores;
mod spread;
mod spread_scores;
mod volumes;

use std::sync::Arc;

use crate::cluster::Cluster;
use crate::dra::DeviceState;
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::volumes::{VolumeState, Volumes};

pub(crate) use inter_pod::InterPodState;
pub(crate) use spread::SpreadState;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plugin {
    NodeUnschedulable,
    NodeName,
    TaintToleration,
    NodeAffinity,
    NodePorts,
    NodeResourcesFit,
    VolumeRestrictions,
    NodeVolumeLimits,
    VolumeBinding,
    VolumeZone,
    PodTopologySpread,
    InterPodAffinity,
    DynamicResources,
}

impl Plugin {
    pub fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// What a plugin has against a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub plugin: Plugin,
    pub reasons: Vec<String>,
    /// Taking pods away from the node would not help.
    pub unresolvable: bool,
    /// It is an error: no node is looked at any more.
    pub is_error: bool,
}

impl Rejection {
    fn new(plugin: Plugin, reason: &str) -> Self {
        Self { plugin, reasons: vec![reason.to_owned()], unresolvable: false, is_error: false }
    }

    fn unresolvable(plugin: Plugin, reason: &str) -> Self {
        Self { unresolvable: true, ..Self::new(plugin, reason) }
    }
}

/// What was worked out for one pod over all nodes.
#[derive(Clone, Debug)]
pub(crate) struct CycleState {
    pub(crate) spread: SpreadState,
    pub(crate) inter_pod: InterPodState,
    pub(crate) pod_volumes: VolumeState,
    pub(crate) devices: Arc<DeviceState>,
    /// Another pod uses a claim of the pod's that only one may use.
    claim_taken: bool,
    /// How many do.
    claim_users: usize,
    volumes: Arc<Volumes>,
}

impl CycleState {
    pub(crate) fn new(cluster: &Cluster, pod: &PodInfo) -> Self {
        let pod_volumes = cluster.volumes().state(&pod.object);
        let users = cluster.nodes().iter().map(|node| claim_users(&pod_volumes, pod, node));
        let claim_users = users.sum();
        Self {
            claim_taken: claim_users > 0,
            claim_users,
            pod_volumes,
            devices: Arc::new(DeviceState::new(cluster.devices(), pod)),
            spread: SpreadState::new(cluster, pod),
            inter_pod: InterPodState::new(cluster, pod),
            volumes: cluster.volumes().clone(),
        }
    }
}

/// What is known of a node's pods can be taken out and put back when they have changed.
impl CycleState {
    pub(crate) fn forget_node(&mut self, cluster: &Cluster, pod: &PodInfo, node: &NodeInfo) {
        self.spread.count(pod, node, -1);
        self.inter_pod.count(cluster, pod, node, -1);
        self.claim_users -= claim_users(&self.pod_volumes, pod, node);
    }

    pub(crate) fn count_node(&mut self, cluster: &Cluster, pod: &PodInfo, node: &NodeInfo) {
        self.spread.count(pod, node, 1);
        self.spread.find_minimum(pod);
        self.inter_pod.count(cluster, pod, node, 1);
        self.claim_users += claim_users(&self.pod_volumes, pod, node);
        self.claim_taken = self.claim_users > 0;
    }
}

/// How many pods of the node use a claim of the pod's that only one may use.
fn claim_users(volumes: &VolumeState, pod: &PodInfo, node: &NodeInfo) -> usize {
    volumes.users(&pod.object, node.pods.values().map(|other| &*other.object))
}

/// Whether the node has what the pod asks for, if it had no pods.
pub(crate) fn fits_when_empty(pod: &PodInfo, node: &NodeInfo) -> bool {
    node::shortages(pod, node, |_| false).is_empty()
}

/// The first plugin, in upstream's order, that has something against the node.
pub(crate) fn filter(state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
    node::unschedulable(pod, node)?;
    node::name(pod, node)?;
    node::taints(pod, node)?;
    node::affinity(pod, node)?;
    node::ports(pod, node)?;
    node::resources(state, pod, node)?;
    volumes::filter(state, pod, node)?;
    spread::filter(&state.spread, pod, node)?;
    inter_pod::filter(&state.inter_pod, pod, node)?;
    devices::filter(state, pod, node)
}

/// Adds up the weighted scores of `nodes`, in their order.
pub(crate) fn score(cluster: &Cluster, state: &CycleState, pod: &PodInfo, nodes: &[&NodeInfo]) -> Vec<i64> {
    let mut totals = vec![0; nodes.len()];
    let mut add = |weight: i64, scores: Vec<i64>| {
        for (total, score) in totals.iter_mut().zip(scores) {
            *total += weight * score;
        }
    };
    let each = |of: fn(&PodInfo, &NodeInfo) -> i64| nodes.iter().map(|node| of(pod, node)).collect();
    if nodes.iter().any(|node| node.taints.iter().any(|taint| taint.effect == "PreferNoSchedule")) {
        add(3, normalized(each(node::intolerable_preferences), Direction::LessIsBetter));
    }
    if !pod.preferred_node_affinity.is_empty() {
        add(2, normalized(each(node::preferred_affinity), Direction::MoreIsBetter));
    }
    add(1, each(resource_scores::least_allocated));
    if !resource_scores::asks_for_nothing(pod) {
        add(1, each(resource_scores::balanced));
    }
    if nodes.iter().any(|node| !node.images.is_empty()) {
        add(1, resource_scores::image_locality(cluster, pod, nodes));
    }
    if let Some(scores) = spread_scores::scores(cluster, pod, nodes) {
        add(2, scores);
    }
    if let Some(scores) = inter_pod::scores(cluster, pod, nodes) {
        add(2, scores);
    }
    if let Some(scores) = state.devices.scores(pod, nodes) {
        add(2, normalized(scores, Direction::MoreIsBetter));
    }
    totals
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    MoreIsBetter,
    LessIsBetter,
}

/// Stretches scores to 0..=100 by the greatest.
fn normalized(mut scores: Vec<i64>, direction: Direction) -> Vec<i64> {
    let max = scores.iter().copied().max().unwrap_or(0);
    for score in &mut scores {
        let stretched = if max == 0 { 0 } else { *score * 100 / max };
        *score = match direction {
            Direction::MoreIsBetter => stretched,
            Direction::LessIsBetter => 100 - stretched,
        };
    }
    scores
}
