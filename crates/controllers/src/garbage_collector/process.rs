//! What becomes of one object: nothing, a deletion, a finalizer less, an owner less.

use std::sync::Arc;

use drydock_client::{DeleteOptions, PatchType, Propagation};
use drydock_machinery::{Object, ObjectMeta, Status, Value, value};

use super::graph::{FOREGROUND, Id, ORPHAN, deletes_dependents};
use super::{Collector, Monitor};

/// An object's owner references, by what became of the owners.
#[derive(Debug, Default)]
struct Owners {
    /// There, and not waiting for this object.
    solid: Vec<Value>,
    /// Gone, or another object by that name.
    dangling: Vec<Value>,
    /// Being deleted in the foreground.
    waiting: Vec<Value>,
}

impl Collector {
    /// Looks at the object and does what is to be done about it. Idempotent.
    pub(super) async fn collect(&self, monitor: &Monitor, id: &Id) -> Result<(), Status> {
        let resource = &monitor.resource.resource;
        let Some(object) = self.ctx.client.find(resource, &id.namespace, &id.name).await? else {
            return Ok(());
        };
        if object.is_deleting() {
            let has = |name| object.finalizers().any(|finalizer| finalizer == name);
            if has(ORPHAN) {
                return self.orphan_dependents(monitor, &object).await;
            }
            if has(FOREGROUND) {
                return self.wait_for_dependents(monitor, &object).await;
            }
            return Ok(());
        }
        if object.owner_references().is_empty() {
            return Ok(());
        }
        let owners = self.classify(&object).await?;
        if owners.solid.is_empty() && !owners.waiting.is_empty() && self.closes_circle(&object) {
            // Each would wait for the next: this one no longer holds its owners back.
            if object.owner_references().iter().any(|owner| owner.bool_at(&["blockOwnerDeletion"])) {
                let mut owners = object.owner_references().to_vec();
                owners.iter_mut().for_each(|owner| owner.set(&["blockOwnerDeletion"], false));
                // The change brings the object back here.
                return self.write_owners(monitor, &object, &owners).await;
            }
        }
        if !owners.solid.is_empty() {
            if owners.dangling.is_empty() && owners.waiting.is_empty() {
                return Ok(());
            }
            return self.write_owners(monitor, &object, &owners.solid).await;
        }
        self.delete(monitor, &object, &owners).await
    }

    /// Whether an object that depends on this one waits for its own dependents, as this one's owner does.
    fn closes_circle(&self, object: &Object) -> bool {
        self.graph.dependents(object.uid()).iter().any(|dependent| {
            let of = self.monitor_of(&dependent.id);
            let found = of.and_then(|of| of.informer.get(&dependent.id.namespace, &dependent.id.name));
            found.is_some_and(|found| deletes_dependents(&found))
        })
    }

    async fn classify(&self, object: &Object) -> Result<Owners, Status> {
        let mut owners = Owners::default();
        for reference in object.owner_references() {
            let owner = match self.cached_owner(object, reference) {
                Some(owner) => Some(owner),
                None => self.live_owner(object, reference).await?,
            };
            match owner {
                None => owners.dangling.push(reference.clone()),
                Some(owner) if deletes_dependents(&owner) => owners.waiting.push(reference.clone()),
                Some(_) => owners.solid.push(reference.clone()),
            }
        }
        Ok(owners)
    }

    /// Asks the server for an owner that the informers do not have.
    async fn live_owner(&self, object: &Object, reference: &Value) -> Result<Option<Arc<Object>>, Status> {
        let (api_version, kind) = (reference.str_at(&["apiVersion"]), reference.str_at(&["kind"]));
        let Some(monitor) = self.monitor_of_kind(api_version, kind) else {
            // An unknown kind may become known; until then the object stays.
            let mut status = Status::internal("unknown owner kind");
            status.message = format!("no matches for kind {kind:?} in version {api_version:?}");
            return Err(status);
        };
        if monitor.resource.namespaced && object.namespace().is_empty() {
            // A cluster-scoped object cannot be owned by a namespaced one; upstream leaves it alone, too.
            return Err(Status::internal("owner reference crosses scopes"));
        }
        let namespace = if monitor.resource.namespaced { object.namespace() } else { "" };
        let name = reference.str_at(&["name"]);
        let owner = self.ctx.client.find(&monitor.resource.resource, namespace, name).await?;
        Ok(owner.filter(|owner| owner.uid() == reference.str_at(&["uid"])))
    }

