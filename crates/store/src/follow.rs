//! A watch: a position in a store's history that moves on as commits are published.
//!
//! A follower pulls batches at its own pace, so a slow one holds no queue: it only reads from further back.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;

use crate::state::filter;
use crate::{Batch, Revision, StoreError, Watch};

/// Where a follower reads from.
#[async_trait]
pub(crate) trait Source: Send + Sync + 'static {
    /// Published batches after a revision, oldest first, at most `limit`; empty when there are none yet.
    async fn batches_after(
        self: Arc<Self>,
        after: Revision,
        limit: usize,
    ) -> Result<Vec<Arc<Batch>>, StoreError>;

    /// Returns once a batch after the revision is published; [`StoreError::Closed`] when none will be.
    async fn published_after(&self, after: Revision) -> Result<(), StoreError>;
}

pub(crate) struct Follow<S: ?Sized> {
    source: Arc<S>,
    prefix: String,
    after: Revision,
    ready: VecDeque<Arc<Batch>>,
}

/// How many batches a follower takes at a time.
const CHUNK: usize = 256;

impl<S: Source> Follow<S> {
    pub(crate) fn new(source: Arc<S>, prefix: &str, after: Revision) -> Self {
        Self { source, prefix: prefix.to_owned(), after, ready: VecDeque::new() }
    }

    pub(crate) fn into_stream(self) -> Watch {
        futures::stream::unfold(Some(self), |follow| async move {
            let mut follow = follow?;
            match follow.next().await {
                Ok(batch) => Some((Ok(batch), Some(follow))),
                Err(error) => Some((Err(error), None)),
            }
        })
        .boxed()
    }

    async fn next(&mut self) -> Result<Arc<Batch>, StoreError> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(batch);
            }
            let batches = self.source.clone().batches_after(self.after, CHUNK).await?;
            let Some(last) = batches.last() else {
                self.source.published_after(self.after).await?;
                continue;
            };
            self.after = last.revision;
            self.ready.extend(batches.iter().filter_map(|batch| filter(batch, &self.prefix)));
        }
    }
}
