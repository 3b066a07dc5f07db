//! Versioned key-value store with watches: the seam, its engines and its conformance suite.
//!
//! The model is etcd's, cut down to what Kubernetes needs: one revision counter per store, transactions over several
//! keys that check modification revisions, ranges at a revision, watches from a revision, compaction. Engines:
//! [`memory`], [`sqlite`] (one file per tenant); etcd fits the same trait.
//!
//! Invariants every engine keeps (the conformance suite checks them):
//! * A commit that was acknowledged survives the death of the process and of the machine, unless it was
//!   [`Durability::Volatile`].
//! * Revisions start at 1 and grow with every commit, by exactly one in engines that live in this process. They never
//!   repeat, also across restarts and for volatile writes; after the death of the process some may be skipped.
//! * A watch delivers every commit after its start revision once, in order, one [`Batch`] per commit.
//! * What a watch delivers and a range returns has been acknowledged or is about to be: never rolled back.
//!
//! Deliberately absent: anything about Kubernetes objects. Values are bytes.

mod follow;
pub mod memory;
pub mod sqlite;
mod state;

#[cfg(feature = "testing")]
pub mod conformance;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

/// Counts commits; the first is 1.
pub type Revision = u64;

/// Bytes in the store, or what they decode to, passed by pointer through engines that run in process: a reader need not
/// decode what the writer had at hand, and memory holds the decoded form alone once the bytes are on disk.
#[derive(Clone)]
pub struct Payload {
    /// Absent when they are on disk and `content` can make them again.
    bytes: Option<Bytes>,
    content: Option<Arc<dyn Content>>,
    /// Of the bytes.
    len: usize,
}

/// What a payload's bytes decode to.
pub trait Content: Any + Send + Sync {
    /// Always the same bytes.
    fn encode(&self) -> Bytes;
}

/// A key and its value at one revision.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: Arc<str>,
    pub value: Payload,
    pub create_revision: Revision,
    pub mod_revision: Revision,
}

/// Writes that happen together or not at all.
#[derive(Clone, Debug, Default)]
pub struct Txn {
    /// All must hold. Keys are distinct.
    pub checks: Vec<Check>,
    /// Keys are distinct.
    pub writes: Vec<Write>,
    pub durability: Durability,
}

/// What must be true of a key for the transaction to commit.
#[derive(Clone, Debug)]
pub struct Check {
    pub key: Arc<str>,
    /// The key's modification revision; 0 says that the key does not exist.
    pub mod_revision: Revision,
}

#[derive(Clone, Debug)]
pub enum Write {
    Put {
        key: Arc<str>,
        value: Payload,
        /// Seconds since the epoch, on the tenant's clock, after which [`Store::expire`] deletes the key.
        expires_at: Option<i64>,
    },
    /// Deleting an absent key does nothing, though it counts as a commit.
    Delete { key: Arc<str> },
}

/// What an acknowledgement promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// On disk.
    #[default]
    Durable,
    /// Visible to readers and watchers, and flushed with the next durable commit or within a few seconds. For
    /// heartbeats and leases of agents in this process, which nobody outside was promised.
    Volatile,
}

/// Which entries to read.
#[derive(Clone, Debug, Default)]
pub struct Range {
    /// Keys that start with this, in byte order.
    pub prefix: String,
    /// Only keys strictly greater; "" for all.
    pub after: String,
    /// At most so many; 0 for all.
    pub limit: usize,
    /// As of this revision; None for the latest.
    pub revision: Option<Revision>,
}

#[derive(Clone, Debug)]
pub struct RangeResult {
    pub entries: Vec<Entry>,
    /// Whether `limit` cut the answer short.
    pub more: bool,
    /// The store's revision when it was read.
    pub revision: Revision,
}

/// One commit, as a watch delivers it.
#[derive(Clone, Debug)]
pub struct Batch {
    pub revision: Revision,
    pub events: Vec<Event>,
}

#[derive(Clone, Debug)]
pub enum Event {
    Put {
        entry: Entry,
        /// The entry before, None when the key was created.
        previous: Option<Entry>,
    },
    Delete {
        /// The entry that was deleted.
        previous: Entry,
    },
}

/// Commits after a start revision, without end. An error ends it.
pub type Watch = BoxStream<'static, Result<Arc<Batch>, StoreError>>;

