//! Permissions that the registry asks for when it has seen what is written.

mod common;

use std::sync::Arc;

use drydock_apiserver::{ApiServer, Authorizer, testing};
use drydock_auth::{Attributes, Decision, Reader, UserInfo};
use drydock_client::{Client, PatchType, Reply, Request, Verb};
use drydock_machinery::{GroupVersionResource, Status, Value, value};
use drydock_runtime::{Clock, Tasks};

use common::request;

struct Fixture {
    client: Client,
    tasks: Tasks,
}

impl Fixture {
    async fn call(&self, request: Request) -> Result<Value, Status> {
        Ok(match self.client.transport().call(request).await? {
            Reply::Object(object) => object.value().clone(),
            Reply::Virtual(value) => value,
            Reply::List(_) => unreachable!("nothing is listed"),
        })
    }

    async fn create(&self, resource: GroupVersionResource, body: Value) -> Result<Value, Status> {
        self.call(request(Verb::Create, resource, "", Some(body))).await
    }
}

/// Lets everybody do everything but write to subresources that only permissions know.
struct Guarded;

impl Authorizer for Guarded {
    fn authorize(&self, _: &dyn Reader, attributes: &Attributes<'_>) -> Decision {
        if attributes.resource == "configmaps" && attributes.user.name == "mallory" {
            return Decision::no_opinion("");
        }
        let is_node = attributes.verb == "associated-node:update";
        let is_guarded = ["binding", "driver"].contains(&attributes.subresource);
        if is_guarded && !is_node && attributes.user.name != "scheduler" {
            return Decision::NoOpinion { reason: String::new(), evaluation_error: String::new() };
        }
        Decision::allow("")
    }

    fn rules(&self, _: &dyn Reader, _: &UserInfo, _: &str) -> Value {
        value!({})
    }
}

async fn guarded() -> impl Fn(UserInfo) -> Fixture {
    let clock = Clock::real();
    let tasks = Tasks::new("test", clock.clone());
    let store = Arc::new(drydock_store::memory::MemoryStore::new());
    let mut config = testing::open_config(store, tasks.clone(), clock);
    config.authorizer = Arc::new(Guarded);
    let server = ApiServer::start(config).await.unwrap();
    server.set_ready();
    move |user| Fixture { client: server.client(user), tasks: tasks.clone() }
}

#[tokio::test]
async fn whoever_writes_a_policy_can_read_its_parameters() {
    const POLICIES: GroupVersionResource =
        GroupVersionResource::new("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies");
    const BINDINGS: GroupVersionResource =
        GroupVersionResource::new("admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings");
    let fixture = guarded().await;
    let (alice, mallory) = (fixture(UserInfo::new("alice", &[])), fixture(UserInfo::new("mallory", &["g"])));
    let of_cluster = |verb, resource, name: &str, body| Request {
        namespace: String::new(),
        ..request(verb, resource, name, Some(body))
    };
    let policy = value!({"metadata": {"name": "p"}, "spec": {
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"],
            "operations": ["CREATE"], "resources": ["pods"]}]},
        "validations": [{"expression": "true"}]}});
    let refused = mallory.call(of_cluster(Verb::Create, POLICIES, "", policy.clone())).await.unwrap_err();
    let text = "ValidatingAdmissionPolicy.admissionregistration.k8s.io \"p\" is invalid: spec.paramKind: Forbidden: \
                user &{mallory  [g] map[]} must have \"get\" permission on all objects of the referenced paramKind \
                (kind=ConfigMap, apiVersion=v1)";
    assert_eq!(refused.message, text);
    alice.call(of_cluster(Verb::Create, POLICIES, "", policy)).await.unwrap();
    // What stays as it is needs no permission.
    let label = value!({"metadata": {"labels": {"a": "b"}}});
    mallory.call(of_cluster(Verb::Patch(PatchType::Merge), POLICIES, "p", label)).await.unwrap();
    let binding = |policy: &str| {
        value!({"metadata": {"name": "b"}, "spec": {
        "policyName": policy, "validationActions": ["Deny"],
        "paramRef": {"name": "n", "namespace": "default", "parameterNotFoundAction": "Allow"}}})
    };
    let refused = mallory.call(of_cluster(Verb::Create, BINDINGS, "", binding("p"))).await.unwrap_err();
    let text = "spec.paramRef: Forbidden: user &{mallory  [g] map[]} does not have \"get\" permission on the object \
                referenced by paramRef";
    assert!(refused.message.ends_with(text), "{}", refused.message);
    alice.call(of_cluster(Verb::Create, BINDINGS, "", binding("p"))).await.unwrap();
    alice.tasks.close().await;
}

