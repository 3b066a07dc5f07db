//! PersistentVolume.

use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value};

use super::claim::class_warning;
use crate::check::{
    IMMUTABLE, csi_driver_name, dns_label, dns_subdomain, non_negative_whole, one_of_at, one_of_given,
    positive_quantity, required,
};
use crate::go_form;
use crate::kind::{Kind, Step};
use crate::pod::defaults;
use crate::pod::scheduling::node_selector;
use crate::pod::volumes::{Holder, no_backsteps, rare_source};
use crate::shape::{
    default, default_nil, each_mut, has, is_zero, keep, present, same, same_of, seconds, shown, with_mut,
};
use crate::{Context, table};

pub(super) static KIND: Kind = Kind {
    // Upstream looks at all of it twice.
    update: &[Step::Meta, Step::Body, Step::Meta, Step::Body, Step::Change],
    status: true,
    defaults: set_defaults,
    prepare_create: |context, object| {
        object.set(&["status", "phase"], "Pending");
        object.set(&PHASE_TIME, seconds(context.now));
    },
    prepare_update,
    validate: |errors, _, object, _| {
        validate_spec(errors, &shown(object, &["spec"]), object.name(), false, &FieldPath::new("spec"));
        mount_options(errors, object);
    },
    validate_change,
    warnings: |object, _| warnings(object),
    cells: table::persistent_volume,
    ..Kind::new("", "persistentvolumes")
};

const PHASE_TIME: [&str; 2] = ["status", "lastPhaseTransitionTime"];

/// The time of the last change of the phase is the server's, unless the status brings one.
fn prepare_update(context: &Context<'_>, object: &mut Value, old: &Value) {
    if context.subresource != "status" {
        keep(object, old, &["status"]);
        return;
    }
    let phase = &["status", "phase"];
    if object.str_at(phase) == old.str_at(phase) {
        if !has(object, &PHASE_TIME) {
            keep(object, old, &PHASE_TIME);
        }
    } else if !has(object, &PHASE_TIME) || object.at(&PHASE_TIME) == old.at(&PHASE_TIME) {
        object.set(&PHASE_TIME, seconds(context.now));
    }
}

fn set_defaults(object: &mut Value) {
    let spec = object.at_mut(&["spec"]);
    default(spec, &["persistentVolumeReclaimPolicy"], "Retain");
    default_nil(spec, &["volumeMode"], "Filesystem");
    with_mut(spec, &["hostPath"], |path| default_nil(path, &["type"], ""));
    with_mut(spec, &["iscsi"], |iscsi| default(iscsi, &["iscsiInterface"], "default"));
    defaults::round_lists(spec, &[&["capacity"]]);
    defaults::volume_source(spec);
    default(object, &["status", "phase"], "Pending");
}

pub(super) const ACCESS_MODES: [&str; 4] =
    ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// Fields of a spec that are volume sources, in the order in which upstream looks for them.
const SOURCES: [&str; 22] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];

