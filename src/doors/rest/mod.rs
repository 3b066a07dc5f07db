//! The native REST API: `/v1/…`, described by the OpenAPI document at `/openapi.json`.
//!
//! One file per noun, named as in the service. What is common is beside them: `body` and `query` read requests strictly,
//! `problem` writes every error (RFC 9457), `etag` is conditional requests, `access` is who may call.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use drydock_runtime::Stopwatch;
use futures::FutureExt;

use crate::service::Service;

pub mod access;
mod body;
mod clock;
mod cluster;
mod etag;
mod health;
mod idempotency;
mod metrics;
mod node_pool;
pub mod openapi;
mod operation;
mod page;
mod problem;
mod provider;
mod query;
mod scheduling;
mod version;

pub use access::Access;
use metrics::Metrics;
use problem::Problem;

/// What handlers share.
#[derive(Clone)]
pub(crate) struct App {
    service: Service,
    access: Arc<Access>,
    metrics: Arc<Metrics>,
}

/// Every route: method, path, and whether it demands the API token where there is one.
pub const ROUTES: &[(&str, &str, bool)] = &[
    ("GET", "/healthz", false),
    ("GET", "/readyz", false),
    ("GET", "/metrics", true),
    ("GET", "/openapi.json", true),
    ("GET", "/v1/clusters", true),
    ("POST", "/v1/clusters", true),
    ("GET", "/v1/clusters/{cluster}", true),
    ("PATCH", "/v1/clusters/{cluster}", true),
    ("DELETE", "/v1/clusters/{cluster}", true),
    ("GET", "/v1/clusters/{cluster}/kubeconfig", true),
    ("GET", "/v1/clusters/{cluster}/audit-log", true),
    ("GET", "/v1/clusters/{cluster}/scheduling", true),
    ("GET", "/v1/clusters/{cluster}/clock", true),
    ("POST", "/v1/clusters/{cluster}/clock", true),
    ("GET", "/v1/clusters/{cluster}/node-pools", true),
    ("POST", "/v1/clusters/{cluster}/node-pools", true),
    ("GET", "/v1/clusters/{cluster}/node-pools/{nodePool}", true),
    ("PATCH", "/v1/clusters/{cluster}/node-pools/{nodePool}", true),
    ("DELETE", "/v1/clusters/{cluster}/node-pools/{nodePool}", true),
    ("GET", "/v1/operations", true),
    ("GET", "/v1/operations/{operation}", true),
    ("GET", "/v1/providers", true),
    ("GET", "/v1/providers/{provider}", true),
    ("GET", "/v1/versions", true),
];

/// The API over a service.
pub fn router(service: Service, access: Access) -> Router {
    let app = App { service, access: Arc::new(access), metrics: Arc::new(Metrics::new()) };
    Router::new()
        .merge(cluster::routes())
        .merge(clock::routes())
        .merge(scheduling::routes())
        .merge(node_pool::routes())
        .merge(operation::routes())
        .merge(provider::routes())
        .merge(version::routes())
        .merge(openapi::routes())
        .merge(metrics::routes())
        .layer(middleware::from_fn_with_state(app.clone(), access::demand_token))
        .merge(health::routes())
        .fallback(|| async { Problem::no_route() })
        .method_not_allowed_fallback(|| async { Problem::wrong_method() })
        .layer(middleware::from_fn_with_state(app.clone(), access::demand_own_host))
        .layer(middleware::from_fn_with_state(app.clone(), observe))
        .with_state(app)
}

/// Counts and logs each request, and turns a panic of its handler into an answer.
async fn observe(
    axum::extract::State(app): axum::extract::State<App>,
    request: Request,
    next: Next,
) -> Response {
    let watch = Stopwatch::start();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request
        .extensions()
        .get::<axum::extract::MatchedPath>()
        .map_or_else(|| "none".to_owned(), |matched| matched.as_str().to_owned());
    let handled = std::panic::AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let mut response = handled.unwrap_or_else(|_| {
        tracing::error!(%method, path, "handler panicked");
        Problem::internal().into_response()
    });
    problem::complete(&mut response, &path);
    let status = response.status().as_u16();
    app.metrics.observe(method.as_str(), &route, status, watch.elapsed());
    tracing::debug!(%method, path, status, elapsed = ?watch.elapsed(), "request");
    response
}
