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

use super::{event_key, stored};

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
    /// Every event after this revision is in `events`.
    complete_since: Revision,
}

struct Recorded {
    change: Arc<Change>,
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

/// How many events are kept in any case, and how many at most. Between the two, age decides.
const KEEP_AT_LEAST: usize = 64;
const KEEP_AT_MOST: usize = 16_384;
const KEEP_FOR: Duration = Duration::from_secs(75);

impl ResourceCache {
    /// An empty cache, complete as of `revision`.
    pub(crate) fn new(prefix: &str, revision: Revision) -> Self {
        let state = State {
            objects: OrdMap::new(),
            revision,
            events: VecDeque::new(),
            first_event: 0,
            complete_since: revision,
        };
        Self { prefix: prefix.into(), state: RwLock::new(state), next_event: watch::Sender::new(0) }
    }

    pub(crate) fn replace(&self, objects: Objects, revision: Revision) {
        let mut state = self.state.write();
        state.objects = objects.into_iter().collect();
        state.revision = revision;
        state.complete_since = revision;
    }

    pub(crate) fn apply<'a>(&self, events: impl Iterator<Item = &'a Event>, revision: Revision) {
        let mut state = self.state.write();
        for event in events {
            if let Some(change) = state.change(event, revision) {
                state.record(Arc::new(change));
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
        state.complete_since = state.complete_since.max(revision);
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

    fn record(&mut self, change: Arc<Change>) {
        self.events.push_back(Recorded { change, age: Stopwatch::start() });
    }

    fn trim(&mut self) {
        while let Some(oldest) = self.events.front() {
            let len = self.events.len();
            let expired = len > KEEP_AT_LEAST && oldest.age.elapsed() > KEEP_FOR;
            if len <= KEEP_AT_MOST && !expired {
                break;
            }
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
