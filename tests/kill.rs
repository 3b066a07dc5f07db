//! `kill -9` at any moment: every acknowledged write is there on the next start.

mod common;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{Kubectl, Service};

const ROUNDS: usize = 6;
const WRITERS: usize = 3;

/// Writes config maps until told to stop; remembers those that were acknowledged.
fn write(kubectl: &Kubectl, round: usize, writer: usize, stop: &AtomicBool, told: &Mutex<BTreeSet<String>>) {
    let mut i = 0;
    while !stop.load(Ordering::Relaxed) {
        let name = format!("r{round}-w{writer}-{i}");
        if kubectl.output(&["create", "configmap", &name]).status.success() {
            told.lock().expect("told").insert(name);
        }
        i += 1;
    }
}

#[test]
fn acknowledged_writes_survive_kills_under_load() {
    let mut service = Service::start();
    let kubectl = service.cluster("killed", 2);
    let told = Mutex::new(BTreeSet::new());
    let mut last_revision = 0_u64;
    for round in 0..ROUNDS {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (kubectl, stop, told) = (&kubectl, &stop, &told);
                scope.spawn(move || write(kubectl, round, writer, stop, told));
            }
            // Not a wait for anything: the moment of the kill is what varies.
            std::thread::sleep(Duration::from_millis(600 + 170 * round as u64));
            service.kill();
            stop.store(true, Ordering::Relaxed);
        });
        service.launch();
        let names = common::eventually("the cluster answers", || {
            let output = kubectl.output(&["get", "configmaps", "-o", "jsonpath={.items[*].metadata.name}"]);
            if output.status.success() {
                Ok(common::text(&output.stdout))
            } else {
                Err(common::text(&output.stderr))
            }
        });
        let found: BTreeSet<&str> = names.split(' ').collect();
        let told = told.lock().expect("told");
        let lost: Vec<&String> = told.iter().filter(|name| !found.contains(name.as_str())).collect();
        assert!(lost.is_empty(), "round {round} lost {lost:?}");
        let revision: u64 =
            serde_json::from_str::<serde_json::Value>(&kubectl.ok(&["get", "configmaps", "-o", "json"]))
                .expect("JSON")["items"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|item| item["metadata"]["resourceVersion"].as_str()?.parse().ok())
                .max()
                .expect("some config map");
        assert!(revision >= last_revision, "revisions go up: {last_revision} then {revision}");
        last_revision = revision;
    }
    assert!(told.lock().expect("told").len() > ROUNDS, "the load was no load");
    // Reconciliation goes on, and no instance was made twice.
    kubectl.until(&["nodes"], "{.items[*].status.conditions[?(@.type=='Ready')].status}", "True True");
}
