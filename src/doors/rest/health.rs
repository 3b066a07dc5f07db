//! `/healthz`: the process answers. `/readyz`: it does its work.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;

use super::App;
use super::problem::Problem;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready))
}

async fn ready(State(app): State<App>) -> Response {
    let readiness = app.service.readiness().await;
    let wrong = match (readiness.database, readiness.opening) {
        (true, 0) => return "ok\n".into_response(),
        (false, _) => "the database does not answer".to_owned(),
        (true, opening) => format!("{opening} clusters are still opening"),
    };
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "notReady", wrong).into_response()
}
