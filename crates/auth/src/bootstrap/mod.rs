//! The roles and bindings that every cluster starts with, as data.
//!
//! Parsed once per process from `policy.txt` and shared by all tenants: a clone of an object copies nothing. The API
//! server creates what is missing when it starts, and repairs what carries the autoupdate annotation.
//!
//! Deliberately absent: rules of versions other than 1.36, and of features that are off by default.

use std::sync::LazyLock;

use drydock_machinery::{ObjectMeta as _, Value, value};

/// One object of the policy and where it lives.
#[derive(Clone, Debug)]
pub struct PolicyObject {
    /// `clusterroles`, `clusterrolebindings`, `roles` or `rolebindings`.
    pub resource: &'static str,
    /// "" for cluster-scoped objects.
    pub namespace: &'static str,
    pub name: &'static str,
    pub object: Value,
}

const API_VERSION: &str = "rbac.authorization.k8s.io/v1";
const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// Every object of the default policy: cluster roles, their bindings, then roles and their bindings.
pub fn policy() -> &'static [PolicyObject] {
    static POLICY: LazyLock<Vec<PolicyObject>> = LazyLock::new(|| {
        let mut objects = parse(include_str!("policy.txt"));
        for name in ["view", "edit", "admin"] {
            aggregate(&mut objects, name);
        }
        objects
    });
    &POLICY
}

fn parse(text: &'static str) -> Vec<PolicyObject> {
    let mut objects: Vec<PolicyObject> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(rule) = line.strip_prefix("  ") {
            let role = objects.last_mut().expect("policy.txt: a rule follows its role");
            let rules =
                role.object.at_mut(&["rules"]).as_array_mut().expect("policy.txt: only roles have rules");
            rules.push(parse_rule(rule));
        } else {
            objects.push(parse_head(line));
        }
    }
    objects
}

/// Fills in the rules of an aggregated role, as the aggregation controller would: so a new cluster's users have their
/// rights from the first request, and the controller finds nothing to do.
fn aggregate(objects: &mut [PolicyObject], name: &str) {
    let label = format!("{RBAC_GROUP}/aggregate-to-{name}");
    let mut rules: Vec<Value> = Vec::new();
    let parts = objects.iter().filter(|part| part.object.label(&label) == Some("true"));
    for rule in parts.flat_map(|part| part.object.array_at(&["rules"])) {
        if !rules.contains(rule) {
            rules.push(rule.clone());
        }
    }
    let sum = objects.iter_mut().find(|object| object.resource == "clusterroles" && object.name == name);
    sum.expect("policy.txt: an aggregated role").object.set(&["rules"], rules);
}

fn parse_head(line: &'static str) -> PolicyObject {
    let words: Vec<&'static str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["clusterrole", name, marks @ ..] => cluster_role(name, marks),
        ["role", namespace, name] => {
            let mut object = named("Role", namespace, name);
            object.set(&["rules"], Vec::<Value>::new());
            PolicyObject { resource: "roles", namespace, name, object }
        }
        ["clusterrolebinding", name, subjects @ ..] => {
            let mut object = named("ClusterRoleBinding", "", name);
            bind(&mut object, "ClusterRole", name, subjects);
            PolicyObject { resource: "clusterrolebindings", namespace: "", name, object }
        }
        ["rolebinding", namespace, name, role, subjects @ ..] => {
            let mut object = named("RoleBinding", namespace, name);
            bind(&mut object, "Role", role, subjects);
            PolicyObject { resource: "rolebindings", namespace, name, object }
        }
        _ => unreachable!("policy.txt: {line}"),
    }
}

fn cluster_role(name: &'static str, marks: &[&str]) -> PolicyObject {
    let mut object = named("ClusterRole", "", name);
    object.set(&["rules"], Vec::<Value>::new());
    let label = |to: &str| format!("{RBAC_GROUP}/aggregate-to-{to}");
    for mark in marks {
        if let Some(sum) = mark.strip_prefix("sums-") {
            let selector = value!({"matchLabels": {label(sum): "true"}});
            object.set(&["aggregationRule"], value!({"clusterRoleSelectors": [selector]}));
        } else if let Some(to) = mark.strip_prefix("to-") {
            object.set(&["metadata", "labels", &label(to)], "true");
        }
    }
    PolicyObject { resource: "clusterroles", namespace: "", name, object }
}

