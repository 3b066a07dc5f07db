//! Why a pod is where it is, or nowhere: the decision over all nodes, with all that it is made of.

use std::sync::Arc;

use drydock_machinery::{Object, ObjectMeta};

use crate::cluster::Cluster;
use crate::fit_error::FitError;
use crate::node_info::NodeInfo;
use crate::plugin::{Plugin, Point};
use crate::plugins::{self, CycleState, Rejection};
use crate::pod_info::PodInfo;
use crate::profile::{Profile, scheduler_name};
use crate::schedule::{named, verdict};
use crate::scheduler::{Scheduler, is_finished};

/// What a profile makes of a pod.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The profile.
    pub profile: String,
    /// Where the pod is; "" where it has no node.
    pub node: String,
    /// What keeps the pod from being tried at all, and which plugin says so.
    pub held: Option<(Plugin, String)>,
    /// Why no node is looked at.
    pub refusal: Option<(Plugin, String)>,
    /// The filters in the order in which they are asked.
    pub filters: Vec<Plugin>,
    /// In the order of their names; none after a refusal.
    pub nodes: Vec<NodeVerdict>,
    /// What the pod's condition would say, but for what preemption would find; "" when a node would do.
    pub message: String,
}

/// What became of one node.
#[derive(Clone, Debug)]
pub struct NodeVerdict {
    pub node: String,
    pub verdict: Verdict,
}

#[derive(Clone, Debug)]
pub enum Verdict {
    /// The first filter that has something against the node, and what. Those before it have nothing.
    Rejected { plugin: Plugin, reasons: Vec<String> },
    /// All filters let it pass.
    Feasible { scores: Vec<Score>, total: i64 },
}

/// What one plugin gives to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Score {
    pub plugin: Plugin,
    /// 0 to 100.
    pub normalized: i64,
    pub weight: i64,
    pub weighted: i64,
}

/// Why nothing is explained.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotExplained {
    #[error("there is no such pod")]
    NoPod,
    #[error("its schedulerName {scheduler_name:?} has no profile in this cluster's scheduler")]
    NoProfile { scheduler_name: String },
    #[error("it cannot be explained; the log says more")]
    Failed,
}

/// Looks at every node, also beyond the number at which [`crate::schedule()`] stops. A pod that has a node is judged as if
/// it was not there.
pub fn explain(cluster: &Cluster, profile: &Arc<Profile>, pod: &Arc<Object>) -> Explanation {
    let without;
    let cluster = match cluster.node_of(pod.uid()) {
        None => cluster,
        Some(_) => {
            let mut copy = cluster.clone();
            copy.remove_pod(pod.uid());
            without = copy;
            &without
        }
    };
    let info = as_pending(pod);
    let state = CycleState::new(cluster, profile, &info);
    let mut out = Explanation {
        profile: profile.name().to_owned(),
        node: pod.str_at(&["spec", "nodeName"]).to_owned(),
        held: cluster.devices().held(profile, pod),
        refusal: state.refusal(),
        filters: profile.at(Point::Filter).to_vec(),
        nodes: Vec::new(),
        message: String::new(),
    };
    let mut fit =
        FitError { nodes: cluster.nodes().len(), pre_filter: out.refusal.clone(), ..FitError::default() };
    if out.refusal.is_none() {
        out.nodes = verdicts(cluster, &state, &info, &mut fit);
    }
    if !out.nodes.iter().any(|one| matches!(one.verdict, Verdict::Feasible { .. })) {
        out.message = fit.to_string();
    }
    out
}

/// The pod as it was before it got its node.
fn as_pending(pod: &Arc<Object>) -> PodInfo {
    if pod.str_at(&["spec", "nodeName"]).is_empty() {
        return PodInfo::new(pod.clone());
    }
    let mut pending = pod.value().clone();
    pending.remove(&["spec", "nodeName"]);
    PodInfo::new(Arc::new(Object::new(pending, 0)))
}

/// What the filters say, and of the nodes that pass what the scores are. Notes in `fit` what is against nodes.
fn verdicts(cluster: &Cluster, state: &CycleState, pod: &PodInfo, fit: &mut FitError) -> Vec<NodeVerdict> {
    let named = named(&state.profile, pod);
    let mut nodes: Vec<&NodeInfo> = cluster.nodes().iter().collect();
    nodes.sort_by_key(|node| node.name().to_owned());
    let outcomes: Vec<Result<(), Rejection>> =
        nodes.iter().map(|node| verdict(cluster, pod, state, named.as_deref(), node)).collect();
    let passing = nodes.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_ok());
    let feasible: Vec<&NodeInfo> = passing.map(|(node, _)| *node).collect();
    let scored = plugins::scores(cluster, state, pod, &feasible);
    let totals = plugins::totals(&scored, feasible.len());
    let mut at = 0;
    let mut out = Vec::new();
    for (node, outcome) in nodes.iter().zip(outcomes) {
        let verdict = match outcome {
            Err(rejection) => {
                let (plugin, reasons) = (rejection.plugin, rejection.reasons.clone());
                if rejection.is_error && fit.error.is_none() {
                    fit.error = rejection.reasons.first().map(|reason| reason.as_str().into());
                }
                fit.rejections.push((node.name().to_owned(), rejection));
                Verdict::Rejected { plugin, reasons }
            }
            Ok(()) => {
                let of_plugin = |one: &plugins::Scored| Score {
                    plugin: one.plugin,
                    normalized: one.scores[at],
                    weight: one.weight,
                    weighted: one.weight * one.scores[at],
                };
                let scores = scored.iter().map(of_plugin).collect();
                at += 1;
                Verdict::Feasible { scores, total: totals[at - 1] }
            }
        };
        out.push(NodeVerdict { node: node.name().to_owned(), verdict });
    }
    out
}

impl Scheduler {
    /// As [`explain()`], of what the scheduler knows now.
    ///
    /// # Errors
    /// When there is no such pod, or it is somebody else's to schedule.
    pub fn explain(&self, namespace: &str, name: &str) -> Result<Explanation, NotExplained> {
        let pod = self.pods.get(namespace, name).ok_or(NotExplained::NoPod)?;
        let (cluster, profile) = {
            let state = self.state.lock();
            (state.cluster.clone(), state.configuration.profile_of(&pod).cloned())
        };
        let no_profile = || NotExplained::NoProfile { scheduler_name: scheduler_name(&pod).to_owned() };
        let profile = profile.ok_or_else(no_profile)?;
        let mut explanation = explain(&cluster, &profile, &pod);
        // One that has its node, or has ended, waits for nothing.
        if is_finished(&pod) || !explanation.node.is_empty() {
            explanation.held = None;
        }
        Ok(explanation)
    }
}
