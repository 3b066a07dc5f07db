//! `pods/eviction`: a delete that a PodDisruptionBudget may refuse for now.

use std::sync::Arc;

use drydock_client::{Options, Preconditions, Reply, Request, Verb};
use drydock_machinery::selector::Selector;
use drydock_machinery::status::{Reason, StatusCause, StatusDetails};
use drydock_machinery::{GroupVersionResource, Object, ObjectMeta, Status, Value};

use super::super::managed::Tracking;
use super::super::update::Updated;
use super::super::{Body, Call, Done, Registry, decode, meta};
use crate::admission::{Operation, Reader as _};

impl Registry {
    pub(crate) async fn evict(&self, call: &mut Call) -> Result<Done, Status> {
        let mut eviction = decode::object(call)?;
        meta::match_namespace(call, &mut eviction)?;
        if eviction.name() != call.request.name {
            return Err(Status::bad_request("name in URL does not match name in Eviction object"));
        }
        let eviction = self.admit(call, Operation::Create, eviction, None).await?;
        check_options(call, &eviction)?;
        let pod = self.current(call).ok_or_else(|| call.not_found())?;
        self.admission_validate(call, Operation::Create, &eviction, None).await?;
        if !is_free_to_go(&pod) {
            self.take_from_budget(call, &pod).await?;
        }
        self.delete_evicted(call, &eviction, pod).await?;
        Ok(Done::created(Reply::Virtual(super::success())))
    }

    async fn delete_evicted(&self, call: &Call, eviction: &Value, pod: Arc<Object>) -> Result<(), Status> {
        let asked = eviction.get("deleteOptions").cloned().unwrap_or_default();
        let text = |path: &[&str]| asked.at(path).and_then(Value::as_str).map(str::to_owned);
        let options = Options {
            grace_period_seconds: asked.i64_at(&["gracePeriodSeconds"]),
            propagation_policy: text(&["propagationPolicy"]),
            preconditions: Preconditions {
                uid: text(&["preconditions", "uid"]),
                resource_version: text(&["preconditions", "resourceVersion"]),
            },
            dry_run: call.request.options.dry_run.clone(),
            ..Options::default()
        };
        let request =
            Request { verb: Verb::Delete, subresource: String::new(), options, ..call.request.clone() };
        let mut delete = self.sub_call(call, call.resource.clone(), request);
        self.delete_object(&mut delete, pod).await.map(drop)
    }

    /// Counts the pod against the budget that covers it.
    async fn take_from_budget(&self, call: &Call, pod: &Arc<Object>) -> Result<(), Status> {
        let budgets: Vec<Arc<Object>> = self
            .cache
            .list("policy", "poddisruptionbudgets", pod.namespace())
            .into_iter()
            .filter(|budget| covers(budget, pod))
            .collect();
        let budget = match budgets.as_slice() {
            [] => return Ok(()),
            [budget] => budget,
            _ => {
                let text = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
                return Err(Status::new(500, Reason::Unknown, text));
            }
        };
        if tolerates_unready(budget, pod) {
            return Ok(());
        }
        let Some(resource) = self.resources.find("policy", "v1", "poddisruptionbudgets") else {
            return Ok(());
        };
        let request = Request {
            verb: Verb::Update,
            resource: GroupVersionResource::new("policy", "v1", "poddisruptionbudgets"),
            name: budget.name().to_owned(),
            subresource: "status".to_owned(),
            ..call.request.clone()
        };
        let mut update = self.sub_call(call, resource, request);
        let (pod_name, now) = (pod.name().to_owned(), self.clock.now_rfc3339());
        let make = move |_: &Call, budget: &Arc<Object>| disrupted(budget, &pod_name, &now);
        match self.update_with(&mut update, Tracking::Own, make).await? {
            Updated::Done(_) | Updated::Absent => Ok(()),
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
        }
    }
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

fn disrupted(budget: &Object, pod: &str, now: &str) -> Result<Value, Status> {
    let observed = budget.i64_at(&["status", "observedGeneration"]).unwrap_or(0);
    if observed < budget.generation() {
        let text = format!("The disruption budget {} is still being processed by the server.", budget.name());
        return Err(refused(budget, text, 10));
    }
    let allowed = budget.i64_at(&["status", "disruptionsAllowed"]).unwrap_or(0);
    if allowed <= 0 {
        let text = format!(
            "The disruption budget {} needs {} healthy pods and has {} currently",
            budget.name(),
            budget.i64_at(&["status", "desiredHealthy"]).unwrap_or(0),
            budget.i64_at(&["status", "currentHealthy"]).unwrap_or(0)
        );
        return Err(refused(budget, text, 0));
    }
    let mut budget = budget.value().clone();
    budget.set(&["status", "disruptionsAllowed"], allowed - 1);
    budget.set(&["status", "disruptedPods", pod], now);
    Ok(budget)
}

fn refused(_budget: &Object, text: String, retry_after_seconds: u32) -> Status {
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

/// The options of the deletion that an eviction asks for.
fn check_options(call: &Call, eviction: &Value) -> Result<(), Status> {
    let asked = eviction.get("deleteOptions").cloned().unwrap_or_default();
    let options = Options {
        propagation_policy: asked.at(&["propagationPolicy"]).and_then(Value::as_str).map(str::to_owned),
        orphan_dependents: asked.at(&["orphanDependents"]).and_then(Value::as_bool),
        dry_run: asked.array_at(&["dryRun"]).iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        ..Options::default()
    };
    super::super::options::check(&Request { verb: Verb::Delete, options, ..call.request.clone() })
}
