//! Operations: list, get, wait; and how requests record theirs.

use std::time::Duration;

use drydock_runtime::wall;
use tokio::sync::broadcast::error::RecvError;

use crate::database::cluster::{ClusterRecord, Reason};
use crate::database::idempotency::{self, KeyRecord};
use crate::database::node_pool::NodePoolRecord;
use crate::database::operation::{
    self as records, NodePoolKey, OperationFilter, OperationKind, OperationRecord, OperationState, Progress,
};
use crate::database::{Txn, time};

use super::error::{Result, ServiceError};
use super::{Page, PageRequest, Service, cluster};

/// A key that a client chose, and what identifies the request that it stands for.
#[derive(Clone, Debug)]
pub struct Idempotency {
    pub key: String,
    pub fingerprint: String,
}

impl Service {
    /// # Errors
    /// When there is no such operation.
    pub async fn operation_get(&self, id: &str) -> Result<OperationRecord> {
        let found = self.inner.database.operation_get(id).await?;
        found.ok_or_else(|| ServiceError::NotFound { kind: "operation", name: id.to_owned() })
    }

    /// Newest first.
    ///
    /// # Errors
    /// When the page token is not one of a list of operations.
    pub async fn operation_list(
        &self,
        filter: &OperationFilter,
        page: &PageRequest,
    ) -> Result<Page<OperationRecord>> {
        let before = page.token.as_deref().map(|token| token.parse().map_err(|_| cluster::bad_token()));
        let records = self.inner.database.operation_list(filter, before.transpose()?, page.fetch()).await?;
        Ok(Page::cut(records, page, |record| record.sequence.to_string()))
    }

    /// Answers as soon as the operation is at another revision than `seen` or has ended, and after `patience` anyway.
    ///
    /// # Errors
    /// When there is no such operation.
    pub async fn operation_wait(
        &self,
        id: &str,
        seen: Option<i64>,
        patience: Duration,
    ) -> Result<OperationRecord> {
        let mut changed = self.inner.changed.subscribe();
        let closing = self.closing();
        let deadline = wall::sleep(patience);
        tokio::pin!(deadline);
        loop {
            let operation = self.operation_get(id).await?;
            if operation.finished_at.is_some() || seen.is_some_and(|seen| seen != operation.revision) {
                return Ok(operation);
            }
            loop {
                let heard = tokio::select! {
                    heard = changed.recv() => heard,
                    () = &mut deadline => return Ok(operation),
                    () = closing.cancelled() => return Ok(operation),
                };
                match heard {
                    Ok(other) if &*other != id => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return Ok(operation),
                }
            }
        }
    }

    /// Tells those who wait that operations changed.
    pub(super) fn announce<'a>(&self, ids: impl IntoIterator<Item = &'a str>) {
        for id in ids {
            // Nobody may be waiting.
            let _ = self.inner.changed.send(id.into());
        }
    }
}

/// Now, as records hold times.
pub(super) fn now() -> String {
    time(wall::now())
}

/// Of a new cluster or pool: later than any of an earlier one, so that an old ETag never fits it.
pub(super) fn first_revision() -> i64 {
    wall::now().as_millisecond()
}

pub(super) fn new(
    kind: OperationKind,
    cluster: &ClusterRecord,
    pool: Option<&NodePoolRecord>,
    total: u32,
) -> OperationRecord {
    OperationRecord {
        sequence: 0,
        id: format!("op-{}", uuid::Uuid::new_v4().simple()),
        kind,
        state: OperationState::Pending,
        cluster_uid: cluster.uid.clone(),
        cluster_name: cluster.name.clone(),
        node_pool: pool.map(|pool| NodePoolKey { uid: pool.uid.clone(), name: pool.name.clone() }),
        progress: Progress { done: 0, total, message: "waiting to begin".to_owned() },
        error: None,
        revision: 1,
        created_at: now(),
        updated_at: now(),
        finished_at: None,
    }
}

/// The operation that the key made earlier, if any.
pub(super) async fn replay_in_txn(
    txn: &mut Txn,
    idempotency: Option<&Idempotency>,
) -> Result<Option<OperationRecord>> {
    let Some(idempotency) = idempotency else { return Ok(None) };
    let Some(used) = idempotency::find_in_txn(txn, &idempotency.key).await? else { return Ok(None) };
    if used.fingerprint != idempotency.fingerprint {
        return Err(ServiceError::IdempotencyKeyReused);
    }
    Ok(records::get_in_txn(txn, &used.operation_id).await?)
}

/// Records the operation, and the key under which it is found again.
pub(super) async fn insert_in_txn(
    txn: &mut Txn,
    operation: &OperationRecord,
    idempotency: Option<&Idempotency>,
) -> Result<OperationRecord> {
    let created = records::insert_in_txn(txn, operation).await?;
    if let Some(idempotency) = idempotency {
        let record =
            KeyRecord { fingerprint: idempotency.fingerprint.clone(), operation_id: created.id.clone() };
        idempotency::insert_in_txn(txn, &idempotency.key, &record).await?;
    }
    Ok(created)
}

/// Ends operations that a later one makes pointless.
pub(super) async fn supersede_in_txn(txn: &mut Txn, open: &[OperationRecord], why: &str) -> Result<()> {
    let reason = Reason::new("Superseded", why);
    for operation in open {
        records::finish_in_txn(txn, &operation.id, &operation.progress, Some(&reason)).await?;
    }
    Ok(())
}
