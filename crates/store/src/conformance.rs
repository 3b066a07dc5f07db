//! What every engine must do. An engine's tests call [`store_conformance!`](crate::store_conformance) with a function
//! that makes an empty store; a store that does not pass is not a store.

use std::sync::Arc;

use futures::StreamExt;

use crate::{
    Batch, Check, Durability, Event, Payload, Range, Revision, Store, StoreError, Txn, Watch, Write,
};

/// Makes a `#[tokio::test]` of every behaviour. `$make` is an async function without arguments that answers
/// `(Arc<dyn Store>, guard)`; the guard lives as long as the test.
#[macro_export]
macro_rules! store_conformance {
    ($make:path) => {
        $crate::store_conformance!(@ $make:
            revisions_count_commits, checks_guard_writes, a_failed_check_writes_nothing,
            who_lost_sees_what_was_faster, several_keys_commit_together, ranges_are_ordered_and_paged, ranges_read_the_past,
            watches_deliver_every_commit_once, watches_resume_from_the_past, watches_see_their_prefix_only,
            recent_commits_are_at_hand, compaction_forgets_history_only, keys_expire, concurrent_writers_never_lose_an_update,
            volatile_writes_are_visible_and_counted, a_closed_store_answers_nothing,
            history_is_linear_for_concurrent_writers);
    };
    (@ $make:path: $($name:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let (store, _guard) = $make().await;
            $crate::conformance::$name(store).await;
        }
    )*};
}

type Subject = Arc<dyn Store>;

fn put(key: &str, value: &str) -> Write {
    Write::Put { key: key.into(), value: Payload::new(value.as_bytes().to_vec()), expires_at: None }
}

fn delete(key: &str) -> Write {
    Write::Delete { key: key.into() }
}

fn txn(writes: Vec<Write>) -> Txn {
    Txn { writes, ..Txn::default() }
}

fn if_at(key: &str, mod_revision: Revision, write: Write) -> Txn {
    Txn { checks: vec![Check { key: key.into(), mod_revision }], writes: vec![write], ..Txn::default() }
}

async fn read(store: &Subject, range: Range) -> Vec<(String, String, Revision, Revision)> {
    let result = store.range(range).await.expect("range");
    result
        .entries
        .into_iter()
        .map(|entry| {
            let value = String::from_utf8(entry.value.bytes().to_vec()).expect("utf-8");
            (entry.key.to_string(), value, entry.create_revision, entry.mod_revision)
        })
        .collect()
}

async fn all(store: &Subject) -> Vec<(String, String, Revision, Revision)> {
    read(store, Range::default()).await
}

fn row(key: &str, value: &str, create: Revision, modified: Revision) -> (String, String, Revision, Revision) {
    (key.to_owned(), value.to_owned(), create, modified)
}

async fn next(watch: &mut Watch) -> Arc<Batch> {
    watch.next().await.expect("the watch goes on").expect("the watch is sound")
}

/// An event as text: `+a=1`, `a=1>2`, `-a=2`.
fn show(event: &Event) -> String {
    let text = |value: &Payload| String::from_utf8_lossy(&value.bytes()).into_owned();
    match event {
        Event::Put { entry, previous: None } => format!("+{}={}", entry.key, text(&entry.value)),
        Event::Put { entry, previous: Some(previous) } => {
            format!("{}={}>{}", entry.key, text(&previous.value), text(&entry.value))
        }
        Event::Delete { previous } => format!("-{}={}", previous.key, text(&previous.value)),
    }
}

fn shows(batch: &Batch) -> Vec<String> {
    batch.events.iter().map(show).collect()
}

pub async fn revisions_count_commits(store: Subject) {
    assert_eq!(store.revision().await.unwrap(), 0);
    assert_eq!(store.commit(txn(vec![put("a", "1")])).await.unwrap(), 1);
    assert_eq!(store.commit(txn(vec![put("a", "2")])).await.unwrap(), 2);
    assert_eq!(store.commit(txn(vec![delete("absent")])).await.unwrap(), 3);
    assert_eq!(store.commit(txn(vec![delete("a")])).await.unwrap(), 4);
    assert_eq!(store.commit(txn(vec![put("a", "3")])).await.unwrap(), 5);
    assert_eq!(store.revision().await.unwrap(), 5);
    assert_eq!(all(&store).await, [row("a", "3", 5, 5)]);
}

