use drydock_auth::UserInfo;
use drydock_machinery::{GroupVersionResource, Object, Value, value};
use drydock_runtime::{Clock, Tasks};
use futures::FutureExt as _;

use super::*;

fn schema(name: &str, level: &str, precedence: i64, user: &str) -> Arc<Object> {
    let everything = value!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true,
        "namespaces": ["*"]});
    let object = value!({"metadata": {"name": name, "uid": format!("{name}-uid")}, "spec": {
        "priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence,
        "distinguisherMethod": {"type": "ByUser"},
        "rules": [{"subjects": [{"kind": "User", "user": {"name": user}}], "resourceRules": [everything]}]}});
    Arc::new(Object::new(object, 1))
}

fn level(name: &str, shares: i64, lendable: i64, response: Value) -> Arc<Object> {
    let object = value!({"metadata": {"name": name, "uid": format!("{name}-uid")}, "spec": {"type": "Limited",
        "limited": {"nominalConcurrencyShares": shares, "lendablePercent": lendable,
            "borrowingLimitPercent": 1000, "limitResponse": response}}});
    Arc::new(Object::new(object, 1))
}

fn queue(length: i64) -> Value {
    value!({"type": "Queue", "queuing": {"queues": 16, "handSize": 4, "queueLengthLimit": length}})
}

/// A gate over these objects only; 600 seats are shared by shares.
async fn gate(schemas: &[Arc<Object>], levels: &[Arc<Object>]) -> Flow {
    let tasks = Tasks::new("test", Clock::real());
    let store = Arc::new(drydock_store::memory::MemoryStore::new());
    let cache = Cache::start(store, &tasks).await.unwrap();
    let flow = Flow::new(&cache);
    let versions = (flow.schemas.revision(), flow.levels.revision());
    let config = Config::new(schemas.iter(), levels.iter(), versions);
    flow.state.lock().configure(&config);
    *flow.config.write() = Arc::new(config);
    flow
}

async fn enter(flow: &Flow, user: &str, seats: u32) -> Result<Ticket, Rejection> {
    let user = UserInfo::new(user, &[]);
    let attributes = Attributes { namespace: "a", ..Attributes::resource(&user, "get", "", "pods") };
    let classified = flow.classify(&attributes);
    flow.enter(&classified, &attributes, seats).await
}

#[tokio::test]
async fn the_schema_of_the_least_precedence_decides() {
    let levels = [level("one", 1, 0, queue(5)), level("two", 1, 0, queue(5))];
    let schemas =
        [schema("late", "two", 20, "*"), schema("early", "one", 10, "ann"), schema("lost", "none", 1, "*")];
    let flow = gate(&schemas, &levels).await;
    let check = |user: &str, expected: &str| {
        let user = UserInfo::new(user, &[]);
        let attributes = Attributes { namespace: "a", ..Attributes::resource(&user, "get", "", "pods") };
        assert_eq!(flow.classify(&attributes).uids().0, expected);
        // Neither schema is about paths.
        assert_eq!(flow.classify(&Attributes::path(&user, "get", "/metrics")).uids().0, "");
    };
    check("ann", "early-uid");
    check("bob", "late-uid");
}

#[tokio::test]
async fn who_finds_no_seat_waits_until_one_is_free() {
    let flow = gate(&[schema("all", "only", 10, "*")], &[level("only", 1, 0, queue(5))]).await;
    let all = enter(&flow, "ann", 600).await.unwrap();
    let mut waiting = Box::pin(enter(&flow, "ann", 1));
    assert!(waiting.as_mut().now_or_never().is_none());
    drop(all);
    assert!(waiting.await.is_ok());
}

#[tokio::test]
async fn a_level_without_queues_turns_away() {
    let reject = value!({"type": "Reject"});
    let flow = gate(&[schema("all", "only", 10, "*")], &[level("only", 1, 0, reject)]).await;
    let _all = enter(&flow, "ann", 600).await.unwrap();
    assert_eq!(enter(&flow, "ann", 1).await.unwrap_err(), Rejection::ConcurrencyLimit);
    let mut metrics = String::new();
    flow.write_metrics(&mut metrics);
    let line = "apiserver_flowcontrol_rejected_requests_total{flow_schema=\"all\",priority_level=\"only\",\
                reason=\"concurrency-limit\"} 1";
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
}

