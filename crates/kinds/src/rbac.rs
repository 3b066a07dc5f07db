//! rbac.authorization.k8s.io.

use drydock_machinery::selector::Selector;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::check::{dns_subdomain, label_selector, path_segment};
use crate::kind::{Kind, NEW_THEN_CHANGED};
use crate::shape::{default, each_mut, present, same, shown};
use crate::{NameRule, go_form, table};

const GROUP: &str = "rbac.authorization.k8s.io";

pub(crate) const KINDS: &[&Kind] = &[&ROLE, &CLUSTER_ROLE, &ROLE_BINDING, &CLUSTER_ROLE_BINDING];

static ROLE: Kind = Kind {
    update: NEW_THEN_CHANGED,
    name: NameRule::PathSegment,
    put_creates: true,
    validate: |errors, _, object, _| rules(errors, object, Scope::Namespace),
    ..Kind::new(GROUP, "roles")
};

static CLUSTER_ROLE: Kind = Kind {
    update: NEW_THEN_CHANGED,
    name: NameRule::PathSegment,
    put_creates: true,
    validate: |errors, _, object, _| {
        rules(errors, object, Scope::Cluster);
        aggregation(errors, object);
    },
    ..Kind::new(GROUP, "clusterroles")
};

static ROLE_BINDING: Kind = Kind {
    update: NEW_THEN_CHANGED,
    name: NameRule::PathSegment,
    put_creates: true,
    defaults: binding_defaults,
    validate: |errors, _, object, _| binding(errors, object, Scope::Namespace),
    validate_change: role_stays,
    cells: table::role_binding,
    ..Kind::new(GROUP, "rolebindings")
};

static CLUSTER_ROLE_BINDING: Kind = Kind {
    update: NEW_THEN_CHANGED,
    name: NameRule::PathSegment,
    put_creates: true,
    defaults: binding_defaults,
    validate: |errors, _, object, _| binding(errors, object, Scope::Cluster),
    validate_change: role_stays,
    cells: table::role_binding,
    ..Kind::new(GROUP, "clusterrolebindings")
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Namespace,
    Cluster,
}

fn binding_defaults(object: &mut Value) {
    default(object, &["roleRef", "apiGroup"], GROUP);
    each_mut(object, &["subjects"], |subject| {
        if ["User", "Group"].contains(&subject.str_at(&["kind"])) {
            default(subject, &["apiGroup"], GROUP);
        }
    });
}

fn rules(errors: &mut FieldErrors, object: &Value, scope: Scope) {
    for (i, rule) in object.array_at(&["rules"]).iter().enumerate() {
        policy_rule(errors, rule, scope, &FieldPath::new("rules").index(i));
    }
}

fn policy_rule(errors: &mut FieldErrors, rule: &Value, scope: Scope, path: &FieldPath) {
    let list = |field: &str| rule.array_at(&[field]);
    if list("verbs").is_empty() {
        errors.required(&path.child("verbs"), "verbs must contain at least one value");
    }
    if !list("nonResourceURLs").is_empty() {
        let urls = shown(rule, &["nonResourceURLs"]);
        if scope == Scope::Namespace {
            let detail = "namespaced rules cannot apply to non-resource URLs";
            errors.invalid(&path.child("nonResourceURLs"), urls.clone(), detail);
        }
        if !list("apiGroups").is_empty() || !list("resources").is_empty() || !list("resourceNames").is_empty()
        {
            let detail = "rules cannot apply to both regular resources and non-resource URLs";
            errors.invalid(&path.child("nonResourceURLs"), urls, detail);
        }
        return;
    }
    if list("apiGroups").is_empty() {
        errors.required(&path.child("apiGroups"), "resource rules must supply at least one api group");
    }
    if list("resources").is_empty() {
        errors.required(&path.child("resources"), "resource rules must supply at least one resource");
    }
}

fn aggregation(errors: &mut FieldErrors, object: &Value) {
    let Some(rule) = present(object, &["aggregationRule"]) else { return };
    let path = FieldPath::new("aggregationRule").child("clusterRoleSelectors");
    let selectors = rule.array_at(&["clusterRoleSelectors"]);
    if selectors.is_empty() {
        errors.required(&path, "at least one clusterRoleSelector required if aggregationRule is non-nil");
    }
    for (i, selector) in selectors.iter().enumerate() {
        let path = path.index(i);
        label_selector(errors, selector, &path);
        if Selector::from_label_selector(Some(selector)).is_err() {
            errors.invalid(&path, Value::Null, "invalid label selector.");
        }
    }
}

fn binding(errors: &mut FieldErrors, object: &Value, scope: Scope) {
    let path = FieldPath::new("roleRef");
    let role = |field: &str| object.str_at(&["roleRef", field]);
    if role("apiGroup") != GROUP {
        errors.not_supported(&path.child("apiGroup"), role("apiGroup"), &[GROUP]);
    }
    let kinds: &[&str] = if scope == Scope::Namespace { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    if !kinds.contains(&role("kind")) {
        errors.not_supported(&path.child("kind"), role("kind"), kinds);
    }
    if role("name").is_empty() {
        errors.required(&path.child("name"), "");
    } else {
        path_segment(errors, role("name"), &path.child("name"));
    }
    for (i, subject) in object.array_at(&["subjects"]).iter().enumerate() {
        validate_subject(errors, subject, scope, &FieldPath::new("subjects").index(i));
    }
}

fn validate_subject(errors: &mut FieldErrors, subject: &Value, scope: Scope, path: &FieldPath) {
    let text = |field: &str| subject.str_at(&[field]);
    if text("name").is_empty() {
        errors.required(&path.child("name"), "");
    }
    let group = |errors: &mut FieldErrors, expected: &str| {
        if text("apiGroup") != expected {
            errors.not_supported(&path.child("apiGroup"), text("apiGroup"), &[expected]);
        }
    };
    match text("kind") {
        "ServiceAccount" => {
            if !text("name").is_empty() {
                dns_subdomain(errors, text("name"), &path.child("name"));
            }
            group(errors, "");
            if scope == Scope::Cluster && text("namespace").is_empty() {
                errors.required(&path.child("namespace"), "");
            }
        }
        "User" | "Group" => group(errors, GROUP),
        other => errors.not_supported(&path.child("kind"), other, &["ServiceAccount", "User", "Group"]),
    }
}

fn role_stays(errors: &mut FieldErrors, object: &Value, old: &Value) {
    if !same(object.get("roleRef"), old.get("roleRef")) {
        let shown = go_form::of("RoleRef", &shown(object, &["roleRef"]));
        errors.invalid(&FieldPath::new("roleRef"), shown, "cannot change roleRef");
    }
}