pub async fn checks_guard_writes(store: Subject) {
    assert_eq!(store.commit(if_at("a", 0, put("a", "1"))).await.unwrap(), 1);
    let exists = store.commit(if_at("a", 0, put("a", "x"))).await;
    assert!(matches!(exists, Err(StoreError::Conflict { current: Some(_), .. })), "{exists:?}");
    assert_eq!(store.commit(if_at("a", 1, put("a", "2"))).await.unwrap(), 2);
    let stale = store.commit(if_at("a", 1, delete("a"))).await;
    assert!(
        matches!(&stale, Err(StoreError::Conflict { current: Some(entry), .. }) if entry.mod_revision == 2),
        "{stale:?}"
    );
    assert_eq!(store.commit(if_at("a", 2, delete("a"))).await.unwrap(), 3);
    let gone = store.commit(if_at("a", 2, put("a", "x"))).await;
    assert!(matches!(gone, Err(StoreError::Conflict { current: None, .. })), "{gone:?}");
}

pub async fn a_failed_check_writes_nothing(store: Subject) {
    store.commit(txn(vec![put("a", "1")])).await.unwrap();
    let mut both = if_at("b", 7, put("b", "x"));
    both.writes.push(put("a", "x"));
    store.commit(both).await.unwrap_err();
    assert_eq!(store.revision().await.unwrap(), 1);
    assert_eq!(all(&store).await, [row("a", "1", 1, 1)]);
}

pub async fn who_lost_sees_what_was_faster(store: Subject) {
    for i in 0..50 {
        let key = format!("k{i}");
        let winner = store.commit(txn(vec![put(&key, "1")]));
        let loser = async {
            let lost = store.commit(if_at(&key, 0, put(&key, "2"))).await;
            assert!(matches!(lost, Err(StoreError::Conflict { .. })), "{lost:?}");
            assert_eq!(store.revision().await.unwrap(), i + 1);
        };
        let (won, ()) = futures::join!(winner, loser);
        assert_eq!(won.unwrap(), i + 1);
    }
}

pub async fn several_keys_commit_together(store: Subject) {
    store.commit(txn(vec![put("a", "1"), put("b", "1")])).await.unwrap();
    let mut watch = store.watch("", 1).await.unwrap();
    store.commit(txn(vec![delete("a"), put("b", "2"), put("c", "2")])).await.unwrap();
    let batch = next(&mut watch).await;
    assert_eq!(batch.revision, 2);
    assert_eq!(shows(&batch), ["-a=1", "b=1>2", "+c=2"]);
    assert_eq!(all(&store).await, [row("b", "2", 1, 2), row("c", "2", 2, 2)]);
}

pub async fn ranges_are_ordered_and_paged(store: Subject) {
    for key in ["/b/2", "/a/1", "/b/1", "/b/3", "/c/1", "/b"] {
        store.commit(txn(vec![put(key, "")])).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let range = Range { prefix: "/b/".into(), after: after.clone(), limit: 2, revision: None };
        let result = store.range(range).await.unwrap();
        assert!(result.entries.len() <= 2);
        seen.extend(result.entries.iter().map(|entry| entry.key.to_string()));
        if !result.more {
            break;
        }
        after = seen.last().cloned().unwrap_or_default();
    }
    assert_eq!(seen, ["/b/1", "/b/2", "/b/3"]);
}

pub async fn ranges_read_the_past(store: Subject) {
    store.commit(txn(vec![put("a", "1"), put("b", "1")])).await.unwrap();
    store.commit(txn(vec![put("a", "2"), put("c", "2")])).await.unwrap();
    store.commit(txn(vec![delete("b")])).await.unwrap();
    let at = |revision| Range { revision: Some(revision), ..Range::default() };
    assert_eq!(read(&store, at(1)).await, [row("a", "1", 1, 1), row("b", "1", 1, 1)]);
    assert_eq!(read(&store, at(2)).await, [row("a", "2", 1, 2), row("b", "1", 1, 1), row("c", "2", 2, 2)]);
    assert_eq!(read(&store, at(3)).await, [row("a", "2", 1, 2), row("c", "2", 2, 2)]);
    let paged = Range { revision: Some(2), after: "a".into(), limit: 1, ..Range::default() };
    let result = store.range(paged).await.unwrap();
    assert_eq!((&*result.entries[0].key, result.more), ("b", true));
    let future = store.range(at(4)).await;
    assert!(matches!(future, Err(StoreError::FutureRevision { requested: 4, latest: 3 })), "{future:?}");
}

