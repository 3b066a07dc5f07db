//! Volumes of a pod, and the sources that persistent volumes have too.

mod projected;
mod rare;

use drydock_machinery::names_validation::{self as names, NamePart};
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value};
use foldhash::{HashMap, HashSet};

use super::env::{VOLUME_RESOURCES, field_ref, resource_field_ref};
use super::spec::Within;
use crate::check::{csi_driver_name, dns_label, dns_subdomain, one_of, required};
use crate::meta::validate_template_meta;
use crate::shape::{has, present, shown};

pub(crate) use self::rare::{Holder, rare_source};

const DOWNWARD_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

const MORE_THAN_ONE: &str = "may not specify more than 1 volume type";

/// Names of well formed volumes, with their sources, for mounts to refer to.
pub(super) type Volumes<'a> = HashMap<&'a str, &'a Value>;

pub(super) fn volumes<'a>(
    errors: &mut FieldErrors,
    spec: &'a Value,
    within: Within<'_>,
    path: &FieldPath,
) -> Volumes<'a> {
    let mut known = Volumes::default();
    let all = spec.array_at(&["volumes"]);
    let pod = within.pod().map_or("", |pod| pod.name());
    let made: HashSet<String> = all
        .iter()
        .filter(|volume| !pod.is_empty() && has(volume, &["ephemeral"]))
        .map(|volume| format!("{pod}-{}", volume.str_at(&["name"])))
        .collect();
    for (i, volume) in all.iter().enumerate() {
        let path = path.index(i);
        let before = errors.len();
        validate_source(errors, volume, within, &path);
        let name = volume.str_at(&["name"]);
        if name.is_empty() {
            errors.required(&path.child("name"), "");
        } else {
            dns_label(errors, name, &path.child("name"));
        }
        if known.contains_key(name) {
            errors.duplicate(&path.child("name"), name);
        }
        if errors.len() == before {
            known.insert(name, volume);
        }
        let claim = volume.str_at(&["persistentVolumeClaim", "claimName"]);
        if made.contains(claim) {
            let detail = "must not reference a PVC that gets created for an ephemeral volume";
            errors.invalid(&path.child("persistentVolumeClaim").child("claimName"), claim, detail);
        }
    }
    known
}

fn validate_source(errors: &mut FieldErrors, volume: &Value, within: Within<'_>, path: &FieldPath) {
    let mut sources = ORDER.iter().filter(|name| has(volume, &[name]));
    let Some(first) = sources.next() else {
        errors.required(path, "must specify a volume type");
        return;
    };
    let at = path.child(if *first == "gcePersistentDisk" { "persistentDisk" } else { first });
    source(errors, first, &shown(volume, &[first]), within, &at);
    if *first == "ephemeral" {
        made_claim_name(errors, volume.str_at(&["name"]), within, path);
    }
    for other in std::iter::once(first).chain(sources) {
        if *other == "iscsi" {
            initiator_fits(errors, volume, path);
        }
        if other != first {
            // Two are misspelt, as upstream has them.
            let shown = match *other {
                "cephfs" => "cephFS",
                "downwardAPI" => "downwarAPI",
                other => other,
            };
            errors.forbidden(&path.child(shown), MORE_THAN_ONE);
        }
    }
}

/// A claim made for the volume is named after pod and volume.
fn made_claim_name(errors: &mut FieldErrors, volume: &str, within: Within<'_>, path: &FieldPath) {
    let Some(pod) = within.pod().map(|pod| pod.name()).filter(|name| !name.is_empty()) else { return };
    if !volume.is_empty() {
        let claim = format!("{pod}-{volume}");
        for wrong in names::name_is_dns_subdomain(&claim, NamePart::Whole) {
            errors.invalid(&path.child("name"), volume, format!("PVC name {claim:?}: {wrong}"));
        }
    }
}

