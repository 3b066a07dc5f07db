//! Node agents: simulated kubelets on a timer wheel.
//!
//! A [`NodeAgents`] plays the kubelets of a tenant's nodes. A node is a few hundred bytes and a timer entry, not a task:
//! 10,000 of them are cheap. A kubelet registers its Node, keeps its lease and status alive (volatile writes), and takes
//! the pods bound to it through a believable life.
//!
//! What a pod does next is a pure function of the pod as the API server has it (`plan`), so nothing is lost when the
//! service restarts, and an idle pod costs nothing here. Deliberately absent: images and real processes; what `exec` finds in a
//! simulated container is said in `container`. Pods of pools whose kubelets
//! are real never come here, since their nodes are not added.

mod agents;
mod behaviour;
mod container;
mod dialer;
mod ip;
mod kubelet;
mod log_reader;
mod logs;
mod perform;
mod plan;
mod registration;
mod seed;
mod spec;
mod status;
#[cfg(test)]
mod tests;
mod wheel;

pub use agents::{NodeAgents, NodeAgentsConfig};
pub use spec::{NodeInfo, NodeSpec, Taint};
