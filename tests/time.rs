//! Time of the clusters: `--speed 60` makes a minute of theirs pass in a second of ours.

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
