//! The garbage collector: objects whose owners are gone go, too.
//!
//! It watches every resource that can be listed, watched and deleted, custom ones included; which these are it asks
//! discovery at the start and whenever a definition or API service changes. The graph keeps edges only: who owns whom is
//! noted for objects that have owners, everything else is looked up in the shared informers, so a tenant whose objects
//! have no owners pays nothing. Before anything is deleted its owners are asked for at the server.

mod graph;
mod process;

use std::sync::Arc;

use drydock_client::resources::{API_SERVICES, CUSTOM_RESOURCE_DEFINITIONS};
use drydock_client::{ApiResource, Change, Controller, Informer, WorkQueue};
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value};
use parking_lot::RwLock;

use crate::Context;
use crate::util::conditions;
use graph::{Graph, Id};

/// The queue's key that asks for a fresh look at discovery. No object's key looks like it.
const DISCOVER: &str = "discover";
/// Events come and go too often, and own nothing.
const IGNORED: &[(&str, &str)] = &[("", "events"), ("events.k8s.io", "events")];

struct Collector {
    ctx: Context,
    /// Keys of objects ([`Id::key`]) to look at, and [`DISCOVER`].
    queue: Arc<WorkQueue>,
    graph: Graph,
    monitored: RwLock<Vec<Monitor>>,
}

#[derive(Clone)]
struct Monitor {
    resource: Arc<ApiResource>,
    informer: Arc<Informer>,
}

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let this = Arc::new(Collector {
        queue: queue.clone(),
        graph: Graph::default(),
        monitored: RwLock::default(),
        ctx,
    });
    for resource in [CUSTOM_RESOURCE_DEFINITIONS, API_SERVICES] {
        let to = queue.clone();
        this.ctx.informers.informer(&resource).on_change(move |change| {
            let unchanged = change.old().is_some_and(|old| served_alike(old, change.object()));
            if !unchanged {
                to.add(DISCOVER);
            }
        });
    }
    queue.add(DISCOVER);
    let tasks = this.ctx.tasks.clone();
    Controller::new("garbage-collector", queue).workers(20).start(&tasks, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await }
    });
}

/// Whether both versions of a definition or API service make the server serve the same.
fn served_alike(old: &Object, new: &Object) -> bool {
    ["Established", "Available"]
        .iter()
        .all(|kind| conditions::condition_status(old, kind) == conditions::condition_status(new, kind))
        && old.get("spec") == new.get("spec")
}

impl Collector {
    async fn sync(self: &Arc<Self>, key: &Key) -> Result<(), Status> {
        if key == DISCOVER {
            return self.discover().await;
        }
        let Some(id) = Id::parse(key) else { return Ok(()) };
        let Some(monitor) = self.monitor_of(&id) else { return Ok(()) };
        self.collect(&monitor, &id).await
    }

    /// Starts to monitor what is new and stops what is no longer served.
    async fn discover(self: &Arc<Self>) -> Result<(), Status> {
        let resources = self.ctx.client.discover().await?;
        let wanted = |resource: &&ApiResource| {
            let name = (&*resource.resource.group, &*resource.resource.resource);
            ["list", "watch", "delete"].iter().all(|verb| resource.has_verb(verb)) && !IGNORED.contains(&name)
        };
        let wanted: Vec<ApiResource> = resources.iter().filter(wanted).cloned().collect();
        let gone: Vec<Monitor> = {
            let mut monitored = self.monitored.write();
            let (kept, gone) = monitored.drain(..).partition(|monitor| wanted.contains(&monitor.resource));
            *monitored = kept;
            gone
        };
        for monitor in gone {
            self.ctx.informers.stop(&monitor.resource.resource);
        }
        for resource in wanted {
            self.monitor(resource);
        }
        let informers: Vec<_> =
            self.monitored.read().iter().map(|monitor| monitor.informer.clone()).collect();
        for informer in informers {
            informer.synced().await;
        }
        Ok(())
    }

    fn monitor(self: &Arc<Self>, resource: ApiResource) {
        if self.monitored.read().iter().any(|monitor| *monitor.resource == resource) {
            return;
        }
        let informer = self.ctx.informers.informer(&resource.resource);
        let resource = Arc::new(resource);
        let monitor = Monitor { resource: resource.clone(), informer: informer.clone() };
        self.monitored.write().push(monitor);
        let me = self.clone();
        informer.on_change(move |change| me.changed(&resource, change));
    }

    fn monitor_of(&self, id: &Id) -> Option<Monitor> {
        let monitored = self.monitored.read();
        monitored.iter().find(|monitor| id.is_of(&monitor.resource.resource)).cloned()
    }

