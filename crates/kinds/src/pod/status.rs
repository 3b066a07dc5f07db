//! A pod's status: what may change, and conditions that the API server sets.

mod addresses;
mod claims;
mod containers;
mod transitions;

use drydock_machinery::{FieldErrors, FieldPath, Value};
use jiff::Timestamp;

use super::security::annotation_updates;
use crate::Context;
use crate::check::{IMMUTABLE, dns_subdomain, net, qualified_name};
use crate::shape::{each_mut, has, keep, same, seconds, shown};

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
    condition.set(&["lastTransitionTime"], seconds(now));
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
                keep(&mut condition, &list[i], &["lastTransitionTime"]);
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

/// Of addresses in a status.
pub(super) fn warnings(object: &Value) -> Vec<String> {
    let mut out = Vec::new();
    for list in ["podIPs", "hostIPs"] {
        let path = FieldPath::new("status").child(list);
        for (i, ip) in object.array_at(&["status", list]).iter().enumerate() {
            net::ip_warnings(&mut out, ip.str_at(&["ip"]), &path.index(i).child("ip"));
        }
    }
    out
}

/// The status subresource changes the status alone; the QoS class stays.
pub(super) fn prepare(object: &mut Value, old: &Value) {
    keep(object, old, &["spec"]);
    let class = old.str_at(&["status", "qosClass"]);
    if object.str_at(&["status", "qosClass"]).is_empty() && !class.is_empty() {
        object.set(&["status", "qosClass"], class.to_owned());
    }
    keep_generations(object, old);
    drop_disabled(object, old);
}

/// `dropDisabledPodStatusFields`, of fields behind feature gates that are off: who has one of them keeps them.
fn drop_disabled(object: &mut Value, old: &Value) {
    const LISTS: [&str; 3] = ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"];
    const CLAIMS: [&str; 2] = ["status", "nodeAllocatableResourceClaimStatuses"];
    let has_image = |mount: &Value| has(mount, &["volumeStatus"]);
    let mut statuses = LISTS.iter().flat_map(|list| old.array_at(&["status", list]));
    if !statuses.any(|status| status.array_at(&["volumeMounts"]).iter().any(has_image)) {
        for list in LISTS {
            each_mut(object, &["status", list], |status| {
                each_mut(status, &["volumeMounts"], |mount| {
                    mount.remove(&["volumeStatus"]);
                });
            });
        }
    }
    if old.array_at(&CLAIMS).is_empty() {
        object.remove(&CLAIMS);
    }
}

/// `preserveOldObservedGeneration`: clients that know of no generations do not take them away.
fn keep_generations(object: &mut Value, old: &Value) {
    let at = &["observedGeneration"];
    let is_unset = |value: &Value| value.i64_at(at).unwrap_or(0) == 0;
    let whole = &["status", "observedGeneration"];
    if object.i64_at(whole).unwrap_or(0) == 0
        && let Some(before) = old.i64_at(whole)
    {
        object.set(whole, before);
    }
    let before = old.array_at(&["status", "conditions"]);
    if before.iter().all(is_unset) {
        return;
    }
    let mut used = vec![false; before.len()];
    each_mut(object, &["status", "conditions"], |condition| {
        let of_type = |(i, old): &(usize, &Value)| !used[*i] && old.get("type") == condition.get("type");
        let Some((i, old)) = before.iter().enumerate().find(of_type) else { return };
        used[i] = true;
        if is_unset(condition) && !is_unset(old) {
            keep(condition, old, at);
        }
    });
}

/// `ValidatePodStatusUpdate`.
pub(super) fn validate(errors: &mut FieldErrors, object: &Value, old: &Value) {
    annotation_updates(errors, object, old, &FieldPath::new("metadata").child("annotations"));
    let path = FieldPath::new("status");
    let status = shown(object, &["status"]);
    conditions(errors, &status, &path.child("conditions"));
    if !same(object.at(&["spec", "nodeName"]), old.at(&["spec", "nodeName"])) {
        errors.forbidden(&path.child("nodeName"), "may not be changed directly");
    }
    nominated(errors, object, old, &path.child("nominatedNodeName"));
    not_negative(errors, &status, &path);
    let class = &["status", "qosClass"];
    if !same(object.at(class), old.at(class)) {
        errors.invalid(&path.child("qosClass"), shown(object, class), IMMUTABLE);
    }
    let before = shown(old, &["status"]);
    for (list, containers) in STATUSES {
        transitions::check(errors, &status, &before, old, (list, containers), &path.child(list));
    }
    claims::of_claims(errors, object, &path.child("resourceClaimStatuses"));
    claims::of_extended(errors, object, &path.child("extendedResourceClaimStatus"));
    addresses::pod_ips(errors, &status, &before, &path.child("podIPs"));
    addresses::host_ips(errors, &status, &before, &path.child("hostIPs"));
    for (list, _) in STATUSES {
        containers::users(errors, object, list, &path.child(list));
    }
    for (list, of) in STATUSES {
        containers::allocated(errors, object, (list, of), &path.child(list));
    }
}

/// Lists of statuses, and the lists of containers that they are of.
const STATUSES: [(&str, &str); 3] = [
    ("containerStatuses", "containers"),
    ("initContainerStatuses", "initContainers"),
    ("ephemeralContainerStatuses", "ephemeralContainers"),
];

fn conditions(errors: &mut FieldErrors, status: &Value, path: &FieldPath) {
    for (i, condition) in status.array_at(&["conditions"]).iter().enumerate() {
        not_negative(errors, condition, &path.index(i));
        let condition_type = condition.str_at(&["type"]);
        if !["PodScheduled", "Ready", "Initialized"].contains(&condition_type) {
            qualified_name(errors, condition_type, &path.index(i).child("Type"));
        }
    }
}

fn not_negative(errors: &mut FieldErrors, holder: &Value, path: &FieldPath) {
    let observed = holder.i64_at(&["observedGeneration"]).unwrap_or(0);
    if observed < 0 {
        errors.invalid(&path.child("observedGeneration"), observed, "must be a non-negative integer");
    }
}

fn nominated(errors: &mut FieldErrors, object: &Value, old: &Value, path: &FieldPath) {
    let at = &["status", "nominatedNodeName"];
    let name = object.str_at(at);
    if name.is_empty() || name == old.str_at(at) {
        return;
    }
    dns_subdomain(errors, name, path);
    if !old.str_at(&["spec", "nodeName"]).is_empty() {
        errors.forbidden(path, "may not be set on pods that are already bound to a node");
    }
}
