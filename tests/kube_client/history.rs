//! Writers, watchers and kills at random, and then a look at what everybody saw: every watcher saw one and the same
//! history, each event once and in order, and in it every write that was acknowledged, in the order of real time.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::objects::config_map;
use crate::{Service, cluster, eventually, namespaced, wall};

const WRITERS: u64 = 4;
const WATCHERS: usize = 3;
const NAMES: u64 = 10;
const KILLS: u64 = 4;
const LAST: &str = "z-last";
const SELECTOR: &str = "history=yes";

/// An acknowledged write of a value; times are numbers that go up.
#[derive(Clone, Debug)]
struct Put {
    name: String,
    value: String,
    revision: u64,
    started: u64,
    ended: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Added,
    Modified,
    Deleted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Event {
    kind: Kind,
    name: String,
    value: String,
    revision: u64,
}

/// What one watcher saw: the objects when it began, and every event since.
struct Seen {
    revision: u64,
    objects: BTreeMap<String, String>,
    events: Vec<Event>,
}

#[derive(Default)]
struct Told {
    time: AtomicU64,
    stop: AtomicBool,
    puts: Mutex<Vec<Put>>,
    deletes: Mutex<BTreeMap<String, usize>>,
}

impl Told {
    fn now(&self) -> u64 {
        self.time.fetch_add(1, Ordering::SeqCst)
    }
}

fn value(map: &ConfigMap) -> String {
    map.data.as_ref().and_then(|data| data.get("value")).cloned().unwrap_or_default()
}

fn revision(map: &ConfigMap) -> u64 {
    map.resource_version().and_then(|version| version.parse().ok()).expect("a version")
}

fn labelled(name: &str, value: &str) -> ConfigMap {
    let mut map = config_map(name, json!({"value": value}));
    map.metadata.labels = Some([("history".to_owned(), "yes".to_owned())].into());
    map
}

/// Creates, changes and deletes a few names until told to stop; remembers what was acknowledged.
async fn write(api: &Api<ConfigMap>, told: &Told, writer: u64) {
    let mut random = writer + 1;
    for i in 0.. {
        if told.stop.load(Ordering::SeqCst) {
            return;
        }
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let name = format!("n{}", (random >> 33) % NAMES);
        let new = format!("w{writer}-{i}");
        let started = told.now();
        let written = match (random >> 50) % 5 {
            0 => {
                if api.delete(&name, &DeleteParams::default()).await.is_ok() {
                    *told.deletes.lock().expect("deletes").entry(name).or_default() += 1;
                }
                continue;
            }
            1 | 2 => api.create(&PostParams::default(), &labelled(&name, &new)).await,
            _ => {
                let patch = Patch::Merge(json!({"data": {"value": new}}));
                api.patch(&name, &PatchParams::default(), &patch).await
            }
        };
        match written {
            Ok(map) => {
                let put = Put { name, value: new, revision: revision(&map), started, ended: told.now() };
                told.puts.lock().expect("puts").push(put);
            }
            // Somebody else was faster: there is one already, or none any more.
            Err(kube::Error::Api(_)) => {}
            // The service is away.
            Err(_) => wall::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Follows from a list on, over all interruptions, until the last object comes.
async fn watch(api: &Api<ConfigMap>) -> Seen {
    let list = api.list(&ListParams::default().labels(SELECTOR)).await.expect("list");
    let start = list.metadata.resource_version.expect("a version");
    let objects = list.items.iter().map(|map| (map.name_any(), value(map))).collect();
    let mut seen = Seen { revision: start.parse().expect("a number"), objects, events: Vec::new() };
    let mut last = start;
    loop {
        let params = WatchParams::default().labels(SELECTOR);
        let Ok(stream) = api.watch(&params, &last).await else {
            wall::sleep(Duration::from_millis(10)).await;
            continue;
        };
        pin_mut!(stream);
        while let Some(Ok(event)) = stream.next().await {
            let (kind, map) = match event {
                WatchEvent::Added(map) => (Kind::Added, map),
                WatchEvent::Modified(map) => (Kind::Modified, map),
                WatchEvent::Deleted(map) => (Kind::Deleted, map),
                WatchEvent::Bookmark(_) => continue,
                WatchEvent::Error(status) => panic!("the watch could not be resumed: {status:?}"),
            };
            last = map.resource_version().expect("a version");
            let (name, value, revision) = (map.name_any(), value(&map), revision(&map));
            let is_last = name == LAST;
            seen.events.push(Event { kind, name, value, revision });
            if is_last {
                return seen;
            }
        }
    }
}

/// Kills the service again and again, at moments that vary.
async fn kill(service: &mut Service, api: &Api<ConfigMap>) {
    for round in 0..KILLS {
        // Not a wait for anything: the moment of the kill is what varies.
        wall::sleep(Duration::from_millis(700 + 230 * round)).await;
        tokio::task::block_in_place(|| {
            service.kill();
            service.launch();
        });
        eventually("the cluster answers", async || api.list(&ListParams::default()).await).await;
    }
}

/// Events follow from each other, beginning with the objects; answers where they lead.
fn replay(seen: &Seen) -> BTreeMap<String, String> {
    let mut objects = seen.objects.clone();
    let mut last = seen.revision;
    for event in &seen.events {
        assert!(event.revision > last, "out of order or repeated after {last}: {event:?}");
        last = event.revision;
        let before = match event.kind {
            Kind::Deleted => objects.remove(&event.name),
            _ => objects.insert(event.name.clone(), event.value.clone()),
        };
        assert_eq!(before.is_none(), event.kind == Kind::Added, "{event:?} after {before:?}");
    }
    objects
}

/// Every acknowledged write is among the events.
fn check_told(told: &Told, seen: &Seen) {
    let by_revision: BTreeMap<u64, &Event> =
        seen.events.iter().map(|event| (event.revision, event)).collect();
    for put in told.puts.lock().expect("puts").iter().filter(|put| put.revision > seen.revision) {
        let event = by_revision.get(&put.revision).unwrap_or_else(|| panic!("lost: {put:?}"));
        assert_eq!((&event.name, &event.value), (&put.name, &put.value));
    }
    for (name, count) in &*told.deletes.lock().expect("deletes") {
        let is_its = |event: &&Event| event.kind == Kind::Deleted && event.name == *name;
        assert!(seen.events.iter().filter(is_its).count() >= *count, "a deletion of {name} was lost");
    }
}

/// What was acknowledged before another write began has the lesser revision.
fn check_real_time(told: &Told) {
    let mut puts = told.puts.lock().expect("puts").clone();
    puts.sort_by_key(|put| put.revision);
    let mut latest_start = 0;
    for put in &puts {
        assert!(put.ended > latest_start, "a later write had a lesser revision than {put:?}");
        latest_start = latest_start.max(put.started);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_watchers_see_one_history_through_kills() {
    let (mut service, client) = cluster(0).await;
    let api = namespaced::<ConfigMap>(&client);
    let told = Told::default();
    let writers = join_all((0..WRITERS).map(|writer| write(&api, &told, writer)));
    let watchers = join_all((0..WATCHERS).map(|_| watch(&api)));
    let rest = async {
        kill(&mut service, &api).await;
        told.stop.store(true, Ordering::SeqCst);
    };
    let last = async {
        tokio::join!(writers, rest);
        api.create(&PostParams::default(), &labelled(LAST, "")).await.expect("create");
    };
    let (seen, ()) = tokio::join!(watchers, last);

    let list = api.list(&ListParams::default().labels(SELECTOR)).await.expect("list");
    let there: BTreeMap<String, String> = list.items.iter().map(|map| (map.name_any(), value(map))).collect();
    let began = seen.iter().map(|seen| seen.revision).max().expect("watchers");
    let since = |seen: &Seen| -> Vec<Event> {
        seen.events.iter().filter(|event| event.revision > began).cloned().collect()
    };
    for one in &seen {
        assert_eq!(replay(one), there);
        assert_eq!(since(one), since(&seen[0]), "two watchers saw different histories");
        check_told(&told, one);
    }
    check_real_time(&told);
    let puts = told.puts.lock().expect("puts").len();
    assert!(puts > 100, "only {puts} writes were acknowledged: the load was no load");
}
