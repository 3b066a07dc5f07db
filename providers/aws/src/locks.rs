//! One caller at a time per key: what looks before it makes must not be overtaken by its like.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

#[derive(Default)]
pub(crate) struct Locks {
    by_key: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Locks {
    pub(crate) async fn lock(&self, key: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut by_key = self.by_key.lock();
            // Those that nobody holds or waits for.
            by_key.retain(|_, lock| Arc::strong_count(lock) > 1);
            by_key.entry(key.to_owned()).or_default().clone()
        };
        lock.lock_owned().await
    }
}
