//! PersistentVolumeClaim.

use drydock_machinery::quantity::Quantity;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use super::volume::{unsupported_modes, volume_mode};
use crate::check::{IMMUTABLE, NOT_NEGATIVE, POSITIVE, dns_subdomain, label_selector};
use crate::kind::Kind;
use crate::shape::{default, has, is_zero, keep, present, same, shown};
use crate::{Context, defaults, go_form, table};

pub(super) static KIND: Kind = Kind {
    status: true,
    defaults: |object| {
        defaults::claim_spec(object.at_mut(&["spec"]));
        default(object, &["status", "phase"], "Pending");
    },
    prepare_create: |_, object| {
        object.set(&["status", "phase"], "Pending");
        let spec = object.at_mut(&["spec"]);
        drop_unknown_source(spec);
        data_source_both(spec);
    },
    prepare_update: |context, object, old| {
        if context.subresource.is_empty() {
            keep(object, old, &["status"]);
            data_source_both(object.at_mut(&["spec"]));
        }
    },
    validate: |errors, _, object| validate_spec(errors, &shown(object, &["spec"]), &FieldPath::new("spec")),
    validate_update: Some(validate_update),
    validate_status,
    warnings: |_, object, _| {
        let path = FieldPath::new("spec").child("resources").child("requests").key("storage");
        let amount = object.str_at(&["spec", "resources", "requests", "storage"]);
        crate::pod::warnings::fractional_storage(amount, &path)
    },
    cells: table::persistent_volume_claim,
    ..Kind::new("", "persistentvolumeclaims")
};

/// A source that is neither a claim nor a snapshot is dropped, as it always was, unless it is a `dataSourceRef`.
fn drop_unknown_source(spec: &mut Value) {
    if has(spec, &["dataSourceRef"]) {
        return;
    }
    if let Some(source) = present(spec, &["dataSource"]) {
        let known = matches!(
            (source.str_at(&["apiGroup"]), source.str_at(&["kind"])),
            ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot")
        );
        if !known {
            spec.remove(&["dataSource"]);
        }
    }
}

/// `dataSource` and `dataSourceRef` say the same where either may.
fn data_source_both(spec: &mut Value) {
    if has(spec, &["dataSource"]) && !has(spec, &["dataSourceRef"]) {
        let source = shown(spec, &["dataSource"]);
        spec.set(&["dataSourceRef"], source);
    } else if has(spec, &["dataSourceRef"])
        && !has(spec, &["dataSource"])
        && spec.str_at(&["dataSourceRef", "namespace"]).is_empty()
    {
        let reference = shown(spec, &["dataSourceRef"]);
        spec.set(&["dataSource"], reference);
    }
}

/// Also of templates of claims.
pub(crate) fn validate_spec(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let modes: Vec<&str> = spec.array_at(&["accessModes"]).iter().filter_map(Value::as_str).collect();
    if modes.is_empty() {
        errors.required(&path.child("accessModes"), "at least 1 access mode is required");
    }
    if let Some(selector) = present(spec, &["selector"]) {
        label_selector(errors, selector, &path.child("selector"));
    }
    unsupported_modes(errors, &modes, &path.child("accessModes"));
    let storage = path.child("resources").key("storage");
    match present(spec, &["resources", "requests", "storage"]) {
        None => errors.required(&storage, ""),
        Some(amount) => {
            let quantity = Quantity::of(Some(amount));
            if quantity.is_negative() {
                errors.invalid(&storage, amount.clone(), NOT_NEGATIVE);
            }
            if quantity.is_negative() || quantity.is_zero() {
                errors.invalid(&storage, amount.clone(), POSITIVE);
            }
        }
    }
    let class = spec.str_at(&["storageClassName"]);
    if !class.is_empty() {
        dns_subdomain(errors, class, &path.child("storageClassName"));
    }
    volume_mode(errors, spec, path);
    for field in ["dataSource", "dataSourceRef"] {
        if let Some(source) = present(spec, &[field]) {
            data_source(errors, source, &path.child(field));
        }
    }
    let class = spec.str_at(&["volumeAttributesClassName"]);
    if !class.is_empty() {
        dns_subdomain(errors, class, &path.child("volumeAttributesClassName"));
    }
}

fn data_source(errors: &mut FieldErrors, source: &Value, path: &FieldPath) {
    for field in ["name", "kind"] {
        if source.str_at(&[field]).is_empty() {
            errors.required(&path.child(field), "");
        }
    }
    let (group, kind) = (source.str_at(&["apiGroup"]), source.str_at(&["kind"]));
    if group.is_empty() && kind != "PersistentVolumeClaim" {
        errors.invalid(path, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
    }
}

fn validate_update(errors: &mut FieldErrors, _: &Context<'_>, object: &Value, old: &Value) {
    let path = FieldPath::new("spec");
    validate_spec(errors, &shown(object, &["spec"]), &path);
    let (spec, before) = (shown(object, &["spec"]), shown(old, &["spec"]));
    let mut munged = spec.clone();
    let bound = old.str_at(&["status", "phase"]) == "Bound" && object.str_at(&["status", "phase"]) == "Bound";
    // The binder may fill in the volume, once.
    if before.str_at(&["volumeName"]).is_empty() {
        keep(&mut munged, &before, &["volumeName"]);
    }
    let storage = &["resources", "requests", "storage"];
    if bound && has(&before, &["resources", "requests"]) {
        keep(&mut munged, &before, storage);
    }
    keep(&mut munged, &before, &["volumeAttributesClassName"]);
    if !has(&before, &["storageClassName"]) && has(&munged, &["storageClassName"]) {
        keep(&mut munged, &before, &["storageClassName"]);
    }
    if !same(Some(&munged), Some(&before)) {
        let difference = go_form::difference("PersistentVolumeClaimSpec", &before, &munged);
        let detail = format!(
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n{difference}"
        );
        errors.forbidden(&path, detail);
    }
    shrinking(errors, object, old, &path);
    if !same(spec.get("volumeMode"), before.get("volumeMode")) {
        errors.invalid(&FieldPath::new("volumeMode"), shown(&spec, &["volumeMode"]), IMMUTABLE);
    }
    let class = "volumeAttributesClassName";
    if !same(spec.get(class), before.get(class)) && !is_zero(before.get(class)) && is_zero(spec.get(class)) {
        let path = path.child(class);
        errors.forbidden(&path, "update from non-nil value to nil is forbidden");
    }
}

/// A claim may grow, and shrink back to what it really has.
fn shrinking(errors: &mut FieldErrors, object: &Value, old: &Value, path: &FieldPath) {
    let amount = |object: &Value| Quantity::of(object.at(&["spec", "resources", "requests", "storage"]));
    let (new, before) = (amount(object), amount(old));
    if new >= before {
        return;
    }
    let path = path.child("resources").child("requests").child("storage");
    let capacity = Quantity::of(old.at(&["status", "capacity", "storage"]));
    if new <= capacity {
        errors.forbidden(&path, "field can not be less than status.capacity");
    }
}

fn validate_status(errors: &mut FieldErrors, _: &Context<'_>, object: &Value, _: &Value) {
    let path = FieldPath::new("status");
    if has(object, &["status"]) && object.array_at(&["spec", "accessModes"]).is_empty() {
        errors.required(&FieldPath::new("Spec").child("accessModes"), "");
    }
    for (name, amount) in object.object_at(&["status", "capacity"]).iter() {
        if Quantity::of(Some(amount)).is_negative() {
            errors.invalid(&path.child("capacity").key(name), amount.clone(), NOT_NEGATIVE);
        }
    }
}
