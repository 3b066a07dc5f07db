//! A watch: a position in a resource's events, and which of them matter.

use std::sync::Arc;
use std::time::Duration;

use drydock_machinery::{Object, Status};
use drydock_runtime::{CancellationToken, Stopwatch, wall};
use drydock_store::{Event, Revision, StoreError, Watch};
use futures::StreamExt;
use tokio::sync::watch;

use super::{Cache, Change, ChangeKind, ResourceCache, event_key, stored};

/// Which objects a watcher sees.
pub trait Filter: Send + Sync + 'static {
    fn matches(&self, key: &str, object: &Object) -> bool;
}

/// Where a watch starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatcherStart {
    /// With the present objects as Added, then what follows.
    Now,
    /// With the present objects, then a bookmark that ends them, then what follows.
    NowWithEnd,
    /// With what follows this revision.
    After(Revision),
}

/// Objects and what became of them, in order.
pub type Changes = Vec<(ChangeKind, Arc<Object>)>;

/// What a watcher has to say.
#[derive(Debug)]
pub enum Step {
    /// At least one change, in order.
    Changes(Changes),
    Bookmark {
        revision: Revision,
        initial_events_end: bool,
    },
    /// The last step.
    Error(Status),
}

/// One watch. Dropping it ends it.
pub struct Watcher {
    cache: Arc<Cache>,
    resource: Arc<ResourceCache>,
    filter: Box<dyn Filter>,
    source: Source,
    initial: Option<Initial>,
    bookmarks: bool,
    since_bookmark: Stopwatch,
    /// The one before the end.
    last_bookmark_sent: bool,
    running: Stopwatch,
    timeout: Duration,
    closed: CancellationToken,
    /// Of the resource, if it may go.
    outdated: Option<CancellationToken>,
    over: bool,
}

struct Initial {
    objects: std::vec::IntoIter<Arc<Object>>,
    revision: Revision,
    announce_end: bool,
}

enum Source {
    /// The cache's window.
    Window { position: u64, next_event: watch::Receiver<u64> },
    /// The store's history, for what is older than the window: commits of all resources, up to where the window begins.
    History { watch: Watch, seen: Revision },
}

/// How many changes a step carries at most.
const CHUNK: usize = 128;
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// How long before a watch's end its last bookmark is sent.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);

impl Watcher {
    /// Ends after `timeout` of wall time.
    ///
    /// # Errors
    /// 410 when the revision to start from is no longer kept.
    pub async fn start(
        cache: &Arc<Cache>,
        resource: Arc<ResourceCache>,
        filter: Box<dyn Filter>,
        start: WatcherStart,
        timeout: Duration,
    ) -> Result<Self, Status> {
        let next_event = resource.subscribe();
        let window = |position| Source::Window { position, next_event };
        let (source, initial) = match start {
            WatcherStart::Now | WatcherStart::NowWithEnd => {
                let applied = cache.revision();
                let (snapshot, position) = resource.snapshot_and_position();
                let revision = applied.max(snapshot.revision);
                let objects: Vec<Arc<Object>> = snapshot
                    .objects
                    .iter()
                    .filter(|(key, object)| filter.matches(key, object))
                    .map(|(_, object)| object.clone())
                    .collect();
                let announce_end = start == WatcherStart::NowWithEnd;
                let initial = Initial { objects: objects.into_iter(), revision, announce_end };
                (window(position), Some(initial))
            }
            WatcherStart::After(revision) => match resource.position_after(revision) {
                Some(position) => (window(position), None),
                None => (history(cache, revision).await?, None),
            },
        };
        Ok(Self {
            cache: cache.clone(),
            resource,
            filter,
            source,
            initial,
            bookmarks: false,
            since_bookmark: Stopwatch::start(),
            last_bookmark_sent: timeout < LAST_BOOKMARK,
            running: Stopwatch::start(),
            timeout,
            closed: cache.closed().clone(),
            outdated: None,
            over: false,
        })
    }

