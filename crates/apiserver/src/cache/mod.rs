//! The watch cache: every object of the tenant, in memory, following the store.
//!
//! One task applies the store's commits in order; it is the only writer. Readers clone a persistent map and go on
//! without a lock. A writer of the API waits in [`Cache::wait_applied`] until its own commit was applied, so that what
//! was acknowledged is read (read-your-writes), and reads need not ask the store.
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

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use drydock_machinery::Object;
use drydock_runtime::{CancellationToken, Tasks};
use drydock_store::{Batch, Event, Range, Revision, Store, StoreError};
use futures::StreamExt;
use parking_lot::RwLock;

use progress::Progress;
pub use resource::{Change, ChangeKind, ResourceCache, Snapshot};
pub(crate) use stored::{Stored, decode};
pub use watcher::{Changes, Filter, Step, Watcher, WatcherStart};

/// All resources' caches of one tenant.
pub struct Cache {
    store: Arc<dyn Store>,
    resources: RwLock<HashMap<Box<str>, Arc<ResourceCache>, foldhash::fast::RandomState>>,
    progress: Progress,
    /// The revision that was read at the start: no resource has events in the window from before it.
    loaded: AtomicU64,
    /// There was no object at the start.
    began_empty: AtomicBool,
    closed: CancellationToken,
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
            loaded: AtomicU64::new(0),
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
        let mut by_resource: HashMap<Box<str>, resource::Objects> = HashMap::new();
        for entry in all.entries {
            let Some(prefix) = resource_prefix(&entry.key) else { continue };
            match stored::decode(&entry.value, entry.mod_revision) {
                Some(object) => by_resource.entry(prefix.into()).or_default().push((entry.key, object)),
                None => tracing::error!(key = &*entry.key, "stored object cannot be read"),
            }
        }
        let mut resources = self.resources.write();
        self.loaded.store(all.revision, Ordering::Release);
        // Also those that have no objects any more.
        for (prefix, cache) in resources.iter() {
            cache.replace(by_resource.remove(prefix).unwrap_or_default(), all.revision);
        }
        for (prefix, objects) in by_resource {
            let cache = ResourceCache::new(&prefix, all.revision);
            cache.replace(objects, all.revision);
            resources.insert(prefix, Arc::new(cache));
        }
        drop(resources);
        self.progress.advance(all.revision);
        Ok(all.revision)
    }

    async fn follow(&self, mut watch: drydock_store::Watch) {
        loop {
            let mut chunks = watch.ready_chunks(CHUNK);
            while let Some(chunk) = chunks.next().await {
                for batch in chunk {
                    match batch {
                        Ok(batch) => self.apply(&batch),
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

    fn apply(&self, batch: &Batch) {
        let revision = batch.revision;
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
        let mut by_resource: HashMap<&str, Vec<&Event>> = HashMap::new();
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
        for cache in resources.values() {
            cache.forget_history(revision);
        }
        revision
    }

    /// Forgets events that are too old of resources where nothing happens.
    pub(crate) fn trim(&self) {
        let resources: Vec<Arc<ResourceCache>> = self.resources.read().values().cloned().collect();
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
        if let Some(found) = self.resources.read().get(prefix) {
            return found.clone();
        }
        let mut resources = self.resources.write();
        resources
            .entry(prefix.into())
            .or_insert_with(|| Arc::new(ResourceCache::new(prefix, self.loaded.load(Ordering::Acquire))))
            .clone()
    }

    /// How many objects each resource has, by key prefix.
    pub fn counts(&self) -> Vec<(String, usize)> {
        self.resources.read().iter().map(|(prefix, cache)| (prefix.to_string(), cache.len())).collect()
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
        let prefix = key_prefix(group, resource);
        self.by_prefix(&prefix).get(&object_key(&prefix, namespace, name))
    }

    fn list(&self, group: &str, resource: &str, namespace: &str) -> Vec<Arc<Object>> {
        let cache = self.by_prefix(&key_prefix(group, resource));
        let range = namespace_prefix(cache.prefix(), namespace);
        cache.snapshot().under(&range).map(|(_, object)| object.clone()).collect()
    }

    fn version(&self, group: &str, resource: &str) -> u64 {
        self.by_prefix(&key_prefix(group, resource)).revision()
    }
}

/// What the keys of a resource's objects start with: `/core/pods/`, `/apps/deployments/`.
pub fn key_prefix(group: &str, resource: &str) -> String {
    let group = if group.is_empty() { "core" } else { group };
    ["/", group, "/", resource, "/"].concat()
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
