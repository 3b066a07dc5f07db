//! Admission policies through the in-process client: the whole chain of plugins, everybody an administrator.

use std::sync::Arc;

use async_trait::async_trait;
use drydock_apiserver::admission::AdmissionChain;
use drydock_apiserver::seams::Authorizer;
use drydock_apiserver::{ApiServer, Config, Version, testing};
use drydock_auth::{Attributes, Decision, Reader, UserInfo};
use drydock_client::{Client, Options, PatchType, Reply, Request, Verb};
use drydock_machinery::{GroupVersionResource, ObjectMeta, Status, Value, value};
use drydock_runtime::{Clock, Tasks};
use drydock_store::memory::MemoryStore;

const GROUP: &str = "admissionregistration.k8s.io";
const CONFIG_MAPS: GroupVersionResource = GroupVersionResource::new("", "v1", "configmaps");
const NAMESPACES: GroupVersionResource = GroupVersionResource::new("", "v1", "namespaces");

struct Fixture {
    client: Client,
    tasks: Tasks,
    _server: ApiServer,
}

async fn start() -> Fixture {
    start_with(|_| {}).await
}

async fn start_with(change: impl FnOnce(&mut Config)) -> Fixture {
    let clock = Clock::real();
    let tasks = Tasks::new("test", clock.clone());
    let mut config = testing::open_config(Arc::new(MemoryStore::new()), tasks.clone(), clock);
    config.admission = AdmissionChain::upstream(&Arc::new(drydock_auth::Authorizer::new()));
    change(&mut config);
    let server = ApiServer::start(config).await.unwrap();
    server.set_ready();
    let user = UserInfo::new("admin", &["system:masters"]);
    let fixture = Fixture { client: server.client(user), _server: server, tasks };
    fixture
        .create(&NAMESPACES, "", value!({"metadata": {"name": "n", "labels": {"tier": "gold"}}}))
        .await
        .unwrap();
    fixture
}

impl Fixture {
    async fn call(
        &self,
        verb: Verb,
        resource: &GroupVersionResource,
        namespace: &str,
        name: &str,
        body: Value,
    ) -> Result<Value, Status> {
        let request = Request {
            verb,
            resource: resource.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: String::new(),
            options: Options::default(),
            body: Some(body),
        };
        match self.client.transport().call(request).await? {
            Reply::Object(object) => Ok(object.value().clone()),
            Reply::Virtual(value) => Ok(value),
            Reply::List(_) => Ok(Value::Null),
        }
    }

    async fn create(
        &self,
        resource: &GroupVersionResource,
        namespace: &str,
        body: Value,
    ) -> Result<Value, Status> {
        self.call(Verb::Create, resource, namespace, "", body).await
    }

    /// A policy for new objects of a resource of the core group, unless the spec says otherwise, with a binding.
    async fn policy(&self, kind: &str, name: &str, resource: &str, spec: Value, binding: Value) {
        let plural = |rest: &'static str| GroupVersionResource::new(GROUP, "v1", rest);
        let (policies, bindings) = match kind {
            "Validating" => {
                (plural("validatingadmissionpolicies"), plural("validatingadmissionpolicybindings"))
            }
            _ => (plural("mutatingadmissionpolicies"), plural("mutatingadmissionpolicybindings")),
        };
        let mut policy = value!({"metadata": {"name": name}, "spec": {
            "matchConstraints": {"resourceRules": [{"apiGroups": ["", "autoscaling"], "apiVersions": ["v1"],
                "operations": ["CREATE", "UPDATE"], "resources": [resource]}]}}});
        let mut bound = value!({"metadata": {"name": name}, "spec": {"policyName": name}});
        for (object, fields) in [(&mut policy, &spec), (&mut bound, &binding)] {
            for (field, value) in fields.object_at(&[]).iter() {
                object.set(&["spec", field], value.clone());
            }
        }
        self.create(&policies, "", policy).await.unwrap();
        self.create(&bindings, "", bound).await.unwrap();
    }

    async fn config_map(&self, name: &str, data: Value) -> Result<Value, Status> {
        self.create(&CONFIG_MAPS, "n", value!({"metadata": {"name": name}, "data": (data)})).await
    }
}

fn deny() -> Value {
    value!({"validationActions": ["Deny"]})
}

fn patch(expression: &str) -> Value {
    value!([{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}])
}

