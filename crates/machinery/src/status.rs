//! Every error that a client can see: `metav1.Status`, and the field errors it carries.
//!
//! Messages are upstream's, from apimachinery's `pkg/api/errors` and `pkg/util/validation/field`: clients match on them.

use std::fmt;

use crate::go_text::go_quote;
use crate::value::Value;

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
        Self::new(
            404,
            Reason::NotFound,
            format!("{} {} not found", qualified(group, resource), go_quote(name)),
        )
        .with_details(named(group, resource, name))
    }

    pub fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        Self::new(
            409,
            Reason::AlreadyExists,
            format!("{} {} already exists", qualified(group, resource), go_quote(name)),
        )
        .with_details(named(group, resource, name))
    }

    pub fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let (what, name_shown) = (qualified(group, resource), go_quote(name));
        let message = format!("Operation cannot be fulfilled on {what} {name_shown}: {why}");
        Self::new(409, Reason::Conflict, message).with_details(named(group, resource, name))
    }

    pub fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let what = qualified(group, resource);
        let message = if what.is_empty() {
            format!("forbidden: {why}")
        } else {
            format!("{what} {} is forbidden: {why}", go_quote(name))
        };
        Self::new(403, Reason::Forbidden, message).with_details(named(group, resource, name))
    }

    /// `kind` is the object's kind, as in `Deployment.apps "x" is invalid: …`.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &FieldErrors) -> Self {
        let what = qualified(group, kind);
        let message = match errors.aggregate() {
            Some(text) => format!("{what} {} is invalid: {text}", go_quote(name)),
            None => format!("{what} {} is invalid", go_quote(name)),
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

/// Where in an object: `spec.containers[0].name`, `metadata.labels[a/b]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldPath(String);

impl FieldPath {
    pub fn new(root: &str) -> Self {
        Self(root.to_owned())
    }

    /// The empty path; [`FieldPath::child`] of it has no leading dot.
    pub fn root() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        if self.0.is_empty() { Self(name.to_owned()) } else { Self(format!("{}.{name}", self.0)) }
    }

    #[must_use]
    pub fn index(&self, i: usize) -> Self {
        Self(format!("{}[{i}]", self.0))
    }

    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "<nil>" } else { &self.0 })
    }
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldErrorKind {
    NotFound,
    Required,
    Duplicate,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooMany,
    TooFew,
    TypeInvalid,
    /// As [`FieldErrorKind::Duplicate`], of a value that is too large to be shown.
    DuplicateOmitted,
    /// As [`FieldErrorKind::Invalid`], but the detail begins with the value as Go shows it.
    InvalidShown,
    Internal,
}

impl FieldErrorKind {
    fn title(self) -> &'static str {
        match self {
            Self::NotFound => "Not found",
            Self::Required => "Required value",
            Self::Duplicate | Self::DuplicateOmitted => "Duplicate value",
            Self::Invalid | Self::TypeInvalid | Self::InvalidShown => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::TooFew => "Too few",
            Self::Internal => "Internal error",
        }
    }

    /// The `reason` of a status cause.
    fn cause(self) -> &'static str {
        match self {
            Self::NotFound => "FieldValueNotFound",
            Self::Required => "FieldValueRequired",
            Self::Duplicate | Self::DuplicateOmitted => "FieldValueDuplicate",
            Self::Invalid | Self::InvalidShown => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TooFew => "FieldValueTooFew",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::Internal => "InternalError",
        }
    }
}

/// One thing wrong with one field.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    pub kind: FieldErrorKind,
    pub field: String,
    /// The offending value; shown for the kinds that show it.
    pub value: Option<Value>,
    pub detail: String,
}

