//! apps: Deployment, ReplicaSet, StatefulSet, DaemonSet, ControllerRevision.

mod controller_revision;
mod daemon_set;
mod deployment;
mod replica_set;
mod stateful_set;

pub use daemon_set::TEMPLATE_GENERATION;
use drydock_machinery::selector::Selector;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::check::{label_selector, one_of_given};
use crate::go_form;
use crate::kind::Kind;
use crate::pod::template;
use crate::shape::{is_zero, shown};

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
        let given = shown(template, &["metadata", "labels"]);
        errors.invalid(&path, given, "`selector` does not match template `labels`");
    }
}

/// The selector of a Deployment or a ReplicaSet, and its template, whose pods must always be restarted. Upstream calls
/// both deployments.
fn replicated_template(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let at = path.child("selector");
    required_selector(errors, spec, &at, "deployment");
    let Some(selector) = selector(spec) else {
        let given = go_form::label_selector(&shown(spec, &["selector"]));
        return errors.invalid(&at, given, "invalid label selector");
    };
    let (template, path) = (shown(spec, &["template"]), path.child("template"));
    selector_matches_template(errors, &selector, &template, &path);
    template::validate(errors, &template, &path);
    runs_always(errors, &template, &path, "ReplicaSet");
}

/// The pods of a controller of this kind restart always, and have no deadline.
pub(crate) fn runs_always(errors: &mut FieldErrors, template: &Value, path: &FieldPath, kind: &str) {
    let path = path.child("spec");
    one_of_given(
        errors,
        template.str_at(&["spec", "restartPolicy"]),
        &["Always"],
        &path.child("restartPolicy"),
    );
    if template.i64_at(&["spec", "activeDeadlineSeconds"]).is_some() {
        let detail = format!("activeDeadlineSeconds in {kind} is not Supported");
        errors.forbidden(&path.child("activeDeadlineSeconds"), detail);
    }
}

/// A selector that must be there and select something.
fn required_selector(errors: &mut FieldErrors, spec: &Value, path: &FieldPath, of: &str) {
    match spec.get("selector").filter(|selector| !selector.is_null()) {
        None => errors.required(path, ""),
        Some(selector) => {
            label_selector(errors, selector, path);
            not_empty(errors, selector, path, of);
        }
    }
}

fn not_empty(errors: &mut FieldErrors, selector: &Value, path: &FieldPath, of: &str) {
    if is_zero(selector.get("matchLabels")) && is_zero(selector.get("matchExpressions")) {
        errors.invalid(
            path,
            go_form::label_selector(selector),
            format!("empty selector is invalid for {of}"),
        );
    }
}

/// The first count of a status is no more than the second, which a message calls `shown`.
fn no_more_than(
    errors: &mut FieldErrors,
    status: &Value,
    [field, most]: [&str; 2],
    shown: &str,
    path: &FieldPath,
) {
    let count = |field: &str| status.i64_at(&[field]).unwrap_or(0);
    if count(field) > count(most) {
        errors.invalid(&path.child_named(field), count(field), format!("cannot be greater than {shown}"));
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
