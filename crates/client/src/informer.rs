//! Shared informers: one list and watch per resource for everything in a tenant, kept in a store with indexes.
//!
//! The store holds the server cache's own `Arc`s when the transport is in process, so an informer costs its keys.
//! Each informer is written by one reflector task; readers share it behind a lock that is held for a look-up only.
//! Handlers run in the reflector's task, one change after another, and must only note what changed (put a key into a
//! queue). There is no periodic resync: a change that was missed is a bug.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use drydock_machinery::{GroupVersionResource, Key, Object, ObjectMeta, Value};
use drydock_runtime::Tasks;
use foldhash::HashMap;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::{Client, reflector};

/// What happened to an object.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    Added(&'a Arc<Object>),
    Updated {
        old: &'a Arc<Object>,
        new: &'a Arc<Object>,
    },
    /// With the last state known.
    Deleted(&'a Arc<Object>),
}

impl<'a> Change<'a> {
    /// The newest state.
    pub fn object(&self) -> &'a Arc<Object> {
        match self {
            Self::Added(object) | Self::Updated { new: object, .. } | Self::Deleted(object) => object,
        }
    }

    /// The state before, for updates.
    pub fn old(&self) -> Option<&'a Arc<Object>> {
        if let Self::Updated { old, .. } = self { Some(old) } else { None }
    }
}

