//! A watch that is cut by `kill -9` goes on where it was when the service is back: no event is lost, none comes twice.

use futures::{StreamExt, TryStreamExt, pin_mut};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::objects::config_map;
use crate::{cluster, eventually, namespaced};

const LAST: &str = "z-last";

/// Follows until the last object comes; answers how often it listed, and the versions that came as events.
async fn follow(api: Api<ConfigMap>) -> (usize, Vec<(String, u64)>) {
    let (reader, writer) = reflector::store();
    let mut lists = 0;
    let mut events = Vec::new();
    let stream = reflector(writer, watcher(api, watcher::Config::default())).default_backoff();
    pin_mut!(stream);
    loop {
        match stream.next().await.expect("a watcher does not end") {
            Ok(watcher::Event::Init) => lists += 1,
            Ok(watcher::Event::Apply(map) | watcher::Event::InitApply(map)) => {
                let version =
                    map.resource_version().and_then(|version| version.parse().ok()).expect("a version");
                events.push((map.name_any(), version));
                if map.name_any() == LAST {
                    assert_eq!(reader.len(), events.len(), "the reflector's store holds what came");
                    return (lists, events);
                }
            }
            Ok(watcher::Event::Delete(map)) => panic!("{} was not deleted", map.name_any()),
            // The connection that the kill cuts, and those refused until the service is back.
            Ok(_) | Err(_) => {}
        }
    }
}

/// Creates config maps until one is refused; how many were acknowledged.
async fn write_until_killed(api: &Api<ConfigMap>) -> usize {
    for i in 0.. {
        if api.create(&PostParams::default(), &config_map(&format!("before-{i}"), json!({}))).await.is_err() {
            return i;
        }
    }
    unreachable!("the numbers do not end")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_survives_kill_9_without_losing_or_repeating_an_event() {
    let (mut service, client) = cluster(0).await;
    let api = namespaced::<ConfigMap>(&client);
    let root =
        kube::runtime::wait::await_condition(api.clone(), "kube-root-ca.crt", |map: Option<&ConfigMap>| {
            map.is_some()
        });
    root.await.expect("the root certificate");

    let write = async {
        // The watcher has listed once it sees the first event.
        let told = tokio::join!(write_until_killed(&api), async {
            let seen = watcher(api.clone(), watcher::Config::default()).applied_objects();
            let tenth = seen.try_filter(|map| std::future::ready(map.name_any() == "before-10"));
            pin_mut!(tenth);
            tenth.try_next().await.expect("a watch");
            tokio::task::block_in_place(|| service.kill());
        });
        tokio::task::block_in_place(|| service.launch());
        let told = told.0;
        assert!(told >= 10, "{told} acknowledged before the kill");
        let post = PostParams::default();
        eventually("the cluster answers", async || api.get("kube-root-ca.crt").await).await;
        for i in 0..10 {
            api.create(&post, &config_map(&format!("after-{i}"), json!({}))).await.expect("create");
        }
        api.create(&post, &config_map(LAST, json!({}))).await.expect("create");
        told
    };
    let ((lists, mut events), told) = tokio::join!(follow(api.clone()), write);

    assert_eq!(lists, 1, "the watch was resumed: nothing was listed again");
    let there = api.list(&kube::api::ListParams::default()).await.expect("list");
    let mut there: Vec<(String, u64)> = there
        .items
        .iter()
        .map(|map| (map.name_any(), map.resource_version().and_then(|v| v.parse().ok()).expect("a version")))
        .collect();
    there.sort_by_key(|(_, version)| *version);
    // What was there when it listed came in the order of names.
    events.sort_by_key(|(_, version)| *version);
    assert!(there.len() >= told + 11, "{told} acknowledged, {} there", there.len());
    assert_eq!(events, there, "each object came exactly once");
}
