//! The registry and the watch cache, through the in-process client.

mod common;

use drydock_apiserver::{ApiServer, testing};
use drydock_auth::UserInfo;
use drydock_client::{Client, PatchType, Reply, Request, Verb, WatchEvent};
use drydock_machinery::{GroupVersionResource, ObjectMeta, Status, Value, value};
use drydock_runtime::{Clock, Tasks, wall};
use futures::StreamExt;

use common::request;

const CONFIG_MAPS: GroupVersionResource = GroupVersionResource::new("", "v1", "configmaps");
const PODS: GroupVersionResource = GroupVersionResource::new("", "v1", "pods");
const SERVICES: GroupVersionResource = GroupVersionResource::new("", "v1", "services");
const DEPLOYMENTS: GroupVersionResource = GroupVersionResource::new("apps", "v1", "deployments");

struct Fixture {
    server: ApiServer,
    client: Client,
    tasks: Tasks,
}

async fn start() -> Fixture {
    let clock = Clock::real();
    let tasks = Tasks::new("test", clock.clone());
    let server = testing::open(&tasks, clock).await;
    Fixture { client: server.client(UserInfo::api_server()), server, tasks }
}

impl Fixture {
    async fn call(&self, request: Request) -> Result<Value, Status> {
        match self.client.transport().call(request).await? {
            Reply::Object(object) => Ok(object.value().clone()),
            Reply::Virtual(value) => Ok(value),
            Reply::List(list) => {
                let names: Vec<String> = list.items.iter().map(|item| item.name().to_owned()).collect();
                Ok(
                    value!({"names": names, "continue": list.continue_token, "revision": list.resource_version}),
                )
            }
        }
    }

    async fn create(&self, resource: GroupVersionResource, body: Value) -> Result<Value, Status> {
        self.call(request(Verb::Create, resource, "", Some(body))).await
    }

    async fn config_map(&self, name: &str) -> Value {
        let body = value!({"metadata": {"name": name, "labels": {"l": name}}, "data": {"k": "v"}});
        self.create(CONFIG_MAPS, body).await.unwrap()
    }
}

#[tokio::test]
async fn what_is_created_is_read_at_once() {
    let f = start().await;
    let made = f.config_map("a").await;
    assert_eq!(made.str_at(&["metadata", "namespace"]), "default");
    assert!(!made.uid().is_empty() && !made.resource_version().is_empty());
    let read = f.call(request(Verb::Get, CONFIG_MAPS, "a", None)).await.unwrap();
    assert_eq!(read, made);
    let again = f.create(CONFIG_MAPS, value!({"metadata": {"name": "a"}})).await.unwrap_err();
    assert_eq!(again.message, "configmaps \"a\" already exists");
    f.tasks.close().await;
}

#[tokio::test]
async fn an_update_from_an_old_version_conflicts_and_one_that_changes_nothing_is_none() {
    let f = start().await;
    let made = f.config_map("a").await;
    let mut changed = made.clone();
    changed.set(&["data", "k"], "w");
    let second = f.call(request(Verb::Update, CONFIG_MAPS, "a", Some(changed.clone()))).await.unwrap();
    assert_ne!(second.resource_version(), made.resource_version());
    let stale = f.call(request(Verb::Update, CONFIG_MAPS, "a", Some(changed))).await.unwrap_err();
    assert_eq!(
        stale.message,
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"
    );
    let same = f.call(request(Verb::Update, CONFIG_MAPS, "a", Some(second.clone()))).await.unwrap();
    assert_eq!(same.resource_version(), second.resource_version());
    f.tasks.close().await;
}

