//! Which requests a webhook or a policy is asked about: its rules and its selectors.

use drydock_machinery::selector::Selector;
use drydock_machinery::{GroupVersionResource, ObjectMeta, Status, Value};

use super::versions::{Matched, equivalents};
use super::{AdmissionRequest, Operation, Reader};
use crate::resources::Resources;

/// A webhook, or the `matchConstraints` or `matchResources` of a policy, as far as matching goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Criteria<'a> {
    /// Has `namespaceSelector`, `objectSelector` and `matchPolicy`.
    pub(super) holder: &'a Value,
    pub(super) rules: &'a [Value],
    pub(super) excluded: &'a [Value],
    /// Whether no rules mean every request, rather than none.
    pub(super) open: bool,
}

impl<'a> Criteria<'a> {
    pub(super) fn of_webhook(webhook: &'a Value) -> Self {
        Self { holder: webhook, rules: webhook.array_at(&["rules"]), excluded: &[], open: false }
    }

    /// Of a policy or of a binding.
    pub(super) fn of_resources(resources: &'a Value) -> Self {
        Self {
            holder: resources,
            rules: resources.array_at(&["resourceRules"]),
            excluded: resources.array_at(&["excludeResourceRules"]),
            open: true,
        }
    }

    /// As what the request is asked about; None when it is not.
    ///
    /// # Errors
    /// When a selector cannot be used, and the rules are about this request.
    pub(super) fn matches(
        &self,
        reader: &dyn Reader,
        resources: &Resources,
        request: &AdmissionRequest<'_>,
    ) -> Result<Option<Matched>, Status> {
        let namespace = self.namespace_matches(reader, request);
        if matches!(namespace, Ok(false)) {
            return Ok(None);
        }
        let object = self.object_matches(request);
        if matches!(object, Ok(false)) {
            return Ok(None);
        }
        let exact = self.holder.str_at(&["matchPolicy"]) != "Equivalent";
        if find(resources, request, self.excluded, exact).is_some() {
            return Ok(None);
        }
        let matched = if self.rules.is_empty() && self.open {
            Some(own(request))
        } else {
            find(resources, request, self.rules, exact)
        };
        if matched.is_some() {
            namespace?;
            object?;
        }
        Ok(matched)
    }

    fn selector(&self, field: &str) -> Result<Selector, Status> {
        let Some(given) = self.holder.get(field).filter(|selector| !selector.is_null()) else {
            return Ok(Selector::everything());
        };
        Selector::from_label_selector(Some(given)).map_err(Status::internal)
    }

    /// By the labels of the object's namespace; a namespace that is written counts by its own.
    fn namespace_matches(&self, reader: &dyn Reader, request: &AdmissionRequest<'_>) -> Result<bool, Status> {
        let is_namespace = request.is_of("", "namespaces");
        if request.namespace.is_empty() && !is_namespace {
            return Ok(true);
        }
        let selector = self.selector("namespaceSelector")?;
        if selector.is_everything() {
            return Ok(true);
        }
        let written = matches!(request.operation, Operation::Create | Operation::Update);
        if is_namespace && request.subresource.is_empty() && written {
            return Ok(selector.matches(request.object().labels()));
        }
        let name = if is_namespace { request.name.as_str() } else { request.namespace };
        let namespace = reader.get("", "namespaces", "", name);
        let namespace = namespace.ok_or_else(|| Status::not_found("", "namespaces", name))?;
        Ok(selector.matches(namespace.labels()))
    }

    /// By the labels that the object has, or had.
    fn object_matches(&self, request: &AdmissionRequest<'_>) -> Result<bool, Status> {
        let selector = self.selector("objectSelector")?;
        if selector.is_everything() {
            return Ok(true);
        }
        let old = request.old_object.as_ref().map(|old| old.value());
        Ok(request.object.iter().chain(old).any(|object| selector.matches(object.labels())))
    }
}

fn own(request: &AdmissionRequest<'_>) -> Matched {
    Matched { resource: request.resource.clone(), kind: request.kind.clone() }
}

/// The first rule that is about the request; unless `exact`, another version of the same resource is as good.
fn find(
    resources: &Resources,
    request: &AdmissionRequest<'_>,
    rules: &[Value],
    exact: bool,
) -> Option<Matched> {
    if rules.iter().any(|rule| rule_matches(rule, request, request.resource) && names(rule, request)) {
        return Some(own(request));
    }
    if exact || rules.is_empty() {
        return None;
    }
    let others = equivalents(&resources.table(), request.resource, request.subresource);
    let matching = |rule: &Value| {
        let mut others = others.iter();
        others.find(|other| rule_matches(rule, request, &other.resource) && names(rule, request)).cloned()
    };
    rules.iter().find_map(matching)
}

/// `resourceNames`: none mean all.
fn names(rule: &Value, request: &AdmissionRequest<'_>) -> bool {
    let names = rule.array_at(&["resourceNames"]);
    names.is_empty() || names.iter().any(|name| name.as_str() == Some(&request.name))
}

fn rule_matches(rule: &Value, request: &AdmissionRequest<'_>, resource: &GroupVersionResource) -> bool {
    let has = |field: &str, wanted: &str| {
        rule.array_at(&[field]).iter().filter_map(Value::as_str).any(|own| own == "*" || own == wanted)
    };
    let namespaced = !request.namespace.is_empty() && !request.is_of("", "namespaces");
    let in_scope = match rule.str_at(&["scope"]) {
        "" | "*" => true,
        "Namespaced" => namespaced,
        "Cluster" => !namespaced,
        _ => false,
    };
    in_scope
        && has("operations", request.operation.as_str())
        && has("apiGroups", &resource.group)
        && has("apiVersions", &resource.version)
        && rule
            .array_at(&["resources"])
            .iter()
            .filter_map(Value::as_str)
            .any(|rule| resource_matches(rule, &resource.resource, request.subresource))
}

fn resource_matches(rule: &str, resource: &str, subresource: &str) -> bool {
    let (head, tail) = rule.split_once('/').unwrap_or((rule, ""));
    (head == "*" || head == resource) && (tail == "*" || tail == subresource)
}
