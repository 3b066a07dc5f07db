//! A claim that a pod uses, a volume that is bound and an attributes class that either names are not gone before their
//! use has ended: admission gives them a finalizer, and these controllers take it away. They also give it to those that
//! lost it.

use std::sync::Arc;

use drydock_client::resources::{
    PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, VOLUME_ATTRIBUTES_CLASSES,
};
use drydock_client::scheduling::claims_of;
use drydock_client::{Change, Controller, WorkQueue};
use drydock_machinery::{GroupVersionResource, Key, Object, ObjectMeta, Status, Value};

use crate::Context;
use crate::util::{pod, split_key};

const CLAIM_FINALIZER: &str = "kubernetes.io/pvc-protection";
const VOLUME_FINALIZER: &str = "kubernetes.io/pv-protection";
const CLASS_FINALIZER: &str = "kubernetes.io/vac-protection";

pub(crate) fn start_claims(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let (claims, pods) = (ctx.informers.informer(&PERSISTENT_VOLUME_CLAIMS), ctx.informers.informer(&PODS));
    let to = queue.clone();
    claims.on_change(move |change| {
        if is_concerned(&change, CLAIM_FINALIZER) {
            to.add_object(change.object());
        }
    });
    let to = queue.clone();
    pods.on_change(move |change| {
        let pod = change.object();
        if matches!(change, Change::Deleted(_)) || is_shut_down(pod) {
            for (claim, _) in claims_of(pod) {
                to.add(format!("{}/{claim}", pod.namespace()));
            }
        }
    });
    let tasks = ctx.tasks.clone();
    Controller::new("pvc-protection", queue).needs([claims, pods]).start(&tasks, move |key| {
        let ctx = ctx.clone();
        async move { sync_claim(&ctx, &key).await }
    });
}

/// Its kubelet is done with it, or somebody has deleted it without asking that.
fn is_shut_down(pod: &Value) -> bool {
    pod.is_deleting() && pod.i64_at(&["metadata", "deletionGracePeriodSeconds"]) == Some(0)
}

async fn sync_claim(ctx: &Context, key: &Key) -> Result<(), Status> {
    let (namespace, name) = split_key(key);
    let claims = ctx.informers.informer(&PERSISTENT_VOLUME_CLAIMS);
    let Some(claim) = claims.get(namespace, name) else { return Ok(()) };
    if !claim.is_deleting() {
        return add_finalizer(ctx, &PERSISTENT_VOLUME_CLAIMS, &claim, CLAIM_FINALIZER).await;
    }
    // A pod that has no node has not got at the claim yet, and will not once that is being deleted. One that is over
    // still holds it, but for a claim that was made for it, once it is shut down.
    let holds = |pod: &Object| {
        let is_shut_down = is_shut_down(pod);
        claims_of(pod).any(|(used, is_ephemeral)| used == name && !(is_ephemeral && is_shut_down))
    };
    let uses = |pod: &Arc<Object>| !pod::node_name(pod).is_empty() && holds(pod);
    if ctx.informers.informer(&PODS).list_in(namespace).iter().any(uses) {
        return Ok(());
    }
    remove_finalizer(ctx, &PERSISTENT_VOLUME_CLAIMS, &claim, CLAIM_FINALIZER).await
}

pub(crate) fn start_volumes(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let volumes = ctx.informers.informer(&PERSISTENT_VOLUMES);
    let to = queue.clone();
    volumes.on_change(move |change| {
        if is_concerned(&change, VOLUME_FINALIZER) {
            to.add_object(change.object());
        }
    });
    let tasks = ctx.tasks.clone();
    Controller::new("pv-protection", queue).needs([volumes]).start(&tasks, move |key| {
        let ctx = ctx.clone();
        async move {
            let found = ctx.informers.informer(&PERSISTENT_VOLUMES).get_key(&key);
            match found {
                Some(volume) if !volume.is_deleting() => {
                    add_finalizer(&ctx, &PERSISTENT_VOLUMES, &volume, VOLUME_FINALIZER).await
                }
                Some(volume) if volume.str_at(&["status", "phase"]) != "Bound" => {
                    remove_finalizer(&ctx, &PERSISTENT_VOLUMES, &volume, VOLUME_FINALIZER).await
                }
                _ => Ok(()),
            }
        }
    });
}

