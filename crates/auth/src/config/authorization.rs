//! `AuthorizationConfiguration`: who is asked whether a request may go on, and in which order.

use std::time::Duration;

use drydock_machinery::{FieldErrors, Value};

use super::Fields;
use super::expression::{About, Expression};
use super::{WebhookServer, kubeconfig};

const VERSIONS: [&str; 3] =
    ["apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1", "apiserver.config.k8s.io/v1alpha1"];

/// Authorizers in the order in which they are asked. `Node` and `RBAC` are among them once each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationConfiguration {
    pub authorizers: Vec<AuthorizerKind>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthorizerKind {
    Node,
    Rbac,
    Webhook(Box<AccessWebhook>),
}

/// A server that is asked by SubjectAccessReviews.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessWebhook {
    pub name: String,
    pub server: WebhookServer,
    /// None: answers that allow are not remembered.
    pub authorized_ttl: Option<Duration>,
    pub unauthorized_ttl: Option<Duration>,
    pub timeout: Duration,
    /// `v1` or `v1beta1`.
    pub version: String,
    pub failure_policy: FailurePolicy,
    /// Only requests that all of them are true of are asked about.
    pub match_conditions: Vec<Expression>,
}

/// What a webhook that does not answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailurePolicy {
    /// The next authorizer is asked.
    NoOpinion,
    Deny,
}

impl Default for AuthorizationConfiguration {
    fn default() -> Self {
        Self { authorizers: vec![AuthorizerKind::Node, AuthorizerKind::Rbac] }
    }
}

impl AuthorizationConfiguration {
    /// Reads the document for a cluster of Kubernetes 1.`minor_version`. A webhook's `connectionInfo` has the kubeconfig itself, as `kubeConfig`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(document: &Value, minor_version: u32) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::new();
        let mut out = Self { authorizers: Vec::new() };
        let kind = "AuthorizationConfiguration";
        if let Some(fields) = Fields::document(document, kind, &VERSIONS, &mut errors) {
            let mut fields = fields.for_cluster(minor_version);
            let path = fields.child("authorizers");
            let authorizers = fields.objects("authorizers", &mut errors);
            let mut names = Vec::new();
            for authorizer in authorizers {
                let read = read_authorizer(authorizer, &out.authorizers, &mut names, &mut errors);
                out.authorizers.extend(read);
            }
            // The cluster's own controllers and nodes would be locked out.
            for (kind, name) in [(AuthorizerKind::Node, "Node"), (AuthorizerKind::Rbac, "RBAC")] {
                if !out.authorizers.contains(&kind) {
                    errors.required(
                        &path,
                        format!("one authorizer must be of type {name}: the control plane needs it"),
                    );
                }
            }
            fields.finish(&mut errors);
        }
        if errors.is_empty() { Ok(out) } else { Err(errors) }
    }
}

fn read_authorizer(
    mut fields: Fields<'_>,
    earlier: &[AuthorizerKind],
    names: &mut Vec<String>,
    errors: &mut FieldErrors,
) -> Option<AuthorizerKind> {
    let (kind, name) = (fields.text("type", errors), fields.text("name", errors));
    let webhook = fields.object("webhook", errors);
    let (kind_path, name_path, webhook_path) =
        (fields.child("type"), fields.child("name"), fields.child("webhook"));
    fields.finish(errors);
    let read = match kind {
        "" => {
            errors.required(&kind_path, "");
            return None;
        }
        "Node" => AuthorizerKind::Node,
        "RBAC" => AuthorizerKind::Rbac,
        "Webhook" => {
            check_name(&name_path, name, names, errors);
            let Some(webhook) = webhook else {
                errors.required(&webhook_path, "required when type=Webhook");
                return None;
            };
            return read_webhook(name, webhook, errors)
                .map(|webhook| AuthorizerKind::Webhook(Box::new(webhook)));
        }
        other => {
            errors.not_supported(&kind_path, other, &["Node", "RBAC", "Webhook"]);
            return None;
        }
    };
    if earlier.contains(&read) {
        errors.duplicate(&kind_path, kind);
        return None;
    }
    check_name(&name_path, name, names, errors);
    if webhook.is_some() {
        errors.invalid(&webhook_path, "non-null", "may only be specified when type=Webhook");
    }
    Some(read)
}

