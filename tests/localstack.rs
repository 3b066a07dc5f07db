//! The whole product on EC2 in LocalStack, with the real aws CLI and real kubectl.
//!
//! `cargo xtask test` starts LocalStack (`localstack/start.sh`) and names it in `AWS_ENDPOINT_URL`.

mod common;

use std::collections::BTreeSet;
use std::process::Command;

use base64::Engine as _;
use common::proxy::Proxy;
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

fn tagged(cluster: &str) -> String {
    format!("Name=tag:kubernetes.io/cluster/{cluster},Values=owned")
}

/// Nothing that costs anything, or stands in anybody's way, is left of a cluster.
fn assert_nothing_is_left(cluster: &str) {
    assert_eq!(instances(cluster, ALIVE), BTreeSet::new());
    for (command, list) in [
        ("describe-security-groups", "SecurityGroups"),
        ("describe-launch-templates", "LaunchTemplates"),
        ("describe-volumes", "Volumes"),
        ("describe-network-interfaces", "NetworkInterfaces"),
    ] {
        let found = ec2(&[command, "--filters", &tagged(cluster)]);
        assert_eq!(found[list].as_array().map(Vec::len), Some(0), "{found}");
    }
}

/// The ids of the cluster's instances in one of the given states.
fn instances(cluster: &str, states: &str) -> BTreeSet<String> {
    let tag = tagged(cluster);
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
    start_through(&endpoint())
}

fn start_through(endpoint: &str) -> Service {
    // Static credentials of LocalStack; the service's own environment is ours.
    Service::start_with(&["--speed", "10", "--aws-endpoint", endpoint])
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
    check_resources(&service, &name);
    check_nodes(&kubectl);
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

    ec2(&["start-instances", "--instance-ids", stopped]);
    assert_eq!(nodes_match_instances(&kubectl, &name, 2), healed, "it came back");

    service.ok(&["cluster", "delete", &name, "--wait"]);
    assert_nothing_is_left(&name);
}

/// What EC2 has of a cluster is what EKS would make: subnet, security group, launch template, tags, user data.
fn check_resources(service: &Service, cluster: &str) {
    let config = service.ok(&["cluster", "get", cluster, "-o", "json"]);
    let config: Value = serde_json::from_str(&config).expect("JSON");
    let server = config["endpoint"].as_str().expect("an endpoint");
    let groups = ec2(&["describe-security-groups", "--filters", &tagged(cluster)]);
    let group = groups["SecurityGroups"][0]["GroupId"].as_str().expect("a security group");
    let templates = ec2(&["describe-launch-templates", "--filters", &tagged(cluster)]);
    let template = templates["LaunchTemplates"][0]["LaunchTemplateName"].as_str().expect("a launch template");
    let versions = ec2(&[
        "describe-launch-template-versions",
        "--launch-template-name",
        template,
        "--versions",
        "$Latest",
    ]);
    let data = &versions["LaunchTemplateVersions"][0]["LaunchTemplateData"];
    assert_eq!(data["SecurityGroupIds"][0].as_str(), Some(group), "{data}");
    let boots = |data: &Value| {
        let bytes = base64::engine::general_purpose::STANDARD.decode(data.as_str().unwrap_or_default());
        let text = text(&bytes.expect("base64"));
        assert!(text.contains("kind: NodeConfig") && text.contains(server), "{text}");
        assert!(text.contains(&format!("name: \"{cluster}\"")), "{text}");
    };
    boots(&data["UserData"]);
    let found = ec2(&["describe-instances", "--filters", &tagged(cluster)]);
    for reservation in found["Reservations"].as_array().expect("reservations") {
        let instance = &reservation["Instances"][0];
        let id = instance["InstanceId"].as_str().expect("an id");
        let tag = |name: &str| {
            let tags = instance["Tags"].as_array().into_iter().flatten();
            tags.filter(|tag| tag["Key"] == name).find_map(|tag| tag["Value"].as_str()).unwrap_or_default()
        };
        assert_eq!(tag(&format!("kubernetes.io/cluster/{cluster}")), "owned");
        assert_eq!((tag("eks:cluster-name"), tag("eks:nodegroup-name")), (cluster, "default"));
        assert!(instance["SubnetId"].as_str().is_some_and(|id| id.starts_with("subnet-")), "{instance}");
        assert_eq!(instance["SecurityGroups"][0]["GroupId"].as_str(), Some(group), "{instance}");
        let attribute = ["describe-instance-attribute", "--instance-id", id, "--attribute", "userData"];
        boots(&ec2(&attribute)["UserData"]["Value"]);
    }
}

