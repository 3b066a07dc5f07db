use drydock_machinery::{Value, value};

use super::*;
use crate::bootstrap::policy;
use crate::lookup::testing::Objects;

fn cluster() -> Objects {
    let mut objects = Objects::default();
    for entry in policy() {
        objects.put(entry.resource, entry.object.clone());
    }
    objects
}

fn role(name: &str, rules: Value) -> Value {
    value!({"kind": "Role", "metadata": {"name": name, "namespace": "ns"}, "rules": rules})
}

fn binding(name: &str, kind: &str, role: &str, subject: Value) -> Value {
    value!({
        "kind": "RoleBinding", "metadata": {"name": name, "namespace": "ns"},
        "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role}, "subjects": [subject],
    })
}

#[test]
fn a_binding_in_a_namespace_allows_there_and_says_why() {
    let mut objects = cluster();
    let rbac = Rbac::default();
    let user = UserInfo::new("u", &["g", "system:authenticated"]);
    let request = Attributes { namespace: "ns", ..Attributes::resource(&user, "get", "", "pods") };
    assert_eq!(rbac.authorize(&objects, &request), Decision::no_opinion(""));

    let rules = value!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]);
    objects.put("roles", role("r", rules));
    objects.put("rolebindings", binding("rb", "Role", "r", value!({"kind": "Group", "name": "g"})));
    let reason = r#"RBAC: allowed by RoleBinding "rb/ns" of Role "r" to Group "g""#;
    assert_eq!(rbac.authorize(&objects, &request), Decision::allow(reason));
    let elsewhere = Attributes { namespace: "other", ..request };
    assert!(!rbac.authorize(&objects, &elsewhere).is_allowed());
    let log = Attributes { subresource: "log", ..request };
    assert!(!rbac.authorize(&objects, &log).is_allowed());

    objects.remove("roles", "ns", "r");
    let reason = r#"RBAC: role.rbac.authorization.k8s.io "r" not found"#;
    assert_eq!(rbac.authorize(&objects, &request), Decision::no_opinion(reason));
}

#[test]
fn service_accounts_are_subjects_and_default_to_the_bindings_namespace() {
    let mut objects = cluster();
    objects.put(
        "rolebindings",
        binding("b", "ClusterRole", "view", value!({"kind": "ServiceAccount", "name": "sa"})),
    );
    let user = UserInfo::service_account("ns", "sa");
    let rbac = Rbac::default();
    let request =
        Attributes { namespace: "ns", ..Attributes::resource(&user, "list", "apps", "deployments") };
    assert!(rbac.authorize(&objects, &request).is_allowed());
    let secrets = Attributes { namespace: "ns", ..Attributes::resource(&user, "list", "", "secrets") };
    assert!(!rbac.authorize(&objects, &secrets).is_allowed());
}

#[test]
fn rules_match_as_upstream_matches_them() {
    let user = UserInfo::new("u", &[]);
    let check = |rule: Value, resource: &str, subresource: &str, allowed: bool| {
        let request =
            Attributes { subresource, name: "x", ..Attributes::resource(&user, "get", "", resource) };
        assert_eq!(rule_allows(&rule, &request), allowed, "{rule:?} {resource}/{subresource}");
    };
    let rule = |resource: &str| value!({"apiGroups": [""], "resources": [resource], "verbs": ["get"]});
    check(rule("pods"), "pods", "", true);
    check(rule("pods"), "pods", "log", false);
    check(rule("pods/log"), "pods", "log", true);
    check(rule("pods/log"), "pods", "", false);
    check(rule("*/log"), "pods", "log", true);
    check(rule("services/*"), "services", "", false);
    check(rule("services/*"), "services", "status", false);
    check(rule("*"), "services", "status", true);
    let mut named = rule("pods");
    named.set(&["resourceNames"], vec!["y"]);
    check(named, "pods", "", false);

    let urls = value!({"nonResourceURLs": ["/metrics", "/custom/*"], "verbs": ["get"]});
    for (path, allowed) in
        [("/metrics", true), ("/metrics/x", false), ("/custom/a/b", true), ("/custom", false)]
    {
        assert_eq!(rule_allows(&urls, &Attributes::path(&user, "get", path)), allowed, "{path}");
    }
}

