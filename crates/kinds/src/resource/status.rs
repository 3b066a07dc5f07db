//! What a claim was given, and who uses it: `validateResourceClaimStatusUpdate`.

use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value};

use super::parts;
use crate::check::{IMMUTABLE, dns_label};
use crate::go_form;
use crate::pod::scheduling::node_selector;
use crate::pod::volumes::csi_driver_name;
use crate::shape::{has, present, same, shown};

pub(super) fn validate(errors: &mut FieldErrors, object: &Value, old: &Value) {
    let path = FieldPath::new("status");
    let (status, before) = (shown(object, &["status"]), shown(old, &["status"]));
    let consumers = path.child("reservedFor");
    let reserved = status.array_at(&["reservedFor"]);
    let uid = |consumer: &'_ Value| consumer.str_at(&["uid"]).to_owned();
    parts::set(
        errors,
        reserved,
        256,
        &consumers,
        |c| (uid(c), uid(c).into()),
        |errors, consumer, path| {
            for field in ["resource", "name", "uid"] {
                if consumer.str_at(&[field]).is_empty() {
                    errors.required(&path.child(field), "");
                }
            }
        },
    );
    devices(errors, &status, &path.child("devices"));
    if !reserved.is_empty() && !has(&status, &["allocation"]) {
        errors.forbidden(&consumers, "may not be specified when `allocated` is not set");
    } else if object.is_deleting() {
        let known = before.array_at(&["reservedFor"]);
        if reserved.iter().any(|consumer| !known.contains(consumer)) {
            let detail =
                "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
            errors.forbidden(&consumers, detail);
        }
    }
    let path = path.child("allocation");
    match (present(&status, &["allocation"]), has(&before, &["allocation"])) {
        (Some(now), true) => {
            if !same(Some(now), before.get("allocation")) {
                errors.invalid(&path, now.clone(), IMMUTABLE);
            }
        }
        (Some(now), false) => allocation(errors, now, &shown(object, &["spec", "devices"]), &path),
        (None, _) => {}
    }
}

fn identity(device: &Value) -> [String; 4] {
    ["driver", "pool", "device", "shareID"].map(|field| device.str_at(&[field]).to_owned())
}

/// Reports of drivers are of devices that the claim was given.
fn devices(errors: &mut FieldErrors, status: &Value, path: &FieldPath) {
    let given: Vec<[String; 4]> =
        status.array_at(&["allocation", "devices", "results"]).iter().map(identity).collect();
    let shown = |device: &Value| {
        let [driver, pool, name, share] = identity(device).map(Value::from);
        go_form::struct_of(&[("Driver", driver), ("Pool", pool), ("Device", name), ("ShareID", share)])
    };
    let key = |device: &'_ Value| (identity(device), shown(device));
    parts::set(errors, status.array_at(&["devices"]), usize::MAX, path, key, |errors, device, path| {
        csi_driver_name(errors, device.str_at(&["driver"]), &path.child("driver"));
        parts::pool_name(errors, device.str_at(&["pool"]), &path.child("pool"));
        dns_label(errors, device.str_at(&["device"]), &path.child("device"));
        if !given.contains(&identity(device)) {
            errors.invalid(path, shown(device), "must be an allocated device in the claim");
        }
    });
}

fn allocation(errors: &mut FieldErrors, allocation: &Value, devices: &Value, path: &FieldPath) {
    let at = path.child("devices");
    let results = allocation.array_at(&["devices", "results"]);
    if results.len() > 32 {
        errors.too_many(&at.child("results"), results.len(), 32);
    }
    for (i, result) in results.iter().enumerate() {
        let path = at.child("results").index(i);
        parts::request_reference(errors, devices, result.str_at(&["request"]), &path.child("request"));
        csi_driver_name(errors, result.str_at(&["driver"]), &path.child("driver"));
        parts::pool_name(errors, result.str_at(&["pool"]), &path.child("pool"));
        dns_label(errors, result.str_at(&["device"]), &path.child("device"));
    }
    let configs = allocation.array_at(&["devices", "config"]);
    if configs.len() > 64 {
        errors.too_many(&at.child("config"), configs.len(), 64);
    }
    for (i, config) in configs.iter().enumerate() {
        let path = at.child("config").index(i);
        match config.str_at(&["source"]) {
            "" => errors.required(&path.child("source"), ""),
            "FromClaim" | "FromClass" => {}
            other => errors.not_supported(&path.child("source"), other, &["FromClaim", "FromClass"]),
        }
        parts::request_references(errors, devices, config, &path);
        parts::configuration(errors, config, &path);
    }
    if let Some(selector) = present(allocation, &["nodeSelector"]) {
        node_selector(errors, selector, &path.child("nodeSelector"));
    }
}
