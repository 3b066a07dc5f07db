//! Connections on which nothing happens are ended.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use drydock_runtime::wall;

/// Counts what happens on a connection.
#[derive(Debug, Default)]
pub(crate) struct Activity(AtomicU64);

impl Activity {
    pub(crate) fn note(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns once nothing has happened for `timeout`, or for at most twice as long.
    pub(crate) async fn ceased(&self, timeout: Duration) {
        loop {
            let before = self.0.load(Ordering::Relaxed);
            wall::sleep(timeout).await;
            if self.0.load(Ordering::Relaxed) == before {
                return;
            }
        }
    }
}
