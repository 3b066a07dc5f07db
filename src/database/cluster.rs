//! Clusters, as recorded.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::FromRow;

use super::text::{self, Labels, words};
use super::{Database, Result, Txn};

/// The account of clusters made through the native API.
pub const NATIVE_ACCOUNT: &str = "default";

/// Where a cluster's name is unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// `mock`, `aws`.
    pub provider: String,
    /// AWS account, Azure subscription and resource group, GCP project.
    pub account: String,
    /// Region or location.
    pub region: String,
}

/// Why something is as it is, for people and for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// A word in camel case.
    pub code: String,
    pub message: String,
}

impl Reason {
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }

    pub(super) fn from_columns(code: Option<String>, message: Option<String>) -> Option<Self> {
        Some(Self { code: code?, message: message.unwrap_or_default() })
    }
}

words! {
    pub enum ClusterState {
        /// The control plane has not served yet.
        Creating = "creating",
        Active = "active",
        /// The control plane does not serve; the reason says why. It is tried again.
        Failed = "failed",
        Deleting = "deleting",
    }
}

/// Configuration files of a cluster's API server and scheduler, as they were given. None: as upstream without one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterSettings {
    /// `apiserver.config.k8s.io/v1 AuthenticationConfiguration`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication_configuration: Option<Value>,
    /// The kubeconfig of a webhook that knows tokens, and how long its answers are good for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_webhook: Option<Value>,
    /// `apiserver.config.k8s.io/v1 AuthorizationConfiguration`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_configuration: Option<Value>,
    /// `audit.k8s.io/v1 Policy`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_policy: Option<Value>,
    /// `kubescheduler.config.k8s.io/v1 KubeSchedulerConfiguration`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler_configuration: Option<Value>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterRecord {
    pub uid: String,
    pub scope: Scope,
    pub name: String,
    pub version: String,
    pub pod_cidr: String,
    pub service_cidr: String,
    pub labels: Labels,
    pub settings: ClusterSettings,
    pub port: u16,
    pub state: ClusterState,
    pub reason: Option<Reason>,
    /// Goes up with every change, and is never that of an earlier cluster of the same name.
    pub revision: i64,
    pub created_at: String,
    pub updated_at: String,
    /// Of its node pools: wanted, and ready as last observed.
    pub nodes_wanted: i64,
    pub nodes_ready: i64,
}

/// Which clusters to list. None takes any.
#[derive(Clone, Debug, Default)]
pub struct ClusterFilter {
    pub state: Option<ClusterState>,
    pub provider: Option<String>,
    pub account: Option<String>,
    pub region: Option<String>,
    pub version: Option<String>,
    pub name: Option<String>,
}

#[derive(FromRow)]
struct Row {
    uid: String,
    provider: String,
    account: String,
    region: String,
    name: String,
    version: String,
    pod_cidr: String,
    service_cidr: String,
    labels: String,
    settings: String,
    port: i64,
    state: String,
    reason_code: Option<String>,
    reason_message: Option<String>,
    revision: i64,
    created_at: String,
    updated_at: String,
    nodes_wanted: i64,
    nodes_ready: i64,
}

impl TryFrom<Row> for ClusterRecord {
    type Error = super::DatabaseError;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            uid: row.uid,
            scope: Scope { provider: row.provider, account: row.account, region: row.region },
            name: row.name,
            version: row.version,
            pod_cidr: row.pod_cidr,
            service_cidr: row.service_cidr,
            labels: text::from_json("cluster", &row.labels)?,
            settings: text::from_json("cluster", &row.settings)?,
            port: u16::try_from(row.port)
                .map_err(|_| super::DatabaseError::Value { table: "cluster", value: row.port.to_string() })?,
            state: text::word("cluster", row.state, ClusterState::parse)?,
            reason: Reason::from_columns(row.reason_code, row.reason_message),
            revision: row.revision,
            created_at: row.created_at,
            updated_at: row.updated_at,
            nodes_wanted: row.nodes_wanted,
            nodes_ready: row.nodes_ready,
        })
    }
}

