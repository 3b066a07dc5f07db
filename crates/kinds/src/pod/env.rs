//! A container's environment.

use drydock_machinery::names_validation as names;
use drydock_machinery::quantity::Quantity;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use super::containers::each_container;
use super::volumes::no_backsteps;
use crate::check::{data_key, dns_label, dns_subdomain, qualified_name};
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
    text.strip_suffix("']")?.split_once("['").filter(|(name, _)| !name.is_empty())
}

/// `validateObjectFieldSelector`, with what is supported in this place.
pub(super) fn field_ref(errors: &mut FieldErrors, reference: &Value, supported: &[&str], path: &FieldPath) {
    let (version, field) = (reference.str_at(&["apiVersion"]), reference.str_at(&["fieldPath"]));
    for (name, text) in [("apiVersion", version), ("fieldPath", field)] {
        if text.is_empty() {
            errors.required(&path.child(name), "");
            return;
        }
    }
    if let Err(why) = convert_field(version, field) {
        errors.invalid(&path.child("fieldPath"), field, format!("error converting fieldPath: {why}"));
        return;
    }
    // spec.host is what spec.nodeName was called.
    let field = if field == "spec.host" { "spec.nodeName" } else { field };
    match subscript(field) {
        Some(("metadata.annotations", key)) => qualified_name(errors, &key.to_lowercase(), path),
        Some((_, key)) => qualified_name(errors, key, path),
        None if !supported.contains(&field) => {
            errors.not_supported(&path.child("fieldPath"), field, supported);
        }
        None => {}
    }
}

/// `ConvertDownwardAPIFieldLabel`.
fn convert_field(version: &str, field: &str) -> Result<(), String> {
    if version != "v1" {
        return Err(format!("unsupported pod version: {version}"));
    }
    match subscript(field) {
        Some(("metadata.annotations" | "metadata.labels", _)) => return Ok(()),
        Some(_) => return Err(format!("field label does not support subscript: {field}")),
        None => {}
    }
    let known = FIELD_PATHS.contains(&field)
        || matches!(
            field,
            "metadata.annotations"
                | "metadata.labels"
                | "spec.restartPolicy"
                | "spec.schedulerName"
                | "status.phase"
                | "spec.host"
        );
    if known { Ok(()) } else { Err(format!("field label not supported: {field}")) }
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
    const BYTES: [&str; 13] =
        ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
    let divisor = Quantity::of(reference.get("divisor"));
    let resource = reference.str_at(&["resource"]);
    let name = ["limits.", "requests."].iter().find_map(|list| resource.strip_prefix(list));
    if divisor.is_zero() {
        return;
    }
    let (allowed, what): (&[&str], &str) = match name {
        Some("cpu") => (&["1m", "1"], "cpu resource"),
        Some("memory") => (&BYTES, "memory resource"),
        Some("ephemeral-storage") => (&BYTES, "local ephemeral storage resource"),
        Some(name) if name.starts_with("hugepages-") => (&BYTES, "hugepages resource"),
        _ => return,
    };
    if !allowed.contains(&divisor.to_string().as_str()) {
        let values = if name == Some("cpu") { "1m and 1".to_owned() } else { allowed.join(", ") };
        let detail = format!("only divisor's values {values} are supported with the {what}");
        errors.invalid(&path.child("divisor"), resource, detail);
    }
}

/// The resources that a volume may show.
pub(super) const VOLUME_RESOURCES: &[&str] = &RESOURCES;

fn key_ref(errors: &mut FieldErrors, reference: &Value, path: &FieldPath) {
    dns_subdomain(errors, reference.str_at(&["name"]), &path.child("name"));
    let key = reference.str_at(&["key"]);
    if key.is_empty() {
        errors.required(&path.child("key"), "");
    } else {
        data_key(errors, key, &path.child("key"));
    }
}

fn file_key_ref(errors: &mut FieldErrors, reference: &Value, path: &FieldPath) {
    let text = |field: &str| reference.str_at(&[field]);
    match text("key") {
        "" => errors.required(&path.child("key"), ""),
        key => names::invalid_each(errors, &path.child("key"), key, names::is_relaxed_env_var_name(key)),
    }
    match text("volumeName") {
        "" => errors.required(&path.child("volumeName"), ""),
        volume => dns_label(errors, volume, &path.child("volumeName")),
    }
    match text("path") {
        "" => errors.required(&path.child("path"), ""),
        file => no_backsteps(errors, file, &path.child("path")),
    }
}

/// `validateFileKeyRefVolumes`: a file of variables is in an emptyDir of the pod.
pub(super) fn file_key_volumes(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let volumes = spec.array_at(&["volumes"]);
    each_container(spec, path, |container, path| {
        for (i, variable) in container.array_at(&["env"]).iter().enumerate() {
            let Some(reference) = present(variable, &["valueFrom", "fileKeyRef"]) else { continue };
            let name = reference.str_at(&["volumeName"]);
            let path = path.child("env").index(i).child("valueFrom").child("fileKeyRef").child("volumeName");
            match volumes.iter().rfind(|volume| volume.str_at(&["name"]) == name) {
                None => errors.not_found(&path, name),
                Some(volume) if !has(volume, &["emptyDir"]) => {
                    errors.invalid(&path, name, "referenced volume must be of type emptyDir");
                }
                Some(_) => {}
            }
        }
    });
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
            let wrong = names::name_is_dns_subdomain(referred, names::NamePart::Prefix);
            names::invalid_each(errors, &path, referred, wrong);
        }
    }
    if found == 0 {
        errors.invalid(list, "", "must specify one of: `configMapRef` or `secretRef`");
    } else if found > 1 {
        errors.invalid(list, "", "may not have more than one field specified at a time");
    }
}
