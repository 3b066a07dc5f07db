//! Volumes of a pod, and the sources that persistent volumes have too.

use std::collections::{HashMap, HashSet};

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use super::env::{VOLUME_RESOURCES, field_ref, resource_field_ref};
use crate::check::dns_label;
use crate::shape::{has, is_nil, present, shown};

const DOWNWARD_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// Names of well formed volumes, with their sources, for mounts to refer to.
pub(super) type Volumes<'a> = HashMap<&'a str, &'a Value>;

pub(super) fn volumes<'a>(errors: &mut FieldErrors, spec: &'a Value, path: &FieldPath) -> Volumes<'a> {
    let mut known = Volumes::new();
    for (i, volume) in spec.array_at(&["volumes"]).iter().enumerate() {
        let path = path.index(i);
        let before = errors.len();
        validate_source(errors, volume, &path);
        let name = volume.str_at(&["name"]);
        if name.is_empty() {
            errors.required(&path.child("name"), "");
        } else {
            dns_label(errors, name, &path.child("name"));
            if known.contains_key(name) {
                errors.duplicate(&path.child("name"), name);
            }
        }
        if errors.len() == before {
            known.insert(name, volume);
        }
    }
    known
}

fn validate_source(errors: &mut FieldErrors, volume: &Value, path: &FieldPath) {
    let mut sources = ORDER.iter().filter(|name| has(volume, &[name]));
    let Some(first) = sources.next() else {
        errors.required(path, "must specify a volume type");
        return;
    };
    source(errors, first, &shown(volume, &[first]), &path.child(first));
    for other in sources {
        errors.forbidden(&path.child(other), "may not specify more than 1 volume type");
    }
}

/// Volume types, in the order in which upstream looks for them.
const ORDER: [&str; 30] = [
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
    "local",
];

/// One source of a volume, of a pod or a persistent volume.
pub(crate) fn source(errors: &mut FieldErrors, name: &str, source: &Value, path: &FieldPath) {
    match name {
        "hostPath" => host_path(errors, source, path),
        "emptyDir" => empty_dir(errors, source, path),
        "secret" => {
            required(errors, source, &["secretName"], path);
            mode(errors, source, path);
            key_to_paths(errors, source, path);
        }
        "configMap" => {
            required(errors, source, &["name"], path);
            mode(errors, source, path);
            key_to_paths(errors, source, path);
        }
        "nfs" => {
            required(errors, source, &["server", "path"], path);
            absolute(errors, source.str_at(&["path"]), "must be an absolute path", &path.child("path"));
        }
        "persistentVolumeClaim" => {
            required(errors, source, &["claimName"], path);
        }
        "downwardAPI" => {
            mode(errors, source, path);
            downward_files(errors, source, path);
        }
        "projected" => projected(errors, source, path),
        "csi" => csi(errors, source, path),
        "ephemeral" => ephemeral(errors, source, path),
        "iscsi" => {
            required(errors, source, &["targetPortal", "iqn"], path);
            let lun = source.i64_at(&["lun"]).unwrap_or(0);
            crate::check::in_range(errors, lun, 0, 255, &path.child("lun"));
        }
        _ => {
            for field in REQUIRED.iter().filter(|(kind, _)| *kind == name).flat_map(|(_, fields)| *fields) {
                required(errors, source, &[field], path);
            }
        }
    }
}

