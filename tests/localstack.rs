//! The whole product on EC2 in LocalStack, with the real aws CLI and real kubectl.
//!
//! `cargo xtask test` starts LocalStack (`localstack/start.sh`) and names it in `AWS_ENDPOINT_URL`.

mod common;

use std::collections::BTreeSet;
use std::process::Command;

use common::{Kubectl, Service, eventually, text, tool};
use serde_json::Value;

fn endpoint() -> String {
    std::env::var("AWS_ENDPOINT_URL").unwrap_or_else(|_| "http://127.0.0.1:4566".to_owned())
}

/// Real `aws ec2`, against LocalStack.
fn ec2(args: &[&str]) -> Value {
    let output = Command::new(tool("DRYDOCK_TEST_AWS", "aws"))
        .args(["--endpoint-url", &endpoint(), "--region", "us-east-1", "--output", "json", "ec2"])
        .args(args)
        .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
        .output()
        .expect("the aws CLI starts");
    assert!(
        output.status.success(),
        "aws ec2 {} (is LocalStack up at {}?):\n{}",
        args.join(" "),
        endpoint(),
        text(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

/// The ids of the cluster's instances in one of the given states.
fn instances(cluster: &str, states: &str) -> BTreeSet<String> {
    let tag = format!("Name=tag:kubernetes.io/cluster/{cluster},Values=owned");
    let state = format!("Name=instance-state-name,Values={states}");
    let answer = ec2(&["describe-instances", "--filters", &tag, &state]);
    let reservations = answer["Reservations"].as_array().cloned().unwrap_or_default();
    reservations
        .iter()
        .flat_map(|reservation| reservation["Instances"].as_array().cloned().unwrap_or_default())
        .filter_map(|instance| instance["InstanceId"].as_str().map(str::to_owned))
        .collect()
}

const ALIVE: &str = "pending,running,stopping,stopped";

fn cluster(service: &Service, name: &str, nodes: u32) -> Kubectl {
    let nodes = nodes.to_string();
    service.ok(&[
        "cluster",
        "create",
        name,
        "--provider",
        "aws",
        "--region",
        "us-east-1",
        "--nodes",
        &nodes,
        "--instance-type",
        "m5.large",
        "--wait",
    ]);
    service.kubectl(name)
}

fn start() -> Service {
    // Static credentials of LocalStack; the service's own environment is ours.
    Service::start_with(&["--speed", "10", "--aws-endpoint", &endpoint()])
}

/// The instance ids that Nodes name.
fn node_instances(kubectl: &Kubectl) -> BTreeSet<String> {
    let ids = kubectl.get(&["nodes"], "{.items[*].spec.providerID}");
    ids.split(' ')
        .filter_map(|id| id.rsplit('/').next())
        .filter(|id| !id.is_empty())
        .map(str::to_owned)
        .collect()
}

fn nodes_match_instances(kubectl: &Kubectl, cluster: &str, count: usize) -> BTreeSet<String> {
    eventually(&format!("{count} ready nodes, each an instance"), || {
        let ready = kubectl.get(&["nodes"], "{.items[*].status.conditions[?(@.type=='Ready')].status}");
        let (nodes, alive) = (node_instances(kubectl), instances(cluster, ALIVE));
        let taints = kubectl.get(&["nodes"], "{.items[*].spec.taints[*].key}");
        if nodes == alive
            && nodes.len() == count
            && ready.matches("True").count() == count
            && taints.is_empty()
        {
            Ok(nodes)
        } else {
            Err(format!("nodes {nodes:?}, instances {alive:?}, ready {ready:?}, taints {taints:?}"))
        }
    })
}

#[test]
fn node_pools_are_ec2_instances_through_their_whole_life() {
    let service = start();
    let name = format!("ls-{}", std::process::id());
    let kubectl = cluster(&service, &name, 2);
    nodes_match_instances(&kubectl, &name, 2);
    let zones = kubectl.get(&["nodes"], "{.items[*].metadata.labels.topology\\.kubernetes\\.io/zone}");
    assert!(zones.split(' ').all(|zone| zone.starts_with("us-east-1")), "{zones}");
    let provider_ids = kubectl.get(&["nodes"], "{.items[*].spec.providerID}");
    assert!(provider_ids.split(' ').all(|id| id.starts_with("aws:///us-east-1")), "{provider_ids}");
    let types = kubectl.get(&["nodes"], "{.items[*].metadata.labels.node\\.kubernetes\\.io/instance-type}");
    assert_eq!(types, "m5.large m5.large");

    service.ok(&["node-pool", "scale", "default", "--cluster", &name, "--nodes", "5", "--wait"]);
    let five = nodes_match_instances(&kubectl, &name, 5);
    service.ok(&["node-pool", "scale", "default", "--cluster", &name, "--nodes", "2", "--wait"]);
    let two = nodes_match_instances(&kubectl, &name, 2);
    assert!(two.is_subset(&five), "scaling down makes no new instances");

    let victim = two.first().expect("two instances");
    ec2(&["terminate-instances", "--instance-ids", victim]);
    let healed = eventually("the terminated instance is replaced", || {
        let now = instances(&name, ALIVE);
        if now.len() == 2 && !now.contains(victim) { Ok(now) } else { Err(format!("{now:?}")) }
    });
    assert_eq!(nodes_match_instances(&kubectl, &name, 2), healed);

    let stopped = healed.first().expect("two instances");
    ec2(&["stop-instances", "--instance-ids", stopped]);
    eventually("the stopped instance's node has the shutdown taint", || {
        let nodes: Value = serde_json::from_str(&kubectl.ok(&["get", "nodes", "-o", "json"])).expect("JSON");
        let node = nodes["items"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|node| node["spec"]["providerID"].as_str().is_some_and(|id| id.ends_with(stopped.as_str())))
            .cloned()
            .unwrap_or_default();
        let taints = node["spec"]["taints"].to_string();
        if taints.contains("node.cloudprovider.kubernetes.io/shutdown") { Ok(()) } else { Err(taints) }
    });

    service.ok(&["cluster", "delete", &name, "--wait"]);
    assert_eq!(instances(&name, ALIVE), BTreeSet::new());
    let tag = format!("Name=tag:kubernetes.io/cluster/{name},Values=owned");
    let groups = ec2(&["describe-security-groups", "--filters", &tag]);
    assert_eq!(groups["SecurityGroups"].as_array().map(Vec::len), Some(0), "{groups}");
    let templates = ec2(&["describe-launch-templates", "--filters", &tag]);
    assert_eq!(templates["LaunchTemplates"].as_array().map(Vec::len), Some(0), "{templates}");
}

#[test]
fn a_kill_in_the_middle_of_scaling_neither_leaks_nor_doubles_instances() {
    let mut service = start();
    let name = format!("lk-{}", std::process::id());
    let kubectl = cluster(&service, &name, 1);
    service.ok(&["node-pool", "scale", "default", "--cluster", &name, "--nodes", "4"]);
    for _ in 0..3 {
        std::thread::sleep(std::time::Duration::from_millis(400));
        service.kill();
        service.launch();
    }
    nodes_match_instances(&kubectl, &name, 4);
    service.ok(&["cluster", "delete", &name, "--wait"]);
    assert_eq!(instances(&name, ALIVE), BTreeSet::new());
}