/// `ValidatePersistentVolumeSpec`. An inline one stands in an attachment instead of a volume.
pub(crate) fn validate_spec(
    errors: &mut FieldErrors,
    spec: &Value,
    name: &str,
    inline: bool,
    path: &FieldPath,
) {
    if inline {
        forbid_inline(errors, spec, "claimRef", path);
        forbid_inline(errors, spec, "capacity", path);
        if !has(spec, &["csi"]) {
            errors.required(&path.child("csi"), format!("has to be specified {INLINE}"));
        }
    }
    access_modes(errors, spec, path);
    let policy = spec.str_at(&["persistentVolumeReclaimPolicy"]);
    let policy_path = path.child("persistentVolumeReclaimPolicy");
    if inline {
        if !["", "Retain"].contains(&policy) {
            errors.forbidden(&policy_path, format!("may only be Retain {INLINE}"));
        }
        forbid_inline(errors, spec, "nodeAffinity", path);
    } else {
        capacity(errors, spec, &path.child("capacity"));
        if !policy.is_empty() {
            one_of_given(errors, policy, &["Delete", "Recycle", "Retain"], &policy_path);
        }
        if has(spec, &["nodeAffinity"]) {
            let path = path.child("nodeAffinity").child("required");
            match present(spec, &["nodeAffinity", "required"]) {
                None => errors.required(&path, "must specify required node constraints"),
                Some(selector) => node_selector(errors, selector, &path),
            }
        }
    }
    sources(errors, spec, name, path);
    let root = |path: &str| path.starts_with('/') && path.split('/').all(|part| ["", "."].contains(&part));
    if policy == "Recycle" && root(spec.str_at(&["hostPath", "path"])) {
        errors.forbidden(&policy_path, "may not be 'recycle' for a hostPath mount of '/'");
    }
    let class = spec.str_at(&["storageClassName"]);
    if inline {
        forbid_inline(errors, spec, "storageClassName", path);
        if !["", "Filesystem"].contains(&spec.str_at(&["volumeMode"])) {
            let detail = format!("may not specify volumeMode other than Filesystem {INLINE}");
            errors.forbidden(&path.child("volumeMode"), detail);
        }
    } else {
        if !class.is_empty() {
            dns_subdomain(errors, class, &path.child("storageClassName"));
        }
        volume_mode(errors, spec, path);
    }
    let class = present(spec, &["volumeAttributesClassName"]).filter(|_| !inline);
    if let Some(class) = class.and_then(Value::as_str) {
        let at = path.child("volumeAttributesClassName");
        if class.is_empty() {
            errors.required(&at, "an empty string is disallowed");
        } else {
            dns_subdomain(errors, class, &at);
        }
        if !has(spec, &["csi"]) {
            let detail = "has to be specified when using volumeAttributesClassName";
            errors.required(&path.child("csi"), detail);
        }
    }
}

const INLINE: &str = "in the context of inline volumes";

/// What only volumes that are objects of their own have.
fn forbid_inline(errors: &mut FieldErrors, spec: &Value, field: &str, path: &FieldPath) {
    if !is_zero(spec.get(field)) {
        errors.forbidden(&path.child_named(field), format!("may not be specified {INLINE}"));
    }
}

/// Of volumes and claims.
pub(super) fn volume_mode(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    one_of_at(errors, spec, "volumeMode", &["Block", "Filesystem"], path);
}

fn access_modes(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let modes: Vec<&str> = spec.array_at(&["accessModes"]).iter().filter_map(Value::as_str).collect();
    let path = path.child("accessModes");
    if modes.is_empty() {
        errors.required(&path, "");
    }
    unsupported_modes(errors, &modes, &path);
}

/// What is no access mode, and what may not stand with others.
pub(super) fn unsupported_modes(errors: &mut FieldErrors, modes: &[&str], path: &FieldPath) {
    for mode in modes.iter().filter(|mode| !ACCESS_MODES.contains(mode)) {
        errors.not_supported(path, *mode, &ACCESS_MODES);
    }
    let others = modes.iter().any(|mode| *mode != "ReadWriteOncePod" && ACCESS_MODES.contains(mode));
    if modes.contains(&"ReadWriteOncePod") && others {
        errors.forbidden(path, "may not use ReadWriteOncePod with other access modes");
    }
}

fn capacity(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let amounts = spec.object_at(&["capacity"]);
    if amounts.is_empty() {
        errors.required(path, "");
    }
    if !amounts.contains_key("storage") || amounts.len() > 1 {
        errors.not_supported(path, shown(spec, &["capacity"]), &["storage"]);
    }
    for (name, amount) in amounts.iter() {
        non_negative_whole(errors, amount, &path.key(name));
        positive_quantity(errors, amount, &path.key(name));
    }
}

