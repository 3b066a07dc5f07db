//! `/v1/clusters`.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Serialize;

use crate::database::cluster::{ClusterFilter, ClusterSettings, ClusterState, Reason};
use crate::service::cluster::{Cluster, ClusterCreate, ClusterKey, ClusterUpdate};
use crate::service::control_plane::Credential;
use crate::service::settings::{self, SettingsUpdate};
use crate::service::validation::Findings;

use super::body::{Body, Fields};
use super::page::{List, page};
use super::problem::Problem;
use super::query::{NoQuery, Path, Query};
use super::{App, etag, idempotency, node_pool, operation};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/clusters", get(list).post(create))
        .route("/v1/clusters/{cluster}", get(read).patch(update).delete(delete))
        .route("/v1/clusters/{cluster}/kubeconfig", get(kubeconfig))
        .route("/v1/clusters/{cluster}/audit-log", get(audit_log))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    uid: String,
    name: String,
    provider: String,
    account: String,
    region: String,
    version: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<ReasonView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    /// PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_authority: Option<String>,
    network: Network,
    labels: BTreeMap<String, String>,
    #[serde(flatten)]
    settings: ClusterSettings,
    nodes: Nodes,
    created_at: String,
    updated_at: String,
}

#[derive(Serialize)]
pub(super) struct ReasonView {
    code: String,
    message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Network {
    pod_cidr: String,
    service_cidr: String,
}

#[derive(Serialize)]
struct Nodes {
    wanted: i64,
    ready: i64,
}

impl From<Reason> for ReasonView {
    fn from(reason: Reason) -> Self {
        Self { code: reason.code, message: reason.message }
    }
}

impl From<Cluster> for View {
    fn from(cluster: Cluster) -> Self {
        let record = cluster.record;
        let (endpoint, certificate_authority) =
            cluster.endpoint.map(|endpoint| (endpoint.url, endpoint.ca_pem)).unzip();
        Self {
            uid: record.uid,
            name: record.name,
            provider: record.scope.provider,
            account: record.scope.account,
            region: record.scope.region,
            version: record.version,
            state: record.state.as_str(),
            reason: record.reason.map(Into::into),
            endpoint,
            certificate_authority,
            network: Network { pod_cidr: record.pod_cidr, service_cidr: record.service_cidr },
            labels: record.labels,
            settings: shown(&record.settings),
            nodes: Nodes { wanted: record.nodes_wanted, ready: record.nodes_ready },
            created_at: record.created_at,
            updated_at: record.updated_at,
        }
    }
}

/// Without secrets.
fn shown(settings: &ClusterSettings) -> ClusterSettings {
    let shown = |document: &Option<serde_json::Value>| document.as_ref().map(settings::shown);
    ClusterSettings {
        authentication_configuration: shown(&settings.authentication_configuration),
        token_webhook: shown(&settings.token_webhook),
        authorization_configuration: shown(&settings.authorization_configuration),
        audit_policy: shown(&settings.audit_policy),
        scheduler_configuration: shown(&settings.scheduler_configuration),
    }
}

async fn list(State(app): State<App>, mut query: Query) -> Result<Response, Problem> {
    let page = page(&mut query)?;
    let filter = ClusterFilter {
        name: query.text("name"),
        state: query.word("state", ClusterState::ALL),
        provider: query.text("provider"),
        account: query.text("account"),
        region: query.text("region"),
        version: query.text("version"),
    };
    query.finish()?;
    let clusters = app.service.cluster_list(&filter, &page).await?;
    Ok(Json(List::of(clusters.map(View::from))).into_response())
}

async fn create(
    State(app): State<App>,
    headers: HeaderMap,
    _: NoQuery,
    body: Body,
) -> Result<Response, Problem> {
    let key = idempotency::key(&headers, "POST /v1/clusters", &body.bytes)?;
    let mut findings = Findings::default();
    let mut fields = Fields::new("a cluster", body.fields);
    let mut network = fields.object("network", "a network", &mut findings);
    let create = ClusterCreate {
        name: fields.required("name", &mut findings),
        version: fields.string("version", &mut findings),
        provider: fields.string("provider", &mut findings),
        account: None,
        region: fields.string("region", &mut findings),
        pod_cidr: network.as_mut().and_then(|network| network.string("podCidr", &mut findings)),
        service_cidr: network.as_mut().and_then(|network| network.string("serviceCidr", &mut findings)),
        labels: fields.labels("labels", &mut findings),
        settings: ClusterSettings {
            authentication_configuration: fields.document("authenticationConfiguration", &mut findings),
            token_webhook: fields.document("tokenWebhook", &mut findings),
            authorization_configuration: fields.document("authorizationConfiguration", &mut findings),
            audit_policy: fields.document("auditPolicy", &mut findings),
            scheduler_configuration: fields.document("schedulerConfiguration", &mut findings),
        },
        node_pools: fields
            .objects("nodePools", "a node pool", &mut findings)
            .into_iter()
            .map(|pool| node_pool::create_from(pool, &mut findings))
            .collect(),
    };
    if let Some(network) = network {
        network.finish(&mut findings);
    }
    fields.finish(&mut findings);
    refuse(findings)?;
    let created = app.service.cluster_create(create, key).await?;
    Ok(operation::accepted(created))
}

async fn read(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
    _: NoQuery,
) -> Result<Response, Problem> {
    let cluster = app.service.cluster_get(&ClusterKey::Native(name)).await?;
    let revision = cluster.record.revision;
    Ok(etag::tagged(&headers, revision, &View::from(cluster)))
}

async fn update(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
    _: NoQuery,
    body: Body,
) -> Result<Response, Problem> {
    let revision = etag::required(&headers)?;
    let mut findings = Findings::default();
    let mut fields = Fields::new("a change of a cluster", body.fields);
    let update = ClusterUpdate {
        labels: fields.label_changes("labels", &mut findings),
        settings: SettingsUpdate {
            authentication_configuration: fields
                .document_change("authenticationConfiguration", &mut findings),
            token_webhook: fields.document_change("tokenWebhook", &mut findings),
            authorization_configuration: fields.document_change("authorizationConfiguration", &mut findings),
            audit_policy: fields.document_change("auditPolicy", &mut findings),
            scheduler_configuration: fields.document_change("schedulerConfiguration", &mut findings),
        },
    };
    fields.finish(&mut findings);
    refuse(findings)?;
    let cluster = app.service.cluster_update(&ClusterKey::Native(name), update, revision).await?;
    let revision = cluster.record.revision;
    Ok(etag::tagged(&HeaderMap::new(), revision, &View::from(cluster)))
}

async fn delete(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
    _: NoQuery,
) -> Result<Response, Problem> {
    let revision = etag::required(&headers)?;
    Ok(operation::accepted(app.service.cluster_delete(&ClusterKey::Native(name), revision).await?))
}

async fn kubeconfig(
    State(app): State<App>,
    Path(name): Path<String>,
    mut query: Query,
) -> Result<Response, Problem> {
    const KINDS: [&str; 2] = ["certificate", "token"];
    let credential = match query.word("credential", &KINDS) {
        Some("token") => Credential::Token,
        _ => Credential::ClientCertificate,
    };
    query.finish()?;
    let text = app.service.cluster_kubeconfig(&ClusterKey::Native(name), credential).await?;
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/yaml")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"kubeconfig.yaml\"")),
        // It holds a secret.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, text).into_response())
}

async fn audit_log(
    State(app): State<App>,
    Path(name): Path<String>,
    mut query: Query,
) -> Result<Response, Problem> {
    let follow = query.word("follow", &["true", "false"]) == Some("true");
    query.finish()?;
    let log = app.service.cluster_audit_log(&ClusterKey::Native(name), follow).await?;
    let headers: [(HeaderName, HeaderValue); 2] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/jsonl")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let body = axum::body::Body::from_stream(log.map(Ok::<_, std::convert::Infallible>));
    Ok((headers, body).into_response())
}

pub(super) fn refuse(findings: Findings) -> Result<(), Problem> {
    if findings.0.is_empty() { Ok(()) } else { Err(Problem::invalid(findings.0)) }
}
