//! The engine without a disk: for tests, and for clusters that nobody wants back.
//!
//! All history since the last compaction is in memory.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::follow::{Follow, Source};
use crate::state::State;
use crate::{Batch, Range, RangeResult, Revision, Stats, Store, StoreError, Txn, Watch};

/// A store in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    published: watch::Sender<Signal>,
}

#[derive(Debug, Default)]
struct Signal {
    revision: Revision,
    closed: bool,
}

impl Default for Inner {
    fn default() -> Self {
        Self { state: Mutex::default(), published: watch::Sender::new(Signal::default()) }
    }
}

impl MemoryStore {
    pub fn new() -> Self {
        Self::default()
    }

    fn open(&self) -> Result<(), StoreError> {
        if self.inner.published.borrow().closed { Err(StoreError::Closed) } else { Ok(()) }
    }

    fn commit_now(&self, txn: Txn) -> Result<Revision, StoreError> {
        let mut state = self.inner.state.lock();
        let staged = state.stage(txn)?;
        state.publish(&staged, usize::MAX);
        let revision = staged.batch.revision;
        drop(state);
        self.inner.published.send_modify(|signal| signal.revision = signal.revision.max(revision));
        Ok(revision)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn commit(&self, txn: Txn) -> Result<Revision, StoreError> {
        self.open()?;
        self.commit_now(txn)
    }

    async fn range(&self, range: Range) -> Result<RangeResult, StoreError> {
        self.open()?;
        let state = self.inner.state.lock();
        let Some(revision) = range.revision else { return Ok(state.range(&range)) };
        state.check_readable(revision)?;
        state
            .range_at(&range, revision)
            .ok_or(StoreError::Compacted { requested: revision, oldest: state.compacted() })
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, StoreError> {
        self.open()?;
        self.inner.state.lock().check_kept(after)?;
        Ok(Follow::new(self.inner.clone(), prefix, after).into_stream())
    }

    fn recent(&self, after: Revision) -> Option<Vec<Arc<Batch>>> {
        self.inner.state.lock().batches_after(after, usize::MAX)
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.open()?;
        Ok(self.inner.state.lock().published())
    }

    async fn compacted_revision(&self) -> Result<Revision, StoreError> {
        self.open()?;
        Ok(self.inner.state.lock().compacted())
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        self.open()?;
        self.inner.state.lock().compact(revision)
    }

    async fn expire(&self, now: i64) -> Result<usize, StoreError> {
        self.open()?;
        let Some(txn) = self.inner.state.lock().expired(now) else { return Ok(0) };
        let count = txn.writes.len();
        self.commit_now(txn)?;
        Ok(count)
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        self.open()?;
        Ok(self.inner.state.lock().stats())
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.published.send_modify(|signal| signal.closed = true);
        Ok(())
    }
}

#[async_trait]
impl Source for Inner {
    async fn batches_after(
        self: Arc<Self>,
        after: Revision,
        limit: usize,
    ) -> Result<Vec<Arc<Batch>>, StoreError> {
        let state = self.state.lock();
        state.check_kept(after)?;
        state
            .batches_after(after, limit)
            .ok_or(StoreError::Compacted { requested: after, oldest: state.compacted() })
    }

    async fn published_after(&self, after: Revision) -> Result<(), StoreError> {
        let mut signal = self.published.subscribe();
        let seen = signal.wait_for(|signal| signal.closed || signal.revision > after).await;
        if seen.map_or(true, |signal| signal.closed) { Err(StoreError::Closed) } else { Ok(()) }
    }
}
