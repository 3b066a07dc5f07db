//! `pods/eviction`: a delete that a PodDisruptionBudget may refuse for now.
//!
//! What is decided of a pod holds for the revision that was looked at: a pod that may go because it is not healthy is
//! deleted at that revision or not at all.

use std::sync::Arc;

use drydock_client::{Options, Preconditions, Reply, Request, Verb};
use drydock_machinery::selector::Selector;
use drydock_machinery::status::{Reason, StatusCause, StatusDetails};
use drydock_machinery::{
    FieldErrors, FieldPath, GroupVersionResource, Object, ObjectMeta, Status, Value, value,
};

use super::super::managed::Tracking;
use super::super::update::Updated;
use super::super::{Body, Call, Done, Registry, decode, meta};
use super::pod::set_condition;
use crate::admission::{Operation, Reader as _};

/// How often a pod that changes meanwhile is looked at anew.
const ATTEMPTS: usize = 20;
/// Of pods on their way out, as many as a budget remembers.
const MOST_DISRUPTED: usize = 2000;

/// What the budgets say of a pod.
enum Verdict {
    /// Counted, or of no budget.
    Evict,
    /// It may go as long as it is not ready; with the budget's name.
    EvictUnready(String),
}

impl Registry {
    pub(crate) async fn evict(&self, call: &mut Call) -> Result<Done, Status> {
        let mut eviction = decode::object(call)?;
        meta::match_namespace(call, &mut eviction)?;
        if eviction.name() != call.request.name {
            return Err(Status::bad_request("name in URL does not match name in Eviction object"));
        }
        let eviction = self.admit(call, Operation::Create, eviction, None).await?;
        let options = delete_options(call, &eviction)?;
        self.admission_validate(call, Operation::Create, &eviction, None).await?;
        let is_pinned = options.preconditions.resource_version.is_some();
        if let Some(pod) = self.evict_free(call, &options, is_pinned).await? {
            let verdict = self.take_from_budget(call, &options, &pod).await?;
            let mut options = options;
            let budget = match verdict {
                Verdict::Evict => None,
                Verdict::EvictUnready(budget) => {
                    options.preconditions.resource_version = Some(pod.resource_version().to_owned());
                    Some(budget)
                }
            };
            match (self.delete_evicted(call, options).await, budget) {
                (Err(status), Some(budget)) if status.is_conflict() && !is_pinned => {
                    return Err(still_processed(&budget));
                }
                (done, _) => done?,
            }
        }
        Ok(Done::created(Reply::Virtual(super::success())))
    }

    /// Evicts a pod that needs no budget. Answers the pod when it needs one.
    async fn evict_free(
        &self,
        call: &Call,
        options: &Options,
        is_pinned: bool,
    ) -> Result<Option<Arc<Object>>, Status> {
        for attempt in 1.. {
            let pod = self.current(call).ok_or_else(|| call.not_found())?;
            if !is_free_to_go(&pod) {
                return Ok(Some(pod));
            }
            let mut options = options.clone();
            if !is_pinned && may_become_ready(&pod) {
                options.preconditions.resource_version = Some(pod.resource_version().to_owned());
            }
            match self.delete_evicted(call, options).await {
                Err(status) if status.is_conflict() && !is_pinned && attempt < ATTEMPTS => {}
                done => return done.map(|()| None),
            }
        }
        Ok(None)
    }

    /// Says on the pod why it goes, and deletes it.
    async fn delete_evicted(&self, call: &Call, options: Options) -> Result<(), Status> {
        let is_dry_run = !options.dry_run.is_empty();
        let request =
            Request { verb: Verb::Delete, subresource: String::new(), options, ..call.request.clone() };
        let mut delete = self.sub_call(call, call.resource.clone(), request);
        if !is_dry_run {
            let marked = self.mark_evicted(call, &delete).await?;
            // It is this write that made the newer revision.
            if let Some(revision) = &mut delete.request.options.preconditions.resource_version {
                marked.resource_version().clone_into(revision);
            }
        }
        let pod = self.current(&delete).ok_or_else(|| delete.not_found())?;
        self.delete_silently(&mut delete, pod).await.map(drop)
    }

