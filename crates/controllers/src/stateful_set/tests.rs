//! Stateful sets whose pods or claims are not well, against the fake server.

use drydock_client::DeleteOptions;
use drydock_client::resources::{PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS};
use drydock_client::testing::FakeServer;
use drydock_machinery::{ObjectMeta, Value, value};

use crate::testing::cluster;

fn set(policy: &str) -> Value {
    value!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": "d"},
        "spec": {
            "replicas": 2, "podManagementPolicy": policy, "selector": {"matchLabels": {"app": "x"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "template": {
                "metadata": {"labels": {"app": "x"}},
                "spec": {"containers": [{"name": "c", "image": "a:1"}]},
            },
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}],
        },
    })
}

fn image(server: &FakeServer, pod: &str) -> Option<String> {
    let pods = server.all(&PODS);
    let pod = pods.iter().find(|have| have.name() == pod)?;
    Some(pod.array_at(&["spec", "containers"])[0].str_at(&["image"]).to_owned())
}

#[tokio::test]
async fn a_parallel_set_with_broken_pods_is_repaired_by_an_update_from_the_top() {
    let (server, tasks) = cluster().await;
    let client = server.client();
    client.create(&STATEFUL_SETS, set("Parallel")).await.unwrap();
    server.until(|s| s.all(&PODS).len() == 2).await;
    let mut repaired = server.all(&STATEFUL_SETS)[0].value().clone();
    repaired.set(&["spec", "template", "spec", "containers"], value!([{"name": "c", "image": "a:2"}]));
    repaired.remove(&["metadata", "resourceVersion"]);
    client.update(&STATEFUL_SETS, repaired).await.unwrap();
    server.until(|s| image(s, "db-1").as_deref() == Some("a:2")).await;
    assert_eq!(image(&server, "db-0").as_deref(), Some("a:1"), "only when the new one is well");
    tasks.close().await;
}

#[tokio::test]
async fn a_pod_that_waits_gets_back_a_claim_that_went() {
    let (server, tasks) = cluster().await;
    let client = server.client();
    client.create(&STATEFUL_SETS, set("OrderedReady")).await.unwrap();
    server.until(|s| s.all(&PODS).len() == 1).await;
    let mut pending = server.all(&PODS)[0].value().clone();
    pending.set(&["status", "phase"], "Pending");
    client.update_status(&PODS, pending).await.unwrap();
    let claim = |s: &FakeServer| s.all(&PERSISTENT_VOLUME_CLAIMS).first().map(|claim| claim.uid().to_owned());
    let first = claim(&server).unwrap();
    client.delete(&PERSISTENT_VOLUME_CLAIMS, "d", "data-db-0", DeleteOptions::default()).await.unwrap();
    server.until(|s| claim(s).is_some_and(|uid| uid != first)).await;
    tasks.close().await;
}
