//! The bodies of reviews: SubjectAccessReview, LocalSubjectAccessReview, SelfSubjectAccessReview, SelfSubjectReview.

use drydock_machinery::status::literal;
use drydock_machinery::{FieldErrors, FieldPath, Status, Value, value};

use crate::attributes::{Ask, Attributes, Decision};
use crate::selectors::{self, Asked};
use crate::user::UserInfo;

const GROUP: &str = "authorization.k8s.io";

/// Which review asks for access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessReview<'a> {
    /// `subjectaccessreviews`: about the user in its spec.
    Subject,
    /// `localsubjectaccessreviews`: about the user in its spec, in this namespace.
    Local { namespace: &'a str },
    /// `selfsubjectaccessreviews`: about this user, who asks.
    Own { user: &'a UserInfo },
}

/// Answers an access review with its status filled in.
///
/// # Errors
/// 422 when the spec does not say who or what.
pub async fn access_review(
    authorize: &dyn Ask,
    kind: AccessReview<'_>,
    mut review: Value,
) -> Result<Value, Status> {
    let spec = review.get("spec").cloned().unwrap_or_default();
    validate(kind, &review, &spec)?;
    let from_spec = UserInfo::from_value(&spec, "user");
    let user = if let AccessReview::Own { user } = kind { user } else { &from_spec };
    let asked = Asked::of(spec.get("resourceAttributes").unwrap_or(&Value::Null));
    let decision = authorize.ask(&attributes(user, &spec, &asked)).await;
    review.set(&["status"], status(&decision, &asked));
    Ok(review)
}

/// The answer to a SelfSubjectReview at `now` (RFC 3339).
pub fn self_subject_review(user: &UserInfo, api_version: &str, now: &str) -> Value {
    value!({
        "apiVersion": api_version,
        "kind": "SelfSubjectReview",
        "metadata": {"creationTimestamp": now},
        "status": {"userInfo": user.to_value()},
    })
}

fn attributes<'a>(user: &'a UserInfo, spec: &'a Value, asked: &'a Asked) -> Attributes<'a> {
    if let Some(paths) = spec.get("nonResourceAttributes").filter(|paths| !paths.is_null()) {
        return Attributes::path(user, paths.str_at(&["verb"]), paths.str_at(&["path"]));
    }
    let text = |field: &str| spec.str_at(&["resourceAttributes", field]);
    Attributes {
        version: Some(text("version")).filter(|version| !version.is_empty()).unwrap_or("*"),
        subresource: text("subresource"),
        name: text("name"),
        namespace: text("namespace"),
        field_selector: &asked.field,
        label_selector: &asked.label,
        ..Attributes::resource(user, text("verb"), text("group"), text("resource"))
    }
}

fn status(decision: &Decision, asked: &Asked) -> Value {
    let mut status = value!({"allowed": decision.is_allowed()});
    if matches!(decision, Decision::Deny { .. }) {
        status.set(&["denied"], true);
    }
    if !decision.reason().is_empty() {
        status.set(&["reason"], decision.reason());
    }
    let errors = Some(decision.evaluation_error()).filter(|error| !error.is_empty()).into_iter();
    let errors: Vec<&str> = errors.chain(asked.ignored.iter().map(String::as_str)).collect();
    if !errors.is_empty() {
        status.set(&["evaluationError"], errors.join("; "));
    }
    status
}

fn validate(kind: AccessReview<'_>, review: &Value, spec: &Value) -> Result<(), Status> {
    let mut errors = FieldErrors::new();
    let path = FieldPath::new("spec");
    let given = |field: &str| spec.get(field).filter(|value| !value.is_null());
    let (resource, paths) = (given("resourceAttributes"), given("nonResourceAttributes"));
    // Upstream shows the internal type, whose fields are called so.
    let shown = |paths: &Value| value!({"Path": paths.str_at(&["path"]), "Verb": paths.str_at(&["verb"])});

    match (resource, paths) {
        (Some(_), Some(paths)) => {
            let why = "cannot be specified in combination with resourceAttributes";
            errors.invalid(&path.child("nonResourceAttributes"), shown(paths), why);
        }
        (None, None) => {
            let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            errors.invalid(&path.child("resourceAttributes"), Value::Null, why);
        }
        _ => {}
    }
    if !matches!(kind, AccessReview::Own { .. })
        && spec.str_at(&["user"]).is_empty()
        && spec.array_at(&["groups"]).is_empty()
    {
        errors.invalid(&path.child("user"), "", "at least one of user or group must be specified");
    }
    selectors::validate(resource.unwrap_or(&Value::Null), &mut errors);
    if let AccessReview::Local { namespace } = kind {
        let asked = spec.str_at(&["resourceAttributes", "namespace"]);
        if resource.is_some() && asked != namespace {
            let field = path.child("resourceAttributes").child("namespace");
            errors.invalid(&field, asked, "must match metadata.namespace");
        }
        if let Some(paths) = paths {
            let why = "disallowed on this kind of request";
            errors.invalid(&path.child("nonResourceAttributes"), shown(paths), why);
        }
    }
    if let Some(metadata) = stray_metadata(kind, review) {
        let local = matches!(kind, AccessReview::Local { .. });
        let why = if local { "must be empty except for namespace" } else { "must be empty" };
        errors.invalid(&FieldPath::new("metadata"), metadata, why);
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(GROUP, "", "", &errors)) }
}