    async fn mark_evicted(&self, call: &Call, delete: &Call) -> Result<Arc<Object>, Status> {
        let request =
            Request { verb: Verb::Update, subresource: "status".to_owned(), ..delete.request.clone() };
        let mut update = self.sub_call(call, call.resource.clone(), request);
        let now = self.clock.now_rfc3339();
        let make = |_: &Call, pod: &Arc<Object>| {
            self.check_preconditions(delete, pod)?;
            Ok(marked(pod, &now))
        };
        match self.update_with(&mut update, Tracking::Own, make).await? {
            Updated::Done(Done { reply: Reply::Object(pod), .. }) => Ok(pod),
            _ => Err(delete.not_found()),
        }
    }

    /// Counts the pod against the budget that covers it.
    async fn take_from_budget(
        &self,
        call: &Call,
        options: &Options,
        pod: &Arc<Object>,
    ) -> Result<Verdict, Status> {
        let budgets: Vec<Arc<Object>> = self
            .cache
            .list("policy", "poddisruptionbudgets", pod.namespace())
            .into_iter()
            .filter(|budget| covers(budget, pod))
            .collect();
        let budget = match budgets.as_slice() {
            [] => return Ok(Verdict::Evict),
            [budget] => budget,
            _ => {
                let text = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
                return Err(Status::new(500, Reason::Unknown, text));
            }
        };
        if tolerates_unready(budget, pod) {
            return Ok(Verdict::EvictUnready(budget.name().to_owned()));
        }
        let Some(resource) = self.resources.find("policy", "v1", "poddisruptionbudgets") else {
            return Ok(Verdict::Evict);
        };
        let request = Request {
            verb: Verb::Update,
            resource: GroupVersionResource::new("policy", "v1", "poddisruptionbudgets"),
            name: budget.name().to_owned(),
            subresource: "status".to_owned(),
            options: Options { dry_run: options.dry_run.clone(), ..Options::default() },
            ..call.request.clone()
        };
        let mut update = self.sub_call(call, resource, request);
        let (pod_name, now) = (pod.name().to_owned(), self.clock.now_rfc3339());
        let make = move |_: &Call, budget: &Arc<Object>| disrupted(budget, &pod_name, &now);
        match self.update_with(&mut update, Tracking::Own, make).await? {
            Updated::Done(_) | Updated::Absent => Ok(Verdict::Evict),
        }
    }

    /// A call on behalf of the same user that is part of `call`.
    pub(crate) fn sub_call(
        &self,
        call: &Call,
        resource: Arc<crate::resources::Resource>,
        request: Request,
    ) -> Call {
        Call {
            user: call.user.clone(),
            resource,
            request,
            body: Body::Value(Value::Null),
            default_manager: call.default_manager.clone(),
            warnings: Vec::new(),
            audit: call.audit.clone(),
            elsewhere: call.elsewhere.clone(),
            emptied: Default::default(),
        }
    }
}

/// How the pod is to be deleted. A dry run may be asked for by the request or by the eviction.
fn delete_options(call: &Call, eviction: &Value) -> Result<Options, Status> {
    const IGNORE_READ_ERROR: &str = "ignoreStoreReadErrorWithClusterBreakingPotential";
    let asked = eviction.get("deleteOptions").cloned().unwrap_or_default();
    if asked.bool_at(&[IGNORE_READ_ERROR]) {
        let mut errors = FieldErrors::new();
        let why = "can not be set for pod eviction, try after removing the option";
        errors.invalid(&FieldPath::new("deleteOptions").child(IGNORE_READ_ERROR), true, why);
        return Err(Status::invalid("policy", "Eviction", eviction.name(), &errors));
    }
    let own: Vec<String> =
        asked.array_at(&["dryRun"]).iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let text = |path: &[&str]| asked.at(path).and_then(Value::as_str).map(str::to_owned);
    let mut options = Options {
        grace_period_seconds: asked.i64_at(&["gracePeriodSeconds"]),
        propagation_policy: text(&["propagationPolicy"]),
        orphan_dependents: asked.at(&["orphanDependents"]).and_then(Value::as_bool),
        preconditions: Preconditions {
            uid: text(&["preconditions", "uid"]),
            resource_version: text(&["preconditions", "resourceVersion"]),
        },
        dry_run: own.clone(),
        ..Options::default()
    };
    let request = Request { verb: Verb::Delete, options: options.clone(), ..call.request.clone() };
    super::super::options::check(&request)?;
    let of_request = &call.request.options.dry_run;
    if !own.is_empty() && !of_request.is_empty() && own != *of_request {
        let text = format!(
            "Non-matching dry-run options in request and content: [{}] and [{}]",
            of_request.join(" "),
            own.join(" ")
        );
        return Err(Status::new(500, Reason::Unknown, text));
    }
    if own.is_empty() {
        options.dry_run.clone_from(of_request);
    }
    Ok(options)
}

