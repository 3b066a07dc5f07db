//! A pod, with what scheduling asks about it parsed once.

use std::sync::Arc;

use drydock_machinery::selector::Selector;
use drydock_machinery::{Key, Object, ObjectMeta, Value};

use crate::affinity::{NodeTerm, PodTerm, RequiredNodeAffinity, compiled};
use crate::resources::{Resources, pod_requests, pod_requests_for_scoring};

/// What affects others or is asked more than once. Pods without affinity, spreading or ports are small.
#[derive(Clone, Debug)]
pub struct PodInfo {
    pub object: Arc<Object>,
    pub requests: Resources,
    pub scoring_requests: Resources,
    pub priority: i64,
    pub host_ports: Vec<HostPort>,
    pub tolerations: Vec<Toleration>,
    pub required_node_affinity: RequiredNodeAffinity,
    pub preferred_node_affinity: Vec<(i64, NodeTerm)>,
    pub required_affinity: Vec<PodTerm>,
    pub required_anti_affinity: Vec<PodTerm>,
    pub preferred_affinity: Vec<PodTerm>,
    pub preferred_anti_affinity: Vec<PodTerm>,
    pub spread: Vec<SpreadConstraint>,
    pub controller: Option<Key>,
}

/// A port of the node that a container takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    pub ip: String,
    pub protocol: String,
    pub port: i64,
}

impl HostPort {
    /// On the same address, or one of them on all.
    pub fn conflicts_with(&self, other: &Self) -> bool {
        let any = |ip: &str| matches!(ip, "" | "0.0.0.0" | "::");
        self.port == other.port
            && self.protocol == other.protocol
            && (any(&self.ip) || any(&other.ip) || self.ip == other.ip)
    }
}

#[derive(Clone, Debug)]
pub struct Toleration {
    key: String,
    operator: String,
    value: String,
    effect: String,
}

impl Toleration {
    pub fn new(value: &Value) -> Self {
        let text = |key| value.str_at(&[key]).to_owned();
        Self { key: text("key"), operator: text("operator"), value: text("value"), effect: text("effect") }
    }

    pub fn tolerates(&self, taint: &Taint) -> bool {
        let effect = self.effect.is_empty() || self.effect == taint.effect;
        let key = self.key.is_empty() || self.key == taint.key;
        let number = |text: &str| text.parse::<i64>().ok();
        effect
            && key
            && match self.operator.as_str() {
                "" | "Equal" => self.value == taint.value && !self.key.is_empty(),
                "Exists" => true,
                "Gt" => number(&taint.value).zip(number(&self.value)).is_some_and(|(taint, own)| taint > own),
                "Lt" => number(&taint.value).zip(number(&self.value)).is_some_and(|(taint, own)| taint < own),
                _ => false,
            }
    }

