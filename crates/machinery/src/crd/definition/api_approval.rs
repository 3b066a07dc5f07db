//! Groups of the Kubernetes community need its approval.

use crate::object::ObjectMeta as _;
use crate::status::{FieldErrors, FieldPath};
use crate::value::Value;

const ANNOTATION: &str = "api-approved.kubernetes.io";
const PULL_REQUEST: &str = "https://github.com/kubernetes/enhancements/pull/1111";

#[derive(PartialEq, Eq)]
enum Approval {
    Missing,
    Bypassed,
    Approved,
    Invalid,
}

pub(super) fn validate(errors: &mut FieldErrors, definition: &Value, old: Option<&Value>) {
    let group = definition.str_at(&["spec", "group"]);
    let protected =
        ["k8s.io", "kubernetes.io"].iter().any(|g| group == *g || group.ends_with(&format!(".{g}")));
    let state = approval(definition);
    if !protected || old.is_some_and(|old| approval(old) == state) {
        return;
    }
    let path = FieldPath::new("metadata").child("annotations").key(ANNOTATION);
    match state {
        Approval::Bypassed | Approval::Approved => {}
        Approval::Missing => errors.required(
            &path,
            format!("protected groups must have approval annotation {ANNOTATION:?}, see {PULL_REQUEST}"),
        ),
        Approval::Invalid => errors.invalid(
            &path,
            definition.annotation(ANNOTATION).unwrap_or(""),
            format!(
                "protected groups must have approval annotation {ANNOTATION:?} with either a URL or a reason starting \
                 with \"unapproved\", see {PULL_REQUEST}"
            ),
        ),
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
