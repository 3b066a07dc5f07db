//! `/v1/operations`.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::database::operation::{OperationFilter, OperationKind, OperationRecord, OperationState};

use super::cluster::ReasonView;
use super::page::{List, page};
use super::problem::Problem;
use super::query::{Path, Query};
use super::{App, etag};

/// How long a client may let an answer wait, in seconds.
const MAX_WAIT: u32 = 60;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/v1/operations", get(list)).route("/v1/operations/{operation}", get(read))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    state: &'static str,
    cluster: String,
    cluster_uid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_pool: Option<String>,
    /// The path of what it is about.
    target: String,
    progress: Progress,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ReasonView>,
    created_at: String,
    updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
}

#[derive(Serialize)]
struct Progress {
    done: u32,
    total: u32,
    percent: u32,
    message: String,
}

impl From<OperationRecord> for View {
    fn from(record: OperationRecord) -> Self {
        let progress = record.progress;
        let percent = u64::from(progress.done) * 100 / u64::from(progress.total.max(1));
        let node_pool = record.node_pool.map(|pool| pool.name);
        let target = match &node_pool {
            Some(pool) => format!("/v1/clusters/{}/node-pools/{pool}", record.cluster_name),
            None => format!("/v1/clusters/{}", record.cluster_name),
        };
        Self {
            id: record.id,
            kind: record.kind.as_str(),
            state: record.state.as_str(),
            cluster: record.cluster_name,
            cluster_uid: record.cluster_uid,
            node_pool,
            target,
            progress: Progress {
                done: progress.done,
                total: progress.total,
                percent: u32::try_from(percent.min(100)).unwrap_or(100),
                message: progress.message,
            },
            error: record.error.map(Into::into),
            created_at: record.created_at,
            updated_at: record.updated_at,
            finished_at: record.finished_at,
        }
    }
}

/// 202 with the operation, and where to follow it.
pub(super) fn accepted(record: OperationRecord) -> Response {
    let location = HeaderValue::from_str(&format!("/v1/operations/{}", record.id));
    let mut response = (StatusCode::ACCEPTED, Json(View::from(record))).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

async fn list(State(app): State<App>, mut query: Query) -> Result<Response, Problem> {
    let page = page(&mut query)?;
    let filter = OperationFilter {
        state: query.word("state", OperationState::ALL),
        kind: query.word("type", OperationKind::ALL),
        cluster: query.text("cluster"),
        node_pool: query.text("nodePool"),
    };
    query.finish()?;
    let operations = app.service.operation_list(&filter, &page).await?;
    Ok(Json(List::of(operations.map(View::from))).into_response())
}

/// With `wait`, answers when the operation has ended, or with `If-None-Match`, when it is other than that.
async fn read(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    mut query: Query,
) -> Result<Response, Problem> {
    let wait = query.number("wait", 0, MAX_WAIT);
    query.finish()?;
    let operation = match wait {
        None => app.service.operation_get(&id).await?,
        Some(seconds) => {
            let patience = Duration::from_secs(seconds.into());
            let seen = etag::Seen::of(&headers).and_then(|seen| seen.latest());
            app.service.operation_wait(&id, seen, patience).await?
        }
    };
    let revision = operation.revision;
    Ok(etag::tagged(&headers, revision, &View::from(operation)))
}
