//! Every error that a client can see: `metav1.Status`, and the field errors it carries ([`FieldErrors`]).
//!
//! Messages are upstream's, from apimachinery's `pkg/api/errors` and `pkg/util/validation/field`: clients match on them.

mod fields;

use std::fmt;

use crate::value::Value;

pub use fields::{FieldError, FieldErrorKind, FieldErrors, literal, literal_text};

pub use crate::field_path::FieldPath;

/// A failed request, as `metav1.Status` says it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    /// The HTTP status code.
    pub code: u16,
    pub reason: Reason,
    pub message: String,
    pub details: Option<Box<StatusDetails>>,
    /// `metadata.continue`: how to go on with a list whose token expired; mostly "".
    pub continue_token: String,
}

/// `metav1.StatusDetails`. Empty strings and lists are left out of the JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusDetails {
    pub name: String,
    pub group: String,
    /// The kind, or the resource where upstream puts that.
    pub kind: String,
    pub uid: String,
    pub causes: Vec<StatusCause>,
    pub retry_after_seconds: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusCause {
    pub reason: String,
    pub message: String,
    pub field: String,
}

/// `metav1.StatusReason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    Unknown,
    Unauthorized,
    Forbidden,
    NotFound,
    AlreadyExists,
    Conflict,
    Gone,
    Invalid,
    ServerTimeout,
    Timeout,
    TooManyRequests,
    BadRequest,
    MethodNotAllowed,
    NotAcceptable,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    InternalError,
    Expired,
    ServiceUnavailable,
}

impl Reason {
    /// As in JSON; "" for [`Reason::Unknown`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "NotFound",
            Self::AlreadyExists => "AlreadyExists",
            Self::Conflict => "Conflict",
            Self::Gone => "Gone",
            Self::Invalid => "Invalid",
            Self::ServerTimeout => "ServerTimeout",
            Self::Timeout => "Timeout",
            Self::TooManyRequests => "TooManyRequests",
            Self::BadRequest => "BadRequest",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::NotAcceptable => "NotAcceptable",
            Self::RequestEntityTooLarge => "RequestEntityTooLarge",
            Self::UnsupportedMediaType => "UnsupportedMediaType",
            Self::InternalError => "InternalError",
            Self::Expired => "Expired",
            Self::ServiceUnavailable => "ServiceUnavailable",
        }
    }

    /// The inverse of [`Reason::as_str`].
    pub fn parse(text: &str) -> Self {
        const ALL: [Reason; 18] = [
            Reason::Unauthorized,
            Reason::Forbidden,
            Reason::NotFound,
            Reason::AlreadyExists,
            Reason::Conflict,
            Reason::Gone,
            Reason::Invalid,
            Reason::ServerTimeout,
            Reason::Timeout,
            Reason::TooManyRequests,
            Reason::BadRequest,
            Reason::MethodNotAllowed,
            Reason::NotAcceptable,
            Reason::RequestEntityTooLarge,
            Reason::UnsupportedMediaType,
            Reason::InternalError,
            Reason::Expired,
            Reason::ServiceUnavailable,
        ];
        ALL.into_iter().find(|reason| reason.as_str() == text).unwrap_or(Self::Unknown)
    }
}

