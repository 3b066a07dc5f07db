//! The file's format and the statements over it.
//!
//! `log` has a row per version of a key: `id = revision * 1024 + position` orders versions, a null `value` is a
//! deletion, `previous` is the revision of the key's version before (0 when there was none). There is no index on keys:
//! a commit only appends, which keeps a sync short, and latest versions are in memory. `meta` has `compacted`, `revision` (of the last commit, where that left no row) and `ceiling` (volatile
//! revisions given out may reach it; 0 after a clean close).

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, params};

use crate::{Batch, Entry, Event, Payload, Range, Revision, StoreError};

/// `Dryd`, in the header of every file of ours.
const APPLICATION_ID: i32 = 0x4472_7964;
const FORMAT: i32 = 1;
/// Versions per commit.
const POSITIONS: u64 = 1024;

#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    connection: Connection,
    /// Rows of commits that were said to have failed may be there.
    doubtful: bool,
}

/// One version of one key.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) revision: Revision,
    pub(super) position: usize,
    pub(super) key: Arc<str>,
    pub(super) value: Option<Bytes>,
    pub(super) create_revision: Revision,
    /// The revision of the key's version before; 0 when there was none.
    pub(super) previous: Revision,
    pub(super) expires_at: Option<i64>,
}

pub(super) struct Loaded {
    pub(super) revision: Revision,
    pub(super) compacted: Revision,
    pub(super) ceiling: Revision,
    pub(super) entries: Vec<(Entry, Option<i64>)>,
}

pub(super) fn io(error: rusqlite::Error) -> StoreError {
    StoreError::Io(Box::new(error))
}

fn id(revision: Revision, position: usize) -> i64 {
    i64::try_from(revision * POSITIONS).unwrap_or(i64::MAX).saturating_add(position as i64)
}

fn revision_of(id: i64) -> Revision {
    id.unsigned_abs() / POSITIONS
}

