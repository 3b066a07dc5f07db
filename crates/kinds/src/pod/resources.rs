//! Requests and limits of containers and pods.

use std::collections::{BTreeMap, BTreeSet};

use drydock_machinery::quantity::Quantity;
use drydock_machinery::status::{FieldError, FieldErrorKind};
use drydock_machinery::{FieldErrors, FieldPath, Map, ObjectMeta as _, Value};
use foldhash::HashSet;

use super::spec::Within;
use crate::check::{
    dns_label, dns_subdomain, is_extended_resource, is_fully_qualified, is_huge_page, is_native_resource,
    is_standard_container_resource, one_of, resource_name, resource_quantity_value,
};
use crate::go_form;
use crate::shape::{has, present};

/// `ValidateContainerResourceRequirements`.
pub(super) fn container_resources(
    errors: &mut FieldErrors,
    container: &Value,
    claims: &BTreeSet<&str>,
    path: &FieldPath,
) {
    let Some(resources) = present(container, &["resources"]) else { return };
    let path = path.child("resources");
    requirements(errors, resources, &path, container_resource_name);
    claim_names(errors, resources.array_at(&["claims"]), claims, &path.child("claims"));
}

/// `validateResourceClaimNames`: what of the pod's claims a container takes, each once.
fn claim_names(errors: &mut FieldErrors, given: &[Value], claims: &BTreeSet<&str>, path: &FieldPath) {
    let mut seen: HashSet<String> = HashSet::default();
    for (i, claim) in given.iter().enumerate() {
        let (name, request) = (claim.str_at(&["name"]), claim.str_at(&["request"]));
        let path = path.index(i);
        if name.is_empty() {
            errors.required(&path, "");
            continue;
        }
        if seen.contains(name) {
            errors.duplicate(&path, name);
        } else {
            if !request.is_empty() {
                dns_label(errors, request, &path.child("request"));
            }
            let key = if request.is_empty() { name.to_owned() } else { format!("{name}/{request}") };
            if seen.contains(&key) {
                errors.duplicate(&path, key.as_str());
            } else if request.is_empty() {
                let parts =
                    seen.iter().filter(|other| other.split_once('/').is_some_and(|(of, _)| of == name));
                parts.for_each(|_| errors.duplicate(&path, name));
            }
            seen.insert(key);
        }
        if !claims.contains(name) {
            let names: Vec<&str> = claims.iter().copied().collect();
            let which = if names.is_empty() {
                " which is empty".to_owned()
            } else {
                format!(": {}", names.join(", "))
            };
            errors.push(FieldError {
                kind: FieldErrorKind::NotFound,
                field: path.to_string(),
                value: Some(name.into()),
                detail: format!("must be one of the names in pod.spec.resourceClaims{which}"),
            });
        }
    }
}

fn requirements(
    errors: &mut FieldErrors,
    resources: &Value,
    path: &FieldPath,
    check_name: impl Fn(&mut FieldErrors, &str, &FieldPath),
) {
    let limits = resources.object_at(&["limits"]);
    let requests = resources.object_at(&["requests"]);
    for (name, amount) in limits.iter() {
        let at = path.child("limits").key(name);
        check_name(errors, name, &at);
        resource_quantity_value(errors, name, amount, &at);
        huge_page_amount(errors, name, amount, &at);
    }
    for (name, amount) in requests.iter() {
        let at = path.child("requests").key(name);
        check_name(errors, name, &at);
        resource_quantity_value(errors, name, amount, &at);
        request_within_limit(errors, name, amount, limits, path);
        huge_page_amount(errors, name, amount, &at);
    }
    let names = || limits.keys().chain(requests.keys());
    let with_huge_pages = names().any(|name| is_huge_page(name));
    if with_huge_pages && !names().any(|name| matches!(name.as_str(), "cpu" | "memory")) {
        errors.forbidden(path, "HugePages require cpu or memory");
    }
}