fn named(kind: &str, namespace: &str, name: &str) -> Value {
    let mut object = value!({
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
            "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
        },
    });
    if !namespace.is_empty() {
        object.set(&["metadata", "namespace"], namespace);
    }
    object
}

fn bind(object: &mut Value, role_kind: &str, role: &str, subjects: &[&str]) {
    object.set(&["roleRef"], value!({"apiGroup": RBAC_GROUP, "kind": role_kind, "name": role}));
    let subjects: Vec<Value> = subjects.iter().map(|subject| parse_subject(subject)).collect();
    if !subjects.is_empty() {
        object.set(&["subjects"], subjects);
    }
}

fn parse_subject(text: &str) -> Value {
    match text.split_once(':') {
        Some(("sa", name)) => value!({"kind": "ServiceAccount", "name": name, "namespace": "kube-system"}),
        Some(("user", name)) => value!({"apiGroup": RBAC_GROUP, "kind": "User", "name": name}),
        Some(("group", name)) => value!({"apiGroup": RBAC_GROUP, "kind": "Group", "name": name}),
        _ => unreachable!("policy.txt: subject {text}"),
    }
}

fn parse_rule(text: &str) -> Value {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        ["events"] => value!({
            "apiGroups": ["", "events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch", "update"],
        }),
        [verbs, "urls", urls] => value!({"nonResourceURLs": split(urls), "verbs": parse_verbs(verbs)}),
        [verbs, groups, resources, names @ ..] => {
            let groups: Vec<&str> =
                groups.split(',').map(|group| if group == "core" { "" } else { group }).collect();
            let mut rule =
                value!({"apiGroups": groups, "resources": split(resources), "verbs": parse_verbs(verbs)});
            if let [names] = names {
                rule.set(&["resourceNames"], split(names));
            }
            rule
        }
        _ => unreachable!("policy.txt: rule {text}"),
    }
}

fn parse_verbs(text: &str) -> Vec<&str> {
    match text {
        "read" => vec!["get", "list", "watch"],
        "write" => vec!["create", "delete", "deletecollection", "patch", "update"],
        "all" => vec!["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        _ => split(text),
    }
}

fn split(text: &str) -> Vec<&str> {
    text.split(',').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(resource: &str, name: &str) -> &'static PolicyObject {
        policy().iter().find(|object| object.resource == resource && object.name == name).unwrap()
    }

    #[test]
    fn the_policy_has_every_default_role_and_binding() {
        let count = |resource| policy().iter().filter(|object| object.resource == resource).count();
        assert_eq!(count("clusterroles"), 70);
        assert_eq!(count("clusterrolebindings"), 51);
        assert_eq!(count("roles"), 7);
        assert_eq!(count("rolebindings"), 7);
    }

    #[test]
    fn aggregated_roles_select_by_label() {
        let mut edit = find("clusterroles", "edit").object.clone();
        assert_eq!(edit.array_at(&["rules"]).len(), 27);
        edit.remove(&["rules"]);
        assert_eq!(
            edit,
            value!({
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRole",
                "metadata": {
                    "name": "edit",
                    "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
                    "labels": {
                        "kubernetes.io/bootstrapping": "rbac-defaults",
                        "rbac.authorization.k8s.io/aggregate-to-admin": "true",
                    },
                },
                "aggregationRule": {"clusterRoleSelectors": [
                    {"matchLabels": {"rbac.authorization.k8s.io/aggregate-to-edit": "true"}},
                ]},
            })
        );
    }

    #[test]
    fn named_rules_and_namespaced_bindings_read_back() {
        let signer = find("roles", "extension-apiserver-authentication-reader");
        assert_eq!(signer.namespace, "kube-system");
        assert_eq!(
            signer.object.array_at(&["rules"]),
            [value!({
                "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"],
                "resourceNames": ["extension-apiserver-authentication"],
            })]
        );
        let binding = find("clusterrolebindings", "system:node");
        assert!(binding.object.get("subjects").is_none());
    }
}