type Handler = Arc<dyn Fn(Change<'_>) + Send + Sync>;
type IndexFn = fn(&Value) -> Vec<Key>;

/// A resource's objects, kept current by a watch.
pub struct Informer {
    resource: GroupVersionResource,
    store: RwLock<Store>,
    handlers: RwLock<Vec<Handler>>,
    synced: watch::Sender<bool>,
    /// Held while a change is made and told; true once the informer is closed, when nothing changes any more.
    closed: Mutex<bool>,
}

#[derive(Default)]
struct Store {
    /// By `namespace/name`: sorted, so that a namespace is a range.
    objects: BTreeMap<Key, Arc<Object>>,
    indexes: Vec<Index>,
}

struct Index {
    name: &'static str,
    of: IndexFn,
    keys: HashMap<Key, BTreeSet<Key>>,
}

/// What an object that came was to a store.
enum Inserted {
    /// In it already, at this revision.
    Known,
    New,
    /// In the place of another, or of the same at another revision.
    Instead(Arc<Object>),
}

impl Store {
    fn insert(&mut self, object: &Arc<Object>) -> Inserted {
        let key = Key::from(object.key());
        let old = match self.objects.entry(key.clone()) {
            Entry::Occupied(place) if place.get().revision() == object.revision() => return Inserted::Known,
            Entry::Occupied(mut place) => Some(place.insert(object.clone())),
            Entry::Vacant(place) => {
                place.insert(object.clone());
                None
            }
        };
        for index in &mut self.indexes {
            if let Some(old) = &old {
                index.remove(&key, old);
            }
            index.insert(&key, object);
        }
        old.map_or(Inserted::New, Inserted::Instead)
    }

    fn remove(&mut self, key: &str) -> Option<Arc<Object>> {
        let (key, old) = self.objects.remove_entry(key)?;
        for index in &mut self.indexes {
            index.remove(&key, &old);
        }
        Some(old)
    }
}

impl Index {
    fn insert(&mut self, key: &Key, object: &Object) {
        for value in (self.of)(object) {
            self.keys.entry(value).or_default().insert(key.clone());
        }
    }

    fn remove(&mut self, key: &Key, object: &Object) {
        for value in (self.of)(object) {
            if let Some(keys) = self.keys.get_mut(&value) {
                keys.remove(key);
                if keys.is_empty() {
                    self.keys.remove(&value);
                }
            }
        }
    }
}

impl Informer {
    pub(crate) fn new(resource: GroupVersionResource) -> Self {
        Self {
            resource,
            store: RwLock::default(),
            handlers: RwLock::default(),
            synced: watch::Sender::new(false),
            closed: Mutex::default(),
        }
    }

    pub fn resource(&self) -> &GroupVersionResource {
        &self.resource
    }

    /// The object; `namespace` is "" for cluster-scoped resources.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<Object>> {
        if namespace.is_empty() { self.get_key(name) } else { self.get_key(&[namespace, "/", name].concat()) }
    }

    /// By `namespace/name`, or name for cluster-scoped resources.
    pub fn get_key(&self, key: &str) -> Option<Arc<Object>> {
        self.store.read().objects.get(key).cloned()
    }

    /// All objects, sorted by key.
    pub fn list(&self) -> Vec<Arc<Object>> {
        self.store.read().objects.values().cloned().collect()
    }

    /// The objects of a namespace, sorted by name.
    pub fn list_in(&self, namespace: &str) -> Vec<Arc<Object>> {
        let store = self.store.read();
        if store.objects.is_empty() {
            return Vec::new();
        }
        let prefix = [namespace, "/"].concat();
        let from = store.objects.range::<str, _>((Bound::Included(&*prefix), Bound::Unbounded));
        from.take_while(|(key, _)| key.starts_with(&prefix)).map(|(_, object)| object.clone()).collect()
    }

    pub fn len(&self) -> usize {
        self.store.read().objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds an index over what `of` says about each object. Adding one of the same name again changes nothing.
    pub fn add_index(&self, name: &'static str, of: IndexFn) {
        let mut store = self.store.write();
        if store.indexes.iter().any(|index| index.name == name) {
            return;
        }
        let mut index = Index { name, of, keys: HashMap::default() };
        for (key, object) in &store.objects {
            index.insert(key, object);
        }
        store.indexes.push(index);
    }

    /// The objects about which the index said `value`, sorted by key. An index must have been added.
    pub fn by_index(&self, name: &str, value: &str) -> Vec<Arc<Object>> {
        let store = self.store.read();
        let index = store.indexes.iter().find(|index| index.name == name);
        debug_assert!(index.is_some(), "no index {name} on {}", self.resource);
        let keys = index.and_then(|index| index.keys.get(value));
        keys.into_iter().flatten().filter_map(|key| store.objects.get(key).cloned()).collect()
    }

    /// Calls `handler` with every object there is as added, and from then on with every change.
    pub fn on_change(&self, handler: impl Fn(Change<'_>) + Send + Sync + 'static) {
        let mut handlers = self.handlers.write();
        // Under the handlers' lock: a change that comes meanwhile waits, and reaches the new handler, too.
        for object in self.list() {
            handler(Change::Added(&object));
        }
        handlers.push(Arc::new(handler));
    }

    pub fn has_synced(&self) -> bool {
        *self.synced.borrow()
    }

    /// Waits until the first list is in the store.
    pub async fn synced(&self) {
        let mut synced = self.synced.subscribe();
        // The sender lives in self: waiting cannot fail.
        let _ = synced.wait_for(|synced| *synced).await;
    }

    pub(crate) fn upsert(&self, object: &Arc<Object>) {
        let closed = self.closed.lock();
        if !*closed {
            self.put(object);
        }
    }

    pub(crate) fn delete(&self, object: &Arc<Object>) {
        let closed = self.closed.lock();
        if !*closed {
            self.take(object);
        }
    }

    /// Makes the store hold exactly `items`.
    pub(crate) fn replace(&self, items: &[Arc<Object>]) {
        let closed = self.closed.lock();
        if !*closed {
            self.hold(items);
        }
    }

    /// What it holds counts as deleted, and nothing that its reflector still brings is taken.
    pub(crate) fn close(&self) {
        let mut closed = self.closed.lock();
        self.hold(&[]);
        *closed = true;
    }

    fn put(&self, object: &Arc<Object>) {
        let inserted = self.store.write().insert(object);
        match inserted {
            Inserted::Known => {}
            Inserted::Instead(old) if old.uid() != object.uid() => {
                self.notify(Change::Deleted(&old));
                self.notify(Change::Added(object));
            }
            Inserted::Instead(old) => self.notify(Change::Updated { old: &old, new: object }),
            Inserted::New => self.notify(Change::Added(object)),
        }
    }

    fn take(&self, object: &Arc<Object>) {
        let old = self.store.write().remove(&object.key());
        if old.is_some() {
            self.notify(Change::Deleted(object));
        }
    }

    fn hold(&self, items: &[Arc<Object>]) {
        let keys: BTreeSet<String> = items.iter().map(|item| item.key()).collect();
        let gone: Vec<_> = {
            let store = self.store.read();
            let gone = store.objects.iter().filter(|(key, _)| !keys.contains(key.as_str()));
            gone.map(|(_, object)| object.clone()).collect()
        };
        for object in &gone {
            self.take(object);
        }
        for object in items {
            self.put(object);
        }
        self.synced.send_replace(true);
    }

    fn notify(&self, change: Change<'_>) {
        for handler in self.handlers.read().iter() {
            // One component's handler must not end the reflector of all.
            let call = std::panic::AssertUnwindSafe(|| handler(change));
            if std::panic::catch_unwind(call).is_err() {
                tracing::error!(resource = %self.resource, "a change handler panicked");
            }
        }
    }
}

impl std::fmt::Debug for Informer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Informer").field("resource", &self.resource).field("len", &self.len()).finish()
    }
}

