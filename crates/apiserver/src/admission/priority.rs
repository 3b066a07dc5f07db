//! Priority: a pod's priority is its priority class's, and one class at most is the default.

use std::sync::Arc;

use async_trait::async_trait;
use drydock_machinery::{Object, ObjectMeta, Status, Value};

use super::{AdmissionContext, AdmissionPlugin, AdmissionRequest, Operation, Reader};

pub(super) struct Priority;

const GROUP: &str = "scheduling.k8s.io";
const RESOURCE: &str = "priorityclasses";
const DEFAULT_POLICY: &str = "PreemptLowerPriority";

#[async_trait]
impl AdmissionPlugin for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        matches!(request.operation, Operation::Create | Operation::Update)
            && (request.is_for("", "pods") || request.is_for(GROUP, RESOURCE))
    }

    async fn admit(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        if !request.is_for("", "pods") {
            return Ok(());
        }
        if request.operation == Operation::Update {
            keep(request);
            return Ok(());
        }
        let (value, policy, name) = resolve(context.reader, request)?;
        let pod = request.object();
        if let Some(given) = pod.i64_at(&["spec", "priority"]).filter(|given| *given != value) {
            return Err(request.forbidden(&format!(
                "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller \
                 computed {value} from the given PriorityClass name"
            )));
        }
        let given = pod.str_at(&["spec", "preemptionPolicy"]);
        if !given.is_empty() && given != policy {
            return Err(request.forbidden(&format!(
                "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission \
                 controller computed {policy} from the given PriorityClass name"
            )));
        }
        if let Some(pod) = &mut request.object {
            if !name.is_empty() {
                pod.set(&["spec", "priorityClassName"], name);
            }
            pod.set(&["spec", "priority"], value);
            pod.set(&["spec", "preemptionPolicy"], policy);
        }
        Ok(())
    }

    async fn validate(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        if !request.is_for(GROUP, RESOURCE) || !request.object().bool_at(&["globalDefault"]) {
            return Ok(());
        }
        match default_class(context.reader) {
            Some(other) if other.name() != request.object().name() => Err(request.forbidden(&format!(
                "PriorityClass {} is already marked as default. Only one default can exist",
                other.name()
            ))),
            _ => Ok(()),
        }
    }
}

/// Clients that do not know of priorities leave them out of what they write back.
fn keep(request: &mut AdmissionRequest<'_>) {
    let Some(old) = &request.old_object else { return };
    let Some(pod) = &mut request.object else { return };
    for field in ["priority", "preemptionPolicy"] {
        if pod.at(&["spec", field]).is_none()
            && let Some(value) = old.at(&["spec", field])
        {
            pod.set(&["spec", field], value.clone());
        }
    }
}

/// Value, preemption policy and name of the pod's class.
fn resolve(reader: &dyn Reader, request: &AdmissionRequest<'_>) -> Result<(i64, String, String), Status> {
    let name = request.object().str_at(&["spec", "priorityClassName"]);
    let class = if name.is_empty() {
        match default_class(reader) {
            Some(class) => class,
            None => return Ok((0, DEFAULT_POLICY.to_owned(), String::new())),
        }
    } else {
        reader
            .get(GROUP, RESOURCE, "", name)
            .ok_or_else(|| request.forbidden(&format!("no PriorityClass with name {name} was found")))?
    };
    let policy = match class.str_at(&["preemptionPolicy"]) {
        "" => DEFAULT_POLICY,
        policy => policy,
    };
    Ok((class.i64_at(&["value"]).unwrap_or(0), policy.to_owned(), class.name().to_owned()))
}

/// Of several defaults (made before there was a check) the one of the lowest value.
fn default_class(reader: &dyn Reader) -> Option<Arc<Object>> {
    let value = |class: &Value| class.i64_at(&["value"]).unwrap_or(0);
    let classes = reader.list(GROUP, RESOURCE, "").into_iter();
    classes.filter(|class| class.bool_at(&["globalDefault"])).min_by_key(|class| value(class))
}
