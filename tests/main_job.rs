//! The main job with real kubectl: a cluster, its nodes, a Deployment and a Service on them.

mod common;

use common::Service;

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: nginx:1.27
        ports: [{containerPort: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80}]
";

#[test]
fn a_deployment_runs_rolls_out_rolls_back_and_is_collected() {
    let service = Service::start_with(&["--speed", "20"]);
    let kubectl = service.cluster("web", 3);
    kubectl.until(&["nodes"], "{.items[*].status.conditions[?(@.type=='Ready')].status}", "True True True");

    kubectl.feed(&["apply"], WEB);
    kubectl.ok(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    kubectl.until(&["deployment", "web"], "{.status.readyReplicas}", "3");
    let nodes = kubectl.get(&["pods", "-l", "app=web"], "{.items[*].spec.nodeName}");
    let mut nodes: Vec<&str> = nodes.split(' ').collect();
    nodes.sort_unstable();
    nodes.dedup();
    assert_eq!(nodes.len(), 3, "the scheduler spreads three replicas over three nodes");

    let ips = kubectl.get(&["pods", "-l", "app=web"], "{.items[*].status.podIP}");
    assert_eq!(ips.split(' ').filter(|ip| ip.contains('.')).count(), 3);
    let count = |slice: String| slice.split(' ').filter(|address| !address.is_empty()).count();
    common::eventually("three endpoints", || {
        let slice = kubectl.get(
            &["endpointslices", "-l", "kubernetes.io/service-name=web"],
            "{.items[*].endpoints[*].addresses[0]}",
        );
        let endpoints = kubectl.get(&["endpoints", "web"], "{.subsets[*].addresses[*].ip}");
        let found = (count(slice), count(endpoints));
        if found == (3, 3) { Ok(()) } else { Err(format!("{found:?}")) }
    });
    assert!(!kubectl.ok(&["logs", "deployment/web"]).is_empty());

    kubectl.ok(&["set", "image", "deployment/web", "web=nginx:1.28"]);
    kubectl.ok(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    let images = kubectl.get(&["pods", "-l", "app=web"], "{.items[*].spec.containers[0].image}");
    assert!(images.contains("nginx:1.28"), "{images}");
    kubectl.ok(&["rollout", "undo", "deployment/web"]);
    kubectl.ok(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    kubectl.until(&["deployment", "web"], "{.spec.template.spec.containers[0].image}", "nginx:1.27");

    kubectl.ok(&["delete", "deployment", "web"]);
    kubectl.until(&["replicasets,pods", "-l", "app=web"], "{.items[*].metadata.name}", "");
}

#[test]
fn a_service_account_without_a_role_is_refused_as_upstream_refuses_it() {
    let service = Service::start();
    let kubectl = service.cluster("walls", 0);
    common::eventually("the default service account", || {
        let output = kubectl.output(&["get", "serviceaccount", "default"]);
        if output.status.success() { Ok(()) } else { Err(common::text(&output.stderr)) }
    });
    let token = kubectl.ok(&["create", "token", "default"]);
    let anonymous = service.path("token.kubeconfig");
    let config = kubectl.ok(&["config", "view", "--raw", "--minify", "--flatten"]);
    let cut = config.find("users:").expect("a kubeconfig has users");
    let user = config[cut..].lines().find_map(|line| line.trim().strip_prefix("- name: ")).expect("a user");
    let users = format!("users:\n- name: {user}\n  user:\n    token: {}\n", token.trim());
    std::fs::write(&anonymous, format!("{}{users}", &config[..cut])).expect("write");
    let limited = common::Kubectl::new(anonymous);
    let refusal = limited.fails(&["get", "pods"]);
    assert_eq!(
        refusal.trim(),
        "Error from server (Forbidden): pods is forbidden: User \"system:serviceaccount:default:default\" cannot \
         list resource \"pods\" in API group \"\" in the namespace \"default\""
    );
}

#[test]
fn a_stopped_service_finds_everything_as_it_was() {
    let mut service = Service::start();
    let kubectl = service.cluster("again", 1);
    kubectl.ok(&["create", "configmap", "kept", "--from-literal=a=b"]);
    let before = kubectl.get(&["configmap", "kept"], "{.metadata.resourceVersion} {.metadata.uid}");
    service.stop();
    service.launch();
    // The same kubeconfig goes on working: same endpoint, same CA.
    kubectl.until_ready();
    let after = kubectl.get(&["configmap", "kept"], "{.metadata.resourceVersion} {.metadata.uid}");
    assert_eq!(before, after);
    kubectl.until(&["nodes"], "{.items[*].status.conditions[?(@.type=='Ready')].status}", "True");
}

/// Two replicas on two nodes, both needed.
const GUARDED: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - topologyKey: kubernetes.io/hostname
            labelSelector: {matchLabels: {app: web}}
      containers: [{name: web, image: nginx:1.27}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: guard}
spec:
  minAvailable: 2
  selector: {matchLabels: {app: web}}
";

#[test]
fn a_smaller_pool_waits_for_disruption_budgets_and_says_so() {
    let service = Service::start_with(&["--speed", "10"]);
    let kubectl = service.cluster("guarded", 2);
    kubectl.feed(&["apply"], GUARDED);
    kubectl.ok(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    kubectl.until(&["pdb", "guard"], "{.status.currentHealthy}", "2");
    let scale = ["node-pool", "scale", "default", "--cluster", "guarded", "--nodes", "1"];
    service.ok(&scale);
    common::eventually("the operation says what holds it", || {
        let operations = service.ok(&["operation", "list"]);
        let said = operations.contains("The disruption budget guard needs 2 healthy pods");
        if said { Ok(()) } else { Err(operations) }
    });
    let unschedulable = kubectl.get(&["nodes"], "{.items[*].spec.unschedulable}");
    assert_eq!(unschedulable, "true", "one of two nodes is cordoned, and still there");
    kubectl.ok(&["delete", "pdb", "guard"]);
    service.ok(&[&scale[..], &["--wait"]].concat());
    kubectl.until(&["nodes"], "{.items[*].status.conditions[?(@.type=='Ready')].status}", "True");
}

#[test]
fn a_node_pool_may_be_made_again_under_its_name() {
    let service = Service::start_with(&["--speed", "10"]);
    let kubectl = service.cluster("again", 0);
    for _ in 0..2 {
        service.ok(&["node-pool", "create", "b", "--cluster", "again", "--nodes", "1", "--wait"]);
        kubectl.until(&["nodes"], "{.items[*].status.conditions[?(@.type=='Ready')].status}", "True");
        service.ok(&["node-pool", "delete", "b", "--cluster", "again", "--wait"]);
        kubectl.until(&["nodes"], "{.items[*].metadata.name}", "");
    }
}
