//! PodSecurity: the pod security standards, as a namespace's labels ask for them.
//!
//! Pods that violate the enforced level are refused; pods, and the templates of what makes pods, that violate the level
//! to warn of are let through with a warning, and those that violate the level to audit with an audit annotation.

mod baseline;
mod policy;
mod restricted;
mod violations;

use std::collections::BTreeMap;

use async_trait::async_trait;
use drydock_machinery::{Object, ObjectMeta, Status, Value};

use super::{AdmissionContext, AdmissionPlugin, AdmissionRequest, Operation};
use policy::{Level, LevelVersion, Policy};
use violations::Violation;

pub(super) struct PodSecurity;

/// What makes pods, and where its pod template is.
const TEMPLATES: [(&str, &str, &[&str]); 9] = [
    ("", "podtemplates", &["template"]),
    ("", "replicationcontrollers", &["spec", "template"]),
    ("apps", "replicasets", &["spec", "template"]),
    ("apps", "deployments", &["spec", "template"]),
    ("apps", "statefulsets", &["spec", "template"]),
    ("apps", "daemonsets", &["spec", "template"]),
    ("batch", "jobs", &["spec", "template"]),
    ("batch", "cronjobs", &["spec", "jobTemplate", "spec", "template"]),
    ("", "pods", &[]),
];

/// No more pods than this are checked when a namespace's level rises.
const MAX_PODS: usize = 3000;

#[async_trait]
impl AdmissionPlugin for PodSecurity {
    fn name(&self) -> &'static str {
        "PodSecurity"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        if !matches!(request.operation, Operation::Create | Operation::Update) {
            return false;
        }
        if request.is_of("", "pods") {
            return matches!(request.subresource, "" | "ephemeralcontainers" | "resize");
        }
        request.is_for("", "namespaces") || template_path(request).is_some()
    }

    async fn validate(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        if request.is_of("", "namespaces") {
            return validate_namespace(context, request);
        }
        let Some(namespace) = context.reader.get("", "namespaces", "", request.namespace) else {
            return Ok(());
        };
        let (policy, errors) = Policy::of(&namespace);
        let pods = request.is_of("", "pods");
        if policy.is_privileged() && errors.is_empty() {
            if pods {
                annotate(request, "enforce-policy", LevelVersion::PRIVILEGED.to_string());
            }
            return Ok(());
        }
        if let Some(why) = errors.aggregate() {
            annotate(request, "error", format!("Failed to parse policy: {why}"));
        }
        if pods { validate_pod(&policy, request) } else { validate_template(&policy, request) }
    }
}

