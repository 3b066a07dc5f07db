//! Endpoints.

use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value};

use crate::check::{PROTOCOLS, dns_label, dns_subdomain, net, one_of, port_number, qualified_name};
use crate::kind::{CHANGED_THEN_NEW, Kind};
use crate::shape::{default, each_mut, present, same};
use crate::table;

pub(super) static KIND: Kind = Kind {
    update: CHANGED_THEN_NEW,
    put_creates: true,
    defaults: |object| {
        each_mut(object, &["subsets"], |subset| {
            each_mut(subset, &["ports"], |port| default(port, &["protocol"], "TCP"));
        });
    },
    validate: |errors, _, object, old| {
        // What was let pass once stays.
        if old.is_none_or(|old| !same(object.get("subsets"), old.get("subsets"))) {
            validate(errors, object);
        }
    },
    cells: table::endpoints,
    warnings: |object, _| warnings(object),
    ..Kind::new("", "endpoints")
};

fn validate(errors: &mut FieldErrors, object: &Value) {
    for (i, subset) in object.array_at(&["subsets"]).iter().enumerate() {
        let path = FieldPath::new("subsets").index(i);
        let (ready, not_ready) = (subset.array_at(&["addresses"]), subset.array_at(&["notReadyAddresses"]));
        if ready.is_empty() && not_ready.is_empty() {
            errors.required(&path, "must specify `addresses` or `notReadyAddresses`");
        }
        for (field, addresses) in [("addresses", ready), ("notReadyAddresses", not_ready)] {
            for (j, address) in addresses.iter().enumerate() {
                validate_address(errors, address, &path.child(field).index(j));
            }
        }
        let ports = subset.array_at(&["ports"]);
        for (j, port) in ports.iter().enumerate() {
            validate_port(errors, port, ports.len() > 1, &path.child("ports").index(j));
        }
    }
}

fn validate_address(errors: &mut FieldErrors, address: &Value, path: &FieldPath) {
    let ip = address.str_at(&["ip"]);
    net::ip(errors, ip, &path.child("ip"));
    let hostname = address.str_at(&["hostname"]);
    if !hostname.is_empty() {
        dns_label(errors, hostname, &path.child("hostname"));
    }
    if let Some(node) = present(address, &["nodeName"]).and_then(Value::as_str) {
        dns_subdomain(errors, node, &path.child("nodeName"));
    }
    net::non_special_ip(errors, ip, &path.child("ip"));
}

fn validate_port(errors: &mut FieldErrors, port: &Value, needs_name: bool, path: &FieldPath) {
    let name = port.str_at(&["name"]);
    if !name.is_empty() {
        dns_label(errors, name, &path.child("name"));
    } else if needs_name {
        errors.required(&path.child("name"), "");
    }
    port_number(errors, port.i64_at(&["port"]).unwrap_or(0), &path.child("port"));
    one_of(errors, port.str_at(&["protocol"]), &PROTOCOLS, &path.child("protocol"));
    if let Some(protocol) = present(port, &["appProtocol"]).and_then(Value::as_str) {
        qualified_name(errors, protocol, &path.child("appProtocol"));
    }
}

/// Addresses that are not written as they should be.
fn warnings(endpoints: &Value) -> Vec<String> {
    let mut out = Vec::new();
    // It only writes down what others have written.
    if endpoints.label("endpoints.kubernetes.io/managed-by") == Some("endpoint-controller") {
        return out;
    }
    for (i, subset) in endpoints.array_at(&["subsets"]).iter().enumerate() {
        for list in ["addresses", "notReadyAddresses"] {
            let path = FieldPath::new("subsets").index(i).child(list);
            for (j, address) in subset.array_at(&[list]).iter().enumerate() {
                net::ip_warnings(&mut out, address.str_at(&["ip"]), &path.index(j).child("ip"));
            }
        }
    }
    out
}
