//! A container's environment.

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::check::dns_subdomain;
use crate::shape::{has, present};

const VALUE_SOURCES: [&str; 5] =
    ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];

const FIELD_PATHS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

pub(super) fn env(errors: &mut FieldErrors, container: &Value, path: &FieldPath) {
    let env_path = path.child("env");
    for (i, variable) in container.array_at(&["env"]).iter().enumerate() {
        let path = env_path.index(i);
        let name = variable.str_at(&["name"]);
        if name.is_empty() {
            errors.required(&path.child("name"), "");
        } else {
            names::invalid_each(errors, &path.child("name"), name, names::is_relaxed_env_var_name(name));
        }
        if has(variable, &["valueFrom"]) {
            value_from(errors, variable, &path.child("valueFrom"));
        }
    }
    let from_path = path.child("envFrom");
    for (i, source) in container.array_at(&["envFrom"]).iter().enumerate() {
        env_from(errors, source, &from_path, &from_path.index(i));
    }
}

fn value_from(errors: &mut FieldErrors, variable: &Value, path: &FieldPath) {
    let Some(source) = present(variable, &["valueFrom"]) else { return };
    let mut found = 0;
    for name in VALUE_SOURCES {
        let Some(reference) = present(source, &[name]) else { continue };
        found += 1;
        let path = path.child(name);
        match name {
            "fieldRef" => field_ref(errors, reference, &FIELD_PATHS, &path),
            "resourceFieldRef" => resource_field_ref(errors, reference, &RESOURCES, false, &path),
            "fileKeyRef" => file_key_ref(errors, reference, &path),
            _ => key_ref(errors, reference, &path),
        }
    }
    if found == 0 {
        errors.invalid(
            path,
            "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        );
    } else if !variable.str_at(&["value"]).is_empty() {
        errors.invalid(path, "", "may not be specified when `value` is not empty");
    } else if found > 1 {
        errors.invalid(path, "", "may not have more than one field specified at a time");
    }
}

/// The name and subscript of `metadata.annotations['key']`.
fn subscript(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once("['")?;
    Some((name, rest.strip_suffix("']")?))
}

/// `validateObjectFieldSelector`, with what is supported in this place.
pub(super) fn field_ref(errors: &mut FieldErrors, reference: &Value, supported: &[&str], path: &FieldPath) {
    let field = reference.str_at(&["fieldPath"]);
    if reference.str_at(&["apiVersion"]).is_empty() {
        errors.required(&path.child("apiVersion"), "");
        return;
    }
    if field.is_empty() {
        errors.required(&path.child("fieldPath"), "");
        return;
    }
    let path = path.child("fieldPath");
    if let Some((name, key)) = subscript(field) {
        match name {
            "metadata.annotations" => {
                names::invalid_each(errors, &path, field, names::is_qualified_name(&key.to_lowercase()));
            }
            "metadata.labels" => names::invalid_each(errors, &path, field, names::is_qualified_name(key)),
            _ => errors.invalid(&path, name, "does not support subscript"),
        }
        return;
    }
    if !is_convertible(field) {
        let detail = format!("error converting fieldPath: field label not supported: {field}");
        errors.invalid(&path, field, detail);
    } else if !supported.contains(&field) {
        errors.not_supported(&path, field, supported);
    }
}

/// Field labels that pods know: those of their field selectors too.
fn is_convertible(field: &str) -> bool {
    FIELD_PATHS.contains(&field)
        || matches!(
            field,
            "metadata.annotations"
                | "metadata.labels"
                | "spec.restartPolicy"
                | "spec.schedulerName"
                | "spec.hostNetwork"
                | "status.phase"
                | "status.nominatedNodeName"
                | "spec.host"
        )
}

/// `validateContainerResourceFieldSelector`. In volumes it must name a container.
pub(super) fn resource_field_ref(
    errors: &mut FieldErrors,
    reference: &Value,
    supported: &[&str],
    needs_container: bool,
    path: &FieldPath,
) {
    let resource = reference.str_at(&["resource"]);
    if needs_container && reference.str_at(&["containerName"]).is_empty() {
        errors.required(&path.child("containerName"), "");
    } else if resource.is_empty() {
        errors.required(&path.child("resource"), "");
    } else if !supported.contains(&resource)
        && !resource.starts_with("limits.hugepages-")
        && !resource.starts_with("requests.hugepages-")
    {
        errors.not_supported(&path.child("resource"), resource, supported);
    }
    divisor(errors, reference, path);
}

fn divisor(errors: &mut FieldErrors, reference: &Value, path: &FieldPath) {
    let divisor = reference.str_at(&["divisor"]);
    let resource = reference.str_at(&["resource"]);
    let (allowed, what): (&[&str], &str) = match resource.split_once('.').map(|(_, name)| name) {
        Some("cpu") => (&["1m", "1"], "only divisor's values 1m and 1 are supported with the cpu resource"),
        Some(name) if name == "memory" || name == "ephemeral-storage" || name.starts_with("hugepages-") => (
            &["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"],
            "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the memory resource",
        ),
        _ => return,
    };
    if !divisor.is_empty() && divisor != "0" && !allowed.contains(&divisor) {
        errors.invalid(&path.child("divisor"), resource, what);
    }
}

/// The resources that a volume may show.
pub(super) const VOLUME_RESOURCES: &[&str] = &RESOURCES;

fn key_ref(errors: &mut FieldErrors, reference: &Value, path: &FieldPath) {
    let key = reference.str_at(&["key"]);
    if key.is_empty() {
        errors.required(&path.child("key"), "");
    } else {
        names::invalid_each(errors, &path.child("key"), key, names::is_config_map_key(key));
    }
}

fn file_key_ref(errors: &mut FieldErrors, reference: &Value, path: &FieldPath) {
    for field in ["key", "volumeName", "path"] {
        if reference.str_at(&[field]).is_empty() {
            errors.required(&path.child(field), "");
        }
    }
}

fn env_from(errors: &mut FieldErrors, source: &Value, list: &FieldPath, path: &FieldPath) {
    let prefix = source.str_at(&["prefix"]);
    if !prefix.is_empty() {
        names::invalid_each(errors, &path.child("prefix"), prefix, names::is_relaxed_env_var_name(prefix));
    }
    let mut found = 0;
    for name in ["configMapRef", "secretRef"] {
        let Some(reference) = present(source, &[name]) else { continue };
        found += 1;
        let referred = reference.str_at(&["name"]);
        let path = path.child(name).child("name");
        if referred.is_empty() {
            errors.required(&path, "");
        } else {
            dns_subdomain(errors, referred, &path);
        }
    }
    if found == 0 {
        errors.invalid(list, "", "must specify one of: `configMapRef` or `secretRef`");
    } else if found > 1 {
        errors.invalid(list, "", "may not have more than one field specified at a time");
    }
}
