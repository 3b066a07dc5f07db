//! Errors on the wire: RFC 9457 problem documents.
//!
//! The one place where the service's errors become HTTP statuses.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use drydock_runtime::tasks::chain;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::service::{FieldError, ServiceError};

/// `application/problem+json`. Boxed, so that the results that may hold one stay small.
#[derive(Clone, Debug)]
pub(super) struct Problem(Box<Document>);

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    /// Stays the same for problems of a kind.
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
    /// The path that was asked for.
    #[serde(skip_serializing_if = "String::is_empty")]
    instance: String,
    /// For programs.
    code: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Field>,
    #[serde(skip)]
    retry_after: Option<u64>,
}

#[derive(Clone, Debug, Serialize)]
struct Field {
    field: String,
    message: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self(Box::new(Document {
            kind: format!("urn:drydock:problem:{code}"),
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: detail.into(),
            instance: String::new(),
            code: code.to_owned(),
            errors: Vec::new(),
            retry_after: None,
        }))
    }

    pub(super) fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] => format!("{}: {}", one.field, one.message),
            many => format!("{} fields are invalid", many.len()),
        };
        let errors =
            errors.into_iter().map(|error| Field { field: error.field, message: error.message }).collect();
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail);
        problem.0.errors = errors;
        problem
    }

    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    pub(super) fn no_route() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "noSuchPath",
            "there is nothing at this path; /openapi.json describes the API",
        )
    }

    pub(super) fn wrong_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "methodNotAllowed", "this path does not take this method")
    }

    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the service failed; its log says more")
    }

    fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        let detail = error.to_string();
        match error {
            ServiceError::Invalid(errors) => Self::invalid(errors),
            ServiceError::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, "notFound", detail),
            ServiceError::AlreadyExists { .. } => Self::new(StatusCode::CONFLICT, "alreadyExists", detail),
            ServiceError::Conflict(reason) => Self::new(StatusCode::CONFLICT, &reason.code, detail),
            ServiceError::PreconditionFailed { .. } => {
                Self::new(StatusCode::PRECONDITION_FAILED, "preconditionFailed", detail)
            }
            ServiceError::IdempotencyKeyReused => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotencyKeyReused", detail)
            }
            ServiceError::NotReady { retry_after, .. } => {
                Self::new(StatusCode::CONFLICT, "notReady", detail).retry_after(retry_after.as_secs().max(1))
            }
            ServiceError::NoPort { .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "noPort", detail),
            ServiceError::Internal(error) => {
                tracing::error!(error = chain(&error), "request failed");
                Self::internal()
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.0.retry_after;
        let mut response = (status, axum::Json(&self.0)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"drydock\""));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Adds to a problem where it happened, which its maker did not know.
pub(super) fn complete(response: &mut Response, path: &str) {
    let Some(Problem(mut document)) = response.extensions_mut().remove::<Problem>() else { return };
    path.clone_into(&mut document.instance);
    let bytes = serde_json::to_vec(&document).unwrap_or_default();
    response.headers_mut().insert(header::CONTENT_LENGTH, bytes.len().into());
    *response.body_mut() = Body::from(bytes);
}
