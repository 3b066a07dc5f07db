//! One request, from its head to its answer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

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
use super::{Answer, authenticate, deadline, failure, flow, raw, resource};
use crate::server::Core;

/// What is known of a request once it is authenticated.
pub(crate) struct Req {
    pub(crate) core: Arc<Core>,
    pub(crate) user: Arc<UserInfo>,
    pub(crate) parts: Parts,
    pub(crate) query: Query,
}

pub(crate) async fn handle(core: Arc<Core>, peer: Arc<Peer>, request: Request<Incoming>) -> Answer {
    let audit_id = audit_id(request.headers());
    let head = request.method() == Method::HEAD;
    let answer = AssertUnwindSafe(respond(core, peer, request)).catch_unwind().await;
    let mut answer = answer.unwrap_or_else(|_| {
        tracing::error!("a request panicked");
        failure::answer(&Status::internal("the request caused the API server to panic"), failure::Form::Json)
    });
    let headers = answer.headers_mut();
    headers.insert(HeaderName::from_static("audit-id"), audit_id);
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
    if head {
        let (parts, _) = answer.into_parts();
        return Answer::from_parts(parts, Default::default());
    }
    answer
}

async fn respond(core: Arc<Core>, peer: Arc<Peer>, request: Request<Incoming>) -> Answer {
    let (parts, incoming) = request.into_parts();
    let query = Query::parse(parts.uri.query());
    let form = failure::Form::of(&parts.headers, &query);
    let path = path::parse(parts.uri.path());
    let verb = match &path {
        Path::Resource(path) => resource::verb(&parts.method, path, &query).to_owned(),
        Path::Other(_) => parts.method.as_str().to_ascii_lowercase(),
    };
    let allowed = deadline::of(&path, &verb, &query);
    let sender = match allowed {
        Ok(timeout) => sender(&core, &peer, &parts, &verb, &path).await.map(|user| (user, timeout)),
        Err(status) => Err(status),
    };
    let (user, timeout) = match sender {
        Ok(sender) => sender,
        Err(status) => return failure::answer(&status, form),
    };
    let counted = core.clone();
    let running = counted.requests.begin(&parts.method, &path, &query);
    let request = Req { core, user, parts, query };
    let (classified, ticket) = flow::enter(&request, &path, &verb).await;
    let mut answer = match ticket {
        // A watch gives its seats back once it has begun.
        Ok(_ticket) => match in_time(request, path, verb, timeout, incoming).await {
            Ok(answer) => answer,
            Err(status) => failure::answer(&status, form),
        },
        Err(_) => flow::too_many_requests(),
    };
    flow::name(&mut answer, &classified);
    running.done(answer.status().as_u16());
    answer
}

async fn in_time(
    request: Req,
    path: Path,
    verb: String,
    timeout: Duration,
    incoming: Incoming,
) -> Result<Answer, Status> {
    let answer = match path {
        Path::Resource(path) => resource::serve(request, path, incoming).boxed(),
        Path::Other(path) => other(request, verb, path).boxed(),
    };
    wall::timeout(timeout, answer).await.unwrap_or_else(|| Err(timed_out()))
}

/// Who the request goes on as.
async fn sender(
    core: &Core,
    peer: &Peer,
    parts: &Parts,
    verb: &str,
    path: &Path,
) -> Result<Arc<UserInfo>, Status> {
    let user = authenticate::user(core, peer, parts).await?;
    super::impersonate::user(core, user, parts, verb, path)
}

async fn other(request: Req, verb: String, path: String) -> Result<Answer, Status> {
    let attributes = Attributes::path(&request.user, &verb, &path);
    request.core.authorize(&attributes)?;
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
