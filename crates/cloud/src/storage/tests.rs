use std::sync::Arc;

use drydock_client::resources::{
    CSI_DRIVERS, CSI_NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES, VOLUME_ATTACHMENTS,
};
use drydock_client::{PatchType, SharedInformers, resources};
use drydock_machinery::{GroupVersionResource, Object, ObjectMeta, Value, value};
use drydock_runtime::Tasks;

use crate::testing::World;
use crate::{StorageConfig, start_storage};

async fn start(world: &World) -> Tasks {
    let tasks = Tasks::new("t", world.clock.clone());
    let config = StorageConfig {
        provider: world.provider(),
        client: world.client.clone(),
        informers: SharedInformers::new(world.client.clone(), tasks.clone()),
    };
    start_storage(config, &tasks);
    tasks
}

async fn node(world: &World, name: &str, zone: &str) {
    let node = value!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone}},
        "spec": {"providerID": format!("mock://{zone}/i-{name}")},
    });
    world.client.create(&resources::NODES, node).await.unwrap();
}

/// A claim as the binder leaves it that asks the driver for a volume.
async fn claim(world: &World, name: &str, spec: Value) {
    let mut claim = value!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "default", "annotations": {
            "volume.kubernetes.io/storage-provisioner": "mock.csi.drydock.dev",
        }},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "standard",
            "resources": {"requests": {"storage": "1500Mi"}},
        },
    });
    for (field, value) in spec.as_object().unwrap().iter() {
        claim.set(&["spec", field], value.clone());
    }
    world.client.create(&PERSISTENT_VOLUME_CLAIMS, claim).await.unwrap();
}

async fn select_node(world: &World, claim: &str, node: &str) {
    let patch = value!({"metadata": {"annotations": {"volume.kubernetes.io/selected-node": node}}});
    let resource = &PERSISTENT_VOLUME_CLAIMS;
    world.client.patch(resource, "default", claim, PatchType::Merge, patch).await.unwrap();
}

fn only(world: &World, resource: &GroupVersionResource) -> Option<Arc<Object>> {
    world.server.all(resource).into_iter().next()
}

#[tokio::test]
async fn the_first_node_brings_a_default_class_and_what_was_deleted_stays_away() {
    let world = World::new();
    let tasks = start(&world).await;
    node(&world, "a", "z1").await;
    world.until("the node has its driver", || only(&world, &CSI_NODES).is_some()).await;
    let class = only(&world, &STORAGE_CLASSES).unwrap();
    assert_eq!(class.name(), "standard");
    assert_eq!(class.annotation("storageclass.kubernetes.io/is-default-class"), Some("true"));
    assert_eq!(only(&world, &CSI_DRIVERS).unwrap().name(), "mock.csi.drydock.dev");
    let entry = only(&world, &CSI_NODES).unwrap().array_at(&["spec", "drivers"])[0].clone();
    assert_eq!((entry.str_at(&["nodeID"]), entry.i64_at(&["allocatable", "count"])), ("i-a", Some(24)));
    tasks.close().await;

    world.client.delete(&STORAGE_CLASSES, "", "standard", Default::default()).await.unwrap();
    let tasks = start(&world).await;
    node(&world, "b", "z1").await;
    world.until("the second node, too", || world.server.all(&CSI_NODES).len() == 2).await;
    assert!(only(&world, &STORAGE_CLASSES).is_none());
    tasks.close().await;
}