#[tokio::test]
async fn concurrent_patches_all_take_effect() {
    let f = start().await;
    f.config_map("a").await;
    let patches = (0..20).map(|i| {
        let patch = value!({"data": {format!("k{i}"): "v"}});
        f.call(request(Verb::Patch(PatchType::Merge), CONFIG_MAPS, "a", Some(patch)))
    });
    for done in futures::future::join_all(patches).await {
        done.unwrap();
    }
    let read = f.call(request(Verb::Get, CONFIG_MAPS, "a", None)).await.unwrap();
    assert_eq!(read.object_at(&["data"]).len(), 21);
    f.tasks.close().await;
}

#[tokio::test]
async fn a_list_goes_on_from_its_continue_token_at_its_own_revision() {
    let f = start().await;
    for name in ["a", "b", "c"] {
        f.config_map(name).await;
    }
    let mut list = request(Verb::List, CONFIG_MAPS, "", None);
    list.options.limit = 2;
    let first = f.call(list.clone()).await.unwrap();
    assert_eq!(first.get("names"), Some(&value!(["a", "b"])));
    f.config_map("d").await;
    list.options.continue_token = first.str_at(&["continue"]).to_owned();
    let second = f.call(list).await.unwrap();
    assert_eq!(second.get("names"), Some(&value!(["c"])));
    assert_eq!(second.str_at(&["revision"]), first.str_at(&["revision"]));
    f.tasks.close().await;
}

#[tokio::test]
async fn a_watch_tells_of_everything_after_its_list() {
    let f = start().await;
    f.config_map("a").await;
    let mut list = request(Verb::List, CONFIG_MAPS, "", None);
    let revision = f.call(list.clone()).await.unwrap().str_at(&["revision"]).to_owned();
    list.options.resource_version = revision;
    let mut watch = f.client.transport().watch(list).await.unwrap();
    f.config_map("b").await;
    f.call(request(Verb::Delete, CONFIG_MAPS, "a", None)).await.unwrap();
    let Some(WatchEvent::Added(added)) = watch.next().await else { panic!("no b") };
    assert_eq!(added.name(), "b");
    let Some(WatchEvent::Deleted(deleted)) = watch.next().await else { panic!("a is still there") };
    assert_eq!((deleted.name(), deleted.revision() > added.revision()), ("a", true));
    f.tasks.close().await;
}

#[tokio::test]
async fn watchers_of_a_pod_see_that_its_grace_is_over_before_it_goes() {
    let f = start().await;
    let body = value!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let made = f.create(PODS, body).await.unwrap();
    let mut list = request(Verb::List, PODS, "", None);
    list.options.resource_version = made.resource_version().to_owned();
    let mut watch = f.client.transport().watch(list).await.unwrap();
    let mut delete = request(Verb::Delete, PODS, "p", None);
    delete.options.grace_period_seconds = Some(0);
    f.call(delete).await.unwrap();
    let Some(WatchEvent::Modified(marked)) = watch.next().await else { panic!("not marked") };
    assert_eq!(marked.i64_at(&["metadata", "deletionGracePeriodSeconds"]), Some(0));
    assert_eq!(marked.generation(), made.generation() + 1);
    assert!(matches!(watch.next().await, Some(WatchEvent::Deleted(_))));
    f.tasks.close().await;
}

#[tokio::test]
async fn a_list_of_what_is_at_hand_has_no_pages() {
    let f = start().await;
    f.config_map("a").await;
    f.config_map("b").await;
    let mut list = request(Verb::List, CONFIG_MAPS, "", None);
    list.options.limit = 1;
    list.options.resource_version = "0".to_owned();
    assert_eq!(f.call(list).await.unwrap().get("names"), Some(&value!(["a", "b"])));
    f.tasks.close().await;
}

#[tokio::test]
async fn an_object_with_finalizers_stays_until_they_are_gone() {
    let f = start().await;
    f.create(CONFIG_MAPS, value!({"metadata": {"name": "a", "finalizers": ["example.com/hold"]}}))
        .await
        .unwrap();
    let marked = f.call(request(Verb::Delete, CONFIG_MAPS, "a", None)).await.unwrap();
    assert!(marked.is_deleting());
    let free = value!({"metadata": {"finalizers": null}});
    f.call(request(Verb::Patch(PatchType::Merge), CONFIG_MAPS, "a", Some(free))).await.unwrap();
    let gone = f.call(request(Verb::Get, CONFIG_MAPS, "a", None)).await.unwrap_err();
    assert_eq!(gone.message, "configmaps \"a\" not found");
    f.tasks.close().await;
}

