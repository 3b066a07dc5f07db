//! What the plugin works out for one pod.

use std::sync::Arc;

use drydock_machinery::{Object, ObjectMeta, Value};

use super::allocate::{Failure, Problem, Solution, allocate};
use super::allocated::Allocated;
use super::bind::{ClaimBinding, Reservation};
use super::extended::{Extended, NodeRequests};
use super::request::ClaimSpec;
use super::result::allocations;
use super::slice::NodeSelector;
use super::{Devices, is_allocated};
use crate::fit_error::FitError;
use crate::node_info::NodeInfo;
use crate::plugin::Plugin;
use crate::pod_info::PodInfo;

const NOT_HERE: &str = "resourceclaim not available on the node";
/// Alternatives that a request can have.
const MOST_ALTERNATIVES: i64 = 8;

/// Why a node will not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Node(String),
    /// An error, after which no node is looked at any more.
    Error(String),
}

/// A pod's claims, looked up once.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeviceState {
    /// Why no node will do.
    pub(crate) refusal: Option<String>,
    claims: Vec<PodClaim>,
    /// What the claims without allocation ask for, in the claims' order.
    unallocated: Vec<ClaimSpec>,
    /// Stands for extended resources that classes offer.
    extended: Option<Extended>,
    allocated: Allocated,
    devices: Arc<Devices>,
}

#[derive(Clone, Debug)]
struct PodClaim {
    object: Arc<Object>,
    is_allocated: bool,
    /// Where its devices can be reached, if it has some and they are not everywhere.
    nodes: Option<NodeSelector>,
    /// Its devices failed to get ready, or took too long.
    is_lost: bool,
}

/// Devices for a pod on a node.
struct Plan {
    claims: Vec<ClaimSpec>,
    solution: Solution,
    allocations: Vec<Value>,
    extended: Option<NodeRequests>,
}

impl DeviceState {
    pub(crate) fn new(devices: &Arc<Devices>, pod: &PodInfo) -> Self {
        let mut state = Self { devices: devices.clone(), ..Self::default() };
        if let Err(refusal) = state.prepare(pod) {
            // As if the pod had no claims.
            return Self { refusal: Some(refusal), ..Self::default() };
        }
        if state.allocates() {
            state.allocated = devices.allocated();
        }
        state
    }

    fn prepare(&mut self, pod: &PodInfo) -> Result<(), String> {
        let devices = self.devices.clone();
        let claims = devices.claims_of(&pod.object)?;
        self.extended = Extended::new(&devices, pod);
        for claim in claims {
            let is_allocated = is_allocated(&claim);
            if !is_allocated {
                if devices.pending.contains_key(claim.uid()) {
                    return Err(format!(
                        "resource claim {} is in the process of being allocated",
                        claim.key()
                    ));
                }
                let spec = ClaimSpec::new(&claim);
                devices.check_classes(&spec)?;
                self.unallocated.push(spec);
            }
            let selector = claim.at(&["status", "allocation", "nodeSelector"]);
            self.claims.push(PodClaim {
                nodes: selector.filter(|selector| !selector.is_null()).map(NodeSelector::new),
                is_lost: devices.expired.contains(claim.key().as_str()) || has_failed(&claim),
                is_allocated,
                object: claim,
            });
        }
        Ok(())
    }

    fn allocates(&self) -> bool {
        !self.unallocated.is_empty() || self.extended.is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.claims.is_empty() && self.extended.is_none()
    }

    /// Whether the pod's claims are, or can be, satisfied on the node.
    pub(crate) fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Refusal> {
        if self.is_empty() {
            return Ok(());
        }
        self.plan(pod, node)?;
        if self.claims.iter().any(|claim| claim.is_missing_on(&node.node)) {
            return Err(Refusal::Node(NOT_HERE.to_owned()));
        }
        Ok(())
    }

    /// None when nothing has to be allocated there.
    fn plan(&self, pod: &PodInfo, node: &NodeInfo) -> Result<Option<Plan>, Refusal> {
        let extended = match &self.extended {
            Some(extended) => extended.on(&self.devices, pod, node).map_err(Refusal::Node)?,
            None => None,
        };
        let mut claims = self.unallocated.clone();
        claims.extend(extended.iter().map(|requests| ClaimSpec::new(&requests.claim)));
        if claims.is_empty() {
            return Ok(None);
        }
        let problem =
            Problem { devices: &self.devices, node: &node.node, claims: &claims, allocated: &self.allocated };
        let solution = allocate(problem).map_err(|failure| match failure {
            Failure::Node(reason) => Refusal::Node(reason),
            Failure::Claim(error) => Refusal::Error(error),
        })?;
        let Some(solution) = solution else {
            return Err(Refusal::Node("cannot allocate all claims".to_owned()));
        };
        let allocations = allocations(problem, &solution);
        Ok(Some(Plan { claims, solution, allocations, extended }))
    }

