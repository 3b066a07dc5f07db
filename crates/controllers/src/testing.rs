//! All controllers against the fake server.

use std::sync::Arc;

use drydock_client::resources::*;
use drydock_client::testing::FakeServer;
use drydock_client::{ApiResource, SharedInformers};
use drydock_machinery::{ObjectMeta, value};
use drydock_runtime::{Clock, Tasks};

use crate::{ControllerManager, ManagerConfig};

fn served() -> Vec<ApiResource> {
    let verbs = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
    let namespaced = [
        (PODS, "Pod"),
        (SERVICES, "Service"),
        (ENDPOINTS, "Endpoints"),
        (CONFIG_MAPS, "ConfigMap"),
        (SERVICE_ACCOUNTS, "ServiceAccount"),
        (REPLICA_SETS, "ReplicaSet"),
        (DEPLOYMENTS, "Deployment"),
        (ENDPOINT_SLICES, "EndpointSlice"),
        (JOBS, "Job"),
        (CRON_JOBS, "CronJob"),
        (STATEFUL_SETS, "StatefulSet"),
        (DAEMON_SETS, "DaemonSet"),
        (CONTROLLER_REVISIONS, "ControllerRevision"),
        (PERSISTENT_VOLUME_CLAIMS, "PersistentVolumeClaim"),
    ];
    let cluster = [(NAMESPACES, "Namespace"), (NODES, "Node")];
    let of = |namespaced: bool| move |(gvr, kind): (_, &str)| ApiResource::new(gvr, kind, namespaced, &verbs);
    namespaced.into_iter().map(of(true)).chain(cluster.into_iter().map(of(false))).collect()
}

pub(crate) async fn cluster() -> (FakeServer, Tasks) {
    let clock = Clock::real();
    let server = FakeServer::new(clock.clone());
    server.serve(served());
    let tasks = Tasks::new("t", clock);
    let client = server.client();
    let informers = SharedInformers::new(server.client(), tasks.clone());
    let client_for = Arc::new(move |_: &str| client.clone());
    ControllerManager::start(&ManagerConfig::new(client_for, informers, tasks.clone(), "pem".to_owned()));
    let namespace = value!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "d"}, "spec": {"finalizers": ["kubernetes"]},
    });
    server.client().create(&NAMESPACES, namespace).await.unwrap();
    (server, tasks)
}

/// Plays scheduler and kubelet.
pub(crate) async fn make_pods_ready(server: &FakeServer) {
    for (i, pod) in server.all(&PODS).into_iter().enumerate() {
        if crate::util::pod::is_ready(&pod) || pod.is_deleting() {
            continue;
        }
        let mut new = pod.value().clone();
        let ip = format!("10.0.0.{i}");
        new.set(&["status"], value!({
            "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        }));
        let _ = server.client().update_status(&PODS, new).await;
    }
}
