//! The audit policy: the first rule that a request matches says how much of it is written down.

use drydock_machinery::names_validation::is_dns1123_subdomain;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::attributes::Attributes;
use crate::config::Fields;

/// How much of a request is written down. Each has all of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    None,
    /// Who, what, when, and how it ended.
    Metadata,
    /// And the object that was sent.
    Request,
    /// And the object that was answered.
    RequestResponse,
}

impl Level {
    const ALL: [Self; 4] = [Self::None, Self::Metadata, Self::Request, Self::RequestResponse];
    const NAMES: [&str; 4] = ["None", "Metadata", "Request", "RequestResponse"];

    pub fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == text)
    }
}

/// When in the life of a request an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    RequestReceived,
    /// Of what lasts, such as watches: the answer has begun.
    ResponseStarted,
    ResponseComplete,
    Panic,
}

impl Stage {
    const ALL: [Self; 4] =
        [Self::RequestReceived, Self::ResponseStarted, Self::ResponseComplete, Self::Panic];
    const NAMES: [&str; 4] = ["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"];

    pub fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// A set of stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stages(u8);

impl Stages {
    fn has(self, stage: Stage) -> bool {
        self.0 & (1 << stage as u8) != 0
    }
}

/// What the policy says of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    pub level: Level,
    pub omit_managed_fields: bool,
    omitted: Stages,
}

impl Config {
    pub fn omits(&self, stage: Stage) -> bool {
        self.omitted.has(stage)
    }
}

/// `audit.k8s.io/v1 Policy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<Rule>,
    omitted: Stages,
    omit_managed_fields: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    level: Level,
    users: Vec<String>,
    groups: Vec<String>,
    verbs: Vec<String>,
    resources: Vec<Resources>,
    namespaces: Vec<String>,
    paths: Vec<String>,
    omitted: Stages,
    omit_managed_fields: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Resources {
    group: String,
    resources: Vec<String>,
    names: Vec<String>,
}

impl Policy {
    /// Reads the document.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(document: &Value) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::new();
        let mut out = Self::default();
        if let Some(mut fields) = Fields::document(document, "Policy", &["audit.k8s.io/v1"], &mut errors) {
            // An object has metadata, and nobody reads these.
            fields.value("metadata");
            out.omitted = read_stages(&mut fields, &mut errors);
            out.omit_managed_fields = fields.flag("omitManagedFields", &mut errors).unwrap_or(false);
            if !fields.has("rules") {
                errors.required(&fields.child("rules"), "a policy without rules writes nothing down");
            }
            for rule in fields.objects("rules", &mut errors) {
                let mut rule = read_rule(rule, &mut errors);
                rule.omitted.0 |= out.omitted.0;
                out.rules.push(rule);
            }
            fields.finish(&mut errors);
        }
        if errors.is_empty() { Ok(out) } else { Err(errors) }
    }

    /// How much of a request is written down. Nothing, when no rule matches.
    pub fn evaluate(&self, attributes: &Attributes<'_>) -> Config {
        match self.rules.iter().find(|rule| rule.matches(attributes)) {
            Some(rule) => Config {
                level: rule.level,
                omit_managed_fields: rule.omit_managed_fields.unwrap_or(self.omit_managed_fields),
                omitted: rule.omitted,
            },
            None => Config {
                level: Level::None,
                omit_managed_fields: self.omit_managed_fields,
                omitted: self.omitted,
            },
        }
    }
}

impl Rule {
    fn matches(&self, attributes: &Attributes<'_>) -> bool {
        let has = |list: &[String], value: &str| list.is_empty() || list.iter().any(|own| own == value);
        if !has(&self.users, &attributes.user.name) || !has(&self.verbs, attributes.verb) {
            return false;
        }
        if !self.groups.is_empty() && !self.groups.iter().any(|group| attributes.user.is_in_group(group)) {
            return false;
        }
        if !self.namespaces.is_empty() || !self.resources.is_empty() {
            return attributes.is_resource
                && has(&self.namespaces, attributes.namespace)
                && (self.resources.is_empty() || self.resources.iter().any(|own| own.matches(attributes)));
        }
        self.paths.is_empty()
            || !attributes.is_resource && self.paths.iter().any(|own| path_matches(own, attributes.path))
    }
}