    /// The monitor of an owner reference's kind.
    fn monitor_of_kind(&self, api_version: &str, kind: &str) -> Option<Monitor> {
        let (group, _) = drydock_machinery::names::split_api_version(api_version);
        let monitored = self.monitored.read();
        let mut same =
            monitored.iter().filter(|m| m.resource.kind == kind && m.resource.resource.group == group);
        same.next().cloned()
    }

    fn changed(&self, resource: &ApiResource, change: Change<'_>) {
        let object = change.object();
        match change {
            Change::Added(_) => self.added(resource, object, None),
            Change::Updated { old, .. } => self.added(resource, object, Some(old)),
            Change::Deleted(_) => self.deleted(resource, object),
        }
    }

    fn added(&self, resource: &ApiResource, object: &Arc<Object>, old: Option<&Arc<Object>>) {
        let id = || Id::of(&resource.resource, object);
        let owners_changed = match old {
            Some(old) => old.owner_references() != object.owner_references(),
            None => !object.owner_references().is_empty(),
        };
        if owners_changed {
            let before = old.map_or(&[][..], |old| old.owner_references());
            self.graph.replace_owners(&id(), before, object.owner_references());
            let owners = object.owner_references().iter();
            let unknown: Vec<_> = owners.filter(|owner| self.cached_owner(object, owner).is_none()).collect();
            for owner in &unknown {
                self.tell_of_other_namespace(object, owner);
            }
            // Fewer owners, or foreground blockers, may let waiting owners go.
            self.enqueue_waiting_owners(object, before);
            if !unknown.is_empty() {
                self.queue.add(id().key());
            }
        }
        let was_deleting = old.is_some_and(|old| old.is_deleting());
        let finalizers_changed = old.is_none_or(|old| !old.finalizers().eq(object.finalizers()));
        if object.is_deleting() && (!was_deleting || finalizers_changed) {
            let waits = object.finalizers().any(|f| matches!(f, graph::FOREGROUND | graph::ORPHAN));
            if waits {
                self.queue.add(id().key());
                self.enqueue_dependents(object);
            }
        }
    }

    fn deleted(&self, resource: &ApiResource, object: &Arc<Object>) {
        if !object.owner_references().is_empty() {
            self.graph.replace_owners(&Id::of(&resource.resource, object), object.owner_references(), &[]);
            self.enqueue_waiting_owners(object, object.owner_references());
        }
        self.enqueue_dependents(object);
    }

    fn enqueue_dependents(&self, owner: &Object) {
        for dependent in self.graph.dependents(owner.uid()) {
            self.queue.add(dependent.id.key());
        }
    }

    /// Owners that are deleted in the foreground wait for their dependents.
    fn enqueue_waiting_owners(&self, object: &Object, owners: &[Value]) {
        for reference in owners {
            let (api_version, kind) = (reference.str_at(&["apiVersion"]), reference.str_at(&["kind"]));
            let Some(monitor) = self.monitor_of_kind(api_version, kind) else { continue };
            if let Some(owner) = self.cached_owner(object, reference)
                && graph::deletes_dependents(&owner)
            {
                self.queue.add(Id::of(&monitor.resource.resource, &owner).key());
            }
        }
    }

    /// An owner that is there, but in another namespace than its dependent, owns nothing: people are told so.
    fn tell_of_other_namespace(&self, object: &Object, reference: &Value) {
        let (api_version, kind) = (reference.str_at(&["apiVersion"]), reference.str_at(&["kind"]));
        let Some(monitor) = self.monitor_of_kind(api_version, kind).filter(|m| m.resource.namespaced) else {
            return;
        };
        let (name, uid) = (reference.str_at(&["name"]), reference.str_at(&["uid"]));
        let all = monitor.informer.list();
        if all.iter().any(|owner| owner.uid() == uid && owner.namespace() != object.namespace()) {
            let namespace = object.namespace();
            let message = format!(
                "ownerRef [{api_version}/{kind}, namespace: {namespace}, name: {name}, uid: {uid}] does not exist in \
                 namespace {namespace:?}"
            );
            self.ctx.events.warning(object, "OwnerRefInvalidNamespace", message);
        }
    }

    /// The owner that a reference names, when the informer has it with that uid.
    fn cached_owner(&self, object: &Object, reference: &Value) -> Option<Arc<Object>> {
        let monitor = self.monitor_of_kind(reference.str_at(&["apiVersion"]), reference.str_at(&["kind"]))?;
        let namespace = if monitor.resource.namespaced { object.namespace() } else { "" };
        let owner = monitor.informer.get(namespace, reference.str_at(&["name"]))?;
        (owner.uid() == reference.str_at(&["uid"])).then_some(owner)
    }
}