fn request_within_limit(
    errors: &mut FieldErrors,
    name: &str,
    amount: &Value,
    limits: &Map,
    path: &FieldPath,
) {
    let overcommits = is_native_resource(name) && !is_huge_page(name);
    let request = Quantity::of(Some(amount));
    let (path, limits_path) = (path.child("requests"), path.child("limits"));
    match limits.get(name).map(|limit| Quantity::of(Some(limit))) {
        Some(limit) if !overcommits && request != limit => {
            errors.invalid(&path, amount.clone(), format!("must be equal to {name} limit of {limit}"));
        }
        Some(limit) if request > limit => {
            let detail = format!("must be less than or equal to {name} limit of {limit}");
            errors.invalid(&path, amount.clone(), detail);
        }
        None if !overcommits => {
            errors.required(&limits_path, "Limit must be set for non overcommitable resources");
        }
        _ => {}
    }
}

fn huge_page_amount(errors: &mut FieldErrors, name: &str, amount: &Value, path: &FieldPath) {
    let Some(size) = name.strip_prefix("hugepages-") else { return };
    let quantity = Quantity::of(Some(amount));
    let divisible = Quantity::parse(size).is_ok_and(|size| {
        size.value() > 0 && size.milli_value() % 1000 == 0 && quantity.value() % size.value() == 0
    });
    if !divisible {
        let text = quantity.to_string();
        let detail = format!("{text} is not positive integer multiple of {name}");
        errors.invalid(path, text, detail);
    }
}

/// `validateContainerResourceName`.
pub(crate) fn container_resource_name(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    resource_name(errors, name, path);
    if !is_fully_qualified(name) {
        if !is_standard_container_resource(name) {
            errors.invalid(path, name, "must be a standard resource for containers");
        }
    } else if !is_native_resource(name) && !is_extended_resource(name) {
        errors.invalid(path, name, "doesn't follow extended resource name standard");
    }
}

/// `validateResizePolicy`.
pub(super) fn resize_policy(errors: &mut FieldErrors, container: &Value, spec: &Value, path: &FieldPath) {
    let mut seen = HashSet::default();
    for (i, policy) in container.array_at(&["resizePolicy"]).iter().enumerate() {
        let name = policy.str_at(&["resourceName"]);
        if !seen.insert(name) {
            errors.duplicate(&path.index(i), name);
        }
        one_of(errors, name, &["cpu", "memory"], path);
        let restart = policy.str_at(&["restartPolicy"]);
        one_of(errors, restart, &["NotRequired", "RestartContainer"], path);
        if spec.str_at(&["restartPolicy"]) == "Never" && restart != "NotRequired" {
            let detail = "must be 'NotRequired' when pod `restartPolicy` is 'Never'";
            errors.invalid(path, restart, detail);
        }
    }
}

/// Resources of the pod as a whole: `validatePodResources`.
pub(super) fn pod_resources(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let Some(resources) = present(spec, &["resources"]) else { return };
    if spec.str_at(&["os", "name"]) == "windows" {
        errors.forbidden(path, "may not be set for a windows pod");
        return;
    }
    if has(resources, &["claims"]) {
        errors.forbidden(&path.child("claims"), "claims may not be set for Resources at pod-level");
    }
    requirements(errors, resources, path, |errors, name, path| {
        let before = errors.len();
        resource_name(errors, name, path);
        if errors.len() == before && !matches!(name, "cpu" | "memory") && !is_huge_page(name) {
            errors.not_supported(path, name, &["cpu", "hugepages-", "memory"]);
        }
    });
    claim_names(errors, resources.array_at(&["claims"]), &BTreeSet::new(), &path.child("claims"));
    consistency(errors, spec, resources, path);
}

