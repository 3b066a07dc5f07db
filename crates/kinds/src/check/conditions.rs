//! `metav1.Condition`: what any kind's conditions must look like.

use drydock_machinery::{FieldErrors, FieldPath, Value};
use foldhash::HashSet;

use super::{one_of_given, qualified_name};
use crate::shape::has;

const STATUSES: [&str; 3] = ["False", "True", "Unknown"];
const REASON: &str = "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')";

/// `ValidateConditions`: of each type one.
pub(crate) fn conditions(errors: &mut FieldErrors, conditions: &[Value], path: &FieldPath) {
    let mut seen = HashSet::default();
    for (i, given) in conditions.iter().enumerate() {
        let path = path.index(i);
        let condition_type = given.str_at(&["type"]);
        if !seen.insert(condition_type) {
            errors.duplicate(&path.child("type"), condition_type);
        }
        qualified_name(errors, condition_type, &path.child("type"));
        condition(errors, given, &path);
    }
}

fn condition(errors: &mut FieldErrors, condition: &Value, path: &FieldPath) {
    one_of_given(errors, condition.str_at(&["status"]), &STATUSES, &path.child("status"));
    let observed = condition.i64_at(&["observedGeneration"]).unwrap_or(0);
    if observed < 0 {
        let detail = "must be greater than or equal to zero";
        errors.invalid(&path.child("observedGeneration"), observed, detail);
    }
    if !has(condition, &["lastTransitionTime"]) {
        errors.required(&path.child("lastTransitionTime"), "");
    }
    let (path, message) = (path.child("reason"), path.child("message"));
    let reason = condition.str_at(&["reason"]);
    if reason.is_empty() {
        errors.required(&path, "");
    } else {
        if !is_reason(reason) {
            errors.invalid(&path, reason, REASON);
        }
        if reason.len() > 1024 {
            errors.too_long(&path, 1024);
        }
    }
    if condition.str_at(&["message"]).len() > 32 * 1024 {
        errors.too_long(&message, 32 * 1024);
    }
}

fn is_reason(reason: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    reason.bytes().all(|b| word(b) || b == b',' || b == b':')
        && reason.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
        && reason.bytes().last().is_some_and(word)
}

#[cfg(test)]
mod tests {
    use super::is_reason;

    #[test]
    fn reasons_are_words() {
        assert!(["A", "ReasonA:ReasonB", "My_1"].into_iter().all(is_reason));
        assert!(!["1a", "bad reason", "a:", ""].into_iter().any(is_reason));
    }
}
