//! AdmissionReview: what a webhook is asked, and what it answers.

use drydock_machinery::status::Reason;
use drydock_machinery::{GroupVersionKind, Status, Value, value};

use super::super::{AdmissionRequest, Operation};

/// What a webhook answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) allowed: bool,
    pub(super) warnings: Vec<String>,
    /// A JSON patch in base64.
    pub(super) patch: Option<String>,
    status: Value,
}

/// The AdmissionReview that asks about `request`.
pub(super) fn request(request: &AdmissionRequest<'_>, version: &str) -> Value {
    let GroupVersionKind { group, version: kind_version, kind } = request.kind;
    let kind = value!({"group": group, "version": kind_version, "kind": kind});
    let resource = value!({"group": request.resource.group, "version": request.resource.version,
        "resource": request.resource.resource});
    let (operation, options_kind) = match request.operation {
        Operation::Create => ("CREATE", "CreateOptions"),
        Operation::Update => ("UPDATE", "UpdateOptions"),
        Operation::Delete => ("DELETE", "DeleteOptions"),
        Operation::Connect => ("CONNECT", ""),
    };
    let mut body =
        value!({"uid": uuid::Uuid::new_v4().to_string(), "operation": operation, "dryRun": request.dry_run});
    body.set(&["kind"], kind.clone());
    body.set(&["requestKind"], kind);
    body.set(&["resource"], resource.clone());
    body.set(&["requestResource"], resource);
    body.set(&["userInfo"], request.user.to_value());
    body.set(&["object"], request.object().clone());
    body.set(&["oldObject"], request.old().clone());
    for (field, text) in [
        ("name", request.name.as_str()),
        ("namespace", request.namespace),
        ("subResource", request.subresource),
    ] {
        if !text.is_empty() {
            body.set(&[field], text);
        }
    }
    if !request.subresource.is_empty() {
        body.set(&["requestSubResource"], request.subresource);
    }
    if !options_kind.is_empty() {
        let mut options = request.options.clone();
        options.set(&["kind"], options_kind);
        options.set(&["apiVersion"], "meta.k8s.io/v1");
        body.set(&["options"], options);
    }
    let mut review = value!({"kind": "AdmissionReview"});
    review.set(&["apiVersion"], format!("admission.k8s.io/{version}"));
    review.set(&["request"], body);
    review
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
        status: response.get("status").cloned().unwrap_or_default(),
    })
}

impl Answer {
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
