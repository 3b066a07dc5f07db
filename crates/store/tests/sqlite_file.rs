//! What the file keeps, and which files are refused.

use std::path::Path;
use std::sync::Arc;

use drydock_runtime::fault::{self, Fault};
use drydock_store::sqlite::{SqliteStore, Writers};
use drydock_store::{Durability, Payload, Range, Store, StoreError, Txn, Write};
use futures::StreamExt;

fn put(key: &str, value: &str, durability: Durability) -> Txn {
    let write =
        Write::Put { key: key.into(), value: Payload::new(value.as_bytes().to_vec()), expires_at: None };
    Txn { writes: vec![write], durability, ..Txn::default() }
}

fn durable(key: &str, value: &str) -> Txn {
    put(key, value, Durability::Durable)
}

fn open(path: &Path) -> Result<Arc<SqliteStore>, StoreError> {
    SqliteStore::open(path, &Writers::new(1)).map(Arc::new)
}

async fn contents(store: &SqliteStore) -> Vec<(String, String)> {
    let range = store.range(Range::default()).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    range.entries.iter().map(|entry| (entry.key.to_string(), text(&entry.value.bytes()))).collect()
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = open(&path).unwrap();
    store.commit(durable("a", "1")).await.unwrap();
    store.commit(put("lease", "x", Durability::Volatile)).await.unwrap();
    store.commit(durable("a", "2")).await.unwrap();
    store.commit(put("lease", "y", Durability::Volatile)).await.unwrap();
    store.close().await.unwrap();

    let store = open(&path).unwrap();
    assert_eq!(store.revision().await.unwrap(), 4);
    assert_eq!(contents(&store).await, [("a".into(), "2".into()), ("lease".into(), "y".into())]);
    assert_eq!(store.commit(durable("b", "3")).await.unwrap(), 5);
    let watch = store.watch("", 0).await.unwrap();
    let revisions: Vec<_> = watch.take(5).map(|batch| batch.unwrap().revision).collect().await;
    assert_eq!(revisions, [1, 2, 3, 4, 5]);
}

/// A store that is dropped without a close, as by a kill, leaves its connection to a copy of the file.
#[tokio::test]
async fn revisions_are_not_given_out_twice_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = open(&path).unwrap();
    store.commit(durable("a", "1")).await.unwrap();
    let mut last = 0;
    for i in 0..5000 {
        last = store.commit(put("lease", &i.to_string(), Durability::Volatile)).await.unwrap();
    }
    let copy = folder.path().join("copy.db");
    std::fs::copy(&path, &copy).unwrap();
    std::fs::copy(path.with_extension("db-wal"), copy.with_extension("db-wal")).unwrap();
    let survivor = open(&copy).unwrap();
    assert!(survivor.revision().await.unwrap() >= last);
    assert_eq!(contents(&survivor).await[0], ("a".into(), "1".into()));
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("good.db")).unwrap();
    store.commit(durable("a", "1")).await.unwrap();
    store.close().await.unwrap();
    let good = std::fs::read(folder.path().join("good.db")).unwrap();
    let with = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    let cases = [
        (b"hello, world".to_vec(), "not a SQLite file"),
        (with(0, b"Xqlite"), "not a SQLite file"),
        (with(60, &[0, 0, 0, 9]), "newer Drydock (format 9"),
        (with(68, &[0, 0, 0, 0]), "not a Drydock store"),
        (with(100, &[0xff; 300]), "damaged"),
    ];
    for (bytes, expected) in cases {
        let path = folder.path().join("bad.db");
        std::fs::write(&path, &bytes).unwrap();
        let error = open(&path).unwrap_err();
        let StoreError::Unusable { why, .. } = &error else { panic!("{error:?}") };
        assert!(why.contains(expected), "{why} should say {expected}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{expected}: the file was changed");
    }
}

#[tokio::test]
async fn a_file_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = open(&path).unwrap();
    store.commit(durable("a", "1")).await.unwrap();
    let StoreError::Unusable { why, .. } = open(&path).unwrap_err() else { panic!() };
    assert_eq!(why, "in use by another process");
    store.commit(durable("a", "2")).await.unwrap();
}

#[tokio::test]
async fn a_commit_that_fails_on_disk_is_rolled_back_and_the_next_one_works() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("state.db")).unwrap();
    store.commit(durable("a", "1")).await.unwrap();
    fault::arm("store.commit.before", Fault::ErrorOnce);
    let error = store.commit(durable("a", "2")).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert_eq!(contents(&store).await, [("a".into(), "1".into())]);
    assert_eq!(store.commit(durable("a", "3")).await.unwrap(), 2);
    assert_eq!(contents(&store).await, [("a".into(), "3".into())]);
}

/// What was written volatile before a commit that failed is written with the next one, and nothing of the failed one is.
#[tokio::test]
async fn a_commit_that_fails_keeps_what_waited_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = open(&path).unwrap();
    let volatile = |key: &str, value: &str| Txn { durability: Durability::Volatile, ..durable(key, value) };
    store.commit(volatile("lease", "1")).await.unwrap();
    store.commit(volatile("lease", "2")).await.unwrap();
    fault::arm("store.commit.after", Fault::ErrorOnce);
    let mut two = durable("a", "1");
    two.writes.extend(durable("b", "1").writes);
    store.commit(two).await.unwrap_err();
    assert_eq!(store.commit(durable("c", "1")).await.unwrap(), 3);
    store.close().await.unwrap();
    let again = open(&path).unwrap();
    assert_eq!(contents(&again).await, [("c".into(), "1".into()), ("lease".into(), "2".into())]);
}

/// One thread for two tenants: who is busy all the time does not keep it.
#[tokio::test]
async fn busy_tenants_take_turns() {
    use std::sync::atomic::{AtomicBool, Ordering};

    const MOST: usize = 5_000;
    let folder = tempfile::tempdir().unwrap();
    let writers = Writers::new(1);
    let open = |name: &str| SqliteStore::open(&folder.path().join(name), &writers).unwrap();
    let (busy, other) = (open("busy.db"), open("other.db"));
    let done = AtomicBool::new(false);
    let flood = |task: usize| {
        let (busy, done) = (&busy, &done);
        async move {
            let mut count = 0;
            while !done.load(Ordering::Relaxed) {
                busy.commit(durable(&format!("{task}"), "x")).await.unwrap();
                count += 1;
                assert!(count < MOST, "the other tenant waits while {count} commits went by");
            }
        }
    };
    let quiet = async {
        for _ in 0..20 {
            other.commit(durable("a", "x")).await.unwrap();
        }
        done.store(true, Ordering::Relaxed);
    };
    futures::join!(futures::future::join_all((0..16).map(flood)), quiet);
}
