//! One resource's objects and its recent events.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use drydock_machinery::Object;
use drydock_runtime::Stopwatch;
use drydock_store::{Event, Revision};
use imbl::OrdMap;
use parking_lot::RwLock;
use tokio::sync::watch;

use super::{event_key, event_size, stored};

/// The objects of one resource, by store key, and the events that led to them.
pub struct ResourceCache {
    prefix: Box<str>,
    state: RwLock<State>,
    /// The number of the event that will come next.
    next_event: watch::Sender<u64>,
}

struct State {
    objects: OrdMap<Arc<str>, Arc<Object>>,
    /// The revision of the latest event, or of the load.
    revision: Revision,
    events: VecDeque<Recorded>,
    /// The number of the first element of `events`.
    first_event: u64,
    /// About how much memory `events` keep.
    bytes: usize,
    /// Every event after this revision is in `events`.
    complete_since: Revision,
}

struct Recorded {
    change: Arc<Change>,
    /// Of the object as JSON.
    size: usize,
    age: Stopwatch,
}

/// Objects by key.
pub(super) type Objects = Vec<(Arc<str>, Arc<Object>)>;

/// One object's change, shared by all watchers.
#[derive(Debug)]
pub struct Change {
    pub kind: ChangeKind,
    pub key: Arc<str>,
    /// After the change; of a deletion the last state with the deletion's resourceVersion.
    pub object: Arc<Object>,
    pub previous: Option<Arc<Object>>,
    pub revision: Revision,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// A resource's objects at one revision. Cheap to make and to keep.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub objects: OrdMap<Arc<str>, Arc<Object>>,
    pub revision: Revision,
}

/// How many events are kept in any case, and how many at most. Between the two, age decides. Of large objects fewer are
/// kept than of small ones.
const KEEP_AT_LEAST: usize = 64;
const KEEP_AT_MOST: usize = 16_384;
const MOST_BYTES: usize = 64 * 1024 * 1024;
const KEEP_FOR: Duration = Duration::from_secs(75);

impl ResourceCache {
    /// An empty cache, complete as of `revision`.
    pub(crate) fn new(prefix: &str, revision: Revision) -> Self {
        let state = State {
            objects: OrdMap::new(),
            revision,
            events: VecDeque::new(),
            first_event: 0,
            bytes: 0,
            complete_since: revision,
        };
        Self { prefix: prefix.into(), state: RwLock::new(state), next_event: watch::Sender::new(0) }
    }

    /// Begins anew at `revision`. What happened before is not known, so that all who watch must begin anew, too.
    pub(crate) fn replace(&self, objects: Objects, revision: Revision) {
        let mut state = self.state.write();
        state.objects = objects.into_iter().collect();
        state.revision = revision;
        state.complete_since = revision;
        // A number is left out: no watch is at the next event.
        state.first_event += state.events.len() as u64 + 1;
        state.events.clear();
        state.bytes = 0;
        let next = state.first_event;
        drop(state);
        self.next_event.send_replace(next);
    }

    pub(crate) fn apply<'a>(&self, events: impl Iterator<Item = &'a Event>, revision: Revision) {
        let mut state = self.state.write();
        for event in events {
            if let Some(change) = state.change(event, revision) {
                state.record(Arc::new(change), event_size(event));
            }
        }
        state.revision = revision;
        state.trim();
        let next = state.first_event + state.events.len() as u64;
        drop(state);
        self.next_event.send_replace(next);
    }

    pub(crate) fn forget_history(&self, revision: Revision) {
        let mut state = self.state.write();
        state.first_event += state.events.len() as u64;
        state.events.clear();
        state.bytes = 0;
        // Events that are not said to be applied yet are forgotten, too.
        state.complete_since = state.complete_since.max(revision).max(state.revision);
    }

    /// Forgets events that are too old, which otherwise happens when there is a new one.
    pub(crate) fn trim(&self) {
        self.state.write().trim();
    }

    /// The revision of the latest event.
    pub fn revision(&self) -> Revision {
        self.state.read().revision
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    pub fn len(&self) -> usize {
        self.state.read().objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, key: &str) -> Option<Arc<Object>> {
        self.state.read().objects.get(key).cloned()
    }

    /// The objects now; `revision` is that of the latest event among them.
    pub fn snapshot(&self) -> Snapshot {
        let state = self.state.read();
        Snapshot { objects: state.objects.clone(), revision: state.revision }
    }

    /// The objects at `revision`, found by undoing events; None when the window does not reach back that far.
    pub(crate) fn snapshot_at(&self, revision: Revision) -> Option<Snapshot> {
        let state = self.state.read();
        if revision < state.complete_since {
            return None;
        }
        let mut objects = state.objects.clone();
        let newer: Vec<Arc<Change>> = state
            .events
            .iter()
            .rev()
            .take_while(|recorded| recorded.change.revision > revision)
            .map(|recorded| recorded.change.clone())
            .collect();
        drop(state);
        for change in newer {
            match &change.previous {
                Some(previous) => objects.insert(change.key.clone(), previous.clone()),
                None => objects.remove(&change.key),
            };
        }
        Some(Snapshot { objects, revision })
    }

    /// The objects now, and the number of the first event after them.
    pub(crate) fn snapshot_and_position(&self) -> (Snapshot, u64) {
        let state = self.state.read();
        let snapshot = Snapshot { objects: state.objects.clone(), revision: state.revision };
        (snapshot, state.first_event + state.events.len() as u64)
    }

    /// The number of the first event after `revision`; None when the window does not reach back that far.
    pub(crate) fn position_after(&self, revision: Revision) -> Option<u64> {
        let state = self.state.read();
        if revision < state.complete_since {
            return None;
        }
        let at = state.events.partition_point(|recorded| recorded.change.revision <= revision);
        Some(state.first_event + at as u64)
    }

    /// Up to `limit` events from number `position` on; None when the window has moved past it.
    pub(crate) fn events_from(&self, position: u64, limit: usize) -> Option<Vec<Arc<Change>>> {
        let state = self.state.read();
        let skip = usize::try_from(position.checked_sub(state.first_event)?).ok()?;
        let events = state.events.range(skip.min(state.events.len())..);
        Some(events.take(limit).map(|recorded| recorded.change.clone()).collect())
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.next_event.subscribe()
    }
}

