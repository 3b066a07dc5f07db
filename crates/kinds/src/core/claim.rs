//! PersistentVolumeClaim.

use drydock_machinery::quantity::Quantity;
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value};

use super::volume::{unsupported_modes, volume_mode};
use crate::check::{
    IMMUTABLE, dns_label, dns_subdomain, is_native_resource, label_selector, non_negative_whole,
    positive_quantity, qualified_name, required, resource_quantity_value,
};
use crate::kind::{Kind, Step};
use crate::pod::defaults;
use crate::shape::{default, has, keep, present, same, same_of, shown};
use crate::{Context, go_form, table};

pub(super) static KIND: Kind = Kind {
    update: &[Step::MetaChange, Step::Meta, Step::Body, Step::Change],
    status: true,
    defaults: |object| {
        defaults::claim_spec(object.at_mut(&["spec"]));
        defaults::round_lists(object, &[&["status", "capacity"], &["status", "allocatedResources"]]);
        default(object, &["status", "phase"], "Pending");
    },
    prepare_create: |_, object| {
        object.set(&["status", "phase"], "Pending");
        normalize_sources(object.at_mut(&["spec"]), None);
    },
    prepare_update: |context, object, old| {
        if context.subresource.is_empty() {
            keep(object, old, &["status"]);
            normalize_sources(object.at_mut(&["spec"]), old.get("spec"));
        }
    },
    validate: |errors, _, object, old| {
        let groups = |old: &Value| {
            ["dataSource", "dataSourceRef"].iter().any(|at| has(old, &["spec", at, "apiGroup"]))
        };
        let any_group = old.is_some_and(groups);
        validate_spec(errors, &shown(object, &["spec"]), any_group, &FieldPath::new("spec"));
    },
    validate_change,
    validate_status,
    warnings: |object, _| {
        let mut out: Vec<String> = class_warning(object).into_iter().collect();
        out.extend(crate::pod::warnings::claim_spec(&shown(object, &["spec"]), &FieldPath::new("spec")));
        out
    },
    cells: table::persistent_volume_claim,
    ..Kind::new("", "persistentvolumeclaims")
};

/// `EnforceDataSourceBackwardsCompatibility` and `NormalizeDataSources`.
fn normalize_sources(spec: &mut Value, old: Option<&Value>) {
    // Other namespaces' sources are an alpha feature: what has none yet gets none.
    let elsewhere = |spec: &Value| !spec.str_at(&["dataSourceRef", "namespace"]).is_empty();
    if elsewhere(spec) && !old.is_some_and(elsewhere) {
        spec.remove(&["dataSourceRef"]);
    }
    let had = old.is_some_and(|old| has(old, &["dataSource"]) || has(old, &["dataSourceRef"]));
    if !had && !has(spec, &["dataSourceRef"]) {
        drop_unknown_source(spec);
    }
    data_source_both(spec);
}

/// A source that is neither a claim nor a snapshot is dropped, as it always was.
fn drop_unknown_source(spec: &mut Value) {
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

/// `ValidatePersistentVolumeClaimSpec`, also of templates of claims. A claim that had a group may keep a bad one.
pub(crate) fn validate_spec(errors: &mut FieldErrors, spec: &Value, any_group: bool, path: &FieldPath) {
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
        Some(amount) => positive_quantity(errors, amount, &storage),
    }
    let class = spec.str_at(&["storageClassName"]);
    if !class.is_empty() {
        dns_subdomain(errors, class, &path.child("storageClassName"));
    }
    volume_mode(errors, spec, path);
    for field in ["dataSource", "dataSourceRef"] {
        if let Some(source) = present(spec, &[field]) {
            data_source(errors, source, any_group, &path.child(field));
        }
    }
    sources_agree(errors, spec, path);
    let class = spec.str_at(&["volumeAttributesClassName"]);
    if !class.is_empty() {
        dns_subdomain(errors, class, &path.child("volumeAttributesClassName"));
    }
}

