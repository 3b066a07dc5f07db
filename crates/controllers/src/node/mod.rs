//! What the controller manager does about nodes: watch their heartbeats, taint them, evict pods from them, give them pod
//! ranges, and clean up after those that are gone.

mod eviction;
mod ipam;
mod labels;
mod lifecycle;
mod pod_gc;
mod taints;
mod ttl;
mod zones;

pub(crate) use eviction::start as start_taint_eviction;
pub(crate) use ipam::start as start_ipam;
pub(crate) use lifecycle::start as start_lifecycle;
pub(crate) use pod_gc::start as start_pod_gc;
pub(crate) use ttl::start as start_ttl;

use drydock_client::Informer;

/// Name of the index of pods by node that [`index_by_node`] adds.
pub(crate) const BY_NODE: &str = "node";

pub(crate) fn index_by_node(pods: &Informer) {
    pods.add_index(BY_NODE, |pod| match pod.str_at(&["spec", "nodeName"]) {
        "" => Vec::new(),
        node => vec![node.into()],
    });
}
