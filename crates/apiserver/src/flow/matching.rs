//! Whether a request falls under a FlowSchema's rules.

use drydock_auth::Attributes;
use drydock_machinery::Value;

/// `flowcontrol.apiserver.k8s.io/v1 PolicyRulesWithSubjects`.
#[derive(Debug)]
pub(super) struct Rule {
    subjects: Vec<Subject>,
    resources: Vec<ResourceRule>,
    paths: Vec<PathRule>,
}

#[derive(Debug)]
enum Subject {
    User(String),
    Group(String),
    Account { namespace: String, name: String },
    Unknown,
}

#[derive(Debug)]
struct ResourceRule {
    verbs: Vec<String>,
    groups: Vec<String>,
    resources: Vec<String>,
    cluster_scope: bool,
    namespaces: Vec<String>,
}

#[derive(Debug)]
struct PathRule {
    verbs: Vec<String>,
    paths: Vec<String>,
}

const ALL: &str = "*";

fn texts(value: &Value, field: &str) -> Vec<String> {
    value.array_at(&[field]).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Whether a list names `text`, or everything.
fn has(list: &[String], text: &str) -> bool {
    list.iter().any(|own| own == text || own == ALL)
}

impl Rule {
    pub(super) fn new(rule: &Value) -> Self {
        Self {
            subjects: rule.array_at(&["subjects"]).iter().map(Subject::new).collect(),
            resources: rule.array_at(&["resourceRules"]).iter().map(ResourceRule::new).collect(),
            paths: rule.array_at(&["nonResourceRules"]).iter().map(PathRule::new).collect(),
        }
    }

    /// What matches everybody and everything.
    pub(super) fn everything() -> Self {
        let all = || vec![ALL.to_owned()];
        Self {
            subjects: vec![Subject::User(ALL.to_owned())],
            resources: vec![ResourceRule {
                verbs: all(),
                groups: all(),
                resources: all(),
                cluster_scope: true,
                namespaces: all(),
            }],
            paths: vec![PathRule { verbs: all(), paths: all() }],
        }
    }

    pub(super) fn matches(&self, attributes: &Attributes<'_>) -> bool {
        if !self.subjects.iter().any(|subject| subject.matches(attributes)) {
            return false;
        }
        if attributes.is_resource {
            self.resources.iter().any(|rule| rule.matches(attributes))
        } else {
            self.paths.iter().any(|rule| rule.matches(attributes))
        }
    }
}

impl Subject {
    fn new(subject: &Value) -> Self {
        let name = |of: &str| subject.str_at(&[of, "name"]).to_owned();
        match subject.str_at(&["kind"]) {
            "User" => Self::User(name("user")),
            "Group" => Self::Group(name("group")),
            "ServiceAccount" => Self::Account {
                namespace: subject.str_at(&["serviceAccount", "namespace"]).to_owned(),
                name: name("serviceAccount"),
            },
            _ => Self::Unknown,
        }
    }

    fn matches(&self, attributes: &Attributes<'_>) -> bool {
        let user = attributes.user;
        match self {
            Self::User(name) => name == ALL || *name == user.name,
            Self::Group(name) => name == ALL || user.is_in_group(name),
            Self::Account { namespace, name } => user
                .as_service_account()
                .is_some_and(|(own, account)| own == namespace && (name == ALL || name == account)),
            Self::Unknown => false,
        }
    }
}

impl ResourceRule {
    fn new(rule: &Value) -> Self {
        Self {
            verbs: texts(rule, "verbs"),
            groups: texts(rule, "apiGroups"),
            resources: texts(rule, "resources"),
            cluster_scope: rule.bool_at(&["clusterScope"]),
            namespaces: texts(rule, "namespaces"),
        }
    }

    fn matches(&self, attributes: &Attributes<'_>) -> bool {
        let scope = match attributes.namespace {
            "" => self.cluster_scope,
            namespace => has(&self.namespaces, namespace),
        };
        scope
            && has(&self.verbs, attributes.verb)
            && has(&self.groups, attributes.group)
            && self.resources.iter().any(|own| own == ALL || is_resource(own, attributes))
    }
}

/// Whether `own` is `resource` or `resource/subresource` of the request.
fn is_resource(own: &str, attributes: &Attributes<'_>) -> bool {
    match own.split_once('/') {
        None => attributes.subresource.is_empty() && own == attributes.resource,
        Some((resource, subresource)) => {
            resource == attributes.resource && subresource == attributes.subresource
        }
    }
}

impl PathRule {
    fn new(rule: &Value) -> Self {
        Self { verbs: texts(rule, "verbs"), paths: texts(rule, "nonResourceURLs") }
    }

    fn matches(&self, attributes: &Attributes<'_>) -> bool {
        let path = attributes.path;
        has(&self.verbs, attributes.verb)
            && self.paths.iter().any(|own| {
                own == ALL
                    || own == path
                    || own.strip_suffix('*').is_some_and(|stem| stem.ends_with('/') && path.starts_with(stem))
            })
    }
}
