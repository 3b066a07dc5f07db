//! The threads that write for all tenants.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use parking_lot::Mutex;

use super::{Inner, Job};
use crate::StoreError;

/// A few threads that wait on disks so that tasks need not. Clones share them; they end with the last clone.
#[derive(Clone, Debug)]
pub struct Writers {
    queue: mpsc::Sender<Arc<Inner>>,
    /// Tenants that wait for a thread.
    waiting: Arc<AtomicUsize>,
}

impl Writers {
    /// Starts `threads` threads. Tenants take turns: each is served by one thread at a time.
    ///
    /// # Panics
    /// When the system cannot make a thread.
    pub fn new(threads: usize) -> Self {
        let (queue, tenants) = mpsc::channel::<Arc<Inner>>();
        let tenants = Arc::new(Mutex::new(tenants));
        let waiting = Arc::new(AtomicUsize::new(0));
        for i in 0..threads.max(1) {
            let (tenants, waiting) = (tenants.clone(), waiting.clone());
            let work = move || {
                loop {
                    let next = tenants.lock().recv();
                    let Ok(tenant) = next else { return };
                    waiting.fetch_sub(1, Ordering::Relaxed);
                    serve(&tenant);
                }
            };
            std::thread::Builder::new()
                .name(format!("store-writer-{i}"))
                .spawn(work)
                .expect("the system can make a thread");
        }
        Self { queue, waiting }
    }

    pub(super) fn serve(&self, tenant: Arc<Inner>) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // Fails only when there is no thread any more; the caller's acknowledgement then reads as closed.
        let _ = self.queue.send(tenant);
    }

    /// Whether a tenant waits for a thread.
    pub(super) fn are_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Queues a job of `tenant`.
    pub(super) fn run(&self, tenant: &Arc<Inner>, job: Job) -> Result<(), StoreError> {
        let mut shared = tenant.shared.lock();
        if shared.closed {
            return Err(StoreError::Closed);
        }
        tenant.enqueue(&mut shared, job);
        Ok(())
    }
}

/// What goes wrong with one tenant must not take the thread from the others.
fn serve(tenant: &Arc<Inner>) {
    if catch_unwind(AssertUnwindSafe(|| tenant.work())).is_err() {
        tracing::error!("a writer panicked: the tenant's store is closed");
        tenant.give_up();
    }
}

#[cfg(test)]
mod tests {
    use crate::sqlite::SqliteStore;
    use crate::{Store, Txn};

    use super::*;

    #[tokio::test]
    async fn a_panic_closes_one_store_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let writers = Writers::new(1);
        let open = |name: &str| SqliteStore::open(&folder.path().join(name), &writers).unwrap();
        let (bad, good) = (open("bad.db"), open("good.db"));
        let outcome = bad.inner.with_file::<()>(|_, _| panic!("as a test")).await;
        assert!(matches!(outcome, Err(StoreError::Closed)), "{outcome:?}");
        assert!(matches!(bad.commit(Txn::default()).await, Err(StoreError::Closed)));
        bad.close().await.unwrap();
        good.commit(Txn::default()).await.unwrap();
        // The file was let go.
        open("bad.db").commit(Txn::default()).await.unwrap();
    }
}
