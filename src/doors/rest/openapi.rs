//! `/openapi.json`: the OpenAPI 3.1 document. Its source is `openapi.yaml` beside this file.

use std::sync::LazyLock;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header;
use serde_json::Value;

use super::App;
use super::problem::Problem;
use super::query::NoQuery;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/openapi.json", get(read))
}

static DOCUMENT: LazyLock<Option<Value>> = LazyLock::new(|| {
    let mut document: Value = serde_saphyr::from_str(include_str!("openapi.yaml")).ok()?;
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    Some(document)
});

/// The document. None if the source is broken, which a test excludes.
pub fn document() -> Option<&'static Value> {
    DOCUMENT.as_ref()
}

async fn read(_: NoQuery) -> Result<Response, Problem> {
    let document = document().ok_or_else(Problem::internal)?;
    Ok(([(header::CACHE_CONTROL, "max-age=3600")], axum::Json(document)).into_response())
}
