//! The watch cache: every object of the tenant, in memory, following the store.
//!
//! Commits are applied in the store's order, by one at a time: a task that follows the store, or a writer of the API,
//! which comes to [`Cache::wait_applied`] with its own commit and mostly finds the task not there yet. So what was
//! acknowledged is read (read-your-writes), and reads need not ask the store. Readers clone a persistent map and go on
//! without a lock.
//!
//! * [`ResourceCache`]: one resource's objects and recent events.
//! * [`Watcher`]: a position in those events. Watchers hold no queue: a slow one reads from further back until the
//!   window has moved past it, and is then told that its revision expired.
//! * What is older than the window is read from the store's history, as far as that goes.
//!
//! Invariant: [`Cache::revision`] never runs ahead of any resource's objects and events.

mod progress;
mod resource;
pub(crate) mod stored;
mod watcher;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use drydock_machinery::Object;
use drydock_runtime::{CancellationToken, Tasks};
use drydock_store::{Batch, Event, Range, Revision, Store, StoreError};
use foldhash::HashMap;
use futures::StreamExt;
use parking_lot::{Mutex, MutexGuard, RwLock};

use progress::Progress;
pub use resource::{Change, ChangeKind, ResourceCache, Snapshot};
pub(crate) use stored::{Stored, decode};
pub use watcher::{Changes, Filter, Step, Watcher, WatcherStart};

/// All resources' caches of one tenant.
pub struct Cache {
    store: Arc<dyn Store>,
    resources: RwLock<Resources>,
    progress: Progress,
    /// Held by who applies commits.
    applying: Mutex<()>,
    /// The revision that was read at the start: no resource has events in the window from before it.
    loaded: AtomicU64,
    /// No list shows an older revision, whether or not it could still be put together.
    oldest_listed: AtomicU64,
    /// There was no object at the start.
    began_empty: AtomicBool,
    closed: CancellationToken,
}

/// By group as keys have it, then by resource: who asks for one need not put a name together.
#[derive(Default)]
struct Resources(HashMap<Box<str>, HashMap<Box<str>, Arc<ResourceCache>>>);

impl Resources {
    fn get(&self, group: &str, resource: &str) -> Option<&Arc<ResourceCache>> {
        self.0.get(group)?.get(resource)
    }

    fn get_or_insert(
        &mut self,
        (group, resource): (&str, &str),
        make: impl FnOnce() -> ResourceCache,
    ) -> &Arc<ResourceCache> {
        let of_group = self.0.entry(group.into()).or_default();
        of_group.entry(resource.into()).or_insert_with(|| Arc::new(make()))
    }

    fn iter(&self) -> impl Iterator<Item = &Arc<ResourceCache>> {
        self.0.values().flat_map(HashMap::values)
    }
}

/// How many commits are applied before readers are told.
const CHUNK: usize = 256;

