//! What a claim was given, and who uses it: `validateResourceClaimStatusUpdate`.

use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value};

use super::device::binding_conditions;
use super::parts;
use crate::check::{IMMUTABLE, conditions, csi_driver_name, dns_label, net, one_of};
use crate::go_form;
use crate::pod::scheduling::node_selector;
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
                errors.invalid(&path, go_form::of("AllocationResult", now), IMMUTABLE);
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
        share(errors, device, path);
        if !given.contains(&identity(device)) {
            errors.invalid(path, shown(device), "must be an allocated device in the claim");
        }
        let reported = device.array_at(&["conditions"]);
        if reported.len() > 8 {
            errors.too_many(&path.child("conditions"), reported.len(), 8);
        }
        conditions(errors, reported, &path.child("conditions"));
        if has(device, &["data"]) {
            parts::raw_object(errors, device.get("data"), false, &path.child("data"));
        }
        if let Some(network) = present(device, &["networkData"]) {
            network_data(errors, network, &path.child("networkData"));
        }
    });
}

/// `validateUID` of a share of a device, in its normal form.
fn share(errors: &mut FieldErrors, holder: &Value, path: &FieldPath) {
    let Some(id) = present(holder, &["shareID"]).and_then(Value::as_str) else { return };
    if let Some(why) = no_uuid(id) {
        errors.invalid(&path.child("shareID"), id, format!("error validating uid: {why}"));
    } else if id.len() != 36 || id.contains(|c: char| c.is_ascii_uppercase()) {
        let detail = "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters";
        errors.invalid(&path.child("shareID"), id, detail);
    }
}

/// Why a text is none of the forms that Go's `uuid.Validate` knows.
fn no_uuid(text: &str) -> Option<String> {
    let are_hex = |text: &[u8]| text.iter().all(u8::is_ascii_hexdigit);
    let bytes = text.as_bytes();
    let plain = match bytes.len() {
        32 => return (!are_hex(bytes)).then(|| "invalid UUID format".to_owned()),
        36 => bytes,
        38 if bytes.starts_with(b"{") && bytes.ends_with(b"}") => &bytes[1..37],
        38 => return Some("invalid bracketed UUID format".to_owned()),
        45 if bytes[..9].eq_ignore_ascii_case(b"urn:uuid:") => &bytes[9..],
        45 => return Some(format!("invalid urn prefix: {:?}", String::from_utf8_lossy(&bytes[..9]))),
        length => return Some(format!("invalid UUID length: {length}")),
    };
    let is_dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    let fits = plain.iter().enumerate().all(|(at, b)| if is_dash(at) { *b == b'-' } else { are_hex(&[*b]) });
    (!fits).then(|| "invalid UUID format".to_owned())
}

fn network_data(errors: &mut FieldErrors, network: &Value, path: &FieldPath) {
    for (field, most) in [("interfaceName", 256), ("hardwareAddress", 128)] {
        if network.str_at(&[field]).len() > most {
            errors.too_long(&path.child(field), most);
        }
    }
    let key = |ip: &'_ Value| (ip.as_str().unwrap_or("").to_owned(), ip.clone());
    parts::set(errors, network.array_at(&["ips"]), 16, &path.child("ips"), key, |errors, ip, path| {
        net::interface_address(errors, ip.as_str().unwrap_or(""), path);
    });
}

/// `dropDeallocatedStatusDevices`: what is no longer allocated is no longer reported.
pub(super) fn drop_deallocated(object: &mut Value, old: &Value) {
    let results = &["status", "allocation", "devices", "results"];
    let now: Vec<[String; 4]> = object.array_at(results).iter().map(identity).collect();
    let gone: Vec<[String; 4]> =
        old.array_at(results).iter().map(identity).filter(|device| !now.contains(device)).collect();
    let reported = object.array_at(&["status", "devices"]);
    let kept: Vec<Value> =
        reported.iter().filter(|device| !gone.contains(&identity(device))).cloned().collect();
    if kept.is_empty() {
        object.remove(&["status", "devices"]);
    } else if kept.len() < reported.len() {
        object.set(&["status", "devices"], kept);
    }
}

fn allocation(errors: &mut FieldErrors, allocation: &Value, devices: &Value, path: &FieldPath) {
    let at = path.child("devices");
    let results = allocation.array_at(&["devices", "results"]);
    parts::each(errors, results, 32, &at.child("results"), |errors, result, path| {
        parts::request_reference(errors, devices, result.str_at(&["request"]), &path.child("request"));
        csi_driver_name(errors, result.str_at(&["driver"]), &path.child("driver"));
        parts::pool_name(errors, result.str_at(&["pool"]), &path.child("pool"));
        dns_label(errors, result.str_at(&["device"]), &path.child("device"));
        binding_conditions(errors, result, path);
        share(errors, result, path);
    });
    let configs = allocation.array_at(&["devices", "config"]);
    parts::each(errors, configs, 64, &at.child("config"), |errors, config, path| {
        one_of(errors, config.str_at(&["source"]), &["FromClaim", "FromClass"], &path.child("source"));
        parts::request_references(errors, devices, config, path);
        parts::configuration(errors, config, false, path);
    });
    if let Some(selector) = present(allocation, &["nodeSelector"]) {
        node_selector(errors, selector, &path.child("nodeSelector"));
    }
}

#[cfg(test)]
mod tests {
    use super::no_uuid;

    #[test]
    fn uuids_have_four_forms() {
        let plain = "00000000-0000-4000-8000-00000000000a";
        for good in
            [plain.to_owned(), plain.replace('-', ""), format!("{{{plain}}}"), format!("URN:UUID:{plain}")]
        {
            assert_eq!(no_uuid(&good), None, "{good}");
        }
        for (wrong, why) in [
            ("x".to_owned(), "invalid UUID length: 1"),
            (plain.replace('a', "g"), "invalid UUID format"),
            (plain.replace('-', "0"), "invalid UUID format"),
            (format!("({plain})"), "invalid bracketed UUID format"),
            (format!("urn:uuiD-{plain}"), "invalid urn prefix: \"urn:uuiD-\""),
        ] {
            assert_eq!(no_uuid(&wrong).as_deref(), Some(why), "{wrong}");
        }
    }
}
