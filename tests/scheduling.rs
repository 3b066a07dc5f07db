//! Profiles of a cluster's scheduler, and why its pods are where they are.

mod common;

use common::{Kubectl, Service, eventually};
use serde_json::Value;

/// One profile spreads pods, the other packs them; neither looks at anything but CPU.
const PROFILES: &str = "
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
podInitialBackoffSeconds: 1
podMaxBackoffSeconds: 2
profiles:
- schedulerName: default-scheduler
- schedulerName: packing
  plugins:
    multiPoint:
      disabled: [{name: NodeResourcesBalancedAllocation}, {name: ImageLocality}]
    score:
      enabled: [{name: NodeResourcesFit, weight: 10}]
  pluginConfig:
  - name: NodeResourcesFit
    args: {scoringStrategy: {type: MostAllocated, resources: [{name: cpu, weight: 1}]}}
";

fn pod(name: &str, scheduler: &str, cpu: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  schedulerName: {scheduler}\n  \
         containers: [{{name: c, image: i, resources: {{requests: {{cpu: {cpu}}}}}}}]\n"
    )
}

/// Creates the pod and answers its node.
#[track_caller]
fn placed(kubectl: &Kubectl, name: &str, scheduler: &str, cpu: &str) -> String {
    kubectl.feed(&["create"], &pod(name, scheduler, cpu));
    kubectl.until(&["pod", name], "{.status.conditions[?(@.type==\"PodScheduled\")].status}", "True");
    kubectl.get(&["pod", name], "{.spec.nodeName}")
}

fn write(service: &Service, name: &str, text: &str) -> String {
    let path = service.path(name);
    std::fs::write(&path, text).unwrap();
    path.to_string_lossy().into_owned()
}