impl Cache {
    /// Reads everything and follows the store from there on, in a task of `tasks`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn start(store: Arc<dyn Store>, tasks: &Tasks) -> Result<Arc<Self>, StoreError> {
        let cache = Arc::new(Self {
            store,
            resources: RwLock::default(),
            progress: Progress::default(),
            applying: Mutex::default(),
            loaded: AtomicU64::new(0),
            oldest_listed: AtomicU64::new(0),
            began_empty: AtomicBool::new(false),
            closed: tasks.cancelled(),
        });
        let loaded = cache.load().await?;
        cache.began_empty.store(cache.counts().iter().all(|(_, count)| *count == 0), Ordering::Release);
        let watch = cache.store.watch("/", loaded).await?;
        let following = cache.clone();
        tasks.spawn("watch-cache", async move { following.follow(watch).await });
        Ok(cache)
    }

    async fn load(&self) -> Result<Revision, StoreError> {
        let all = self.store.range(Range { prefix: "/".to_owned(), ..Range::default() }).await?;
        let mut by_resource: HashMap<Box<str>, resource::Objects> = HashMap::default();
        for entry in all.entries {
            let Some(prefix) = resource_prefix(&entry.key) else { continue };
            match stored::decode(&entry.value, entry.mod_revision) {
                Some(object) => by_resource.entry(prefix.into()).or_default().push((entry.key, object)),
                None => tracing::error!(key = &*entry.key, "stored object cannot be read"),
            }
        }
        let _turn = self.applying.lock();
        let mut resources = self.resources.write();
        self.loaded.store(all.revision, Ordering::Release);
        // Also those that have no objects any more.
        for cache in resources.iter() {
            cache.replace(by_resource.remove(cache.prefix()).unwrap_or_default(), all.revision);
        }
        for (prefix, objects) in by_resource {
            let make = || ResourceCache::new(&prefix, all.revision);
            resources.get_or_insert(names_of(&prefix), make).replace(objects, all.revision);
        }
        drop(resources);
        self.progress.advance(all.revision);
        Ok(all.revision)
    }

    async fn follow(&self, mut watch: drydock_store::Watch) {
        loop {
            let mut chunks = watch.ready_chunks(CHUNK);
            while let Some(chunk) = chunks.next().await {
                let turn = self.applying.lock();
                for batch in chunk {
                    match batch {
                        Ok(batch) => self.apply(&batch, &turn),
                        Err(StoreError::Closed) => return,
                        Err(error) => tracing::warn!(%error, "the store's watch ended"),
                    }
                }
            }
            match self.resume().await {
                Some(again) => watch = again,
                None => return,
            }
        }
    }

    /// Watches again from where the last watch ended; from the present when that is not kept any more.
    async fn resume(&self) -> Option<drydock_store::Watch> {
        loop {
            match self.store.watch("/", self.revision()).await {
                Ok(watch) => return Some(watch),
                Err(StoreError::Closed) => return None,
                Err(StoreError::Compacted { .. }) => match self.load().await {
                    Ok(_) => continue,
                    Err(StoreError::Closed) => return None,
                    Err(error) => tracing::error!(%error, "the store cannot be read"),
                },
                Err(error) => tracing::error!(%error, "the store cannot be watched"),
            }
            drydock_runtime::wall::sleep(std::time::Duration::from_millis(200)).await;
        }
    }

    /// Applies what has been committed and is at hand, unless someone is at it.
    fn catch_up(&self) {
        let Some(turn) = self.applying.try_lock() else { return };
        for batch in self.store.recent(self.revision()).into_iter().flatten() {
            self.apply(&batch, &turn);
        }
    }

    /// Applies a commit, unless it has been.
    fn apply(&self, batch: &Batch, _turn: &MutexGuard<'_, ()>) {
        let revision = batch.revision;
        if revision <= self.revision() {
            return;
        }
        match batch.events.as_slice() {
            [] => {}
            [event] => self.apply_one(event, revision),
            events => self.apply_several(events, revision),
        }
        self.progress.advance(revision);
    }

    fn apply_one(&self, event: &Event, revision: Revision) {
        if let Some(prefix) = resource_prefix(event_key(event)) {
            self.by_prefix(prefix).apply(std::iter::once(event), revision);
        }
    }

    /// Events of one resource are applied together, so that no reader sees half of a transaction.
    fn apply_several(&self, events: &[Event], revision: Revision) {
        let mut by_resource: HashMap<&str, Vec<&Event>> = HashMap::default();
        for event in events {
            if let Some(prefix) = resource_prefix(event_key(event)) {
                by_resource.entry(prefix).or_default().push(event);
            }
        }
        for (prefix, events) in by_resource {
            self.by_prefix(prefix).apply(events.into_iter(), revision);
        }
    }

    /// The revision up to which all commits are in the cache.
    pub fn revision(&self) -> Revision {
        self.progress.revision()
    }

    /// Returns once the commit of `revision` is in the cache, or the tenant closes.
    pub async fn wait_applied(&self, revision: Revision) {
        if self.revision() < revision {
            self.catch_up();
        }
        if let Some(applied) = self.progress.reached(revision) {
            tokio::select! {
                _ = applied => {}
                () = self.closed.cancelled() => {}
            }
        }
    }

    /// Whether there was no object in the store when the cache started.
    pub fn was_empty(&self) -> bool {
        self.began_empty.load(Ordering::Acquire)
    }

    /// Forgets the events so far: watches from before now answer that their revision expired, unless the store keeps
    /// it. Answers the revision.
    pub fn forget_history(&self) -> Revision {
        let resources = self.resources.write();
        let revision = self.revision();
        self.loaded.store(revision, Ordering::Release);
        for cache in resources.iter() {
            cache.forget_history(revision);
        }
        revision
    }

    /// Lists of revisions before this one have expired. Clients count on it that tokens to go on from do.
    pub(crate) fn expire_lists(&self, before: Revision) {
        self.oldest_listed.fetch_max(before, Ordering::AcqRel);
    }

    /// Forgets events that are too old of resources where nothing happens.
    pub(crate) fn trim(&self) {
        let resources: Vec<Arc<ResourceCache>> = self.resources.read().iter().cloned().collect();
        for cache in resources {
            cache.trim();
        }
    }

    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Fires when the tenant closes; watches end then.
    pub fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    /// The cache of the resource whose keys start with `prefix`, as [`key_prefix`] makes it.
    pub fn by_prefix(&self, prefix: &str) -> Arc<ResourceCache> {
        let (group, resource) = names_of(prefix);
        self.named(group, resource)
    }

    /// The cache of a resource; `group` is "" for the core group.
    fn of(&self, group: &str, resource: &str) -> Arc<ResourceCache> {
        self.named(group_in_keys(group), resource)
    }

    fn named(&self, group: &str, resource: &str) -> Arc<ResourceCache> {
        if let Some(found) = self.resources.read().get(group, resource) {
            return found.clone();
        }
        let prefix = key_prefix(group, resource);
        let make = || ResourceCache::new(&prefix, self.loaded.load(Ordering::Acquire));
        self.resources.write().get_or_insert((group, resource), make).clone()
    }

    /// How many objects each resource has, by key prefix.
    pub fn counts(&self) -> Vec<(String, usize)> {
        self.resources.read().iter().map(|cache| (cache.prefix().to_owned(), cache.len())).collect()
    }

    /// What the resource's objects were at `revision`, from the window or the store's history.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] and [`StoreError::FutureRevision`].
    pub async fn snapshot_at(
        &self,
        resource: &ResourceCache,
        revision: Revision,
    ) -> Result<Snapshot, StoreError> {
        let oldest = self.oldest_listed.load(Ordering::Acquire);
        if revision < oldest {
            return Err(StoreError::Compacted { requested: revision, oldest });
        }
        if let Some(snapshot) = resource.snapshot_at(revision) {
            return Ok(snapshot);
        }
        let range =
            Range { prefix: resource.prefix().to_owned(), revision: Some(revision), ..Range::default() };
        let entries = self.store.range(range).await?.entries;
        let objects = entries.into_iter().filter_map(|entry| {
            let object = stored::decode(&entry.value, entry.mod_revision)?;
            Some((entry.key, object))
        });
        Ok(Snapshot { objects: objects.collect(), revision })
    }
}