#[tokio::test]
async fn a_service_gets_an_address_that_nobody_else_gets() {
    let f = start().await;
    let body = |name: &str, ip: Option<&str>| value!({"metadata": {"name": name}, "spec": {"clusterIP": ip, "ports": [{"port": 80}]}});
    let made = f.create(SERVICES, body("a", None)).await.unwrap();
    let ip = made.str_at(&["spec", "clusterIP"]).to_owned();
    let taken = f.create(SERVICES, body("b", Some(&ip))).await.unwrap_err();
    assert!(taken.message.contains("provided IP is already allocated"), "{}", taken.message);
    f.call(request(Verb::Delete, SERVICES, "a", None)).await.unwrap();
    f.create(SERVICES, body("b", Some(&ip))).await.unwrap();
    f.tasks.close().await;
}

#[tokio::test]
async fn a_service_keeps_each_of_its_addresses_that_is_left_out() {
    let f = start().await;
    let body = value!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}});
    let made = f.create(SERVICES, body.clone()).await.unwrap();
    let address = made.str_at(&["spec", "clusterIP"]).to_owned();
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        let mut changed = made.clone();
        changed.remove(&["metadata", "resourceVersion"]);
        changed.remove(&["spec", field]);
        let changed = f.call(request(Verb::Update, SERVICES, "s", Some(changed))).await.unwrap();
        assert_eq!(changed.get("spec"), made.get("spec"), "without {field}");
    }
    let mut other = made.clone();
    other.set(&["spec", "clusterIPs"], value!(["10.96.0.77"]));
    let refused = f.call(request(Verb::Update, SERVICES, "s", Some(other))).await.unwrap_err();
    let text = "Service \"s\" is invalid: spec.clusterIPs: Invalid value: [\"10.96.0.77\"]: first value must match \
                `clusterIP`";
    assert_eq!(refused.message, text);
    let mut both = made.clone();
    both.remove(&["spec", "clusterIP"]);
    both.set(&["spec", "ipFamilies"], value!(["IPv6"]));
    let refused = f.call(request(Verb::Update, SERVICES, "s", Some(both))).await.unwrap_err();
    let text = format!(
        "Service \"s\" is invalid: spec.clusterIPs[0]: Invalid value: \"{address}\": expected an IPv6 value as \
         indicated by `ipFamilies[0]`"
    );
    assert_eq!(refused.message, text);
    f.tasks.close().await;
}

/// What a Service's ports have: name, protocol, port and node port.
fn node_ports(service: &Value) -> Vec<(String, String, i64, i64)> {
    let text = |port: &Value, field: &str| port.str_at(&[field]).to_owned();
    let number = |port: &Value, field: &str| port.i64_at(&[field]).unwrap_or(0);
    let ports = service.array_at(&["spec", "ports"]).iter();
    ports
        .map(|port| {
            (text(port, "name"), text(port, "protocol"), number(port, "port"), number(port, "nodePort"))
        })
        .collect()
}