/// A class that lost its finalizer gets it back.
pub(crate) fn start_attributes_classes(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let classes = ctx.informers.informer(&VOLUME_ATTRIBUTES_CLASSES);
    let claims = ctx.informers.informer(&PERSISTENT_VOLUME_CLAIMS);
    let volumes = ctx.informers.informer(&PERSISTENT_VOLUMES);
    let to = queue.clone();
    classes.on_change(move |change| to.add_object(change.object()));
    for users in [&claims, &volumes] {
        let to = queue.clone();
        users.on_change(move |change| {
            let before = match change {
                Change::Updated { old, .. } => old,
                change => change.object(),
            };
            classes_of(before).for_each(|class| to.add(class));
        });
    }
    let tasks = ctx.tasks.clone();
    Controller::new("volumeattributesclass-protection", queue).needs([classes, claims, volumes]).start(
        &tasks,
        move |key| {
            let ctx = ctx.clone();
            async move { sync_attributes_class(&ctx, &key).await }
        },
    );
}

/// The attributes classes that a claim or a volume has, had or wants.
fn classes_of(object: &Value) -> impl Iterator<Item = &str> {
    const PATHS: [&[&str]; 3] = [
        &["spec", "volumeAttributesClassName"],
        &["status", "currentVolumeAttributesClassName"],
        &["status", "modifyVolumeStatus", "targetVolumeAttributesClassName"],
    ];
    PATHS.into_iter().map(|path| object.str_at(path)).filter(|name| !name.is_empty())
}

async fn sync_attributes_class(ctx: &Context, key: &Key) -> Result<(), Status> {
    let classes = ctx.informers.informer(&VOLUME_ATTRIBUTES_CLASSES);
    let Some(class) = classes.get_key(key) else { return Ok(()) };
    if !class.is_deleting() {
        return add_finalizer(ctx, &VOLUME_ATTRIBUTES_CLASSES, &class, CLASS_FINALIZER).await;
    }
    let uses = |object: &Arc<Object>| classes_of(object).any(|used| used == class.name());
    let used = [&PERSISTENT_VOLUME_CLAIMS, &PERSISTENT_VOLUMES]
        .into_iter()
        .any(|resource| ctx.informers.informer(resource).list().iter().any(uses));
    if used {
        return Ok(());
    }
    remove_finalizer(ctx, &VOLUME_ATTRIBUTES_CLASSES, &class, CLASS_FINALIZER).await
}

/// Whether the object is there and lacks the finalizer, or is being deleted and has it.
fn is_concerned(change: &Change<'_>, finalizer: &str) -> bool {
    let object = change.object();
    let has = object.finalizers().any(|own| own == finalizer);
    !matches!(change, Change::Deleted(_)) && has == object.is_deleting()
}

async fn add_finalizer(
    ctx: &Context,
    resource: &GroupVersionResource,
    object: &Object,
    name: &str,
) -> Result<(), Status> {
    if object.finalizers().any(|own| own == name) {
        return Ok(());
    }
    let mut new = object.value().clone();
    let all: Vec<&str> = object.finalizers().chain([name]).collect();
    new.set(&["metadata", "finalizers"], all);
    match ctx.client.update(resource, new).await {
        Err(status) if !status.is_not_found() => Err(status),
        _ => Ok(()),
    }
}

async fn remove_finalizer(
    ctx: &Context,
    resource: &GroupVersionResource,
    object: &Object,
    name: &str,
) -> Result<(), Status> {
    let kept: Vec<Value> = object.finalizers().filter(|f| *f != name).map(Value::from).collect();
    if kept.len() == object.finalizers().count() {
        return Ok(());
    }
    let mut new = object.value().clone();
    if kept.is_empty() {
        new.remove(&["metadata", "finalizers"]);
    } else {
        new.set(&["metadata", "finalizers"], kept);
    }
    match ctx.client.update(resource, new).await {
        Err(status) if !status.is_not_found() => Err(status),
        _ => Ok(()),
    }
}