impl Resources {
    fn matches(&self, attributes: &Attributes<'_>) -> bool {
        if self.group != attributes.group && self.group != "*" {
            return false;
        }
        let named = self.names.is_empty() || self.names.iter().any(|name| name == attributes.name);
        self.resources.is_empty()
            || named && self.resources.iter().any(|pattern| resource_matches(pattern, attributes))
    }
}

fn resource_matches(pattern: &str, attributes: &Attributes<'_>) -> bool {
    let (resource, subresource) = (attributes.resource, attributes.subresource);
    match pattern.split_once('/') {
        _ if pattern == "*" => true,
        None => pattern == resource && subresource.is_empty(),
        Some(("*", own)) if own == subresource && !own.is_empty() => true,
        // Of a resource itself as well.
        Some((own, "*")) => own == resource,
        Some((own, own_sub)) => own == resource && own_sub == subresource,
    }
}

fn path_matches(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => pattern == path,
    }
}

fn read_rule(mut fields: Fields<'_>, errors: &mut FieldErrors) -> Rule {
    let path = fields.child("level");
    let level = match fields.text("level", errors) {
        "" => {
            errors.required(&path, "");
            Level::None
        }
        text => Level::parse(text).unwrap_or_else(|| {
            errors.not_supported(&path, text, &Level::NAMES);
            Level::None
        }),
    };
    let rule = Rule {
        level,
        users: fields.texts("users", errors),
        groups: fields.texts("userGroups", errors),
        verbs: fields.texts("verbs", errors),
        paths: fields.texts("nonResourceURLs", errors),
        resources: read_resources(&mut fields, errors),
        namespaces: fields.texts("namespaces", errors),
        omitted: read_stages(&mut fields, errors),
        omit_managed_fields: fields.flag("omitManagedFields", errors),
    };
    check_paths(&fields.child("nonResourceURLs"), &rule, errors);
    fields.finish(errors);
    rule
}

fn check_paths(path: &FieldPath, rule: &Rule, errors: &mut FieldErrors) {
    for (i, url) in rule.paths.iter().enumerate().filter(|(_, url)| *url != "*") {
        if !url.starts_with('/') {
            let why = "non-resource URL rules must begin with a '/' character";
            errors.invalid(&path.index(i), url.as_str(), why);
        }
        if url.strip_suffix('*').unwrap_or(url).contains('*') {
            let why = "non-resource URL wildcards '*' must be the final character of the rule";
            errors.invalid(&path.index(i), url.as_str(), why);
        }
    }
    let about_resources = !rule.resources.is_empty() || !rule.namespaces.is_empty();
    if about_resources && !rule.paths.is_empty() {
        let why = "rules cannot apply to both regular resources and non-resource URLs";
        errors.invalid(path, rule.paths.clone(), why);
    }
}

fn read_resources(fields: &mut Fields<'_>, errors: &mut FieldErrors) -> Vec<Resources> {
    let mut out = Vec::new();
    for mut entry in fields.objects("resources", errors) {
        let group = entry.text("group", errors);
        let read = Resources {
            group: group.to_owned(),
            resources: entry.texts("resources", errors),
            names: entry.texts("resourceNames", errors),
        };
        if !matches!(group, "" | "*") {
            let wrong = is_dns1123_subdomain(group);
            if !wrong.is_empty() {
                errors.invalid(&entry.child("group"), group, wrong.join(","));
            }
        }
        if !read.names.is_empty() && read.resources.is_empty() {
            let why = "using resourceNames requires at least one resource";
            errors.invalid(&entry.child("resourceNames"), read.names.clone(), why);
        }
        entry.finish(errors);
        out.push(read);
    }
    out
}