#[tokio::test]
async fn a_volume_is_made_where_the_pod_is_to_run_and_goes_with_its_claim() {
    let world = World::new();
    let tasks = start(&world).await;
    node(&world, "a", "z1").await;
    node(&world, "b", "z2").await;
    world.until("classes", || only(&world, &STORAGE_CLASSES).is_some()).await;
    claim(&world, "data", value!({})).await;
    world.pass(std::time::Duration::from_secs(5)).await;
    assert!(only(&world, &PERSISTENT_VOLUMES).is_none(), "nobody uses it yet");
    select_node(&world, "data", "b").await;
    world.until("a volume", || only(&world, &PERSISTENT_VOLUMES).is_some()).await;
    let volume = only(&world, &PERSISTENT_VOLUMES).unwrap();
    assert_eq!(volume.str_at(&["spec", "capacity", "storage"]), "2Gi");
    assert_eq!(volume.str_at(&["spec", "claimRef", "name"]), "data");
    let term = &volume.array_at(&["spec", "nodeAffinity", "required", "nodeSelectorTerms"])[0];
    let zones = term.array_at(&["matchExpressions"])[0].array_at(&["values"]).to_vec();
    assert_eq!(zones, [Value::from("z2")]);

    let attachment = value!({
        "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": {"name": "csi-1"},
        "spec": {"attacher": "mock.csi.drydock.dev", "nodeName": "b", "source": {"persistentVolumeName": volume.name()}},
    });
    world.client.create(&VOLUME_ATTACHMENTS, attachment).await.unwrap();
    let attached = || only(&world, &VOLUME_ATTACHMENTS).is_some_and(|a| a.bool_at(&["status", "attached"]));
    world.until("it is attached", attached).await;

    let released = value!({"status": {"phase": "Released"}});
    world
        .client
        .patch_status(&PERSISTENT_VOLUMES, "", volume.name(), PatchType::Merge, released)
        .await
        .unwrap();
    world.until("it says why", || world.events().iter().any(|reason| reason == "VolumeFailedDelete")).await;
    assert!(only(&world, &PERSISTENT_VOLUMES).is_some(), "attached volumes stay");
    world.client.delete(&VOLUME_ATTACHMENTS, "", "csi-1", Default::default()).await.unwrap();
    world.until("the volume is gone", || only(&world, &PERSISTENT_VOLUMES).is_none()).await;
    tasks.close().await;
}

#[tokio::test]
async fn what_no_disk_can_do_is_refused_with_the_reason() {
    let world = World::new();
    let tasks = start(&world).await;
    node(&world, "a", "z1").await;
    world.until("classes", || only(&world, &STORAGE_CLASSES).is_some()).await;
    claim(&world, "shared", value!({"accessModes": ["ReadWriteMany"]})).await;
    select_node(&world, "shared", "a").await;
    let message = || {
        let events = world.server.all(&resources::EVENTS);
        let failed = events.iter().find(|event| event.str_at(&["reason"]) == "ProvisioningFailed");
        failed.map(|event| event.str_at(&["message"]).to_owned()).unwrap_or_default()
    };
    world.until("it is refused", || !message().is_empty()).await;
    assert!(message().contains("a disk cannot be ReadWriteMany"), "{}", message());
    assert!(only(&world, &PERSISTENT_VOLUMES).is_none());
    tasks.close().await;
}

#[tokio::test]
async fn a_claim_that_has_grown_gets_a_larger_volume() {
    let world = World::new();
    let tasks = start(&world).await;
    node(&world, "a", "z1").await;
    world.until("classes", || only(&world, &STORAGE_CLASSES).is_some()).await;
    claim(&world, "data", value!({})).await;
    select_node(&world, "data", "a").await;
    world.until("a volume", || only(&world, &PERSISTENT_VOLUMES).is_some()).await;
    let volume = only(&world, &PERSISTENT_VOLUMES).unwrap();
    let name = volume.name().to_owned();
    let resource = &PERSISTENT_VOLUME_CLAIMS;
    let patch = value!({"spec": {"volumeName": name, "resources": {"requests": {"storage": "5Gi"}}}});
    world.client.patch(resource, "default", "data", PatchType::Merge, patch).await.unwrap();
    let bound = value!({"status": {"phase": "Bound", "capacity": {"storage": "2Gi"}}});
    world.client.patch_status(resource, "default", "data", PatchType::Merge, bound).await.unwrap();
    let capacity = || only(&world, resource).unwrap().str_at(&["status", "capacity", "storage"]).to_owned();
    world.until("the claim has what it asks for", || capacity() == "5Gi").await;
    let volume = only(&world, &PERSISTENT_VOLUMES).unwrap();
    assert_eq!(volume.str_at(&["spec", "capacity", "storage"]), "5Gi");
    tasks.close().await;
}