#[tokio::test]
async fn a_flood_waits_for_itself_and_others_go_on() {
    let flow = gate(&[schema("all", "only", 10, "*")], &[level("only", 1, 0, queue(50))]).await;
    let all = enter(&flow, "flood", 600).await.unwrap();
    let mut flood: Vec<_> = (0..400).map(|_| Box::pin(enter(&flow, "flood", 600))).collect();
    let refused = flood.iter_mut().filter_map(|request| request.now_or_never()).collect::<Vec<_>>();
    // Its hand of four queues is full.
    assert_eq!(refused.len(), 400 - 4 * 50);
    assert!(refused.iter().all(|answer| *answer.as_ref().unwrap_err() == Rejection::QueueFull));
    let mut quiet = Box::pin(enter(&flow, "quiet", 600));
    assert!(quiet.as_mut().now_or_never().is_none());
    drop(all);
    // One request of the flood may have been first; then it is the other's turn.
    let mut before = 0;
    while quiet.as_mut().now_or_never().is_none() {
        let served =
            flood.iter_mut().position(|request| request.now_or_never().is_some_and(|done| done.is_ok()));
        drop(flood.swap_remove(served.expect("somebody has the seats")));
        before += 1;
        assert!(before <= 4, "the flood went first {before} times");
    }
}

#[tokio::test]
async fn idle_levels_lend_and_have_their_seats_back_at_once() {
    let levels = [level("one", 1, 50, queue(5)), level("two", 1, 0, queue(5))];
    let schemas = [schema("one", "one", 10, "ann"), schema("two", "two", 10, "bob")];
    let flow = gate(&schemas, &levels).await;
    // 300 seats of its own and 150 lent.
    let many = futures::future::join_all((0..450).map(|_| enter(&flow, "bob", 1))).await;
    assert!(many.iter().all(Result::is_ok));
    assert!(Box::pin(enter(&flow, "bob", 1)).now_or_never().is_none());
    let own = futures::future::join_all((0..300).map(|_| enter(&flow, "ann", 1))).await;
    assert!(own.iter().all(Result::is_ok));
}

#[tokio::test]
async fn who_goes_away_leaves_no_place_taken() {
    let flow = gate(&[schema("all", "only", 10, "*")], &[level("only", 1, 0, queue(1))]).await;
    let all = enter(&flow, "ann", 600).await.unwrap();
    for _ in 0..20 {
        let mut waiting = Box::pin(enter(&flow, "ann", 1));
        assert!(waiting.as_mut().now_or_never().is_none());
    }
    drop(all);
    assert!(enter(&flow, "ann", 600).now_or_never().is_some_and(|done| done.is_ok()));
}

#[tokio::test]
async fn objects_take_effect_when_they_change() {
    let tasks = Tasks::new("test", Clock::real());
    let server = crate::testing::open(&tasks, Clock::real()).await;
    let flow = Flow::new(server.cache());
    let client = server.client(UserInfo::api_server());
    let user = UserInfo::new("ann", &[]);
    let attributes = Attributes { namespace: "a", ..Attributes::resource(&user, "get", "", "pods") };
    assert_eq!(flow.classify(&attributes).schema().name.as_ref(), "catch-all");
    const GROUP: &str = "flowcontrol.apiserver.k8s.io";
    for (resource, kind, object) in [
        ("prioritylevelconfigurations", "PriorityLevelConfiguration", level("slow", 1, 0, queue(5))),
        ("flowschemas", "FlowSchema", schema("for-ann", "slow", 10, "ann")),
    ] {
        let mut object = object.value().clone();
        object.set(&["apiVersion"], format!("{GROUP}/v1"));
        object.set(&["kind"], kind);
        object.remove(&["metadata", "uid"]);
        object.remove(&["metadata", "resourceVersion"]);
        let gvr = GroupVersionResource::new(GROUP, "v1", resource);
        client.create(&gvr, object).await.unwrap();
    }
    assert_eq!(flow.classify(&attributes).schema().name.as_ref(), "for-ann");
}
