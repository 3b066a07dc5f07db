//! What all in-process engines share: the published entries, the commits in flight, and recent history.
//!
//! A commit goes through two steps. [`State::stage`] checks it against the newest view, in flight commits included,
//! and gives it a revision; [`State::publish`] makes it visible once the engine may promise it. Both happen in
//! revision order. [`State::roll_back`] forgets everything staged and not published, for an engine whose disk failed.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use crate::{Batch, Check, Entry, Event, Range, RangeResult, Revision, Stats, StoreError, Txn, Write};

#[derive(Debug, Default)]
pub(crate) struct State {
    /// The last revision given out.
    head: Revision,
    /// The last revision that readers see.
    published: Revision,
    compacted: Revision,
    entries: BTreeMap<Arc<str>, Entry>,
    expiries: Expiries,
    /// The newest staged version of each key with a commit in flight; None when that deletes it.
    in_flight: HashMap<Arc<str>, (Revision, Option<Entry>), foldhash::fast::RandomState>,
    /// The latest batches, oldest first; each follows the one before by one revision.
    history: VecDeque<Arc<Batch>>,
    bytes: u64,
}

/// A commit with its revision, on its way to being published.
#[derive(Clone, Debug)]
pub(crate) struct Staged {
    pub(crate) batch: Arc<Batch>,
    /// Parallel to the batch's events.
    pub(crate) expires_at: Vec<Option<i64>>,
}

#[derive(Debug, Default)]
struct Expiries {
    by_key: HashMap<Arc<str>, i64, foldhash::fast::RandomState>,
    by_time: BTreeSet<(i64, Arc<str>)>,
}

impl Expiries {
    fn set(&mut self, key: &Arc<str>, at: Option<i64>) {
        if let Some(old) = self.by_key.remove(key) {
            self.by_time.remove(&(old, key.clone()));
        }
        if let Some(at) = at {
            self.by_key.insert(key.clone(), at);
            self.by_time.insert((at, key.clone()));
        }
    }
}

impl State {
    /// A state read back from disk: entries with their expiry, in key order.
    pub(crate) fn restored(
        revision: Revision,
        compacted: Revision,
        entries: impl IntoIterator<Item = (Entry, Option<i64>)>,
    ) -> Self {
        let mut state = Self { head: revision, published: revision, compacted, ..Self::default() };
        for (entry, expires_at) in entries {
            state.bytes += size(&entry);
            state.expiries.set(&entry.key, expires_at);
            state.entries.insert(entry.key.clone(), entry);
        }
        state
    }

    pub(crate) fn published(&self) -> Revision {
        self.published
    }

    pub(crate) fn head(&self) -> Revision {
        self.head
    }

    pub(crate) fn compacted(&self) -> Revision {
        self.compacted
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats { keys: self.entries.len() as u64, bytes: self.bytes, revision: self.published }
    }

    fn newest(&self, key: &str) -> Option<&Entry> {
        match self.in_flight.get(key) {
            Some((_, entry)) => entry.as_ref(),
            None => self.entries.get(key),
        }
    }

    pub(crate) fn stage(&mut self, txn: Txn) -> Result<Staged, StoreError> {
        for Check { key, mod_revision } in &txn.checks {
            let current = self.newest(key);
            if current.map_or(0, |entry| entry.mod_revision) != *mod_revision {
                return Err(StoreError::Conflict {
                    key: key.clone(),
                    current: current.cloned().map(Box::new),
                });
            }
        }
        self.head += 1;
        let revision = self.head;
        let mut events = Vec::with_capacity(txn.writes.len());
        let mut expiries = Vec::with_capacity(txn.writes.len());
        for write in txn.writes {
            let previous = self.newest(write.key()).cloned();
            match write {
                Write::Put { key, value, expires_at } => {
                    let create_revision = previous.as_ref().map_or(revision, |entry| entry.create_revision);
                    let entry = Entry { key: key.clone(), value, create_revision, mod_revision: revision };
                    self.in_flight.insert(key, (revision, Some(entry.clone())));
                    events.push(Event::Put { entry, previous });
                    expiries.push(expires_at);
                }
                Write::Delete { key } => {
                    if let Some(previous) = previous {
                        self.in_flight.insert(key, (revision, None));
                        events.push(Event::Delete { previous });
                        expiries.push(None);
                    }
                }
            }
        }
        Ok(Staged { batch: Arc::new(Batch { revision, events }), expires_at: expiries })
    }

    /// Whether what a check failed on is a commit that is not published yet.
    pub(crate) fn is_in_flight(&self, lost: &StoreError) -> bool {
        matches!(lost, StoreError::Conflict { key, .. } if self.in_flight.contains_key(key))
    }

    /// The transaction that deletes what has expired by `now`; None when nothing has.
    pub(crate) fn expired(&self, now: i64) -> Option<Txn> {
        let due = self.expiries.by_time.iter().take_while(|(at, _)| *at <= now);
        let writes: Vec<Write> = due
            .filter(|(_, key)| !self.in_flight.contains_key(key))
            .map(|(_, key)| Write::Delete { key: key.clone() })
            .collect();
        (!writes.is_empty()).then(|| Txn { writes, ..Txn::default() })
    }