fn read_stages(fields: &mut Fields<'_>, errors: &mut FieldErrors) -> Stages {
    let path = fields.child("omitStages");
    let mut out = Stages::default();
    for (i, text) in fields.texts("omitStages", errors).iter().enumerate() {
        match Stage::ALL.into_iter().find(|stage| stage.as_str() == text) {
            Some(stage) => out.0 |= 1 << stage as u8,
            None => {
                let why = format!("allowed stages are {}", Stage::NAMES.join(","));
                errors.invalid(&path.index(i), text.as_str(), why);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;
    use crate::user::UserInfo;

    fn policy(rules: Vec<Value>) -> Result<Policy, Vec<String>> {
        let mut document = value!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy"});
        document.set(&["omitStages"], vec!["RequestReceived".to_owned()]);
        document.set(&["rules"], rules);
        Policy::parse(&document).map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let policy = policy(vec![
            value!({"level": "None", "users": ["system:kube-proxy"], "verbs": ["watch"]}),
            value!({"level": "Request", "resources": [{"group": "", "resources": ["pods/*"], "resourceNames": ["p"]}]}),
            value!({"level": "Metadata", "resources": [{"group": "", "resources": ["secrets", "*/status"]}],
                "omitStages": ["Panic"]}),
            value!({"level": "RequestResponse", "namespaces": ["kube-system"], "userGroups": ["ops"]}),
            value!({"level": "Metadata", "nonResourceURLs": ["/healthz*", "/version"]}),
        ])
        .unwrap();
        let proxy = UserInfo::new("system:kube-proxy", &[]);
        let ann = UserInfo::new("ann", &["ops"]);
        let check = |attributes: Attributes<'_>, level: Level| {
            assert_eq!(policy.evaluate(&attributes).level, level, "{attributes:?}");
        };
        let of = |user, verb, resource| Attributes::resource(user, verb, "", resource);
        check(of(&proxy, "watch", "secrets"), Level::None);
        check(of(&proxy, "get", "secrets"), Level::Metadata);
        check(Attributes { name: "p", subresource: "log", ..of(&ann, "get", "pods") }, Level::Request);
        check(Attributes { name: "p", ..of(&ann, "get", "pods") }, Level::Request);
        check(Attributes { name: "q", subresource: "log", ..of(&ann, "get", "pods") }, Level::None);
        check(Attributes { subresource: "status", ..of(&ann, "get", "nodes") }, Level::Metadata);
        check(Attributes { namespace: "kube-system", ..of(&ann, "get", "pods") }, Level::RequestResponse);
        check(Attributes { namespace: "kube-system", ..of(&proxy, "get", "pods") }, Level::None);
        check(Attributes::path(&ann, "get", "/healthz/etcd"), Level::Metadata);
        check(Attributes::path(&ann, "get", "/versions"), Level::None);
        let secrets = policy.evaluate(&of(&ann, "get", "secrets"));
        assert!(secrets.omits(Stage::Panic) && secrets.omits(Stage::RequestReceived));
        assert!(!secrets.omits(Stage::ResponseComplete));
    }

    #[test]
    fn everything_that_is_wrong_is_named() {
        assert_eq!(
            policy(vec![
                value!({"level": "All", "omitStages": ["Never"]}),
                value!({"level": "None", "nonResourceURLs": ["x", "/a*b"], "namespaces": ["n"]}),
                value!({"resources": [{"group": "apps/v1", "resourceNames": ["a"]}], "nonresourceURLs": []}),
            ])
            .unwrap_err(),
            [
                "rules[0].level: Unsupported value: \"All\": supported values: \"None\", \"Metadata\", \"Request\", \"RequestResponse\"",
                "rules[0].omitStages[0]: Invalid value: \"Never\": allowed stages are RequestReceived,ResponseStarted,ResponseComplete,Panic",
                "rules[1].nonResourceURLs[0]: Invalid value: \"x\": non-resource URL rules must begin with a '/' character",
                "rules[1].nonResourceURLs[1]: Invalid value: \"/a*b\": non-resource URL wildcards '*' must be the final character of the rule",
                "rules[1].nonResourceURLs: Invalid value: [\"x\",\"/a*b\"]: rules cannot apply to both regular resources and non-resource URLs",
                "rules[2].level: Required value",
                "rules[2].resources[0].group: Invalid value: \"apps/v1\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
                "rules[2].resources[0].resourceNames: Invalid value: [\"a\"]: using resourceNames requires at least one resource",
                "rules[2].nonresourceURLs: Forbidden: unknown field",
            ]
        );
    }
}