/// The pod with the reason why it goes.
fn marked(pod: &Object, now: &str) -> Value {
    const TYPE: &str = "DisruptionTarget";
    let mut marked = pod.value().clone();
    let conditions = pod.array_at(&["status", "conditions"]);
    let before = conditions.iter().find(|condition| condition.str_at(&["type"]) == TYPE);
    let is_same = before.is_some_and(|before| before.str_at(&["status"]) == "True");
    let since = before.filter(|_| is_same).map_or(now, |before| before.str_at(&["lastTransitionTime"]));
    set_condition(
        &mut marked,
        value!({
            "type": TYPE, "status": "True", "lastProbeTime": null, "lastTransitionTime": since,
            "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting",
        }),
    );
    marked
}

/// Whether a pod that needs no budget may come to need one.
fn may_become_ready(pod: &Object) -> bool {
    !matches!(pod.str_at(&["status", "phase"]), "Succeeded" | "Failed") && !pod.is_deleting()
}

/// Pods that are done, not started, or going anyway need no budget.
fn is_free_to_go(pod: &Object) -> bool {
    matches!(pod.str_at(&["status", "phase"]), "Succeeded" | "Failed" | "Pending") || pod.is_deleting()
}

fn covers(budget: &Object, pod: &Object) -> bool {
    Selector::from_label_selector(budget.at(&["spec", "selector"]))
        .is_ok_and(|selector| selector.matches(pod.labels()))
}

/// A pod that is not ready may go when its budget is met without it, or says so.
fn tolerates_unready(budget: &Object, pod: &Object) -> bool {
    let is_ready = pod
        .array_at(&["status", "conditions"])
        .iter()
        .any(|condition| condition.str_at(&["type"]) == "Ready" && condition.str_at(&["status"]) == "True");
    if is_ready {
        return false;
    }
    if budget.str_at(&["spec", "unhealthyPodEvictionPolicy"]) == "AlwaysAllow" {
        return true;
    }
    let healthy = budget.i64_at(&["status", "currentHealthy"]).unwrap_or(0);
    let desired = budget.i64_at(&["status", "desiredHealthy"]).unwrap_or(0);
    healthy >= desired && desired > 0
}

/// The budget with one disruption less.
fn disrupted(budget: &Object, pod: &str, now: &str) -> Result<Value, Status> {
    const CONDITION: &str = "DisruptionAllowed";
    let number = |field: &str| budget.i64_at(&["status", field]).unwrap_or(0);
    let forbidden = |why: &str| Err(Status::forbidden("policy", "poddisruptionbudget", budget.name(), why));
    if number("observedGeneration") < budget.generation() {
        return Err(still_processed(budget.name()));
    }
    let allowed = number("disruptionsAllowed");
    if allowed < 0 {
        return forbidden("pdb disruptions allowed is negative");
    }
    let pods = budget.at(&["status", "disruptedPods"]).and_then(Value::as_object);
    if pods.is_some_and(|pods| pods.len() > MOST_DISRUPTED) {
        return forbidden("DisruptedPods map too big - too many evictions not confirmed by PDB controller");
    }
    if allowed == 0 {
        return Err(refused(no_disruption(budget, CONDITION), 0));
    }
    let mut new = budget.value().clone();
    new.set(&["status", "disruptionsAllowed"], allowed - 1);
    new.set(&["status", "disruptedPods", pod], now);
    if allowed == 1 {
        let conditions = budget.array_at(&["status", "conditions"]).iter();
        let before = conditions.into_iter().find(|condition| condition.str_at(&["type"]) == CONDITION);
        let before = before.filter(|before| before.str_at(&["status"]) == "False");
        let since = before.map_or(now, |before| before.str_at(&["lastTransitionTime"]));
        let condition = value!({
            "type": CONDITION, "status": "False", "observedGeneration": number("observedGeneration"),
            "lastTransitionTime": since, "reason": "InsufficientPods", "message": "",
        });
        set_condition(&mut new, condition);
    }
    Ok(new)
}

