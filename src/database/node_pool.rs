//! Node pools, as recorded.

use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use super::cluster::Reason;
use super::text::{self, Labels, words};
use super::{Database, Result, Txn};

words! {
    pub enum NodePoolState {
        /// Its nodes were never all ready.
        Creating = "creating",
        Active = "active",
        /// On the way to another number of nodes.
        Scaling = "scaling",
        /// Something stands in the way; the reason says what. It is tried again.
        Degraded = "degraded",
        /// It cannot succeed as it is; the reason says why.
        Failed = "failed",
        Deleting = "deleting",
    }
}

words! {
    /// Whose kubelets run on the nodes.
    pub enum Kubelet {
        Simulated = "simulated",
    }
}

/// `core/v1` Taint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taint {
    pub key: String,
    #[serde(default)]
    pub value: String,
    pub effect: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePoolRecord {
    pub uid: String,
    pub cluster_uid: String,
    pub name: String,
    pub instance_type: String,
    /// Wanted.
    pub nodes: u32,
    pub version: String,
    pub kubelet: Kubelet,
    /// Empty for all of the region.
    pub zones: Vec<String>,
    pub labels: Labels,
    pub taints: Vec<Taint>,
    pub spot: bool,
    pub state: NodePoolState,
    pub reason: Option<Reason>,
    /// As last observed.
    pub observed: Observed,
    pub revision: i64,
    pub created_at: String,
    pub updated_at: String,
}

/// What a pool has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Instances that the provider has.
    pub machines: u32,
    /// Nodes that are Ready.
    pub ready: u32,
}

#[derive(FromRow)]
struct Row {
    uid: String,
    cluster_uid: String,
    name: String,
    instance_type: String,
    nodes: u32,
    version: String,
    kubelet: String,
    zones: String,
    labels: String,
    taints: String,
    spot: bool,
    state: String,
    reason_code: Option<String>,
    reason_message: Option<String>,
    machines: u32,
    ready: u32,
    revision: i64,
    created_at: String,
    updated_at: String,
}

const TABLE: &str = "node_pool";

impl TryFrom<Row> for NodePoolRecord {
    type Error = super::DatabaseError;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            uid: row.uid,
            cluster_uid: row.cluster_uid,
            name: row.name,
            instance_type: row.instance_type,
            nodes: row.nodes,
            version: row.version,
            kubelet: text::word(TABLE, row.kubelet, Kubelet::parse)?,
            zones: text::from_json(TABLE, &row.zones)?,
            labels: text::from_json(TABLE, &row.labels)?,
            taints: text::from_json(TABLE, &row.taints)?,
            spot: row.spot,
            state: text::word(TABLE, row.state, NodePoolState::parse)?,
            reason: Reason::from_columns(row.reason_code, row.reason_message),
            observed: Observed { machines: row.machines, ready: row.ready },
            revision: row.revision,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

impl Database {
    pub async fn node_pool_find(&self, cluster_uid: &str, name: &str) -> Result<Option<NodePoolRecord>> {
        let row: Option<Row> = sqlx::query_as("SELECT * FROM node_pool WHERE cluster_uid = ?1 AND name = ?2")
            .bind(cluster_uid)
            .bind(name)
            .fetch_optional(self.reader())
            .await?;
        row.map(TryInto::try_into).transpose()
    }

    /// Of a cluster in order of name, those after `after`, `limit` at most.
    pub async fn node_pool_list(
        &self,
        cluster_uid: &str,
        state: Option<NodePoolState>,
        after: &str,
        limit: i64,
    ) -> Result<Vec<NodePoolRecord>> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT * FROM node_pool WHERE cluster_uid = ?1 AND (?2 IS NULL OR state = ?2) AND name > ?3 \
             ORDER BY name LIMIT ?4",
        )
        .bind(cluster_uid)
        .bind(state.map(NodePoolState::as_str))
        .bind(after)
        .bind(limit)
        .fetch_all(self.reader())
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// Records that no node of any pool is ready, as when nothing runs yet.
    pub async fn node_pool_none_ready(&self) -> Result<()> {
        let mut txn = self.begin().await?;
        for sql in [
            "UPDATE cluster SET revision = revision + 1, updated_at = ?1 \
             WHERE uid IN (SELECT cluster_uid FROM node_pool WHERE ready > 0)",
            "UPDATE node_pool SET ready = 0, revision = revision + 1, updated_at = ?1 WHERE ready > 0",
        ] {
            sqlx::query(sql).bind(text::now()).execute(&mut *txn).await?;
        }
        Ok(txn.commit().await?)
    }

