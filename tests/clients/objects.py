"""The official Python client's typed objects, patches, watches and refusals, and its dynamic client on a custom kind."""

import json
import tempfile
import time

import yaml
from kubernetes import client, config, dynamic, utils, watch

NAMESPACE = "default"

config.load_kube_config()
connection = client.ApiClient()
core, apps = client.CoreV1Api(), client.AppsV1Api()
extensions, custom = client.ApiextensionsV1Api(), client.CustomObjectsApi()


def refused(status, reason, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except client.ApiException as refusal:
        found = json.loads(refusal.body)
        assert (refusal.status, found["reason"]) == (status, reason), refusal
        return found
    raise AssertionError(f"{call.__name__} should be refused")


def deployment(replicas):
    labels = {"app": "web"}
    container = client.V1Container(
        name="web", image="nginx:1.27", resources=client.V1ResourceRequirements(requests={"cpu": "50m"})
    )
    template = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels=labels), spec=client.V1PodSpec(containers=[container])
    )
    spec = client.V1DeploymentSpec(
        replicas=replicas, selector=client.V1LabelSelector(match_labels=labels), template=template
    )
    return client.V1Deployment(metadata=client.V1ObjectMeta(name="web", labels=labels), spec=spec)


def workloads():
    made = apps.create_namespaced_deployment(NAMESPACE, deployment(2))
    assert made.spec.strategy.type == "RollingUpdate" and made.metadata.generation == 1, made
    refused(409, "AlreadyExists", apps.create_namespaced_deployment, NAMESPACE, deployment(2))

    for event in watch.Watch().stream(apps.list_namespaced_deployment, NAMESPACE, timeout_seconds=50):
        if event["object"].status.ready_replicas == 2:
            break
    else:
        raise AssertionError("the pods did not become ready")
    pods = core.list_namespaced_pod(NAMESPACE, label_selector="app=web").items
    assert [pod.status.phase for pod in pods] == ["Running"] * 2, pods
    assert core.read_namespaced_pod_log(pods[0].metadata.name, NAMESPACE)

    scaled = apps.patch_namespaced_deployment_scale("web", NAMESPACE, {"spec": {"replicas": 3}})
    assert scaled.spec.replicas == 3 and scaled.status.selector == "app=web", scaled
    sidecar = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "busybox"}]}}}}
    merged = apps.patch_namespaced_deployment("web", NAMESPACE, sidecar)
    assert [one.name for one in merged.spec.template.spec.containers] == ["side", "web"], merged
    edit = [{"op": "remove", "path": "/spec/template/spec/containers/0"}]
    edited = apps.patch_namespaced_deployment("web", NAMESPACE, edit)
    assert [one.name for one in edited.spec.template.spec.containers] == ["web"], edited

    edited.spec.replicas = 1
    edited.metadata.resource_version = "1"
    refused(409, "Conflict", apps.replace_namespaced_deployment, "web", NAMESPACE, edited)
    edited.metadata.resource_version = None
    replaced = apps.replace_namespaced_deployment("web", NAMESPACE, edited)
    assert replaced.spec.replicas == 1
    edited.spec.replicas = -1
    found = refused(422, "Invalid", apps.replace_namespaced_deployment, "web", NAMESPACE, edited)
    assert "spec.replicas" in [cause["field"] for cause in found["details"]["causes"]], found
    apps.delete_namespaced_deployment("web", NAMESPACE, propagation_policy="Background")
    refused(404, "NotFound", apps.read_namespaced_deployment, "web", NAMESPACE)


def pages():
    for i in range(7):
        core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": f"page-{i}", "labels": {"page": "y"}}})
    names, token = [], None
    while token != "":
        page = core.list_namespaced_config_map(NAMESPACE, label_selector="page=y", limit=3, _continue=token)
        names += [item.metadata.name for item in page.items]
        token = page.metadata._continue or ""
    assert names == [f"page-{i}" for i in range(7)], names
    core.delete_collection_namespaced_config_map(NAMESPACE, label_selector="page=y")
    assert not core.list_namespaced_config_map(NAMESPACE, label_selector="page=y").items


SHIPS = """
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
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [name]
            properties:
              name: {type: string}
              decks: {type: integer, minimum: 1, default: 1}
          status: {type: object, properties: {docked: {type: boolean}}}
"""


def discovered(api_version, kind):
    """Discovery may follow a moment later, as upstream's does."""
    with tempfile.TemporaryDirectory() as folder:
        resources = dynamic.DynamicClient(connection, cache_file=f"{folder}/cache").resources
        for _ in range(500):
            try:
                return resources.get(api_version=api_version, kind=kind)
            except dynamic.exceptions.ResourceNotFoundError:
                time.sleep(0.1)
    raise AssertionError(f"{kind} is not discovered")


def custom_kinds():
    utils.create_from_dict(connection, yaml.safe_load(SHIPS))
    name = "ships.harbour.example"
    for event in watch.Watch().stream(
        extensions.list_custom_resource_definition, field_selector=f"metadata.name={name}", timeout_seconds=50
    ):
        conditions = event["object"].status.conditions or []
        if any(one.type == "Established" and one.status == "True" for one in conditions):
            break

    ships = discovered("harbour.example/v1", "Ship")
    argo = {"apiVersion": "harbour.example/v1", "kind": "Ship", "metadata": {"name": "argo"}}
    made = ships.create({**argo, "spec": {"name": "Argo", "unknown": 1}}, namespace=NAMESPACE)
    assert made.spec.to_dict() == {"name": "Argo", "decks": 1}, made
    try:
        ships.create({**argo, "metadata": {"name": "bad"}, "spec": {"decks": 0}}, namespace=NAMESPACE)
        raise AssertionError("a bad ship")
    except dynamic.exceptions.UnprocessibleEntityError as refusal:
        assert "spec.name" in refusal.summary(), refusal

    grown = ships.patch(
        {"spec": {"decks": 3}}, name="argo", namespace=NAMESPACE, content_type="application/merge-patch+json"
    )
    assert grown.spec.decks == 3 and grown.metadata.generation == 2, grown
    applied = ships.server_side_apply(
        {**argo, "spec": {"name": "Argo II"}}, namespace=NAMESPACE, field_manager="yard", force_conflicts=True
    )
    assert applied.spec.to_dict() == {"name": "Argo II", "decks": 3}, applied
    docked = ships.status.patch(
        {"status": {"docked": True}},
        name="argo",
        namespace=NAMESPACE,
        content_type="application/merge-patch+json",
    )
    assert docked.status.docked is True and docked.metadata.generation == 3, docked
    untyped = custom.get_namespaced_custom_object("harbour.example", "v1", NAMESPACE, "ships", "argo")
    assert untyped == docked.to_dict(), untyped

    seen = [event["type"] for event in ships.watch(namespace=NAMESPACE, timeout=1)]
    assert seen == ["ADDED"], seen
    ships.delete(name="argo", namespace=NAMESPACE)
    assert not ships.get(namespace=NAMESPACE).items
    extensions.delete_custom_resource_definition(name)


workloads()
pages()
custom_kinds()
print("done")
