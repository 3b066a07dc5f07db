//! RuntimeClass: pods take overhead, node selector and tolerations from their runtime class.

use std::sync::Arc;

use async_trait::async_trait;
use drydock_machinery::go_text::go_quote;
use drydock_machinery::names_validation::{NamePart, name_is_path_segment};
use drydock_machinery::quantity::Quantity;
use drydock_machinery::status::Reason;
use drydock_machinery::{Object, Status, Value};

use super::{AdmissionContext, AdmissionPlugin, AdmissionRequest};

pub(super) struct RuntimeClass;

#[async_trait]
impl AdmissionPlugin for RuntimeClass {
    fn name(&self) -> &'static str {
        "RuntimeClass"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        request.is_create_of("", "pods")
            && ["runtimeClassName", "overhead"]
                .iter()
                .any(|field| request.object().at(&["spec", field]).is_some())
    }

    async fn admit(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        let Some(class) = class_of(context, request)? else { return Ok(()) };
        add_overhead(request, &class)?;
        add_scheduling(request, &class)
    }

    async fn validate(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        let class = class_of(context, request)?;
        let defined = class.as_ref().and_then(|class| class.at(&["overhead", "podFixed"]));
        match (defined, overhead(request.object())) {
            (Some(defined), given) if given.is_none_or(|given| !same_amounts(defined, given)) => Err(request
                .forbidden("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")),
            (None, Some(_)) => Err(request.forbidden(
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
            )),
            _ => Ok(()),
        }
    }
}

fn class_of(
    context: &AdmissionContext<'_>,
    request: &AdmissionRequest<'_>,
) -> Result<Option<Arc<Object>>, Status> {
    let name = request.object().str_at(&["spec", "runtimeClassName"]);
    if name.is_empty() {
        // One that is given but empty is looked for, which clients refuse to do.
        return match request.object().at(&["spec", "runtimeClassName"]) {
            Some(Value::String(_)) => {
                Err(Status::new(500, Reason::Unknown, "resource name may not be empty"))
            }
            _ => Ok(None),
        };
    }
    let wrong = name_is_path_segment(name, NamePart::Whole);
    if !wrong.is_empty() {
        let text = format!("invalid resource name {}: [{}]", go_quote(name), wrong.join(" "));
        return Err(Status::new(500, Reason::Unknown, text));
    }
    let class = context.reader.get("node.k8s.io", "runtimeclasses", "", name);
    class
        .map(Some)
        .ok_or_else(|| request.forbidden(&format!("pod rejected: RuntimeClass {name:?} not found")))
}

fn overhead(pod: &Value) -> Option<&Value> {
    pod.at(&["spec", "overhead"]).filter(|overhead| overhead.as_object().is_some_and(|map| !map.is_empty()))
}

fn same_amounts(a: &Value, b: &Value) -> bool {
    let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else { return false };
    a.len() == b.len()
        && a.iter().all(|(name, amount)| {
            b.get(name).is_some_and(|other| Quantity::of(Some(amount)) == Quantity::of(Some(other)))
        })
}

fn add_overhead(request: &mut AdmissionRequest<'_>, class: &Object) -> Result<(), Status> {
    let Some(defined) = class.at(&["overhead", "podFixed"]) else { return Ok(()) };
    if overhead(request.object()).is_some_and(|given| !same_amounts(defined, given)) {
        return Err(
            request.forbidden("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
        );
    }
    if let Some(pod) = &mut request.object {
        pod.set(&["spec", "overhead"], defined.clone());
    }
    Ok(())
}

fn add_scheduling(request: &mut AdmissionRequest<'_>, class: &Object) -> Result<(), Status> {
    for (key, value) in class.object_at(&["scheduling", "nodeSelector"]).iter() {
        let (wanted, given) =
            (value.as_str().unwrap_or(""), request.object().at(&["spec", "nodeSelector", key]));
        if let Some(given) = given.and_then(Value::as_str).filter(|given| *given != wanted) {
            return Err(request.forbidden(&format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {wanted}; pod.spec.nodeSelector[{key}] = {given}"
            )));
        }
        if let Some(pod) = &mut request.object {
            pod.set(&["spec", "nodeSelector", key], wanted);
        }
    }
    let Some(pod) = &mut request.object else { return Ok(()) };
    for toleration in class.array_at(&["scheduling", "tolerations"]) {
        super::defaults::add_toleration(pod, toleration.clone());
    }
    Ok(())
}
