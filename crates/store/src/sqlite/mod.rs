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
mod work;
mod writers;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::{Condvar, Mutex};
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

/// What becomes of a commit at first.
enum Begun {
    Done(Revision),
    Queued(oneshot::Receiver<Result<Revision, StoreError>>),
    /// It lost against one that is on its way to the disk.
    Lost {
        conflict: StoreError,
        settled: oneshot::Receiver<()>,
    },
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

    fn begin(&self, txn: Txn) -> Result<Begun, StoreError> {
        let durability = txn.durability;
        let mut shared = self.inner.shared.lock();
        if shared.closed {
            return Err(StoreError::Closed);
        }
        let staged = match shared.state.stage(txn) {
            Ok(staged) => staged,
            Err(conflict) if shared.state.is_in_flight(&conflict) => {
                return Ok(Begun::Lost { conflict, settled: self.inner.settled(&mut shared) });
            }
            Err(error) => return Err(error),
        };
        let revision = staged.batch.revision;
        let idle = !shared.scheduled && revision <= shared.ceiling;
        if durability == Durability::Volatile && idle {
            shared.remember_dirty(rows(&staged));
            shared.state.publish(&staged, KEEP);
            drop(shared);
            self.inner.signal(revision);
            return Ok(Begun::Done(revision));
        }
        let (ack, acked) = oneshot::channel();
        self.inner.enqueue(&mut shared, Job::Commit { staged, durability, ack });
        Ok(Begun::Queued(acked))
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
        match self.begin(txn)? {
            Begun::Done(revision) => Ok(revision),
            Begun::Queued(acked) => acked.await.unwrap_or(Err(StoreError::Closed)),
            Begun::Lost { conflict, settled } => {
                // Nobody is told what was faster before that is on disk and seen by all.
                let _ = settled.await;
                Err(conflict)
            }
        }
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

    /// Resolves once the commits that are on their way have arrived, or failed.
    fn settled(self: &Arc<Self>, shared: &mut Shared) -> oneshot::Receiver<()> {
        let (ack, settled) = oneshot::channel();
        let tell = move |_: &Self, _: &mut LogFile| {
            let _ = ack.send(());
        };
        self.enqueue(shared, Job::File(Box::new(tell)));
        settled
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
}

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
