//! A pod's status: what may change, and conditions that the API server sets.

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, Value};
use jiff::Timestamp;

use crate::Context;
use crate::check::{IMMUTABLE, qualified_name};
use crate::shape::{has, same, shown};

/// A condition, replaced or added; its transition time is kept when the status stays.
pub(super) fn set_condition(
    pod: &mut Value,
    condition_type: &str,
    status: &str,
    reason: Option<(&str, &str)>,
    now: Timestamp,
) {
    let mut condition = Value::object();
    condition.set(&["type"], condition_type);
    condition.set(&["status"], status);
    condition.set(&["lastProbeTime"], Value::Null);
    let time = Timestamp::from_second(now.as_second()).unwrap_or(now).to_string();
    condition.set(&["lastTransitionTime"], time);
    if let Some((reason, message)) = reason {
        condition.set(&["reason"], reason);
        condition.set(&["message"], message);
    }
    let conditions = pod.at_mut(&["status", "conditions"]);
    if !matches!(conditions, Value::Array(_)) {
        *conditions = Value::Array(Default::default());
    }
    let Some(conditions) = conditions.as_array_mut() else { return };
    let old = conditions.iter().position(|old| old.str_at(&["type"]) == condition_type);
    match old {
        Some(i) => {
            let list = conditions.make_mut();
            if list[i].str_at(&["status"]) == status {
                crate::shape::keep(&mut condition, &list[i], &["lastTransitionTime"]);
            }
            list[i] = condition;
        }
        None => conditions.push(condition),
    }
}

/// A new pod with scheduling gates says that it waits for them.
pub(super) fn gated(context: &Context<'_>, pod: &mut Value) {
    let reason = ("SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates");
    set_condition(pod, "PodScheduled", "False", Some(reason), context.now);
}

/// The status subresource changes the status alone; the QoS class stays.
pub(super) fn prepare(object: &mut Value, old: &Value) {
    crate::shape::keep(object, old, &["spec"]);
    crate::shape::keep(object, old, &["metadata", "deletionTimestamp"]);
    crate::shape::keep(object, old, &["metadata", "ownerReferences"]);
    let class = old.str_at(&["status", "qosClass"]);
    if object.str_at(&["status", "qosClass"]).is_empty() && !class.is_empty() {
        object.set(&["status", "qosClass"], class.to_owned());
    }
}

/// `ValidatePodStatusUpdate`.
pub(super) fn validate(errors: &mut FieldErrors, object: &Value, old: &Value) {
    let path = FieldPath::new("status");
    if !same(object.at(&["spec", "nodeName"]), old.at(&["spec", "nodeName"])) {
        let detail = "may not be changed directly";
        errors.forbidden(&path.child("nodeName"), detail);
    }
    let nominated = object.str_at(&["status", "nominatedNodeName"]);
    if !nominated.is_empty() {
        let wrong = names::is_dns1123_subdomain(nominated);
        names::invalid_each(errors, &path.child("nominatedNodeName"), nominated, wrong);
    }
    conditions(errors, object, &path);
    qos_class(errors, object, old, &path);
    restarts(errors, object, old, &path);
}

fn conditions(errors: &mut FieldErrors, object: &Value, path: &FieldPath) {
    const BUILT_IN: [&str; 5] =
        ["PodScheduled", "Ready", "Initialized", "ContainersReady", "DisruptionTarget"];
    for (i, condition) in object.array_at(&["status", "conditions"]).iter().enumerate() {
        let condition_type = condition.str_at(&["type"]);
        if !BUILT_IN.contains(&condition_type) {
            qualified_name(errors, condition_type, &path.child("conditions").index(i).child("Type"));
        }
    }
}

fn qos_class(errors: &mut FieldErrors, object: &Value, old: &Value, path: &FieldPath) {
    let class = &["status", "qosClass"];
    if !same(object.at(class), old.at(class)) {
        errors.invalid(&path.child("qosClass"), shown(object, class), IMMUTABLE);
    }
}

/// A container that has ended for good may not run again.
fn restarts(errors: &mut FieldErrors, object: &Value, old: &Value, path: &FieldPath) {
    let policy = object.str_at(&["spec", "restartPolicy"]);
    if policy == "Always" {
        return;
    }
    let terminated = &["state", "terminated"];
    for old_status in old.array_at(&["status", "containerStatuses"]) {
        if !has(old_status, terminated) {
            continue;
        }
        let failed = old_status.i64_at(&["state", "terminated", "exitCode"]).unwrap_or(0) != 0;
        if failed && policy == "OnFailure" {
            continue;
        }
        let name = old_status.str_at(&["name"]);
        let statuses = object.array_at(&["status", "containerStatuses"]).iter().enumerate();
        for (i, status) in statuses.filter(|(_, status)| status.str_at(&["name"]) == name) {
            if !has(status, terminated) {
                let path = path.child("containerStatuses").index(i).child("state");
                errors.forbidden(&path, "may not be transitioned to non-terminated state");
            }
        }
    }
}