impl FieldError {
    /// The message without the field's name, as in a status cause.
    pub fn body(&self) -> String {
        let mut out = self.kind.title().to_owned();
        match self.kind {
            FieldErrorKind::Required
            | FieldErrorKind::Forbidden
            | FieldErrorKind::TooLong
            | FieldErrorKind::InvalidShown
            | FieldErrorKind::DuplicateOmitted
            | FieldErrorKind::Internal => {}
            _ => {
                out.push_str(": ");
                out.push_str(&show(self.value.as_ref()));
            }
        }
        if !self.detail.is_empty() {
            out.push_str(": ");
            out.push_str(&self.detail);
        }
        out
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

/// How a field error shows a value: strings quoted, numbers and booleans plain, the rest as JSON.
fn show(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "null".to_owned(),
        Some(Value::String(s)) => go_quote(s),
        Some(value) if literal_text(value).is_some() => literal_text(value).unwrap_or_default().to_owned(),
        Some(other) => String::from_utf8_lossy(&other.to_json()).into_owned(),
    }
}

/// The only key of what [`literal`] makes; no object of a client's has it alone.
const LITERAL: &str = "\u{0}literal";

/// A value that a field error shows as this very text: Go structs, whose fields have an order and names of their own.
pub fn literal(text: impl Into<String>) -> Value {
    Value::Object([(LITERAL.into(), Value::from(text.into()))].into_iter().collect())
}

/// The text of a [`literal`].
pub fn literal_text(value: &Value) -> Option<&str> {
    value.get(LITERAL)?.as_str()
}

/// Everything wrong with an object, in the order found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &FieldError> {
        self.0.iter()
    }

    pub fn push(&mut self, error: FieldError) {
        self.0.push(error);
    }

    /// Sorts by what the errors say.
    pub fn sort(&mut self) {
        self.0.sort_by_cached_key(ToString::to_string);
    }

    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    fn add(
        &mut self,
        kind: FieldErrorKind,
        field: &FieldPath,
        value: Option<Value>,
        detail: impl Into<String>,
    ) {
        self.push(FieldError { kind, field: field.to_string(), value, detail: detail.into() });
    }

    pub fn required(&mut self, field: &FieldPath, detail: impl Into<String>) {
        self.add(FieldErrorKind::Required, field, None, detail);
    }

    pub fn invalid(&mut self, field: &FieldPath, value: impl Into<Value>, detail: impl Into<String>) {
        self.add(FieldErrorKind::Invalid, field, Some(value.into()), detail);
    }

    /// An invalid value of which only Go's rendering is at hand: a struct with its own names and order of fields.
    pub fn invalid_shown(&mut self, field: &FieldPath, shown: impl fmt::Display, detail: impl fmt::Display) {
        self.add(FieldErrorKind::InvalidShown, field, None, format!("{shown}: {detail}"));
    }

    pub fn type_invalid(&mut self, field: &FieldPath, value: impl Into<Value>, detail: impl Into<String>) {
        self.add(FieldErrorKind::TypeInvalid, field, Some(value.into()), detail);
    }

    pub fn forbidden(&mut self, field: &FieldPath, detail: impl Into<String>) {
        self.add(FieldErrorKind::Forbidden, field, None, detail);
    }

    pub fn duplicate(&mut self, field: &FieldPath, value: impl Into<Value>) {
        self.add(FieldErrorKind::Duplicate, field, Some(value.into()), "");
    }

    pub fn not_found(&mut self, field: &FieldPath, value: impl Into<Value>) {
        self.add(FieldErrorKind::NotFound, field, Some(value.into()), "");
    }

    /// `supported` is shown quoted, in the order given.
    pub fn not_supported(&mut self, field: &FieldPath, value: impl Into<Value>, supported: &[&str]) {
        let quoted: Vec<String> = supported.iter().map(|s| go_quote(s)).collect();
        let detail = if quoted.is_empty() {
            String::new()
        } else {
            format!("supported values: {}", quoted.join(", "))
        };
        self.add(FieldErrorKind::NotSupported, field, Some(value.into()), detail);
    }

    /// More than `max` bytes.
    pub fn too_long(&mut self, field: &FieldPath, max: usize) {
        let bytes = if max == 1 { "byte" } else { "bytes" };
        self.add(FieldErrorKind::TooLong, field, None, format!("may not be more than {max} {bytes}"));
    }

    pub fn too_many(&mut self, field: &FieldPath, actual: usize, max: usize) {
        let items = if max == 1 { "item" } else { "items" };
        let detail = format!("must have at most {max} {items}");
        self.add(FieldErrorKind::TooMany, field, Some(actual.into()), detail);
    }

    pub fn internal(&mut self, field: &FieldPath, detail: impl Into<String>) {
        self.add(FieldErrorKind::Internal, field, None, detail);
    }

    /// `utilerrors.Aggregate`: one message as it is; several distinct ones in brackets. None when there is none.
    pub fn aggregate(&self) -> Option<String> {
        let mut texts: Vec<String> = Vec::new();
        for error in &self.0 {
            let text = error.to_string();
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        match texts.len() {
            0 => None,
            1 => texts.pop(),
            _ => Some(format!("[{}]", texts.join(", "))),
        }
    }
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