fn check_name(
    path: &drydock_machinery::FieldPath,
    name: &str,
    names: &mut Vec<String>,
    errors: &mut FieldErrors,
) {
    if name.is_empty() {
        errors.required(path, "");
    } else if names.iter().any(|known| known == name) {
        errors.duplicate(path, name);
    } else if let Some(why) =
        drydock_machinery::names_validation::is_dns1123_subdomain(name).into_iter().next()
    {
        errors.invalid(path, name, format!("authorizer name is invalid: {why}"));
    }
    names.push(name.to_owned());
}

fn read_webhook(name: &str, mut fields: Fields<'_>, errors: &mut FieldErrors) -> Option<AccessWebhook> {
    const LONGEST: Duration = Duration::from_secs(30);
    let timeout = fields.duration("timeout", errors);
    if timeout.is_zero() {
        errors.required(&fields.child("timeout"), "");
    } else if timeout > LONGEST {
        errors.invalid(&fields.child("timeout"), format!("{timeout:?}"), "must be > 0s and <= 30s");
    }
    let authorized_ttl = read_ttl(&mut fields, "authorizedTTL", "cacheAuthorizedRequests", errors);
    let unauthorized_ttl = read_ttl(&mut fields, "unauthorizedTTL", "cacheUnauthorizedRequests", errors);
    let version = fields.text("subjectAccessReviewVersion", errors);
    match version {
        "" => errors.required(&fields.child("subjectAccessReviewVersion"), ""),
        "v1" | "v1beta1" => {}
        other => errors.not_supported(&fields.child("subjectAccessReviewVersion"), other, &["v1", "v1beta1"]),
    }
    let match_version = fields.text("matchConditionSubjectAccessReviewVersion", errors);
    let path = fields.child("matchConditionSubjectAccessReviewVersion");
    match match_version {
        "" if fields.has("matchConditions") => {
            errors.required(&path, "required if match conditions are specified");
        }
        "" | "v1" => {}
        other => errors.not_supported(&path, other, &["v1"]),
    }
    let failure_policy = match fields.text("failurePolicy", errors) {
        "NoOpinion" => Some(FailurePolicy::NoOpinion),
        "Deny" => Some(FailurePolicy::Deny),
        "" => {
            errors.required(&fields.child("failurePolicy"), "");
            None
        }
        other => {
            errors.not_supported(&fields.child("failurePolicy"), other, &["NoOpinion", "Deny"]);
            None
        }
    };
    let match_conditions = read_conditions(&mut fields, errors);
    let server = read_connection(&mut fields, errors);
    fields.finish(errors);
    Some(AccessWebhook {
        name: name.to_owned(),
        server: server?,
        authorized_ttl,
        unauthorized_ttl,
        timeout,
        version: version.to_owned(),
        failure_policy: failure_policy?,
        match_conditions,
    })
}

fn read_conditions(fields: &mut Fields<'_>, errors: &mut FieldErrors) -> Vec<Expression> {
    /// No more conditions than that.
    const MOST: usize = 64;
    let path = fields.child("matchConditions");
    let conditions = fields.objects("matchConditions", errors);
    if conditions.len() > MOST {
        errors.too_many(&path, conditions.len(), MOST);
        return Vec::new();
    }
    let (mut out, mut seen) = (Vec::new(), Vec::new());
    for mut condition in conditions {
        let (text, path) = (condition.text("expression", errors), condition.child("expression"));
        if text.trim().is_empty() {
            errors.required(&path, "");
        } else if seen.contains(&text) {
            errors.duplicate(&path, text);
        } else {
            seen.push(text);
            out.extend(Expression::compile(condition.cluster(), About::Request, text, true, &path, errors));
        }
        condition.finish(errors);
    }
    out
}

