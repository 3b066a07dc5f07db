//! DefaultPreemption: whom to push out for a pod of higher priority.

use std::sync::Arc;

use drydock_machinery::ObjectMeta;

use crate::cluster::Cluster;
use crate::fit_error::{FitError, histogram};
use crate::node_info::NodeInfo;
use crate::plugins::{self, CycleState};
use crate::pod_info::PodInfo;

/// Where the pod would fit, and who has to go for that.
#[derive(Clone, Debug)]
pub(crate) struct Preemption {
    pub(crate) node: String,
    pub(crate) victims: Vec<Arc<PodInfo>>,
}

/// Finds the node whose victims are missed least.
///
/// # Errors
/// What the FailedScheduling message says about the attempt.
pub(crate) fn preempt(cluster: &Cluster, pod: &PodInfo, fit: &FitError) -> Result<Preemption, String> {
    if fit.pre_filter.is_some() {
        // Upstream's attempt ends where it misses the state of the plugins that were not asked any more.
        return Err("not found".to_owned());
    }
    if pod.object.str_at(&["spec", "preemptionPolicy"]) == "Never" {
        return Err(told("not eligible due to preemptionPolicy=Never."));
    }
    let mut reasons = Vec::new();
    let mut candidates = Vec::new();
    for (name, rejection) in &fit.rejections {
        let node = cluster.node(name).filter(|_| !rejection.unresolvable);
        let Some(node) = node else {
            reasons.push("Preemption is not helpful for scheduling");
            continue;
        };
        match victims_on(cluster, pod, node) {
            Some(victims) => candidates.push(Preemption { node: name.clone(), victims }),
            None => reasons.push("No preemption victims found for incoming pod"),
        }
    }
    candidates
        .into_iter()
        .min_by_key(cost)
        .ok_or_else(|| told(&format!("0/{} nodes are available: {}.", fit.nodes, histogram(reasons))))
}

/// Dynamic resource allocation speaks first, as upstream's plugins do.
fn told(what: &str) -> String {
    format!("no new claims to deallocate, preemption: {what}")
}

/// Highest priority among the victims, their sum, their number.
fn cost(preemption: &Preemption) -> (i64, i64, usize) {
    let priorities = || preemption.victims.iter().map(|victim| victim.priority);
    let offset = i64::from(i32::MAX) + 1;
    let sum = priorities().map(|priority| priority + offset).sum();
    (priorities().max().unwrap_or(i64::MIN), sum, preemption.victims.len())
}

/// The fewest pods of lower priority without which the pod fits on the node; None when it does not fit without all.
fn victims_on(cluster: &Cluster, pod: &PodInfo, node: &NodeInfo) -> Option<Vec<Arc<PodInfo>>> {
    let mut lower: Vec<Arc<PodInfo>> =
        node.pods.values().filter(|other| other.priority < pod.priority).cloned().collect();
    if lower.is_empty() {
        return None;
    }
    let mut trial = cluster.trial(node, pod);
    for victim in &lower {
        trial.remove_pod(victim.object.uid());
    }
    if !fits(&trial, pod, node.name()) {
        return None;
    }
    // The most important and longest running are spared first.
    lower.sort_by(|a, b| {
        let started = |pod: &PodInfo| pod.object.str_at(&["status", "startTime"]).to_owned();
        b.priority.cmp(&a.priority).then_with(|| started(a).cmp(&started(b)))
    });
    let mut victims = Vec::new();
    for candidate in lower {
        trial.add_pod(node.name(), candidate.clone());
        if !fits(&trial, pod, node.name()) {
            trial.remove_pod(candidate.object.uid());
            victims.push(candidate);
        }
    }
    (!victims.is_empty()).then_some(victims)
}

fn fits(cluster: &Cluster, pod: &PodInfo, node: &str) -> bool {
    let state = CycleState::new(cluster, pod);
    cluster.node(node).is_some_and(|node| plugins::filter(&state, pod, node).is_ok())
}
