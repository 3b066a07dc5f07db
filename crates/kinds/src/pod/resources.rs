//! Requests and limits of containers and pods.

use std::collections::HashSet;

use drydock_machinery::quantity::Quantity;
use drydock_machinery::{FieldErrors, FieldPath, Map, Value};

use crate::check::{
    dns_label, is_extended_resource, is_fully_qualified, is_huge_page, is_native_resource,
    is_standard_container_resource, resource_quantity_value,
};
use crate::core::resource_name;
use crate::shape::{has, present};

/// `ValidateResourceRequirements`, for a container.
pub(super) fn container_resources(
    errors: &mut FieldErrors,
    container: &Value,
    claims: &HashSet<&str>,
    path: &FieldPath,
) {
    resize_policy(errors, container, &path.child("resizePolicy"));
    let Some(resources) = present(container, &["resources"]) else { return };
    let path = path.child("resources");
    requirements(errors, resources, &path, container_resource_name);
    for (i, claim) in resources.array_at(&["claims"]).iter().enumerate() {
        let name = claim.str_at(&["name"]);
        let path = path.child("claims").index(i);
        if name.is_empty() {
            errors.required(&path.child("name"), "");
        } else if !claims.contains(name) {
            errors.not_found(&path.child("name"), name);
        }
    }
}

/// `ValidateContainerResourceRequirements` of what has no claims.
pub(crate) fn container_requirements(errors: &mut FieldErrors, resources: &Value, path: &FieldPath) {
    requirements(errors, resources, path, container_resource_name);
}

fn requirements(
    errors: &mut FieldErrors,
    resources: &Value,
    path: &FieldPath,
    check_name: impl Fn(&mut FieldErrors, &str, &FieldPath),
) {
    let limits = resources.object_at(&["limits"]);
    let requests = resources.object_at(&["requests"]);
    let (mut cpu_or_memory, mut huge_pages) = (false, false);
    let mut note = |name: &str| {
        cpu_or_memory |= matches!(name, "cpu" | "memory");
        huge_pages |= is_huge_page(name);
    };
    for (name, amount) in limits.iter() {
        let at = path.child("limits").key(name);
        check_name(errors, name, &at);
        resource_quantity_value(errors, name, amount, &at);
        note(name);
        huge_page_amount(errors, name, amount, &at);
    }
    for (name, amount) in requests.iter() {
        let at = path.child("requests").key(name);
        check_name(errors, name, &at);
        resource_quantity_value(errors, name, amount, &at);
        huge_page_amount(errors, name, amount, &at);
        note(name);
        request_within_limit(errors, name, amount, limits, path);
    }
    if !cpu_or_memory && huge_pages {
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
    let (size, total) = (Quantity::parse(size), Quantity::of(Some(amount)).value());
    match size {
        Ok(size) if size.value() > 0 && total % size.value() != 0 => {
            errors.invalid(path, total, format!("must be a positive integer multiple of {size}"));
        }
        Ok(_) => {}
        Err(_) => errors.invalid(path, name, "invalid page size"),
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

fn resize_policy(errors: &mut FieldErrors, container: &Value, path: &FieldPath) {
    let mut seen = HashSet::new();
    for policy in container.array_at(&["resizePolicy"]) {
        let name = policy.str_at(&["resourceName"]);
        if !seen.insert(name) {
            errors.duplicate(path, name);
        }
        match name {
            "cpu" | "memory" => {}
            "" => errors.required(path, ""),
            other => errors.not_supported(path, other, &["cpu", "memory"]),
        }
        match policy.str_at(&["restartPolicy"]) {
            "NotRequired" | "RestartContainer" => {}
            "" => errors.required(path, ""),
            other => errors.not_supported(path, other, &["NotRequired", "RestartContainer"]),
        }
    }
}

/// Resources of the pod as a whole.
pub(super) fn pod_resources(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let Some(resources) = present(spec, &["resources"]) else { return };
    if !resources.array_at(&["claims"]).is_empty() {
        errors.forbidden(&path.child("claims"), "claims may not be set for Resources at pod-level");
    }
    requirements(errors, resources, path, |errors, name, path| {
        if !matches!(name, "cpu" | "memory") && !is_huge_page(name) {
            errors.not_supported(path, name, &["cpu", "hugepages-", "memory"]);
        }
    });
}

/// `overhead` of a runtime class.
pub(super) fn overhead(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    for (name, amount) in spec.object_at(&["overhead"]).iter() {
        let at = path.child("limits").key(name);
        container_resource_name(errors, name, &at);
        resource_quantity_value(errors, name, amount, &at);
    }
}

/// `resourceClaims`: names, and one source each.
pub(super) fn claims(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let mut seen = HashSet::new();
    for (i, claim) in spec.array_at(&["resourceClaims"]).iter().enumerate() {
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
                claim.clone(),
                "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified",
            ),
            [false, false] => errors.invalid(&path, claim.clone(), detail),
            _ => {}
        }
    }
}
