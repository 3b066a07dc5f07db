//! What plugins do at the points at which a profile asks them.
//!
//! A filter answers with a [`Rejection`] or nothing; a score is 0 to 100 after normalization. What a plugin works out
//! once per pod is its part of [`CycleState`], which also holds the pod's profile.

mod devices;
mod inter_pod;
mod node;
mod resource_scores;
mod spread;
mod spread_scores;
mod volumes;

use std::sync::Arc;

use crate::cluster::Cluster;
use crate::dra::{DeviceState, Reservation};
use crate::node_info::NodeInfo;
use crate::plugin::{Plugin, Point};
use crate::pod_info::PodInfo;
use crate::profile::Profile;
use crate::volumes::{Binding, VolumeState, Volumes};

pub(crate) use inter_pod::InterPodState;
pub(crate) use spread::SpreadState;

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
    pub(crate) profile: Arc<Profile>,
    pub(crate) spread: SpreadState,
    pub(crate) inter_pod: InterPodState,
    pub(crate) pod_volumes: VolumeState,
    /// The pod's affinity names nodes in such a way that it can have none.
    affinity_refusal: Option<String>,
    pub(crate) devices: Arc<DeviceState>,
    /// Another pod uses a claim of the pod's that only one may use.
    claim_taken: bool,
    /// How many do.
    claim_users: usize,
    volumes: Arc<Volumes>,
}

impl CycleState {
    pub(crate) fn new(cluster: &Cluster, profile: &Arc<Profile>, pod: &PodInfo) -> Self {
        let pod_volumes = cluster.volumes().state(&pod.object);
        let users = cluster.nodes().iter().map(|node| claim_users(&pod_volumes, pod, node));
        let claim_users = users.sum();
        let devices = if profile.uses(Plugin::DynamicResources) {
            DeviceState::new(cluster.devices(), pod)
        } else {
            DeviceState::default()
        };
        Self {
            claim_taken: claim_users > 0,
            claim_users,
            pod_volumes,
            devices: Arc::new(devices),
            spread: SpreadState::new(cluster, profile, pod),
            inter_pod: InterPodState::new(cluster, pod),
            volumes: cluster.volumes().clone(),
            affinity_refusal: pod
                .required_node_affinity
                .node_names()
                .filter(Vec::is_empty)
                .map(|_| "pod affinity terms conflict".to_owned()),
            profile: profile.clone(),
        }
    }

    /// Why no node needs to be looked at.
    pub(crate) fn refusal(&self) -> Option<(Plugin, String)> {
        self.profile.at(Point::PreFilter).iter().find_map(|plugin| {
            let refusal = match plugin {
                Plugin::NodeAffinity => &self.affinity_refusal,
                Plugin::VolumeBinding => &self.pod_volumes.refusal,
                Plugin::DynamicResources => &self.devices.refusal,
                _ => &None,
            };
            refusal.clone().map(|refusal| (*plugin, refusal))
        })
    }

    /// What has to be written for the pod's claims before it is bound to the node.
    pub(crate) fn bindings(&self, node: &NodeInfo) -> Vec<Binding> {
        if !self.profile.has(Point::PreBind, Plugin::VolumeBinding) {
            return Vec::new();
        }
        // The filter has found them before.
        self.volumes.bindings(&self.pod_volumes, &node.node).unwrap_or_default()
    }

