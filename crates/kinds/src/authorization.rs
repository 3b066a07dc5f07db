//! authorization.k8s.io and authentication.k8s.io: reviews that are answered, not stored.

use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value};

use crate::check::token_lifetime;
use crate::go_form;
use crate::shape::present;

/// A SubjectAccessReview, LocalSubjectAccessReview or SelfSubjectAccessReview.
pub fn validate_subject_access_review(review: &Value) -> FieldErrors {
    let mut errors = FieldErrors::new();
    let path = FieldPath::new("spec");
    let kind = review.kind();
    let (resource, other) = (
        present(review, &["spec", "resourceAttributes"]),
        present(review, &["spec", "nonResourceAttributes"]),
    );
    match (resource, other) {
        (Some(_), Some(other)) if kind != "LocalSubjectAccessReview" => {
            let detail = "cannot be specified in combination with resourceAttributes";
            errors.invalid(&path.child("nonResourceAttributes"), non_resource(other), detail);
        }
        (None, None) => {
            let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            errors.invalid(&path.child("resourceAttributes"), Value::Null, detail);
        }
        _ => {}
    }
    if kind != "SelfSubjectAccessReview"
        && review.str_at(&["spec", "user"]).is_empty()
        && review.array_at(&["spec", "groups"]).is_empty()
    {
        errors.invalid(&path.child("user"), "", "at least one of user or group must be specified");
    }
    if kind == "LocalSubjectAccessReview" {
        let namespace = review.str_at(&["spec", "resourceAttributes", "namespace"]);
        if resource.is_some() && namespace != review.namespace() {
            let path = path.child("resourceAttributes").child("namespace");
            errors.invalid(&path, namespace, "must match metadata.namespace");
        }
        if let Some(other) = other {
            let path = path.child("nonResourceAttributes");
            errors.invalid(&path, non_resource(other), "disallowed on this kind of request");
        }
    }
    errors
}

fn non_resource(attributes: &Value) -> Value {
    go_form::struct_of(&[
        ("Path", attributes.str_at(&["path"]).into()),
        ("Verb", attributes.str_at(&["verb"]).into()),
    ])
}

/// A TokenRequest for a service account.
pub fn validate_token_request(request: &Value) -> FieldErrors {
    let mut errors = FieldErrors::new();
    let path = FieldPath::new("spec").child("expirationSeconds");
    let seconds = request.i64_at(&["spec", "expirationSeconds"]).unwrap_or(3600);
    token_lifetime(&mut errors, seconds, &path);
    errors
}
