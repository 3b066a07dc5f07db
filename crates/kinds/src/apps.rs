//! apps: Deployment, ReplicaSet, StatefulSet, DaemonSet, ControllerRevision.

mod controller_revision;
mod daemon_set;
mod deployment;
mod replica_set;
mod stateful_set;

use drydock_machinery::selector::Selector;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::check::labels_shown;
use crate::kind::Kind;
use crate::pod::template;
use crate::shape::shown;

pub(crate) use self::replica_set::replica_status;

pub(crate) const KINDS: &[&Kind] = &[
    &controller_revision::KIND,
    &daemon_set::KIND,
    &deployment::KIND,
    &replica_set::KIND,
    &stateful_set::KIND,
];

/// What the selector of a controller does.
fn selector(spec: &Value) -> Option<Selector> {
    Selector::from_label_selector(spec.get("selector").filter(|selector| !selector.is_null())).ok()
}

/// Adds an error when the template's labels are not what the selector selects.
pub(crate) fn selector_matches_template(
    errors: &mut FieldErrors,
    selector: &Selector,
    template: &Value,
    path: &FieldPath,
) {
    let labels = template.object_at(&["metadata", "labels"]);
    // An empty selector selects everything for the machinery, but nothing of a controller's.
    if !selector.is_everything() && !selector.matches(labels) {
        let path = path.child("metadata").child("labels");
        errors.invalid(&path, labels_shown(labels), "`selector` does not match template `labels`");
    }
}

/// Labels of a template, and the pods it makes; these must always be restarted.
fn replicated_template(errors: &mut FieldErrors, spec: &Value, selector: &Selector, path: &FieldPath) {
    let template = shown(spec, &["template"]);
    selector_matches_template(errors, selector, &template, path);
    template::validate(errors, &template, path);
    let policy = template.str_at(&["spec", "restartPolicy"]);
    if policy != "Always" {
        errors.not_supported(&path.child("spec").child("restartPolicy"), policy, &["Always"]);
    }
    if template.i64_at(&["spec", "activeDeadlineSeconds"]).is_some() {
        errors.forbidden(
            &path.child("spec").child("activeDeadlineSeconds"),
            "activeDeadlineSeconds in ReplicaSet is not Supported",
        );
    }
}

/// A selector that must be there and select something.
fn required_selector(errors: &mut FieldErrors, spec: &Value, path: &FieldPath, of: &str) {
    match spec.get("selector").filter(|selector| !selector.is_null()) {
        None => errors.required(path, ""),
        Some(selector) => {
            crate::check::label_selector(errors, selector, path);
            if crate::shape::is_zero(selector.get("matchLabels"))
                && crate::shape::is_zero(selector.get("matchExpressions"))
            {
                errors.invalid(path, selector.clone(), format!("empty selector is invalid for {of}"));
            }
        }
    }
}

/// A status's count of collisions neither goes down nor goes away.
fn collision_count(errors: &mut FieldErrors, object: &Value, old: &Value) {
    let at = &["status", "collisionCount"];
    let (new, old) = (object.i64_at(at), old.i64_at(at));
    if old.is_some_and(|old| new.is_none_or(|new| new < old)) {
        let path = FieldPath::new("status").child("collisionCount");
        errors.invalid(&path, new.unwrap_or(0), "cannot be decremented");
    }
}