#[test]
fn everyone_may_discover_and_the_anonymous_may_see_health() {
    let objects = cluster();
    let rbac = Rbac::default();
    let user = UserInfo::new("u", &["system:authenticated"]);
    let anonymous = UserInfo::anonymous();
    let check = |user: &UserInfo, path: &str, allowed: bool| {
        let request = Attributes::path(user, "get", path);
        assert_eq!(rbac.authorize(&objects, &request).is_allowed(), allowed, "{path}");
    };
    check(&user, "/apis/apps/v1", true);
    check(&user, "/metrics", false);
    check(&anonymous, "/healthz", true);
    check(&anonymous, "/api", false);
}

async fn check_grant(objects: &Objects, resource: &str, object: &Value) -> Result<(), String> {
    check_change(objects, resource, object, None).await
}

async fn check_change(
    objects: &Objects,
    resource: &str,
    object: &Value,
    old: Option<&Value>,
) -> Result<(), String> {
    let rbac = Rbac::default();
    let user = UserInfo::new("ann", &["system:authenticated"]);
    let authorize = |attributes: &Attributes<'_>| rbac.authorize(objects, attributes);
    let escalation = Escalation {
        rbac: &rbac,
        reader: objects,
        authorize: &authorize,
        user: &user,
        resource,
        namespace: "ns",
    };
    if resource == "roles" {
        escalation.check_role(object, old).await
    } else {
        escalation.check_binding(object, old).await
    }
    .map_err(|status| status.message)
}

#[tokio::test]
async fn nobody_grants_more_than_they_hold() {
    let mut objects = cluster();
    let some = value!([{"apiGroups": [""], "resources": ["pods", "configmaps"], "verbs": ["get", "list"]}]);
    objects.put("roles", role("some", some));
    objects.put("rolebindings", binding("b1", "Role", "some", value!({"kind": "User", "name": "ann"})));

    let more = role(
        "more",
        value!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["delete", "watch", "get"]}]),
    );
    assert_eq!(
        check_grant(&objects, "roles", &more).await.unwrap_err(),
        "roles.rbac.authorization.k8s.io \"more\" is forbidden: user \"ann\" (groups=[\"system:authenticated\"]) is \
         attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], \
         Verbs:[\"delete\" \"watch\"]}"
    );
    let same = role("same", value!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]));
    assert_eq!(check_grant(&objects, "roles", &same).await, Ok(()));
    let bob = value!({"kind": "User", "name": "bob"});
    assert_eq!(
        check_grant(&objects, "rolebindings", &binding("b2", "Role", "some", bob.clone())).await,
        Ok(())
    );
    assert!(
        check_grant(&objects, "rolebindings", &binding("b3", "ClusterRole", "admin", bob.clone()))
            .await
            .is_err()
    );
    assert_eq!(
        check_grant(&objects, "rolebindings", &binding("b4", "ClusterRole", "none", bob)).await.unwrap_err(),
        "rolebindings.rbac.authorization.k8s.io \"none\" not found"
    );
}

#[tokio::test]
async fn only_what_garbage_collection_changes_needs_no_rights() {
    let objects = cluster();
    let rules = value!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
    let mut old = role("strong", rules);
    old.set(&["metadata", "finalizers"], vec!["foregroundDeletion"]);
    let mut collected = old.clone();
    collected.remove(&["metadata", "finalizers"]);
    assert_eq!(check_change(&objects, "roles", &collected, Some(&old)).await, Ok(()));
    let mut labelled = old.clone();
    labelled.set(&["metadata", "labels", "rbac.authorization.k8s.io/aggregate-to-view"], "true");
    assert!(check_change(&objects, "roles", &labelled, Some(&old)).await.is_err());
}

#[test]
fn the_rules_of_a_user_are_listed() {
    let mut objects = cluster();
    let rules =
        value!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": ["web"]}]);
    objects.put("roles", role("r", rules.clone()));
    objects.put("rolebindings", binding("rb", "Role", "r", value!({"kind": "User", "name": "ann"})));
    let status = Rbac::default().rules_review(&objects, &UserInfo::new("ann", &[]), "ns");
    assert_eq!(status.get("resourceRules"), Some(&rules));
    assert_eq!(status.get("nonResourceRules"), Some(&value!([])));
}