#[tokio::test]
async fn a_policy_denies_by_what_its_variables_and_the_namespace_say() {
    let f = start().await;
    let spec = value!({
        "variables": [{"name": "keys", "expression": "size(object.data)"}],
        "matchConditions": [{"name": "data", "expression": "has(object.data)"}],
        "validations": [{"expression": "variables.keys < 2 || namespaceObject.metadata.labels.tier != 'gold'",
            "messageExpression": "string(variables.keys) + ' keys'", "reason": "Forbidden"}],
    });
    f.policy("Validating", "few", "configmaps", spec, deny()).await;
    f.config_map("a", value!({"a": "1"})).await.unwrap();
    let status = f.config_map("b", value!({"a": "1", "b": "2"})).await.unwrap_err();
    assert_eq!(status.code, 403);
    assert_eq!(
        status.message,
        "configmaps \"b\" is forbidden: ValidatingAdmissionPolicy 'few' with binding 'few' denied request: 2 keys"
    );
    let patch = value!({"data": {"b": "2"}});
    let status = f.call(Verb::Patch(PatchType::Merge), &CONFIG_MAPS, "n", "a", patch).await.unwrap_err();
    assert_eq!(status.code, 403);
    f.tasks.close().await;
}

#[tokio::test]
async fn parameters_are_chosen_by_their_labels_and_all_of_them_count() {
    let f = start().await;
    for (name, limit) in [("p1", "3"), ("p2", "1")] {
        let params =
            value!({"metadata": {"name": name, "labels": {"limits": "yes"}}, "data": {"limit": limit}});
        f.create(&CONFIG_MAPS, "n", params).await.unwrap();
    }
    let spec = value!({
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "validations": [{"expression": "size(object.data) <= int(params.data.limit)"}],
    });
    let binding = value!({"validationActions": ["Deny"], "paramRef": {
        "selector": {"matchLabels": {"limits": "yes"}}, "parameterNotFoundAction": "Allow"}});
    f.policy("Validating", "limits", "secrets", spec, binding).await;
    let secrets = GroupVersionResource::new("", "v1", "secrets");
    let secret = |name: &str, data: Value| value!({"metadata": {"name": name}, "stringData": (data)});
    f.create(&secrets, "n", secret("a", value!({"a": "1"}))).await.unwrap();
    let status = f.create(&secrets, "n", secret("b", value!({"a": "1", "b": "2"}))).await.unwrap_err();
    assert!(status.message.ends_with("failed expression: size(object.data) <= int(params.data.limit)"));
    f.tasks.close().await;
}

#[tokio::test]
async fn an_equivalent_version_is_seen_in_the_version_the_rule_names() {
    let f = start().await;
    let spec = value!({"validations": [{
        "expression": "object.apiVersion == 'autoscaling/v1' && object.spec.targetCPUUtilizationPercentage > 10"}]});
    f.policy("Validating", "hpa", "horizontalpodautoscalers", spec, deny()).await;
    let scaler = |name: &str, percent: i64| {
        value!({"metadata": {"name": name}, "spec": {"maxReplicas": 3,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": percent}}}]}})
    };
    let resource = GroupVersionResource::new("autoscaling", "v2", "horizontalpodautoscalers");
    f.create(&resource, "n", scaler("a", 50)).await.unwrap();
    assert_eq!(f.create(&resource, "n", scaler("b", 5)).await.unwrap_err().code, 422);
    f.tasks.close().await;
}

#[tokio::test]
async fn what_cannot_be_evaluated_fails_the_request_or_is_passed_over() {
    let f = start().await;
    let spec = |policy: &str, expression: &str| value!({"failurePolicy": policy, "validations": [{"expression": expression}]});
    f.policy("Validating", "lenient", "configmaps", spec("Ignore", "object.data.absent == 'x'"), deny())
        .await;
    f.config_map("a", value!({"a": "1"})).await.unwrap();
    let costly = "[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, \
        [1,2,3,4,5,6,7,8,9,10].all(d, [1,2,3,4,5,6,7,8,9,10].all(e, [1,2,3,4,5,6,7,8,9,10].all(f, f > 0))))))";
    f.policy("Validating", "costly", "configmaps", spec("Fail", costly), deny()).await;
    let status = f.config_map("b", value!({"a": "1"})).await.unwrap_err();
    assert!(status.message.contains("actual cost limit exceeded"), "{}", status.message);
    f.tasks.close().await;
}

#[tokio::test]
async fn a_mutation_is_asked_again_when_a_later_one_changed_the_object() {
    let f = start().await;
    let count = "has(object.data.copies) && object.data.copies == string(size(object.data)) ? [] : \
        [JSONPatch{op: 'add', path: '/data/copies', value: string(size(object.data) + \
        (has(object.data.copies) ? 0 : 1))}]";
    let first = value!({"reinvocationPolicy": "IfNeeded", "mutations": (patch(count))});
    f.policy("Mutating", "a-counts", "configmaps", first, value!({})).await;
    let second = value!({"reinvocationPolicy": "Never", "mutations": [{"patchType": "ApplyConfiguration",
        "applyConfiguration": {"expression": "Object{data: {'later': 'yes'}}"}}]});
    f.policy("Mutating", "b-adds", "configmaps", second, value!({})).await;
    let made = f.config_map("m", value!({"own": "1"})).await.unwrap();
    assert_eq!(made.get("data"), Some(&value!({"copies": "3", "later": "yes", "own": "1"})));
    assert_eq!(made.annotations().len(), 0);
    f.tasks.close().await;
}

#[tokio::test]
async fn a_mutation_that_does_not_fit_fails_the_request() {
    let f = start().await;
    let spec = value!({"reinvocationPolicy": "Never", "mutations": [{"patchType": "ApplyConfiguration",
        "applyConfiguration": {"expression": "Object{spec: Object.spec{nodeSelector: {'a': 'b'}}}"}}]});
    f.policy("Mutating", "atomic", "pods", spec, value!({})).await;
    let pods = GroupVersionResource::new("", "v1", "pods");
    let accounts = GroupVersionResource::new("", "v1", "serviceaccounts");
    f.create(&accounts, "n", value!({"metadata": {"name": "default"}})).await.unwrap();
    let pod = value!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "x"}]}});
    let status = f.create(&pods, "n", pod).await.unwrap_err();
    assert_eq!(
        status.message,
        "policy 'atomic' with binding 'atomic' denied request: error applying patch: invalid ApplyConfiguration: may \
         not mutate atomic arrays, maps or structs: .spec.nodeSelector"
    );
    assert_eq!(status.code, 403);
    f.tasks.close().await;
}

