//! AdmissionReview: what a webhook is asked, and what it answers.

use drydock_machinery::status::Reason;
use drydock_machinery::{GroupVersionKind, GroupVersionResource, Status, Value, value};

use super::super::AdmissionRequest;
use super::super::versions::{Matched, Versioned};

/// What a webhook answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) allowed: bool,
    pub(super) warnings: Vec<String>,
    /// A JSON patch in base64.
    pub(super) patch: Option<String>,
    status: Value,
    audit: Vec<(String, String)>,
}

/// The AdmissionReview that asks about `request`, which is about `matched` to the webhook.
pub(super) fn request(
    request: &AdmissionRequest<'_>,
    matched: &Matched,
    versioned: &Versioned,
    version: &str,
) -> Value {
    let null_if_none = |object: &Option<Value>| object.clone().unwrap_or_default();
    let mut body = value!({
        "uid": uuid::Uuid::new_v4().to_string(), "operation": request.operation.as_str(),
        "dryRun": request.dry_run,
    });
    body.set(&["kind"], kind(&matched.kind));
    body.set(&["requestKind"], kind(request.kind));
    body.set(&["resource"], resource(&matched.resource));
    body.set(&["requestResource"], resource(request.resource));
    body.set(&["userInfo"], request.user.to_value());
    body.set(&["object"], null_if_none(&versioned.object));
    body.set(&["oldObject"], null_if_none(&versioned.old));
    body.set(&["options"], request.options_object());
    for (field, text) in [
        ("name", request.name.as_str()),
        ("namespace", request.shown_namespace()),
        ("subResource", request.subresource),
        ("requestSubResource", request.subresource),
    ] {
        if !text.is_empty() {
            body.set(&[field], text);
        }
    }
    let mut review = value!({"kind": "AdmissionReview"});
    review.set(&["apiVersion"], format!("admission.k8s.io/{version}"));
    review.set(&["request"], body);
    review
}

fn kind(kind: &GroupVersionKind) -> Value {
    value!({"group": kind.group, "version": kind.version, "kind": kind.kind})
}

fn resource(resource: &GroupVersionResource) -> Value {
    value!({"group": resource.group, "version": resource.version, "resource": resource.resource})
}

/// Reads the answer to `asked`.
///
/// # Errors
/// When it is no answer to it.
pub(super) fn read(answer: &Value, asked: &Value) -> Result<Answer, String> {
    let version = asked.str_at(&["apiVersion"]);
    let Some(response) = answer.get("response").filter(|response| !response.is_null()) else {
        return Err("webhook response did not have expected AdmissionReview response".to_owned());
    };
    let uid = asked.str_at(&["request", "uid"]);
    // The first version of the protocol did not ask for these.
    if version == "admission.k8s.io/v1" {
        let got = (answer.str_at(&["apiVersion"]), answer.str_at(&["kind"]));
        if got != (version, "AdmissionReview") {
            return Err(format!(
                "expected response of {version}, Kind=AdmissionReview, got {}, Kind={}",
                got.0, got.1
            ));
        }
        if response.str_at(&["uid"]) != uid {
            return Err(format!("expected response.uid={uid:?}, got {:?}", response.str_at(&["uid"])));
        }
    }
    let patch = response.str_at(&["patch"]);
    Ok(Answer {
        allowed: response.bool_at(&["allowed"]),
        warnings: response
            .array_at(&["warnings"])
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        patch: (!patch.is_empty()).then(|| patch.to_owned()),
        audit: response
            .object_at(&["auditAnnotations"])
            .iter()
            .map(|(key, value)| (key.to_string(), value.as_str().unwrap_or("").to_owned()))
            .collect(),
        status: response.get("status").cloned().unwrap_or_default(),
    })
}

impl Answer {
    /// Passes on what the webhook has to say beside its decision.
    pub(super) fn tell(self, webhook: &str, request: &mut AdmissionRequest<'_>) {
        request.warnings.extend(self.warnings);
        request.audit.extend(self.audit.into_iter().map(|(key, value)| (format!("{webhook}/{key}"), value)));
    }

    /// The refusal as the client sees it.
    pub(super) fn into_status(self, webhook: &str) -> Status {
        let denied = format!("admission webhook {webhook:?} denied the request");
        let (message, reason) = (self.status.str_at(&["message"]), self.status.str_at(&["reason"]));
        let text = match (message, reason) {
            ("", "") => format!("{denied} without explanation"),
            ("", reason) => format!("{denied}: {reason}"),
            (message, _) => format!("{denied}: {message}"),
        };
        let code = self.status.i64_at(&["code"]).and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
        let mut status = Status::new(code.max(400), Reason::parse(reason), text);
        let mut shaped = self.status.clone();
        shaped.set(&["kind"], "Status");
        status.details = Status::from_value(&shaped).and_then(|given| given.details);
        status
    }
}