    /// By state: pools, nodes wanted, nodes ready.
    pub async fn node_pool_counts(&self) -> Result<Vec<(String, i64, i64, i64)>> {
        Ok(sqlx::query_as("SELECT state, count(*), sum(nodes), sum(ready) FROM node_pool GROUP BY state")
            .fetch_all(self.reader())
            .await?)
    }
}

pub async fn get_in_txn(txn: &mut Txn, uid: &str) -> Result<Option<NodePoolRecord>> {
    let row: Option<Row> =
        sqlx::query_as("SELECT * FROM node_pool WHERE uid = ?1").bind(uid).fetch_optional(&mut **txn).await?;
    row.map(TryInto::try_into).transpose()
}

pub async fn list_in_txn(txn: &mut Txn, cluster_uid: &str) -> Result<Vec<NodePoolRecord>> {
    let rows: Vec<Row> = sqlx::query_as("SELECT * FROM node_pool WHERE cluster_uid = ?1 ORDER BY name")
        .bind(cluster_uid)
        .fetch_all(&mut **txn)
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

pub async fn insert_in_txn(txn: &mut Txn, pool: &NodePoolRecord) -> Result<()> {
    sqlx::query(
        "INSERT INTO node_pool (uid, cluster_uid, name, instance_type, nodes, version, kubelet, zones, labels, taints, \
         spot, state, revision, created_at, updated_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?14)",
    )
    .bind(&pool.uid)
    .bind(&pool.cluster_uid)
    .bind(&pool.name)
    .bind(&pool.instance_type)
    .bind(pool.nodes)
    .bind(&pool.version)
    .bind(pool.kubelet.as_str())
    .bind(text::to_json(&pool.zones))
    .bind(text::to_json(&pool.labels))
    .bind(text::to_json(&pool.taints))
    .bind(pool.spot)
    .bind(pool.state.as_str())
    .bind(pool.revision)
    .bind(&pool.created_at)
    .execute(&mut **txn)
    .await?;
    Ok(())
}

/// Wants another number of nodes.
pub async fn scale_in_txn(txn: &mut Txn, uid: &str, nodes: u32, state: NodePoolState) -> Result<()> {
    sqlx::query(
        "UPDATE node_pool SET nodes = ?2, state = ?3, reason_code = NULL, reason_message = NULL, \
         revision = revision + 1, updated_at = ?4 WHERE uid = ?1",
    )
    .bind(uid)
    .bind(nodes)
    .bind(state.as_str())
    .bind(text::now())
    .execute(&mut **txn)
    .await?;
    Ok(())
}

/// Records what was observed, and the state that follows from it.
pub async fn observe_in_txn(
    txn: &mut Txn,
    uid: &str,
    state: NodePoolState,
    reason: Option<&Reason>,
    observed: Observed,
) -> Result<()> {
    sqlx::query(
        "UPDATE node_pool SET state = ?2, reason_code = ?3, reason_message = ?4, machines = ?5, ready = ?6, \
         revision = revision + 1, updated_at = ?7 WHERE uid = ?1",
    )
    .bind(uid)
    .bind(state.as_str())
    .bind(reason.map(|reason| reason.code.as_str()))
    .bind(reason.map(|reason| reason.message.as_str()))
    .bind(observed.machines)
    .bind(observed.ready)
    .bind(text::now())
    .execute(&mut **txn)
    .await?;
    Ok(())
}

pub async fn delete_in_txn(txn: &mut Txn, uid: &str) -> Result<()> {
    sqlx::query("DELETE FROM node_pool WHERE uid = ?1").bind(uid).execute(&mut **txn).await?;
    Ok(())
}
