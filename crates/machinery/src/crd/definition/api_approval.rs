//! Groups of the Kubernetes community need its approval.

use crate::object::ObjectMeta as _;
use crate::status::{FieldErrors, FieldPath};
use crate::value::Value;

const ANNOTATION: &str = "api-approved.kubernetes.io";
const PULL_REQUEST: &str = "https://github.com/kubernetes/enhancements/pull/1111";

/// What the annotation says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Approval {
    Missing,
    Bypassed,
    Approved,
    Invalid,
}

/// Whether a definition's group was approved, for its conditions: a status, a reason and a message. None for groups
/// that need no approval.
pub fn approval_condition(definition: &Value) -> Option<(&'static str, &'static str, String)> {
    if !is_protected(definition) {
        return None;
    }
    let text = definition.annotation(ANNOTATION).unwrap_or("");
    Some(match approval(definition) {
        Approval::Approved => ("True", "ApprovedAnnotation", format!("approved in {text}")),
        Approval::Bypassed => ("False", "UnapprovedAnnotation", format!("not approved: {text:?}")),
        Approval::Missing => ("False", "MissingAnnotation", missing()),
        Approval::Invalid => ("False", "InvalidAnnotation", invalid()),
    })
}

fn is_protected(definition: &Value) -> bool {
    let group = definition.str_at(&["spec", "group"]);
    ["k8s.io", "kubernetes.io"].iter().any(|g| group == *g || group.ends_with(&format!(".{g}")))
}

fn missing() -> String {
    format!("protected groups must have approval annotation {ANNOTATION:?}, see {PULL_REQUEST}")
}

fn invalid() -> String {
    format!(
        "protected groups must have approval annotation {ANNOTATION:?} with either a URL or a reason starting with \
         \"unapproved\", see {PULL_REQUEST}"
    )
}

pub(super) fn validate(errors: &mut FieldErrors, definition: &Value, old: Option<&Value>) {
    let state = approval(definition);
    if !is_protected(definition) || old.is_some_and(|old| approval(old) == state) {
        return;
    }
    let path = FieldPath::new("metadata").child("annotations").key(ANNOTATION);
    match state {
        Approval::Bypassed | Approval::Approved => {}
        Approval::Missing => errors.required(&path, missing()),
        Approval::Invalid => {
            errors.invalid(&path, definition.annotation(ANNOTATION).unwrap_or(""), invalid());
        }
    }
}

fn approval(definition: &Value) -> Approval {
    match definition.annotation(ANNOTATION).unwrap_or("") {
        "" => Approval::Missing,
        text if text.starts_with("unapproved") => Approval::Bypassed,
        text => match text.split_once("://") {
            Some((scheme, rest)) if !scheme.is_empty() && !rest.is_empty() && !rest.starts_with('/') => {
                Approval::Approved
            }
            _ => Approval::Invalid,
        },
    }
}
