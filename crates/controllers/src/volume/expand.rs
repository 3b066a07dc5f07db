//! The persistent volume expander: tells whose claim has been enlarged who will enlarge the volume.
//!
//! No volume is enlarged by the controller manager itself any more: all that could be have drivers outside.

use std::sync::Arc;

use drydock_client::resources::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES};
use drydock_client::{Change, Controller, Informer, WorkQueue};
use drydock_machinery::quantity::Quantity;
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value};

use crate::Context;
use crate::util::split_key;

struct Expander {
    ctx: Context,
    claims: Arc<Informer>,
    volumes: Arc<Informer>,
}

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let this = Arc::new(Expander {
        claims: ctx.informers.informer(&PERSISTENT_VOLUME_CLAIMS),
        volumes: ctx.informers.informer(&PERSISTENT_VOLUMES),
        ctx,
    });
    let to = queue.clone();
    this.claims.on_change(move |change| {
        let claim = change.object();
        let grown = change.old().is_none_or(|old| asked(claim) > asked(old) || has(claim) > has(old));
        if grown && !matches!(change, Change::Deleted(_)) && claim.str_at(&["status", "phase"]) == "Bound" {
            to.add_object(claim);
        }
    });
    let needs = [this.claims.clone(), this.volumes.clone()];
    let tasks = this.ctx.tasks.clone();
    Controller::new("persistentvolume-expander", queue).needs(needs).start(&tasks, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await }
    });
}

fn asked(claim: &Value) -> Quantity {
    Quantity::of(claim.at(&["spec", "resources", "requests", "storage"]))
}

fn has(claim: &Value) -> Quantity {
    Quantity::of(claim.at(&["status", "capacity", "storage"]))
}

impl Expander {
    async fn sync(&self, key: &Key) -> Result<(), Status> {
        let (namespace, name) = split_key(key);
        let Some(claim) = self.claims.get(namespace, name) else { return Ok(()) };
        let volume = self.volumes.get_key(claim.str_at(&["spec", "volumeName"]));
        let is_its = |volume: &Arc<Object>| volume.str_at(&["spec", "claimRef", "uid"]) == claim.uid();
        if volume.filter(is_its).is_some() && asked(&claim) > has(&claim) {
            let message = "waiting for an external controller to expand this PVC";
            self.ctx.events.normal(&claim, "ExternalExpanding", message);
        }
        Ok(())
    }
}
