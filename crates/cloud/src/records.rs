//! The durable record of wanted machines.
//!
//! The order that makes a kill at any moment harmless: a record is on disk before its machine is launched, with the
//! token that makes the launch idempotent; it is removed after the machine is gone. So a machine without a record is
//! nobody's and is terminated, and a record without a machine is launched again under the same token.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// One wanted machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineRecord {
    pub cluster_uid: String,
    pub node_pool: String,
    /// Its identity, and what it is launched with.
    pub client_token: String,
    pub phase: MachinePhase,
    /// What was asked for: kept, since the pool's spec may change while the answer is not known.
    pub instance_type: String,
    /// "" when the cloud chose and has not yet answered.
    pub zone: String,
    pub version: String,
    /// "" until the cloud has answered, as are the two below.
    #[serde(default)]
    pub instance_id: String,
    #[serde(default)]
    pub node_name: String,
    #[serde(default)]
    pub provider_id: String,
    pub created_at: Timestamp,
    /// When its drain began; a time-out counts from here, also after a restart.
    #[serde(default)]
    pub drain_started_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MachinePhase {
    /// To be launched; it may or may not exist.
    Wanted,
    /// The cloud has answered with an instance.
    Launched,
    /// Cordoned, its pods are being evicted.
    Draining,
    /// To be terminated.
    Terminating,
}

/// Where records are kept. One writer per cluster.
#[async_trait]
pub trait PoolRecords: Send + Sync + 'static {
    /// All machines of the cluster, in any order.
    async fn list(&self, cluster_uid: &str) -> Result<Vec<MachineRecord>, RecordsError>;

    /// Adds or replaces each, by `cluster_uid` and `client_token`. All are durable when it returns.
    async fn put(&self, records: &[MachineRecord]) -> Result<(), RecordsError>;

    /// Succeeds also for what is not there. Durable when it returns.
    async fn remove(&self, cluster_uid: &str, client_tokens: &[String]) -> Result<(), RecordsError>;
}

/// Why records could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("machine records are unavailable")]
pub struct RecordsError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Records that end with the process: for tests.
#[derive(Debug, Default)]
pub struct MemoryRecords {
    records: Mutex<BTreeMap<(String, String), MachineRecord>>,
}

#[async_trait]
impl PoolRecords for MemoryRecords {
    async fn list(&self, cluster_uid: &str) -> Result<Vec<MachineRecord>, RecordsError> {
        let records = self.records.lock();
        Ok(records.values().filter(|record| record.cluster_uid == cluster_uid).cloned().collect())
    }

    async fn put(&self, records: &[MachineRecord]) -> Result<(), RecordsError> {
        let keyed = records.iter().map(|r| ((r.cluster_uid.clone(), r.client_token.clone()), r.clone()));
        self.records.lock().extend(keyed);
        Ok(())
    }

    async fn remove(&self, cluster_uid: &str, client_tokens: &[String]) -> Result<(), RecordsError> {
        let mut records = self.records.lock();
        for token in client_tokens {
            records.remove(&(cluster_uid.to_owned(), token.clone()));
        }
        Ok(())
    }
}
