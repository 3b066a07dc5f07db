//! Writing a stateful set's status.

use drydock_client::resources::STATEFUL_SETS;
use drydock_machinery::{Object, ObjectMeta, Status, Value};

use super::StatefulSets;

/// Writes it when it differs; tries once more on the newest version after a conflict.
pub(super) async fn write(sets: &StatefulSets, set: &Object, new: Value) -> Result<(), Status> {
    if new.get("status") == set.get("status") {
        return Ok(());
    }
    let status = new.get("status").cloned().unwrap_or_default();
    match sets.ctx.client.update_status(&STATEFUL_SETS, new).await {
        Err(conflict) if conflict.is_conflict() => {
            let fresh = sets.ctx.client.get(&STATEFUL_SETS, set.namespace(), set.name()).await?;
            let mut retry = fresh.value().clone();
            retry.set(&["status"], status);
            sets.ctx.client.update_status(&STATEFUL_SETS, retry).await.map(drop)
        }
        outcome => outcome.map(drop),
    }
}
