//! One request, from its head to its answer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use drydock_auth::audit::Stage;
use drydock_auth::{Attributes, UserInfo};
use drydock_machinery::Status;
use drydock_machinery::status::Reason;
use drydock_runtime::wall;
use futures::FutureExt;
use http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request};
use hyper::body::Incoming;

use super::connection::Peer;
use super::path::{self, Path};
use super::query::Query;
use super::{Answer, audit, authenticate, body, impersonate, raw, resource};
use crate::audit::Event;
use crate::server::Core;

/// How long a request that is no watch may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What is known of a request once it is authenticated.
pub(crate) struct Req {
    pub(crate) core: Arc<Core>,
    pub(crate) user: Arc<UserInfo>,
    pub(crate) parts: Parts,
    pub(crate) query: Query,
    /// The request's audit event, if it has one.
    pub(crate) audit: Option<Arc<Event>>,
}

pub(crate) async fn handle(core: Arc<Core>, peer: Arc<Peer>, request: Request<Incoming>) -> Answer {
    let audit_id = audit_id(request.headers());
    let head = request.method() == Method::HEAD;
    let ids = core.flow_ids.clone();
    let answer = AssertUnwindSafe(respond(core, peer, request, &audit_id)).catch_unwind().await;
    let mut answer = answer.unwrap_or_else(|_| panicked());
    let headers = answer.headers_mut();
    headers.insert(HeaderName::from_static("audit-id"), audit_id);
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
    headers.insert(HeaderName::from_static("x-kubernetes-pf-flowschema-uid"), ids[0].clone());
    headers.insert(HeaderName::from_static("x-kubernetes-pf-prioritylevel-uid"), ids[1].clone());
    if head {
        let (parts, _) = answer.into_parts();
        return Answer::from_parts(parts, Default::default());
    }
    answer
}

pub(crate) fn panicked() -> Answer {
    tracing::error!("a request panicked");
    body::status(&Status::internal("the request caused the API server to panic"))
}

async fn respond(
    core: Arc<Core>,
    peer: Arc<Peer>,
    request: Request<Incoming>,
    audit_id: &HeaderValue,
) -> Answer {
    let (parts, incoming) = request.into_parts();
    let query = Query::parse(parts.uri.query());
    let path = path::parse(parts.uri.path());
    let method = parts.method.as_str().to_ascii_lowercase();
    let begin = |user: &UserInfo| {
        let attributes = attributes(user, &parts, &method, &path, &query);
        core.auditor.begin(&attributes, || audit::head(&parts, &peer, audit_id, &attributes))
    };
    let (user, notes) = match authenticate::user(&core, &peer, &parts).await {
        Ok(found) => found,
        Err(status) => {
            audit::unauthenticated(core.auditor.begin_nameless(begin), &peer, &parts, status.code).await;
            return body::status(&status);
        }
    };
    let event = begin(&user);
    if let Some(event) = &event {
        notes.annotations.into_iter().for_each(|(key, text)| event.annotate(key, text));
        event.stage(Stage::RequestReceived).await;
    }
    if let Some((namespace, name)) = notes.secret_in_use {
        authenticate::label_secret(&core, namespace, name);
    }
    let noted = event.clone();
    let answered = async move {
        let sender = attributes(&user, &parts, &method, &path, &query);
        let user = impersonate::user(&core, user.clone(), &parts, &sender, event.as_deref()).await?;
        let request = Req { core, user, parts, query, audit: event };
        Ok(answer(request, path, incoming).await)
    };
    let answered = AssertUnwindSafe(answered).catch_unwind().await;
    let mut answer = audit::answered(noted, answered).await;
    for warning in notes.warnings {
        if let Ok(value) = HeaderValue::from_str(&format!("299 - {warning:?}")) {
            answer.headers_mut().append(HeaderName::from_static("warning"), value);
        }
    }
    answer
}

fn attributes<'a>(
    user: &'a UserInfo,
    parts: &Parts,
    method: &'a str,
    path: &'a Path,
    query: &'a Query,
) -> Attributes<'a> {
    match path {
        Path::Resource(path) => resource::path_attributes(user, &parts.method, path, query),
        Path::Other(path) => Attributes::path(user, method, path),
    }
}

/// The answer to a request that goes on as its user.
async fn answer(request: Req, path: Path, incoming: Incoming) -> Answer {
    let (core, event) = (request.core.clone(), request.audit.clone());
    let running = core.requests.begin(&request.parts.method, &path, &request.query);
    let answer = match path {
        Path::Resource(path) => resource::serve(request, path, incoming).boxed(),
        Path::Other(path) => other(request, path).boxed(),
    };
    let answer = match wall::timeout(TIMEOUT, answer).await {
        Some(Ok(answer)) => answer,
        Some(Err(status)) => audit::failed(event.as_deref(), &status),
        None => audit::failed(event.as_deref(), &timed_out()),
    };
    running.done(answer.status().as_u16());
    answer
}

async fn other(request: Req, path: String) -> Result<Answer, Status> {
    let method = request.parts.method.as_str().to_ascii_lowercase();
    let attributes = Attributes::path(&request.user, &method, &path);
    request.core.authorize(&attributes, request.audit.as_deref()).await?;
    raw::serve(&request, &path).await
}

fn timed_out() -> Status {
    let text = "Timeout: request did not complete within requested timeout - context deadline exceeded";
    Status::new(504, Reason::Timeout, text).with_details(Default::default())
}

fn audit_id(headers: &HeaderMap) -> HeaderValue {
    headers
        .get("audit-id")
        .cloned()
        .or_else(|| HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()).ok())
        .unwrap_or(HeaderValue::from_static("-"))
}

impl Req {
    pub(crate) fn header(&self, name: HeaderName) -> Option<&str> {
        self.parts.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Whether JSON is to be indented: asked for, or a person is likely to look.
    pub(crate) fn is_pretty(&self) -> bool {
        let agent = self.header(http::header::USER_AGENT).unwrap_or("");
        match self.query.flag("pretty") {
            Some(pretty) => pretty,
            None => ["curl/", "Wget/", "Mozilla/"].iter().any(|known| agent.starts_with(known)),
        }
    }
}
