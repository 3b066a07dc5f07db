//! `/metrics`, for Prometheus.
//!
//! Counts of records are read when they are asked for, so that they are right after a restart, too.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::service::ServiceError;

use super::App;
use super::problem::Problem;
use super::query::NoQuery;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/metrics", get(metrics))
}

/// What is counted as it happens.
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter<u64, AtomicU64>>,
    durations: Family<Route, Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    method: String,
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClusterLabels {
    provider: String,
    state: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    r#type: String,
    state: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: String,
}

const BUCKETS: [f64; 9] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("drydock");
        let requests = Family::default();
        let durations = Family::<Route, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        registry.register("http_requests", "Requests of the management API", requests.clone());
        registry.register("http_request_duration_seconds", "How long they took", durations.clone());
        registry.register("build", "This build", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
        Self { registry, requests, durations }
    }

    pub(super) fn observe(&self, method: &str, route: &str, status: u16, elapsed: Duration) {
        let (method, route) = (method.to_owned(), route.to_owned());
        let labels = Request { method: method.clone(), route: route.clone(), status };
        self.requests.get_or_create(&labels).inc();
        self.durations.get_or_create(&Route { method, route }).observe(elapsed.as_secs_f64());
    }
}

async fn metrics(State(app): State<App>, _: NoQuery) -> Result<Response, Problem> {
    let records = records(&app).await.map_err(Problem::from)?;
    let mut text = String::new();
    // Each registry ends its text with `# EOF`; there must be one.
    encode(&mut text, &records).map_err(|_| Problem::internal())?;
    let mut text = text.trim_end().trim_end_matches("# EOF").to_owned();
    encode(&mut text, &app.metrics.registry).map_err(|_| Problem::internal())?;
    let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, media)], text).into_response())
}

async fn records(app: &App) -> Result<Registry, ServiceError> {
    let database = app.service.database();
    let mut registry = Registry::with_prefix("drydock");
    let clusters = Family::<ClusterLabels, Gauge>::default();
    for (provider, state, count) in database.cluster_counts().await? {
        clusters.get_or_create(&ClusterLabels { provider, state }).set(count);
    }
    registry.register("clusters", "Clusters", clusters);
    let pools = Family::<StateLabels, Gauge>::default();
    let (wanted, ready) = (Gauge::<i64>::default(), Gauge::<i64>::default());
    for (state, count, pool_wanted, pool_ready) in database.node_pool_counts().await? {
        pools.get_or_create(&StateLabels { state }).set(count);
        wanted.inc_by(pool_wanted);
        ready.inc_by(pool_ready);
    }
    registry.register("node_pools", "Node pools", pools);
    registry.register("nodes_wanted", "Nodes that node pools should have", wanted);
    registry.register("nodes_ready", "Nodes of node pools that are ready", ready);
    let operations = Family::<OperationLabels, Gauge>::default();
    for (r#type, state, count) in database.operation_counts().await? {
        operations.get_or_create(&OperationLabels { r#type, state }).set(count);
    }
    registry.register("operations", "Operations that are remembered", operations);
    if let Some(bytes) = resident_memory() {
        let gauge = Gauge::<i64>::default();
        gauge.set(bytes);
        registry.register(
            "process_resident_memory_bytes",
            "Memory of the service, all clusters included",
            gauge,
        );
    }
    Ok(registry)
}

/// From `/proc`, where there is one.
fn resident_memory() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}
