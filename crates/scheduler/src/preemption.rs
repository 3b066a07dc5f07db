//! DefaultPreemption: whom to push out for a pod of higher priority.

use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

use drydock_machinery::ObjectMeta;

use crate::cluster::Cluster;
use crate::fit_error::{FitError, histogram};
use crate::node_info::NodeInfo;
use crate::plugin::{Plugin, Point};
use crate::plugins::{CycleState, Rejection};
use crate::pod_info::PodInfo;
use crate::profile::Profile;
use crate::trial::Trial;

/// Where the pod would fit, and who has to go for that.
#[derive(Clone, Debug)]
pub(crate) struct Preemption {
    pub(crate) node: String,
    /// The most important first.
    pub(crate) victims: Vec<Arc<PodInfo>>,
    /// How many of them disruption budgets would keep.
    violations: usize,
}

/// Nobody is pushed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoPreemption {
    /// What the FailedScheduling message says about the attempt.
    pub(crate) told: String,
    /// No node would do: room that was kept for the pod somewhere is of no use to it any more.
    pub(crate) hopeless: bool,
}

const NOT_HELPFUL: &str = "Preemption is not helpful for scheduling";

/// Finds the node whose victims are missed least.
///
/// # Errors
/// Why there is none.
pub(crate) fn preempt(
    cluster: &Cluster,
    profile: &Arc<Profile>,
    pod: &PodInfo,
    fit: &FitError,
) -> Result<Preemption, NoPreemption> {
    let kept = |told: String| NoPreemption { told, hopeless: false };
    if fit.pre_filter.as_ref().is_some_and(|(plugin, _)| *plugin != Plugin::DynamicResources) {
        // Upstream's attempt ends where it misses the state of the plugins that were not asked any more.
        return Err(kept("not found".to_owned()));
    }
    if pod.object.str_at(&["spec", "preemptionPolicy"]) == "Never" {
        return Err(kept(told(profile, fit, "not eligible due to preemptionPolicy=Never.")));
    }
    if waits_for_victims(cluster, pod, fit) {
        return Err(kept(told(profile, fit, "not eligible due to a terminating pod on the nominated node.")));
    }
    let found = match fit.pre_filter {
        Some(_) => Err(vec![NOT_HELPFUL.to_owned(); fit.nodes]),
        None => candidates(cluster, profile, pod, fit),
    };
    found.map_err(|reasons| {
        let reasons = histogram(reasons.iter().map(String::as_str));
        let told = told(profile, fit, &format!("0/{} nodes are available: {reasons}.", fit.nodes));
        NoPreemption { told, hopeless: true }
    })
}

/// The best of enough candidates: by default a tenth of the nodes that may help, but a hundred, and one that spares the
/// budgets.
///
/// # Errors
/// What is against each node.
fn candidates(
    cluster: &Cluster,
    profile: &Arc<Profile>,
    pod: &PodInfo,
    fit: &FitError,
) -> Result<Preemption, Vec<String>> {
    let state = CycleState::new(cluster, profile, pod);
    let resolvable = fit.rejections.iter().filter(|(_, rejection)| !rejection.unresolvable).count();
    let args = profile.args.candidates;
    let wanted = (resolvable * args.percentage / 100).max(args.absolute);
    let mut reasons = Vec::new();
    let mut candidates: Vec<Preemption> = Vec::new();
    for (name, rejection) in &fit.rejections {
        let node = cluster.node(name).filter(|_| !rejection.unresolvable);
        let Some(node) = node else {
            reasons.push(NOT_HELPFUL.to_owned());
            continue;
        };
        match victims_on(cluster, pod, &state, node) {
            Ok(preemption) => candidates.push(preemption),
            Err(against) => reasons.extend(against),
        }
        if candidates.len() >= wanted && candidates.iter().any(|candidate| candidate.violations == 0) {
            break;
        }
    }
    candidates.into_iter().min_by_key(cost).ok_or(reasons)
}

/// Dynamic resource allocation speaks first, as upstream's plugins do.
fn told(profile: &Profile, fit: &FitError, what: &str) -> String {
    match profile.has(Point::PostFilter, Plugin::DynamicResources) {
        true => format!("{}, preemption: {what}", fit.release.told()),
        false => format!("preemption: {what}"),
    }
}

