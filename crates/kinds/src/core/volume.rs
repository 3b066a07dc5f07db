//! PersistentVolume.

use drydock_machinery::quantity::Quantity;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::check::{IMMUTABLE, POSITIVE, dns_subdomain};
use crate::kind::Kind;
use crate::pod::scheduling::node_selector;
use crate::pod::volumes::{csi_driver_name, no_backsteps, source};
use crate::shape::{default, default_nil, has, is_zero, keep, present, same, shown, with_mut};
use crate::{Context, defaults, table};

pub(super) static KIND: Kind = Kind {
    status: true,
    defaults: set_defaults,
    prepare_create: |context, object| {
        object.set(&["status", "phase"], "Pending");
        object.set(&["status", "lastPhaseTransitionTime"], seconds(context));
    },
    prepare_update: |context, object, old| {
        if context.subresource != "status" {
            keep(object, old, &["status"]);
        } else if !same(object.at(&["status", "phase"]), old.at(&["status", "phase"]))
            && same(
                object.at(&["status", "lastPhaseTransitionTime"]),
                old.at(&["status", "lastPhaseTransitionTime"]),
            )
        {
            object.set(&["status", "lastPhaseTransitionTime"], seconds(context));
        }
    },
    validate: |errors, _, object| validate(errors, object),
    validate_update: Some(validate_update),
    cells: table::persistent_volume,
    ..Kind::new("", "persistentvolumes")
};

fn seconds(context: &Context<'_>) -> String {
    let now = context.now;
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

fn set_defaults(object: &mut Value) {
    let spec = object.at_mut(&["spec"]);
    default(spec, &["persistentVolumeReclaimPolicy"], "Retain");
    default_nil(spec, &["volumeMode"], "Filesystem");
    with_mut(spec, &["hostPath"], |path| default_nil(path, &["type"], ""));
    with_mut(spec, &["iscsi"], |iscsi| default(iscsi, &["iscsiInterface"], "default"));
    with_mut(spec, &["capacity"], defaults::round_resources);
    defaults::volume_source(spec);
    default(object, &["status", "phase"], "Pending");
}

pub(super) const ACCESS_MODES: [&str; 4] =
    ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// Fields of a spec that are volume sources.
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

fn validate(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec");
    let spec = shown(object, &["spec"]);
    access_modes(errors, &spec, &path);
    capacity(errors, &spec, &path.child("capacity"));
    let policy = spec.str_at(&["persistentVolumeReclaimPolicy"]);
    if !policy.is_empty() && !["Delete", "Recycle", "Retain"].contains(&policy) {
        let path = path.child("persistentVolumeReclaimPolicy");
        errors.not_supported(&path, policy, &["Delete", "Recycle", "Retain"]);
    }
    if has(&spec, &["nodeAffinity"]) {
        let path = path.child("nodeAffinity");
        match present(&spec, &["nodeAffinity", "required"]) {
            None => errors.required(&path.child("required"), "must specify required node constraints"),
            Some(selector) => node_selector(errors, selector, &path.child("required")),
        }
    }
    sources(errors, &spec, &path);
    if policy == "Recycle" && spec.str_at(&["hostPath", "path"]) == "/" {
        errors.forbidden(
            &path.child("persistentVolumeReclaimPolicy"),
            "may not be 'recycle' for a hostPath mount of '/'",
        );
    }
    for field in ["storageClassName", "volumeAttributesClassName"] {
        let class = spec.str_at(&[field]);
        if !class.is_empty() {
            dns_subdomain(errors, class, &path.child(field));
        }
    }
    volume_mode(errors, &spec, &path);
}

/// Of volumes and claims.
pub(super) fn volume_mode(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let mode = spec.str_at(&["volumeMode"]);
    if has(spec, &["volumeMode"]) && !["Block", "Filesystem"].contains(&mode) {
        errors.not_supported(&path.child("volumeMode"), mode, &["Block", "Filesystem"]);
    }
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
    if modes.contains(&"ReadWriteOncePod") && modes.iter().any(|mode| *mode != "ReadWriteOncePod") {
        errors.forbidden(path, "may not use ReadWriteOncePod with other access modes");
    }
}

fn capacity(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let amounts = spec.object_at(&["capacity"]);
    if amounts.is_empty() {
        errors.required(path, "");
    }
    if !amounts.contains_key("storage") || amounts.len() > 1 {
        let shown = if amounts.is_empty() { Value::Null } else { amounts.clone().into() };
        errors.not_supported(path, shown, &["storage"]);
    }
    for (name, amount) in amounts.iter() {
        let quantity = Quantity::of(Some(amount));
        if quantity.is_negative() {
            errors.invalid(&path.key(name), quantity.value(), "must be a valid resource quantity");
        }
        if name == "storage" && (quantity.is_negative() || quantity.is_zero()) {
            errors.invalid(&path.key(name), amount.clone(), POSITIVE);
        }
    }
}

fn sources(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let mut given = SOURCES.iter().filter(|name| has(spec, &[name]));
    let Some(first) = given.next() else {
        errors.required(path, "must specify a volume type");
        return;
    };
    let volume = shown(spec, &[first]);
    let at = path.child(first);
    match *first {
        "csi" => {
            csi_driver_name(errors, volume.str_at(&["driver"]), &at.child("driver"));
            if volume.str_at(&["volumeHandle"]).is_empty() {
                errors.required(&at.child("volumeHandle"), "");
            }
        }
        "local" => {
            if volume.str_at(&["path"]).is_empty() {
                errors.required(&at.child("path"), "");
            } else {
                no_backsteps(errors, volume.str_at(&["path"]), &at.child("path"));
            }
            if is_zero(spec.get("nodeAffinity")) {
                errors.required(&path.child("nodeAffinity"), "Local volume requires node affinity");
            }
        }
        name => source(errors, name, &volume, &at),
    }
    for other in given {
        errors.forbidden(&path.child(other), "may not specify more than 1 volume type");
    }
}

fn validate_update(errors: &mut FieldErrors, _: &Context<'_>, object: &Value, old: &Value) {
    validate(errors, object);
    let (spec, before) = (shown(object, &["spec"]), shown(old, &["spec"]));
    let only_sources = |spec: &Value| {
        let mut out = Value::object();
        for name in SOURCES.iter().filter(|name| has(spec, &[name])) {
            out.set(&[name], shown(spec, &[name]));
        }
        out
    };
    let (new, old) = (only_sources(&spec), only_sources(&before));
    if new != old {
        let difference = crate::go_form::difference("PersistentVolumeSource", &old, &new);
        errors.forbidden(
            &FieldPath::new("spec").child("persistentvolumesource"),
            format!("spec.persistentvolumesource is immutable after creation\n{difference}"),
        );
    }
    if !same(spec.get("volumeMode"), before.get("volumeMode")) {
        errors.invalid(&FieldPath::new("volumeMode"), shown(&spec, &["volumeMode"]), IMMUTABLE);
    }
    if has(&before, &["nodeAffinity"]) && !same(spec.get("nodeAffinity"), before.get("nodeAffinity")) {
        errors.invalid(&FieldPath::new("nodeAffinity"), shown(&spec, &["nodeAffinity"]), IMMUTABLE);
    }
}
