//! The threads that write for all tenants.

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
                    tenant.work();
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
        // Fails only when every thread has panicked; the caller's acknowledgement then reads as closed.
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
