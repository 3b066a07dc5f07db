//! The threads that write for all tenants.

use std::sync::{Arc, mpsc};

use parking_lot::Mutex;

use super::{Inner, Job};
use crate::StoreError;

/// A few threads that wait on disks so that tasks need not. Clones share them; they end with the last clone.
#[derive(Clone, Debug)]
pub struct Writers {
    queue: mpsc::Sender<Arc<Inner>>,
}

impl Writers {
    /// Starts `threads` threads. Tenants take turns: each is served by one thread at a time.
    ///
    /// # Panics
    /// When the system cannot make a thread.
    pub fn new(threads: usize) -> Self {
        let (queue, tenants) = mpsc::channel::<Arc<Inner>>();
        let tenants = Arc::new(Mutex::new(tenants));
        for i in 0..threads.max(1) {
            let tenants = tenants.clone();
            let work = move || {
                loop {
                    let next = tenants.lock().recv();
                    let Ok(tenant) = next else { return };
                    tenant.work();
                }
            };
            std::thread::Builder::new()
                .name(format!("store-writer-{i}"))
                .spawn(work)
                .expect("the system can make a thread");
        }
        Self { queue }
    }

    pub(super) fn serve(&self, tenant: Arc<Inner>) {
        // Fails only when every thread has panicked; the caller's acknowledgement then reads as closed.
        let _ = self.queue.send(tenant);
    }

    /// Queues a job of `tenant`.
    pub(super) fn run(&self, tenant: &Arc<Inner>, job: Job) -> Result<(), StoreError> {
        let mut shared = tenant.shared.lock();
        if shared.closed {
            return Err(StoreError::Closed);
        }
        shared.queue.push_back(job);
        tenant.schedule(&mut shared);
        Ok(())
    }
}
