//! The persistent volume binder: claims and the volumes that fit them.
//!
//! Volumes that exist are bound; making new ones is left to external provisioners, which are told by annotation, and so
//! is deleting what they made. Claims that wait are looked at again every fifteen seconds, and when a volume comes that
//! may be theirs.
//!
//! Deliberately absent: scrubbing recycled volumes, which takes a pod on a machine that has them.

mod claims;
mod fit;
mod volumes;

use std::sync::Arc;
use std::time::Duration;

use drydock_client::resources::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES};
use drydock_client::{Change, Controller, Informer, WorkQueue};
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value};

use crate::Context;
use crate::util::split_key;

const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// How often claims that wait are looked at, and tell of it.
const RESYNC: Duration = Duration::from_secs(15);

struct Binder {
    ctx: Context,
    queue: Arc<WorkQueue>,
    claims: Arc<Informer>,
    volumes: Arc<Informer>,
    classes: Arc<Informer>,
    pods: Arc<Informer>,
}

/// Keys of claims are `namespace/name`, those of volumes are names.
pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let this = Arc::new(Binder {
        claims: ctx.informers.informer(&PERSISTENT_VOLUME_CLAIMS),
        volumes: ctx.informers.informer(&PERSISTENT_VOLUMES),
        classes: ctx.informers.informer(&STORAGE_CLASSES),
        pods: ctx.informers.informer(&PODS),
        queue: queue.clone(),
        ctx,
    });
    let me = this.clone();
    this.claims.on_change(move |change| me.claim_changed(change));
    let me = this.clone();
    this.volumes.on_change(move |change| me.volume_changed(change));
    let needs = [this.claims.clone(), this.volumes.clone(), this.classes.clone(), this.pods.clone()];
    let tasks = this.ctx.tasks.clone();
    Controller::new("persistentvolume-binder", queue).needs(needs).start(&tasks, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await }
    });
}

/// The claim that a volume is reserved for or bound to.
fn reserved_for(volume: &Value) -> Option<&Value> {
    volume.at(&["spec", "claimRef"]).filter(|claim| !claim.is_null())
}

fn is_claim(reference: &Value, claim: &Object) -> bool {
    let uid = reference.str_at(&["uid"]);
    reference.str_at(&["namespace"]) == claim.namespace()
        && reference.str_at(&["name"]) == claim.name()
        && (uid.is_empty() || uid == claim.uid())
}

impl Binder {
    fn claim_changed(&self, change: Change<'_>) {
        let claim = change.object();
        if !matches!(change, Change::Deleted(_)) {
            self.queue.add_object(claim);
        }
        let volume = claim.str_at(&["spec", "volumeName"]);
        if !volume.is_empty() {
            self.queue.add(volume);
        }
    }

    fn volume_changed(&self, change: Change<'_>) {
        let volume = change.object();
        self.queue.add_object(volume);
        // It may be, or have been, what a claim is about.
        for claim in self.claims.list() {
            let named = claim.str_at(&["spec", "volumeName"]) == volume.name();
            let waits = claim.annotation(BIND_COMPLETED).is_none()
                && claim.str_at(&["spec", "volumeName"]).is_empty();
            let fits = waits
                && !matches!(change, Change::Deleted(_))
                && reserved_for(volume)
                    .map_or_else(|| fit::fits(volume, &claim), |owner| is_claim(owner, &claim));
            if fits || named {
                self.queue.add_object(&claim);
            }
        }
    }

    async fn sync(&self, key: &Key) -> Result<(), Status> {
        match split_key(key) {
            ("", name) => match self.volumes.get_key(name) {
                Some(volume) => self.sync_volume(&volume).await,
                None => Ok(()),
            },
            (namespace, name) => match self.claims.get(namespace, name) {
                Some(claim) => self.sync_claim(&claim).await,
                None => Ok(()),
            },
        }
    }
}
