//! Which requests a webhook is asked about: its rules and its selectors.

use drydock_machinery::selector::Selector;
use drydock_machinery::{Map, ObjectMeta, Status, Value};

use super::super::{AdmissionRequest, Operation, Reader};

/// # Errors
/// When a selector cannot be used.
pub(super) fn matches(
    reader: &dyn Reader,
    request: &AdmissionRequest<'_>,
    webhook: &Value,
) -> Result<bool, Status> {
    let exact = webhook.str_at(&["matchPolicy"]) == "Exact";
    let rules = webhook.array_at(&["rules"]);
    if !rules.iter().any(|rule| rule_matches(rule, request, exact)) {
        return Ok(false);
    }
    Ok(namespace_matches(reader, request, webhook)? && object_matches(request, webhook)?)
}

/// Unless the webhook wants exact matches, another version of the same resource is as good.
fn rule_matches(rule: &Value, request: &AdmissionRequest<'_>, exact: bool) -> bool {
    let has = |field: &str, wanted: &str| {
        rule.array_at(&[field]).iter().filter_map(Value::as_str).any(|own| own == "*" || own == wanted)
    };
    let operation = match request.operation {
        Operation::Create => "CREATE",
        Operation::Update => "UPDATE",
        Operation::Delete => "DELETE",
        Operation::Connect => "CONNECT",
    };
    let namespaced = !request.namespace.is_empty() && !request.is_of("", "namespaces");
    let in_scope = match rule.str_at(&["scope"]) {
        "Namespaced" => namespaced,
        "Cluster" => !namespaced,
        _ => true,
    };
    in_scope
        && has("operations", operation)
        && has("apiGroups", &request.resource.group)
        && (!exact || has("apiVersions", &request.resource.version))
        && rule
            .array_at(&["resources"])
            .iter()
            .filter_map(Value::as_str)
            .any(|resource| resource_matches(resource, &request.resource.resource, request.subresource))
}

fn resource_matches(rule: &str, resource: &str, subresource: &str) -> bool {
    let (head, tail) = rule.split_once('/').unwrap_or((rule, ""));
    (head == "*" || head == resource) && (tail == "*" || tail == subresource)
}

fn selector(webhook: &Value, field: &str) -> Result<Selector, Status> {
    let Some(given) = webhook.get(field).filter(|selector| !selector.is_null()) else {
        return Ok(Selector::everything());
    };
    Selector::from_label_selector(Some(given)).map_err(Status::internal)
}

/// By the labels of the object's namespace; a namespace counts by its own.
fn namespace_matches(
    reader: &dyn Reader,
    request: &AdmissionRequest<'_>,
    webhook: &Value,
) -> Result<bool, Status> {
    let selector = selector(webhook, "namespaceSelector")?;
    let is_namespace = request.is_of("", "namespaces");
    if selector.is_everything() || request.namespace.is_empty() && !is_namespace {
        return Ok(true);
    }
    if is_namespace {
        let own = request.object.as_ref().unwrap_or_else(|| request.old());
        return Ok(selector.matches(own.labels()));
    }
    let namespace = reader
        .get("", "namespaces", "", request.namespace)
        .ok_or_else(|| Status::not_found("", "namespaces", request.namespace))?;
    Ok(selector.matches(namespace.labels()))
}

/// By the labels that the object has, or had.
fn object_matches(request: &AdmissionRequest<'_>, webhook: &Value) -> Result<bool, Status> {
    let selector = selector(webhook, "objectSelector")?;
    let labels = |object: Option<&Value>| -> Option<Map> { Some(object?.labels().clone()) };
    let new = labels(request.object.as_ref());
    let old = labels(request.old_object.as_ref().map(|old| old.value()));
    Ok(selector.is_everything() || new.iter().chain(&old).any(|labels| selector.matches(labels)))
}
