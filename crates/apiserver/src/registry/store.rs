//! One object's way into the store and into the cache.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use drydock_machinery::json::Unversioned;
use drydock_machinery::{Object, Status, Value};
use drydock_runtime::wall::Stopwatch;
use drydock_store::{Check, Durability, Entry, Payload, StoreError, Txn, Write};

use parking_lot::Mutex;

use super::{Body, Call, Registry, allocate};
use crate::cache::Stored;
use crate::metrics::Histogram;

/// Why a write did not happen.
pub(crate) enum WriteError {
    /// Another writer was faster; the key's present object, None when there is none.
    Lost(Option<Arc<Object>>),
    Failed(Status),
}

/// What came of a write.
pub(crate) struct Written {
    pub(crate) object: Arc<Object>,
    pub(crate) json: Option<Unversioned>,
}

/// Upstream's text for a write that lost against another.
pub(crate) const OPTIMISTIC_LOCK: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// Durations of commits, in the bounds of upstream's `etcd_request_duration_seconds`.
pub(crate) fn commits() -> Mutex<Histogram> {
    Mutex::new(Histogram::new(&[
        0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0,
        15.0, 20.0, 30.0, 45.0, 60.0,
    ]))
}

impl Registry {
    /// Writes `value`, which was decided on when the key's revision was `expected` (0: it did not exist), and returns
    /// when readers see it.
    pub(crate) async fn put(
        &self,
        call: &Call,
        key: Arc<str>,
        expected: u64,
        mut value: Value,
    ) -> Result<Written, WriteError> {
        value.remove(&["metadata", "resourceVersion"]);
        let along = self.changes_along(call, &key, Some(&value));
        let expires_at = self.expiry(call);
        // Who sends JSON mostly wants to see JSON.
        let (stored, json) = match call.body {
            Body::Json(_) => Stored::answered(value),
            _ => (Stored::new(value), None),
        };
        let payload = match &json {
            Some(json) => Payload::encoded(stored.clone(), json.json().clone()),
            None => Payload::of(stored.clone()),
        };
        let txn = Txn {
            checks: vec![Check { key: key.clone(), mod_revision: expected }],
            writes: std::iter::once(Write::Put { key, value: payload, expires_at }).chain(along).collect(),
            durability: durability(call),
        };
        let revision = self.commit(txn).await?;
        Ok(Written { object: stored.object(revision), json })
    }

    /// Deletes the key if its revision still is `expected`; answers the deletion's revision.
    pub(crate) async fn remove(&self, call: &Call, key: Arc<str>, expected: u64) -> Result<u64, WriteError> {
        let along = self.changes_along(call, &key, None);
        let txn = Txn {
            checks: vec![Check { key: key.clone(), mod_revision: expected }],
            writes: std::iter::once(Write::Delete { key }).chain(along).collect(),
            durability: durability(call),
        };
        self.commit(txn).await
    }

    /// Writes that belong to the object's: the IPAddresses of a Service. If what the cache has of the object is not what
    /// the write was decided on, neither is written.
    fn changes_along(&self, call: &Call, key: &str, new: Option<&Value>) -> Vec<Write> {
        if !allocate::is_service(&call.resource) {
            return Vec::new();
        }
        let old = self.cache.by_prefix(&call.resource.prefix).get(key);
        let old = old.as_ref().map(|old| old.value());
        allocate::records::changes(&self.cache, old, new, self.clock.now())
    }

    async fn commit(&self, txn: Txn) -> Result<u64, WriteError> {
        let started = Stopwatch::start();
        let committed = self.cache.store().commit(txn).await;
        self.commits.lock().observe(started.elapsed());
        let failed = !matches!(committed, Ok(_) | Err(StoreError::Conflict { .. }));
        self.store_fails.store(failed, Ordering::Relaxed);
        match committed {
            Ok(revision) => {
                self.cache.wait_applied(revision).await;
                Ok(revision)
            }
            Err(StoreError::Conflict { current, .. }) => {
                // Who lost reads what was faster.
                if let Ok(newest) = self.cache.store().revision().await {
                    self.cache.wait_applied(newest).await;
                }
                Err(WriteError::Lost(current.and_then(|entry| self.read(*entry))))
            }
            Err(error) => {
                tracing::error!(error = %drydock_runtime::tasks::chain(&error), "write failed");
                Err(WriteError::Failed(Status::internal(error)))
            }
        }
    }

    fn read(&self, entry: Entry) -> Option<Arc<Object>> {
        crate::cache::decode(&entry.value, entry.mod_revision)
    }

    /// Events live for an hour on the tenant's clock.
    fn expiry(&self, call: &Call) -> Option<i64> {
        const EVENT_TTL_SECONDS: i64 = 3600;
        let is_event = &*call.resource.prefix == "/core/events/";
        is_event.then(|| self.clock.now().as_second() + EVENT_TTL_SECONDS)
    }
}

fn durability(call: &Call) -> Durability {
    if call.request.options.volatile { Durability::Volatile } else { Durability::Durable }
}
