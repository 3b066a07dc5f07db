//! Which requests a FlowSchema is for: its rules, read once, and matched against every request.

use std::sync::Arc;

use drydock_auth::user::SERVICE_ACCOUNT_PREFIX;
use drydock_auth::{Attributes, UserInfo};
use drydock_machinery::Value;

const ALL: &str = "*";

/// One of `spec.rules`.
#[derive(Debug)]
pub(super) struct Rule {
    subjects: Vec<Subject>,
    resources: Vec<ResourceRule>,
    paths: Vec<PathRule>,
}

#[derive(Debug)]
enum Subject {
    User(Arc<str>),
    Group(Arc<str>),
    ServiceAccount { namespace: Arc<str>, name: Arc<str> },
}

#[derive(Debug)]
struct ResourceRule {
    verbs: Words,
    groups: Words,
    resources: Words,
    namespaces: Words,
    cluster_scope: bool,
}

#[derive(Debug)]
struct PathRule {
    verbs: Words,
    paths: Vec<Arc<str>>,
}

/// A list of words; None when it is `*` alone, which stands for all.
#[derive(Debug)]
struct Words(Option<Vec<Arc<str>>>);

impl Rule {
    pub(super) fn read(rule: &Value) -> Self {
        let resources = rule.array_at(&["resourceRules"]).iter().map(|rule| ResourceRule {
            verbs: Words::read(rule, "verbs"),
            groups: Words::read(rule, "apiGroups"),
            resources: Words::read(rule, "resources"),
            namespaces: Words::read(rule, "namespaces"),
            cluster_scope: rule.bool_at(&["clusterScope"]),
        });
        let paths = rule.array_at(&["nonResourceRules"]).iter().map(|rule| PathRule {
            verbs: Words::read(rule, "verbs"),
            paths: strings(rule, "nonResourceURLs"),
        });
        Self {
            subjects: rule.array_at(&["subjects"]).iter().filter_map(Subject::read).collect(),
            resources: resources.collect(),
            paths: paths.collect(),
        }
    }

    pub(super) fn matches(&self, of: &Attributes<'_>) -> bool {
        if !self.subjects.iter().any(|subject| subject.matches(of.user)) {
            return false;
        }
        if of.is_resource {
            self.resources.iter().any(|rule| rule.matches(of))
        } else {
            self.paths.iter().any(|rule| rule.matches(of))
        }
    }
}

impl Subject {
    fn read(subject: &Value) -> Option<Self> {
        let text = |path: &[&str]| Arc::from(subject.str_at(path));
        match subject.str_at(&["kind"]) {
            "User" if subject.get("user").is_some() => Some(Self::User(text(&["user", "name"]))),
            "Group" if subject.get("group").is_some() => Some(Self::Group(text(&["group", "name"]))),
            "ServiceAccount" if subject.get("serviceAccount").is_some() => Some(Self::ServiceAccount {
                namespace: text(&["serviceAccount", "namespace"]),
                name: text(&["serviceAccount", "name"]),
            }),
            _ => None,
        }
    }

    fn matches(&self, user: &UserInfo) -> bool {
        match self {
            Self::User(name) => &**name == ALL || **name == *user.name,
            Self::Group(name) => &**name == ALL || user.groups.iter().any(|group| **group == **name),
            Self::ServiceAccount { namespace, name } => {
                let account = user.name.strip_prefix(SERVICE_ACCOUNT_PREFIX);
                let found = account.and_then(|account| account.split_once(':'));
                found.is_some_and(|(in_namespace, account)| {
                    in_namespace == &**namespace && (&**name == ALL || account == &**name)
                })
            }
        }
    }
}

impl ResourceRule {
    fn matches(&self, of: &Attributes<'_>) -> bool {
        self.verbs.have(of.verb)
            && self.resources.have_joined(of.resource, of.subresource)
            && self.groups.have(of.group)
            && if of.namespace.is_empty() { self.cluster_scope } else { self.namespaces.have(of.namespace) }
    }
}

impl PathRule {
    fn matches(&self, of: &Attributes<'_>) -> bool {
        self.verbs.have(of.verb) && self.paths.iter().any(|path| covers(path, of.path))
    }
}

/// `*` is every path; `/a`, `/a/` and `/a/*` are all that is below `/a/`, the first of them `/a` as well.
fn covers(rule: &str, path: &str) -> bool {
    if rule == ALL || rule == path {
        return true;
    }
    let above = rule.strip_suffix('*').unwrap_or(rule);
    let above = above.strip_suffix('/').unwrap_or(above);
    path.strip_prefix(above).is_some_and(|below| below.starts_with('/'))
}

impl Words {
    fn read(rule: &Value, field: &str) -> Self {
        let words = strings(rule, field);
        let all = words.len() == 1 && &*words[0] == ALL;
        Self((!all).then_some(words))
    }

    fn have(&self, word: &str) -> bool {
        self.0.as_ref().is_none_or(|words| words.iter().any(|known| &**known == word))
    }

    /// Whether `RESOURCE` or `RESOURCE/SUBRESOURCE` is among them.
    fn have_joined(&self, resource: &str, subresource: &str) -> bool {
        if subresource.is_empty() {
            return self.have(resource);
        }
        let is = |known: &Arc<str>| {
            known.strip_prefix(resource).and_then(|rest| rest.strip_prefix('/')) == Some(subresource)
        };
        self.0.as_ref().is_none_or(|words| words.iter().any(is))
    }
}

fn strings(rule: &Value, field: &str) -> Vec<Arc<str>> {
    rule.array_at(&[field]).iter().filter_map(Value::as_str).map(Arc::from).collect()
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    #[test]
    fn a_rule_needs_a_subject_and_a_kind_of_request() {
        let rule = Rule::read(&value!({
            "subjects": [
                {"kind": "User", "user": {"name": "anna"}},
                {"kind": "Group", "group": {"name": "ops"}},
                {"kind": "ServiceAccount", "serviceAccount": {"namespace": "a", "name": "*"}},
            ],
            "resourceRules": [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "pods/log"],
                "namespaces": ["a"], "clusterScope": true}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["/version", "/open/*"]}],
        }));
        let check = |user: &UserInfo, verb: &str, subresource: &str, namespace: &str, expect: bool| {
            let of = Attributes { subresource, namespace, ..Attributes::resource(user, verb, "", "pods") };
            assert_eq!(rule.matches(&of), expect, "{of:?}");
        };
        let anna = UserInfo::new("anna", &[]);
        check(&anna, "get", "", "a", true);
        check(&anna, "get", "log", "a", true);
        check(&anna, "get", "status", "a", false);
        check(&anna, "list", "", "", true);
        check(&anna, "list", "", "b", false);
        check(&anna, "watch", "", "a", false);
        check(&UserInfo::new("bob", &["ops"]), "get", "", "a", true);
        check(&UserInfo::new("bob", &["dev"]), "get", "", "a", false);
        check(&UserInfo::service_account("a", "default"), "get", "", "a", true);
        check(&UserInfo::service_account("ab", "default"), "get", "", "a", false);
        for (path, expect) in
            [("/version", true), ("/version/x", true), ("/versions", false), ("/open/x", true), ("/", false)]
        {
            assert_eq!(rule.matches(&Attributes::path(&anna, "get", path)), expect, "{path}");
        }
    }
}