/// The names that make up an iSCSI session's are not too long together.
fn initiator_fits(errors: &mut FieldErrors, volume: &Value, path: &FieldPath) {
    let name = volume.str_at(&["name"]);
    let length = name.len() + 1 + volume.str_at(&["iscsi", "targetPortal"]).len();
    if has(volume, &["iscsi", "initiatorName"]) && length > 64 {
        errors.invalid(&path.child("name"), name, rare::LONG_INITIATOR);
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
    "flexVolume",
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
];

/// One source of a pod's volume.
fn source(errors: &mut FieldErrors, name: &str, source: &Value, within: Within<'_>, path: &FieldPath) {
    match name {
        "emptyDir" => empty_dir(errors, source, path),
        "secret" => {
            required(errors, source, &["secretName"], path);
            mode(errors, source, "defaultMode", path);
            key_to_paths(errors, source, path);
        }
        "configMap" => {
            required(errors, source, &["name"], path);
            mode(errors, source, "defaultMode", path);
            key_to_paths(errors, source, path);
        }
        "persistentVolumeClaim" => required(errors, source, &["claimName"], path),
        "downwardAPI" => {
            mode(errors, source, "defaultMode", path);
            for file in source.array_at(&["items"]) {
                downward_file(errors, file, path);
            }
        }
        "projected" => projected::projected(errors, source, path),
        "csi" => csi(errors, source, path),
        "ephemeral" => ephemeral(errors, source, path),
        "image" => image(errors, source, within, path),
        name => rare_source(errors, name, source, Holder::Pod, path),
    }
}

/// `validatePathNoBacksteps`.
pub(crate) fn no_backsteps(errors: &mut FieldErrors, text: &str, path: &FieldPath) {
    if steps_back(text) {
        errors.invalid(path, text, "must not contain '..'");
    }
}

pub(super) fn steps_back(text: &str) -> bool {
    text.split('/').any(|part| part == "..")
}

/// `validateLocalDescendingPath`.
pub(super) fn relative(errors: &mut FieldErrors, text: &str, path: &FieldPath) {
    if text.starts_with('/') {
        errors.invalid(path, text, "must be a relative path");
    }
    no_backsteps(errors, text, path);
}

/// `ValidateLocalNonReservedPath`.
fn relative_non_reserved(errors: &mut FieldErrors, text: &str, path: &FieldPath) {
    relative(errors, text, path);
    if text.starts_with("..") && !text.starts_with("../") {
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

fn mode(errors: &mut FieldErrors, holder: &Value, field: &str, path: &FieldPath) {
    if let Some(mode) = holder.i64_at(&[field])
        && !(0..=0o777).contains(&mode)
    {
        let detail = "must be a number between 0 and 0777 (octal), both inclusive";
        errors.invalid(&path.child_named(field), mode, detail);
    }
}

fn key_to_paths(errors: &mut FieldErrors, source: &Value, path: &FieldPath) {
    for (i, item) in source.array_at(&["items"]).iter().enumerate() {
        key_to_path(errors, item, &path.child("items").index(i));
    }
}

fn key_to_path(errors: &mut FieldErrors, item: &Value, path: &FieldPath) {
    required(errors, item, &["key", "path"], path);
    relative_non_reserved(errors, item.str_at(&["path"]), &path.child("path"));
    mode(errors, item, "mode", path);
}

fn downward_file(errors: &mut FieldErrors, file: &Value, path: &FieldPath) {
    required(errors, file, &["path"], path);
    relative_non_reserved(errors, file.str_at(&["path"]), &path.child("path"));
    let (field, resource) = (present(file, &["fieldRef"]), present(file, &["resourceFieldRef"]));
    match (field, resource) {
        (Some(field), other) => {
            field_ref(errors, field, &DOWNWARD_FIELDS, &path.child("fieldRef"));
            if other.is_some() {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.invalid(path, "resource", detail);
            }
        }
        (None, Some(resource)) => {
            resource_field_ref(errors, resource, VOLUME_RESOURCES, true, &path.child("resourceFieldRef"));
        }
        (None, None) => errors.required(path, "one of fieldRef and resourceFieldRef is required"),
    }
    mode(errors, file, "mode", path);
}

fn csi(errors: &mut FieldErrors, source: &Value, path: &FieldPath) {
    csi_driver_name(errors, source.str_at(&["driver"]), &path.child("driver"));
    if let Some(secret) = present(source, &["nodePublishSecretRef"]) {
        match secret.str_at(&["name"]) {
            "" => errors.required(&path.child("nodePublishSecretRef").child("name"), ""),
            name => dns_subdomain(errors, name, &path.child("name")),
        }
    }
}

fn ephemeral(errors: &mut FieldErrors, source: &Value, path: &FieldPath) {
    let path = path.child("volumeClaimTemplate");
    match present(source, &["volumeClaimTemplate"]) {
        None => errors.required(&path, ""),
        Some(claim) => {
            validate_template_meta(errors, claim, &path.child("metadata"));
            crate::core::claim::validate_spec(errors, &shown(claim, &["spec"]), false, &path.child("spec"));
        }
    }
}

fn image(errors: &mut FieldErrors, source: &Value, within: Within<'_>, path: &FieldPath) {
    if within.pod().is_some() {
        required(errors, source, &["reference"], path);
    }
    let policies = ["Always", "IfNotPresent", "Never"];
    one_of(errors, source.str_at(&["pullPolicy"]), &policies, &path.child("pullPolicy"));
}
