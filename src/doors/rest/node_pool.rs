//! `/v1/clusters/{cluster}/node-pools`.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::HeaderMap;
use serde::Serialize;

use crate::database::node_pool::{NodePoolState, Taint};
use crate::service::cluster::ClusterKey;
use crate::service::node_pool::{NodePool, NodePoolCreate};
use crate::service::validation::Findings;

use super::body::{Body, Fields};
use super::cluster::{ReasonView, refuse};
use super::page::{List, page};
use super::problem::Problem;
use super::query::{NoQuery, Path, Query};
use super::{App, etag, idempotency, operation};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/clusters/{cluster}/node-pools", get(list).post(create))
        .route("/v1/clusters/{cluster}/node-pools/{nodePool}", get(read).patch(update).delete(delete))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    uid: String,
    name: String,
    cluster: String,
    cluster_uid: String,
    instance_type: String,
    /// Wanted.
    nodes: u32,
    version: String,
    kubelet: &'static str,
    zones: Vec<String>,
    labels: BTreeMap<String, String>,
    taints: Vec<Taint>,
    spot: bool,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<ReasonView>,
    observed: Observed,
    created_at: String,
    updated_at: String,
}

#[derive(Serialize)]
struct Observed {
    machines: u32,
    ready: u32,
}

impl From<NodePool> for View {
    fn from(pool: NodePool) -> Self {
        let record = pool.record;
        Self {
            uid: record.uid,
            name: record.name,
            cluster: pool.cluster.name,
            cluster_uid: record.cluster_uid,
            instance_type: record.instance_type,
            nodes: record.nodes,
            version: record.version,
            kubelet: record.kubelet.as_str(),
            zones: record.zones,
            labels: record.labels,
            taints: record.taints,
            spot: record.spot,
            state: record.state.as_str(),
            reason: record.reason.map(Into::into),
            observed: Observed { machines: record.observed.machines, ready: record.observed.ready },
            created_at: record.created_at,
            updated_at: record.updated_at,
        }
    }
}

/// Reads a node pool to make.
pub(super) fn create_from(mut fields: Fields, findings: &mut Findings) -> NodePoolCreate {
    let mut taints = Vec::new();
    let create = NodePoolCreate {
        name: fields.required("name", findings),
        instance_type: fields.string("instanceType", findings),
        nodes: fields.count("nodes", findings).unwrap_or(1),
        zones: fields.strings("zones", findings),
        labels: fields.labels("labels", findings),
        taints: Vec::new(),
        spot: fields.flag("spot", findings).unwrap_or_default(),
    };
    for mut taint in fields.objects("taints", "a taint", findings) {
        taints.push(Taint {
            key: taint.required("key", findings),
            value: taint.string("value", findings).unwrap_or_default(),
            effect: taint.required("effect", findings),
        });
        taint.finish(findings);
    }
    fields.finish(findings);
    NodePoolCreate { taints, ..create }
}

async fn list(
    State(app): State<App>,
    Path(cluster): Path<String>,
    mut query: Query,
) -> Result<Response, Problem> {
    let page = page(&mut query)?;
    let state = query.word("state", NodePoolState::ALL);
    query.finish()?;
    let pools = app.service.node_pool_list(&ClusterKey::Native(cluster), state, &page).await?;
    Ok(Json(List::of(pools.map(View::from))).into_response())
}

async fn create(
    State(app): State<App>,
    Path(cluster): Path<String>,
    headers: HeaderMap,
    _: NoQuery,
    body: Body,
) -> Result<Response, Problem> {
    let key = idempotency::key(&headers, &format!("POST /v1/clusters/{cluster}/node-pools"), &body.bytes)?;
    let mut findings = Findings::default();
    let create = create_from(Fields::new("a node pool", body.fields), &mut findings);
    refuse(findings)?;
    let created = app.service.node_pool_create(&ClusterKey::Native(cluster), create, key).await?;
    Ok(operation::accepted(created))
}

async fn read(
    State(app): State<App>,
    Path((cluster, name)): Path<(String, String)>,
    headers: HeaderMap,
    _: NoQuery,
) -> Result<Response, Problem> {
    let pool = app.service.node_pool_get(&ClusterKey::Native(cluster), &name).await?;
    let revision = pool.record.revision;
    Ok(etag::tagged(&headers, revision, &View::from(pool)))
}

async fn update(
    State(app): State<App>,
    Path((cluster, name)): Path<(String, String)>,
    headers: HeaderMap,
    _: NoQuery,
    body: Body,
) -> Result<Response, Problem> {
    let revision = etag::required(&headers)?;
    let mut findings = Findings::default();
    let mut fields = Fields::new("a change of a node pool", body.fields);
    let nodes = fields.count("nodes", &mut findings);
    fields.finish(&mut findings);
    if nodes.is_none() && findings.0.is_empty() {
        findings.add("nodes", "is required");
    }
    refuse(findings)?;
    let nodes = nodes.unwrap_or_default();
    let scaled = app.service.node_pool_scale(&ClusterKey::Native(cluster), &name, nodes, revision).await?;
    Ok(operation::accepted(scaled))
}

async fn delete(
    State(app): State<App>,
    Path((cluster, name)): Path<(String, String)>,
    headers: HeaderMap,
    _: NoQuery,
) -> Result<Response, Problem> {
    let revision = etag::required(&headers)?;
    let going = app.service.node_pool_delete(&ClusterKey::Native(cluster), &name, revision).await?;
    Ok(operation::accepted(going))
}
