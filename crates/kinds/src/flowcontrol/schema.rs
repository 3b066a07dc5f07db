//! Flow schemas: which requests go to which level.

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value};

use super::mandatory;
use crate::check::{dns_label, dns_subdomain};
use crate::go_form;
use crate::shape::{has, is_zero, present, shown};

const METHODS: [&str; 2] = ["ByNamespace", "ByUser"];
const SUBJECTS: [&str; 3] = ["Group", "ServiceAccount", "User"];
const VERBS: [&str; 9] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

pub(super) fn validate(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec");
    let spec = shown(object, &["spec"]);
    precedence(errors, object, &path.child("matchingPrecedence"));
    let method = spec.str_at(&["distinguisherMethod", "type"]);
    if has(&spec, &["distinguisherMethod"]) && !METHODS.contains(&method) {
        let path = path.child("distinguisherMethod").child("type");
        errors.not_supported(&path, go_form::struct_of(&[("Type", method.into())]), &METHODS);
    }
    let level = spec.str_at(&["priorityLevelConfiguration", "name"]);
    let level_path = path.child("priorityLevelConfiguration").child("name");
    if level.is_empty() {
        errors.required(&level_path, "must reference a priority level");
    } else {
        dns_subdomain(errors, level, &level_path);
    }
    for (i, rule) in spec.array_at(&["rules"]).iter().enumerate() {
        rule_with_subjects(errors, rule, &path.child("rules").index(i));
    }
    mandatory::schema(errors, object, &path);
}

fn precedence(errors: &mut FieldErrors, object: &Value, path: &FieldPath) {
    let precedence = object.i64_at(&["spec", "matchingPrecedence"]).unwrap_or(0);
    if precedence <= 0 {
        errors.invalid(path, precedence, "must be a positive value");
    }
    if precedence > 10_000 {
        errors.invalid(path, precedence, "must not be greater than 10000");
    }
    if precedence == 1 && object.name() != "exempt" {
        errors.invalid(path, precedence, "only the schema named 'exempt' may have matchingPrecedence 1");
    }
}

fn rule_with_subjects(errors: &mut FieldErrors, rule: &Value, path: &FieldPath) {
    let subjects = rule.array_at(&["subjects"]);
    if subjects.is_empty() {
        errors.required(&path.child("subjects"), "subjects must contain at least one value");
    }
    for (i, of) in subjects.iter().enumerate() {
        subject(errors, of, &path.child("subjects").index(i));
    }
    if is_zero(rule.get("resourceRules")) && is_zero(rule.get("nonResourceRules")) {
        errors.required(path, "at least one of resourceRules and nonResourceRules has to be non-empty");
    }
    for (i, rule) in rule.array_at(&["resourceRules"]).iter().enumerate() {
        resource_rule(errors, rule, &path.child("resourceRules").index(i));
    }
    for (i, rule) in rule.array_at(&["nonResourceRules"]).iter().enumerate() {
        non_resource_rule(errors, rule, &path.child("nonResourceRules").index(i));
    }
}

fn subject(errors: &mut FieldErrors, subject: &Value, path: &FieldPath) {
    let kind = subject.str_at(&["kind"]);
    let fields = [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")];
    let Some((_, own)) = fields.iter().find(|(known, _)| *known == kind) else {
        return errors.not_supported(&path.child("kind"), kind, &SUBJECTS);
    };
    let at = path.child(own);
    match present(subject, &[own]) {
        None => errors.required(&at, format!("{own} is required when subject kind is '{kind}'")),
        Some(account) if kind == "ServiceAccount" => service_account(errors, account, &at),
        Some(named) if named.str_at(&["name"]).is_empty() => errors.required(&at.child("name"), ""),
        Some(_) => {}
    }
    for (kind, other) in fields.iter().filter(|(_, other)| other != own && has(subject, &[other])) {
        let detail = format!("{other} is forbidden when subject kind is not '{kind}'");
        errors.forbidden(&path.child(other), detail);
    }
}

fn service_account(errors: &mut FieldErrors, account: &Value, path: &FieldPath) {
    let (name, namespace) = (account.str_at(&["name"]), account.str_at(&["namespace"]));
    match name {
        "" => errors.required(&path.child("name"), ""),
        "*" => {}
        name => {
            dns_subdomain(errors, name, &path.child("name"));
        }
    }
    if namespace.is_empty() {
        errors.required(&path.child("namespace"), "must specify namespace for service account");
    } else {
        dns_label(errors, namespace, &path.child("namespace"));
    }
}

fn texts<'a>(rule: &'a Value, field: &str) -> Vec<&'a str> {
    rule.array_at(&[field]).iter().filter_map(Value::as_str).collect()
}

