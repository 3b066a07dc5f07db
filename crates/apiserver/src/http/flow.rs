//! A request's way through priority and fairness.

use http::header::{HeaderName, HeaderValue, RETRY_AFTER};

use super::handler::Req;
use super::path::{Path, ResourcePath};
use super::{Answer, body};
use crate::flow::{Classified, Rejection, Ticket};

/// Objects of a list that make one seat's work, and the seats that a list takes at most: upstream's figures.
const OBJECTS_PER_SEAT: u64 = 100;
const MOST_SEATS: u64 = 10;

/// Waits for the request's turn.
pub(crate) async fn enter(
    request: &Req,
    path: &Path,
    verb: &str,
) -> (Classified, Result<Option<Ticket>, Rejection>) {
    let attributes = path.attributes(&request.user, verb);
    let flow = &request.core.flow;
    let classified = flow.classify(&attributes);
    // A watch counts until it has begun.
    if path.is_long_running(verb) && verb != "watch" {
        return (classified, Ok(None));
    }
    let seats = match path {
        Path::Resource(path) if attributes.verb == "list" => list_seats(request, path),
        _ => 1,
    };
    let ticket = flow.enter(&classified, &attributes, seats).await;
    (classified, ticket.map(Some))
}

fn list_seats(request: &Req, path: &ResourcePath) -> u32 {
    let registry = &request.core.registry;
    let Some(resource) = registry.resources.find(&path.group, &path.version, &path.resource) else {
        return 1;
    };
    let objects = registry.cache.by_prefix(&resource.prefix).len() as u64;
    let limit = request.query.integer("limit").ok().flatten().and_then(|limit| u64::try_from(limit).ok());
    let looked_at = match limit {
        Some(limit) if limit > 0 => objects.min(limit),
        _ => objects,
    };
    let seats = looked_at.div_ceil(OBJECTS_PER_SEAT).clamp(1, MOST_SEATS);
    u32::try_from(seats).unwrap_or(1)
}

/// Upstream's answer to who is turned away.
pub(crate) fn too_many_requests() -> Answer {
    let mut answer = body::text(429, "Too many requests, please try again later.\n");
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

/// Says in an answer which schema and which level the request fell under.
pub(crate) fn name(answer: &mut Answer, classified: &Classified) {
    let (schema, level) = classified.uids();
    let headers = answer.headers_mut();
    headers.insert(HeaderName::from_static("x-kubernetes-pf-flowschema-uid"), schema);
    headers.insert(HeaderName::from_static("x-kubernetes-pf-prioritylevel-uid"), level);
}
