//! How far the cache is, and who waits for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use drydock_store::Revision;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The revision applied last. Each waiter is woken once, when its own revision was reached.
#[derive(Default)]
pub(crate) struct Progress {
    revision: AtomicU64,
    waiting: Mutex<BTreeMap<Revision, Vec<oneshot::Sender<()>>>>,
}

impl Progress {
    pub(crate) fn revision(&self) -> Revision {
        self.revision.load(Ordering::Acquire)
    }

    pub(crate) fn advance(&self, revision: Revision) {
        self.revision.fetch_max(revision, Ordering::AcqRel);
        let mut waiting = self.waiting.lock();
        while let Some(first) = waiting.first_entry() {
            if *first.key() > revision {
                break;
            }
            for waiter in first.remove() {
                let _ = waiter.send(());
            }
        }
    }

    /// Resolves once `revision` is reached; None when it already is.
    pub(crate) fn reached(&self, revision: Revision) -> Option<oneshot::Receiver<()>> {
        if self.revision() >= revision {
            return None;
        }
        let mut waiting = self.waiting.lock();
        // Checked again under the lock: `advance` stores first, then takes the lock.
        if self.revision() >= revision {
            return None;
        }
        let (done, reached) = oneshot::channel();
        waiting.entry(revision).or_default().push(done);
        Some(reached)
    }
}
