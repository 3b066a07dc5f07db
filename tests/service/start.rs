//! Starting: what is refused, and says which.

use std::path::{Path, PathBuf};

use drydock::database::cluster::Reason;
use drydock::server::StartError;

use crate::harness::World;

#[tokio::test]
async fn a_taken_port_says_which() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap();
    let mut world = World::new().await;
    world.stop().await;
    world.config.listen = address;
    let error = world.start().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot listen on {address}: the port {} is taken by another program; choose another with --listen",
            address.port()
        )
    );
}

#[tokio::test]
async fn a_data_folder_has_one_service() {
    let mut world = World::new().await;
    let running = world.server.take().unwrap();
    let error = world.start().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{} is in use by another drydock (process {}); stop it, or choose another --data-dir",
            world.data_dir().display(),
            std::process::id()
        )
    );
    running.stop().await;
    world.start().await.unwrap();
}

#[tokio::test]
async fn a_damaged_database_is_refused_and_the_folder_left_as_it_was() {
    let mut world = World::new().await;
    world.cluster("dev", 1).await;
    world.stop().await;
    let path = world.data_dir().join("drydock.db");
    let mut bytes = std::fs::read(&path).unwrap();
    for byte in bytes.iter_mut().skip(100).step_by(97) {
        *byte ^= 0x5a;
    }
    std::fs::write(&path, &bytes).unwrap();
    let error = world.start().await.unwrap_err();
    assert!(matches!(error, StartError::Database(_)), "{error}");
    assert!(error.to_string().contains("drydock.db is damaged"), "{error}");
    assert!(std::fs::read(&path).unwrap() == bytes, "the file is left as it was");
}

#[tokio::test]
async fn no_node_is_said_to_be_ready_that_was_not_seen_since_the_start() {
    let mut world = World::new().await;
    world.cluster("dev", 2).await;
    world.stop().await;
    world.fakes.change(|state| {
        state.broken.insert("dev".into(), Reason::new("StateDamaged", "its file is damaged"));
    });
    world.start().await.unwrap();
    let cluster = world.until("/v1/clusters/dev", "/state", "failed").await;
    assert_eq!(cluster["nodes"], serde_json::json!({"wanted": 2, "ready": 0}));
    let pool = world.get("/v1/clusters/dev/node-pools/default").await.json;
    assert_eq!(pool["observed"], serde_json::json!({"machines": 2, "ready": 0}));
    world.fakes.change(|state| state.broken.clear());
    world.until("/v1/clusters/dev", "/nodes/ready", 2).await;
}

/// The files of a folder with their contents, but for the lock.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("drydock.lock"))
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    all.sort();
    all
}

/// A data folder as a kill leaves it: the statement is in the log only.
async fn killed_after(world: &mut World, sql: &'static str) -> PathBuf {
    world.cluster("dev", 0).await;
    world.stop().await;
    let path = world.data_dir().join("drydock.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::raw_sql(sql).execute(&pool).await.unwrap();
    let folder = world.folder.path().join("killed");
    std::fs::create_dir(&folder).unwrap();
    for name in ["drydock.db", "drydock.db-wal", "drydock.db-shm"] {
        std::fs::copy(path.with_file_name(name), folder.join(name)).unwrap();
    }
    pool.close().await;
    world.config.data_dir = folder.clone();
    folder
}

#[tokio::test]
async fn a_newer_database_with_its_log_is_refused_and_left_byte_for_byte() {
    let mut world = World::new().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (9999, 'from the future', 1, x'00', 0)";
    let folder = killed_after(&mut world, newer).await;
    let before = contents(&folder);
    assert_eq!(before.len(), 3);
    let error = world.start().await.unwrap_err().to_string();
    assert!(error.contains("drydock.db was written by a newer drydock (schema 9999"), "{error}");
    assert!(contents(&folder) == before, "the folder is left as it was");
}

#[tokio::test]
async fn a_damaged_database_with_its_log_is_refused_and_left_byte_for_byte() {
    let mut world = World::new().await;
    let folder = killed_after(&mut world, "UPDATE cluster SET name = 'other'").await;
    let path = folder.join("drydock.db");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.iter_mut().skip(100).step_by(97).for_each(|byte| *byte ^= 0x5a);
    std::fs::write(&path, bytes).unwrap();
    let before = contents(&folder);
    let error = world.start().await.unwrap_err().to_string();
    assert!(error.contains("drydock.db is damaged"), "{error}");
    assert!(contents(&folder) == before, "the folder is left as it was");
}

#[tokio::test]
async fn what_was_only_in_the_log_is_there_after_a_kill() {
    let mut world = World::new().await;
    killed_after(&mut world, "UPDATE cluster SET labels = '{\"from\":\"the log\"}'").await;
    world.start().await.unwrap();
    assert_eq!(world.get("/v1/clusters/dev").await.ok().json["labels"]["from"], "the log");
}

#[cfg(unix)]
#[tokio::test]
async fn the_data_folder_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new().await;
    assert_eq!(std::fs::metadata(world.data_dir()).unwrap().permissions().mode() & 0o777, 0o700);
}
