//! Idempotency keys: which operation a key made, so that the same request again answers it.

use super::text;
use super::{Database, Result, Txn};

/// What a key was first used for.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct KeyRecord {
    /// Of the request.
    pub fingerprint: String,
    pub operation_id: String,
}

pub async fn find_in_txn(txn: &mut Txn, key: &str) -> Result<Option<KeyRecord>> {
    Ok(sqlx::query_as("SELECT fingerprint, operation_id FROM idempotency_key WHERE key = ?1")
        .bind(key)
        .fetch_optional(&mut **txn)
        .await?)
}

pub async fn insert_in_txn(txn: &mut Txn, key: &str, record: &KeyRecord) -> Result<()> {
    sqlx::query(
        "INSERT INTO idempotency_key (key, fingerprint, operation_id, created_at) VALUES (?1, ?2, ?3, ?4)",
    )
    .bind(key)
    .bind(&record.fingerprint)
    .bind(&record.operation_id)
    .bind(text::now())
    .execute(&mut **txn)
    .await?;
    Ok(())
}

impl Database {
    /// Forgets keys used before `before`.
    pub async fn idempotency_forget(&self, before: &str) -> Result<u64> {
        let mut txn = self.begin().await?;
        let done = sqlx::query("DELETE FROM idempotency_key WHERE created_at < ?1")
            .bind(before)
            .execute(&mut *txn)
            .await?;
        txn.commit().await?;
        Ok(done.rows_affected())
    }
}
