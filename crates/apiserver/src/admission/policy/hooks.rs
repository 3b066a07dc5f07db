//! Which policies a request is asked of, by which bindings, and with which parameters.

use std::sync::Arc;

use drydock_machinery::{Object, Status, Value};

use super::params;
use super::snapshot::Hook;
use crate::admission::matching::Criteria;
use crate::admission::versions::Matched;
use crate::admission::{AdmissionContext, AdmissionRequest};

/// One policy by one binding.
pub(super) struct Bound<'h, P> {
    pub(super) hook: &'h Hook<P>,
    pub(super) binding: &'h Arc<Object>,
    pub(super) matched: Matched,
    pub(super) params: Vec<Option<Arc<Object>>>,
}

/// A policy that cannot be evaluated as it is configured, or not by that binding.
pub(super) struct Misconfigured<'h, P> {
    pub(super) hook: &'h Hook<P>,
    pub(super) binding: Option<&'h Arc<Object>>,
    pub(super) why: String,
}

/// What is to be asked of a request, in order.
pub(super) enum Relevant<'h, P> {
    Bound(Bound<'h, P>),
    Misconfigured(Misconfigured<'h, P>),
}

/// Those that are about the request.
pub(super) async fn relevant<'h, P>(
    context: &AdmissionContext<'_>,
    request: &AdmissionRequest<'_>,
    hooks: &'h [Hook<P>],
) -> Vec<Relevant<'h, P>> {
    let mut all = Vec::new();
    for hook in hooks {
        of_policy(context, request, hook, &mut all).await;
    }
    all
}

async fn of_policy<'h, P>(
    context: &AdmissionContext<'_>,
    request: &AdmissionRequest<'_>,
    hook: &'h Hook<P>,
    all: &mut Vec<Relevant<'h, P>>,
) {
    let misconfigured = |binding: Option<&'h Arc<Object>>, why: String| {
        let what = if binding.is_some() { "binding" } else { "policy" };
        let why = format!("failed to configure {what}: {why}");
        Relevant::Misconfigured(Misconfigured { hook, binding, why })
    };
    let constraints = hook.policy.at(&["spec", "matchConstraints"]).unwrap_or(&Value::Null);
    let matched = match matches(context, request, constraints) {
        Ok(Some(matched)) => matched,
        Ok(None) => return,
        Err(status) => return all.push(misconfigured(None, status.message)),
    };
    let spec = hook.policy.get("spec").unwrap_or(&Value::Null);
    let resource = match params::resource(context, spec) {
        Ok(resource) => resource,
        Err(why) => return all.push(misconfigured(None, why)),
    };
    for binding in &hook.bindings {
        let narrowed = binding.at(&["spec", "matchResources"]).filter(|resources| !resources.is_null());
        match narrowed.map(|resources| matches(context, request, resources)) {
            None | Some(Ok(Some(_))) => {}
            Some(Ok(None)) => continue,
            Some(Err(status)) => {
                all.push(misconfigured(Some(binding), status.message));
                continue;
            }
        }
        all.push(match params::collect(context, request, resource.as_ref(), binding).await {
            Ok(params) => Relevant::Bound(Bound { hook, binding, matched: matched.clone(), params }),
            Err(why) => misconfigured(Some(binding), why),
        });
    }
}

fn matches(
    context: &AdmissionContext<'_>,
    request: &AdmissionRequest<'_>,
    resources: &Value,
) -> Result<Option<Matched>, Status> {
    Criteria::of_resources(resources).matches(context.reader, context.resources, request)
}