/// A tenant's state store.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Commits all of `txn`, or answers the first check that did not hold.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a check failed: nothing was written. [`StoreError::Io`] when the engine failed:
    /// the caller cannot know whether it was written, and reads again.
    async fn commit(&self, txn: Txn) -> Result<Revision, StoreError>;

    /// # Errors
    /// [`StoreError::Compacted`] and [`StoreError::FutureRevision`] when `range.revision` is out of what is kept.
    async fn range(&self, range: Range) -> Result<RangeResult, StoreError>;

    /// Watches all keys under `prefix` for commits with a revision greater than `after`.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] when commits after `after` are no longer kept.
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, StoreError>;

    /// The commits after `after` as far as they are in memory, oldest first and none left out; None when the next one
    /// is not in memory. A cut for those who will not wait: [`Store::watch`] tells everything.
    fn recent(&self, after: Revision) -> Option<Vec<Arc<Batch>>>;

    /// The revision of the latest commit; 0 when there was none.
    async fn revision(&self) -> Result<Revision, StoreError>;

    /// The oldest revision from which [`Store::watch`] and [`Store::range`] still answer.
    async fn compacted_revision(&self) -> Result<Revision, StoreError>;

    /// Forgets history up to and including `revision`. Latest values stay.
    async fn compact(&self, revision: Revision) -> Result<(), StoreError>;

    /// Deletes the keys whose `expires_at` is not after `now` (seconds since the epoch), as a commit that watchers
    /// see. Answers how many there were.
    async fn expire(&self, now: i64) -> Result<usize, StoreError>;

    /// Bytes on disk (or in memory) and other facts for metrics.
    async fn stats(&self) -> Result<Stats, StoreError>;

    /// Flushes volatile writes and gives up files and threads. Further calls fail with [`StoreError::Closed`].
    async fn close(&self) -> Result<(), StoreError>;
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub keys: u64,
    pub bytes: u64,
    pub revision: Revision,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the check on key {key:?} failed")]
    Conflict {
        key: Arc<str>,
        /// The key's present entry, None when it does not exist.
        current: Option<Box<Entry>>,
    },
    #[error("revision {requested} was compacted; the oldest kept is {oldest}")]
    Compacted { requested: Revision, oldest: Revision },
    #[error("revision {requested} is in the future; the latest is {latest}")]
    FutureRevision { requested: Revision, latest: Revision },
    #[error("the store is closed")]
    Closed,
    /// The file is not a store, or is damaged, or was written by a newer version. It was left as it is.
    #[error("{path}: {why}")]
    Unusable { path: String, why: String },
    #[error("the store's engine failed")]
    Io(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    /// Whether the same call may succeed later without the caller changing it.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Io(_))
    }
}

impl Write {
    pub fn key(&self) -> &Arc<str> {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

impl Event {
    pub fn key(&self) -> &Arc<str> {
        match self {
            Self::Put { entry, .. } => &entry.key,
            Self::Delete { previous } => &previous.key,
        }
    }
}

impl Payload {
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { len: bytes.len(), bytes: Some(bytes), content: None }
    }

    /// Encodes `content`, and keeps it.
    pub fn of(content: Arc<dyn Content>) -> Self {
        let bytes = content.encode();
        Self::encoded(content, bytes)
    }

    /// As [`Payload::of`], where the bytes have been made.
    pub fn encoded(content: Arc<dyn Content>, bytes: Bytes) -> Self {
        Self { len: bytes.len(), bytes: Some(bytes), content: Some(content) }
    }

    pub fn bytes(&self) -> Bytes {
        match (&self.bytes, &self.content) {
            (Some(bytes), _) => bytes.clone(),
            (None, Some(content)) => content.encode(),
            (None, None) => Bytes::new(),
        }
    }

    /// How many bytes they are.
    pub fn size(&self) -> usize {
        self.len
    }

    /// What the writer had at hand, if it was a `T` and is still in memory.
    pub fn content<T: Content>(&self) -> Option<Arc<T>> {
        let content: Arc<dyn Any + Send + Sync> = self.content.clone()?;
        content.downcast().ok()
    }

    /// The same without the bytes, when they can be made again.
    pub(crate) fn settled(&self) -> Self {
        let bytes = if self.content.is_some() { None } else { self.bytes.clone() };
        Self { bytes, content: self.content.clone(), len: self.len }
    }
}

impl Entry {
    pub(crate) fn settled(&self) -> Self {
        Self { value: self.value.settled(), ..self.clone() }
    }
}

impl Event {
    pub(crate) fn settled(&self) -> Self {
        match self {
            Self::Put { entry, previous } => {
                Self::Put { entry: entry.settled(), previous: previous.as_ref().map(Entry::settled) }
            }
            Self::Delete { previous } => Self::Delete { previous: previous.settled() },
        }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len)
    }
}