/// Metadata that a review does not take. The server's own additions are not the client's fault.
fn stray_metadata(kind: AccessReview<'_>, review: &Value) -> Option<Value> {
    const ORDER: [&str; 13] = [
        "name",
        "generateName",
        "namespace",
        "selfLink",
        "resourceVersion",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "labels",
        "annotations",
        "ownerReferences",
        "finalizers",
        "managedFields",
    ];
    let metadata = review.get("metadata")?;
    let is_local = matches!(kind, AccessReview::Local { .. });
    let given = ORDER.iter().filter(|field| !(is_local && **field == "namespace"));
    let given = given.filter_map(|field| Some((*field, metadata.get(field)?)));
    let given: Vec<(&str, &Value)> = given.collect();
    let is_stray = given.iter().any(|(field, _)| *field != "managedFields");
    is_stray.then(|| literal(in_order(&given)))
}

/// An object with its fields in this order, which is that of the Go struct.
fn in_order(fields: &[(&str, &Value)]) -> String {
    const ENTRY: [&str; 7] =
        ["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource"];
    let shown = fields.iter().map(|(field, value)| {
        let shown = match value {
            Value::Array(entries) if *field == "managedFields" => {
                let entries = entries.iter().map(|entry| {
                    let given = ENTRY.iter().filter_map(|field| Some((*field, entry.get(field)?)));
                    in_order(&given.collect::<Vec<_>>())
                });
                format!("[{}]", entries.collect::<Vec<_>>().join(","))
            }
            other => String::from_utf8_lossy(&other.to_json()).into_owned(),
        };
        format!("{field:?}:{shown}")
    });
    format!("{{{}}}", shown.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::policy;
    use crate::lookup::testing::Objects;

    async fn check(kind: AccessReview<'_>, spec: Value, expected: Result<Value, &str>) {
        let mut objects = Objects::default();
        for entry in policy() {
            objects.put(entry.resource, entry.object.clone());
        }
        let mut review = value!({"kind": "SubjectAccessReview"});
        review.set(&["spec"], spec);
        let authorizer = crate::Authorizer::new();
        let authorize = |attributes: &Attributes<'_>| authorizer.authorize(&objects, attributes);
        let answer = access_review(&authorize, kind, review).await;
        let answer = answer.map(|review| review.get("status").cloned().unwrap_or_default());
        assert_eq!(answer.map_err(|status| status.message), expected.map_err(str::to_owned));
    }

    #[tokio::test]
    async fn reviews_answer_and_complain_as_upstream_does() {
        let subject = AccessReview::Subject;
        check(
            subject,
            value!({"user": "u", "groups": ["system:masters"], "resourceAttributes": {"verb": "*", "resource": "*"}}),
            Ok(value!({"allowed": true})),
        )
        .await;
        check(
            subject,
            value!({
                "user": "u", "groups": ["system:unauthenticated"],
                "nonResourceAttributes": {"path": "/healthz", "verb": "get"},
            }),
            Ok(value!({
                "allowed": true,
                "reason": "RBAC: allowed by ClusterRoleBinding \"system:public-info-viewer\" of ClusterRole \
                    \"system:public-info-viewer\" to Group \"system:unauthenticated\"",
            })),
        )
        .await;
        check(
            subject,
            value!({"user": "u"}),
            Err(
                ".authorization.k8s.io \"\" is invalid: spec.resourceAttributes: Invalid value: null: exactly one of \
                nonResourceAttributes or resourceAttributes must be specified",
            ),
        )
        .await;
        check(
            subject,
            value!({"user": "u", "nonResourceAttributes": {"path": "/"}, "resourceAttributes": {"verb": "get"}}),
            Err(".authorization.k8s.io \"\" is invalid: spec.nonResourceAttributes: Invalid value: \
                {\"Path\":\"/\",\"Verb\":\"\"}: cannot be specified in combination with resourceAttributes"),
        )
        .await;
        check(
            AccessReview::Local { namespace: "ns" },
            value!({"user": "u", "resourceAttributes": {"namespace": "other", "verb": "list", "resource": "pods"}}),
            Err(
                ".authorization.k8s.io \"\" is invalid: spec.resourceAttributes.namespace: Invalid value: \"other\": must \
                match metadata.namespace",
            ),
        )
        .await;
        let user = UserInfo::new("u", &[]);
        check(
            AccessReview::Own { user: &user },
            value!({"resourceAttributes": {"verb": "delete", "resource": "secrets"}}),
            Ok(value!({"allowed": false})),
        )
        .await;
    }
}
