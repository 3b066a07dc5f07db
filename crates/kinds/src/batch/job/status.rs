//! What a job's status may say.

use std::collections::HashSet;

use drydock_machinery::status::{FieldError, FieldErrorKind};
use drydock_machinery::{FieldErrors, FieldPath, Value};
use jiff::Timestamp;

use super::indexes;
use crate::check::{IMMUTABLE, at_least_zero_each};
use crate::go_form;
use crate::shape::{has, present, same, shown};

/// Two states of a job, and what has changed between them: most rules look only at what an update touches.
struct Update<'a> {
    new: &'a Value,
    old: &'a Value,
}

impl Update<'_> {
    fn changed(&self, field: &str) -> bool {
        let at = ["status", field];
        !same(self.new.at(&at), self.old.at(&at))
    }

    fn is(&self, condition: &str) -> bool {
        is_true(self.new, condition)
    }

    fn was(&self, condition: &str) -> bool {
        is_true(self.old, condition)
    }

    fn turned(&self, condition: &str) -> bool {
        self.is(condition) != self.was(condition)
    }

    fn finished(&self) -> bool {
        self.is("Complete") || self.is("Failed")
    }

    fn turned_finished(&self) -> bool {
        self.finished() != (self.was("Complete") || self.was("Failed"))
    }

    fn count(&self, field: &str) -> i64 {
        self.new.i64_at(&["status", field]).unwrap_or(0)
    }

    fn text(&self, field: &str) -> &str {
        self.new.str_at(&["status", field])
    }

    fn value(&self, field: &str) -> Value {
        shown(self.new, &["status", field])
    }
}

fn condition_is(job: &Value, wanted: &str, status: &str) -> bool {
    let conditions = job.array_at(&["status", "conditions"]);
    conditions.iter().any(|c| c.str_at(&["type"]) == wanted && c.str_at(&["status"]) == status)
}

pub(super) fn is_true(job: &Value, wanted: &str) -> bool {
    condition_is(job, wanted, "True")
}

/// An error of the conditions, whose value is too long to be shown.
fn conditions(errors: &mut FieldErrors, detail: impl Into<String>) {
    errors.push(FieldError {
        kind: FieldErrorKind::InvalidShown,
        field: "status.conditions".to_owned(),
        value: None,
        detail: detail.into(),
    });
}

/// `ValidateJobStatusUpdate`.
pub(super) fn validate(errors: &mut FieldErrors, object: &Value, old: &Value) {
    let update = Update { new: object, old };
    let path = FieldPath::new("status");
    counts(errors, object, &path);
    ends(errors, &update, &path);
    finished(errors, &update, &path);
    index_sets(errors, &update, &path);
    if (update.changed("terminating") || update.turned_finished())
        && update.count("terminating") > 0
        && update.finished()
    {
        let detail = "terminating>0 is invalid for finished job";
        errors.invalid(&path.child("terminating"), update.count("terminating"), detail);
    }
    if (update.changed("ready") || update.changed("active"))
        && has(object, &["status", "ready"])
        && update.count("ready") > update.count("active")
    {
        let detail = "cannot set more ready pods than active";
        errors.invalid(&path.child("ready"), update.count("ready"), detail);
    }
    if update.is("SuccessCriteriaMet") {
        for other in ["Failed", "FailureTarget"].into_iter().filter(|other| update.is(other)) {
            conditions(errors, format!("cannot set SuccessCriteriaMet=True and {other}=true conditions"));
        }
    } else if has(object, &["spec", "successPolicy"]) && update.is("Complete") {
        let detail = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True";
        conditions(errors, detail);
    }
    no_way_back(errors, &update, &path);
}

fn counts(errors: &mut FieldErrors, object: &Value, path: &FieldPath) {
    let status = shown(object, &["status"]);
    at_least_zero_each(errors, &status, &["active", "succeeded", "failed", "ready", "terminating"], path);
    let mut seen = HashSet::new();
    for list in ["succeeded", "failed"] {
        let uids = status.array_at(&["uncountedTerminatedPods", list]).iter().filter_map(Value::as_str);
        for (i, uid) in uids.enumerate() {
            let path = path.child("uncountedTerminatedPods").child(list).index(i);
            if uid.is_empty() {
                errors.invalid(&path, uid, "must not be empty");
            } else if !seen.insert(uid) {
                errors.duplicate(&path, uid);
            }
        }
    }
}

/// What goes with being complete or failed.
fn ends(errors: &mut FieldErrors, update: &Update<'_>, path: &FieldPath) {
    let (complete, failed) = (update.is("Complete"), update.is("Failed"));
    let completion = update.value("completionTime");
    let completion_path = path.child("completionTime");
    let touched = update.turned("Complete") || update.changed("completionTime");
    if complete && failed && (update.turned("Complete") || update.turned("Failed")) {
        conditions(errors, "cannot set Complete=True and Failed=true conditions");
    }
    if complete && update.is("FailureTarget") && (update.turned("Complete") || update.turned("FailureTarget"))
    {
        conditions(errors, "cannot set Complete=True and FailureTarget=true conditions");
    }
    if touched && !completion.is_null() && !complete {
        let detail = "cannot set completionTime when there is no Complete=True condition";
        errors.invalid(&completion_path, completion.clone(), detail);
    }
    if touched && completion.is_null() && complete {
        errors.required(&completion_path, "completionTime is required for Complete jobs");
    }
    let time = |field: &str| update.text(field).parse::<Timestamp>().ok();
    if (update.changed("startTime") || update.changed("completionTime"))
        && let (Some(start), Some(end)) = (time("startTime"), time("completionTime"))
        && end < start
    {
        errors.invalid(&completion_path, completion, "must be equal to or after `startTime`");
    }
    if (update.turned("Failed") || update.changed("failedIndexes")) && failed && !update.is("FailureTarget") {
        conditions(errors, "cannot set Failed=True condition without the FailureTarget=true condition");
    }
    if (update.turned("Complete") || update.turned("SuccessCriteriaMet"))
        && complete
        && !update.is("SuccessCriteriaMet")
    {
        conditions(
            errors,
            "cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
        );
    }
}