    /// Whether it is about PreferNoSchedule at all.
    pub fn is_about_preference(&self) -> bool {
        self.effect.is_empty() || self.effect == "PreferNoSchedule"
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taint {
    pub key: String,
    pub value: String,
    pub effect: String,
}

impl Taint {
    pub fn new(value: &Value) -> Self {
        let text = |key| value.str_at(&[key]).to_owned();
        Self { key: text("key"), value: text("value"), effect: text("effect") }
    }
}

/// A `TopologySpreadConstraint`.
#[derive(Clone, Debug)]
pub struct SpreadConstraint {
    pub topology_key: String,
    pub max_skew: i64,
    pub min_domains: i64,
    /// DoNotSchedule.
    pub hard: bool,
    pub selector: Selector,
    pub honor_affinity: bool,
    pub honor_taints: bool,
}

impl SpreadConstraint {
    /// Of the pods that the incoming one belongs together with.
    pub(crate) fn soft(topology_key: &str, max_skew: i64) -> Self {
        Self {
            topology_key: topology_key.to_owned(),
            max_skew,
            min_domains: 1,
            hard: false,
            selector: Selector::nothing(),
            honor_affinity: true,
            honor_taints: false,
        }
    }
}

impl PodInfo {
    /// The constraints of its spreading that must hold.
    pub(crate) fn hard_spread(&self) -> impl Iterator<Item = &SpreadConstraint> {
        self.spread.iter().filter(|constraint| constraint.hard)
    }

    pub fn new(object: Arc<Object>) -> Self {
        let pod = object.value();
        let affinity = |path: [&str; 2]| pod.array_at(&["spec", "affinity", path[0], path[1]]);
        let required = |kind| {
            let terms = affinity([kind, "requiredDuringSchedulingIgnoredDuringExecution"]).iter();
            terms.map(|term| PodTerm::parse(term, pod, 1)).collect()
        };
        let preferred = |kind| {
            let terms = affinity([kind, "preferredDuringSchedulingIgnoredDuringExecution"]).iter();
            let weight = |term: &Value| term.i64_at(&["weight"]).unwrap_or(0);
            terms
                .filter_map(|term| Some(PodTerm::parse(term.get("podAffinityTerm")?, pod, weight(term))))
                .collect()
        };
        let preferred_nodes = affinity(["nodeAffinity", "preferredDuringSchedulingIgnoredDuringExecution"]);
        Self {
            requests: pod_requests(pod),
            scoring_requests: pod_requests_for_scoring(pod),
            priority: pod.i64_at(&["spec", "priority"]).unwrap_or(0),
            host_ports: host_ports(pod),
            tolerations: pod.array_at(&["spec", "tolerations"]).iter().map(Toleration::new).collect(),
            required_node_affinity: RequiredNodeAffinity::of(pod),
            preferred_node_affinity: preferred_nodes
                .iter()
                .filter_map(|term| {
                    Some((term.i64_at(&["weight"])?, NodeTerm::parse(term.get("preference")?)))
                })
                .collect(),
            required_affinity: required("podAffinity"),
            required_anti_affinity: required("podAntiAffinity"),
            preferred_affinity: preferred("podAffinity"),
            preferred_anti_affinity: preferred("podAntiAffinity"),
            spread: spread_constraints(pod),
            controller: pod.controller_ref().map(|owner| owner.str_at(&["uid"]).into()),
            object,
        }
    }

    pub fn node_name(&self) -> &str {
        self.object.str_at(&["spec", "nodeName"])
    }

    pub fn has_affinity(&self) -> bool {
        let lists = [
            &self.required_affinity,
            &self.required_anti_affinity,
            &self.preferred_affinity,
            &self.preferred_anti_affinity,
        ];
        lists.iter().any(|list| !list.is_empty())
    }

    pub fn tolerates(&self, taint: &Taint) -> bool {
        self.tolerations.iter().any(|toleration| toleration.tolerates(taint))
    }
}

fn host_ports(pod: &Value) -> Vec<HostPort> {
    let sidecars = pod.array_at(&["spec", "initContainers"]).iter();
    let sidecars = sidecars.filter(|container| container.str_at(&["restartPolicy"]) == "Always");
    let containers = pod.array_at(&["spec", "containers"]).iter().chain(sidecars);
    let ports = containers.flat_map(|container| container.array_at(&["ports"]));
    ports
        .filter_map(|port| {
            let number = port.i64_at(&["hostPort"]).filter(|number| *number > 0)?;
            let protocol = match port.str_at(&["protocol"]) {
                "" => "TCP",
                protocol => protocol,
            };
            Some(HostPort {
                ip: port.str_at(&["hostIP"]).to_owned(),
                protocol: protocol.to_owned(),
                port: number,
            })
        })
        .collect()
}

fn spread_constraints(pod: &Value) -> Vec<SpreadConstraint> {
    let constraints = pod.array_at(&["spec", "topologySpreadConstraints"]).iter();
    constraints
        .map(|constraint| SpreadConstraint {
            topology_key: constraint.str_at(&["topologyKey"]).to_owned(),
            max_skew: constraint.i64_at(&["maxSkew"]).unwrap_or(1),
            min_domains: constraint.i64_at(&["minDomains"]).unwrap_or(1),
            hard: constraint.str_at(&["whenUnsatisfiable"]) != "ScheduleAnyway",
            selector: spread_selector(constraint, pod),
            honor_affinity: constraint.str_at(&["nodeAffinityPolicy"]) != "Ignore",
            honor_taints: constraint.str_at(&["nodeTaintsPolicy"]) == "Honor",
        })
        .collect()
}

/// The selector, and for each of `matchLabelKeys` the pod's own value.
fn spread_selector(constraint: &Value, pod: &Value) -> Selector {
    let mut selector = constraint.get("labelSelector").cloned().unwrap_or_default();
    for key in constraint.array_at(&["matchLabelKeys"]).iter().filter_map(Value::as_str) {
        if let Some(value) = pod.label(key) {
            selector.set(&["matchLabels", key], value);
        }
    }
    compiled(Some(&selector))
}