#[tokio::test]
async fn node_ports_are_kept_by_name_and_shared_by_number() {
    let f = start().await;
    let body =
        |ports: Value| value!({"metadata": {"name": "s"}, "spec": {"type": "NodePort", "ports": ports}});
    let dns = value!([
        {"name": "tcp", "port": 53}, {"name": "udp", "port": 53, "protocol": "UDP"}, {"name": "web", "port": 80},
    ]);
    let made = f.create(SERVICES, body(dns)).await.unwrap();
    let given = node_ports(&made);
    assert_eq!(given[0].3, given[1].3, "ports of one number share a node port: {given:?}");
    assert_ne!(given[0].3, given[2].3);
    // Another number under the name of before has the node port of before; a new name has a new one.
    let moved = value!([
        {"name": "tcp", "port": 5353}, {"name": "udp", "port": 53, "protocol": "UDP"}, {"name": "new", "port": 80},
    ]);
    let changed = f.call(request(Verb::Update, SERVICES, "s", Some(body(moved)))).await.unwrap();
    let kept = node_ports(&changed);
    assert_eq!((kept[0].3, kept[1].3), (given[0].3, given[1].3));
    assert!(kept[2].3 != given[2].3 && kept[2].3 != 0, "{kept:?}");
    let twice =
        value!([{"name": "a", "port": 1, "nodePort": 30100}, {"name": "b", "port": 2, "nodePort": 30100}]);
    let refused = f.call(request(Verb::Update, SERVICES, "s", Some(body(twice.clone())))).await.unwrap_err();
    assert_eq!((refused.code, refused.message.as_str()), (500, "duplicate nodePort: {TCP 30100}"));
    let mut other = body(twice);
    other.set(&["metadata", "name"], "t");
    let refused = f.create(SERVICES, other).await.unwrap_err();
    let text = "Service \"t\" is invalid: spec.ports[1].nodePort: Invalid value: 30100: provided port is already allocated";
    assert_eq!(refused.message, text);
    f.tasks.close().await;
}

#[tokio::test]
async fn scale_reads_and_writes_replicas() {
    let f = start().await;
    let body = value!({"metadata": {"name": "d"}, "spec": {
        "replicas": 2, "selector": {"matchLabels": {"app": "d"}},
        "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
    }});
    f.create(DEPLOYMENTS, body).await.unwrap();
    let mut scale = request(Verb::Get, DEPLOYMENTS, "d", None);
    scale.subresource = "scale".to_owned();
    let read = f.call(scale.clone()).await.unwrap();
    assert_eq!(
        (read.i64_at(&["spec", "replicas"]), read.str_at(&["status", "selector"])),
        (Some(2), "app=d")
    );
    scale.verb = Verb::Patch(PatchType::Merge);
    scale.body = Some(value!({"spec": {"replicas": 5}}));
    f.call(scale).await.unwrap();
    let read = f.call(request(Verb::Get, DEPLOYMENTS, "d", None)).await.unwrap();
    assert_eq!(read.i64_at(&["spec", "replicas"]), Some(5));
    f.tasks.close().await;
}

#[tokio::test]
async fn discovery_lists_each_resource_once() {
    let f = start().await;
    let found = f.client.discover().await.unwrap();
    assert!(found.iter().any(|resource| resource.resource == DEPLOYMENTS));
    let autoscalers = found.iter().filter(|resource| resource.kind == "HorizontalPodAutoscaler");
    assert_eq!(autoscalers.count(), 1);
    assert!(f.server.is_ready());
    f.tasks.close().await;
}

const AUTOSCALERS: GroupVersionResource =
    GroupVersionResource::new("autoscaling", "v2", "horizontalpodautoscalers");
const DEFINITIONS: GroupVersionResource =
    GroupVersionResource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");