/// Says so when a list has `*` and more.
fn only_wildcard(errors: &mut FieldErrors, rule: &Value, field: &str, what: &str, path: &FieldPath) {
    let all = texts(rule, field);
    if all.len() > 1 && all.contains(&"*") {
        let detail = format!("if '*' is present, must not specify other {what}");
        errors.invalid(&path.child_named(field), shown(rule, &[field]), detail);
    }
}

fn verbs(errors: &mut FieldErrors, rule: &Value, path: &FieldPath) {
    let all = texts(rule, "verbs");
    if all.is_empty() {
        errors.required(&path.child("verbs"), "verbs must contain at least one value");
    } else if all.contains(&"*") {
        only_wildcard(errors, rule, "verbs", "verbs", path);
    } else if !all.iter().all(|verb| VERBS.contains(verb)) {
        errors.not_supported(&path.child("verbs"), shown(rule, &["verbs"]), &VERBS);
    }
}

fn resource_rule(errors: &mut FieldErrors, rule: &Value, path: &FieldPath) {
    verbs(errors, rule, path);
    for (field, one, many) in
        [("apiGroups", "api group", "api groups"), ("resources", "resource", "resources")]
    {
        if texts(rule, field).is_empty() {
            errors.required(&path.child(field), format!("resource rules must supply at least one {one}"));
        }
        only_wildcard(errors, rule, field, many, path);
    }
    let namespaces = texts(rule, "namespaces");
    let path_of_them = path.child("namespaces");
    if namespaces.is_empty() && !rule.bool_at(&["clusterScope"]) {
        let detail = "resource rules that are not cluster scoped must supply at least one namespace";
        errors.required(&path_of_them, detail);
    } else if namespaces.contains(&"*") {
        only_wildcard(errors, rule, "namespaces", "namespaces", path);
    } else {
        for (i, namespace) in namespaces.into_iter().enumerate() {
            for why in names::is_dns1123_label(namespace) {
                let detail = format!("each member of this list must be '*' or a DNS-1123 label; {why}");
                errors.invalid(&path_of_them.index(i), namespace, detail);
            }
        }
    }
}

fn non_resource_rule(errors: &mut FieldErrors, rule: &Value, path: &FieldPath) {
    verbs(errors, rule, path);
    let urls = texts(rule, "nonResourceURLs");
    if urls.is_empty() {
        let detail = "nonResourceURLs must contain at least one value";
        errors.required(&path.child("nonResourceURLs"), detail);
    } else if urls.contains(&"*") {
        only_wildcard(errors, rule, "nonResourceURLs", "non-resource URLs", path);
    } else {
        for (i, url) in urls.into_iter().enumerate() {
            if let Some(why) = wrong_url(url) {
                errors.invalid(&path.child("nonResourceURLs").index(i), url, why);
            }
        }
    }
}

fn wrong_url(url: &str) -> Option<&'static str> {
    match url {
        "" => Some("must not be empty"),
        "/" => None,
        url if !url.starts_with('/') => Some("must start with slash"),
        url if url.contains(' ') => Some("must not contain white-space"),
        url if url.contains("//") => Some("must not contain double slash"),
        url if url.matches('*').count() > 1 || url.contains('*') && !url.ends_with("/*") => {
            Some("wildcard can only do suffix matching")
        }
        _ => None,
    }
}