impl LogFile {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let unusable = |why: String| StoreError::Unusable { path: path.display().to_string(), why };
        let exists = check_header(path).map_err(unusable)?;
        let opened = Connection::open(path).and_then(|connection| {
            // A damaged file must not be touched when it is closed again.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            connection.busy_timeout(std::time::Duration::ZERO)?;
            connection.pragma_update(None, "locking_mode", "exclusive")?;
            connection.pragma_update(None, "cache_size", -64)?;
            connection.pragma_update(None, "synchronous", "full")?;
            if !exists {
                create(&connection)?;
            }
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "journal_size_limit", 4 << 20)?;
            connection.set_prepared_statement_cache_capacity(8);
            Ok(connection)
        });
        let connection = opened.map_err(|error| unusable(explain(&error)))?;
        Ok(Self { path: path.to_owned(), connection, doubtful: false })
    }

    pub(super) fn unusable(&self, error: &rusqlite::Error) -> StoreError {
        StoreError::Unusable { path: self.path.display().to_string(), why: explain(error) }
    }

    pub(super) fn load(&self) -> rusqlite::Result<Loaded> {
        let compacted = self.meta("compacted")?;
        let ceiling = self.meta("ceiling")?;
        let last: Option<i64> = self.connection.query_row("SELECT max(id) FROM log", [], |row| row.get(0))?;
        let revision = last.map_or(0, revision_of).max(self.meta("revision")?).max(ceiling);
        let entries = self.latest()?;
        // From here on the file is known to be sound.
        self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        Ok(Loaded { revision, compacted, ceiling, entries })
    }

    /// Plays the log: the last version of each key that is not a deletion.
    fn latest(&self) -> rusqlite::Result<Vec<(Entry, Option<i64>)>> {
        let mut latest = std::collections::BTreeMap::new();
        let mut statement = self
            .connection
            .prepare("SELECT key, value, id, create_revision, expires_at FROM log ORDER BY id")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if row.get_ref(1)?.as_blob_or_null()?.is_some() {
                let entry = entry(row, 0)?;
                latest.insert(entry.key.clone(), (entry, row.get(4)?));
            } else {
                latest.remove(row.get_ref(0)?.as_str()?);
            }
        }
        Ok(latest.into_values().collect())
    }

    fn meta(&self, name: &str) -> rusqlite::Result<u64> {
        let value: Option<i64> = self
            .connection
            .query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0))
            .optional()?;
        Ok(value.unwrap_or(0).unsigned_abs())
    }

    fn set_meta(&self, name: &str, value: u64) -> rusqlite::Result<()> {
        let mut statement =
            self.connection.prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)")?;
        statement.execute(params![name, i64::try_from(value).unwrap_or(i64::MAX)])?;
        Ok(())
    }

    /// What was appended last may be there or not. It is taken away with the next write.
    pub(super) fn doubt(&mut self) {
        self.doubtful = true;
    }

    /// Appends rows in one transaction; returns once they are on disk. `last` is the last revision they bring,
    /// `published` the last that was there before.
    pub(super) fn append(
        &mut self,
        rows: &[Row],
        last: Revision,
        published: Revision,
    ) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        if self.doubtful {
            remove_after(&transaction, published)?;
        }
        {
            let mut insert = transaction.prepare_cached(
                "INSERT OR REPLACE INTO log (id, key, value, create_revision, previous, expires_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            for row in rows {
                insert.execute(params![
                    id(row.revision, row.position),
                    &*row.key,
                    row.value.as_deref(),
                    i64::try_from(row.create_revision).unwrap_or(i64::MAX),
                    i64::try_from(row.previous).unwrap_or(i64::MAX),
                    row.expires_at,
                ])?;
            }
        }
        if rows.last().is_none_or(|row| row.revision != last) {
            transaction.execute(
                "INSERT OR REPLACE INTO meta (name, value) VALUES ('revision', ?1)",
                [i64::try_from(last).unwrap_or(i64::MAX)],
            )?;
        }
        transaction.commit()?;
        self.doubtful = false;
        Ok(())
    }

    pub(super) fn set_ceiling(&self, ceiling: Revision) -> rusqlite::Result<()> {
        self.set_meta("ceiling", ceiling)
    }

    pub(super) fn set_compacted(&self, revision: Revision) -> rusqlite::Result<()> {
        self.set_meta("compacted", revision.max(self.meta("compacted")?))
    }

    /// Deletes some of the versions that compaction from `after` up to `revision` makes superfluous: those with a later
    /// version by then, and deletions. False when none are left.
    pub(super) fn compact_some(&self, after: Revision, revision: Revision) -> rusqlite::Result<bool> {
        let bounds = [id(after, 0), id(revision + 1, 0)];
        let mut superseded = self.connection.prepare_cached(
            "DELETE FROM log WHERE id IN (SELECT old.id FROM log AS new JOIN log AS old \
             ON old.id >= new.previous * 1024 AND old.id < (new.previous + 1) * 1024 AND old.key = new.key \
             WHERE new.id >= ?1 AND new.id < ?2 AND new.previous > 0 LIMIT 2000)",
        )?;
        if superseded.execute(bounds)? > 0 {
            return Ok(true);
        }
        let mut deletions = self.connection.prepare_cached(
            "DELETE FROM log WHERE id IN (SELECT id FROM log WHERE id >= ?1 AND id < ?2 AND value IS NULL LIMIT 2000)",
        )?;
        Ok(deletions.execute(bounds)? > 0)
    }

    /// The entries of `range` as of `revision`, and whether its limit cut them short.
    pub(super) fn range_at(&self, range: &Range, revision: Revision) -> rusqlite::Result<(Vec<Entry>, bool)> {
        let limit = if range.limit == 0 { -1 } else { range.limit as i64 + 1 };
        let mut statement = self.connection.prepare_cached(
            "SELECT key, value, id, create_revision FROM log WHERE id IN (SELECT max(id) FROM log \
             WHERE id < ?1 AND key >= ?2 AND key > ?3 AND substr(key, 1, length(?2)) = ?2 GROUP BY key) \
             AND value IS NOT NULL ORDER BY key LIMIT ?4",
        )?;
        let rows = statement
            .query_map(params![id(revision + 1, 0), range.prefix, range.after, limit], |row| entry(row, 0))?;
        let mut entries = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        let more = range.limit > 0 && entries.len() > range.limit;
        if more {
            entries.pop();
        }
        Ok((entries, more))
    }

    /// At most about `limit` batches after `after`, up to `upto`. Never empty when `upto > after`: commits that left
    /// no row are passed over by an empty batch at `upto`.
    pub(super) fn batches(
        &self,
        after: Revision,
        upto: Revision,
        limit: usize,
    ) -> rusqlite::Result<Vec<Arc<Batch>>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT key, value, id, create_revision, previous FROM log WHERE id >= ?1 AND id < ?2 ORDER BY id",
        )?;
        let mut rows = statement.query(params![id(after + 1, 0), id(upto + 1, 0)])?;
        let mut batches: Vec<Batch> = Vec::new();
        while let Some(row) = rows.next()? {
            let revision = revision_of(row.get(2)?);
            if batches.last().is_none_or(|batch| batch.revision != revision) {
                if batches.len() == limit {
                    return Ok(batches.into_iter().map(Arc::new).collect());
                }
                batches.push(Batch { revision, events: Vec::new() });
            }
            if let (Some(event), Some(batch)) = (self.event(row)?, batches.last_mut()) {
                batch.events.push(event);
            }
        }
        if batches.last().is_none_or(|batch| batch.revision != upto) && upto > after {
            batches.push(Batch { revision: upto, events: Vec::new() });
        }
        Ok(batches.into_iter().map(Arc::new).collect())
    }

    fn event(&self, row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<Event>> {
        let mut before = self.connection.prepare_cached(
            "SELECT key, value, id, create_revision FROM log \
             WHERE id >= ?2 * 1024 AND id < (?2 + 1) * 1024 AND key = ?1 AND value IS NOT NULL",
        )?;
        let (key, previous) = (row.get_ref(0)?.as_str()?, row.get::<_, i64>(4)?);
        let previous = before.query_row(params![key, previous], |row| entry(row, 0)).optional()?;
        if row.get_ref(1)?.as_blob_or_null()?.is_some() {
            return Ok(Some(Event::Put { entry: entry(row, 0)?, previous }));
        }
        Ok(previous.map(|previous| Event::Delete { previous }))
    }

    /// The last write before a clean close.
    pub(super) fn finish(&mut self, head: Revision, published: Revision) -> rusqlite::Result<()> {
        let head = i64::try_from(head).unwrap_or(i64::MAX);
        let transaction = self.connection.transaction()?;
        if self.doubtful {
            remove_after(&transaction, published)?;
        }
        transaction.execute(
            "INSERT OR REPLACE INTO meta (name, value) VALUES ('revision', ?1), ('ceiling', 0)",
            [head],
        )?;
        transaction.commit()
    }
}

