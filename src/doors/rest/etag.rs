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
    let has = Seen::of(headers).is_some_and(|seen| seen.has(revision));
    let mut response =
        if has { StatusCode::NOT_MODIFIED.into_response() } else { Json(body).into_response() };
    response.headers_mut().insert(header::ETAG, tag);
    response
}

/// What a client says that it has, by `If-None-Match` (RFC 9110, 13.1.2): weak tags compare as strong ones do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Anything,
    Revisions(Vec<i64>),
}

impl Seen {
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut revisions = Vec::new();
        for value in headers.get_all(header::IF_NONE_MATCH) {
            for tag in value.to_str().unwrap_or_default().split(',').map(str::trim) {
                if tag == "*" {
                    return Some(Self::Anything);
                }
                // A tag that is not one of ours fits nothing.
                revisions.extend(parse(tag.strip_prefix("W/").unwrap_or(tag)));
            }
        }
        headers.contains_key(header::IF_NONE_MATCH).then_some(Self::Revisions(revisions))
    }

    fn has(&self, revision: i64) -> bool {
        match self {
            Self::Anything => true,
            Self::Revisions(revisions) => revisions.contains(&revision),
        }
    }

    /// The revision of which something new is awaited.
    pub(super) fn latest(&self) -> Option<i64> {
        match self {
            Self::Anything => None,
            Self::Revisions(revisions) => revisions.iter().copied().max(),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_has_is_read_as_http_writes_it() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, text.parse().unwrap());
            Seen::of(&headers)
        };
        assert_eq!(Seen::of(&HeaderMap::new()), None);
        assert_eq!(of("*"), Some(Seen::Anything));
        assert_eq!(of("\"7\""), Some(Seen::Revisions(vec![7])));
        assert_eq!(of("W/\"7\", \"8\""), Some(Seen::Revisions(vec![7, 8])));
        assert_eq!(of("\"another's\""), Some(Seen::Revisions(Vec::new())));
    }
}