/// Why a budget allows no disruption.
fn no_disruption(budget: &Object, condition: &str) -> String {
    let name = budget.name();
    let number = |field: &str| budget.i64_at(&["status", field]).unwrap_or(0);
    let mut conditions = budget.array_at(&["status", "conditions"]).iter();
    let said = conditions
        .find(|one| one.str_at(&["type"]) == condition)
        .filter(|one| one.str_at(&["status"]) == "False" && !one.str_at(&["message"]).is_empty());
    let said = said.map(|one| (one.str_at(&["reason"]), one.str_at(&["message"])));
    let (healthy, desired) = (number("currentHealthy"), number("desiredHealthy"));
    match said {
        Some(("SyncFailed", message)) => format!(
            "The disruption budget {name} does not allow evicting pods currently because it failed sync: {message}"
        ),
        _ if healthy <= desired => {
            format!("The disruption budget {name} needs {desired} healthy pods and has {healthy} currently")
        }
        Some((reason, message)) => {
            format!(
                "The disruption budget {name} does not allow evicting pods currently ({reason}): {message}"
            )
        }
        None => format!("The disruption budget {name} does not allow evicting pods currently"),
    }
}

fn still_processed(budget: &str) -> Status {
    refused(format!("The disruption budget {budget} is still being processed by the server."), 10)
}

fn refused(text: String, retry_after_seconds: u32) -> Status {
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    Status::new(429, Reason::TooManyRequests, message).with_details(StatusDetails {
        causes: vec![StatusCause {
            reason: "DisruptionBudget".to_owned(),
            message: text,
            field: String::new(),
        }],
        retry_after_seconds,
        ..StatusDetails::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_counts_what_goes() {
        let budget = |status: Value| {
            let mut budget = value!({"metadata": {"name": "b", "generation": 1}});
            budget.set(&["status"], status);
            Object::new(budget, 1)
        };
        let some = budget(value!({"observedGeneration": 1, "disruptionsAllowed": 1}));
        let new = disrupted(&some, "p", "2026-01-01T00:00:00Z").unwrap();
        assert_eq!(new.i64_at(&["status", "disruptionsAllowed"]), Some(0));
        assert_eq!(new.str_at(&["status", "disruptedPods", "p"]), "2026-01-01T00:00:00Z");
        assert_eq!(new.array_at(&["status", "conditions"])[0].str_at(&["reason"]), "InsufficientPods");

        let cause = |status: Value| {
            let refused = disrupted(&budget(status), "p", "").unwrap_err();
            refused.details.map(|details| details.causes[0].message.clone()).unwrap()
        };
        assert_eq!(
            cause(value!({"observedGeneration": 1, "currentHealthy": 2, "desiredHealthy": 2})),
            "The disruption budget b needs 2 healthy pods and has 2 currently"
        );
        assert_eq!(cause(value!({})), "The disruption budget b is still being processed by the server.");
        let negative = budget(value!({"observedGeneration": 1, "disruptionsAllowed": -1}));
        assert_eq!(disrupted(&negative, "p", "").unwrap_err().code, 403);
    }

    #[test]
    fn a_pod_says_why_it_goes() {
        let pod = Object::new(value!({"metadata": {"name": "p"}}), 1);
        let marked = marked(&pod, "2026-01-01T00:00:00Z");
        let condition = &marked.array_at(&["status", "conditions"])[0];
        assert_eq!(condition.str_at(&["type"]), "DisruptionTarget");
        assert_eq!(condition.str_at(&["reason"]), "EvictionByEvictionAPI");
    }
}