pub async fn watches_deliver_every_commit_once(store: Subject) {
    let mut watch = store.watch("", 0).await.unwrap();
    let writer = async {
        for i in 0..50 {
            store.commit(txn(vec![put("k", &i.to_string())])).await.unwrap();
        }
    };
    let reader = async {
        for i in 1..=50 {
            assert_eq!(next(&mut watch).await.revision, i);
        }
    };
    futures::join!(writer, reader);
}

pub async fn watches_resume_from_the_past(store: Subject) {
    for i in 1..=1000 {
        store.commit(txn(vec![put(&format!("k{}", i % 7), &i.to_string())])).await.unwrap();
    }
    store.commit(txn(vec![delete("k0")])).await.unwrap();
    let mut watch = store.watch("", 2).await.unwrap();
    for revision in 3..=1000 {
        let batch = next(&mut watch).await;
        assert_eq!(batch.revision, revision);
        let previous = if revision <= 7 { "+".to_owned() } else { format!("={}>", revision - 7) };
        assert!(shows(&batch)[0].contains(&previous), "{:?}", shows(&batch));
    }
    assert_eq!(shows(&*next(&mut watch).await), ["-k0=994"]);
}

pub async fn watches_see_their_prefix_only(store: Subject) {
    let mut watch = store.watch("/b/", 0).await.unwrap();
    store.commit(txn(vec![put("/a/1", "")])).await.unwrap();
    store.commit(txn(vec![put("/a/2", ""), put("/b/2", "")])).await.unwrap();
    let batch = next(&mut watch).await;
    assert_eq!((batch.revision, shows(&batch)), (2, vec!["+/b/2=".to_owned()]));
}

pub async fn recent_commits_are_at_hand(store: Subject) {
    for i in 1..=1000 {
        store.commit(txn(vec![put("k", &i.to_string())])).await.unwrap();
    }
    let revisions = |after| -> Option<Vec<Revision>> {
        Some(store.recent(after)?.iter().map(|batch| batch.revision).collect())
    };
    assert_eq!(revisions(990), Some((991..=1000).collect()));
    assert_eq!(revisions(1000), Some(Vec::new()));
    // Older ones need not be, but then none is said to be.
    let old = revisions(2);
    assert!(old.as_ref().is_none_or(|old| old.starts_with(&[3, 4, 5])), "{old:?}");
    store.compact(995).await.unwrap();
    assert_eq!(revisions(990), None);
    assert_eq!(revisions(995), Some((996..=1000).collect()));
}

pub async fn compaction_forgets_history_only(store: Subject) {
    store.commit(txn(vec![put("a", "1"), put("b", "1")])).await.unwrap();
    store.commit(txn(vec![put("a", "2")])).await.unwrap();
    store.commit(txn(vec![delete("b")])).await.unwrap();
    store.commit(txn(vec![put("a", "4")])).await.unwrap();
    store.compact(3).await.unwrap();
    assert_eq!(store.compacted_revision().await.unwrap(), 3);
    assert_eq!(all(&store).await, [row("a", "4", 1, 4)]);
    let old = store.range(Range { revision: Some(2), ..Range::default() }).await;
    assert!(matches!(old, Err(StoreError::Compacted { requested: 2, oldest: 3 })), "{old:?}");
    let at = Range { revision: Some(3), ..Range::default() };
    assert_eq!(read(&store, at).await, [row("a", "2", 1, 2)]);
    assert!(matches!(store.watch("", 2).await, Err(StoreError::Compacted { .. })));
    let mut watch = store.watch("", 3).await.unwrap();
    assert_eq!(shows(&*next(&mut watch).await), ["a=2>4"]);
    assert!(matches!(store.compact(9).await, Err(StoreError::FutureRevision { .. })));
}

pub async fn keys_expire(store: Subject) {
    let expiring =
        |key: &str, at| Write::Put { key: key.into(), value: Payload::new(Vec::new()), expires_at: Some(at) };
    store.commit(txn(vec![expiring("a", 10), expiring("b", 20), put("c", "")])).await.unwrap();
    assert_eq!(store.expire(9).await.unwrap(), 0);
    let mut watch = store.watch("", 1).await.unwrap();
    assert_eq!(store.expire(10).await.unwrap(), 1);
    assert_eq!(shows(&*next(&mut watch).await), ["-a="]);
    store.commit(txn(vec![put("b", "kept")])).await.unwrap();
    assert_eq!(store.expire(1000).await.unwrap(), 0);
    assert_eq!(all(&store).await.len(), 2);
}