fn read_ttl(
    fields: &mut Fields<'_>,
    name: &'static str,
    cache: &'static str,
    errors: &mut FieldErrors,
) -> Option<Duration> {
    let ttl = fields.duration(name, errors);
    if ttl.is_zero() {
        errors.required(&fields.child(name), "");
    }
    fields.flag(cache, errors).unwrap_or(true).then_some(ttl)
}

fn read_connection(fields: &mut Fields<'_>, errors: &mut FieldErrors) -> Option<WebhookServer> {
    let Some(mut connection) = fields.object("connectionInfo", errors) else {
        errors.required(&fields.child("connectionInfo").child("type"), "");
        return None;
    };
    let path = connection.child("type");
    match connection.text("type", errors) {
        "KubeConfigFile" => {}
        "" => errors.required(&path, ""),
        other => errors.not_supported(&path, other, &["KubeConfigFile"]),
    }
    if connection.given_text("kubeConfigFile", errors).is_some() {
        let why = "files are not read here; give the kubeconfig itself as kubeConfig";
        errors.forbidden(&connection.child("kubeConfigFile"), why);
        connection.value("kubeConfig");
        connection.finish(errors);
        return None;
    }
    let server = kubeconfig::read(&mut connection, "kubeConfig", errors);
    connection.finish(errors);
    server
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    fn document(authorizers: Vec<Value>) -> Value {
        let mut document =
            value!({"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthorizationConfiguration"});
        document.set(&["authorizers"], authorizers);
        document
    }

    fn webhook() -> Value {
        value!({"type": "Webhook", "name": "w", "webhook": {
            "timeout": "3s", "authorizedTTL": "5m", "unauthorizedTTL": "30s", "cacheUnauthorizedRequests": false,
            "subjectAccessReviewVersion": "v1", "failurePolicy": "Deny",
            "connectionInfo": {"type": "KubeConfigFile", "kubeConfig": {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c"}}],
                "clusters": [{"name": "c", "cluster": {"server": "https://w.example"}}],
            }},
        }})
    }

    #[test]
    fn the_order_is_that_of_the_document() {
        let node = value!({"type": "Node", "name": "node"});
        let rbac = value!({"type": "RBAC", "name": "rbac"});
        let read = AuthorizationConfiguration::parse(&document(vec![webhook(), node, rbac]), 36).unwrap();
        let AuthorizerKind::Webhook(first) = &read.authorizers[0] else { panic!("{read:?}") };
        assert_eq!(first.failure_policy, FailurePolicy::Deny);
        assert_eq!((first.authorized_ttl, first.unauthorized_ttl), (Some(Duration::from_secs(300)), None));
        assert_eq!(read.authorizers[1..], [AuthorizerKind::Node, AuthorizerKind::Rbac]);
    }

    #[test]
    fn everything_that_is_wrong_is_named() {
        let mut hook = webhook();
        hook.set(&["webhook", "timeout"], "1m");
        hook.set(&["webhook", "matchConditions"], vec![value!({"expression": "request.user"})]);
        hook.set(
            &["webhook", "connectionInfo"],
            value!({"type": "KubeConfigFile", "kubeConfigFile": "/etc/w"}),
        );
        let rbac = || value!({"type": "RBAC", "name": "w"});
        let errors =
            AuthorizationConfiguration::parse(&document(vec![hook, rbac(), rbac()]), 36).unwrap_err();
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            errors,
            [
                "authorizers[0].webhook.timeout: Invalid value: \"60s\": must be > 0s and <= 30s",
                "authorizers[0].webhook.matchConditionSubjectAccessReviewVersion: Required value: required if match conditions are specified",
                "authorizers[0].webhook.matchConditions[0].expression: Invalid value: \"request.user\": must evaluate to bool but got string",
                "authorizers[0].webhook.connectionInfo.kubeConfigFile: Forbidden: files are not read here; give the kubeconfig itself as kubeConfig",
                "authorizers[1].name: Duplicate value: \"w\"",
                "authorizers[2].type: Duplicate value: \"RBAC\"",
                "authorizers: Required value: one authorizer must be of type Node: the control plane needs it",
            ]
        );
    }
}
