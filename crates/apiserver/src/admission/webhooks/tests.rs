use drydock_auth::UserInfo;
use drydock_cel::declare::KubernetesVersion;
use drydock_kinds::expression::Compiler;
use drydock_machinery::{GroupVersionKind, GroupVersionResource, Object, ObjectMeta as _, value};

use super::*;
use crate::admission::Reader;
use crate::admission::matching::Criteria;
use crate::resources::{Resources, builtin};

struct Nothing;

impl Reader for Nothing {
    fn get(&self, _: &str, _: &str, _: &str, name: &str) -> Option<Arc<Object>> {
        let namespace = value!({"metadata": {"name": name, "labels": {"team": "a"}}});
        (name == "ns").then(|| Arc::new(Object::new(namespace, 1)))
    }

    fn list(&self, _: &str, _: &str, _: &str) -> Vec<Arc<Object>> {
        Vec::new()
    }
}

fn with_request<T>(subresource: &str, check: impl FnOnce(&mut AdmissionRequest<'_>) -> T) -> T {
    let user = UserInfo::new("ann", &["devs"]);
    check(&mut AdmissionRequest {
        operation: Operation::Create,
        user: &user,
        kind: &GroupVersionKind::new("", "v1", "Pod"),
        resource: &GroupVersionResource::new("", "v1", "pods"),
        subresource,
        name: "p".to_owned(),
        namespace: "ns",
        object: Some(value!({"metadata": {"name": "p", "labels": {"app": "web"}}})),
        old_object: None,
        options: &Default::default(),
        dry_run: false,
        warnings: Vec::new(),
        audit: Vec::new(),
        webhooks: Default::default(),
        reinvocation: Default::default(),
    })
}

fn matches(webhook: &Value, request: &AdmissionRequest<'_>) -> bool {
    let resources = Resources::new(builtin(36));
    Criteria::of_webhook(webhook).matches(&Nothing, &resources, request).unwrap().is_some()
}

#[test]
fn rules_and_selectors_choose_requests() {
    let check = |subresource: &str, changes: Value, expected: bool| {
        let mut webhook = value!({"rules": [
            {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]},
        ]});
        if let Some(changes) = changes.as_object() {
            for (key, value) in changes.iter() {
                webhook.set(&[key], value.clone());
            }
        }
        let got = with_request(subresource, |request| matches(&webhook, request));
        assert_eq!(got, expected, "{changes:?}");
    };
    let rule = |resource: &str, operation: &str, scope: &str| {
        value!({"rules": [{"operations": [operation], "apiGroups": ["*"], "apiVersions": ["*"],
            "resources": [resource], "scope": scope}]})
    };
    check("", value!({}), true);
    check("log", value!({}), false);
    check("log", rule("pods/log", "*", "*"), true);
    check("log", rule("pods/*", "*", "*"), true);
    check("", rule("pods/*", "*", "*"), true);
    check("", rule("*", "DELETE", "*"), false);
    check("", rule("*", "CREATE", "Cluster"), false);
    check("", rule("*", "CREATE", "Namespaced"), true);
    check("", value!({"namespaceSelector": {"matchLabels": {"team": "a"}}}), true);
    check("", value!({"namespaceSelector": {"matchLabels": {"team": "b"}}}), false);
    check("", value!({"objectSelector": {"matchLabels": {"app": "db"}}}), false);
}

#[test]
fn a_review_is_answered_by_its_uid() {
    let asked = with_request("", |request| {
        let matched = Matched { resource: request.resource.clone(), kind: request.kind.clone() };
        let object = request.object.clone();
        let versioned = Versioned { kind: request.kind.clone(), object, old: None };
        review::request(request, &matched, &versioned, "v1")
    });
    assert_eq!(asked.str_at(&["request", "userInfo", "username"]), "ann");
    let answer = |uid: &str, rest: Value| {
        let mut answer = value!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"});
        answer.set(&["response"], rest);
        answer.set(&["response", "uid"], uid);
        answer
    };
    let uid = asked.str_at(&["request", "uid"]).to_owned();
    assert!(review::read(&answer("other", value!({"allowed": true})), &asked).is_err());
    assert!(review::read(&answer(&uid, value!({"allowed": true})), &asked).unwrap().allowed);
    let denial = answer(
        &uid,
        value!({"allowed": false, "status": {"code": 403, "message": "no", "reason": "Forbidden"}}),
    );
    let status = review::read(&denial, &asked).unwrap().into_status("h.example.com");
    assert_eq!(status.message, "admission webhook \"h.example.com\" denied the request: no");
    assert_eq!(status.code, 403);
}

#[test]
fn what_webhooks_did_is_told_to_the_audit_log() {
    let configuration = value!({"metadata": {"name": "cfg"}, "webhooks": [{"name": "h.example.com"}]});
    let compiler = Compiler::plain(KubernetesVersion::V1_36);
    let hooks = hooks::of_configuration(&Arc::new(Object::new(configuration, 1)), &compiler);
    let patch = STANDARD.encode("[]");
    let said = with_request("", |request| {
        audit::mutation(request, 0, &hooks[0], true, Some(&patch));
        audit::passed_over(request, "validating", 3, &hooks[0]);
        std::mem::take(&mut request.audit)
    });
    let named = r#""configuration":"cfg","webhook":"h.example.com""#;
    let expected = [
        ("mutation.webhook.admission.k8s.io/round_0_index_0", format!("{{{named},\"mutated\":true}}")),
        (
            "patch.webhook.admission.k8s.io/round_0_index_0",
            format!("{{{named},\"patch\":[],\"patchType\":\"JSONPatch\"}}"),
        ),
        ("failed-open.validating.webhook.admission.k8s.io/round_0_index_3", "h.example.com".to_owned()),
    ];
    assert_eq!(said, expected.map(|(key, text)| (key.to_owned(), text)));
}

#[test]
fn patches_are_applied() {
    let patch = STANDARD.encode(r#"[{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]"#);
    let object = apply(&value!({"metadata": {}}), &patch).unwrap();
    assert_eq!(object.label("a"), Some("b"));
    assert!(apply(&value!({}), "!").is_err());
}

#[tokio::test]
async fn an_unreachable_webhook_fails_closed_in_upstreams_words() {
    // Nothing listens on the discard port of the loopback address.
    let shut = value!({"url": "https://127.0.0.1:9/check"});
    let why = crate::webhook::call(&Nothing, &shut, 2, &Value::object()).await.unwrap_err();
    assert_eq!(
        why,
        "Post \"https://127.0.0.1:9/check?timeout=2s\": dial tcp 127.0.0.1:9: connect: connection refused"
    );
    let absent = value!({"service": {"namespace": "ns", "name": "none", "path": "/check"}});
    let why = crate::webhook::call(&Nothing, &absent, 10, &Value::object()).await.unwrap_err();
    assert_eq!(why, "Post \"https://none.ns.svc:443/check?timeout=10s\": service \"none\" not found");
}