    async fn delete(&self, monitor: &Monitor, object: &Object, owners: &Owners) -> Result<(), Status> {
        let has_dependents = !self.graph.dependents(object.uid()).is_empty();
        let policy = if !owners.waiting.is_empty() && has_dependents {
            Propagation::Foreground
        } else {
            let has = |name| object.finalizers().any(|finalizer| finalizer == name);
            match (has(ORPHAN), has(FOREGROUND)) {
                (true, _) => Propagation::Orphan,
                (_, true) => Propagation::Foreground,
                _ => Propagation::Background,
            }
        };
        let mut options = DeleteOptions::of_uid(object.uid()).propagation(policy);
        // Somebody may have given it another owner since it was read.
        options.preconditions.resource_version = Some(object.resource_version().to_owned());
        let resource = &monitor.resource.resource;
        match self.ctx.client.delete(resource, object.namespace(), object.name(), options).await {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(()),
        }
    }

    /// Foreground: lets the object go when no dependent blocks it any more; deletes those that do.
    async fn wait_for_dependents(&self, monitor: &Monitor, owner: &Object) -> Result<(), Status> {
        let mut blocking = self.graph.dependents(owner.uid());
        blocking.retain(|dependent| dependent.blocks);
        if blocking.is_empty() {
            return self.remove_finalizer(monitor, owner, FOREGROUND).await;
        }
        for dependent in blocking {
            self.queue.add(dependent.id.key());
        }
        Ok(())
    }

    /// Orphan: takes this owner from all dependents, then lets it go.
    async fn orphan_dependents(&self, monitor: &Monitor, owner: &Object) -> Result<(), Status> {
        for dependent in self.graph.dependents(owner.uid()) {
            let Some(of) = self.monitor_of(&dependent.id) else { continue };
            let (namespace, name) = (&dependent.id.namespace, &dependent.id.name);
            let Some(object) = self.ctx.client.find(&of.resource.resource, namespace, name).await? else {
                continue;
            };
            let references = object.owner_references().iter();
            let kept: Vec<_> =
                references.filter(|owned_by| owned_by.str_at(&["uid"]) != owner.uid()).cloned().collect();
            if kept.len() < object.owner_references().len() {
                self.write_owners(&of, &object, &kept).await?;
            }
        }
        self.remove_finalizer(monitor, owner, ORPHAN).await
    }

    async fn write_owners(&self, monitor: &Monitor, object: &Object, owners: &[Value]) -> Result<(), Status> {
        let mut patch = value!({"metadata": {
            "uid": object.uid(), "resourceVersion": object.resource_version(),
        }});
        let owners = if owners.is_empty() { Value::Null } else { Value::from(owners.to_vec()) };
        patch.set(&["metadata", "ownerReferences"], owners);
        self.patch(monitor, object, patch).await
    }

    async fn remove_finalizer(&self, monitor: &Monitor, object: &Object, name: &str) -> Result<(), Status> {
        let kept: Vec<Value> =
            object.finalizers().filter(|finalizer| *finalizer != name).map(Value::from).collect();
        let mut patch = value!({"metadata": {"resourceVersion": object.resource_version()}});
        patch.set(&["metadata", "finalizers"], if kept.is_empty() { Value::Null } else { Value::from(kept) });
        self.patch(monitor, object, patch).await
    }

    async fn patch(&self, monitor: &Monitor, object: &Object, patch: Value) -> Result<(), Status> {
        let (resource, client) = (&monitor.resource.resource, &self.ctx.client);
        let outcome =
            client.patch(resource, object.namespace(), object.name(), PatchType::Merge, patch).await;
        match outcome {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(()),
        }
    }
}
