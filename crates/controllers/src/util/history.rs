//! Controller revisions: the templates that stateful sets and daemon sets have had.

use std::sync::Arc;

use drydock_client::resources::CONTROLLER_REVISIONS;
use drydock_client::{Client, DeleteOptions, Informer, PatchType};
use drydock_machinery::selector::Selector;
use drydock_machinery::{GroupVersionResource, Map, Object, ObjectMeta, Status, Value, value};

use super::count_at;
use super::owner::{Claimer, controller_ref};

/// How a kind writes its revisions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// The label with the revision's hash.
    pub(crate) hash_label: &'static str,
    /// The hash of a revision's data. The count of collisions makes another one of the same data.
    pub(crate) hash: fn(&Value, i64) -> String,
}

/// The patch that restores the owner's template.
pub(crate) fn data(owner: &Value) -> Value {
    let mut template = owner.at(&["spec", "template"]).cloned().unwrap_or_else(Value::object);
    template.set(&["$patch"], "replace");
    let mut data = Value::object();
    data.set(&["spec", "template"], template);
    data
}

/// The template that a revision holds.
pub(crate) fn template(revision: &Value) -> Value {
    let mut template = revision.at(&["data", "spec", "template"]).cloned().unwrap_or_else(Value::object);
    template.remove(&["$patch"]);
    template
}

pub(crate) fn number(revision: &Value) -> i64 {
    count_at(revision, &["revision"], 0)
}

/// The owner's revisions by number. Those that an owner before it left behind become its own.
pub(crate) async fn claim(
    client: &Client,
    revisions: &Informer,
    owner: &Object,
    owner_resource: &GroupVersionResource,
    selector: &Selector,
) -> Result<Vec<Arc<Object>>, Status> {
    let claimer =
        Claimer { client, owner, owner_resource, resource: &CONTROLLER_REVISIONS, selector, finalizer: None };
    let mut claimed = claimer.claim(super::owner::candidates(revisions, owner), |_| true).await?;
    claimed.sort_by_key(|revision| number(revision));
    Ok(claimed)
}

fn revision(owner: &Value, style: Style, number: i64, collisions: i64) -> Value {
    let data = data(owner);
    let hash = (style.hash)(&data, collisions);
    let mut labels: Map = owner.object_at(&["spec", "template", "metadata", "labels"]).clone();
    labels.insert(style.hash_label, hash.clone());
    let mut revision = value!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision",
        "metadata": {"name": format!("{}-{hash}", owner.name()), "namespace": owner.namespace()},
        "revision": number,
    });
    revision.set(&["metadata", "labels"], labels);
    revision.set(&["metadata", "ownerReferences"], vec![controller_ref(owner)]);
    if !owner.annotations().is_empty() {
        revision.set(&["metadata", "annotations"], owner.annotations().clone());
    }
    revision.set(&["data"], data);
    revision
}

/// The revision of the owner's present template: the newest of `revisions` (sorted by number) when it is that, an older
/// one made the newest, or a new one. The second value is the collision count, when it has grown.
pub(crate) async fn current(
    client: &Client,
    owner: &Object,
    revisions: &[Arc<Object>],
    style: Style,
) -> Result<(Arc<Object>, Option<i64>), Status> {
    let wanted = data(owner);
    let next = revisions.last().map_or(0, |last| number(last)) + 1;
    let same = revisions.iter().rev().find(|revision| revision.get("data") == Some(&wanted));
    if let Some(same) = same {
        if number(same) + 1 == next {
            return Ok((same.clone(), None));
        }
        let patch = value!({"revision": next});
        let (namespace, name) = (same.namespace(), same.name());
        let newest = client.patch(&CONTROLLER_REVISIONS, namespace, name, PatchType::Merge, patch).await?;
        return Ok((newest, None));
    }
    let first = count_at(owner, &["status", "collisionCount"], 0);
    let mut collisions = first;
    loop {
        let new = revision(owner, style, next, collisions);
        let name = new.name().to_owned();
        match client.create(&CONTROLLER_REVISIONS, new).await {
            Ok(created) => return Ok((created, (collisions != first).then_some(collisions))),
            Err(status) if status.is_already_exists() => {
                let other = client.get(&CONTROLLER_REVISIONS, owner.namespace(), &name).await?;
                // Whoever it belongs to: one that was left behind is adopted when that may be.
                if other.get("data") == Some(&wanted) {
                    return Ok((other, None));
                }
                collisions += 1;
            }
            Err(status) => return Err(status),
        }
    }
}

/// Deletes the oldest revisions that no pod has, as many as the `counted` ones are beyond the owner's limit.
pub(crate) async fn truncate(
    client: &Client,
    owner: &Object,
    dead: &[&Arc<Object>],
    counted: usize,
) -> Result<(), Status> {
    let limit = usize::try_from(count_at(owner, &["spec", "revisionHistoryLimit"], 10)).unwrap_or(0);
    for revision in dead.iter().take(counted.saturating_sub(limit)) {
        let (namespace, name) = (revision.namespace(), revision.name());
        match client.delete(&CONTROLLER_REVISIONS, namespace, name, DeleteOptions::default()).await {
            Err(status) if !status.is_not_found() => return Err(status),
            _ => {}
        }
    }
    Ok(())
}
