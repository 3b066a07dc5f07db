//! Runs a reconcile function over a work queue.
//!
//! One task per controller: up to `workers` reconciliations are in flight in it at a time. A reconciliation that
//! panics is logged and retried like one that fails; neither touches another key.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use drydock_machinery::{Key, Status};
use drydock_runtime::Tasks;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};

use crate::{Informer, WorkQueue};

/// How often a key may fail before its failures are worth a warning.
const QUIET_FAILURES: u32 = 5;

/// A controller to be started.
#[derive(Debug)]
pub struct Controller {
    name: &'static str,
    queue: Arc<WorkQueue>,
    workers: usize,
    needs: Vec<Arc<Informer>>,
}

impl Controller {
    /// `name` is that of the task.
    pub fn new(name: &'static str, queue: Arc<WorkQueue>) -> Self {
        Self { name, queue, workers: 1, needs: Vec::new() }
    }

    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// Work begins when these have synced.
    #[must_use]
    pub fn needs(mut self, informers: impl IntoIterator<Item = Arc<Informer>>) -> Self {
        self.needs.extend(informers);
        self
    }

    /// Starts it. Keys whose reconciliation fails come back rate-limited.
    pub fn start<F, Fut>(self, tasks: &Tasks, reconcile: F)
    where
        F: Fn(Key) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Status>> + Send + 'static,
    {
        tasks.spawn(self.name, async move {
            for informer in &self.needs {
                informer.synced().await;
            }
            self.work(reconcile).await;
        });
    }

    async fn work<F, Fut>(&self, reconcile: F)
    where
        F: Fn(Key) -> Fut,
        Fut: Future<Output = Result<(), Status>> + Send,
    {
        let mut running = FuturesUnordered::new();
        loop {
            let full = running.len() >= self.workers;
            tokio::select! {
                key = self.queue.next(), if !full => {
                    let work = AssertUnwindSafe(reconcile(key.clone())).catch_unwind();
                    running.push(work.map(move |outcome| (key, outcome)).boxed());
                }
                Some((key, outcome)) = running.next(), if !running.is_empty() => {
                    self.finish(&key, outcome);
                }
            }
        }
    }

    fn finish(&self, key: &Key, outcome: Result<Result<(), Status>, Box<dyn std::any::Any + Send>>) {
        match outcome {
            Ok(Ok(())) => self.queue.forget(key),
            Ok(Err(status)) => {
                self.note_failure(key, &status);
                self.queue.add_rate_limited(key.clone());
            }
            Err(_) => {
                // The panic hook has printed where it was.
                tracing::error!(%key, controller = self.name, "reconciliation panicked");
                self.queue.add_rate_limited(key.clone());
            }
        }
        self.queue.done(key);
    }

    fn note_failure(&self, key: &Key, status: &Status) {
        // Conflicts, and objects that went away meanwhile, are how optimistic concurrency works.
        let expected = matches!(status.code, 404 | 409 | 403 | 503);
        if expected || self.queue.requeues(key) < QUIET_FAILURES {
            tracing::debug!(%key, %status, controller = self.name, "reconciliation failed");
        } else {
            tracing::warn!(%key, %status, controller = self.name, "reconciliation keeps failing");
        }
    }
}
