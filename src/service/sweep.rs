//! What happens on a timer: clusters that a signal was lost for are looked at, and old records are forgotten.

use std::time::Duration;

use drydock_runtime::{OnError, wall};

use crate::database::time;

use super::Service;
use super::error::Result;

/// A signal is lost when a client hangs up while its request is being committed.
const EVERY: Duration = Duration::from_secs(15);
/// How long what is over is remembered.
const OPERATIONS_FOR: Duration = Duration::from_hours(7 * 24);
const KEYS_FOR: Duration = Duration::from_hours(24);
/// Sweeps between two times of forgetting.
const FORGET_AFTER: u32 = 240;

impl Service {
    pub(super) fn start_sweeping(&self) {
        let service = self.clone();
        self.inner.tasks.supervise("sweep", OnError::Restart, move || {
            let service = service.clone();
            async move {
                for sweep in 0_u32.. {
                    if sweep % FORGET_AFTER == 0 {
                        service.forget().await?;
                    }
                    wall::sleep(EVERY).await;
                    service.sweep().await?;
                }
                Ok(())
            }
        });
    }

    /// Wakes the reconcilers of clusters that changed since they looked, and gives every cluster one.
    pub(super) async fn sweep(&self) -> Result<()> {
        for (uid, revision) in self.inner.database.cluster_revisions().await? {
            if self.inner.fleet.seen(&uid) != Some(revision) {
                self.oversee(&uid);
            }
        }
        Ok(())
    }

    async fn forget(&self) -> Result<()> {
        let before = |age: Duration| time(wall::now().saturating_sub(age).unwrap_or_default());
        let operations = self.inner.database.operation_forget(&before(OPERATIONS_FOR)).await?;
        let keys = self.inner.database.idempotency_forget(&before(KEYS_FOR)).await?;
        if operations + keys > 0 {
            tracing::info!(operations, keys, "forgot what is long over");
        }
        Ok(())
    }
}