#[tokio::test]
async fn validation_sees_empty_lists_that_nobody_else_does() {
    let f = start().await;
    let body = |policies: Value| {
        value!({"metadata": {"name": "a"}, "spec": {
        "maxReplicas": 2, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
        "behavior": {"scaleUp": {"policies": policies}}}})
    };
    let text = "HorizontalPodAutoscaler.autoscaling \"a\" is invalid: spec.behavior.scaleUp.policies: Required value: \
                must specify at least one Policy";
    let refused = f.create(AUTOSCALERS, body(value!([]))).await.unwrap_err();
    assert_eq!(refused.message, text);
    let made = f.create(AUTOSCALERS, body(Value::Null)).await.unwrap();
    assert_eq!(made.array_at(&["spec", "behavior", "scaleUp", "policies"]).len(), 2);
    let refused = f.call(request(Verb::Update, AUTOSCALERS, "a", Some(body(value!([]))))).await.unwrap_err();
    assert_eq!(refused.message, text);
    let patch = value!({"spec": {"behavior": {"scaleUp": {"policies": []}}}});
    let patched = request(Verb::Patch(PatchType::Merge), AUTOSCALERS, "a", Some(patch));
    assert_eq!(f.call(patched).await.unwrap_err().message, text);
    // What is let pass is stored without them.
    let given = value!({"metadata": {"name": "c", "labels": {}, "annotations": {}}, "data": {}});
    let stored = f.create(CONFIG_MAPS, given).await.unwrap();
    assert_eq!((stored.at(&["metadata", "labels"]), stored.get("data")), (None, None));
    // And has the defaults of what is absent when it is read.
    let node = value!({"metadata": {"name": "n"}, "status": {"capacity": {"cpu": "1"}, "allocatable": {}}});
    const NODES: GroupVersionResource = GroupVersionResource::new("", "v1", "nodes");
    let node = Request { namespace: String::new(), ..request(Verb::Create, NODES, "", Some(node)) };
    assert_eq!(f.call(node).await.unwrap().at(&["status", "allocatable"]), Some(&value!({"cpu": "1"})));
    f.tasks.close().await;
}

#[tokio::test]
async fn an_update_can_have_managed_fields_forgotten() {
    let f = start().await;
    let made = f.config_map("a").await;
    assert_eq!(made.array_at(&["metadata", "managedFields"]).len(), 1);
    let mut forgetful = made.clone();
    forgetful.set(&["metadata", "managedFields"], value!([]));
    let forgotten = f.call(request(Verb::Update, CONFIG_MAPS, "a", Some(forgetful))).await.unwrap();
    assert_eq!(forgotten.at(&["metadata", "managedFields"]), None);
    f.tasks.close().await;
}

#[tokio::test]
async fn a_definition_without_stored_versions_stores_its_storage_version() {
    let f = start().await;
    let body = value!({"metadata": {"name": "boats.example.com"}, "spec": {
        "group": "example.com", "scope": "Namespaced", "names": {"plural": "boats", "kind": "Boat"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]}});
    let cluster = |verb, name: &str, body| Request {
        namespace: String::new(),
        ..request(verb, DEFINITIONS, name, body)
    };
    f.call(cluster(Verb::Create, "", Some(body))).await.unwrap();
    let mut written = cluster(
        Verb::Patch(PatchType::Merge),
        "boats.example.com",
        Some(value!({"status": {"storedVersions": []}})),
    );
    written.subresource = "status".to_owned();
    let answered = f.call(written).await.unwrap();
    assert_eq!(answered.at(&["status", "storedVersions"]), Some(&value!(["v1"])));
    let read = f.call(cluster(Verb::Get, "boats.example.com", None)).await.unwrap();
    assert_eq!(read.at(&["status", "storedVersions"]), Some(&value!(["v1"])));
    f.tasks.close().await;
}

/// Upstream compacts every five minutes, whatever was written since.
#[tokio::test(start_paused = true)]
async fn a_token_expires_though_nothing_of_its_list_changed() {
    let f = start().await;
    for name in ["a", "b", "c"] {
        f.config_map(name).await;
    }
    let mut list = request(Verb::List, CONFIG_MAPS, "", None);
    list.options.limit = 2;
    let page = f.call(list.clone()).await.unwrap();
    list.options.continue_token = page.str_at(&["continue"]).to_owned();
    assert_eq!(f.call(list.clone()).await.unwrap().array_at(&["names"]).len(), 1);
    let secrets = GroupVersionResource::new("", "v1", "secrets");
    f.create(secrets, value!({"metadata": {"name": "other"}})).await.unwrap();
    wall::sleep(std::time::Duration::from_secs(601)).await;
    let expired = f.call(list.clone()).await.unwrap_err();
    assert_eq!((expired.code, expired.continue_token.is_empty()), (410, false), "{expired:?}");
    // The token that comes with it goes on from the same place, in what there is now.
    list.options.continue_token = expired.continue_token;
    assert_eq!(f.call(list).await.unwrap().array_at(&["names"]).len(), 1);
    f.tasks.close().await;
}

