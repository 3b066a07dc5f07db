//! One node as it would be with other pods on it, and what the plugins would say then.

use crate::cluster::Cluster;
use crate::node_info::NodeInfo;
use crate::plugins::{self, CycleState, Rejection};
use crate::pod_info::PodInfo;

/// A copy of a node, and of what was worked out for `pod` over all nodes: changes to the one are counted in the other,
/// so that the rest of the cluster need not be copied or looked at again.
#[derive(Clone)]
pub(crate) struct Trial<'a> {
    cluster: &'a Cluster,
    pod: &'a PodInfo,
    state: CycleState,
    node: NodeInfo,
}

impl<'a> Trial<'a> {
    /// `state` is that of `pod` in `cluster`, to which `node` belongs.
    pub(crate) fn new(cluster: &'a Cluster, pod: &'a PodInfo, state: &CycleState, node: &NodeInfo) -> Self {
        Self { cluster, pod, state: state.clone(), node: node.clone() }
    }

    pub(crate) fn change(&mut self, change: impl FnOnce(&mut NodeInfo)) {
        self.state.forget_node(self.cluster, self.pod, &self.node);
        change(&mut self.node);
        self.state.count_node(self.cluster, self.pod, &self.node);
    }

    /// Whether the pod fits, with and without the pods for which room is kept there: they may come or not.
    pub(crate) fn fits(&self) -> Result<(), Rejection> {
        let nominated = self.cluster.nominated_on(&self.node, self.pod);
        if !nominated.is_empty() {
            let mut fuller = self.clone();
            fuller.change(|node| nominated.into_iter().for_each(|pod| node.add_pod(pod)));
            plugins::filter(&fuller.state, self.pod, &fuller.node)?;
        }
        plugins::filter(&self.state, self.pod, &self.node)
    }
}

/// As [`Trial::fits`] of the node as it is.
pub(crate) fn fits(
    cluster: &Cluster,
    pod: &PodInfo,
    state: &CycleState,
    node: &NodeInfo,
) -> Result<(), Rejection> {
    if cluster.nominated_on(node, pod).is_empty() {
        return plugins::filter(state, pod, node);
    }
    Trial::new(cluster, pod, state, node).fits()
}
