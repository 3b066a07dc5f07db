//! Storage kinds.

use drydock_machinery::{ObjectMeta as _, Value};
use jiff::Timestamp;

use super::{age, plain, text_or};
use crate::core::claim::CLASS_ANNOTATION;
use crate::shape::{has, present};

/// `RWO,ROX,…` in upstream's order, each once.
fn access_modes(modes: &[Value]) -> String {
    const SHORT: [(&str, &str); 4] = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let given = |mode: &str| modes.iter().any(|given| given.as_str() == Some(mode));
    let short: Vec<&str> = SHORT.iter().filter(|(mode, _)| given(mode)).map(|(_, short)| *short).collect();
    short.join(",")
}

fn class_name<'a>(object: &'a Value, field: &str, annotation: &str) -> &'a str {
    object.annotation(annotation).unwrap_or_else(|| object.str_at(&["spec", field]))
}

fn attributes_class(object: &Value) -> &str {
    present(object, &["spec", "volumeAttributesClassName"]).and_then(Value::as_str).unwrap_or("<unset>")
}

pub(crate) fn persistent_volume(object: &Value, now: Timestamp) -> Vec<Value> {
    let claim = match present(object, &["spec", "claimRef"]) {
        Some(claim) => format!("{}/{}", claim.str_at(&["namespace"]), claim.str_at(&["name"])),
        None => String::new(),
    };
    let phase = if object.is_deleting() { "Terminating" } else { object.str_at(&["status", "phase"]) };
    vec![
        object.name().into(),
        plain(object.at(&["spec", "capacity", "storage"])).into(),
        access_modes(object.array_at(&["spec", "accessModes"])).into(),
        object.str_at(&["spec", "persistentVolumeReclaimPolicy"]).into(),
        phase.into(),
        claim.into(),
        class_name(object, "storageClassName", CLASS_ANNOTATION).into(),
        attributes_class(object).into(),
        object.str_at(&["status", "reason"]).into(),
        age(object, now),
        text_or(object.str_at(&["spec", "volumeMode"]), "<unset>").into(),
    ]
}

pub(crate) fn persistent_volume_claim(object: &Value, now: Timestamp) -> Vec<Value> {
    let phase = if object.is_deleting() { "Terminating" } else { object.str_at(&["status", "phase"]) };
    let bound = !object.str_at(&["spec", "volumeName"]).is_empty();
    let capacity = if bound {
        match present(object, &["status", "capacity", "storage"]) {
            Some(capacity) => plain(Some(capacity)),
            None => "0".to_owned(),
        }
    } else {
        String::new()
    };
    let modes = if bound { access_modes(object.array_at(&["status", "accessModes"])) } else { String::new() };
    vec![
        object.name().into(),
        phase.into(),
        object.str_at(&["spec", "volumeName"]).into(),
        capacity.into(),
        modes.into(),
        class_name(object, "storageClassName", CLASS_ANNOTATION).into(),
        attributes_class(object).into(),
        age(object, now),
        text_or(object.str_at(&["spec", "volumeMode"]), "<unset>").into(),
    ]
}

pub(crate) fn storage_class(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut name = object.name().to_owned();
    let is_default =
        ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
    if is_default.iter().any(|annotation| object.annotation(annotation) == Some("true")) {
        name.push_str(" (default)");
    }
    vec![
        name.into(),
        object.str_at(&["provisioner"]).into(),
        text_or(object.str_at(&["reclaimPolicy"]), "Delete").into(),
        text_or(object.str_at(&["volumeBindingMode"]), "Immediate").into(),
        object.bool_at(&["allowVolumeExpansion"]).into(),
        age(object, now),
    ]
}

pub(crate) fn volume_attributes_class(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![object.name().into(), object.str_at(&["driverName"]).into(), age(object, now)]
}

pub(crate) fn volume_attachment(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        object.name().into(),
        object.str_at(&["spec", "attacher"]).into(),
        object.str_at(&["spec", "source", "persistentVolumeName"]).into(),
        object.str_at(&["spec", "nodeName"]).into(),
        object.bool_at(&["status", "attached"]).into(),
        age(object, now),
    ]
}

pub(crate) fn csi_node(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![object.name().into(), object.array_at(&["spec", "drivers"]).len().into(), age(object, now)]
}

pub(crate) fn csi_driver(object: &Value, now: Timestamp) -> Vec<Value> {
    let modes: Vec<&str> =
        object.array_at(&["spec", "volumeLifecycleModes"]).iter().filter_map(Value::as_str).collect();
    let audiences: Vec<&str> =
        object.array_at(&["spec", "tokenRequests"]).iter().map(|token| token.str_at(&["audience"])).collect();
    let tokens =
        if has(object, &["spec", "tokenRequests"]) { audiences.join(",") } else { "<unset>".to_owned() };
    vec![
        object.name().into(),
        object.at(&["spec", "attachRequired"]).and_then(Value::as_bool).unwrap_or(true).into(),
        object.bool_at(&["spec", "podInfoOnMount"]).into(),
        object.bool_at(&["spec", "storageCapacity"]).into(),
        tokens.into(),
        object.bool_at(&["spec", "requiresRepublish"]).into(),
        text_or(&modes.join(","), "<none>").into(),
        age(object, now),
    ]
}
