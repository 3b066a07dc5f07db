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
use super::{Answer, audit, authenticate, body, deadline, failure, flow, impersonate, raw, resource};
use crate::aggregation;
use crate::audit::Event;
use crate::metrics::Elsewhere;
use crate::server::Core;

/// What is known of a request once it is authenticated.
pub(crate) struct Req {
    pub(crate) core: Arc<Core>,
    pub(crate) user: Arc<UserInfo>,
    pub(crate) parts: Parts,
    pub(crate) query: Query,
    /// The request's audit event, if it has one.
    pub(crate) audit: Option<Arc<Event>>,
    /// What of its time is not the server's.
    pub(crate) elsewhere: Arc<Elsewhere>,
}

pub(crate) async fn handle(core: Arc<Core>, peer: Arc<Peer>, request: Request<Incoming>) -> Answer {
    let audit_id = audit_id(request.headers());
    let head = request.method() == Method::HEAD;
    if path::names_no_resource(request.uri().path()) {
        let mut answer = unreadable(request.uri());
        answer.headers_mut().insert(HeaderName::from_static("audit-id"), audit_id);
        return answer;
    }
    let answer = AssertUnwindSafe(respond(core, peer, request, &audit_id)).catch_unwind().await;
    let mut answer = answer.unwrap_or_else(|_| panicked());
    let headers = answer.headers_mut();
    headers.insert(HeaderName::from_static("audit-id"), audit_id);
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
    if head {
        let (parts, _) = answer.into_parts();
        return Answer::from_parts(parts, Default::default());
    }
    answer
}

/// The answer to a path that says how to act, and not on what; nothing else is looked at.
fn unreadable(uri: &http::Uri) -> Answer {
    let uri = uri.path_and_query().map_or("", |uri| uri.as_str());
    let shown = uri.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let why = format!("unable to determine kind and namespace from url, {shown}");
    let text = format!("Internal Server Error: {shown:?}: failed to create RequestInfo: {why}\n");
    body::text(500, text)
}

pub(crate) fn panicked() -> Answer {
    tracing::error!("a request panicked");
    failure::answer(&Status::internal("the request caused the API server to panic"), failure::Form::Json)
}

async fn respond(
    core: Arc<Core>,
    peer: Arc<Peer>,
    request: Request<Incoming>,
    audit_id: &HeaderValue,
) -> Answer {
    let (mut parts, incoming) = request.into_parts();
    // Proxies say where a request comes from.
    parts.extensions.insert(peer.clone());
    let query = Query::parse(parts.uri.query());
    let form = failure::Form::of(&parts.headers, &query);
    let path = path::parse(parts.uri.path());
    let verb = match &path {
        Path::Resource(path) => resource::verb(&parts.method, path, &query).to_owned(),
        Path::Other(_) => parts.method.as_str().to_ascii_lowercase(),
    };
    let timeout = match deadline::of(&path, &verb, &query) {
        Ok(timeout) => timeout,
        Err(status) => return failure::answer(&status, form),
    };
    let begin = |user: &UserInfo| {
        let attributes = resource::attributes_of(user, &verb, &path, &query);
        core.auditor.begin(&attributes, || audit::head(&parts, &peer, audit_id, path.is_long_running(&verb)))
    };
    let (user, notes) = match authenticate::user(&core, &peer, &parts).await {
        Ok(found) => found,
        Err(status) => {
            audit::unauthenticated(core.auditor.begin_nameless(begin), &peer, &parts, status.code).await;
            return failure::answer(&status, form);
        }
    };
    let event = begin(&user);
    authenticate::forget_socket_bearer(&mut parts.headers);
    if let Some(event) = &event {
        notes.annotations.into_iter().for_each(|(key, text)| event.annotate(key, text));
        event.stage(Stage::RequestReceived).await;
    }
    if let Some((namespace, name)) = notes.secret_in_use {
        authenticate::label_secret(&core, namespace, name);
    }
    let noted = event.clone();
    let answered = async move {
        let sender = resource::attributes_of(&user, &verb, &path, &query);
        let user = impersonate::user(&core, user.clone(), &parts, &sender, event.as_deref()).await?;
        let request = Req { core, user, parts, query, audit: event, elsewhere: Arc::default() };
        Ok(answer(request, path, verb, timeout, incoming).await)
    };
    let answered = AssertUnwindSafe(answered).catch_unwind().await;
    let mut answer = audit::answered(noted, answered, form).await;
    notes.warnings.iter().for_each(|warning| body::warn(&mut answer, warning));
    answer
}

/// The answer to a request that goes on as its user.
async fn answer(request: Req, path: Path, verb: String, timeout: Duration, incoming: Incoming) -> Answer {
    let (core, event) = (request.core.clone(), request.audit.clone());
    let form = failure::Form::of(&request.parts.headers, &request.query);
    let served = match &path {
        Path::Resource(of) => resource::is_served(&request, of) || core.aggregation.route(&path).is_some(),
        _ => false,
    };
    let running = core.requests.begin(&request.parts.method, &path, &request.query, served);
    let elsewhere = request.elsewhere.clone();
    let waiting = wall::Stopwatch::start();
    let (classified, ticket) = flow::enter(&request, &path, &verb).await;
    elsewhere.add(waiting.elapsed());
    let mut answer = match ticket {
        // A watch gives its seats back once it has begun.
        Ok(_ticket) => match in_time(request, path, verb, timeout, incoming).await {
            Ok(answer) => answer,
            Err(status) => audit::failed(event.as_deref(), &status, form),
        },
        Err(_) => flow::too_many_requests(),
    };
    flow::name(&mut answer, &classified);
    running.done(answer.status().as_u16(), &elsewhere);
    answer
}

async fn in_time(
    request: Req,
    path: Path,
    verb: String,
    timeout: Duration,
    incoming: Incoming,
) -> Result<Answer, Status> {
    let lasts = matches!(&path, Path::Resource(path) if resource::is_proxied(path));
    let answer = match path {
        path if let Some(route) = request.core.aggregation.route(&path) => {
            async move { aggregation::serve(&request, &path, &route, incoming).await }.boxed()
        }
        Path::Resource(path) => resource::serve(request, path, incoming).boxed(),
        Path::Other(path) => other(request, verb, path).boxed(),
    };
    if lasts {
        return answer.await;
    }
    wall::timeout(timeout, answer).await.unwrap_or_else(|| Err(timed_out()))
}

async fn other(request: Req, verb: String, path: String) -> Result<Answer, Status> {
    let attributes = Attributes::path(&request.user, &verb, &path);
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
        is_pretty(&self.parts.headers, &self.query)
    }
}

pub(crate) fn is_pretty(headers: &HeaderMap, query: &Query) -> bool {
    let agent = headers.get(http::header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("");
    let is_known = || ["curl/", "Wget/", "Mozilla/"].iter().any(|known| agent.starts_with(known));
    query.flag("pretty").unwrap_or_else(is_known)
}
