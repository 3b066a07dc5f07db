//! Enlarges the volumes of claims that have grown. There are no file systems, so that a volume is as large at once as
//! its disk.

use std::sync::Arc;

use drydock_client::resources::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES};
use drydock_client::{Change, Controller, PatchType, WorkQueue};
use drydock_machinery::quantity::Quantity;
use drydock_machinery::{Object, ObjectMeta, Status, Value, value};

use super::{Context, asked};

pub(super) fn start(context: Context) {
    let queue = Arc::new(WorkQueue::new(context.clock.clone()));
    let to = queue.clone();
    context.claims.on_change(move |change| {
        if is_too_small(change.object()) && !matches!(change, Change::Deleted(_)) {
            to.add_object(change.object());
        }
    });
    let needs = [context.claims.clone(), context.volumes.clone()];
    let tasks = context.tasks.clone();
    Controller::new("storage-resizer", queue).needs(needs).start(&tasks, move |key| {
        let context = context.clone();
        async move { context.resize(&key).await }
    });
}

fn is_too_small(claim: &Value) -> bool {
    claim.str_at(&["status", "phase"]) == "Bound"
        && asked(claim) > Quantity::of(claim.at(&["status", "capacity", "storage"]))
}

impl Context {
    async fn resize(&self, key: &str) -> Result<(), Status> {
        let Some(claim) = self.claims.get_key(key).filter(|claim| is_too_small(claim)) else { return Ok(()) };
        let volume = self.volumes.get_key(claim.str_at(&["spec", "volumeName"]));
        let is_its = |volume: &Arc<Object>| {
            self.is_ours(volume) && volume.str_at(&["spec", "claimRef", "uid"]) == claim.uid()
        };
        let Some(volume) = volume.filter(is_its) else { return Ok(()) };
        let size = self.size(&asked(&claim)).to_string();
        self.events.normal(
            &claim,
            "Resizing",
            format!("External resizer is resizing volume {}", volume.name()),
        );
        let patch = value!({"spec": {"capacity": {"storage": size.as_str()}}});
        self.client.patch(&PERSISTENT_VOLUMES, "", volume.name(), PatchType::Merge, patch).await?;
        let patch = value!({"status": {"capacity": {"storage": size}}});
        let (namespace, name) = (claim.namespace(), claim.name());
        self.client.patch_status(&PERSISTENT_VOLUME_CLAIMS, namespace, name, PatchType::Merge, patch).await?;
        self.events.normal(&claim, "VolumeResizeSuccessful", "Resize volume succeeded");
        Ok(())
    }
}