    /// Sends a bookmark every minute and shortly before the end, if asked to.
    #[must_use]
    pub fn with_bookmarks(mut self, bookmarks: bool) -> Self {
        self.bookmarks = bookmarks;
        self
    }

    /// Ends when `token` is cancelled, after the events until then.
    #[must_use]
    pub fn until(mut self, token: CancellationToken) -> Self {
        self.outdated = Some(token);
        self
    }

    /// What comes next; None when the watch is over.
    pub async fn next(&mut self) -> Option<Step> {
        if self.over {
            return None;
        }
        if let Some(step) = self.next_initial() {
            return Some(step);
        }
        let step = self.next_event().await;
        self.over = !matches!(step, Some(Step::Changes(_) | Step::Bookmark { .. }));
        step
    }

    fn next_initial(&mut self) -> Option<Step> {
        let initial = self.initial.as_mut()?;
        let chunk: Vec<_> =
            initial.objects.by_ref().take(CHUNK).map(|object| (ChangeKind::Added, object)).collect();
        if !chunk.is_empty() {
            return Some(Step::Changes(chunk));
        }
        let Initial { revision, announce_end, .. } = self.initial.take()?;
        announce_end.then_some(Step::Bookmark { revision, initial_events_end: true })
    }

    async fn next_event(&mut self) -> Option<Step> {
        loop {
            let left = self.timeout.checked_sub(self.running.elapsed())?;
            self.join_window().await;
            // Read before the events are: a bookmark may only name what was looked at.
            let applied = self.cache.revision();
            let ready = match self.take_ready() {
                Ok(ready) => ready,
                Err(status) => return Some(Step::Error(status)),
            };
            match ready {
                Some(changes) if changes.is_empty() => continue,
                Some(changes) => return Some(Step::Changes(changes)),
                None => {}
            }
            let until_bookmark = self.until_bookmark(left);
            if until_bookmark == Some(Duration::ZERO) {
                self.since_bookmark = Stopwatch::start();
                self.last_bookmark_sent |= left <= LAST_BOOKMARK;
                let revision = match &self.source {
                    Source::Window { .. } => applied,
                    Source::History { seen, .. } => *seen,
                };
                return Some(Step::Bookmark { revision, initial_events_end: false });
            }
            match self.wait(until_bookmark.unwrap_or(left).min(left)).await {
                Waited::Events => {}
                Waited::Changes(changes) if changes.is_empty() => {}
                Waited::Changes(changes) => return Some(Step::Changes(changes)),
                Waited::Failed(status) => return Some(Step::Error(status)),
                Waited::Over => return None,
            }
        }
    }

    /// How long until the next bookmark is due: a minute after the last, and once shortly before the end, so that whoever
    /// watches again begins near the present.
    fn until_bookmark(&self, left: Duration) -> Option<Duration> {
        if !self.bookmarks {
            return None;
        }
        let next = BOOKMARK_EVERY.saturating_sub(self.since_bookmark.elapsed());
        if self.last_bookmark_sent {
            return Some(next);
        }
        Some(next.min(left.saturating_sub(LAST_BOOKMARK)))
    }

    /// A watch on the history goes on in the window as soon as that reaches back to where the watch is.
    async fn join_window(&mut self) {
        let Source::History { seen, .. } = &self.source else { return };
        let seen = *seen;
        if self.resource.position_after(seen).is_none() {
            return;
        }
        // What the window is yet to hold would come twice.
        self.cache.wait_applied(seen).await;
        if let Some(position) = self.resource.position_after(seen) {
            self.source = Source::Window { position, next_event: self.resource.subscribe() };
        }
    }