fn template_path(request: &AdmissionRequest<'_>) -> Option<&'static [&'static str]> {
    let known = TEMPLATES.iter().find(|(group, resource, _)| request.is_for(group, resource));
    known.map(|(_, _, path)| *path)
}

fn validate_pod(policy: &Policy, request: &mut AdmissionRequest<'_>) -> Result<(), Status> {
    if request.operation == Operation::Update && !changes_images(request.object(), request.old()) {
        return Ok(());
    }
    annotate(request, "enforce-policy", policy.enforce.to_string());
    let violations = evaluate(policy.enforce, request.object());
    audit(policy, request, &[]);
    if !violations.is_empty() {
        return Err(request.forbidden(&format!(
            "violates PodSecurity \"{}\": {}",
            policy.enforce,
            violations::details(&violations)
        )));
    }
    warn(policy, request, &[]);
    Ok(())
}

fn validate_template(policy: &Policy, request: &mut AdmissionRequest<'_>) -> Result<(), Status> {
    if let Some(path) = template_path(request) {
        audit(policy, request, path);
        warn(policy, request, path);
    }
    Ok(())
}

fn annotate(request: &mut AdmissionRequest<'_>, key: &str, text: String) {
    request.audit.push((format!("pod-security.kubernetes.io/{key}"), text));
}

/// Notes what in the pod (template) at `path` violates the level to audit.
fn audit(policy: &Policy, request: &mut AdmissionRequest<'_>, path: &[&str]) {
    let Some(pod) = request.object().at(path) else { return };
    let violations = evaluate(policy.audit, pod);
    if !violations.is_empty() {
        let details = violations::details(&violations);
        annotate(
            request,
            "audit-violations",
            format!("would violate PodSecurity \"{}\": {details}", policy.audit),
        );
    }
}

/// Warns of what in the pod (template) at `path` violates the level to warn of.
fn warn(policy: &Policy, request: &mut AdmissionRequest<'_>, path: &[&str]) {
    let Some(pod) = request.object().at(path) else { return };
    let violations = evaluate(policy.warn, pod);
    if !violations.is_empty() {
        let details = violations::details(&violations);
        request.warnings.push(format!("would violate PodSecurity \"{}\": {details}", policy.warn));
    }
}

/// What in `pod` violates a level, in the order in which upstream names it.
fn evaluate(level: LevelVersion, pod: &Value) -> Vec<Violation> {
    match level.level {
        Level::Privileged => Vec::new(),
        Level::Baseline => baseline::check(pod, level.minor, baseline::Scope::Alone),
        Level::Restricted => {
            let mut violations = baseline::check(pod, level.minor, baseline::Scope::UnderRestricted);
            violations.extend(restricted::check(pod, level.minor));
            violations
        }
    }
}

/// Only new images (and new ephemeral containers) make an updated pod worth another look.
fn changes_images(new: &Value, old: &Value) -> bool {
    let images = |pod: &Value, list: &str| -> Vec<(String, String)> {
        let containers = pod.array_at(&["spec", list]).iter();
        containers
            .map(|container| {
                (container.str_at(&["name"]).to_owned(), container.str_at(&["image"]).to_owned())
            })
            .collect()
    };
    ["containers", "initContainers", "ephemeralContainers"]
        .iter()
        .any(|list| images(new, list) != images(old, list))
}

fn validate_namespace(
    context: &AdmissionContext<'_>,
    request: &mut AdmissionRequest<'_>,
) -> Result<(), Status> {
    let (policy, errors) = Policy::of(request.object());
    let is_update = request.operation == Operation::Update;
    let (old, old_errors) = Policy::of(request.old());
    if !errors.is_empty() && (!is_update || errors != old_errors) {
        return Err(Status::invalid("", "Namespace", &request.name, &errors));
    }
    let rises = policy.enforce != old.enforce
        && policy.enforce.level != Level::Privileged
        && (policy.enforce.minor != old.enforce.minor || policy.enforce.level > old.enforce.level);
    if is_update && rises {
        let pods = context.reader.list("", "pods", &request.name);
        let warnings = existing_violations(&pods, &request.name, policy.enforce);
        request.warnings.extend(warnings);
    }
    Ok(())
}

/// What to say of pods that would not be let in any more.
fn existing_violations(pods: &[std::sync::Arc<Object>], namespace: &str, level: LevelVersion) -> Vec<String> {
    let mut warnings = Vec::new();
    if pods.len() > MAX_PODS {
        warnings.push(format!(
            "new PodSecurity enforce level only checked against the first {MAX_PODS} of {} existing pods",
            pods.len()
        ));
    }
    // By reasons: the first pod's name, and how many there are.
    let mut seen: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for pod in pods.iter().take(MAX_PODS) {
        let violations = evaluate(level, pod);
        if violations.is_empty() {
            continue;
        }
        let entry =
            seen.entry(violations::reasons(&violations)).or_insert_with(|| (pod.name().to_owned(), 0));
        entry.0 = entry.0.as_str().min(pod.name()).to_owned();
        entry.1 += 1;
    }
    if !seen.is_empty() {
        warnings.push(format!(
            "existing pods in namespace {namespace:?} violate the new PodSecurity enforce level \"{level}\""
        ));
    }
    let mut lines: Vec<String> = seen
        .into_iter()
        .map(|(reasons, (pod, count))| match count {
            1 => format!("{pod}: {reasons}"),
            2 => format!("{pod} (and 1 other pod): {reasons}"),
            _ => format!("{pod} (and {} other pods): {reasons}", count - 1),
        })
        .collect();
    lines.sort();
    warnings.extend(lines);
    warnings
}

#[cfg(test)]
mod tests;
