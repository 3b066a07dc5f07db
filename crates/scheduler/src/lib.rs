//! The scheduler: a pure decision over a snapshot, and the loop around it.
//!
//! * [`Cluster`] is what the decision sees: nodes, the pods on them, sums per node. One writer keeps it current.
//! * [`Profile`] says how: plugins in their order, weights, arguments. [`Configuration`] is all profiles, read from a
//!   KubeSchedulerConfiguration; the default is upstream's.
//! * [`schedule()`] is the decision, a pure function of snapshot, profile and pod: filters, then scores, in the order and
//!   with the words of upstream's plugins. [`explain()`] shows all that it is made of, for every node.
//! * [`Scheduler`] feeds it from informers, keeps the queue (priority, backoff, gates, what each waiting pod waits for),
//!   assumes what was decided and binds it through the binding subresource.
//!
//! The plugins are functions over parsed pods and nodes, not trait objects: the set is fixed and the inner loop is hot.
//! Deliberately absent: extenders, plugins of other makers.

mod affinity;
mod binding;
mod cluster;
mod config;
mod dra;
mod explain;
mod failure;
mod fit_error;
mod groups;
mod hints;
mod node_info;
mod plugin;
mod plugins;
mod pod_info;
mod preemption;
mod profile;
#[cfg(test)]
mod profile_tests;
mod queue;
mod resources;
mod schedule;
mod scheduler;
#[cfg(test)]
mod tests;
mod trial;
mod volumes;

pub use cluster::Cluster;
pub use dra::{ClaimBinding, DeviceKind, Devices, Reservation};
pub use explain::{Explanation, NodeVerdict, NotExplained, Score, Verdict, explain};
pub use fit_error::FitError;
pub use groups::Groups;
pub use node_info::NodeInfo;
pub use plugin::{Plugin, Point};
pub use pod_info::PodInfo;
pub use profile::{Configuration, DEFAULT_SCHEDULER, Profile};
pub use resources::Resources;
pub use schedule::{Placement, schedule};
pub use scheduler::{Scheduler, SchedulerConfig};
pub use volumes::{Binding, Storage, Volumes};