/// One informer per resource, started when first asked for. Clones share them.
#[derive(Clone)]
pub struct SharedInformers {
    inner: Arc<Shared>,
}

struct Shared {
    client: Client,
    tasks: Tasks,
    informers: Mutex<HashMap<GroupVersionResource, Started>>,
}

struct Started {
    informer: Arc<Informer>,
    stop: tokio_util::sync::CancellationToken,
}

impl SharedInformers {
    /// `client` must be allowed to list and watch whatever is asked for. The reflectors end with `tasks`.
    pub fn new(client: Client, tasks: Tasks) -> Self {
        Self { inner: Arc::new(Shared { client, tasks, informers: Mutex::default() }) }
    }

    /// The informer of `resource`. The first call starts its reflector.
    pub fn informer(&self, resource: &GroupVersionResource) -> Arc<Informer> {
        let mut informers = self.inner.informers.lock();
        if let Some(started) = informers.get(resource) {
            return started.informer.clone();
        }
        let informer = Arc::new(Informer::new(resource.clone()));
        let stop = self.inner.tasks.cancelled().child_token();
        let run = reflector::run(
            self.inner.client.clone(),
            informer.clone(),
            self.inner.tasks.clock().clone(),
            stop.clone(),
        );
        self.inner.tasks.spawn_to_end("reflector", run);
        informers.insert(resource.clone(), Started { informer: informer.clone(), stop });
        informer
    }

    /// The informer of `resource`, when somebody has asked for it before.
    pub fn started(&self, resource: &GroupVersionResource) -> Option<Arc<Informer>> {
        self.inner.informers.lock().get(resource).map(|started| started.informer.clone())
    }

    /// Ends the reflector of a resource that is no longer served; what its informer held counts as deleted.
    pub fn stop(&self, resource: &GroupVersionResource) {
        let started = self.inner.informers.lock().remove(resource);
        if let Some(started) = started {
            started.stop.cancel();
            started.informer.close();
        }
    }

    /// Waits until every informer started so far has its first list.
    pub async fn synced(&self) {
        let informers: Vec<_> =
            self.inner.informers.lock().values().map(|started| started.informer.clone()).collect();
        for informer in informers {
            informer.synced().await;
        }
    }
}

impl std::fmt::Debug for SharedInformers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedInformers")
    }
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    #[test]
    fn a_closed_informer_takes_nothing_that_its_reflector_still_brings() {
        let informer = Informer::new(crate::resources::PODS);
        let pod = Arc::new(Object::new(value!({"metadata": {"name": "a", "namespace": "d"}}), 1));
        informer.replace(std::slice::from_ref(&pod));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let to = seen.clone();
        informer.on_change(move |change| to.lock().push(matches!(change, Change::Deleted(_))));
        informer.close();
        informer.replace(std::slice::from_ref(&pod));
        informer.upsert(&pod);
        assert!(informer.is_empty());
        assert_eq!(*seen.lock(), [false, true]);
    }
}
