//! Which plugins may judge differently of a waiting pod after a change: upstream's queueing hints.
//!
//! Each answer is a set of plugins' bits. [`ANY`] is in all of them, for pods that wait for whatever comes.

use drydock_machinery::ObjectMeta;

use crate::affinity::PodTerm;
use crate::node_info::NodeInfo;
use crate::plugin::Plugin;
use crate::plugins::fits_when_empty;
use crate::pod_info::PodInfo;
use crate::profile::Profile;

/// Set in every answer; pods wait for it that no plugin has refused.
pub(crate) const ANY: u32 = 1 << 31;

fn when(condition: bool, plugin: Plugin) -> u32 {
    if condition { plugin.bit() } else { 0 }
}

/// A pod came to a node.
pub(crate) fn pod_added(added: &PodInfo, waiting: &PodInfo) -> u32 {
    ANY | when(is_counted_by(added, waiting), Plugin::PodTopologySpread)
        | when(matches_all(&waiting.required_affinity, added), Plugin::InterPodAffinity)
}

/// A pod on a node was changed.
pub(crate) fn pod_updated(old: &PodInfo, new: &PodInfo, waiting: &PodInfo) -> u32 {
    let fit = when(asks_for_less(old, new, waiting), Plugin::NodeResourcesFit);
    if old.object.labels() == new.object.labels() {
        return fit;
    }
    let mut constraints = waiting.hard_spread();
    let counts_differently = new.object.namespace() == waiting.object.namespace()
        && (spreads_by_default(waiting)
            || constraints.any(|one| {
                one.selector.matches(old.object.labels()) != one.selector.matches(new.object.labels())
            }));
    let (affinity, anti) = (&waiting.required_affinity, &waiting.required_anti_affinity);
    let helps = (!matches_all(affinity, old) && matches_all(affinity, new))
        || (matches_all(anti, old) && !matches_all(anti, new));
    ANY | fit | when(counts_differently, Plugin::PodTopologySpread) | when(helps, Plugin::InterPodAffinity)
}

/// A pod left its node.
pub(crate) fn pod_gone(gone: &PodInfo, waiting: &PodInfo) -> u32 {
    let ports =
        gone.host_ports.iter().any(|own| waiting.host_ports.iter().any(|port| port.conflicts_with(own)));
    let volumes = !gone.object.array_at(&["spec", "volumes"]).is_empty();
    let avoided = matches_all(&waiting.required_anti_affinity, gone)
        || matches_all(&gone.required_anti_affinity, waiting);
    ANY | Plugin::NodeResourcesFit.bit()
        | when(ports, Plugin::NodePorts)
        | when(volumes, Plugin::VolumeRestrictions)
        | when(volumes, Plugin::NodeVolumeLimits)
        | when(is_counted_by(gone, waiting), Plugin::PodTopologySpread)
        | when(avoided, Plugin::InterPodAffinity)
}

/// A node came. `node` is without pods.
pub(crate) fn node_added(node: &NodeInfo, profile: &Profile, waiting: &PodInfo) -> u32 {
    let mut terms = waiting.required_affinity.iter();
    let near = terms.any(|term| node.node.label(&term.topology_key).is_some())
        || !waiting.required_anti_affinity.is_empty();
    let always = [
        Plugin::NodeName,
        Plugin::NodePorts,
        Plugin::VolumeRestrictions,
        Plugin::VolumeBinding,
        Plugin::VolumeZone,
        Plugin::DynamicResources,
    ];
    always.into_iter().fold(ANY, |all, plugin| all | plugin.bit())
        | when(!node.unschedulable, Plugin::NodeUnschedulable)
        | when(is_tolerated(node, waiting), Plugin::TaintToleration)
        | when(is_near(node, profile, waiting), Plugin::NodeAffinity)
        | when(fits_when_empty(profile, waiting, node), Plugin::NodeResourcesFit)
        | when(has_topologies(node, waiting), Plugin::PodTopologySpread)
        | when(near, Plugin::InterPodAffinity)
}

/// A node was changed. Both versions are without pods.
pub(crate) fn node_updated(old: &NodeInfo, new: &NodeInfo, profile: &Profile, waiting: &PodInfo) -> u32 {
    let differs = |path: &[&str]| old.node.at(path) != new.node.at(path);
    let labels = differs(&["metadata", "labels"]);
    let allocatable = differs(&["status", "allocatable"]);
    let near = !is_near(old, profile, waiting) && is_near(new, profile, waiting);
    let (had, has) = (has_topologies(old, waiting), has_topologies(new, waiting));
    let mut constraints = waiting.hard_spread();
    let moved = constraints.any(|one| old.node.label(&one.topology_key) != new.node.label(&one.topology_key));
    let spread =
        had != has || (has && (moved || old.taints != new.taints)) || (spreads_by_default(waiting) && labels);
    ANY | when(old.unschedulable && !new.unschedulable, Plugin::NodeUnschedulable)
        | when(!is_tolerated(old, waiting) && is_tolerated(new, waiting), Plugin::TaintToleration)
        | when(near, Plugin::NodeAffinity)
        | when(allocatable && offers_more(old, new, profile, waiting), Plugin::NodeResourcesFit)
        | when(labels, Plugin::VolumeBinding)
        | when(labels, Plugin::VolumeZone)
        | when(spread, Plugin::PodTopologySpread)
        | when(labels && moves_near(old, new, waiting), Plugin::InterPodAffinity)
        | when(labels || allocatable, Plugin::DynamicResources)
}

