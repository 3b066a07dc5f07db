//! Machines that node pools want: what keeps a kill from leaking or doubling one.

use async_trait::async_trait;
use drydock_cloud::{MachineRecord, PoolRecords, RecordsError};

use super::{Database, DatabaseError, Result, text};

const TABLE: &str = "machine";

#[async_trait]
impl PoolRecords for Database {
    async fn list(&self, cluster_uid: &str) -> Result<Vec<MachineRecord>, RecordsError> {
        Ok(machine_list(self, cluster_uid).await?)
    }

    async fn put(&self, records: &[MachineRecord]) -> Result<(), RecordsError> {
        Ok(machine_put(self, records).await?)
    }

    async fn remove(&self, cluster_uid: &str, client_tokens: &[String]) -> Result<(), RecordsError> {
        Ok(machine_remove(self, cluster_uid, client_tokens).await?)
    }
}

impl From<DatabaseError> for RecordsError {
    fn from(error: DatabaseError) -> Self {
        Self(Box::new(error))
    }
}

async fn machine_list(database: &Database, cluster_uid: &str) -> Result<Vec<MachineRecord>> {
    let records: Vec<String> = sqlx::query_scalar("SELECT record FROM machine WHERE cluster_uid = ?1")
        .bind(cluster_uid)
        .fetch_all(database.reader())
        .await?;
    records.iter().map(|record| text::from_json(TABLE, record)).collect()
}

async fn machine_put(database: &Database, records: &[MachineRecord]) -> Result<()> {
    let mut txn = database.begin().await?;
    for record in records {
        sqlx::query("INSERT OR REPLACE INTO machine (cluster_uid, client_token, record) VALUES (?1, ?2, ?3)")
            .bind(&record.cluster_uid)
            .bind(&record.client_token)
            .bind(text::to_json(record))
            .execute(&mut *txn)
            .await?;
    }
    txn.commit().await?;
    Ok(())
}

async fn machine_remove(database: &Database, cluster_uid: &str, client_tokens: &[String]) -> Result<()> {
    let mut txn = database.begin().await?;
    for token in client_tokens {
        sqlx::query("DELETE FROM machine WHERE cluster_uid = ?1 AND client_token = ?2")
            .bind(cluster_uid)
            .bind(token)
            .execute(&mut *txn)
            .await?;
    }
    txn.commit().await?;
    Ok(())
}
