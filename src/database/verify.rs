//! Looks at a database file without touching it.
//!
//! SQLite may write to a file that it only reads: it replays a log, and makes side files. So the check runs on a copy,
//! and the migrations are rehearsed there, too: what is refused is refused before the file itself is opened.

use std::path::{Path, PathBuf};

use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

use super::{APPLICATION_ID, DatabaseError, MIGRATIONS, Result};

/// Every SQLite file begins with this.
const MAGIC: &[u8] = b"SQLite format 3\0";

pub(super) async fn verify(path: &Path) -> Result<()> {
    if !exists(path)? {
        return refuse_lost_database(path);
    }
    let copy = Copy::of(path)?;
    if std::fs::metadata(path).is_ok_and(|meta| meta.len() == 0) && !exists(&beside(path, "-wal"))? {
        return refuse_lost_database(path);
    }
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(SqliteConnectOptions::new().filename(&copy.file).create_if_missing(false))
        .await
        .map_err(|error| unreadable(path, &error))?;
    let verdict = inspect(path, &pool).await;
    pool.close().await;
    verdict
}

async fn inspect(path: &Path, pool: &SqlitePool) -> Result<()> {
    let id: i32 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(pool)
        .await
        .map_err(|error| unreadable(path, &error))?;
    // The migrator's own table may stand alone after a kill in the first moment.
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE tbl_name <> '_sqlx_migrations'")
            .fetch_one(pool)
            .await
            .map_err(|error| unreadable(path, &error))?;
    if id != APPLICATION_ID && tables > 0 {
        let reason = format!("it is marked {id:#010x}");
        return Err(DatabaseError::Foreign { path: path.to_owned(), reason });
    }
    let findings: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check(5)")
        .fetch_all(pool)
        .await
        .map_err(|error| unreadable(path, &error))?;
    if findings != ["ok"] {
        return Err(DatabaseError::Corrupt { path: path.to_owned(), reason: findings.join("; ") });
    }
    rehearse(path, pool).await
}

/// Runs the migrations on the copy.
async fn rehearse(path: &Path, pool: &SqlitePool) -> Result<()> {
    let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
    match MIGRATIONS.run(pool).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(found)) => {
            Err(DatabaseError::Newer { path: path.to_owned(), found, known })
        }
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
            Err(DatabaseError::Corrupt { path: path.to_owned(), reason: error.to_string() })
        }
        Err(error) => Err(DatabaseError::Foreign { path: path.to_owned(), reason: error.to_string() }),
    }
}

/// No database, but clusters: starting empty would forget them.
fn refuse_lost_database(path: &Path) -> Result<()> {
    let clusters = path.with_file_name("clusters");
    let any = std::fs::read_dir(&clusters).is_ok_and(|mut entries| entries.next().is_some());
    if any {
        let reason = format!("it is missing or empty, yet {} holds clusters", clusters.display());
        return Err(DatabaseError::Corrupt { path: path.to_owned(), reason });
    }
    Ok(())
}

fn unreadable(path: &Path, error: &sqlx::Error) -> DatabaseError {
    let begins = std::fs::File::open(path).and_then(|mut file| {
        let mut start = [0; 16];
        std::io::Read::read_exact(&mut file, &mut start)?;
        Ok(start == MAGIC)
    });
    let reason = match begins {
        Ok(true) => {
            error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
        }
        _ => "it does not begin as a SQLite file does".to_owned(),
    };
    DatabaseError::Corrupt { path: path.to_owned(), reason }
}

fn exists(path: &Path) -> Result<bool> {
    path.try_exists().map_err(|source| DatabaseError::File {
        action: "look for",
        path: path.to_owned(),
        source,
    })
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// A copy of the file and its log in a folder of its own, removed when dropped.
struct Copy {
    folder: PathBuf,
    file: PathBuf,
}

impl Copy {
    fn of(path: &Path) -> Result<Self> {
        let folder = beside(path, &format!("-check-{}", std::process::id()));
        let file = folder.join("copy.db");
        let copy = Self { folder, file };
        let fail =
            |action, path: &Path, source| DatabaseError::File { action, path: path.to_owned(), source };
        let _ = std::fs::remove_dir_all(&copy.folder);
        std::fs::create_dir_all(&copy.folder).map_err(|source| fail("make", &copy.folder, source))?;
        std::fs::copy(path, &copy.file).map_err(|source| fail("read", path, source))?;
        for suffix in ["-wal", "-journal"] {
            let log = beside(path, suffix);
            if exists(&log)? {
                std::fs::copy(&log, beside(&copy.file, suffix))
                    .map_err(|source| fail("read", &log, source))?;
            }
        }
        Ok(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Database;

    /// Opens a database, lets `damage` change its file, and answers what opening it again says.
    async fn after(damage: impl AsyncFnOnce(&Path)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drydock.db");
        Database::open(&path).await.unwrap().close().await;
        damage(&path).await;
        let before = contents(folder.path());
        let error = Database::open(&path).await.map(|_| ()).unwrap_err();
        assert_eq!(contents(folder.path()), before, "the folder is left as it was");
        error.to_string().replace(&folder.path().display().to_string(), "DIR")
    }

    fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let mut all: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), std::fs::read(path).unwrap_or_default()))
            .collect();
        all.sort();
        all
    }

    async fn execute(path: &Path, sql: &'static str) {
        let options = SqliteConnectOptions::new().filename(path);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
        sqlx::raw_sql(sql).execute(&pool).await.unwrap();
        pool.close().await;
    }

    #[tokio::test]
    async fn a_newer_database_is_refused_and_left_as_it_was() {
        let said = after(async |path| {
            execute(
                path,
                "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'from the future', 1, x'00', 0)",
            )
            .await;
        })
        .await;
        assert_eq!(
            said,
            "DIR/drydock.db was written by a newer drydock (schema 9999, this one knows up to 2). It was left as it \
             is; use that version"
        );
    }

    #[tokio::test]
    async fn a_damaged_database_is_refused_and_left_as_it_was() {
        let said = after(async |path| {
            let mut bytes = std::fs::read(path).unwrap();
            let len = bytes.len();
            bytes[len / 3..len / 2].fill(0xa5);
            std::fs::write(path, bytes).unwrap();
        })
        .await;
        assert!(said.starts_with("DIR/drydock.db is damaged: "), "{said}");
    }

    #[tokio::test]
    async fn text_in_place_of_a_database_is_refused_and_left_as_it_was() {
        let said =
            after(async |path| std::fs::write(path, "not a database at all".repeat(100)).unwrap()).await;
        assert_eq!(
            said,
            "DIR/drydock.db is damaged: it does not begin as a SQLite file does. It was left as it is; restore it from \
             a copy, or move it away"
        );
    }

    #[tokio::test]
    async fn another_programs_database_is_refused_and_left_as_it_was() {
        let said = after(async |path| execute(path, "PRAGMA application_id = 7").await).await;
        assert_eq!(
            said,
            "DIR/drydock.db is not a database of drydock: it is marked 0x00000007. It was left as it is"
        );
    }

    #[tokio::test]
    async fn a_table_that_is_gone_is_damage() {
        let said = after(async |path| execute(path, "DROP TABLE _sqlx_migrations").await).await;
        assert!(said.contains("table cluster already exists"), "{said}");
    }

    #[tokio::test]
    async fn a_lost_database_with_clusters_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("clusters/1234")).unwrap();
        let path = folder.path().join("drydock.db");
        let error = Database::open(&path).await.map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("is missing or empty, yet"), "{error}");
        assert!(!path.exists());
    }
}