/// A node went.
pub(crate) fn node_gone(node: &NodeInfo, waiting: &PodInfo) -> u32 {
    ANY | when(has_topologies(node, waiting), Plugin::PodTopologySpread)
}

/// Whether a hard constraint of the waiting pod counts the pod.
fn is_counted_by(pod: &PodInfo, waiting: &PodInfo) -> bool {
    let mut constraints = waiting.hard_spread();
    pod.object.namespace() == waiting.object.namespace()
        && (spreads_by_default(waiting) || constraints.any(|one| one.selector.matches(pod.object.labels())))
}

/// Whether it can only be constraints of its profile that spread the pod: whom these count is not looked up here.
fn spreads_by_default(waiting: &PodInfo) -> bool {
    waiting.spread.is_empty()
}

/// Whether the node is one that the affinities of the pod and of its profile ask for.
fn is_near(node: &NodeInfo, profile: &Profile, waiting: &PodInfo) -> bool {
    waiting.required_node_affinity.matches(&node.node) && profile.args.added_affinity.admits(&node.node)
}

fn matches_all(terms: &[PodTerm], pod: &PodInfo) -> bool {
    !terms.is_empty() && terms.iter().all(|term| term.matches(&pod.object, None))
}

fn asks_for_less(old: &PodInfo, new: &PodInfo, waiting: &PodInfo) -> bool {
    old.requests.exceeds(&new.requests, &waiting.requests)
}

fn offers_more(old: &NodeInfo, new: &NodeInfo, profile: &Profile, waiting: &PodInfo) -> bool {
    let more =
        new.allowed_pods > old.allowed_pods || new.allocatable.exceeds(&old.allocatable, &waiting.requests);
    more && fits_when_empty(profile, waiting, new)
}

fn is_tolerated(node: &NodeInfo, waiting: &PodInfo) -> bool {
    let mut hard =
        node.taints.iter().filter(|taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute"));
    hard.all(|taint| waiting.tolerates(taint))
}

fn has_topologies(node: &NodeInfo, waiting: &PodInfo) -> bool {
    let mut constraints = waiting.hard_spread();
    constraints.all(|one| node.node.label(&one.topology_key).is_some())
}

/// Whether the node got into another domain of an affinity term, or out of one of an anti-affinity term.
fn moves_near(old: &NodeInfo, new: &NodeInfo, waiting: &PodInfo) -> bool {
    let domains = |term: &PodTerm| (old.node.label(&term.topology_key), new.node.label(&term.topology_key));
    let moves = |term: &PodTerm| matches!(domains(term), (Some(from), Some(to)) if from != to);
    waiting.required_affinity.iter().any(|term| moves(term) || matches!(domains(term), (None, Some(_))))
        || waiting
            .required_anti_affinity
            .iter()
            .any(|term| moves(term) || matches!(domains(term), (Some(_), None)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use drydock_machinery::{Object, Value, value};

    use super::*;

    fn node(cpu: &str) -> NodeInfo {
        let node = value!({
            "metadata": {"name": "a", "labels": {"zone": "z"}},
            "status": {"allocatable": {"cpu": cpu, "pods": "10"}},
        });
        NodeInfo::new(Arc::new(Object::new(node, 1)))
    }

    fn pod(spec: Value) -> PodInfo {
        let pod = value!({"metadata": {"name": "p", "namespace": "d", "labels": {"app": "x"}}, "spec": spec});
        PodInfo::new(Arc::new(Object::new(pod, 1)))
    }

    fn asking(cpu: &str) -> PodInfo {
        pod(value!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}))
    }

    fn has(answer: u32, plugin: Plugin) -> bool {
        answer & plugin.bit() != 0
    }

    #[test]
    fn a_node_that_is_too_small_helps_nobody() {
        let profile = Profile::default();
        let added = |node: &NodeInfo, pod: &PodInfo| node_added(node, &profile, pod);
        let updated = |old: &NodeInfo, new: &NodeInfo, pod: &PodInfo| node_updated(old, new, &profile, pod);
        assert!(has(added(&node("2"), &asking("1")), Plugin::NodeResourcesFit));
        assert!(!has(added(&node("1"), &asking("2")), Plugin::NodeResourcesFit));
        assert!(has(updated(&node("1"), &node("2"), &asking("2")), Plugin::NodeResourcesFit));
        assert!(!has(updated(&node("1"), &node("2"), &asking("3")), Plugin::NodeResourcesFit));
    }

    #[test]
    fn only_pods_that_are_counted_or_avoided_matter() {
        let term =
            |app: &str| value!([{"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": app}}}]);
        let avoiding = |app: &str| {
            let mut spec = value!({});
            let path = ["affinity", "podAntiAffinity", "requiredDuringSchedulingIgnoredDuringExecution"];
            spec.set(&path, term(app));
            pod(spec)
        };
        assert!(has(pod_gone(&asking("1"), &avoiding("x")), Plugin::InterPodAffinity));
        assert!(!has(pod_gone(&asking("1"), &avoiding("y")), Plugin::InterPodAffinity));
        assert!(has(pod_gone(&avoiding("x"), &asking("1")), Plugin::InterPodAffinity));
        let spread = pod(value!({"topologySpreadConstraints": [{
            "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "x"}},
        }]}));
        assert!(has(pod_added(&asking("1"), &spread), Plugin::PodTopologySpread));
        assert!(!has(pod_added(&asking("1"), &avoiding("x")), Plugin::InterPodAffinity));
        let deleting = asking("1");
        assert_eq!(pod_updated(&asking("1"), &deleting, &spread), 0, "nothing that counts has changed");
    }
}
