//! Time of the clusters: `--speed 60` makes a minute of theirs pass in a second of ours, `--speed 0` makes it stand still
//! until somebody steps it.

mod common;

use std::time::Duration;

use common::Service;
use drydock_runtime::Stopwatch;

#[test]
fn a_cron_job_of_every_minute_runs_thrice_in_far_less_than_three_minutes() {
    let service = Service::start_with(&["--speed", "60"]);
    let kubectl = service.cluster("fast", 1);
    kubectl.until(&["nodes"], "{.items[*].status.conditions[?(@.type=='Ready')].status}", "True");
    let watch = Stopwatch::start();
    kubectl.ok(&[
        "create",
        "cronjob",
        "tick",
        "--image=busybox",
        "--schedule=* * * * *",
        "--restart=Never",
        "--",
        "true",
    ]);
    let jobs = common::eventually("three runs", || {
        let jobs = kubectl.get(&["jobs"], "{range .items[*]}{.metadata.name} {end}");
        if jobs.split_whitespace().count() >= 3 { Ok(jobs) } else { Err(jobs) }
    });
    // Two whole minutes of the cluster lie between the first run and the third.
    assert!(watch.elapsed() < Duration::from_secs(60), "{:?}", watch.elapsed());
    // A run is named after the minute it was due at: no minute runs twice, and they follow each other.
    let mut minutes: Vec<u64> = jobs
        .split_whitespace()
        .map(|name| name.strip_prefix("tick-").expect("named after its cron job").parse().expect("a minute"))
        .collect();
    minutes.sort_unstable();
    let all_differ = minutes.windows(2).all(|pair| pair[0] < pair[1]);
    assert!(all_differ, "{minutes:?}");
}

#[test]
fn a_job_is_collected_when_its_time_to_live_has_passed() {
    let service = Service::start_with(&["--speed", "60"]);
    let kubectl = service.cluster("ttl", 1);
    kubectl.feed(
        &["apply"],
        "
apiVersion: batch/v1
kind: Job
metadata: {name: short}
spec:
  ttlSecondsAfterFinished: 300
  template:
    spec:
      restartPolicy: Never
      containers: [{name: a, image: busybox, command: ['true']}]
",
    );
    kubectl.until(&["job", "short"], "{.status.succeeded}", "1");
    kubectl.until(&["jobs,pods"], "{.items[*].metadata.name}", "");
}

/// The time in a cluster.
fn now(service: &Service, cluster: &str) -> jiff::Timestamp {
    let clock = service.ok(&["cluster", "clock", cluster, "-o", "json"]);
    let clock: serde_json::Value = serde_json::from_str(&clock).expect("JSON");
    clock["now"].as_str().expect("a time").parse().expect("a time")
}

#[test]
fn time_that_is_stepped_by_hand_passes_only_then_and_then_everything_due_happens() {
    let mut service = Service::start_with(&["--speed", "0"]);
    let kubectl = service.cluster("still", 0);
    let start = now(&service, "still");
    assert_eq!(now(&service, "still"), start);
    // Machines boot in their cluster's time.
    let created =
        service.ok(&["node-pool", "create", "p", "--cluster", "still", "--nodes", "2", "-o", "json"]);
    let created: serde_json::Value = serde_json::from_str(&created).expect("JSON");
    service.ok(&["cluster", "clock", "still", "--advance", "30s"]);
    service.ok(&["operation", "wait", created["id"].as_str().expect("an id"), "--timeout", "20s"]);
    assert_eq!(now(&service, "still"), start + Duration::from_secs(30));

    kubectl.feed(
        &["apply"],
        "
apiVersion: batch/v1
kind: Job
metadata: {name: short}
spec:
  ttlSecondsAfterFinished: 3600
  template:
    spec:
      restartPolicy: Never
      containers: [{name: a, image: busybox, command: ['true']}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: hourly}
spec:
  schedule: '0 * * * *'
  successfulJobsHistoryLimit: 10
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: a, image: busybox, command: ['true']}]
",
    );
    let jobs = || kubectl.get(&["jobs"], "{range .items[*]}{.metadata.name} {end}");
    service.ok(&["cluster", "clock", "still", "--advance", "1m"]);
    kubectl.until(&["job", "short"], "{.status.succeeded}", "1");
    service.ok(&["cluster", "clock", "still", "--advance", "58m"]);
    assert!(jobs().contains("short "), "its hour has not passed: {}", jobs());
    service.ok(&["cluster", "clock", "still", "--advance", "1m30s"]);
    common::eventually("the job is collected", || {
        let jobs = jobs();
        if jobs.contains("short ") { Err(jobs) } else { Ok(()) }
    });
    assert_eq!(jobs().split_whitespace().count(), 1, "one full hour has struck: {}", jobs());
    // Nodes lived through all that time: nothing was late, no pod was evicted.
    let ready = "{.items[*].status.conditions[?(@.type=='Ready')].status}";
    assert_eq!(kubectl.get(&["nodes"], ready), "True True");

    // It is as late after a stop, and after a kill.
    let before = now(&service, "still");
    service.stop();
    service.launch();
    common::eventually("the cluster is back", || {
        let output = service.drydock(&["cluster", "clock", "still"]);
        if output.status.success() { Ok(()) } else { Err(common::text(&output.stderr)) }
    });
    assert_eq!(now(&service, "still"), before);
    service.ok(&["cluster", "clock", "still", "--advance", "5m"]);
    service.kill();
    service.launch();
    common::eventually("the cluster is back", || {
        let output = service.drydock(&["cluster", "clock", "still"]);
        if output.status.success() { Ok(()) } else { Err(common::text(&output.stderr)) }
    });
    assert_eq!(now(&service, "still"), before + Duration::from_secs(300));

    // Machines take their time to shut down: a cluster that goes is given it.
    service.ok(&["cluster", "delete", "still", "--wait"]);
}

#[test]
fn a_cluster_may_have_a_speed_of_its_own_and_keeps_it() {
    let mut service = Service::start();
    service.cluster("fast", 0);
    service.cluster("real", 0);
    service.ok(&["cluster", "clock", "fast", "--speed", "3600"]);
    let (fast, real) = (now(&service, "fast"), now(&service, "real"));
    common::eventually("an hour passes in a second or so", || {
        let passed = now(&service, "fast").duration_since(fast);
        if passed.as_secs() >= 3600 { Ok(()) } else { Err(passed.to_string()) }
    });
    assert!(now(&service, "real").duration_since(real).as_secs() < 60);
    service.stop();
    service.launch();
    let told = common::eventually("the cluster is back", || {
        let output = service.drydock(&["cluster", "clock", "fast"]);
        if output.status.success() {
            Ok(common::text(&output.stdout))
        } else {
            Err(common::text(&output.stderr))
        }
    });
    assert!(told.contains("3600 times real time"), "{told}");
}
