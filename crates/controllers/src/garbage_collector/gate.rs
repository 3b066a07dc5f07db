//! Who may work when: nothing is collected before all monitors know what there is.
//!
//! A dependent that no monitor has shown yet is not in the graph: its owner, deleted with orphaning, would go without it,
//! and it would be deleted for want of an owner later.

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard, watch};

/// Shut at first, and while new monitors sync.
#[derive(Debug)]
pub(super) struct Gate {
    opened: watch::Sender<bool>,
    /// Read by those who work, written by who syncs monitors.
    working: RwLock<()>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { opened: watch::Sender::new(false), working: RwLock::default() }
    }
}

impl Gate {
    /// Waits until it is open. It is not shut while the guard lives.
    pub(super) async fn pass(&self) -> RwLockReadGuard<'_, ()> {
        let mut opened = self.opened.subscribe();
        // The sender lives in self: waiting cannot fail.
        let _ = opened.wait_for(|opened| *opened).await;
        self.working.read().await
    }

    /// Waits until nobody works; it is shut while the guard lives.
    pub(super) async fn shut(&self) -> RwLockWriteGuard<'_, ()> {
        self.working.write().await
    }

    /// Lets everybody in for the first time.
    pub(super) fn open(&self) {
        self.opened.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_works_before_the_first_sync_nor_during_another() {
        let gate = Gate::default();
        let mut first = Box::pin(gate.pass());
        assert!(futures::poll!(&mut first).is_pending());
        gate.open();
        let working = first.await;
        let mut shut = Box::pin(gate.shut());
        assert!(futures::poll!(&mut shut).is_pending(), "somebody still works");
        drop(working);
        let syncing = shut.await;
        let mut next = Box::pin(gate.pass());
        assert!(futures::poll!(&mut next).is_pending());
        drop(syncing);
        drop(next.await);
    }
}