/// What every query of clusters selects from.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT c.*, \
             (SELECT coalesce(sum(nodes), 0) FROM node_pool p WHERE p.cluster_uid = c.uid AND p.state <> 'deleting') \
             AS nodes_wanted, \
             (SELECT coalesce(sum(ready), 0) FROM node_pool p WHERE p.cluster_uid = c.uid) AS nodes_ready \
             FROM cluster c ",
            $rest
        )
    };
}

impl Database {
    pub async fn cluster_get(&self, uid: &str) -> Result<Option<ClusterRecord>> {
        let row: Option<Row> =
            sqlx::query_as(select!("WHERE c.uid = ?1")).bind(uid).fetch_optional(self.reader()).await?;
        row.map(TryInto::try_into).transpose()
    }

    /// By the name within the native account, or by uid.
    pub async fn cluster_find(&self, name_or_uid: &str) -> Result<Option<ClusterRecord>> {
        let row: Option<Row> =
            sqlx::query_as(select!("WHERE (c.account = 'default' AND c.name = ?1) OR c.uid = ?1"))
                .bind(name_or_uid)
                .fetch_optional(self.reader())
                .await?;
        row.map(TryInto::try_into).transpose()
    }

    /// By identity, as the clouds' own APIs name clusters.
    pub async fn cluster_find_in(&self, scope: &Scope, name: &str) -> Result<Option<ClusterRecord>> {
        let row: Option<Row> = sqlx::query_as(select!(
            "WHERE c.provider = ?1 AND c.account = ?2 AND c.region = ?3 AND c.name = ?4"
        ))
        .bind(&scope.provider)
        .bind(&scope.account)
        .bind(&scope.region)
        .bind(name)
        .fetch_optional(self.reader())
        .await?;
        row.map(TryInto::try_into).transpose()
    }