#[tokio::test]
async fn parts_of_a_claims_status_need_permissions_of_their_own() {
    const CLAIMS: GroupVersionResource = GroupVersionResource::new("resource.k8s.io", "v1", "resourceclaims");
    let fixture = guarded().await;
    let scheduler = fixture(UserInfo::new("scheduler", &[]));
    let namespace = |labels: Value| value!({"metadata": {"name": "default", "labels": labels}});
    const NAMESPACES: GroupVersionResource = GroupVersionResource::new("", "v1", "namespaces");
    let of_cluster =
        |verb, body| Request { namespace: String::new(), ..request(verb, NAMESPACES, "", Some(body)) };
    scheduler.call(of_cluster(Verb::Create, namespace(value!({})))).await.unwrap();
    let claim = |name: &str, admin: bool| {
        value!({"metadata": {"name": name}, "spec": {"devices": {"requests": [
        {"name": "r", "exactly": {"deviceClassName": "c", "adminAccess": admin}}]}}})
    };
    let refused = scheduler.create(CLAIMS, claim("admin", true)).await.unwrap_err();
    let text = "ResourceClaim.resource.k8s.io \"admin\" is invalid: spec.devices.requests[0].adminAccess: Forbidden: \
                admin access to devices requires the `resource.kubernetes.io/admin-access: true` label on the \
                containing namespace";
    assert_eq!(refused.message, text);
    let labelled = namespace(value!({"resource.kubernetes.io/admin-access": "true"}));
    let mut label = of_cluster(Verb::Patch(PatchType::Merge), labelled);
    label.name = "default".to_owned();
    scheduler.call(label).await.unwrap();
    scheduler.create(CLAIMS, claim("admin", true)).await.unwrap();

    let made = scheduler.create(CLAIMS, claim("a", false)).await.unwrap();
    let status = |claim: &Value, status: Value| {
        let mut body = claim.clone();
        body.set(&["status"], status);
        Request { subresource: "status".to_owned(), ..request(Verb::Update, CLAIMS, "a", Some(body)) }
    };
    let allocation = value!({
        "devices": {"results": [{"request": "r", "driver": "d.example.com", "pool": "p", "device": "x"}]},
        "nodeSelector": {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}]},
    });
    let mallory = fixture(UserInfo::new("mallory", &[]));
    let refused = mallory.call(status(&made, value!({"allocation": allocation}))).await.unwrap_err();
    let text = "ResourceClaim.resource.k8s.io \"a\" is invalid: status.allocation: Forbidden: changing \
                status.allocation or status.reservedFor requires resource=\"resourceclaims/binding\", verb=\"update\" \
                permission: resourceclaims.resource.k8s.io is forbidden: User \"mallory\" cannot update resource \
                \"resourceclaims/binding\" in API group \"resource.k8s.io\" at the cluster scope";
    assert_eq!(refused.message, text);
    let bound = scheduler.call(status(&made, value!({"allocation": allocation}))).await.unwrap();
    let device = value!({"driver": "d.example.com", "pool": "p", "device": "x"});
    let reported = value!({"allocation": allocation, "devices": [device]});
    let refused = mallory.call(status(&bound, reported.clone())).await.unwrap_err();
    assert!(refused.message.contains("verb=\"[arbitrary-node:update]\" permission"), "{}", refused.message);
    // A driver's pod may speak for its own node.
    let on = |node: &str| {
        let mut user = UserInfo::new("system:serviceaccount:default:driver", &[]);
        user.extra.insert("authentication.kubernetes.io/node-name".to_owned(), vec![node.to_owned()]);
        fixture(user)
    };
    assert!(on("other").call(status(&bound, reported.clone())).await.is_err());
    let told = on("n").call(status(&bound, reported)).await.unwrap();
    assert_eq!(told.array_at(&["status", "devices"]).len(), 1);
    scheduler.tasks.close().await;
}
