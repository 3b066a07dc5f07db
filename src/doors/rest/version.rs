//! `/v1/versions`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use super::App;
use super::page::List;
use super::problem::Problem;
use super::query::NoQuery;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/v1/versions", get(list))
}

#[derive(Serialize)]
struct View {
    version: &'static str,
    default: bool,
}

async fn list(State(app): State<App>, _: NoQuery) -> Result<Response, Problem> {
    let versions = app.service.versions();
    let views =
        versions.iter().map(|version| View { version: version.name, default: version.default }).collect();
    Ok(Json(List::whole(views)).into_response())
}