    /// Makes a staged commit visible. Called in revision order. History beyond `keep` batches is forgotten.
    pub(crate) fn publish(&mut self, staged: &Staged, keep: usize) {
        let revision = staged.batch.revision;
        debug_assert_eq!(revision, self.published + 1, "commits are published in order");
        // What is on disk now need not be in memory twice.
        let events: Vec<Event> = staged.batch.events.iter().map(Event::settled).collect();
        for (event, expires_at) in events.iter().zip(&staged.expires_at) {
            let (key, old) = match event {
                Event::Put { entry, .. } => {
                    self.bytes += size(entry);
                    self.expiries.set(&entry.key, *expires_at);
                    (&entry.key, self.entries.insert(entry.key.clone(), entry.clone()))
                }
                Event::Delete { previous } => {
                    self.expiries.set(&previous.key, None);
                    (&previous.key, self.entries.remove(&previous.key))
                }
            };
            self.bytes -= old.as_ref().map_or(0, size);
            if self.in_flight.get(key).is_some_and(|(newest, _)| *newest == revision) {
                self.in_flight.remove(key);
            }
        }
        self.published = revision;
        self.history.push_back(Arc::new(Batch { revision, events }));
        while self.history.len() > keep {
            self.history.pop_front();
        }
    }

    /// Forgets what was staged and not published.
    pub(crate) fn roll_back(&mut self) {
        self.head = self.published;
        self.in_flight.clear();
    }

    pub(crate) fn compact(&mut self, revision: Revision) -> Result<(), StoreError> {
        if revision > self.published {
            return Err(StoreError::FutureRevision { requested: revision, latest: self.published });
        }
        self.compacted = self.compacted.max(revision);
        while self.history.front().is_some_and(|batch| batch.revision <= revision) {
            self.history.pop_front();
        }
        Ok(())
    }

    /// The batches after `after` that are still in memory, at most `limit`; None when some were forgotten.
    pub(crate) fn batches_after(&self, after: Revision, limit: usize) -> Option<Vec<Arc<Batch>>> {
        if after >= self.published {
            return Some(Vec::new());
        }
        let first = self.history.front()?.revision;
        let skip = usize::try_from((after + 1).checked_sub(first)?).ok()?;
        Some(self.history.iter().skip(skip).take(limit).cloned().collect())
    }

    /// Reads the latest entries.
    pub(crate) fn range(&self, range: &Range) -> RangeResult {
        let entries = self.entries.range::<str, _>(start_of(range));
        let (entries, more) = cut(entries.map(|(_, entry)| entry.clone()), range);
        RangeResult { entries, more, revision: self.published }
    }

    /// Reads the entries as of `revision` by undoing history; None when memory does not go back that far.
    pub(crate) fn range_at(&self, range: &Range, revision: Revision) -> Option<RangeResult> {
        let undo = self.batches_after(revision, usize::MAX)?;
        let mut entries: BTreeMap<&str, &Entry> = self
            .entries
            .range::<str, _>(start_of(range))
            .map(|(key, entry)| (&**key, entry))
            .take_while(|(key, _)| key.starts_with(&range.prefix))
            .collect();
        for event in undo.iter().rev().flat_map(|batch| batch.events.iter().rev()) {
            match event {
                Event::Put { entry, previous: None } => {
                    entries.remove(&*entry.key);
                }
                Event::Put { previous: Some(previous), .. } | Event::Delete { previous } => {
                    entries.insert(&previous.key, previous);
                }
            }
        }
        let wanted = entries.range::<str, _>(start_of(range)).map(|(_, entry)| (*entry).clone());
        let (entries, more) = cut(wanted, range);
        Some(RangeResult { entries, more, revision: self.published })
    }

    /// # Errors
    /// When `revision` is not between what was compacted and what was published.
    pub(crate) fn check_readable(&self, revision: Revision) -> Result<(), StoreError> {
        if revision > self.published {
            return Err(StoreError::FutureRevision { requested: revision, latest: self.published });
        }
        self.check_kept(revision)
    }

    /// # Errors
    /// When commits after `after` are no longer kept.
    pub(crate) fn check_kept(&self, after: Revision) -> Result<(), StoreError> {
        if after < self.compacted {
            return Err(StoreError::Compacted { requested: after, oldest: self.compacted });
        }
        Ok(())
    }
}

/// Where a range starts: after its `after`, or at its prefix.
pub(crate) fn start_of(range: &Range) -> (Bound<&str>, Bound<&str>) {
    let start = if range.after.as_str() >= range.prefix.as_str() && !range.after.is_empty() {
        Bound::Excluded(range.after.as_str())
    } else {
        Bound::Included(range.prefix.as_str())
    };
    (start, Bound::Unbounded)
}

/// The entries of a range out of all that follow its start, and whether the limit cut them short.
fn cut(entries: impl Iterator<Item = Entry>, range: &Range) -> (Vec<Entry>, bool) {
    let mut entries = entries.take_while(|entry| entry.key.starts_with(&range.prefix));
    let limit = if range.limit == 0 { usize::MAX } else { range.limit };
    let taken: Vec<Entry> = entries.by_ref().take(limit).collect();
    (taken, entries.next().is_some())
}

/// The events of `batch` under `prefix`; None when there are none.
pub(crate) fn filter(batch: &Arc<Batch>, prefix: &str) -> Option<Arc<Batch>> {
    let mine = |event: &&Event| event.key().starts_with(prefix);
    let count = batch.events.iter().filter(mine).count();
    if count == 0 {
        None
    } else if count == batch.events.len() {
        Some(batch.clone())
    } else {
        let events = batch.events.iter().filter(mine).cloned().collect();
        Some(Arc::new(Batch { revision: batch.revision, events }))
    }
}

fn size(entry: &Entry) -> u64 {
    (entry.value.size() + entry.key.len()) as u64
}