/// To whoever compares with upstream's `reflect.DeepEqual`, an empty list is not the same as none, which is what is
/// stored of it.
#[tokio::test]
async fn an_empty_list_is_a_change_where_go_compares_deeply() {
    let f = start().await;
    let policies = GroupVersionResource::new("networking.k8s.io", "v1", "networkpolicies");
    let deny = value!({"metadata": {"name": "deny"}, "spec": {"podSelector": {}, "ingress": []}});
    assert_eq!(f.create(policies.clone(), deny.clone()).await.unwrap().generation(), 1);
    for generation in [2, 3] {
        let put = f.call(request(Verb::Update, policies.clone(), "deny", Some(deny.clone()))).await.unwrap();
        assert_eq!((put.generation(), put.at(&["spec", "ingress"])), (generation, None));
    }
    // Elements of a list that is owned as a whole are compared so, too: who writes it takes it over.
    let ranges = GroupVersionResource::new("", "v1", "limitranges");
    let range = value!({"metadata": {"name": "r"},
        "spec": {"limits": [{"type": "Pod", "max": {"cpu": "1"}, "defaultRequest": {}}]}});
    f.create(ranges.clone(), range.clone()).await.unwrap();
    let mut put = request(Verb::Update, ranges, "r", Some(range));
    put.options.field_manager = "other".to_owned();
    let put = f.call(put).await.unwrap();
    let managers: Vec<&str> =
        put.array_at(&["metadata", "managedFields"]).iter().map(|entry| entry.str_at(&["manager"])).collect();
    assert_eq!(managers, ["other"]);
    f.tasks.close().await;
}