impl Status {
    pub fn new(code: u16, reason: Reason, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None, continue_token: String::new() }
    }

    #[must_use]
    pub fn with_details(mut self, details: StatusDetails) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    /// `group` and `resource` name the resource, as in `deployments.apps`.
    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        Self::new(404, Reason::NotFound, format!("{} {name:?} not found", qualified(group, resource)))
            .with_details(named(group, resource, name))
    }

    pub fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        Self::new(
            409,
            Reason::AlreadyExists,
            format!("{} {name:?} already exists", qualified(group, resource)),
        )
        .with_details(named(group, resource, name))
    }

    pub fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} {name:?}: {why}", qualified(group, resource));
        Self::new(409, Reason::Conflict, message).with_details(named(group, resource, name))
    }

    pub fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let what = qualified(group, resource);
        let message = if what.is_empty() {
            format!("forbidden: {why}")
        } else {
            format!("{what} {name:?} is forbidden: {why}")
        };
        Self::new(403, Reason::Forbidden, message).with_details(named(group, resource, name))
    }

    /// `kind` is the object's kind, as in `Deployment.apps "x" is invalid: …`.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &FieldErrors) -> Self {
        let what = qualified(group, kind);
        let message = match errors.aggregate() {
            Some(text) => format!("{what} {name:?} is invalid: {text}"),
            None => format!("{what} {name:?} is invalid"),
        };
        let causes = errors
            .iter()
            .map(|error| StatusCause {
                reason: error.kind.cause().to_owned(),
                message: error.body(),
                field: error.field.clone(),
            })
            .collect();
        Self::new(422, Reason::Invalid, message)
            .with_details(StatusDetails { causes, ..named(group, kind, name) })
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, Reason::BadRequest, message)
    }

    pub fn unauthorized() -> Self {
        Self::new(401, Reason::Unauthorized, "Unauthorized")
    }

    pub fn method_not_supported(group: &str, resource: &str, verb: &str) -> Self {
        let message =
            format!("{verb} is not supported on resources of kind {:?}", qualified(group, resource));
        Self::new(405, Reason::MethodNotAllowed, message).with_details(named(group, resource, ""))
    }

    /// A watch or list from a revision that was compacted away.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, Reason::Expired, message)
    }

    pub fn internal(error: impl fmt::Display) -> Self {
        let text = error.to_string();
        Self::new(500, Reason::InternalError, format!("Internal error occurred: {text}")).with_details(
            StatusDetails {
                causes: vec![StatusCause { message: text, ..StatusCause::default() }],
                ..StatusDetails::default()
            },
        )
    }

    pub fn is_not_found(&self) -> bool {
        self.reason == Reason::NotFound
    }

    pub fn is_already_exists(&self) -> bool {
        self.reason == Reason::AlreadyExists
    }

    pub fn is_conflict(&self) -> bool {
        self.reason == Reason::Conflict
    }

    /// The `v1 Status` object.
    pub fn to_value(&self) -> Value {
        let mut status = crate::value!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if self.reason != Reason::Unknown {
            status.set(&["reason"], self.reason.as_str());
        }
        if let Some(details) = &self.details {
            status.set(&["details"], details.to_value());
        }
        if !self.continue_token.is_empty() {
            status.set(&["metadata", "continue"], self.continue_token.as_str());
        }
        status
    }

    /// Reads a `v1 Status` object that a server answered.
    pub fn from_value(value: &Value) -> Option<Self> {
        if value.str_at(&["kind"]) != "Status" {
            return None;
        }
        let details = value.get("details").map(|details| {
            let text = |key| details.str_at(&[key]).to_owned();
            let causes = details.array_at(&["causes"]).iter();
            Box::new(StatusDetails {
                name: text("name"),
                group: text("group"),
                kind: text("kind"),
                uid: text("uid"),
                causes: causes
                    .map(|cause| StatusCause {
                        reason: cause.str_at(&["reason"]).to_owned(),
                        message: cause.str_at(&["message"]).to_owned(),
                        field: cause.str_at(&["field"]).to_owned(),
                    })
                    .collect(),
                retry_after_seconds: details
                    .i64_at(&["retryAfterSeconds"])
                    .and_then(|seconds| u32::try_from(seconds).ok())
                    .unwrap_or(0),
            })
        });
        Some(Self {
            code: value.i64_at(&["code"]).and_then(|code| u16::try_from(code).ok()).unwrap_or(500),
            reason: Reason::parse(value.str_at(&["reason"])),
            message: value.str_at(&["message"]).to_owned(),
            details,
            continue_token: value.str_at(&["metadata", "continue"]).to_owned(),
        })
    }
}

impl StatusDetails {
    fn to_value(&self) -> Value {
        let mut out = Value::object();
        for (key, text) in
            [("name", &self.name), ("group", &self.group), ("kind", &self.kind), ("uid", &self.uid)]
        {
            if !text.is_empty() {
                out.set(&[key], text.as_str());
            }
        }
        if !self.causes.is_empty() {
            let causes: Vec<Value> = self.causes.iter().map(StatusCause::to_value).collect();
            out.set(&["causes"], causes);
        }
        if self.retry_after_seconds > 0 {
            out.set(&["retryAfterSeconds"], self.retry_after_seconds);
        }
        out
    }
}

impl StatusCause {
    fn to_value(&self) -> Value {
        let mut out = Value::object();
        for (key, text) in [("reason", &self.reason), ("message", &self.message), ("field", &self.field)] {
            if !text.is_empty() {
                out.set(&[key], text.as_str());
            }
        }
        out
    }
}

fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

fn named(group: &str, kind: &str, name: &str) -> StatusDetails {
    StatusDetails { name: name.into(), group: group.into(), kind: kind.into(), ..StatusDetails::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_object_lists_its_errors_as_upstream_does() {
        let mut errors = FieldErrors::new();
        let spec = FieldPath::new("spec");
        errors.required(&spec.child("containers").index(0).child("image"), "");
        errors.not_supported(&spec.child("restartPolicy"), "x", &["Always", "Never"]);
        let status = Status::invalid("", "Pod", "p", &errors);
        assert_eq!(
            status.message,
            "Pod \"p\" is invalid: [spec.containers[0].image: Required value, spec.restartPolicy: \
             Unsupported value: \"x\": supported values: \"Always\", \"Never\"]"
        );
        assert_eq!(Status::from_value(&status.to_value()), Some(status));
    }
}
