//! Filters and scores that look at one node alone.

use drydock_machinery::ObjectMeta;

use super::{CycleState, Rejection};
use crate::node_info::NodeInfo;
use crate::plugin::Plugin;
use crate::pod_info::{PodInfo, Taint};
use crate::profile::AddedAffinity;

const UNSCHEDULABLE_TAINT: &str = "node.kubernetes.io/unschedulable";

pub(super) fn unschedulable(pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
    if !node.unschedulable {
        return Ok(());
    }
    let taint =
        Taint { key: UNSCHEDULABLE_TAINT.to_owned(), value: String::new(), effect: "NoSchedule".to_owned() };
    if pod.tolerates(&taint) {
        return Ok(());
    }
    Err(Rejection::unresolvable(Plugin::NodeUnschedulable, "node(s) were unschedulable"))
}

pub(super) fn name(pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
    let wanted = pod.node_name();
    if wanted.is_empty() || wanted == node.node.name() {
        return Ok(());
    }
    Err(Rejection::unresolvable(Plugin::NodeName, "node(s) didn't match the requested node name"))
}

pub(super) fn taints(pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
    let mut hard =
        node.taints.iter().filter(|taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute"));
    if hard.all(|taint| pod.tolerates(taint)) {
        return Ok(());
    }
    Err(Rejection::unresolvable(Plugin::TaintToleration, "node(s) had untolerated taint(s)"))
}

pub(super) fn affinity(state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
    if !state.profile.args.added_affinity.admits(&node.node) {
        let reason = "node(s) didn't match scheduler-enforced node affinity";
        return Err(Rejection::unresolvable(Plugin::NodeAffinity, reason));
    }
    if pod.required_node_affinity.matches(&node.node) {
        return Ok(());
    }
    Err(Rejection::unresolvable(Plugin::NodeAffinity, "node(s) didn't match Pod's node affinity/selector"))
}

pub(super) fn ports(pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
    let taken = |port| node.used_ports.iter().any(|used| used.conflicts_with(port));
    if !pod.host_ports.iter().any(taken) {
        return Ok(());
    }
    Err(Rejection::new(Plugin::NodePorts, "node(s) didn't have free ports for the requested pod ports"))
}

pub(super) fn resources(state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
    let shortages = shortages(pod, node, |resource| {
        state.profile.args.fit.ignores(resource) || state.devices.delegates(resource, node)
    });
    if shortages.is_empty() {
        return Ok(());
    }
    let unresolvable = shortages.iter().any(|shortage| shortage.is_lasting);
    let reasons = shortages.into_iter().map(|shortage| shortage.reason).collect();
    Err(Rejection { plugin: Plugin::NodeResourcesFit, reasons, unresolvable, is_error: false })
}

/// Something of which there is not enough.
pub(super) struct Shortage {
    reason: String,
    /// Not even the empty node has enough.
    is_lasting: bool,
}

/// What the node lacks. Extended resources that are `excepted` it need not have.
pub(super) fn shortages(pod: &PodInfo, node: &NodeInfo, excepted: impl Fn(&str) -> bool) -> Vec<Shortage> {
    let mut shortages = Vec::new();
    if node.pods.len() as i64 + 1 > node.allowed_pods {
        shortages.push(Shortage { reason: "Too many pods".to_owned(), is_lasting: false });
    }
    let (asked, used, have) = (&pod.requests, &node.requested, &node.allocatable);
    let mut check = |name: &str, asked: i64, used: i64, have: i64| {
        if asked > 0 && asked > have - used {
            shortages.push(Shortage { reason: format!("Insufficient {name}"), is_lasting: asked > have });
        }
    };
    check("cpu", asked.milli_cpu, used.milli_cpu, have.milli_cpu);
    check("memory", asked.memory, used.memory, have.memory);
    check("ephemeral-storage", asked.ephemeral_storage, used.ephemeral_storage, have.ephemeral_storage);
    for (name, amount) in asked.scalars.iter().filter(|(name, _)| !excepted(name)) {
        check(name, *amount, used.scalar(name), have.scalar(name));
    }
    shortages
}

/// How many PreferNoSchedule taints the pod does not tolerate.
pub(super) fn intolerable_preferences(pod: &PodInfo, node: &NodeInfo) -> i64 {
    let soft = || pod.tolerations.iter().filter(|toleration| toleration.is_about_preference());
    let taints = node.taints.iter().filter(|taint| taint.effect == "PreferNoSchedule");
    taints.filter(|taint| !soft().any(|toleration| toleration.tolerates(taint))).count() as i64
}

/// The weights of the preferred terms that match, those of the pod and those of its profile.
pub(super) fn preferred_affinity(added: &AddedAffinity, pod: &PodInfo, node: &NodeInfo) -> i64 {
    let terms = pod.preferred_node_affinity.iter().chain(&added.preferred);
    terms.filter(|(_, term)| term.matches(&node.node)).map(|(weight, _)| weight).sum()
}