    /// In order of name and uid, those after `after`, `limit` at most.
    pub async fn cluster_list(
        &self,
        filter: &ClusterFilter,
        after: Option<(&str, &str)>,
        limit: i64,
    ) -> Result<Vec<ClusterRecord>> {
        let (after_name, after_uid) = after.unwrap_or_default();
        let rows: Vec<Row> = sqlx::query_as(select!(
            "WHERE (?1 IS NULL OR c.state = ?1) AND (?2 IS NULL OR c.provider = ?2) \
             AND (?3 IS NULL OR c.account = ?3) AND (?4 IS NULL OR c.region = ?4) \
             AND (?5 IS NULL OR c.version = ?5) AND (?6 IS NULL OR c.name = ?6) \
             AND (c.name, c.uid) > (?7, ?8) ORDER BY c.name, c.uid LIMIT ?9"
        ))
        .bind(filter.state.map(ClusterState::as_str))
        .bind(&filter.provider)
        .bind(&filter.account)
        .bind(&filter.region)
        .bind(&filter.version)
        .bind(&filter.name)
        .bind(after_name)
        .bind(after_uid)
        .bind(limit)
        .fetch_all(self.reader())
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// Uid and revision of every cluster, for the sweep.
    pub async fn cluster_revisions(&self) -> Result<Vec<(String, i64)>> {
        Ok(sqlx::query_as("SELECT uid, revision FROM cluster").fetch_all(self.reader()).await?)
    }

    /// How many clusters are in each state.
    pub async fn cluster_counts(&self) -> Result<Vec<(String, String, i64)>> {
        Ok(sqlx::query_as("SELECT provider, state, count(*) FROM cluster GROUP BY provider, state")
            .fetch_all(self.reader())
            .await?)
    }
}

/// Ports that clusters have.
pub async fn ports_in_txn(txn: &mut Txn) -> Result<Vec<u16>> {
    let ports: Vec<i64> =
        sqlx::query_scalar("SELECT port FROM cluster ORDER BY port").fetch_all(&mut **txn).await?;
    Ok(ports.into_iter().filter_map(|port| u16::try_from(port).ok()).collect())
}

/// The cluster as it is in the transaction.
pub async fn get_in_txn(txn: &mut Txn, uid: &str) -> Result<Option<ClusterRecord>> {
    let row: Option<Row> =
        sqlx::query_as(select!("WHERE c.uid = ?1")).bind(uid).fetch_optional(&mut **txn).await?;
    row.map(TryInto::try_into).transpose()
}

/// The cluster that has the name, in the scope or, for the native account, in any.
pub async fn holder_in_txn(txn: &mut Txn, scope: &Scope, name: &str) -> Result<Option<ClusterRecord>> {
    let row: Option<Row> = sqlx::query_as(select!(
        "WHERE c.account = ?2 AND c.name = ?4 AND (c.account = 'default' OR (c.provider = ?1 AND c.region = ?3))"
    ))
    .bind(&scope.provider)
    .bind(&scope.account)
    .bind(&scope.region)
    .bind(name)
    .fetch_optional(&mut **txn)
    .await?;
    row.map(TryInto::try_into).transpose()
}

pub async fn insert_in_txn(txn: &mut Txn, cluster: &ClusterRecord) -> Result<()> {
    sqlx::query(
        "INSERT INTO cluster (uid, provider, account, region, name, version, pod_cidr, service_cidr, labels, port, \
         state, revision, created_at, updated_at, settings) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13, ?14)",
    )
    .bind(&cluster.uid)
    .bind(&cluster.scope.provider)
    .bind(&cluster.scope.account)
    .bind(&cluster.scope.region)
    .bind(&cluster.name)
    .bind(&cluster.version)
    .bind(&cluster.pod_cidr)
    .bind(&cluster.service_cidr)
    .bind(text::to_json(&cluster.labels))
    .bind(i64::from(cluster.port))
    .bind(cluster.state.as_str())
    .bind(cluster.revision)
    .bind(&cluster.created_at)
    .bind(text::to_json(&cluster.settings))
    .execute(&mut **txn)
    .await?;
    Ok(())
}

/// Records another state and reason.
pub async fn set_state_in_txn(
    txn: &mut Txn,
    uid: &str,
    state: ClusterState,
    reason: Option<&Reason>,
) -> Result<()> {
    sqlx::query(
        "UPDATE cluster SET state = ?2, reason_code = ?3, reason_message = ?4, revision = revision + 1, \
         updated_at = ?5 WHERE uid = ?1",
    )
    .bind(uid)
    .bind(state.as_str())
    .bind(reason.map(|reason| reason.code.as_str()))
    .bind(reason.map(|reason| reason.message.as_str()))
    .bind(text::now())
    .execute(&mut **txn)
    .await?;
    Ok(())
}

/// Records what users may change of a cluster.
pub async fn set_labels_and_settings_in_txn(
    txn: &mut Txn,
    uid: &str,
    labels: &Labels,
    settings: &ClusterSettings,
) -> Result<()> {
    sqlx::query(
        "UPDATE cluster SET labels = ?2, settings = ?3, revision = revision + 1, updated_at = ?4 WHERE uid = ?1",
    )
    .bind(uid)
    .bind(text::to_json(labels))
    .bind(text::to_json(settings))
    .bind(text::now())
    .execute(&mut **txn)
    .await?;
    Ok(())
}

/// Counts a change of what belongs to the cluster: its representation shows it.
pub async fn touch_in_txn(txn: &mut Txn, uid: &str) -> Result<()> {
    sqlx::query("UPDATE cluster SET revision = revision + 1, updated_at = ?2 WHERE uid = ?1")
        .bind(uid)
        .bind(text::now())
        .execute(&mut **txn)
        .await?;
    Ok(())
}

/// Forgets the cluster and its node pools.
pub async fn delete_in_txn(txn: &mut Txn, uid: &str) -> Result<()> {
    sqlx::query("DELETE FROM cluster WHERE uid = ?1").bind(uid).execute(&mut **txn).await?;
    Ok(())
}
