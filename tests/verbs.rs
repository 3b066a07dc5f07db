//! kubectl's less common verbs, and the other workloads, on a cluster with nodes: by the newest kubectl and the oldest.

mod common;

use common::{Kubectl, Service};

const WORKLOADS: &str = "
apiVersion: v1
kind: PersistentVolume
metadata: {name: one}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /one}}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: two}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /two}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: db, image: postgres, volumeMounts: [{name: data, mountPath: /data}]}]}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {storageClassName: '', accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: agent, image: busybox}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: job}
spec:
  completions: 3
  parallelism: 2
  template: {spec: {restartPolicy: Never, containers: [{name: job, image: busybox, command: [echo, hi]}]}}
";

#[test]
fn workloads_of_all_kinds_run_and_nodes_are_drained() {
    let service = Service::start_with(&["--speed", "20"]);
    check(&service.cluster("verbs", 2));
}

#[test]
fn the_oldest_kubectl_does_as_the_newest() {
    let service = Service::start_with(&["--speed", "20"]);
    check(&service.cluster("verbs", 2).oldest());
}

fn check(kubectl: &Kubectl) {
    kubectl.feed(&["apply"], WORKLOADS);
    kubectl.ok(&["wait", "job/job", "--for=condition=Complete", "--timeout=60s"]);
    kubectl.until(&["job", "job"], "{.status.succeeded}", "3");
    kubectl.until(&["statefulset", "db"], "{.status.readyReplicas}", "2");
    kubectl.until(&["daemonset", "agent"], "{.status.numberReady}", "2");
    kubectl.until(&["pvc", "data-db-0", "data-db-1"], "{.items[*].status.phase}", "Bound Bound");

    let node = kubectl.get(&["pod", "db-0"], "{.spec.nodeName}");
    let refusal = kubectl.fails(&["drain", &node]);
    assert!(refusal.contains("cannot delete DaemonSet-managed Pods"), "{refusal}");
    kubectl.ok(&["drain", &node, "--ignore-daemonsets", "--timeout=60s"]);
    kubectl.until(&["statefulset", "db"], "{.status.readyReplicas}", "2");
    assert_ne!(kubectl.get(&["pod", "db-0"], "{.spec.nodeName}"), node);
    kubectl.ok(&["uncordon", &node]);

    assert_eq!(kubectl.ok(&["exec", "db-0", "--", "hostname"]), "db-0\n");
    kubectl.ok(&[
        "debug",
        "db-0",
        "--image=busybox",
        "--attach=false",
        "--container=look",
        "--profile=general",
    ]);
    let look = "{.status.ephemeralContainerStatuses[?(@.name=='look')].state.running.startedAt}";
    common::eventually("the ephemeral container runs", || {
        let started = kubectl.get(&["pod", "db-0"], look);
        if started.is_empty() { Err(started) } else { Ok(()) }
    });
    let refusal = kubectl.fails(&["top", "nodes"]);
    assert!(refusal.contains("Metrics API not available"), "{refusal}");
    assert!(kubectl.ok(&["explain", "statefulset.spec.replicas"]).contains("replicas <integer>"));
    let scale = kubectl.ok(&["get", "statefulset", "db", "--subresource=scale"]);
    assert!(scale.starts_with("NAME   DESIRED   AVAILABLE   AGE"), "{scale}");
}
