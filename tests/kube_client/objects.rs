//! Typed objects: create, read, replace, every kind of patch, delete; custom resources through the dynamic API.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
};
use kube::runtime::wait::conditions;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::{cluster, eventually, namespaced, refusal, typed, wait};

pub(crate) fn deployment(name: &str, replicas: i32) -> Deployment {
    typed(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "web", "image": "nginx:1.27", "ports": [{"containerPort": 80}]}]},
            },
        },
    }))
}

pub(crate) fn config_map(name: &str, data: Value) -> ConfigMap {
    typed(json!({"metadata": {"name": name}, "data": data}))
}

#[tokio::test(flavor = "multi_thread")]
async fn typed_objects_are_created_read_replaced_listed_and_deleted() {
    let (_service, client) = cluster(0).await;
    let maps = namespaced::<ConfigMap>(&client);
    let post = PostParams::default();

    let created = maps.create(&post, &config_map("a", json!({"k": "1"}))).await.expect("create");
    assert!(created.uid().is_some() && created.creation_timestamp().is_some());
    let mut read = maps.get("a").await.expect("get");
    assert_eq!(read, created);
    read.data.get_or_insert_default().insert("k".to_owned(), "2".to_owned());
    let replaced = maps.replace("a", &post, &read).await.expect("replace");
    assert_ne!(replaced.resource_version(), created.resource_version());
    // The version that was read is not the newest any more.
    let status = refusal(maps.replace("a", &post, &read).await);
    assert!(status.is_conflict() && !status.is_already_exists(), "{status:?}");

    maps.create(&post, &typed(json!({"metadata": {"name": "b", "labels": {"tier": "x"}}})))
        .await
        .expect("create");
    let names = |list: kube::core::ObjectList<ConfigMap>| -> Vec<String> {
        list.items.iter().map(ResourceExt::name_any).collect()
    };
    let labelled = maps.list(&ListParams::default().labels("tier in (x, y)")).await.expect("list");
    assert_eq!(names(labelled), ["b"]);
    let page = maps
        .list(&ListParams::default().fields("metadata.name!=kube-root-ca.crt").limit(1))
        .await
        .expect("list");
    let token = page.metadata.continue_.clone().expect("more pages");
    assert_eq!(names(page), ["a"]);
    let rest =
        ListParams::default().fields("metadata.name!=kube-root-ca.crt").limit(1).continue_token(&token);
    assert_eq!(names(maps.list(&rest).await.expect("list")), ["b"]);

    let dry = PostParams { dry_run: true, ..post.clone() };
    maps.create(&dry, &config_map("dry", json!({}))).await.expect("a dry run");
    assert!(maps.get_opt("dry").await.expect("get").is_none());

    let gone = maps.delete("a", &DeleteParams::default()).await.expect("delete");
    assert!(
        gone.right().is_some_and(|status| status.is_success()),
        "a deletion that is done answers a Status"
    );
    assert!(maps.get_opt("a").await.expect("get").is_none());
    maps.delete_collection(&DeleteParams::default(), &ListParams::default().labels("tier=x"))
        .await
        .expect("delete");
    assert!(maps.get_opt("b").await.expect("get").is_none());

    // What the server adds comes back typed.
    let deployments = namespaced::<Deployment>(&client);
    let made = deployments.create(&post, &deployment("web", 1)).await.expect("create");
    let spec = made.spec.expect("a spec");
    assert_eq!(spec.revision_history_limit, Some(10));
    let rolling = spec.strategy.and_then(|strategy| strategy.rolling_update).expect("a strategy");
    assert_eq!(
        serde_json::to_value(rolling).expect("JSON"),
        json!({"maxSurge": "25%", "maxUnavailable": "25%"})
    );
    let pods = namespaced::<Pod>(&client);
    let pod = typed(
        json!({"metadata": {"generateName": "p-"}, "spec": {"containers": [{"name": "c", "image": "busybox"}]}}),
    );
    let pod = pods.create(&post, &pod).await.expect("create");
    assert!(pod.name_any().starts_with("p-") && pod.name_any().len() == 7, "{}", pod.name_any());
    assert_eq!(pod.status.and_then(|status| status.qos_class).as_deref(), Some("BestEffort"));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_four_kinds_of_patch_and_apply_conflicts() {
    let (_service, client) = cluster(0).await;
    let api = namespaced::<Deployment>(&client);
    api.create(&PostParams::default(), &deployment("web", 1)).await.expect("create");
    let plain = PatchParams::default();
    let images = |deployment: &Deployment| -> Vec<String> {
        let pod = deployment.spec.clone().and_then(|spec| spec.template.spec).expect("a pod spec");
        pod.containers.into_iter().map(|c| format!("{}={}", c.name, c.image.unwrap_or_default())).collect()
    };

    let side = json!([{"name": "side", "image": "busybox"}]);
    let containers = json!({"spec": {"template": {"spec": {"containers": side}}}});
    let merged_by_name = api.patch("web", &plain, &Patch::Strategic(&containers)).await.expect("strategic");
    assert_eq!(images(&merged_by_name), ["side=busybox", "web=nginx:1.27"]);
    let replaced_whole = api.patch("web", &plain, &Patch::Merge(&containers)).await.expect("merge");
    assert_eq!(images(&replaced_whole), ["side=busybox"]);
    let edit = json!([
        {"op": "test", "path": "/spec/replicas", "value": 1},
        {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "busybox:2"},
    ]);
    let json_patch = Patch::Json::<()>(serde_json::from_value(edit).expect("a JSON patch"));
    assert_eq!(images(&api.patch("web", &plain, &json_patch).await.expect("JSON patch")), ["side=busybox:2"]);
    let failed = json!([{"op": "test", "path": "/spec/replicas", "value": 7}]);
    let failed = Patch::Json::<()>(serde_json::from_value(failed).expect("a JSON patch"));
    assert_eq!(refusal(api.patch("web", &plain, &failed).await).code, 422);

    // Server-side apply: two managers, one field.
    let maps = namespaced::<ConfigMap>(&client);
    let applied = |value: &str| {
        Patch::Apply(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared"}, "data": {"k": value}}),
        )
    };
    maps.patch("shared", &PatchParams::apply("one"), &applied("1")).await.expect("apply creates");
    let status = refusal(maps.patch("shared", &PatchParams::apply("two"), &applied("2")).await);
    assert!(status.is_conflict(), "{status:?}");
    assert_eq!(status.message, "Apply failed with 1 conflict: conflict with \"one\": .data.k");
    let causes = status.details.expect("details").causes;
    assert_eq!((causes[0].reason.as_str(), causes[0].field.as_str()), ("FieldManagerConflict", ".data.k"));
    let forced =
        maps.patch("shared", &PatchParams::apply("two").force(), &applied("2")).await.expect("force");
    let managers = forced.managed_fields();
    let owners: Vec<_> = managers
        .iter()
        .filter(|entry| entry.fields_v1.is_some())
        .filter_map(|e| e.manager.as_deref())
        .collect();
    assert_eq!(owners, ["two"], "the field has changed hands");
    // What a manager does not apply any more goes, if it was its own.
    let nothing =
        Patch::Apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared"}}));
    let emptied = maps.patch("shared", &PatchParams::apply("two"), &nothing).await.expect("apply");
    assert!(emptied.data.unwrap_or_default().is_empty());
}

fn ships() -> CustomResourceDefinition {
    typed(json!({
        "metadata": {"name": "ships.harbour.example"},
        "spec": {
            "group": "harbour.example", "scope": "Namespaced",
            "names": {"plural": "ships", "singular": "ship", "kind": "Ship", "shortNames": ["sh"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "required": ["name"], "properties": {
                        "name": {"type": "string"}, "decks": {"type": "integer", "minimum": 1, "default": 1}}},
                    "status": {"type": "object", "properties": {"docked": {"type": "boolean"}}},
                }}},
            }],
        },
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_resources_by_the_dynamic_api() {
    let (_service, client) = cluster(0).await;
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let post = PostParams::default();
    definitions.create(&post, &ships()).await.expect("create");
    wait(&definitions, "ships.harbour.example", conditions::is_crd_established()).await;

    let kind = GroupVersionKind::gvk("harbour.example", "v1", "Ship");
    // Discovery may follow a moment later, as upstream's does.
    let find = async || kube::discovery::pinned_kind(&client, &kind).await;
    let (resource, capabilities) = eventually("discovery of the kind", find).await;
    assert_eq!(resource, ApiResource::from_gvk(&kind));
    assert!(capabilities.subresources.iter().any(|(sub, _)| sub.plural == "status"), "{capabilities:?}");
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &resource);
    let ship = |name: &str, spec: Value| {
        DynamicObject::new(name, &resource).data(json!({"spec": spec, "status": {"docked": true}}))
    };

    let made = api.create(&post, &ship("argo", json!({"name": "Argo", "unknown": 1}))).await.expect("create");
    // Defaulted, pruned, and the status is not the client's to set here.
    assert_eq!(made.data, json!({"spec": {"name": "Argo", "decks": 1}}));
    let status = refusal(api.create(&post, &ship("bad", json!({"decks": 0}))).await);
    assert_eq!(status.code, 422);
    let mut fields: Vec<_> =
        status.details.expect("details").causes.into_iter().map(|cause| cause.field).collect();
    fields.sort();
    assert_eq!(fields, ["spec.decks", "spec.name"]);

    let plain = PatchParams::default();
    let dock = Patch::Merge(json!({"status": {"docked": true}, "spec": {"decks": 9}}));
    let docked = api.patch_status("argo", &plain, &dock).await.expect("status");
    assert_eq!(docked.data, json!({"spec": {"name": "Argo", "decks": 1}, "status": {"docked": true}}));
    let bigger = Patch::Merge(json!({"spec": {"decks": 2}, "status": {"docked": false}}));
    let bigger = api.patch("argo", &plain, &bigger).await.expect("patch");
    assert_eq!(bigger.data, json!({"spec": {"name": "Argo", "decks": 2}, "status": {"docked": true}}));
    assert_eq!(bigger.metadata.generation, Some(2), "only the spec counts");
    assert_eq!(api.list(&ListParams::default()).await.expect("list").items.len(), 1);

    definitions.delete("ships.harbour.example", &DeleteParams::default()).await.expect("delete");
    let uid = made.uid().expect("a uid");
    wait(&api, "argo", conditions::is_deleted(&uid)).await;
}
