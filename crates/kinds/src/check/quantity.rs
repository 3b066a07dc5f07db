//! Amounts of resources, and which resource names mean what.

use drydock_machinery::names_validation as names;
use drydock_machinery::quantity::Quantity;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use super::{NOT_NEGATIVE, POSITIVE, qualified_name};

/// `ValidateNonnegativeQuantity`.
pub(crate) fn non_negative_quantity(errors: &mut FieldErrors, value: &Value, path: &FieldPath) {
    let quantity = Quantity::of(Some(value));
    if quantity.is_negative() {
        errors.invalid(path, quantity.to_string(), NOT_NEGATIVE);
    }
}

/// `ValidateResourceQuantityValue`: not negative, and whole where the resource is counted.
pub(crate) fn resource_quantity_value(errors: &mut FieldErrors, name: &str, value: &Value, path: &FieldPath) {
    non_negative_quantity(errors, value, path);
    if is_integer_resource(name) && Quantity::of(Some(value)).milli_value() % 1000 != 0 {
        errors.invalid(path, value.clone(), "must be an integer");
    }
}

/// `ValidatePositiveQuantityValue`.
pub(crate) fn positive_quantity(errors: &mut FieldErrors, amount: &Value, path: &FieldPath) {
    let quantity = Quantity::of(Some(amount));
    if quantity.is_negative() || quantity.is_zero() {
        errors.invalid(path, quantity.to_string(), POSITIVE);
    }
}

/// `validateBasicResource`: not negative, rounded up.
pub(crate) fn non_negative_whole(errors: &mut FieldErrors, amount: &Value, path: &FieldPath) {
    let value = Quantity::of(Some(amount)).value();
    if value < 0 {
        errors.invalid(path, value, "must be a valid resource quantity");
    }
}

pub(crate) fn is_fully_qualified(name: &str) -> bool {
    name.contains('/')
}

pub(crate) fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// Without a domain, or in kubernetes.io.
pub(crate) fn is_native_resource(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

pub(crate) fn is_extended_resource(name: &str) -> bool {
    !is_native_resource(name)
        && !name.starts_with("requests.")
        && names::is_qualified_name(&format!("requests.{name}")).is_empty()
}

/// `validateResourceName`: a standard resource, or one with a domain.
pub(crate) fn resource_name(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    let before = errors.len();
    qualified_name(errors, name, path);
    if errors.len() == before && !is_fully_qualified(name) && !is_standard_resource(name) {
        errors.invalid(path, name, "must be a standard resource type or fully qualified");
    }
}

/// Resources that a quota counts: all standard ones but plain storage.
pub(crate) fn is_standard_quota_resource(name: &str) -> bool {
    name != "storage" && is_standard_resource(name)
}

fn is_standard_resource(name: &str) -> bool {
    matches!(
        name,
        "cpu"
            | "memory"
            | "ephemeral-storage"
            | "requests.cpu"
            | "requests.memory"
            | "requests.ephemeral-storage"
            | "limits.cpu"
            | "limits.memory"
            | "limits.ephemeral-storage"
            | "pods"
            | "resourcequotas"
            | "services"
            | "replicationcontrollers"
            | "secrets"
            | "configmaps"
            | "persistentvolumeclaims"
            | "storage"
            | "requests.storage"
            | "services.nodeports"
            | "services.loadbalancers"
    ) || is_huge_page(name)
        || name.starts_with("requests.hugepages-")
}

pub(crate) fn is_standard_container_resource(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage") || is_huge_page(name)
}

/// Resources that are counted in whole numbers.
pub(crate) fn is_integer_resource(name: &str) -> bool {
    const COUNTED: &[&str] = &[
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    ];
    COUNTED.contains(&name) || is_extended_resource(name)
}
