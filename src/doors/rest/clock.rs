//! `/v1/clusters/{cluster}/clock`.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use crate::service::cluster::ClusterKey;
use crate::service::control_plane::{ClockChange, ClockState};
use crate::service::validation::Findings;

use super::App;
use super::body::{Body, Fields};
use super::cluster::refuse;
use super::problem::Problem;
use super::query::{NoQuery, Path};

/// How long an answer waits for the clock to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn routes() -> Router<App> {
    Router::new().route("/v1/clusters/{cluster}/clock", get(read).post(change))
}

#[derive(Serialize)]
struct View {
    now: String,
    speed: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

impl From<ClockState> for View {
    fn from(clock: ClockState) -> Self {
        let text = |time: jiff::Timestamp| format!("{time:.3}");
        Self { now: text(clock.now), speed: clock.speed, target: clock.target.map(text) }
    }
}

async fn read(State(app): State<App>, Path(name): Path<String>, _: NoQuery) -> Result<Response, Problem> {
    let clock = app.service.cluster_clock(&ClusterKey::Native(name)).await?;
    Ok(Json(View::from(clock)).into_response())
}

async fn change(
    State(app): State<App>,
    Path(name): Path<String>,
    _: NoQuery,
    body: Body,
) -> Result<Response, Problem> {
    let mut findings = Findings::default();
    let mut fields = Fields::new("a change of a clock", body.fields);
    let change = ClockChange {
        speed: fields.number("speed", &mut findings),
        advance: fields.duration("advance", &mut findings),
    };
    fields.finish(&mut findings);
    refuse(findings)?;
    let clock = app.service.cluster_clock_change(&ClusterKey::Native(name), change, PATIENCE).await?;
    Ok(Json(View::from(clock)).into_response())
}