/// Nodes are what an m5.large is in EKS.
fn check_nodes(kubectl: &Kubectl) {
    let nodes: Value = serde_json::from_str(&kubectl.ok(&["get", "nodes", "-o", "json"])).expect("JSON");
    for node in nodes["items"].as_array().expect("nodes") {
        let of = |part: &str, name: &str| node["status"][part][name].as_str().unwrap_or_default().to_owned();
        assert_eq!((of("capacity", "cpu"), of("capacity", "memory")), ("2".into(), "8Gi".into()));
        // 60 + 10 millicores; 255 MiB and 11 for each pod for the kubelet, 100 MiB before eviction.
        let memory = format!("{}Mi", 8192 - 255 - 29 * 11 - 100);
        assert_eq!((of("allocatable", "cpu"), of("allocatable", "memory")), ("1930m".into(), memory));
        assert_eq!((of("capacity", "pods"), of("allocatable", "pods")), ("29".into(), "29".into()));
        let kinds: Vec<&str> = node["status"]["addresses"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|address| address["type"].as_str())
            .collect();
        for kind in ["InternalIP", "InternalDNS", "Hostname"] {
            assert!(kinds.contains(&kind), "{kinds:?}");
        }
        let zone = node["metadata"]["labels"]["topology.kubernetes.io/zone"].as_str().unwrap_or_default();
        let provider_id = node["spec"]["providerID"].as_str().unwrap_or_default();
        assert!(provider_id.starts_with(&format!("aws:///{zone}/i-")), "{provider_id}");
        assert_eq!(node["metadata"]["labels"]["topology.kubernetes.io/region"], "us-east-1");
    }
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
    assert_nothing_is_left(&name);
}

#[test]
fn a_cloud_that_cannot_be_reached_is_waited_for() {
    let line = Proxy::start(&endpoint());
    let mut service = start_through(&line.url());
    let name = format!("lu-{}", std::process::id());
    let kubectl = cluster(&service, &name, 1);
    line.cut();
    service.ok(&["node-pool", "scale", "default", "--cluster", &name, "--nodes", "2"]);
    let pools = ["node-pool", "list", "--cluster", &name];
    eventually("the pool says so", || {
        let pools = service.ok(&pools);
        if pools.contains("degraded") && pools.contains("DescribeInstances") { Ok(()) } else { Err(pools) }
    });
    assert_eq!(
        kubectl.get(&["nodes"], "{.items[*].spec.providerID}").split(' ').count(),
        1,
        "it costs no node"
    );
    line.mend();
    nodes_match_instances(&kubectl, &name, 2);
    eventually("all is well", || {
        let pools = service.ok(&pools);
        if pools.contains("active") { Ok(()) } else { Err(pools) }
    });

    // Deleted while it is away, also by a service that was killed and knows it from its records only.
    line.cut();
    service.ok(&["cluster", "delete", &name]);
    let says_so = |service: &Service| {
        eventually("the operation says what it waits for", || {
            let operations = service.ok(&["operation", "list"]);
            let line = operations.lines().find(|line| line.contains("clusterDelete")).unwrap_or_default();
            let said = line.contains("running") && line.contains("DescribeInstances");
            if said { Ok(()) } else { Err(operations) }
        });
        // And goes on saying so: an attempt that is under way is no better news.
        std::thread::sleep(std::time::Duration::from_secs(2));
        let operations = service.ok(&["operation", "list"]);
        assert!(operations.contains("DescribeInstances"), "{operations}");
    };
    says_so(&service);
    service.kill();
    service.launch();
    says_so(&service);
    assert_eq!(instances(&name, ALIVE).len(), 2);
    line.mend();
    eventually("the cluster is gone", || {
        let clusters = service.ok(&["cluster", "list"]);
        if clusters.contains(&name) { Err(clusters) } else { Ok(()) }
    });
    assert_nothing_is_left(&name);
}

#[test]
fn a_cluster_deleted_while_it_is_made_leaves_nothing() {
    let mut service = start();
    let name = format!("ld-{}", std::process::id());
    let create = ["cluster", "create", &name, "--provider", "aws", "--region", "us-east-1", "--nodes", "6"];
    for (n, pause) in [0, 400].into_iter().enumerate() {
        service.ok(&create);
        std::thread::sleep(std::time::Duration::from_millis(pause));
        service.ok(&["cluster", "delete", &name]);
        if n % 2 == 1 {
            service.kill();
            service.launch();
        }
        eventually("the cluster is gone", || {
            let clusters = service.ok(&["cluster", "list"]);
            if clusters.contains(&name) { Err(clusters) } else { Ok(()) }
        });
        assert_nothing_is_left(&name);
    }
}