    /// The filtered events of the window that are there already; None when there are none.
    fn take_ready(&mut self) -> Result<Option<Changes>, Status> {
        let Source::Window { position, next_event } = &mut self.source else { return Ok(None) };
        next_event.borrow_and_update();
        let Some(events) = self.resource.events_from(*position, CHUNK) else {
            return Err(Status::expired("too old resource version: the watch fell behind"));
        };
        if events.is_empty() {
            return Ok(None);
        }
        *position += events.len() as u64;
        let filter = &*self.filter;
        Ok(Some(events.iter().filter_map(|change| seen(filter, change)).collect()))
    }

    async fn wait(&mut self, wait_for: Duration) -> Waited {
        let filter = &*self.filter;
        let prefix = self.resource.prefix();
        let source = &mut self.source;
        let event = async {
            match source {
                Source::Window { next_event, .. } => match next_event.changed().await {
                    Ok(()) => Waited::Events,
                    Err(_) => Waited::Over,
                },
                Source::History { watch, seen: until } => match watch.next().await {
                    Some(Ok(batch)) => {
                        *until = batch.revision;
                        let own = batch.events.iter().filter(|event| event_key(event).starts_with(prefix));
                        let changes = own.filter_map(|event| historical(event, batch.revision));
                        Waited::Changes(changes.filter_map(|change| seen(filter, &change)).collect())
                    }
                    Some(Err(error)) => Waited::Failed(too_old(&error)),
                    None => Waited::Over,
                },
            }
        };
        let outdated = async {
            match &self.outdated {
                Some(token) => token.cancelled().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            waited = event => waited,
            () = outdated => Waited::Over,
            () = self.closed.cancelled() => Waited::Over,
            () = wall::sleep(wait_for) => Waited::Events,
        }
    }
}

enum Waited {
    Events,
    Changes(Changes),
    Failed(Status),
    Over,
}

/// What a watcher with `filter` sees of a change: an object that starts or stops matching comes and goes.
fn seen(filter: &dyn Filter, change: &Change) -> Option<(ChangeKind, Arc<Object>)> {
    let now = change.kind != ChangeKind::Deleted && filter.matches(&change.key, &change.object);
    let before = change.previous.as_ref().is_some_and(|previous| filter.matches(&change.key, previous));
    let object = || change.object.clone();
    match (before, now) {
        (false, true) => Some((ChangeKind::Added, object())),
        (true, true) => Some((ChangeKind::Modified, object())),
        (true, false) if change.kind == ChangeKind::Deleted => Some((ChangeKind::Deleted, object())),
        // The state that no longer matches is not for this watcher: it gets the last one that did.
        (true, false) => {
            let previous = change.previous.as_ref()?;
            let gone = Object::new(previous.value().clone(), change.revision);
            Some((ChangeKind::Deleted, Arc::new(gone)))
        }
        (false, false) => None,
    }
}

async fn history(cache: &Cache, seen: Revision) -> Result<Source, Status> {
    let watch = cache.store().watch("/", seen).await.map_err(|error| too_old(&error))?;
    Ok(Source::History { watch, seen })
}

fn historical(event: &Event, revision: Revision) -> Option<Change> {
    let key = event_key(event).clone();
    let read = |entry: &drydock_store::Entry| stored::decode(&entry.value, entry.mod_revision);
    match event {
        Event::Put { entry, previous } => {
            let previous = previous.as_ref().and_then(read);
            let kind = if previous.is_some() { ChangeKind::Modified } else { ChangeKind::Added };
            Some(Change { kind, key, object: read(entry)?, previous, revision })
        }
        Event::Delete { previous } => {
            let previous = read(previous)?;
            let object = Arc::new(Object::new(previous.value().clone(), revision));
            Some(Change { kind: ChangeKind::Deleted, key, object, previous: Some(previous), revision })
        }
    }
}

pub(crate) fn too_old(error: &StoreError) -> Status {
    match error {
        StoreError::Compacted { requested, oldest } => {
            Status::expired(format!("too old resource version: {requested} ({oldest})"))
        }
        error => Status::internal(error),
    }
}
