//! Mounts of volumes in containers.

use std::collections::HashSet;

use drydock_machinery::{FieldErrors, FieldPath, Value};

use super::volumes::{Volumes, no_backsteps, relative};
use crate::shape::has;

/// Mounts of volumes and devices in a container.
pub(super) fn mounts(errors: &mut FieldErrors, container: &Value, volumes: &Volumes<'_>, path: &FieldPath) {
    let mut points = HashSet::new();
    let at = path.child("volumeMounts");
    for (i, mount) in container.array_at(&["volumeMounts"]).iter().enumerate() {
        let path = at.index(i);
        let name = mount.str_at(&["name"]);
        if name.is_empty() {
            errors.required(&path.child("name"), "");
        }
        if !volumes.contains_key(name) {
            errors.not_found(&path.child("name"), name);
        }
        let point = mount.str_at(&["mountPath"]);
        if point.is_empty() {
            errors.required(&path.child("mountPath"), "");
        }
        if !points.insert(point) {
            errors.invalid(&path.child("mountPath"), point, "must be unique");
        }
        sub_path(errors, mount, &path);
        propagation(errors, mount, container, &path);
        recursive_read_only(errors, mount, &path);
    }
    devices(errors, container, volumes, &points, &path.child("volumeDevices"));
}

fn sub_path(errors: &mut FieldErrors, mount: &Value, path: &FieldPath) {
    let (sub, expression) = (mount.str_at(&["subPath"]), mount.str_at(&["subPathExpr"]));
    if !sub.is_empty() {
        relative(errors, sub, &path.child("subPath"));
    }
    if !expression.is_empty() {
        if !sub.is_empty() {
            let detail = "subPathExpr and subPath are mutually exclusive";
            errors.invalid(&path.child("subPathExpr"), expression, detail);
        }
        relative(errors, expression, &path.child("subPathExpr"));
    }
}

fn propagation(errors: &mut FieldErrors, mount: &Value, container: &Value, path: &FieldPath) {
    let path = path.child("mountPropagation");
    match mount.str_at(&["mountPropagation"]) {
        "" | "HostToContainer" | "None" => {}
        "Bidirectional" => {
            if !container.bool_at(&["securityContext", "privileged"]) {
                errors.forbidden(
                    &path,
                    "Bidirectional mount propagation is available only to privileged containers",
                );
            }
        }
        other => errors.not_supported(&path, other, &["Bidirectional", "HostToContainer", "None"]),
    }
}

fn recursive_read_only(errors: &mut FieldErrors, mount: &Value, path: &FieldPath) {
    let path = path.child("recursiveReadOnly");
    match mount.str_at(&["recursiveReadOnly"]) {
        "" | "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if !mount.bool_at(&["readOnly"]) {
                errors.forbidden(&path, "may only be specified when readOnly is true");
            }
        }
        other => errors.not_supported(&path, other, &["Disabled", "Enabled", "IfPossible"]),
    }
}

fn devices(
    errors: &mut FieldErrors,
    container: &Value,
    volumes: &Volumes<'_>,
    mounted: &HashSet<&str>,
    path: &FieldPath,
) {
    let mut paths = HashSet::new();
    for (i, device) in container.array_at(&["volumeDevices"]).iter().enumerate() {
        let path = path.index(i);
        let name = device.str_at(&["name"]);
        if name.is_empty() {
            errors.required(&path.child("name"), "");
        }
        match volumes.get(name) {
            None => errors.not_found(&path.child("name"), name),
            Some(volume) if !has(volume, &["persistentVolumeClaim"]) && !has(volume, &["ephemeral"]) => {
                let detail =
                    "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.invalid(&path.child("name"), name, detail);
            }
            Some(_) => {}
        }
        let at = device.str_at(&["devicePath"]);
        if at.is_empty() {
            errors.required(&path.child("devicePath"), "");
        }
        if !paths.insert(at) {
            errors.invalid(&path.child("devicePath"), at, "must be unique");
        }
        if mounted.contains(at) {
            errors.invalid(&path.child("devicePath"), at, "must not already exist as a path in volumeMounts");
        }
        no_backsteps(errors, at, &path.child("devicePath"));
    }
}