impl State {
    fn change(&mut self, event: &Event, revision: Revision) -> Option<Change> {
        let key = event_key(event).clone();
        match event {
            Event::Put { entry, .. } => {
                let Some(object) = stored::decode(&entry.value, revision) else {
                    tracing::error!(key = &*key, "stored object cannot be read");
                    return None;
                };
                let previous = self.objects.insert(key.clone(), object.clone());
                let kind = if previous.is_some() { ChangeKind::Modified } else { ChangeKind::Added };
                Some(Change { kind, key, object, previous, revision })
            }
            Event::Delete { .. } => {
                let previous = self.objects.remove(&key)?;
                let object = Arc::new(Object::new(previous.value().clone(), revision));
                Some(Change { kind: ChangeKind::Deleted, key, object, previous: Some(previous), revision })
            }
        }
    }

    fn record(&mut self, change: Arc<Change>, size: usize) {
        self.bytes += size;
        self.events.push_back(Recorded { change, size, age: Stopwatch::start() });
    }

    fn trim(&mut self) {
        while let Some(oldest) = self.events.front() {
            let len = self.events.len();
            let expired = len > KEEP_AT_LEAST && oldest.age.elapsed() > KEEP_FOR;
            if len <= KEEP_AT_MOST && self.bytes <= MOST_BYTES && !expired {
                break;
            }
            self.bytes -= oldest.size;
            self.complete_since = oldest.change.revision;
            self.events.pop_front();
            self.first_event += 1;
        }
    }
}

impl Snapshot {
    /// The objects whose keys start with `prefix`, in key order.
    pub fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a Arc<str>, &'a Arc<Object>)> {
        self.after(prefix, "")
    }

    /// The objects whose keys start with `prefix` and come after `after` ("" for all), in key order.
    pub fn after<'a>(
        &'a self,
        prefix: &'a str,
        after: &'a str,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a Arc<Object>)> {
        let start = if after > prefix { Bound::Excluded(after) } else { Bound::Included(prefix) };
        self.objects
            .range::<_, str>((start, Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
    }
}

#[cfg(test)]
mod tests {
    use drydock_machinery::{Value, value};
    use drydock_store::{Entry, Payload};

    use super::*;

    fn put(revision: Revision, text: &str) -> Event {
        let object = value!({"metadata": {"name": "a"}, "data": {"x": text}});
        let entry = Entry {
            key: "/core/configmaps/a".into(),
            value: Payload::new(Value::to_json(&object)),
            create_revision: 1,
            mod_revision: revision,
        };
        Event::Put { entry, previous: None }
    }

    #[test]
    fn the_window_of_large_objects_is_short() {
        let cache = ResourceCache::new("/core/configmaps/", 0);
        let mut state = cache.state.write();
        for revision in 1..=20 {
            let change = state.change(&put(revision, "x"), revision).unwrap();
            state.record(Arc::new(change), MOST_BYTES / 8);
            state.trim();
        }
        assert_eq!((state.events.len(), state.bytes, state.complete_since), (8, MOST_BYTES, 12));
    }

    #[test]
    fn forgotten_history_is_not_said_to_be_there() {
        let cache = ResourceCache::new("/core/configmaps/", 0);
        cache.apply(std::iter::once(&put(5, "x")), 5);
        cache.forget_history(4);
        assert_eq!(cache.position_after(4), None);
        assert_eq!(cache.position_after(5), Some(1));
    }

    #[test]
    fn who_watches_what_is_replaced_begins_anew() {
        let cache = ResourceCache::new("/core/configmaps/", 0);
        cache.apply(std::iter::once(&put(5, "x")), 5);
        let (_, position) = cache.snapshot_and_position();
        let mut told = cache.subscribe();
        told.borrow_and_update();
        cache.replace(Vec::new(), 9);
        assert!(told.has_changed().unwrap());
        assert!(cache.events_from(position, 1).is_none());
        assert!(cache.is_empty() && cache.position_after(8).is_none());
        let (_, position) = cache.snapshot_and_position();
        assert!(cache.events_from(position, 1).is_some_and(|events| events.is_empty()));
    }
}