    /// And for its resource claims.
    pub(crate) fn reservation(&self, pod: &PodInfo, node: &NodeInfo) -> Option<Reservation> {
        let points = [Point::Reserve, Point::PreBind];
        let reserves = points.into_iter().all(|point| self.profile.has(point, Plugin::DynamicResources));
        if reserves { self.devices.reservation(pod, node) } else { None }
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
pub(crate) fn fits_when_empty(profile: &Profile, pod: &PodInfo, node: &NodeInfo) -> bool {
    node::shortages(pod, node, |resource| profile.args.fit.ignores(resource)).is_empty()
}

/// The first plugin, in the profile's order, that has something against the node.
pub(crate) fn filter(state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
    state.profile.at(Point::Filter).iter().try_for_each(|plugin| filter_by(*plugin, state, pod, node))
}

fn filter_by(plugin: Plugin, state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
    match plugin {
        Plugin::NodeUnschedulable => node::unschedulable(pod, node),
        Plugin::NodeName => node::name(pod, node),
        Plugin::TaintToleration => node::taints(pod, node),
        Plugin::NodeAffinity => node::affinity(state, pod, node),
        Plugin::NodePorts => node::ports(pod, node),
        Plugin::NodeResourcesFit => node::resources(state, pod, node),
        Plugin::VolumeRestrictions => volumes::restrictions(state, pod, node),
        Plugin::NodeVolumeLimits => volumes::limits(state, node),
        Plugin::VolumeBinding => volumes::binding(state, node),
        Plugin::VolumeZone => volumes::zone(state, node),
        Plugin::PodTopologySpread => spread::filter(&state.spread, pod, node),
        Plugin::InterPodAffinity => inter_pod::filter(&state.inter_pod, pod, node),
        Plugin::DynamicResources => devices::filter(state, pod, node),
        Plugin::SchedulingGates
        | Plugin::PrioritySort
        | Plugin::DefaultPreemption
        | Plugin::NodeResourcesBalancedAllocation
        | Plugin::ImageLocality
        | Plugin::DefaultBinder => Ok(()),
    }
}

/// What one plugin gives to each of some nodes, in their order: 0 to 100, without its weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scored {
    pub(crate) plugin: Plugin,
    pub(crate) weight: i64,
    pub(crate) scores: Vec<i64>,
}

/// The scores of `nodes` by each plugin that tells them apart for the pod, or could.
pub(crate) fn scores(
    cluster: &Cluster,
    state: &CycleState,
    pod: &PodInfo,
    nodes: &[&NodeInfo],
) -> Vec<Scored> {
    let scored = state.profile.scores.iter().filter_map(|(plugin, weight)| {
        let scores = score_by(*plugin, cluster, state, pod, nodes)?;
        Some(Scored { plugin: *plugin, weight: *weight, scores })
    });
    scored.collect()
}

/// The weighted sums.
pub(crate) fn totals(scored: &[Scored], nodes: usize) -> Vec<i64> {
    let mut totals = vec![0; nodes];
    for one in scored {
        for (total, score) in totals.iter_mut().zip(&one.scores) {
            *total += one.weight * score;
        }
    }
    totals
}

/// None when the plugin has nothing to do with the pod.
fn score_by(
    plugin: Plugin,
    cluster: &Cluster,
    state: &CycleState,
    pod: &PodInfo,
    nodes: &[&NodeInfo],
) -> Option<Vec<i64>> {
    let args = &state.profile.args;
    match plugin {
        Plugin::TaintToleration => {
            let counts = nodes.iter().map(|node| node::intolerable_preferences(pod, node)).collect();
            Some(normalized(counts, Direction::LessIsBetter))
        }
        Plugin::NodeAffinity => {
            if pod.preferred_node_affinity.is_empty() && args.added_affinity.preferred.is_empty() {
                return None;
            }
            let sums = nodes.iter().map(|node| node::preferred_affinity(&args.added_affinity, pod, node));
            Some(normalized(sums.collect(), Direction::MoreIsBetter))
        }
        Plugin::NodeResourcesFit => {
            Some(nodes.iter().map(|node| resource_scores::fit(&args.fit, pod, node)).collect())
        }
        Plugin::NodeResourcesBalancedAllocation => {
            if resource_scores::asks_for_nothing(&args.balanced, pod) {
                return None;
            }
            Some(nodes.iter().map(|node| resource_scores::balanced(&args.balanced, pod, node)).collect())
        }
        Plugin::ImageLocality => Some(resource_scores::image_locality(cluster, pod, nodes)),
        Plugin::PodTopologySpread => spread_scores::scores(cluster, &args.spread, pod, nodes),
        Plugin::InterPodAffinity => inter_pod::scores(cluster, args.inter_pod, pod, nodes),
        Plugin::DynamicResources => {
            Some(normalized(state.devices.scores(pod, nodes)?, Direction::MoreIsBetter))
        }
        // Storage capacity is not scored, as with upstream's default gates.
        _ => None,
    }
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