fn sources(errors: &mut FieldErrors, spec: &Value, name: &str, path: &FieldPath) {
    let mut given = SOURCES.iter().filter(|name| has(spec, &[name]));
    let Some(first) = given.next() else {
        errors.required(path, "must specify a volume type");
        return;
    };
    let one = |errors: &mut FieldErrors, source: &str| {
        let shown_as = if source == "gcePersistentDisk" { "persistentDisk" } else { source };
        let (volume, at) = (shown(spec, &[source]), path.child_named(shown_as));
        match source {
            "csi" => csi(errors, &volume, &at),
            "local" => {
                required(errors, &volume, &["path"], &at);
                no_backsteps(errors, volume.str_at(&["path"]), &at.child("path"));
                if !has(spec, &["nodeAffinity"]) {
                    errors.required(&path.child("nodeAffinity"), "Local volume requires node affinity");
                }
            }
            source => rare_source(errors, source, &volume, Holder::Volume(name), &at),
        }
    };
    one(errors, first);
    for other in given {
        match *other {
            // Upstream does not ask this one whether it stands alone.
            "flexVolume" => one(errors, other),
            "cephfs" => errors.forbidden(&path.child("cephFS"), MORE_THAN_ONE),
            other => errors.forbidden(&path.child(other), MORE_THAN_ONE),
        }
    }
}

const MORE_THAN_ONE: &str = "may not specify more than 1 volume type";

const MOUNT_OPTIONS: &str = "volume.beta.kubernetes.io/mount-options";

/// `checkMountOption`: not every source knows the annotation.
fn mount_options(errors: &mut FieldErrors, volume: &Value) {
    const KNOWING: [&str; 13] = [
        "gcePersistentDisk",
        "awsElasticBlockStore",
        "glusterfs",
        "nfs",
        "rbd",
        "quobyte",
        "iscsi",
        "cinder",
        "cephfs",
        "azureFile",
        "vsphereVolume",
        "azureDisk",
        "photonPersistentDisk",
    ];
    let knows = KNOWING.iter().any(|source| has(volume, &["spec", source]));
    if volume.annotation(MOUNT_OPTIONS).is_some() && !knows {
        let path = FieldPath::new("metadata").child("annotations").child(MOUNT_OPTIONS);
        errors.forbidden(&path, "may not specify mount options for this volume type");
    }
}

/// `validateCSIPersistentVolumeSource`.
fn csi(errors: &mut FieldErrors, volume: &Value, path: &FieldPath) {
    csi_driver_name(errors, volume.str_at(&["driver"]), &path.child("driver"));
    required(errors, volume, &["volumeHandle"], path);
    for field in [
        "controllerPublishSecretRef",
        "controllerExpandSecretRef",
        "nodePublishSecretRef",
        "nodeExpandSecretRef",
    ] {
        let Some(secret) = present(volume, &[field]) else { continue };
        let path = path.child(field);
        match secret.str_at(&["name"]) {
            "" => errors.required(&path.child("name"), ""),
            name => dns_subdomain(errors, name, &path.child("name")),
        }
        match secret.str_at(&["namespace"]) {
            "" => errors.required(&path.child("namespace"), ""),
            namespace => dns_label(errors, namespace, &path.child("namespace")),
        }
    }
}