pub async fn concurrent_writers_never_lose_an_update(store: Subject) {
    store.commit(txn(vec![put("counter", "0")])).await.unwrap();
    let increment = |store: Subject| async move {
        for _ in 0..25 {
            loop {
                let (_, value, _, at) = all(&store).await.remove(0);
                let next = (value.parse::<u32>().unwrap() + 1).to_string();
                if store.commit(if_at("counter", at, put("counter", &next))).await.is_ok() {
                    break;
                }
            }
        }
    };
    futures::future::join_all((0..8).map(|_| increment(store.clone()))).await;
    assert_eq!(all(&store).await[0].1, "200");
}

pub async fn volatile_writes_are_visible_and_counted(store: Subject) {
    let volatile = |value: &str| Txn { durability: Durability::Volatile, ..txn(vec![put("lease", value)]) };
    let mut watch = store.watch("", 0).await.unwrap();
    assert_eq!(store.commit(volatile("1")).await.unwrap(), 1);
    assert_eq!(store.commit(txn(vec![put("a", "")])).await.unwrap(), 2);
    assert_eq!(store.commit(volatile("3")).await.unwrap(), 3);
    for expected in [["+lease=1"], ["+a="], ["lease=1>3"]] {
        assert_eq!(shows(&*next(&mut watch).await), expected);
    }
    assert_eq!(all(&store).await, [row("a", "", 2, 2), row("lease", "3", 1, 3)]);
}

pub async fn a_closed_store_answers_nothing(store: Subject) {
    store.commit(txn(vec![put("a", "1")])).await.unwrap();
    let mut watch = store.watch("", 1).await.unwrap();
    store.close().await.unwrap();
    store.close().await.unwrap();
    assert!(matches!(store.commit(txn(vec![put("a", "2")])).await, Err(StoreError::Closed)));
    assert!(matches!(store.range(Range::default()).await, Err(StoreError::Closed)));
    assert!(matches!(watch.next().await, Some(Err(StoreError::Closed))));
}

/// Replays what a watch delivered over an empty model, and compares every step with what writers were told.
pub async fn history_is_linear_for_concurrent_writers(store: Subject) {
    let writer = |store: Subject, id: usize| async move {
        let mut acknowledged = Vec::new();
        for i in 0..60 {
            let key = format!("k{}", (id * 7 + i) % 5);
            let write = if i % 4 == 3 { delete(&key) } else { put(&key, &format!("{id}-{i}")) };
            let revision = store.commit(txn(vec![write])).await.unwrap();
            acknowledged.push((revision, key));
        }
        acknowledged
    };
    let told = futures::future::join_all((0..6).map(|id| writer(store.clone(), id))).await;
    let mut told: Vec<(Revision, String)> = told.into_iter().flatten().collect();
    told.sort();
    let revisions: Vec<Revision> = told.iter().map(|(revision, _)| *revision).collect();
    assert_eq!(revisions, (1..=360).collect::<Vec<_>>());

    let mut model = std::collections::BTreeMap::new();
    let mut watch = store.watch("", 0).await.unwrap();
    let last = store.commit(txn(vec![put("end", "")])).await.unwrap();
    let mut seen = 0;
    while seen < last {
        let batch = next(&mut watch).await;
        assert!(batch.revision > seen, "revisions go up");
        seen = batch.revision;
        for event in &batch.events {
            let writer_key = told.get(seen as usize - 1).map_or("end", |(_, key)| key);
            assert_eq!(&**event.key(), writer_key, "revision {seen} wrote its writer's key");
            let (before, after) = match event {
                Event::Put { entry, previous } => (previous.as_ref(), Some(entry.value.bytes())),
                Event::Delete { previous } => (Some(previous), None),
            };
            let known = match after {
                Some(value) => model.insert(event.key().clone(), value),
                None => model.remove(event.key()),
            };
            assert_eq!(before.map(|entry| entry.value.bytes()), known, "at revision {seen}");
        }
    }
    let latest: Vec<_> = all(&store).await.into_iter().map(|(key, value, ..)| (key, value)).collect();
    let model: Vec<_> = model
        .into_iter()
        .map(|(key, value)| (key.to_string(), String::from_utf8(value.to_vec()).unwrap()))
        .collect();
    assert_eq!(model, latest);
}
