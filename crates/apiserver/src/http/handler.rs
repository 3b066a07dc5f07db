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
use super::{Answer, authenticate, body, raw, resource};
use crate::aggregation;
use crate::server::Core;

/// How long a request that is no watch may take.
const TIMEOUT: Duration = Duration::from_secs(60);

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
    let ids = core.flow_ids.clone();
    let answer = AssertUnwindSafe(respond(core, peer, request)).catch_unwind().await;
    let mut answer = answer.unwrap_or_else(|_| {
        tracing::error!("a request panicked");
        body::status(&Status::internal("the request caused the API server to panic"))
    });
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

async fn respond(core: Arc<Core>, peer: Arc<Peer>, request: Request<Incoming>) -> Answer {
    let (parts, incoming) = request.into_parts();
    let user = match authenticate::user(&core, &peer, &parts).await {
        Ok(user) => user,
        Err(status) => return body::status(&status),
    };
    let query = Query::parse(parts.uri.query());
    let path = path::parse(parts.uri.path());
    let user = match super::impersonate::user(&core, user, &parts, &path, &query) {
        Ok(user) => user,
        Err(status) => return body::status(&status),
    };
    let counted = core.clone();
    let running = counted.requests.begin(&parts.method, &path, &query);
    let request = Req { core, user, parts, query };
    let lasts = matches!(&path, Path::Resource(path) if resource::is_proxied(path));
    let answer = match path {
        path if let Some(route) = request.core.aggregation.route(&path) => {
            async move { aggregation::serve(&request, &path, &route, incoming).await }.boxed()
        }
        Path::Resource(path) => resource::serve(request, path, incoming).boxed(),
        Path::Other(path) => other(request, path).boxed(),
    };
    let answer = if lasts { Some(answer.await) } else { wall::timeout(TIMEOUT, answer).await };
    let answer = match answer {
        Some(Ok(answer)) => answer,
        Some(Err(status)) => body::status(&status),
        None => body::status(&timed_out()),
    };
    running.done(answer.status().as_u16());
    answer
}

async fn other(request: Req, path: String) -> Result<Answer, Status> {
    let method = request.parts.method.as_str().to_ascii_lowercase();
    let attributes = Attributes::path(&request.user, &method, &path);
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
        let agent = self.header(http::header::USER_AGENT).unwrap_or("");
        match self.query.flag("pretty") {
            Some(pretty) => pretty,
            None => ["curl/", "Wget/", "Mozilla/"].iter().any(|known| agent.starts_with(known)),
        }
    }
}
