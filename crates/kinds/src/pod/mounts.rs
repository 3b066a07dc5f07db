//! Mounts of volumes in containers.

use drydock_machinery::{FieldErrors, FieldPath, Value};
use foldhash::{HashMap, HashSet};

use super::volumes::{Volumes, relative, steps_back};
use crate::check::one_of_given;
use crate::shape::has;

/// Where each volume is mounted, or stands as a device: the last one of a name holds.
type Places<'a> = HashMap<&'a str, &'a str>;

fn places<'a>(container: &'a Value, list: &str, field: &str) -> Places<'a> {
    container
        .array_at(&[list])
        .iter()
        .map(|entry| (entry.str_at(&["name"]), entry.str_at(&[field])))
        .collect()
}

/// Mounts of volumes and devices in a container.
pub(super) fn mounts(errors: &mut FieldErrors, container: &Value, volumes: &Volumes<'_>, path: &FieldPath) {
    let mounted = places(container, "volumeMounts", "mountPath");
    let attached = places(container, "volumeDevices", "devicePath");
    let mut points = HashSet::default();
    let list = path.child("volumeMounts");
    for (i, mount) in container.array_at(&["volumeMounts"]).iter().enumerate() {
        let path = list.index(i);
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
        if attached.contains_key(name) {
            errors.invalid(&path.child("name"), name, "must not already exist in volumeDevices");
        }
        if attached.values().any(|at| *at == point) {
            let detail = "must not already exist as a path in volumeDevices";
            errors.invalid(&path.child("mountPath"), point, detail);
        }
        sub_path(errors, mount, &list, &path);
        propagation(errors, mount, container, &list.child("mountPropagation"));
        recursive_read_only(errors, mount, &list.child("recursiveReadOnly"));
    }
    devices(errors, container, volumes, &mounted, &path.child("volumeDevices"));
}

/// What is wrong with a path is said of the whole list, as upstream does.
fn sub_path(errors: &mut FieldErrors, mount: &Value, list: &FieldPath, path: &FieldPath) {
    let (sub, expression) = (mount.str_at(&["subPath"]), mount.str_at(&["subPathExpr"]));
    if !sub.is_empty() {
        relative(errors, sub, &list.child("subPath"));
    }
    if !expression.is_empty() {
        if !sub.is_empty() {
            let detail = "subPathExpr and subPath are mutually exclusive";
            errors.invalid(&path.child("subPathExpr"), expression, detail);
        }
        relative(errors, expression, &list.child("subPathExpr"));
    }
}

fn propagation(errors: &mut FieldErrors, mount: &Value, container: &Value, path: &FieldPath) {
    if !has(mount, &["mountPropagation"]) {
        return;
    }
    let mode = mount.str_at(&["mountPropagation"]);
    one_of_given(errors, mode, &["Bidirectional", "HostToContainer", "None"], path);
    if mode == "Bidirectional" && !container.bool_at(&["securityContext", "privileged"]) {
        errors.forbidden(path, "Bidirectional mount propagation is available only to privileged containers");
    }
}

fn recursive_read_only(errors: &mut FieldErrors, mount: &Value, path: &FieldPath) {
    if !has(mount, &["recursiveReadOnly"]) {
        return;
    }
    match mount.str_at(&["recursiveReadOnly"]) {
        "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if !mount.bool_at(&["readOnly"]) {
                errors.forbidden(path, "may only be specified when readOnly is true");
            }
            if !["", "None"].contains(&mount.str_at(&["mountPropagation"])) {
                errors
                    .forbidden(path, "may only be specified when mountPropagation is None or not specified");
            }
        }
        other => errors.not_supported(path, other, &["Disabled", "Enabled", "IfPossible"]),
    }
}

fn devices(
    errors: &mut FieldErrors,
    container: &Value,
    volumes: &Volumes<'_>,
    mounted: &Places<'_>,
    path: &FieldPath,
) {
    let (mut paths, mut names) = (HashSet::default(), HashSet::default());
    for (i, device) in container.array_at(&["volumeDevices"]).iter().enumerate() {
        let (name_path, at_path) = (path.index(i).child("name"), path.index(i).child("devicePath"));
        let (name, at) = (device.str_at(&["name"]), device.str_at(&["devicePath"]));
        if name.is_empty() {
            errors.required(&name_path, "");
        }
        if names.contains(name) {
            errors.invalid(&name_path, name, "must be unique");
        }
        match volumes.get(name) {
            None => errors.not_found(&name_path, name),
            Some(volume) if !has(volume, &["persistentVolumeClaim"]) && !has(volume, &["ephemeral"]) => {
                let detail =
                    "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.invalid(&name_path, name, detail);
            }
            Some(_) => {}
        }
        if at.is_empty() {
            errors.required(&at_path, "");
        }
        if paths.contains(at) {
            errors.invalid(&at_path, at, "must be unique");
        }
        if steps_back(at) {
            errors.invalid(&at_path, at, "can not contain backsteps ('..')");
        } else {
            paths.insert(at);
        }
        if mounted.contains_key(name) {
            errors.invalid(&name_path, name, "must not already exist in volumeMounts");
        }
        if mounted.values().any(|point| *point == at) {
            errors.invalid(&at_path, at, "must not already exist as a path in volumeMounts");
        }
        if !name.is_empty() {
            names.insert(name);
        }
    }
}
