//! Pods' binding and resize.

use std::sync::Arc;

use drydock_client::Reply;
use drydock_machinery::{Object, ObjectMeta, Reason, Status, Value, value};
use drydock_runtime::clock::rfc3339;

use super::super::managed::Tracking;
use super::super::update::{Updated, check_stored};
use super::super::{Call, Done, Registry, decode, meta};
use crate::admission::Operation;

impl Registry {
    pub(crate) async fn create_binding(&self, call: &mut Call) -> Result<Done, Status> {
        let mut binding = decode::object(call)?;
        meta::match_namespace(call, &mut binding)?;
        self.bind(call, &binding).await
    }

    /// Assigns the pod that the call names to the binding's target.
    pub(crate) async fn bind(&self, call: &mut Call, binding: &Value) -> Result<Done, Status> {
        self.check_binding(call, binding)?;
        let binding = &self.admit(call, Operation::Create, binding.clone(), None).await?;
        self.admission_validate(call, Operation::Create, binding, None).await?;
        if call.request.name.is_empty() {
            return Err(Status::bad_request("Name parameter required."));
        }
        let pods = self.resources.find("", "v1", "pods").ok_or_else(|| Status::internal("no pods"))?;
        let now = rfc3339(self.clock.now());
        let wanted = binding.clone();
        let subresource = std::mem::replace(&mut call.request.subresource, "binding".to_owned());
        let resource = std::mem::replace(&mut call.resource, pods);
        let make = move |call: &Call, pod: &Arc<Object>| {
            check_stored(call, pod, wanted.uid(), wanted.resource_version())?;
            bound(pod, &wanted, &now)
        };
        let updated = self.update_with(call, Tracking::Own, make).await;
        call.request.subresource = subresource;
        call.resource = resource;
        match updated? {
            Updated::Done(_) => Ok(Done::created(Reply::Virtual(super::success()))),
            Updated::Absent => Err(Status::not_found("", "pods", &call.request.name)),
        }
    }

    fn check_binding(&self, call: &Call, binding: &Value) -> Result<(), Status> {
        if binding.name() != call.request.name {
            return Err(Status::bad_request("name in URL does not match name in Binding object"));
        }
        match drydock_kinds::validate_binding(binding).aggregate() {
            // Upstream lets the bare list of errors through, which no status code is known for.
            Some(message) => Err(Status::new(500, Reason::Unknown, message)),
            None => Ok(()),
        }
    }
}

fn bound(pod: &Arc<Object>, binding: &Value, now: &str) -> Result<Value, Status> {
    let conflict = |why: String| Err(Status::conflict("", "pods/binding", pod.name(), &why));
    if pod.is_deleting() {
        return conflict(format!("pod {} is being deleted, cannot be assigned to a host", pod.name()));
    }
    let node = pod.str_at(&["spec", "nodeName"]);
    if !node.is_empty() {
        return conflict(format!("pod {} is already assigned to node {node:?}", pod.name()));
    }
    if !pod.array_at(&["spec", "schedulingGates"]).is_empty() {
        return conflict(format!("pod {} has non-empty .spec.schedulingGates", pod.name()));
    }
    let mut pod = pod.value().clone();
    pod.set(&["spec", "nodeName"], binding.str_at(&["target", "name"]));
    // What was to become true is.
    pod.remove(&["status", "nominatedNodeName"]);
    for (field, map) in [("annotations", binding.annotations()), ("labels", binding.labels())] {
        for (key, text) in map.iter() {
            pod.set(&["metadata", field, key], text.clone());
        }
    }
    set_condition(
        &mut pod,
        value!({
            "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now,
        }),
    );
    Ok(pod)
}

/// Sets a condition, in place of what it was.
pub(super) fn set_condition(pod: &mut Value, condition: Value) {
    let conditions = pod.at_mut(&["status", "conditions"]);
    if !matches!(conditions, Value::Array(_)) {
        *conditions = Value::Array(Default::default());
    }
    let Some(list) = conditions.as_array_mut() else { return };
    let known = list.iter().position(|known| known.str_at(&["type"]) == condition.str_at(&["type"]));
    match known {
        Some(i) => list.make_mut()[i] = condition,
        None => list.push(condition),
    }
}