fn data_source(errors: &mut FieldErrors, source: &Value, any_group: bool, path: &FieldPath) {
    required(errors, source, &["name", "kind"], path);
    let (group, kind) = (source.str_at(&["apiGroup"]), source.str_at(&["kind"]));
    if group.is_empty() && kind != "PersistentVolumeClaim" {
        errors.invalid(path, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
    }
    if !group.is_empty() && !any_group {
        dns_subdomain(errors, group, &path.child("apiGroup"));
    }
    let namespace = source.str_at(&["namespace"]);
    if !namespace.is_empty() {
        dns_label(errors, namespace, &path.child("namespace"));
    }
}

/// The old field says what the new one says, unless that names another namespace. Upstream shows the field's path,
/// which is an empty struct to JSON.
fn sources_agree(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let (Some(source), Some(reference)) = (present(spec, &["dataSource"]), present(spec, &["dataSourceRef"]))
    else {
        return;
    };
    let shown = Value::object();
    if !reference.str_at(&["namespace"]).is_empty() {
        errors.invalid(path, shown, "may not be specified when dataSourceRef.namespace is specified");
    } else if ["apiGroup", "kind", "name"].iter().any(|field| !same(source.get(field), reference.get(field)))
    {
        errors.invalid(path, shown, "must match dataSourceRef");
    }
}

fn validate_change(errors: &mut FieldErrors, object: &Value, old: &Value) {
    let path = FieldPath::new("spec");
    let (spec, before) = (shown(object, &["spec"]), shown(old, &["spec"]));
    let mut munged = spec.clone();
    let mut expected = before.clone();
    // The binder may fill in the volume, once.
    if before.str_at(&["volumeName"]).is_empty() {
        keep(&mut expected, &spec, &["volumeName"]);
    }
    class_upgrade(errors, object, old, &mut munged);
    if object.str_at(&["status", "phase"]) == "Bound" {
        if has(&munged, &["resources", "requests"]) {
            keep(&mut munged, &before, &["resources", "requests", "storage"]);
        }
        keep(&mut munged, &before, &["volumeAttributesClassName"]);
    }
    if !same_of("core.v1.PersistentVolumeClaimSpec", Some(&munged), Some(&expected)) {
        let difference = go_form::difference("PersistentVolumeClaimSpec", &expected, &munged);
        let detail = format!(
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n{difference}"
        );
        errors.forbidden(&path, detail);
    }
    shrinking(errors, object, old, &path);
    if !same(spec.get("volumeMode"), before.get("volumeMode")) {
        errors.invalid(&FieldPath::new("volumeMode"), shown(&spec, &["volumeMode"]), IMMUTABLE);
    }
    attributes_class(errors, &spec, &before, old, &path.child("volumeAttributesClassName"));
}

/// A class that is in effect is not given up.
fn attributes_class(errors: &mut FieldErrors, spec: &Value, before: &Value, old: &Value, path: &FieldPath) {
    let class = "volumeAttributesClassName";
    if same(spec.get(class), before.get(class)) || !has(old, &["status", "currentVolumeAttributesClassName"])
    {
        return;
    }
    let what = match spec.get(class).and_then(Value::as_str) {
        None => "nil",
        Some("") => "empty string",
        Some(_) => return,
    };
    let detail =
        format!("update to {what} is forbidden when status.currentVolumeAttributesClassName is not nil");
    errors.forbidden(path, detail);
}

/// Where the class of a claim or a volume was before it had a field.
pub(crate) const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

pub(super) fn class_warning(object: &Value) -> Option<String> {
    object.annotation(CLASS_ANNOTATION)?;
    let path = FieldPath::new("metadata").child("annotations").key(CLASS_ANNOTATION);
    Some(format!("{path}: deprecated since v1.8; use \"storageClassName\" attribute instead"))
}

/// A class may move from the annotation that it once was into the field, or be given to a claim without one.
fn class_upgrade(errors: &mut FieldErrors, object: &Value, old: &Value, munged: &mut Value) {
    let at = &["spec", "storageClassName"];
    let (new, before) = (object.annotation(CLASS_ANNOTATION), old.annotation(CLASS_ANNOTATION));
    let class = present(object, at).and_then(Value::as_str);
    let unset = !has(old, at) && class.is_some();
    if unset && before.is_some() && class == before && (new.is_none() || new == before) {
        munged.remove(&["storageClassName"]);
        return;
    }
    if new != before {
        let path = FieldPath::new("metadata").child("annotations").child(CLASS_ANNOTATION);
        errors.invalid(&path, new.unwrap_or(""), IMMUTABLE);
    }
    if unset && (before.is_none() || class == before) {
        munged.remove(&["storageClassName"]);
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

const RESIZE_STATES: [&str; 5] = [
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];

fn validate_status(errors: &mut FieldErrors, _: &Context<'_>, object: &Value, _: &Value) {
    let path = FieldPath::new("status");
    if object.array_at(&["spec", "accessModes"]).is_empty() {
        errors.required(&FieldPath::new("Spec").child("accessModes"), "");
    }
    for (name, amount) in object.object_at(&["status", "capacity"]).iter() {
        non_negative_whole(errors, amount, &path.child("capacity").key(name));
    }
    let states = path.child("allocatedResourceStatuses");
    for (name, state) in object.object_at(&["status", "allocatedResourceStatuses"]).iter() {
        resource_key(errors, name, &states);
        if !state.as_str().is_some_and(|state| RESIZE_STATES.contains(&state)) {
            errors.not_supported(&states, name.as_str(), &RESIZE_STATES);
        }
    }
    let allocated = path.child("allocatedResources");
    for (name, amount) in object.object_at(&["status", "allocatedResources"]).iter() {
        let before = errors.len();
        resource_key(errors, name, &allocated);
        if errors.len() > before {
            continue;
        }
        let path = allocated.key(name);
        non_negative_whole(errors, amount, &path);
        if errors.len() == before {
            resource_quantity_value(errors, "storage", amount, &path);
        }
    }
}

/// What a claim can have allocated: storage, and things of others.
fn resource_key(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    let before = errors.len();
    qualified_name(errors, name, path);
    if errors.len() == before && is_native_resource(name) && name != "storage" {
        errors.not_supported(path, name, &["storage"]);
    }
}