impl crate::admission::Reader for Cache {
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Object>> {
        let cache = self.of(group, resource);
        cache.get(&object_key(cache.prefix(), namespace, name))
    }

    fn list(&self, group: &str, resource: &str, namespace: &str) -> Vec<Arc<Object>> {
        let cache = self.of(group, resource);
        if cache.is_empty() {
            return Vec::new();
        }
        let range = namespace_prefix(cache.prefix(), namespace);
        cache.snapshot().under(&range).map(|(_, object)| object.clone()).collect()
    }

    fn version(&self, group: &str, resource: &str) -> u64 {
        self.of(group, resource).revision()
    }
}

/// What the keys of a resource's objects start with: `/core/pods/`, `/apps/deployments/`.
pub fn key_prefix(group: &str, resource: &str) -> String {
    ["/", group_in_keys(group), "/", resource, "/"].concat()
}

fn group_in_keys(group: &str) -> &str {
    if group.is_empty() { "core" } else { group }
}

/// Group and resource in what [`key_prefix`] makes.
fn names_of(prefix: &str) -> (&str, &str) {
    let names = prefix.trim_start_matches('/').trim_end_matches('/');
    names.split_once('/').unwrap_or((names, ""))
}

/// An object's key; `namespace` is "" for cluster-scoped resources.
pub fn object_key(prefix: &str, namespace: &str, name: &str) -> String {
    if namespace.is_empty() { [prefix, name].concat() } else { [prefix, namespace, "/", name].concat() }
}

/// What the keys of a namespace's objects start with.
pub fn namespace_prefix(prefix: &str, namespace: &str) -> String {
    if namespace.is_empty() { prefix.to_owned() } else { [prefix, namespace, "/"].concat() }
}

fn resource_prefix(key: &str) -> Option<&str> {
    let mut slashes = key.match_indices('/').map(|(at, _)| at);
    let third = slashes.nth(2)?;
    Some(&key[..=third])
}

fn event_key(event: &Event) -> &Arc<str> {
    match event {
        Event::Put { entry, .. } => &entry.key,
        Event::Delete { previous } => &previous.key,
    }
}

/// About what the object takes that an event is about.
fn event_size(event: &Event) -> usize {
    match event {
        Event::Put { entry, .. } => entry.value.size(),
        Event::Delete { previous } => previous.value.size(),
    }
}