    /// How far up the lists of alternatives the devices of each node are; None where nobody has a choice.
    pub(crate) fn scores(&self, pod: &PodInfo, nodes: &[&NodeInfo]) -> Option<Vec<i64>> {
        let leaves_choice = |claim: &PodClaim| {
            let mut requests = claim.object.array_at(&["spec", "devices", "requests"]).iter();
            requests.any(|request| !request.array_at(&["firstAvailable"]).is_empty())
        };
        if !self.claims.iter().any(leaves_choice) {
            return None;
        }
        Some(nodes.iter().map(|node| self.score(pod, node)).collect())
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo) -> i64 {
        let Ok(Some(plan)) = self.plan(pod, node) else { return 0 };
        let written = self.claims.iter().filter(|claim| claim.is_allocated);
        let written = written.map(|claim| {
            let results = claim.object.array_at(&["status", "allocation", "devices", "results"]);
            let spec = ClaimSpec::new(&claim.object);
            let chosen = |i: usize, name: &str| {
                spec.requests[i].iter().position(|request| request.full_name() == name)
            };
            let mut chosen_of = vec![None; spec.requests.len()];
            for result in results {
                for (i, place) in
                    chosen_of.iter_mut().enumerate().filter(|(i, _)| spec.requests[*i].len() > 1)
                {
                    *place = place.or(chosen(i, result.str_at(&["request"])));
                }
            }
            chosen_of.into_iter().flatten().map(|chosen| MOST_ALTERNATIVES - chosen as i64).sum::<i64>()
        });
        let planned = plan.claims.iter().zip(&plan.solution.chosen).flat_map(|(claim, chosen)| {
            let choices = claim.requests.iter().zip(chosen);
            choices.filter(|(requests, _)| requests.iter().any(|one| one.full_name() != one.base()))
        });
        written.sum::<i64>() + planned.map(|(_, chosen)| MOST_ALTERNATIVES - *chosen as i64).sum::<i64>()
    }

    /// What has to be written before the pod is bound to the node; None when it has no claims.
    pub(crate) fn reservation(&self, pod: &PodInfo, node: &NodeInfo) -> Option<Reservation> {
        if self.is_empty() {
            return None;
        }
        // The filter has found the plan before.
        let plan = self.plan(pod, node).ok().flatten();
        let (mut allocations, extended) = match plan {
            Some(plan) => (plan.allocations.into_iter(), plan.extended),
            None => (Vec::new().into_iter(), None),
        };
        let mut claims = Vec::new();
        for claim in &self.claims {
            let allocation = if claim.is_allocated { None } else { allocations.next() };
            claims.push(ClaimBinding { claim: claim.object.clone(), allocation });
        }
        let extended = extended.map(|requests| {
            (ClaimBinding { claim: requests.claim, allocation: allocations.next() }, requests.mappings)
        });
        let mut reservation = Reservation { claims, extended_mappings: None };
        if let Some((claim, mappings)) = extended {
            reservation.claims.push(claim);
            reservation.extended_mappings = Some(mappings);
        }
        Some(reservation)
    }

    /// Which claim of those that keep the pod from nodes can give up its devices.
    pub(crate) fn release(&self, cluster_nodes: &[NodeInfo], pod: &Object, fit: &FitError) -> Release {
        if self.is_empty() {
            return Release::NoClaims;
        }
        if let Some(leftover) = self.extended.as_ref().and_then(|extended| extended.leftover.clone()) {
            return Release::Delete(leftover);
        }
        let here = |name: &str| cluster_nodes.iter().find(|node| node.name() == name);
        let nodes: Vec<&NodeInfo> = fit
            .rejections
            .iter()
            .filter(|(_, rejection)| rejection.plugin == Plugin::DynamicResources)
            .filter(|(_, rejection)| rejection.reasons.iter().any(|reason| reason == NOT_HERE))
            .filter_map(|(name, _)| here(name))
            .collect();
        let missing = |claim: &&PodClaim| nodes.iter().any(|node| claim.is_missing_on(&node.node));
        let idle = |claim: &&PodClaim| match claim.object.array_at(&["status", "reservedFor"]) {
            [] => true,
            [one] => one.str_at(&["uid"]) == pod.uid(),
            _ => false,
        };
        match self.claims.iter().filter(missing).find(idle) {
            Some(claim) => {
                let mut new = claim.object.value().clone();
                for field in ["reservedFor", "allocation", "devices"] {
                    new.remove(&["status", field]);
                }
                Release::Write(Box::new(new))
            }
            None => Release::Nothing,
        }
    }

    /// Whether a class offers the resource, so that the node need not have it.
    pub(crate) fn delegates(&self, resource: &str, node: &NodeInfo) -> bool {
        self.extended.is_some()
            && node.allocatable.scalar(resource) == 0
            && self.devices.class_for(resource).is_some()
    }
}

/// What becomes of claims after the pod found no node.
#[derive(Clone, Debug, Default)]
pub(crate) enum Release {
    #[default]
    NoClaims,
    Nothing,
    /// The claim gives up its devices: as it is to be written.
    Write(Box<Value>),
    /// The claim was made for an attempt that failed.
    Delete(Arc<Object>),
}

impl Release {
    /// What the FailedScheduling message says about it.
    pub(crate) fn told(&self) -> &'static str {
        match self {
            Self::NoClaims => "no new claims to deallocate",
            Self::Nothing => "still not schedulable",
            Self::Write(_) => "deallocation of ResourceClaim completed",
            Self::Delete(_) => "deletion of ResourceClaim completed",
        }
    }
}

impl PodClaim {
    fn is_missing_on(&self, node: &Object) -> bool {
        self.is_allocated
            && (self.is_lost || self.nodes.as_ref().is_some_and(|selector| !selector.matches(node)))
    }
}

/// Whether a device of the claim says that it cannot get ready.
fn has_failed(claim: &Object) -> bool {
    super::bind::readiness(claim).is_err()
}

impl Devices {
    fn check_classes(&self, claim: &ClaimSpec) -> Result<(), String> {
        for request in claim.requests.iter().flatten() {
            if !self.classes.contains_key(request.class.as_str()) {
                let (name, class) = (request.full_name(), &request.class);
                return Err(format!("request {name}: device class {class} does not exist"));
            }
        }
        Ok(())
    }
}
