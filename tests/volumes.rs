//! Claims without a class get a disk of the cloud, where their pod runs, and give it back.

mod common;

use common::Service;

const WORKLOAD: &str = "
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: db}
spec:
  selector: {matchLabels: {app: db}}
  strategy: {type: Recreate}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers: [{name: db, image: postgres, volumeMounts: [{name: data, mountPath: /data}]}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
";

#[test]
fn a_claim_gets_a_disk_that_follows_it() {
    let service = Service::start_with(&["--speed", "20"]);
    let kubectl = service.cluster("volumes", 2);
    kubectl.until(&["storageclass", "standard"], "{.provisioner}", "mock.csi.drydock.dev");
    kubectl.feed(&["apply"], WORKLOAD);
    kubectl.ok(&["rollout", "status", "deployment/db", "--timeout=60s"]);
    assert_eq!(kubectl.get(&["pvc", "data"], "{.status.phase} {.spec.storageClassName}"), "Bound standard");

    let zone = "{.metadata.labels.topology\\.kubernetes\\.io/zone}";
    let node = kubectl.get(&["pod", "-l", "app=db"], "{.items[0].spec.nodeName}");
    let volume = kubectl.get(&["pvc", "data"], "{.spec.volumeName}");
    let place = "{.spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0].values[0]}";
    assert_eq!(kubectl.get(&["pv", &volume], place), kubectl.get(&["node", &node], zone));
    kubectl.until(&["volumeattachment"], "{.items[*].status.attached}", "true");
    kubectl.until(&["node", &node], "{.status.volumesAttached[0].name}", &{
        let handle = kubectl.get(&["pv", &volume], "{.spec.csi.volumeHandle}");
        format!("kubernetes.io/csi/mock.csi.drydock.dev^{handle}")
    });

    let larger = r#"{"spec": {"resources": {"requests": {"storage": "2500Mi"}}}}"#;
    kubectl.ok(&["patch", "pvc", "data", "--patch", larger]);
    kubectl.until(&["pvc", "data"], "{.status.capacity.storage}", "3Gi");

    kubectl.ok(&["delete", "pvc", "data", "--wait=false"]);
    assert_eq!(kubectl.get(&["pv", &volume], "{.status.phase}"), "Bound", "a pod uses it");
    kubectl.ok(&["delete", "deployment", "db"]);
    kubectl.until(&["pv"], "{.items}", "[]");
    kubectl.until(&["volumeattachment"], "{.items}", "[]");
}
