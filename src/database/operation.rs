//! Operations, as recorded: what was asked for, how far it is, and how it ended.

use sqlx::FromRow;

use super::cluster::Reason;
use super::text::{self, words};
use super::{Database, Result, Txn};

words! {
    pub enum OperationKind {
        ClusterCreate = "clusterCreate",
        ClusterDelete = "clusterDelete",
        NodePoolCreate = "nodePoolCreate",
        NodePoolScale = "nodePoolScale",
        NodePoolDelete = "nodePoolDelete",
    }
}

words! {
    pub enum OperationState {
        Pending = "pending",
        Running = "running",
        Succeeded = "succeeded",
        Failed = "failed",
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationRecord {
    /// In order of creation. Not part of the API.
    pub sequence: i64,
    pub id: String,
    pub kind: OperationKind,
    pub state: OperationState,
    pub cluster_uid: String,
    pub cluster_name: String,
    pub node_pool: Option<NodePoolKey>,
    pub progress: Progress,
    /// Why it failed.
    pub error: Option<Reason>,
    pub revision: i64,
    pub created_at: String,
    pub updated_at: String,
    pub finished_at: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePoolKey {
    pub uid: String,
    pub name: String,
}

/// `done` of `total` steps: the control plane is one, each node is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    pub done: u32,
    pub total: u32,
    pub message: String,
}

/// Which operations to list. None takes any.
#[derive(Clone, Debug, Default)]
pub struct OperationFilter {
    pub state: Option<OperationState>,
    pub kind: Option<OperationKind>,
    /// Name or uid.
    pub cluster: Option<String>,
    pub node_pool: Option<String>,
}

#[derive(FromRow)]
struct Row {
    sequence: i64,
    id: String,
    r#type: String,
    state: String,
    cluster_uid: String,
    cluster_name: String,
    node_pool_uid: Option<String>,
    node_pool_name: Option<String>,
    done: u32,
    total: u32,
    message: String,
    error_code: Option<String>,
    error_message: Option<String>,
    revision: i64,
    created_at: String,
    updated_at: String,
    finished_at: Option<String>,
}

const TABLE: &str = "operation";

impl TryFrom<Row> for OperationRecord {
    type Error = super::DatabaseError;

    fn try_from(row: Row) -> Result<Self> {
        let node_pool =
            row.node_pool_uid.map(|uid| NodePoolKey { uid, name: row.node_pool_name.unwrap_or_default() });
        Ok(Self {
            sequence: row.sequence,
            id: row.id,
            kind: text::word(TABLE, row.r#type, OperationKind::parse)?,
            state: text::word(TABLE, row.state, OperationState::parse)?,
            cluster_uid: row.cluster_uid,
            cluster_name: row.cluster_name,
            node_pool,
            progress: Progress { done: row.done, total: row.total, message: row.message },
            error: Reason::from_columns(row.error_code, row.error_message),
            revision: row.revision,
            created_at: row.created_at,
            updated_at: row.updated_at,
            finished_at: row.finished_at,
        })
    }
}

impl Database {
    pub async fn operation_get(&self, id: &str) -> Result<Option<OperationRecord>> {
        let row: Option<Row> = sqlx::query_as("SELECT * FROM operation WHERE id = ?1")
            .bind(id)
            .fetch_optional(self.reader())
            .await?;
        row.map(TryInto::try_into).transpose()
    }

    /// Newest first, those older than `before`, `limit` at most.
    pub async fn operation_list(
        &self,
        filter: &OperationFilter,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<OperationRecord>> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT * FROM operation WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR type = ?2) \
             AND (?3 IS NULL OR cluster_name = ?3 OR cluster_uid = ?3) AND (?4 IS NULL OR node_pool_name = ?4) \
             AND sequence < ?5 ORDER BY sequence DESC LIMIT ?6",
        )
        .bind(filter.state.map(OperationState::as_str))
        .bind(filter.kind.map(OperationKind::as_str))
        .bind(&filter.cluster)
        .bind(&filter.node_pool)
        .bind(before.unwrap_or(i64::MAX))
        .bind(limit)
        .fetch_all(self.reader())
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    pub async fn operation_counts(&self) -> Result<Vec<(String, String, i64)>> {
        Ok(sqlx::query_as("SELECT type, state, count(*) FROM operation GROUP BY type, state")
            .fetch_all(self.reader())
            .await?)
    }

    /// Forgets operations that finished before `before`.
    pub async fn operation_forget(&self, before: &str) -> Result<u64> {
        let mut txn = self.begin().await?;
        let done = sqlx::query("DELETE FROM operation WHERE finished_at < ?1")
            .bind(before)
            .execute(&mut *txn)
            .await?;
        txn.commit().await?;
        Ok(done.rows_affected())
    }
}

/// Those of the cluster that have not ended, oldest first.
pub async fn open_in_txn(txn: &mut Txn, cluster_uid: &str) -> Result<Vec<OperationRecord>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT * FROM operation WHERE cluster_uid = ?1 AND finished_at IS NULL ORDER BY sequence",
    )
    .bind(cluster_uid)
    .fetch_all(&mut **txn)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

pub async fn get_in_txn(txn: &mut Txn, id: &str) -> Result<Option<OperationRecord>> {
    let row: Option<Row> =
        sqlx::query_as("SELECT * FROM operation WHERE id = ?1").bind(id).fetch_optional(&mut **txn).await?;
    row.map(TryInto::try_into).transpose()
}

/// Records a new operation and answers it.
pub async fn insert_in_txn(txn: &mut Txn, operation: &OperationRecord) -> Result<OperationRecord> {
    let row: Row = sqlx::query_as(
        "INSERT INTO operation (id, type, state, cluster_uid, cluster_name, node_pool_uid, node_pool_name, done, total, \
         message, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11) RETURNING *",
    )
    .bind(&operation.id)
    .bind(operation.kind.as_str())
    .bind(operation.state.as_str())
    .bind(&operation.cluster_uid)
    .bind(&operation.cluster_name)
    .bind(operation.node_pool.as_ref().map(|pool| pool.uid.as_str()))
    .bind(operation.node_pool.as_ref().map(|pool| pool.name.as_str()))
    .bind(operation.progress.done)
    .bind(operation.progress.total)
    .bind(&operation.progress.message)
    .bind(&operation.created_at)
    .fetch_one(&mut **txn)
    .await?;
    row.try_into()
}

/// Records how far an operation is.
pub async fn progress_in_txn(txn: &mut Txn, id: &str, progress: &Progress) -> Result<()> {
    sqlx::query(
        "UPDATE operation SET state = 'running', done = ?2, total = ?3, message = ?4, revision = revision + 1, \
         updated_at = ?5 WHERE id = ?1 AND finished_at IS NULL",
    )
    .bind(id)
    .bind(progress.done)
    .bind(progress.total)
    .bind(&progress.message)
    .bind(text::now())
    .execute(&mut **txn)
    .await?;
    Ok(())
}

/// Records how an operation ended: well without an error.
pub async fn finish_in_txn(
    txn: &mut Txn,
    id: &str,
    progress: &Progress,
    error: Option<&Reason>,
) -> Result<()> {
    let state = if error.is_some() { OperationState::Failed } else { OperationState::Succeeded };
    sqlx::query(
        "UPDATE operation SET state = ?2, error_code = ?3, error_message = ?4, done = ?5, total = ?6, message = ?7, \
         revision = revision + 1, updated_at = ?8, finished_at = ?8 WHERE id = ?1 AND finished_at IS NULL",
    )
    .bind(id)
    .bind(state.as_str())
    .bind(error.map(|error| error.code.as_str()))
    .bind(error.map(|error| error.message.as_str()))
    .bind(progress.done)
    .bind(progress.total)
    .bind(&progress.message)
    .bind(text::now())
    .execute(&mut **txn)
    .await?;
    Ok(())
}