/// `validatePodResourceConsistency`: containers together ask for no more than their pod.
fn consistency(errors: &mut FieldErrors, spec: &Value, resources: &Value, path: &FieldPath) {
    let amount = |list: &str, name: &str| present(resources, &[list, name]).map(|v| Quantity::of(Some(v)));
    for (list, all) in [("requests", true), ("limits", false)] {
        for (name, total) in aggregate(spec, list) {
            if !all && !is_huge_page(&name) {
                continue;
            }
            // Limits are shown below requests, as upstream has it.
            let at = if all { path.child("requests") } else { path.child("requests").child("limits") };
            if let Some(of_pod) = amount(list, &name)
                && total > of_pod
            {
                let detail =
                    format!("must be greater than or equal to aggregate container {list} of {total}");
                errors.invalid(&at.key(&name), of_pod.to_string(), detail);
            }
        }
    }
    for (i, container) in spec.array_at(&["containers"]).iter().enumerate() {
        for (name, limit) in container.object_at(&["resources", "limits"]).iter() {
            let limit = Quantity::of(Some(limit));
            if let Some(of_pod) = amount("limits", name)
                && limit > of_pod
            {
                let at = path.child("containers").index(i).key(name).child("limits");
                let detail = format!("must be less than or equal to pod limits of {of_pod}");
                errors.invalid(&at, limit.to_string(), detail);
            }
        }
    }
}

/// What containers ask for together: those that run at once are added, init containers set a minimum.
pub(crate) fn aggregate(spec: &Value, list: &str) -> BTreeMap<String, Quantity> {
    let of = |container: &Value| container.object_at(&["resources", list]).clone();
    let add = |sum: &mut BTreeMap<String, Quantity>, amounts: &Map| {
        for (name, amount) in amounts.iter() {
            let entry = sum.entry(name.to_string()).or_insert(Quantity::ZERO);
            *entry += &Quantity::of(Some(amount));
        }
    };
    let (mut total, mut sidecars, mut most) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for container in spec.array_at(&["containers"]) {
        add(&mut total, &of(container));
    }
    for container in spec.array_at(&["initContainers"]) {
        let mut now = sidecars.clone();
        add(&mut now, &of(container));
        if container.str_at(&["restartPolicy"]) == "Always" {
            add(&mut total, &of(container));
            sidecars = now.clone();
        }
        raise(&mut most, now);
    }
    raise(&mut total, most);
    total
}

fn raise(most: &mut BTreeMap<String, Quantity>, now: BTreeMap<String, Quantity>) {
    for (name, amount) in now {
        let entry = most.entry(name).or_insert(Quantity::ZERO);
        if amount > *entry {
            *entry = amount;
        }
    }
}

/// Amounts that are checked as if they were a container's limits: what a runtime class adds to pods.
pub(crate) fn limits(errors: &mut FieldErrors, holder: &Value, at: &[&str], path: &FieldPath) {
    if has(holder, at) {
        let mut resources = Value::object();
        resources.set(&["limits"], holder.object_at(at).clone());
        requirements(errors, &resources, path, container_resource_name);
    }
}

/// `resourceClaims`: names, and one source each.
pub(super) fn claims(errors: &mut FieldErrors, spec: &Value, within: Within<'_>, path: &FieldPath) {
    let mirror = within.pod().is_some_and(|pod| pod.annotation(super::MIRROR).is_some());
    let mut seen = HashSet::default();
    for (i, claim) in spec.array_at(&["resourceClaims"]).iter().enumerate() {
        if mirror {
            errors.forbidden(&FieldPath::new("[]"), "static pods do not support resource claims");
            continue;
        }
        let path = path.index(i);
        let name = claim.str_at(&["name"]);
        if name.is_empty() {
            errors.required(&path.child("name"), "");
        } else if !seen.insert(name) {
            errors.duplicate(&path.child("name"), name);
        } else {
            dns_label(errors, name, &path.child("name"));
        }
        let given = ["resourceClaimName", "resourceClaimTemplateName"].map(|field| has(claim, &[field]));
        let detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
        match given {
            [true, true] => errors.invalid(
                &path,
                go_form::of("PodResourceClaim", claim),
                "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified",
            ),
            [false, false] => errors.invalid(&path, go_form::of("PodResourceClaim", claim), detail),
            _ => {}
        }
        for field in ["resourceClaimName", "resourceClaimTemplateName"] {
            if let Some(name) = present(claim, &[field]).and_then(Value::as_str) {
                dns_subdomain(errors, name, &path.child(field));
            }
        }
    }
}
