//! Helm: a chart with a definition of its own, a hook and a workload, through a release's whole life.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Kubectl, Service, run, tool};

const CHART: &[(&str, &str)] = &[
    ("Chart.yaml", "{apiVersion: v2, name: harbour, version: 0.1.0}"),
    ("values.yaml", "{image: 'nginx:1.27', replicas: 1, name: Argo}"),
    (
        "crds/ships.yaml",
        "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ships.harbour.example}
spec:
  group: harbour.example
  scope: Namespaced
  names: {plural: ships, singular: ship, kind: Ship}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties: {spec: {type: object, properties: {name: {type: string}}}}
",
    ),
    (
        "templates/all.yaml",
        "
apiVersion: apps/v1
kind: Deployment
metadata: {name: '{{ .Release.Name }}'}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: '{{ .Release.Name }}'}}
  template:
    metadata: {labels: {app: '{{ .Release.Name }}'}}
    spec: {containers: [{name: web, image: '{{ .Values.image }}'}]}
---
apiVersion: v1
kind: Service
metadata: {name: '{{ .Release.Name }}'}
spec: {selector: {app: '{{ .Release.Name }}'}, ports: [{port: 80}]}
---
apiVersion: harbour.example/v1
kind: Ship
metadata: {name: '{{ .Release.Name }}'}
spec: {name: '{{ .Values.name }}'}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: '{{ .Release.Name }}-launch'
  annotations: {helm.sh/hook: 'pre-install,pre-upgrade', helm.sh/hook-delete-policy: before-hook-creation}
spec:
  template: {spec: {restartPolicy: Never, containers: [{name: launch, image: busybox, command: ['true']}]}}
",
    ),
];

struct Helm {
    kubectl: Kubectl,
    home: PathBuf,
}

impl Helm {
    fn new(service: &Service, kubectl: Kubectl) -> Self {
        let home = service.path("helm");
        for (name, text) in CHART {
            let path = home.join("harbour").join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new(""))).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        Self { kubectl, home }
    }

    /// Must succeed; its standard output.
    fn ok(&self, args: &[&str]) -> String {
        let mut command = Command::new(tool("DRYDOCK_TEST_HELM", "helm"));
        command.args(args).arg("--kubeconfig").arg(&self.kubectl.kubeconfig).current_dir(&self.home);
        for folder in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(folder, self.home.join("state"));
        }
        run(&mut command)
    }

    fn image_and_ship(&self) -> String {
        let image = self.kubectl.get(&["deployment", "demo"], "{.spec.template.spec.containers[0].image}");
        let ship = self.kubectl.get(&["ship", "demo"], "{.spec.name}");
        let ready = self.kubectl.get(&["deployment", "demo"], "{.status.readyReplicas}");
        format!("{image} {ship} {ready}")
    }
}

#[test]
fn a_release_is_installed_upgraded_rolled_back_and_uninstalled() {
    let mut service = Service::start_with(&["--speed", "20"]);
    let helm = Helm::new(&service, service.cluster("helm", 1));
    let wait = ["--wait", "--timeout", "60s"];
    helm.ok(&[&["install", "demo", "harbour"], &wait[..]].concat());
    assert_eq!(helm.image_and_ship(), "nginx:1.27 Argo 1");

    let values = ["--set", "image=nginx:1.28,replicas=2,name=Argo II"];
    helm.ok(&[&["upgrade", "demo", "harbour"], &values[..], &wait[..]].concat());
    assert_eq!(helm.image_and_ship(), "nginx:1.28 Argo II 2");

    // What Helm knows of its releases is in the cluster.
    service.kill();
    service.launch();
    helm.kubectl.until_ready();
    helm.ok(&[&["rollback", "demo", "1"], &wait[..]].concat());
    assert_eq!(helm.image_and_ship(), "nginx:1.27 Argo 1");
    let history = helm.ok(&["history", "demo", "--output", "yaml"]);
    assert_eq!(history.matches("superseded").count(), 2, "{history}");
    assert!(history.contains("description: Rollback to 1"), "{history}");

    helm.ok(&[&["uninstall", "demo"], &wait[..]].concat());
    assert_eq!(helm.kubectl.get(&["deployments,services,ships", "-l", "app=demo"], "{.items[*]}"), "");
    assert_eq!(helm.ok(&["list", "--short"]), "");
}
