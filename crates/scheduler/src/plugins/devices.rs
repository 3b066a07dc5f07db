//! DynamicResources.

use super::{CycleState, Rejection};
use crate::dra::Refusal;
use crate::node_info::NodeInfo;
use crate::plugin::Plugin;
use crate::pod_info::PodInfo;

/// Whether the node has, or reaches, devices for the pod's claims.
pub(super) fn filter(state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
    state.devices.filter(pod, node).map_err(|refusal| match refusal {
        Refusal::Node(reason) => Rejection::unresolvable(Plugin::DynamicResources, &reason),
        Refusal::Error(error) => Rejection {
            is_error: true,
            ..Rejection::new(
                Plugin::DynamicResources,
                &format!("running \"DynamicResources\" filter plugin: {error}"),
            )
        },
    })
}
