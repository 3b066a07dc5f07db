//! Amounts of resources, and which resource names mean what.

use drydock_machinery::quantity::Quantity;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use super::NOT_NEGATIVE;

/// `ValidateNonnegativeQuantity`.
pub(crate) fn non_negative_quantity(errors: &mut FieldErrors, value: &Value, path: &FieldPath) {
    if Quantity::of(Some(value)).is_negative() {
        errors.invalid(path, value.clone(), NOT_NEGATIVE);
    }
}

/// `ValidateResourceQuantityValue`: not negative, and whole where the resource is counted.
pub(crate) fn resource_quantity_value(errors: &mut FieldErrors, name: &str, value: &Value, path: &FieldPath) {
    non_negative_quantity(errors, value, path);
    if is_integer_resource(name) && Quantity::of(Some(value)).milli_value() % 1000 != 0 {
        errors.invalid(path, value.clone(), "must be an integer");
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
    !is_native_resource(name) && !name.starts_with("requests.")
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
