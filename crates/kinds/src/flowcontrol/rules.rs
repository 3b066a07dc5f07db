//! What a flow schema matches: subjects, resources and URLs.

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::check::dns_subdomain;
use crate::pod::volumes::required;
use crate::shape::{has, present, shown};

const VERBS: [&str; 9] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

/// `ValidateFlowSchemaPolicyRulesWithSubjects`.
pub(super) fn rule(errors: &mut FieldErrors, rule: &Value, path: &FieldPath) {
    let subjects = rule.array_at(&["subjects"]);
    if subjects.is_empty() {
        errors.required(&path.child("subjects"), "subjects must contain at least one value");
    }
    for (i, given) in subjects.iter().enumerate() {
        subject(errors, given, &path.child("subjects").index(i));
    }
    let (resources, urls) = (rule.array_at(&["resourceRules"]), rule.array_at(&["nonResourceRules"]));
    if resources.is_empty() && urls.is_empty() {
        errors.required(path, "at least one of resourceRules and nonResourceRules has to be non-empty");
    }
    for (i, rule) in resources.iter().enumerate() {
        resource_rule(errors, rule, &path.child("resourceRules").index(i));
    }
    for (i, rule) in urls.iter().enumerate() {
        url_rule(errors, rule, &path.child("nonResourceRules").index(i));
    }
}

const SUBJECTS: [(&str, &str); 3] =
    [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")];

fn subject(errors: &mut FieldErrors, subject: &Value, path: &FieldPath) {
    let kind = subject.str_at(&["kind"]);
    let Some((_, field)) = SUBJECTS.iter().find(|(name, _)| *name == kind) else {
        errors.not_supported(&path.child("kind"), kind, &["Group", "ServiceAccount", "User"]);
        return;
    };
    let at = path.child(field);
    match present(subject, &[field]) {
        None => errors.required(&at, format!("{field} is required when subject kind is '{kind}'")),
        Some(account) if kind == "ServiceAccount" => service_account(errors, account, &at),
        Some(named) => required(errors, named, &["name"], &at),
    }
    for (name, other) in SUBJECTS.iter().filter(|(name, _)| *name != kind) {
        if has(subject, &[other]) {
            let detail = format!("{other} is forbidden when subject kind is not '{name}'");
            errors.forbidden(&path.child(other), detail);
        }
    }
}

fn service_account(errors: &mut FieldErrors, account: &Value, path: &FieldPath) {
    match account.str_at(&["name"]) {
        "" => errors.required(&path.child("name"), ""),
        "*" => {}
        name => dns_subdomain(errors, name, &path.child("name")),
    }
    match account.str_at(&["namespace"]) {
        "" => errors.required(&path.child("namespace"), "must specify namespace for service account"),
        namespace => crate::check::dns_label(errors, namespace, &path.child("namespace")),
    }
}

fn texts<'a>(rule: &'a Value, field: &str) -> Vec<&'a str> {
    rule.array_at(&[field]).iter().filter_map(Value::as_str).collect()
}

/// Whether the list is `*`; with others beside it that is wrong.
fn everything(errors: &mut FieldErrors, rule: &Value, field: &str, what: &str, path: &FieldPath) -> bool {
    let given = texts(rule, field);
    let all = given.contains(&"*");
    if all && given.len() > 1 {
        let detail = format!("if '*' is present, must not specify other {what}");
        errors.invalid(&path.child(field), shown(rule, &[field]), detail);
    }
    all
}

fn verbs(errors: &mut FieldErrors, rule: &Value, path: &FieldPath) {
    let given = texts(rule, "verbs");
    if given.is_empty() {
        errors.required(&path.child("verbs"), "verbs must contain at least one value");
    } else if !everything(errors, rule, "verbs", "verbs", path)
        && given.iter().any(|verb| !VERBS.contains(verb))
    {
        errors.not_supported(&path.child("verbs"), shown(rule, &["verbs"]), &VERBS);
    }
}

fn resource_rule(errors: &mut FieldErrors, rule: &Value, path: &FieldPath) {
    verbs(errors, rule, path);
    for (field, what, needed) in
        [("apiGroups", "api groups", "api group"), ("resources", "resources", "resource")]
    {
        if texts(rule, field).is_empty() {
            let detail = format!("resource rules must supply at least one {needed}");
            errors.required(&path.child(field), detail);
        } else {
            everything(errors, rule, field, what, path);
        }
    }
    let namespaces = texts(rule, "namespaces");
    let at = path.child("namespaces");
    if namespaces.is_empty() && !rule.bool_at(&["clusterScope"]) {
        let detail = "resource rules that are not cluster scoped must supply at least one namespace";
        errors.required(&at, detail);
    } else if !everything(errors, rule, "namespaces", "namespaces", path) {
        for (i, namespace) in namespaces.iter().enumerate() {
            for wrong in names::is_dns1123_label(namespace) {
                let detail = format!("each member of this list must be '*' or a DNS-1123 label; {wrong}");
                errors.invalid(&at.index(i), *namespace, detail);
            }
        }
    }
}

fn url_rule(errors: &mut FieldErrors, rule: &Value, path: &FieldPath) {
    verbs(errors, rule, path);
    let urls = texts(rule, "nonResourceURLs");
    let at = path.child("nonResourceURLs");
    if urls.is_empty() {
        errors.required(&at, "nonResourceURLs must contain at least one value");
    } else if !everything(errors, rule, "nonResourceURLs", "non-resource URLs", path) {
        for (i, url) in urls.iter().enumerate() {
            if let Some(wrong) = url_error(url) {
                errors.invalid(&at.index(i), *url, wrong);
            }
        }
    }
}

/// `ValidateNonResourceURLPath`.
fn url_error(url: &str) -> Option<&'static str> {
    let stars = url.matches('*').count();
    if url.is_empty() {
        Some("must not be empty")
    } else if url == "/" {
        None
    } else if !url.starts_with('/') {
        Some("must start with slash")
    } else if url.contains(' ') {
        Some("must not contain white-space")
    } else if url.contains("//") {
        Some("must not contain double slash")
    } else if stars > 1 || stars == 1 && !url.ends_with("/*") {
        Some("wildcard can only do suffix matching")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::url_error;

    #[test]
    fn a_star_stands_at_the_end() {
        for (url, wrong) in [
            ("/healthz", None),
            ("/apis/*", None),
            ("/", None),
            ("healthz", Some("must start with slash")),
            ("/a*", Some("wildcard can only do suffix matching")),
            ("/a//b", Some("must not contain double slash")),
        ] {
            assert_eq!(url_error(url), wrong, "{url}");
        }
    }
}