/// Upstream does not decode what an apply makes of a custom object.
#[tokio::test]
async fn an_applied_custom_object_keeps_its_nulls_for_validation() {
    let f = start().await;
    let schema = value!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "depth": {"type": "integer"}, "name": {"type": "string", "default": "sea"}}}}});
    let body = value!({"metadata": {"name": "seas.example.com"}, "spec": {
        "group": "example.com", "scope": "Namespaced", "names": {"plural": "seas", "kind": "Sea"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": (schema)}}]}});
    let mut create = request(Verb::Create, DEFINITIONS, "", Some(body));
    create.namespace = String::new();
    f.call(create).await.unwrap();
    let seas = GroupVersionResource::new("example.com", "v1", "seas");
    let apply = |spec: Value| {
        let body = value!({"apiVersion": "example.com/v1", "kind": "Sea", "metadata": {"name": "a"}, "spec": (spec)});
        let mut apply = request(Verb::Patch(PatchType::Apply), seas.clone(), "a", Some(body));
        apply.options.field_manager = "m".to_owned();
        f.call(apply)
    };
    let mut refused = apply(value!({"depth": null})).await;
    while refused.as_ref().is_err_and(Status::is_not_found) {
        tokio::task::yield_now().await;
        refused = apply(value!({"depth": null})).await;
    }
    assert_eq!(
        refused.unwrap_err().message,
        "Sea.example.com \"a\" is invalid: spec.depth: Invalid value: \"null\": spec.depth in body must be of type integer: \"null\""
    );
    let made = apply(value!({"depth": 3})).await.unwrap();
    assert_eq!(made.at(&["spec"]), Some(&value!({"depth": 3, "name": "sea"})));
    // One that is sent to be created is decoded: what may not be null goes.
    let sent = value!({"apiVersion": "example.com/v1", "kind": "Sea", "metadata": {"name": "b"},
        "spec": {"depth": null}});
    let made = f.create(seas.clone(), sent).await.unwrap();
    assert_eq!(made.at(&["spec"]), Some(&value!({"name": "sea"})));
    f.tasks.close().await;
}

#[tokio::test]
async fn appliers_in_other_versions_of_a_built_in_kind_keep_what_they_manage() {
    let f = start().await;
    let apply = async |version: &'static str, manager: &str, spec: Value| {
        let body = value!({
            "apiVersion": format!("autoscaling/{version}"), "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "h", "namespace": "default"}, "spec": spec,
        });
        let resource = GroupVersionResource::new("autoscaling", version, "horizontalpodautoscalers");
        let mut apply = request(Verb::Patch(PatchType::Apply), resource, "h", Some(body));
        apply.options.field_manager = manager.to_owned();
        f.call(apply).await
    };
    let target = value!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"});
    let old = value!({"maxReplicas": 3, "targetCPUUtilizationPercentage": 50, "scaleTargetRef": target});
    apply("v1", "a", old).await.unwrap();
    let both = apply("v2", "b", value!({"minReplicas": 2})).await.unwrap();
    let managers: Vec<(&str, &str)> = both
        .array_at(&["metadata", "managedFields"])
        .iter()
        .map(|entry| (entry.str_at(&["manager"]), entry.str_at(&["apiVersion"])))
        .collect();
    assert_eq!(managers, [("a", "autoscaling/v1"), ("b", "autoscaling/v2")]);
    let conflict = apply("v2", "b", value!({"minReplicas": 2, "maxReplicas": 5})).await.unwrap_err();
    assert_eq!(conflict.message, "Apply failed with 1 conflict: conflict with \"a\": .spec.maxReplicas");
}

#[tokio::test]
async fn addresses_of_services_are_objects_too() {
    const ADDRESSES: GroupVersionResource =
        GroupVersionResource::new("networking.k8s.io", "v1", "ipaddresses");
    let f = start().await;
    let service = |name: &str, ip: &str| value!({"metadata": {"name": name}, "spec": {"clusterIP": ip, "ports": [{"port": 80}]}});
    let record = async |verb: Verb, ip: &str, body: Option<Value>| {
        let mut request = request(verb, ADDRESSES, ip, body);
        request.namespace = String::new();
        f.call(request).await
    };
    let made = f.create(SERVICES, service("a", "")).await.unwrap();
    let ip = made.str_at(&["spec", "clusterIP"]);
    let of_a = record(Verb::Get, ip, None).await.unwrap();
    let parent = value!({"resource": "services", "namespace": "default", "name": "a"});
    assert_eq!(of_a.at(&["spec", "parentRef"]), Some(&parent));
    let labels = value!({
        "ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
    });
    assert_eq!(of_a.at(&["metadata", "labels"]), Some(&labels));
    assert_eq!(of_a.array_at(&["metadata", "managedFields"])[0].str_at(&["manager"]), "kube-apiserver");

    // It goes with the Service, whose address is free then.
    f.call(request(Verb::Delete, SERVICES, "a", None)).await.unwrap();
    assert!(record(Verb::Get, ip, None).await.unwrap_err().is_not_found());
    f.create(SERVICES, service("b", ip)).await.unwrap();

    // A user's own record keeps Services off its address, as long as it is there.
    let own =
        value!({"metadata": {"name": "10.100.1.1"}, "spec": {"parentRef": {"resource": "x", "name": "y"}}});
    record(Verb::Create, "", Some(own)).await.unwrap();
    let refused = f.create(SERVICES, service("c", "10.100.1.1")).await.unwrap_err();
    assert!(refused.message.ends_with("provided IP is already allocated"), "{}", refused.message);
    record(Verb::Delete, "10.100.1.1", None).await.unwrap();
    f.create(SERVICES, service("c", "10.100.1.1")).await.unwrap();
    f.tasks.close().await;
}