/// Fields of rarer sources that must be there.
const REQUIRED: [(&str, &[&str]); 14] = [
    ("gitRepo", &["repository"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("glusterfs", &["endpoints", "path"]),
    ("rbd", &["monitors", "image"]),
    ("cinder", &["volumeID"]),
    ("cephfs", &["monitors"]),
    ("quobyte", &["registry", "volume"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
];

fn required(errors: &mut FieldErrors, source: &Value, fields: &[&str], path: &FieldPath) {
    for field in fields {
        if crate::shape::is_zero(source.get(field)) {
            errors.required(&path.child(field), "");
        }
    }
}

fn absolute(errors: &mut FieldErrors, text: &str, detail: &str, path: &FieldPath) {
    if !text.is_empty() && !text.starts_with('/') {
        errors.invalid(path, text, detail);
    }
}

fn host_path(errors: &mut FieldErrors, source: &Value, path: &FieldPath) {
    const TYPES: [&str; 8] =
        ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    let at = source.str_at(&["path"]);
    if at.is_empty() {
        errors.required(&path.child("path"), "");
        return;
    }
    no_backsteps(errors, at, &path.child("path"));
    let kind = source.str_at(&["type"]);
    if !TYPES.contains(&kind) {
        errors.not_supported(&path.child("type"), kind, &TYPES);
    }
}

/// `validatePathNoBacksteps`.
pub(crate) fn no_backsteps(errors: &mut FieldErrors, text: &str, path: &FieldPath) {
    if text.replace('\\', "/").split('/').any(|part| part == "..") {
        errors.invalid(path, text, "must not contain '..'");
    }
}

pub(super) fn relative(errors: &mut FieldErrors, text: &str, path: &FieldPath) {
    if text.starts_with('/') {
        errors.invalid(path, text, "must be a relative path");
    }
    no_backsteps(errors, text, path);
}

fn relative_non_step(errors: &mut FieldErrors, text: &str, path: &FieldPath) {
    relative(errors, text, path);
    if text.starts_with("..") && !text.starts_with("../") && text != ".." {
        errors.invalid(path, text, "must not start with '..'");
    }
}

fn empty_dir(errors: &mut FieldErrors, source: &Value, path: &FieldPath) {
    if let Some(limit) = present(source, &["sizeLimit"])
        && drydock_machinery::quantity::Quantity::of(Some(limit)).is_negative()
    {
        errors.forbidden(&path.child("sizeLimit"), "SizeLimit field must be a valid resource quantity");
    }
}

fn mode(errors: &mut FieldErrors, source: &Value, path: &FieldPath) {
    if let Some(mode) = source.i64_at(&["defaultMode"])
        && !(0..=0o777).contains(&mode)
    {
        let detail = "must be a number between 0 and 0777 (octal), both inclusive";
        errors.invalid(&path.child("defaultMode"), mode, detail);
    }
}

fn key_to_paths(errors: &mut FieldErrors, source: &Value, path: &FieldPath) {
    for (i, item) in source.array_at(&["items"]).iter().enumerate() {
        let path = path.child("items").index(i);
        if item.str_at(&["key"]).is_empty() {
            errors.required(&path.child("key"), "");
        }
        let target = item.str_at(&["path"]);
        if target.is_empty() {
            errors.required(&path.child("path"), "");
        }
        relative_non_step(errors, target, &path.child("path"));
        item_mode(errors, item, &path);
    }
}

fn item_mode(errors: &mut FieldErrors, item: &Value, path: &FieldPath) {
    if let Some(mode) = item.i64_at(&["mode"])
        && !(0..=0o777).contains(&mode)
    {
        let detail = "must be a number between 0 and 0777 (octal), both inclusive";
        errors.invalid(&path.child("mode"), mode, detail);
    }
}

fn downward_files(errors: &mut FieldErrors, source: &Value, path: &FieldPath) {
    for (i, file) in source.array_at(&["items"]).iter().enumerate() {
        let path = path.child("items").index(i);
        downward_file(errors, file, &path);
    }
}

fn downward_file(errors: &mut FieldErrors, file: &Value, path: &FieldPath) {
    let target = file.str_at(&["path"]);
    if target.is_empty() {
        errors.required(&path.child("path"), "");
    }
    relative_non_step(errors, target, &path.child("path"));
    let (field, resource) = (present(file, &["fieldRef"]), present(file, &["resourceFieldRef"]));
    match (field, resource) {
        (Some(field), other) => {
            field_ref(errors, field, &DOWNWARD_FIELDS, &path.child("fieldRef"));
            if other.is_some() {
                errors.invalid(
                    path,
                    "resource",
                    "fieldRef and resourceFieldRef can not be specified simultaneously",
                );
            }
        }
        (None, Some(resource)) => {
            resource_field_ref(errors, resource, VOLUME_RESOURCES, true, &path.child("resourceFieldRef"));
        }
        (None, None) => errors.required(path, "one of fieldRef and resourceFieldRef is required"),
    }
    item_mode(errors, file, path);
}

fn projected(errors: &mut FieldErrors, source: &Value, path: &FieldPath) {
    mode(errors, source, path);
    let mut paths = HashSet::new();
    for (i, part) in source.array_at(&["sources"]).iter().enumerate() {
        let path = path.child("sources").index(i);
        let mut found = 0;
        for name in [
            "secret",
            "configMap",
            "downwardAPI",
            "serviceAccountToken",
            "clusterTrustBundle",
            "podCertificate",
        ] {
            let Some(given) = present(part, &[name]) else { continue };
            found += 1;
            let at = path.child(name);
            if found > 1 {
                errors.forbidden(&path, "may not specify more than 1 volume type");
                continue;
            }
            projected_source(errors, name, given, &at);
            for target in targets(name, given) {
                if !paths.insert(target) {
                    errors.invalid(&path, target, "conflicting duplicate paths");
                }
            }
        }
    }
}

fn targets<'a>(name: &str, source: &'a Value) -> Vec<&'a str> {
    let own = source.str_at(&["path"]);
    if name == "serviceAccountToken" && !own.is_empty() {
        return vec![own];
    }
    source
        .array_at(&["items"])
        .iter()
        .map(|item| item.str_at(&["path"]))
        .filter(|path| !path.is_empty())
        .collect()
}

fn projected_source(errors: &mut FieldErrors, name: &str, source: &Value, path: &FieldPath) {
    match name {
        "secret" | "configMap" => {
            required(errors, source, &["name"], path);
            key_to_paths(errors, source, path);
        }
        "downwardAPI" => downward_files(errors, source, path),
        "serviceAccountToken" => {
            let seconds = source.i64_at(&["expirationSeconds"]).unwrap_or(3600);
            if seconds < 600 {
                let detail = "may not specify a duration less than 10 minutes";
                errors.invalid(&path.child("expirationSeconds"), seconds, detail);
            }
            if seconds > 1 << 32 {
                let detail = "may not specify a duration larger than 2^32 seconds";
                errors.invalid(&path.child("expirationSeconds"), seconds, detail);
            }
            let target = source.str_at(&["path"]);
            if target.is_empty() {
                errors.required(&path.child("path"), "");
            } else {
                relative_non_step(errors, target, &path.child("path"));
            }
        }
        _ => {
            if is_nil(source.get("path")) && name == "clusterTrustBundle" {
                errors.required(&path.child("path"), "");
            }
        }
    }
}

fn csi(errors: &mut FieldErrors, source: &Value, path: &FieldPath) {
    csi_driver_name(errors, source.str_at(&["driver"]), &path.child("driver"));
    if let Some(secret) = present(source, &["nodePublishSecretRef"]) {
        required(errors, secret, &["name"], &path.child("nodePublishSecretRef"));
    }
}

/// `ValidateCSIDriverName`.
pub(crate) fn csi_driver_name(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    if name.is_empty() {
        errors.required(path, "");
    }
    if name.len() > 63 {
        errors.too_long(path, 63);
    }
    names::invalid_each(errors, path, name, names::is_dns1123_subdomain(&name.to_lowercase()));
}

fn ephemeral(errors: &mut FieldErrors, source: &Value, path: &FieldPath) {
    match present(source, &["volumeClaimTemplate"]) {
        None => errors.required(&path.child("volumeClaimTemplate"), ""),
        Some(claim) => {
            let path = path.child("volumeClaimTemplate");
            names::validate_labels(
                errors,
                claim.object_at(&["metadata", "labels"]),
                &path.child("metadata").child("labels"),
            );
            crate::core::claim::validate_spec(errors, &shown(claim, &["spec"]), &path.child("spec"));
        }
    }
}