fn finished(errors: &mut FieldErrors, update: &Update<'_>, path: &FieldPath) {
    if !update.finished() {
        return;
    }
    let turned = update.turned_finished();
    if (turned || update.changed("active")) && update.count("active") > 0 {
        let detail = "active>0 is invalid for finished job";
        errors.invalid(&path.child("active"), update.count("active"), detail);
    }
    let nothing_to_do =
        update.new.bool_at(&["spec", "suspend"]) && update.new.i64_at(&["spec", "completions"]) == Some(0);
    if (turned || update.changed("startTime")) && !nothing_to_do && update.text("startTime").is_empty() {
        errors.required(&path.child("startTime"), "startTime is required for finished job");
    }
    let uncounted = update.value("uncountedTerminatedPods");
    let some = ["succeeded", "failed"].iter().any(|list| !uncounted.array_at(&[list]).is_empty());
    if (turned || update.changed("uncountedTerminatedPods")) && some {
        let shown = go_form::of("UncountedTerminatedPods", &uncounted);
        errors.invalid(&path.child("uncountedTerminatedPods"), shown, "must be empty for finished job");
    }
}

fn index_sets(errors: &mut FieldErrors, update: &Update<'_>, path: &FieldPath) {
    let spec = |field: &str| present(update.new, &["spec", field]);
    let completions = spec("completions").and_then(Value::as_i64);
    let (completed, failed) = (update.text("completedIndexes"), update.text("failedIndexes"));
    let (completed_path, failed_path) = (path.child("completedIndexes"), path.child("failedIndexes"));
    let has_failed = has(update.new, &["status", "failedIndexes"]);
    let (completed_changed, failed_changed) =
        (update.changed("completedIndexes"), update.changed("failedIndexes"));
    if let (true, Some(completions)) = (completed_changed, completions)
        && let Err(why) = indexes::count(completed, completions)
    {
        errors.invalid(&completed_path, completed, format!("error parsing completedIndexes: {why}"));
    }
    let limited = spec("backoffLimitPerIndex").is_some();
    if let (true, Some(completions)) = (failed_changed && limited && has_failed, completions)
        && let Err(why) = indexes::count(failed, completions)
    {
        errors.invalid(&failed_path, failed, format!("error parsing failedIndexes: {why}"));
    }
    let indexed = update.new.str_at(&["spec", "completionMode"]) == "Indexed";
    if completed_changed && !completed.is_empty() && !indexed {
        let detail = "cannot set non-empty completedIndexes when non-indexed completion mode";
        errors.invalid(&completed_path, completed, detail);
    }
    if failed_changed && !limited && has_failed {
        let detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
        errors.invalid(&failed_path, failed, detail);
    }
    if let (true, Some(completions)) = (has_failed && (failed_changed || completed_changed), completions)
        && let Some(index) = indexes::overlap(completed, failed, completions)
    {
        let detail = format!("failedIndexes and completedIndexes overlap at index: {index}");
        errors.invalid(&failed_path, failed, detail);
    }
}

/// What a job that went so far never undoes.
fn no_way_back(errors: &mut FieldErrors, update: &Update<'_>, path: &FieldPath) {
    for condition in ["Failed", "Complete", "FailureTarget"] {
        if update.was(condition) && !update.is(condition) {
            conditions(errors, format!("cannot disable the terminal {condition}=True condition"));
        }
    }
    let spec = |field: &str| update.new.at(&["spec", field]).and_then(Value::as_i64);
    let elastic = update.new.str_at(&["spec", "completionMode"]) == "Indexed"
        && spec("completions") == spec("parallelism");
    for field in ["failed", "succeeded"] {
        let before = update.old.i64_at(&["status", field]).unwrap_or(0);
        if update.count(field) < before && (field == "failed" || !elastic) {
            let detail = format!("cannot decrease the {field} counter");
            errors.invalid(&path.child(field), update.count(field), detail);
        }
    }
    let had = |field: &str| has(update.old, &["status", field]);
    let ended = "completionTime";
    if had(ended) && has(update.new, &["status", ended]) && update.changed(ended) {
        errors.invalid(&path.child(ended), update.value(ended), IMMUTABLE);
    }
    let resuming = update.was("Suspended") && condition_is(update.new, "Suspended", "False");
    let started = "startTime";
    if update.changed(started) && had(started) && !resuming && !update.new.bool_at(&["spec", "suspend"]) {
        let detail = "field is immutable for unsuspended job once set";
        errors.invalid(&path.child(started), update.value(started), detail);
    }
    let met = "SuccessCriteriaMet";
    if update.was(met) && !update.is(met) {
        conditions(errors, "cannot disable the SuccessCriteriaMet=True condition");
    }
    if update.was("Complete") && !update.was(met) && update.is(met) {
        let detail = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
        conditions(errors, detail);
    }
}
