//! What a job's status may say.

use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::check::at_least_zero_at;
use crate::shape::{has, shown};

pub(super) fn validate(errors: &mut FieldErrors, object: &Value, old: &Value) {
    let path = FieldPath::new("status");
    let status = shown(object, &["status"]);
    for field in ["active", "succeeded", "failed", "ready", "terminating"] {
        at_least_zero_at(errors, &status, &[field], &path.child(field));
    }
    let count = |field: &str| status.i64_at(&[field]).unwrap_or(0);
    if has(object, &["status", "ready"]) && count("ready") > count("active") {
        errors.invalid(&path.child("ready"), count("ready"), "cannot set more ready pods than active");
    }
    let condition = |object: &Value, wanted: &str| {
        object
            .array_at(&["status", "conditions"])
            .iter()
            .any(|condition| condition.str_at(&["type"]) == wanted && condition.str_at(&["status"]) == "True")
    };
    let (complete, failed) = (condition(object, "Complete"), condition(object, "Failed"));
    if complete && !condition(old, "Complete") {
        if !has(&status, &["completionTime"]) {
            errors.required(&path.child("completionTime"), "completionTime is required for Complete jobs");
        }
        if !condition(object, "SuccessCriteriaMet") {
            let detail = "cannot set Complete=True condition without the SuccessCriteriaMet=true condition";
            errors.invalid(&path.child("conditions"), shown(&status, &["conditions"]), detail);
        }
    }
    if failed && !condition(old, "Failed") && !condition(object, "FailureTarget") {
        let detail = "cannot set Failed=True condition without the FailureTarget=true condition";
        errors.invalid(&path.child("conditions"), shown(&status, &["conditions"]), detail);
    }
    if complete && failed {
        let detail = "cannot set Complete=True and Failed=true conditions";
        errors.invalid(&path.child("conditions"), shown(&status, &["conditions"]), detail);
    }
    if (complete || failed) && !has(&status, &["startTime"]) {
        errors.required(&path.child("startTime"), "startTime is required for finished job");
    }
    if has(&status, &["completionTime"]) && !complete {
        let detail = "cannot set completionTime when there is no Complete=True condition";
        errors.invalid(&path.child("completionTime"), shown(&status, &["completionTime"]), detail);
    }
}
