//! Conditional requests: `ETag` out, `If-Match` and `If-None-Match` in. A tag is a record's revision.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::problem::Problem;

/// A representation with its tag; 304 without it when the client has that already.
pub(super) fn tagged(headers: &HeaderMap, revision: i64, body: &impl Serialize) -> Response {
    let tag = HeaderValue::from_str(&format!("\"{revision}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("\"\""));
    let has = seen(headers) == Some(revision);
    let mut response =
        if has { StatusCode::NOT_MODIFIED.into_response() } else { Json(body).into_response() };
    response.headers_mut().insert(header::ETAG, tag);
    response
}

/// The revision that the client has.
pub(super) fn seen(headers: &HeaderMap) -> Option<i64> {
    headers.get(header::IF_NONE_MATCH).and_then(|value| parse(value.to_str().ok()?))
}

/// The revision that the client demands. None demands none.
pub(super) fn required(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    if value == "*" {
        return Ok(None);
    }
    let revision = value.to_str().ok().and_then(parse);
    revision.map(Some).ok_or_else(|| unusable(&header::IF_MATCH))
}

fn parse(tag: &str) -> Option<i64> {
    tag.trim().strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

fn unusable(name: &HeaderName) -> Problem {
    Problem::malformed(format!("{name} must be one ETag of this resource, as it was given, or *"))
}
