//! One SQLite file per tenant: a log of versions, in WAL mode, synced on every commit.
//!
//! Latest entries and recent history are in memory (see `crate::state`); the file is what survives. All commits that
//! wait while the disk syncs go into the next transaction together, and where several did, a moment is given to those
//! that are about to come. A few [`Writers`] threads serve all tenants: a tenant's connection is used by one
//! thread at a time, so that its commits reach the disk in revision order.
//!
//! Volatile writes are published without touching the disk. So that their revisions are not given out again after a
//! crash, a ceiling is written ahead of them; an unclean start goes on from the ceiling.
//!
//! The file is opened exclusively: two processes cannot serve one tenant. A file that is not ours, is damaged, or was
//! written by a newer version is refused before SQLite could touch it.

mod file;
mod writers;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::{oneshot, watch};

use self::file::{LogFile, Row};
pub use self::writers::Writers;
use crate::follow::{Follow, Source};
use crate::state::{Staged, State};
use crate::{Batch, Durability, Event, Range, RangeResult, Revision, Stats, Store, StoreError, Txn, Watch};

/// A store in a SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

/// Batches kept in memory for watches; older ones are read from the file.
const KEEP: usize = 256;

/// How long a group of commits waits to become as large as the one before. A sync costs as much as several commits, and
/// clients that wrote together are likely to do so again.
const GATHER: Duration = Duration::from_micros(300);

/// How far ahead of volatile revisions the ceiling is written.
const CEILING_STEP: Revision = 4096;

#[derive(Debug)]
struct Inner {
    shared: Mutex<Shared>,
    /// Locked by the writer thread at work; None once closed.
    file: Mutex<Option<LogFile>>,
    published: watch::Sender<Signal>,
    /// As many jobs are queued as a writer thread wants to find.
    gathered: Condvar,
    writers: Writers,
}

#[derive(Debug, Default)]
struct Signal {
    revision: Revision,
    closed: bool,
}

#[derive(Debug)]
struct Shared {
    state: State,
    queue: VecDeque<Job>,
    /// How many commits went into the last group.
    last_group: usize,
    /// How many jobs a writer thread waits for; 0 when none waits.
    wanted: usize,
    /// The tenant waits for, or is at, a writer thread.
    scheduled: bool,
    closed: bool,
    /// Volatile revisions up to here may be given out without writing to disk.
    ceiling: Revision,
    /// Compacted by this process up to here: a kill may have cut an earlier compaction short.
    swept: Revision,
    /// Volatile versions not on disk yet: the newest per key.
    dirty: BTreeMap<Arc<str>, Row>,
}

enum Job {
    Commit {
        staged: Staged,
        durability: Durability,
        ack: oneshot::Sender<Result<Revision, StoreError>>,
    },
    /// Anything else that needs the file.
    File(FileJob),
    Close(oneshot::Sender<Result<(), StoreError>>),
}

type FileJob = Box<dyn FnOnce(&Inner, &mut LogFile) + Send>;

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Commit { .. } => "Commit",
            Self::File(_) => "File",
            Self::Close(_) => "Close",
        })
    }
}

