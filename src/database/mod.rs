//! The management database: what the service must remember, in one SQLite file.
//!
//! It owns the file `drydock.db`. Every transaction that was committed is on disk (WAL, `synchronous = FULL`). One
//! connection writes, a few read. Records here are plain values; what they mean is the service's business.
//!
//! Invariants: a file that is damaged, foreign, or written by a newer version is refused by [`Database::open`] before a
//! byte of it is touched (`verify`). Functions named `_in_txn` are parts of a transaction that the service composes.
//!
//! Deliberately absent: the objects of tenant clusters. Each tenant has a file of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite, Transaction};

pub mod cluster;
pub mod idempotency;
mod machine;
pub mod node_pool;
pub mod operation;
mod text;
mod verify;

pub(crate) use text::time;

/// The one file. Clones share it.
#[derive(Clone, Debug)]
pub struct Database {
    write: SqlitePool,
    read: SqlitePool,
}

/// A transaction on the writing connection.
pub type Txn = Transaction<'static, Sqlite>;

#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("{} is damaged: {reason}. It was left as it is; restore it from a copy, or move it away", path.display())]
    Corrupt { path: PathBuf, reason: String },
    #[error("{} was written by a newer drydock (schema {found}, this one knows up to {known}). It was left as it is; \
             use that version", path.display())]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error("{} is not a database of drydock: {reason}. It was left as it is", path.display())]
    Foreign { path: PathBuf, reason: String },
    #[error("cannot {action} {}", path.display())]
    File { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("cannot bring the database to this version's schema")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error("database")]
    Sqlite(#[from] sqlx::Error),
    #[error("a row of {table} holds {value:?}, which this version does not know")]
    Value { table: &'static str, value: String },
}

pub type Result<T, E = DatabaseError> = std::result::Result<T, E>;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// Marks a SQLite file as drydock's: "dryd". The first migration sets it.
const APPLICATION_ID: i32 = 0x6472_7964;

const READERS: u32 = 3;

impl Database {
    /// Opens the file at `path`, which is made unless it is there, and brings it to this version's schema.
    ///
    /// # Errors
    /// When it is damaged, foreign, newer, or cannot be read or written. It is then left byte for byte as it was.
    pub async fn open(path: &Path) -> Result<Self> {
        verify::verify(path).await?;
        let write = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options(path).create_if_missing(true))
            .await?;
        MIGRATIONS.run(&write).await?;
        let read = SqlitePoolOptions::new()
            .max_connections(READERS)
            .min_connections(1)
            .idle_timeout(Duration::from_secs(60))
            .max_lifetime(None)
            .connect_with(options(path))
            .await?;
        Ok(Self { write, read })
    }

    /// Begins a transaction that may write. There is one at a time.
    pub async fn begin(&self) -> Result<Txn> {
        Ok(self.write.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.read).await?;
        Ok(())
    }

    /// Writes the log into the file and closes it. Later calls fail.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }

    pub(crate) fn reader(&self) -> &SqlitePool {
        &self.read
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(10))
}