fn validate_change(errors: &mut FieldErrors, object: &Value, old: &Value) {
    let (spec, before) = (shown(object, &["spec"]), shown(old, &["spec"]));
    let only_sources = |spec: &Value| {
        let mut out = Value::object();
        for name in SOURCES.iter().filter(|name| has(spec, &[name])) {
            out.set(&[name], shown(spec, &[name]));
        }
        out
    };
    let (mut new, old) = (only_sources(&spec), only_sources(&before));
    // A secret for growing may be added.
    let secret = &["csi", "controllerExpandSecretRef"];
    if has(&old, &["csi"]) && !has(&old, secret) {
        new.remove(secret);
    }
    if !same_of("core.v1.PersistentVolumeSpec", Some(&new), Some(&old)) {
        let difference = go_form::difference("PersistentVolumeSource", &old, &new);
        errors.forbidden(
            &FieldPath::new("spec").child("persistentvolumesource"),
            format!("spec.persistentvolumesource is immutable after creation\n{difference}"),
        );
    }
    if !same(spec.get("volumeMode"), before.get("volumeMode")) {
        errors.invalid(&FieldPath::new("volumeMode"), shown(&spec, &["volumeMode"]), IMMUTABLE);
    }
    if has(&before, &["nodeAffinity"]) && !same_affinity(&spec, &before) {
        let detail = format!("{IMMUTABLE}, except for updating from beta label to GA");
        let shown = present(&spec, &["nodeAffinity"])
            .map_or(Value::Null, |affinity| go_form::of("VolumeNodeAffinity", affinity));
        errors.invalid(&FieldPath::new("nodeAffinity"), shown, detail);
    }
    let class = "volumeAttributesClassName";
    if has(&before, &[class]) && !has(&spec, &[class]) {
        let path = FieldPath::new("spec").child(class);
        errors.forbidden(&path, "update from non-nil value to nil is forbidden");
    }
}

/// Labels that were beta once may take their new names.
const GRADUATED: [(&str, &str); 5] = [
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("beta.kubernetes.io/os", "kubernetes.io/os"),
    ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
    ("beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"),
];

fn same_affinity(spec: &Value, before: &Value) -> bool {
    let terms = ["nodeAffinity", "required", "nodeSelectorTerms"];
    let mut expected = before.clone();
    let new: Vec<&Value> = spec.array_at(&terms).iter().collect();
    let mut i = 0;
    each_mut(&mut expected, &terms, |term| {
        for list in ["matchExpressions", "matchFields"] {
            let mut keys = new.get(i).map_or(&[][..], |term| term.array_at(&[list])).iter();
            each_mut(term, &[list], |requirement| {
                let key = keys.next().map_or("", |new| new.str_at(&["key"]));
                let old = requirement.str_at(&["key"]);
                let is_beta = GRADUATED.iter().any(|(beta, _)| *beta == old);
                // As upstream: a name that has not been beta may go.
                if GRADUATED.contains(&(old, key)) || (key.is_empty() && !is_beta) {
                    requirement.set(&["key"], key);
                }
            });
        }
        i += 1;
    });
    same_of("core.v1.VolumeNodeAffinity", spec.get("nodeAffinity"), expected.get("nodeAffinity"))
}

/// `GetWarningsForPersistentVolume`.
fn warnings(volume: &Value) -> Vec<String> {
    const SOURCES: [(&str, &str, &str); 6] = [
        ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
        ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
        ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
        ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
        ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
        ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
    ];
    let mut out: Vec<String> = class_warning(volume).into_iter().collect();
    if volume.annotation(MOUNT_OPTIONS).is_some() {
        let path = FieldPath::new("metadata").child("annotations").key(MOUNT_OPTIONS);
        out.push(format!("{path}: deprecated since v1.31; use \"mountOptions\" attribute instead"));
    }
    let path = FieldPath::new("spec");
    if volume.str_at(&["spec", "persistentVolumeReclaimPolicy"]) == "Recycle" {
        let text = "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.";
        out.push(format!("{}: {text}", path.child("persistentVolumeReclaimPolicy")));
    }
    let terms = volume.array_at(&["spec", "nodeAffinity", "required", "nodeSelectorTerms"]);
    let at = path.child("nodeAffinity").child("required").child("nodeSelectorTerms");
    for (i, term) in terms.iter().enumerate() {
        crate::pod::warnings::node_term(&mut out, term, false, &at.index(i));
    }
    for (_, shown, text) in SOURCES.into_iter().filter(|(field, ..)| has(volume, &["spec", field])) {
        out.push(format!("{}: {text}", path.child(shown)));
    }
    out
}