impl SqliteStore {
    /// Opens the file at `path`, or makes it. Blocks for the time it takes to read all latest entries.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when the file is not a Drydock store, is damaged, in use by another process, or was
    /// written by a newer version. It is left as it is.
    pub fn open(path: &Path, writers: &Writers) -> Result<Self, StoreError> {
        let file = LogFile::open(path)?;
        let loaded = file.load().map_err(|error| file.unusable(&error))?;
        let state = State::restored(loaded.revision, loaded.compacted, loaded.entries);
        let shared = Shared {
            state,
            queue: VecDeque::new(),
            last_group: 0,
            wanted: 0,
            scheduled: false,
            closed: false,
            ceiling: loaded.ceiling,
            swept: 0,
            dirty: BTreeMap::new(),
        };
        let signal = Signal { revision: loaded.revision, closed: false };
        let inner = Inner {
            shared: Mutex::new(shared),
            file: Mutex::new(Some(file)),
            published: watch::Sender::new(signal),
            gathered: Condvar::new(),
            writers: writers.clone(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let shared = self.inner.shared.lock();
        if shared.closed {
            return Err(StoreError::Closed);
        }
        read(&shared.state)
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn commit(&self, txn: Txn) -> Result<Revision, StoreError> {
        let durability = txn.durability;
        let (ack, acked) = oneshot::channel();
        {
            let mut shared = self.inner.shared.lock();
            if shared.closed {
                return Err(StoreError::Closed);
            }
            let staged = shared.state.stage(txn)?;
            let revision = staged.batch.revision;
            let idle = !shared.scheduled && revision <= shared.ceiling;
            if durability == Durability::Volatile && idle {
                shared.remember_dirty(rows(&staged));
                shared.state.publish(&staged, KEEP);
                drop(shared);
                self.inner.signal(revision);
                return Ok(revision);
            }
            self.inner.enqueue(&mut shared, Job::Commit { staged, durability, ack });
        }
        acked.await.unwrap_or(Err(StoreError::Closed))
    }

    async fn range(&self, range: Range) -> Result<RangeResult, StoreError> {
        let Some(revision) = range.revision else { return self.read(|state| Ok(state.range(&range))) };
        let in_memory = self.read(|state| {
            state.check_readable(revision)?;
            Ok(state.range_at(&range, revision))
        })?;
        if let Some(result) = in_memory {
            return Ok(result);
        }
        self.inner
            .with_file(move |inner, file| {
                let latest = inner.shared.lock().state.published();
                let (entries, more) = file.range_at(&range, revision).map_err(file::io)?;
                Ok(RangeResult { entries, more, revision: latest })
            })
            .await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, StoreError> {
        self.read(|state| state.check_kept(after))?;
        Ok(Follow::new(self.inner.clone(), prefix, after).into_stream())
    }

    fn recent(&self, after: Revision) -> Option<Vec<Arc<Batch>>> {
        self.inner.shared.lock().state.batches_after(after, KEEP)
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.read(|state| Ok(state.published()))
    }

    async fn compacted_revision(&self) -> Result<Revision, StoreError> {
        self.read(|state| Ok(state.compacted()))
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        let after = {
            let mut shared = self.inner.shared.lock();
            if shared.closed {
                return Err(StoreError::Closed);
            }
            shared.state.compact(revision)?;
            std::mem::replace(&mut shared.swept, revision)
        };
        self.inner.with_file(move |_, file| file.set_compacted(revision).map_err(file::io)).await?;
        // In pieces, so that commits get their turn in between.
        let some = move |_: &Inner, file: &mut LogFile| file.compact_some(after, revision).map_err(file::io);
        while self.inner.with_file(some).await? {}
        Ok(())
    }

    async fn expire(&self, now: i64) -> Result<usize, StoreError> {
        let Some(txn) = self.read(|state| Ok(state.expired(now)))? else { return Ok(0) };
        let count = txn.writes.len();
        self.commit(txn).await?;
        Ok(count)
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        self.read(|state| Ok(state.stats()))
    }

    async fn close(&self) -> Result<(), StoreError> {
        let (ack, acked) = oneshot::channel();
        {
            let mut shared = self.inner.shared.lock();
            if shared.closed {
                return Ok(());
            }
            shared.closed = true;
            self.inner.enqueue(&mut shared, Job::Close(ack));
        }
        acked.await.unwrap_or(Ok(()))
    }
}

#[async_trait]
impl Source for Inner {
    async fn batches_after(
        self: Arc<Self>,
        after: Revision,
        limit: usize,
    ) -> Result<Vec<Arc<Batch>>, StoreError> {
        {
            let shared = self.shared.lock();
            shared.state.check_kept(after)?;
            if let Some(batches) = shared.state.batches_after(after, limit) {
                return Ok(batches);
            }
        }
        self.with_file(move |inner, file| {
            let upto = inner.shared.lock().state.published();
            file.batches(after, upto, limit).map_err(file::io)
        })
        .await
    }

    async fn published_after(&self, after: Revision) -> Result<(), StoreError> {
        let mut signal = self.published.subscribe();
        let seen = signal.wait_for(|signal| signal.closed || signal.revision > after).await;
        if seen.map_or(true, |signal| signal.closed) { Err(StoreError::Closed) } else { Ok(()) }
    }
}

impl Shared {
    /// Whether a writer thread has what it waits for.
    fn is_gathered(&self) -> bool {
        self.queue.len() >= self.wanted || self.closed
    }

    /// Puts back what was on its way to the disk and did not get there. What is newer stays.
    fn put_back(&mut self, dirty: BTreeMap<Arc<str>, Row>) {
        for (key, row) in dirty {
            match self.dirty.entry(key) {
                Entry::Occupied(mut newer) => newer.get_mut().previous = row.previous,
                Entry::Vacant(place) => {
                    place.insert(row);
                }
            }
        }
    }

    /// Keeps the newest volatile version of each key; what it replaces never reaches the disk.
    fn remember_dirty(&mut self, rows: impl IntoIterator<Item = Row>) {
        for mut row in rows {
            if let Some(replaced) = self.dirty.get(&row.key) {
                row.previous = replaced.previous;
            }
            self.dirty.insert(row.key.clone(), row);
        }
    }
}

impl Inner {
    fn signal(&self, revision: Revision) {
        self.published.send_modify(|signal| signal.revision = signal.revision.max(revision));
    }

    /// Queues a job, and sees to it that a writer thread comes for it.
    fn enqueue(self: &Arc<Self>, shared: &mut Shared, job: Job) {
        shared.queue.push_back(job);
        if shared.wanted > 0 && shared.is_gathered() {
            self.gathered.notify_one();
        }
        if !shared.scheduled {
            shared.scheduled = true;
            self.writers.serve(self.clone());
        }
    }

    /// Runs `f` on a writer thread, after the commits before it.
    async fn with_file<T: Send + 'static>(
        self: &Arc<Self>,
        f: impl FnOnce(&Inner, &mut LogFile) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (ack, acked) = oneshot::channel();
        let job = Job::File(Box::new(move |inner, file| {
            let flushed = inner.flush_dirty(file);
            let _ = ack.send(flushed.and_then(|()| f(inner, file)));
        }));
        self.writers.run(self, job)?;
        acked.await.unwrap_or(Err(StoreError::Closed))
    }

    /// What a writer thread does for a tenant: everything that is queued, and goes on with what came meanwhile unless
    /// other tenants wait for a thread.
    fn work(self: &Arc<Self>) {
        loop {
            self.work_once();
            let mut shared = self.shared.lock();
            if shared.queue.is_empty() {
                shared.scheduled = false;
                return;
            }
            if self.writers.are_wanted() {
                self.writers.serve(self.clone());
                return;
            }
        }
    }

    fn work_once(&self) {
        let mut guard = self.file.lock();
        let jobs = self.gather(&mut self.shared.lock());
        if let Some(file) = guard.as_mut() {
            let mut group = Vec::new();
            let mut close = None;
            for job in jobs {
                match job {
                    Job::Commit { staged, durability, ack } => group.push((staged, durability, ack)),
                    Job::File(f) => {
                        self.commit_group(file, std::mem::take(&mut group));
                        f(self, file);
                    }
                    Job::Close(ack) => close = Some(ack),
                }
            }
            self.commit_group(file, group);
            if let Some(ack) = close {
                let outcome = self.finish(file);
                *guard = None;
                self.published.send_modify(|signal| signal.closed = true);
                let _ = ack.send(outcome);
            }
        }
    }

    /// What is queued, once it is as much as the last group was or some time has passed.
    fn gather(&self, shared: &mut MutexGuard<'_, Shared>) -> VecDeque<Job> {
        let is_busy = shared.last_group > 1 && !self.writers.are_wanted();
        if is_busy && shared.queue.len() < shared.last_group {
            shared.wanted = shared.last_group;
            self.gathered.wait_while_for(shared, |shared| !shared.is_gathered(), GATHER);
            shared.wanted = 0;
        }
        let jobs = std::mem::take(&mut shared.queue);
        shared.last_group = jobs.len();
        jobs
    }

    fn commit_group(&self, file: &mut LogFile, group: Vec<Waiting>) {
        let Some((last, ..)) = group.last() else { return };
        let last = last.batch.revision;
        let written = self.write_group(file, &group, last);
        let mut shared = self.shared.lock();
        if let Err(error) = written {
            tracing::error!(error = %drydock_runtime::tasks::chain(&*error), "a commit failed");
            shared.state.roll_back();
            // Later commits were staged on top of these.
            let (commits, others) = std::mem::take(&mut shared.queue)
                .into_iter()
                .partition(|job| matches!(job, Job::Commit { .. }));
            shared.queue = others;
            drop(shared);
            let later = VecDeque::into_iter(commits).filter_map(|job| match job {
                Job::Commit { ack, .. } => Some(ack),
                _ => None,
            });
            for ack in group.into_iter().map(|(.., ack)| ack).chain(later) {
                let _ = ack.send(Err(StoreError::Io(error.to_string().into())));
            }
            return;
        }
        for (staged, ..) in &group {
            shared.state.publish(staged, KEEP);
        }
        drop(shared);
        self.signal(last);
        for (staged, _, ack) in group {
            let _ = ack.send(Ok(staged.batch.revision));
        }
    }

    fn write_group(&self, file: &mut LogFile, group: &[Waiting], last: Revision) -> Result<(), BoxError> {
        let durable = group.iter().any(|(_, durability, _)| *durability == Durability::Durable);
        let mut new: Vec<Row> = group.iter().flat_map(|(staged, ..)| rows(staged)).collect();
        if !durable {
            if last > self.shared.lock().ceiling {
                let ceiling = last + CEILING_STEP;
                file.set_ceiling(ceiling)?;
                self.shared.lock().ceiling = ceiling;
            }
            // Not before the ceiling is on disk: a commit that fails must leave nothing behind.
            self.shared.lock().remember_dirty(new);
            return Ok(());
        }
        drydock_runtime::fault::point("store.commit.before")?;
        self.append(file, &mut new, last)
    }

    /// Writes what is dirty, and `new` behind it. When that fails, what was dirty is so again.
    fn append(&self, file: &mut LogFile, new: &mut Vec<Row>, last: Revision) -> Result<(), BoxError> {
        let (dirty, published) = {
            let mut shared = self.shared.lock();
            (std::mem::take(&mut shared.dirty), shared.state.published())
        };
        let mut all: Vec<Row> = dirty.values().cloned().collect();
        all.append(new);
        if all.is_empty() {
            return Ok(());
        }
        let appended = file.append(&all, last, published).map_err(BoxError::from);
        let written = appended.and_then(|()| Ok(drydock_runtime::fault::point("store.commit.after")?));
        if written.is_err() {
            // It may have reached the disk all the same.
            file.doubt();
            self.shared.lock().put_back(dirty);
        }
        written
    }

    fn flush_dirty(&self, file: &mut LogFile) -> Result<(), StoreError> {
        let last = self.shared.lock().state.published();
        self.append(file, &mut Vec::new(), last).map_err(StoreError::Io)
    }

    /// Something of this tenant's has panicked: it is closed, and all that waits for it is told so. Others go on.
    fn give_up(&self) {
        let waiting = {
            let mut shared = self.shared.lock();
            shared.closed = true;
            std::mem::take(&mut shared.queue)
        };
        *self.file.lock() = None;
        self.published.send_modify(|signal| signal.closed = true);
        drop(waiting);
    }

    fn finish(&self, file: &mut LogFile) -> Result<(), StoreError> {
        self.flush_dirty(file)?;
        let (head, published) = {
            let shared = self.shared.lock();
            (shared.state.head(), shared.state.published())
        };
        file.finish(head, published).map_err(file::io)
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Waiting = (Staged, Durability, oneshot::Sender<Result<Revision, StoreError>>);

/// The log's rows of a commit.
fn rows(staged: &Staged) -> impl Iterator<Item = Row> {
    let revision = staged.batch.revision;
    staged.batch.events.iter().zip(&staged.expires_at).enumerate().map(
        move |(position, (event, expires_at))| match event {
            Event::Put { entry, previous } => Row {
                revision,
                position,
                key: entry.key.clone(),
                value: Some(entry.value.bytes()),
                create_revision: entry.create_revision,
                previous: previous.as_ref().map_or(0, |previous| previous.mod_revision),
                expires_at: *expires_at,
            },
            Event::Delete { previous } => Row {
                revision,
                position,
                key: previous.key.clone(),
                value: None,
                create_revision: previous.create_revision,
                previous: previous.mod_revision,
                expires_at: None,
            },
        },
    )
}