#[track_caller]
fn explained(service: &Service, pod: &str) -> Value {
    eventually(&format!("an explanation of {pod}"), || {
        let output = service.drydock(&["explain-scheduling", pod, "--cluster", "s", "-o", "json"]);
        if output.status.success() {
            Ok(serde_json::from_slice(&output.stdout).unwrap())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    })
}

#[test]
fn pods_are_scheduled_by_their_profiles() {
    let mut service = Service::start();
    let profiles = write(&service, "profiles.yaml", PROFILES);
    service.ok(&["cluster", "create", "s", "--nodes", "3", "--scheduler-config", &profiles, "--wait"]);
    let kubectl = service.kubectl("s");
    kubectl.ok(&["wait", "--for=condition=Ready", "nodes", "--all", "--timeout=60s"]);

    let first = placed(&kubectl, "first", "packing", "500m");
    assert_eq!(placed(&kubectl, "second", "packing", "100m"), first, "packed");
    assert_ne!(placed(&kubectl, "third", "default-scheduler", "100m"), first, "spread");
    let said = "{.items[?(@.reason==\"Scheduled\")].reportingComponent}";
    let of_first = "--field-selector=involvedObject.name=first";
    kubectl.until(&["events", of_first], said, "packing");

    // Nobody's, until it has a profile; that of the file that was there before has gone then.
    kubectl.feed(&["create"], &pod("late", "late", "100m"));
    let output = service.drydock(&["explain-scheduling", "late", "-c", "s"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&output.stderr).contains("schedulerName \"late\" has no profile"));
    let late =
        write(&service, "late.yaml", &PROFILES.replace("schedulerName: packing", "schedulerName: late"));
    service.ok(&["cluster", "update", "s", "--scheduler-config", &late]);
    kubectl.until(&["pod", "late"], "{.spec.nodeName}", &first);

    // A file that is wrong changes nothing, and says where.
    let wrong = write(&service, "wrong.yaml", &PROFILES.replace("MostAllocated", "Most"));
    let output = service.drydock(&["cluster", "update", "s", "--scheduler-config", &wrong]);
    assert_eq!(output.status.code(), Some(4));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let path = "schedulerConfiguration.profiles[1].pluginConfig[0].args.scoringStrategy.type";
    let why = "Unsupported value: \"Most\": supported values: \"LeastAllocated\", \"MostAllocated\", \
               \"RequestedToCapacityRatio\"";
    assert!(told.contains(&format!("{path}: {why}")), "{told}");

    // What is recorded is there after a restart.
    service.stop();
    service.launch();
    eventually("the cluster serves", || {
        let shown = service.ok(&["cluster", "get", "s", "-o", "json"]);
        let shown: Value = serde_json::from_str(&shown).unwrap();
        if shown["state"] == "active" { Ok(()) } else { Err(shown.to_string()) }
    });
    assert_eq!(placed(&kubectl, "again", "late", "100m"), first);
    service.ok(&["cluster", "update", "s", "--unset", "scheduler-config"]);
    assert_ne!(placed(&kubectl, "default", "default-scheduler", "100m"), first);
}

#[test]
fn why_a_pod_is_where_it_is_or_nowhere() {
    let service = Service::start();
    let profiles = write(&service, "profiles.yaml", PROFILES);
    service.ok(&["cluster", "create", "s", "--nodes", "3", "--scheduler-config", &profiles, "--wait"]);
    let kubectl = service.kubectl("s");
    kubectl.ok(&["wait", "--for=condition=Ready", "nodes", "--all", "--timeout=60s"]);
    let names = kubectl.get(&["nodes"], "{.items[*].metadata.name}");
    let mut names: Vec<&str> = names.split(' ').collect();
    names.sort_unstable();
    let [tainted, cordoned, open] = names[..] else { panic!("{names:?}") };
    kubectl.ok(&["taint", "node", tainted, "team=blue:NoSchedule"]);
    kubectl.ok(&["cordon", cordoned]);

    // One that fits nowhere: the same words as in its condition, by node.
    kubectl.feed(&["create"], &pod("huge", "packing", "1000"));
    let message = "{.status.conditions[?(@.type==\"PodScheduled\")].message}";
    kubectl.until(
        &["pod", "huge"],
        "{.status.conditions[?(@.type==\"PodScheduled\")].reason}",
        "Unschedulable",
    );
    let huge = explained(&service, "huge");
    assert_eq!((&huge["profile"], huge.get("node")), (&"packing".into(), None));
    let told = huge["message"].as_str().unwrap();
    let condition = kubectl.get(&["pod", "huge"], message);
    assert!(condition.starts_with(told.trim_end_matches('.')), "{condition}\n{told}");
    let against = |name: &str| {
        let node = huge["nodes"].as_array().unwrap().iter().find(|node| node["name"] == name).unwrap();
        assert_eq!(node["feasible"], false);
        let failed = node["filters"].as_array().unwrap().last().unwrap();
        (failed["plugin"].as_str().unwrap().to_owned(), failed["reasons"][0].as_str().unwrap().to_owned())
    };
    let pair = |plugin: &str, reason: &str| (plugin.to_owned(), reason.to_owned());
    assert_eq!(against(tainted), pair("TaintToleration", "node(s) had untolerated taint(s)"));
    assert_eq!(against(cordoned), pair("NodeUnschedulable", "node(s) were unschedulable"));
    assert_eq!(against(open), pair("NodeResourcesFit", "Insufficient cpu"));

    // One that has its node: as if it was not there, by its own profile.
    assert_eq!(placed(&kubectl, "here", "packing", "500m"), open);
    kubectl.ok(&["uncordon", cordoned]);
    let here = eventually("both nodes would do", || {
        let here = explained(&service, "here");
        let fits = here["nodes"].as_array().unwrap().iter().filter(|node| node["feasible"] == true).count();
        if fits == 2 { Ok(here) } else { Err(here.to_string()) }
    });
    assert_eq!((&here["node"], &here["profile"]), (&open.into(), &"packing".into()));
    let scores = |explained: &Value, name: &str| {
        let node = explained["nodes"].as_array().unwrap().iter().find(|node| node["name"] == name).unwrap();
        let scores = node["scores"].as_array().unwrap();
        let sum: i64 = scores.iter().map(|score| score["weighted"].as_i64().unwrap()).sum();
        assert_eq!(node["total"], sum);
        scores.iter().map(|score| (score["plugin"].clone(), score["weight"].clone())).collect::<Vec<_>>()
    };
    let weights = [("NodeResourcesFit", 10), ("TaintToleration", 3)];
    assert_eq!(scores(&here, open), weights.map(|(plugin, weight)| (plugin.into(), weight.into())));

    // The other profile has other plugins; the best node of a pending pod is where it goes.
    let mut gated = pod("gated", "default-scheduler", "100m");
    gated.push_str("  schedulingGates: [{name: wait}]\n");
    kubectl.feed(&["create"], &gated);
    let held = explained(&service, "gated");
    assert_eq!(held["held"]["plugin"], "SchedulingGates");
    assert!(scores(&held, open).contains(&("NodeResourcesBalancedAllocation".into(), 1.into())));
    assert_eq!(held["best"], serde_json::json!([cordoned]), "the emptier one");
    kubectl.ok(&[
        "patch",
        "pod",
        "gated",
        "--type=json",
        "-p",
        r#"[{"op": "remove", "path": "/spec/schedulingGates"}]"#,
    ]);
    kubectl.until(&["pod", "gated"], "{.spec.nodeName}", cordoned);

    let table = service.ok(&["explain-scheduling", "huge", "-c", "s"]);
    assert!(
        table
            .starts_with("Pod:       default/huge\nProfile:   packing\nMessage:   0/3 nodes are available: "),
        "{table}"
    );
    let line = table.lines().find(|line| line.starts_with(open)).unwrap();
    let cells: Vec<&str> = line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    assert_eq!(cells, [open, "no", "-", "NodeResourcesFit: Insufficient cpu"]);
    let output = service.drydock(&["explain-scheduling", "none", "-c", "s"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no pod \"default/none\""));
}