/// Removes what no reader was ever shown.
fn remove_after(connection: &Connection, published: Revision) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM log WHERE id >= ?1", [id(published + 1, 0)])?;
    Ok(())
}

fn entry(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Entry> {
    let value = row.get_ref(at + 1)?.as_blob()?;
    Ok(Entry {
        key: row.get_ref(at)?.as_str()?.into(),
        value: Payload::new(Bytes::copy_from_slice(value)),
        mod_revision: revision_of(row.get(at + 2)?),
        create_revision: row.get::<_, i64>(at + 3)?.unsigned_abs(),
    })
}

fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; \
         PRAGMA application_id = {APPLICATION_ID}; \
         PRAGMA user_version = {FORMAT}; \
         CREATE TABLE log (id INTEGER PRIMARY KEY, key TEXT NOT NULL, value BLOB, \
                           create_revision INTEGER NOT NULL, previous INTEGER NOT NULL, expires_at INTEGER); \
         CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID; \
         COMMIT;"
    ))
}

/// Whether there is a file, and that it is one of ours. Reads the header only; SQLite's file format, section 1.3.
fn check_header(path: &Path) -> Result<bool, String> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error.to_string()),
    };
    let mut header = Vec::with_capacity(100);
    file.by_ref().take(100).read_to_end(&mut header).map_err(|error| error.to_string())?;
    if header.is_empty() {
        return Ok(false);
    }
    if header.len() < 100 || !header.starts_with(b"SQLite format 3\0") {
        return Err("not a SQLite file, or its header is damaged".to_owned());
    }
    let number = |at: usize| i32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    match (number(68), number(60)) {
        (APPLICATION_ID, FORMAT) => Ok(true),
        (APPLICATION_ID, newer) if newer > FORMAT => {
            Err(format!("written by a newer Drydock (format {newer}; this one reads up to {FORMAT})"))
        }
        _ => Err("a SQLite file, but not a Drydock store".to_owned()),
    }
}

fn explain(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseBusy) => "in use by another process".to_owned(),
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
            format!("damaged: {error}")
        }
        _ => error.to_string(),
    }
}