/// Whether pods that the pod has pushed out before are still leaving the node that will be its own.
fn waits_for_victims(cluster: &Cluster, pod: &PodInfo, fit: &FitError) -> bool {
    let nominated = pod.object.str_at(&["status", "nominatedNodeName"]);
    let Some(node) = cluster.node(nominated) else { return false };
    let hopeless = |(name, rejection): &(String, Rejection)| name == nominated && rejection.unresolvable;
    if fit.rejections.iter().any(hopeless) {
        return false;
    }
    node.pods.values().any(|other| other.priority < pod.priority && is_leaving_for_another(other))
}

fn is_leaving_for_another(pod: &PodInfo) -> bool {
    let mut conditions = pod.object.array_at(&["status", "conditions"]).iter();
    pod.object.is_deleting()
        && conditions.any(|condition| {
            condition.str_at(&["type"]) == "DisruptionTarget"
                && condition.str_at(&["status"]) == "True"
                && condition.str_at(&["reason"]) == "PreemptionByScheduler"
        })
}

/// Budgets violated, the victims' highest priority, their sum, their number, and how long the most important have run.
fn cost(preemption: &Preemption) -> (usize, i64, i64, usize, Reverse<String>) {
    let priorities = || preemption.victims.iter().map(|victim| victim.priority);
    let offset = i64::from(i32::MAX) + 1;
    let sum = priorities().map(|priority| priority + offset).sum();
    let highest = priorities().max().unwrap_or(i64::MIN);
    let most_important = preemption.victims.iter().filter(|victim| victim.priority == highest);
    let earliest = most_important.map(|victim| started(victim)).min().unwrap_or_default();
    (preemption.violations, highest, sum, preemption.victims.len(), Reverse(earliest))
}

/// When the pod started, as text that sorts; after every time for one that has not.
fn started(pod: &PodInfo) -> String {
    match pod.object.str_at(&["status", "startTime"]) {
        "" => "~".to_owned(),
        time => time.to_owned(),
    }
}

/// Puts more important pods first: of higher priority, then longer running. Of those that do not run yet, upstream takes
/// each for a little older than the one that it is compared with, so that the last is the most important.
fn sort_by_importance(pods: &mut [Arc<PodInfo>]) {
    let is_before = |a: &PodInfo, b: &PodInfo| match b.priority.cmp(&a.priority) {
        Ordering::Equal => {
            let waits = |pod: &PodInfo| pod.object.str_at(&["status", "startTime"]).is_empty();
            waits(a) && waits(b) || started(a) < started(b)
        }
        order => order.is_lt(),
    };
    for i in 1..pods.len() {
        let mut at = i;
        while at > 0 && is_before(&pods[at], &pods[at - 1]) {
            pods.swap(at, at - 1);
            at -= 1;
        }
    }
}

/// The fewest pods of lower priority without which the pod fits on the node. Those that disruption budgets keep are
/// spared first, then the most important.
///
/// # Errors
/// What is against the node even without them.
fn victims_on(
    cluster: &Cluster,
    pod: &PodInfo,
    state: &CycleState,
    node: &NodeInfo,
) -> Result<Preemption, Vec<String>> {
    let mut lower: Vec<Arc<PodInfo>> =
        node.pods.values().filter(|other| other.priority < pod.priority).cloned().collect();
    if lower.is_empty() {
        return Err(vec!["No preemption victims found for incoming pod".to_owned()]);
    }
    let mut trial = Trial::new(cluster, pod, state, node);
    trial.change(|node| {
        for victim in &lower {
            node.remove_pod(victim.object.uid());
        }
    });
    trial.fits().map_err(|rejection| rejection.reasons)?;
    sort_by_importance(&mut lower);
    let (kept, free) = cluster.kept_by_budgets(lower);
    let mut victims = Vec::new();
    let mut violations = 0;
    let kept = kept.into_iter().map(|victim| (victim, true));
    for (candidate, violates) in kept.chain(free.into_iter().map(|victim| (victim, false))) {
        trial.change(|node| node.add_pod(candidate.clone()));
        if trial.fits().is_err() {
            trial.change(|node| drop(node.remove_pod(candidate.object.uid())));
            victims.push(candidate);
            violations += usize::from(violates);
        }
    }
    if victims.is_empty() {
        return Err(vec![format!("expected at least one victim pod on node {:?}", node.name())]);
    }
    if violations > 0 && violations < victims.len() {
        sort_by_importance(&mut victims);
    }
    Ok(Preemption { node: node.name().to_owned(), victims, violations })
}