#[tokio::test]
async fn type_checking_warns_in_the_status() {
    let f = start().await;
    let spec = value!({"validations": [{"expression": "object.data.size() < 5 && object.nothing"}]});
    f.policy("Validating", "typo", "configmaps", spec, deny()).await;
    let policies = GroupVersionResource::new(GROUP, "v1", "validatingadmissionpolicies");
    let warning = loop {
        let policy = f.call(Verb::Get, &policies, "", "typo", Value::Null).await.unwrap();
        if policy.i64_at(&["status", "observedGeneration"]) == Some(1) {
            let warnings = policy.array_at(&["status", "typeChecking", "expressionWarnings"]).to_vec();
            break warnings[0].str_at(&["warning"]).to_owned();
        }
        tokio::task::yield_now().await;
    };
    assert!(
        warning.starts_with("/v1, Kind=ConfigMap: ERROR: <input>:1:33: undefined field 'nothing'"),
        "{warning}"
    );
    f.tasks.close().await;
}

/// An authorizer on another machine: it takes its time.
struct Far;

#[async_trait]
impl Authorizer for Far {
    fn authorize(&self, _: &dyn Reader, _: &Attributes<'_>) -> Decision {
        Decision::no_opinion("not here")
    }

    async fn decide(&self, _: &dyn Reader, attributes: &Attributes<'_>) -> Decision {
        tokio::task::yield_now().await;
        match attributes.verb {
            "eat" => Decision::no_opinion("nobody says so"),
            _ => Decision::allow("far away"),
        }
    }

    fn rules(&self, _: &dyn Reader, _: &UserInfo, _: &str) -> Value {
        Value::object()
    }
}

#[tokio::test]
async fn expressions_ask_the_whole_chain_of_authorizers() {
    let f = start_with(|config| config.authorizer = Arc::new(Far)).await;
    let may = |verb: &str| format!("authorizer.group('g').resource('hats').check('{verb}')");
    let spec = value!({
        "variables": [{"name": "may", "expression": (may("wear"))}],
        "validations": [
            {"expression": "variables.may.allowed() && variables.may.reason() == 'far away'"},
            {"expression": (may("eat") + ".allowed()")},
        ],
    });
    f.policy("Validating", "hats", "configmaps", spec, deny()).await;
    let refused = f.config_map("a", value!({})).await.unwrap_err();
    assert!(refused.message.ends_with(&(may("eat") + ".allowed()")), "{}", refused.message);
    f.tasks.close().await;
}

#[tokio::test]
async fn expressions_may_use_what_the_version_of_the_cluster_has() {
    for (minor, is_known) in [(34, false), (35, true)] {
        let f = start_with(|config| config.version = Version { minor, git: format!("v1.{minor}.0") }).await;
        let policies = GroupVersionResource::new(GROUP, "v1", "validatingadmissionpolicies");
        let policy = value!({"metadata": {"name": "sorted"}, "spec": {
            "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"],
                "operations": ["CREATE"], "resources": ["configmaps"]}]},
            "validations": [{"expression": "[2, 1].sort() == [1, 2]"}]}});
        let made = f.create(&policies, "", policy).await;
        assert_eq!(made.is_ok(), is_known, "1.{minor}: {made:?}");
        f.tasks.close().await;
    }
}
