//! `/v1/clusters/{cluster}/scheduling`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use crate::service::cluster::ClusterKey;
use crate::service::validation::Findings;

use super::App;
use super::cluster::refuse;
use super::problem::Problem;
use super::query::{Path, Query};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/v1/clusters/{cluster}/scheduling", get(explain))
}

async fn explain(
    State(app): State<App>,
    Path(name): Path<String>,
    mut query: Query,
) -> Result<Response, Problem> {
    let (pod, namespace) = (query.text("pod"), query.text("namespace"));
    query.finish()?;
    let mut findings = Findings::default();
    if pod.is_none() {
        findings.add("pod", "is required");
    }
    refuse(findings)?;
    let namespace = namespace.unwrap_or_else(|| "default".to_owned());
    let key = ClusterKey::Native(name);
    let explained =
        app.service.cluster_explain_scheduling(&key, &namespace, &pod.unwrap_or_default()).await?;
    Ok(Json(explained).into_response())
}
