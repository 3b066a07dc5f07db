//! Lists of conditions in a status.

use drydock_machinery::{Value, value};

/// The condition of a type in `status.conditions`.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object.array_at(&["status", "conditions"]).iter().find(|c| c.str_at(&["type"]) == kind)
}

/// The condition's `status`, or "".
pub(crate) fn condition_status<'a>(object: &'a Value, kind: &str) -> &'a str {
    condition(object, kind).map_or("", |condition| condition.str_at(&["status"]))
}

pub(crate) fn is_true(object: &Value, kind: &str) -> bool {
    condition_status(object, kind) == "True"
}

/// A condition as deployments, replica sets and most others have it.
pub(crate) fn new(kind: &str, status: &str, reason: &str, message: &str, now: &str) -> Value {
    let mut condition = value!({"type": kind, "status": status, "lastTransitionTime": now});
    if !reason.is_empty() {
        condition.set(&["reason"], reason);
    }
    if !message.is_empty() {
        condition.set(&["message"], message);
    }
    condition
}

/// Puts `condition` at the end of `status.conditions`, in place of the one of its type. When that has the same status
/// and reason, nothing changes; when the status alone is the same, the transition time is kept.
pub(crate) fn set_by_reason(object: &mut Value, mut condition: Value) -> bool {
    let kind = condition.str_at(&["type"]).to_owned();
    if let Some(old) = self::condition(object, &kind) {
        if same(old, &condition, &["status", "reason"]) {
            return false;
        }
        keep_transition(old, &mut condition);
    }
    remove(object, &kind);
    push(object, condition);
    true
}

/// Writes `condition` in the place of the one of its type, or at the end. The transition time is kept when the status
/// is. True when anything changed.
pub(crate) fn set_in_place(object: &mut Value, mut condition: Value) -> bool {
    let kind = condition.str_at(&["type"]).to_owned();
    if let Some(old) = self::condition(object, &kind) {
        keep_transition(old, &mut condition);
        if *old == condition {
            return false;
        }
        if let Some(items) = object.at_mut(&["status", "conditions"]).as_array_mut() {
            for item in items.make_mut().iter_mut().filter(|item| item.str_at(&["type"]) == kind) {
                *item = condition.clone();
            }
        }
        return true;
    }
    push(object, condition);
    true
}

/// True when there was one.
pub(crate) fn remove(object: &mut Value, kind: &str) -> bool {
    if condition(object, kind).is_none() {
        return false;
    }
    if let Some(items) = object.at_mut(&["status", "conditions"]).as_array_mut() {
        items.retain(|item| item.str_at(&["type"]) != kind);
        if items.is_empty() {
            object.remove(&["status", "conditions"]);
        }
    }
    true
}

fn push(object: &mut Value, condition: Value) {
    let list = object.at_mut(&["status", "conditions"]);
    match list.as_array_mut() {
        Some(items) => items.push(condition),
        None => *list = Value::from(vec![condition]),
    }
}

fn same(a: &Value, b: &Value, fields: &[&str]) -> bool {
    fields.iter().all(|field| a.str_at(&[field]) == b.str_at(&[field]))
}

fn keep_transition(old: &Value, new: &mut Value) {
    if same(old, new, &["status"])
        && let Some(time) = old.get("lastTransitionTime")
    {
        new.set(&["lastTransitionTime"], time.clone());
    }
}
