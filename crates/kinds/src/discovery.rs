//! discovery.k8s.io: EndpointSlice.

use std::collections::HashSet;

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value};

use crate::check::{
    PROTOCOLS, dns_label, dns_subdomain, immutable, label_value, net, one_of, one_of_at, qualified_name,
};
use crate::kind::{Kind, NEW_AND_CHANGED};
use crate::shape::{default_nil, default_null, each_mut, has, present, same};
use crate::table;

pub(crate) const KINDS: &[&Kind] = &[&SLICE];

static SLICE: Kind = Kind {
    update: NEW_AND_CHANGED,
    generation: true,
    spec_changed: Some(|object, old| {
        ["addressType", "endpoints", "ports"].iter().any(|field| !same(object.get(field), old.get(field)))
            || !same(object.at(&["metadata", "labels"]), old.at(&["metadata", "labels"]))
    }),
    defaults: |object| {
        each_mut(object, &["ports"], |port| {
            default_nil(port, &["name"], "");
            default_nil(port, &["protocol"], "TCP");
        });
        each_mut(object, &["endpoints"], |endpoint| default_nil(endpoint, &["conditions"], Value::object()));
        default_null(object, &["endpoints", "ports"]);
    },
    prepare_create: |_, object| drop_topology(object, None),
    prepare_update: |_, object, old| drop_topology(object, Some(old)),
    validate: |errors, _, object, old| validate(errors, object, old),
    validate_change: |errors, object, old| immutable(errors, object, old, &["addressType"]),
    cells: table::endpoint_slice,
    warnings,
    ..Kind::new("discovery.k8s.io", "endpointslices")
};

/// `dropTopologyOnV1`: clients of v1 do not write the topology of before.
fn drop_topology(object: &mut Value, old: Option<&Value>) {
    if old.is_none_or(|old| !same(old.get("endpoints"), object.get("endpoints"))) {
        each_mut(object, &["endpoints"], |endpoint| {
            endpoint.remove(&["deprecatedTopology"]);
        });
    }
}

const ADDRESS_TYPES: [&str; 3] = ["FQDN", "IPv4", "IPv6"];

fn validate(errors: &mut FieldErrors, object: &Value, old: Option<&Value>) {
    let address_type = object.str_at(&["addressType"]);
    one_of(errors, address_type, &ADDRESS_TYPES, &FieldPath::new("addressType"));
    ports(errors, object.array_at(&["ports"]));
    // What was let pass once stays.
    if old.is_some_and(|old| same(old.get("endpoints"), object.get("endpoints"))) {
        return;
    }
    let endpoints = object.array_at(&["endpoints"]);
    if endpoints.len() > 1000 {
        errors.too_many(&FieldPath::new("endpoints"), endpoints.len(), 1000);
        return;
    }
    for (i, endpoint) in endpoints.iter().enumerate() {
        validate_endpoint(errors, endpoint, address_type, &FieldPath::new("endpoints").index(i));
    }
}

fn validate_endpoint(errors: &mut FieldErrors, endpoint: &Value, address_type: &str, path: &FieldPath) {
    let addresses = endpoint.array_at(&["addresses"]);
    let at = path.child("addresses");
    if addresses.is_empty() {
        errors.required(&at, "must contain at least 1 address");
    } else if addresses.len() > 100 {
        errors.too_many(&at, addresses.len(), 100);
    }
    for (i, address) in addresses.iter().filter_map(Value::as_str).enumerate() {
        validate_address(errors, address, address_type, &at, &at.index(i));
    }
    if let Some(node) = present(endpoint, &["nodeName"]).and_then(Value::as_str) {
        dns_subdomain(errors, node, &path.child("nodeName"));
    }
    if let Some(hostname) = present(endpoint, &["hostname"]).and_then(Value::as_str) {
        dns_label(errors, hostname, &path.child("hostname"));
    }
    let path = path.child("hints");
    if hints(errors, endpoint, "forZones", label_value, &path.child("forZones")) {
        hints(errors, endpoint, "forNodes", dns_subdomain, &path.child("forNodes"));
    }
}

/// Whether there are not too many of them.
fn hints(
    errors: &mut FieldErrors,
    endpoint: &Value,
    field: &str,
    check: fn(&mut FieldErrors, &str, &FieldPath),
    path: &FieldPath,
) -> bool {
    let hints = endpoint.array_at(&["hints", field]);
    if hints.len() > 8 {
        errors.too_many(path, hints.len(), 8);
        return false;
    }
    let mut seen = HashSet::new();
    for (i, hint) in hints.iter().enumerate() {
        let name = hint.str_at(&["name"]);
        let path = path.index(i).child("name");
        if !seen.insert(name) {
            errors.duplicate(&path, name);
        }
        check(errors, name, &path);
    }
    true
}

fn validate_address(
    errors: &mut FieldErrors,
    address: &str,
    address_type: &str,
    list: &FieldPath,
    path: &FieldPath,
) {
    let before = errors.len();
    let v4 = match address_type {
        "IPv4" => {
            net::ip(errors, address, path);
            true
        }
        "IPv6" => {
            net::canonical_ip(errors, address, path);
            false
        }
        "FQDN" => {
            let name = address.strip_suffix('.').unwrap_or(address);
            let wrong = names::is_dns1123_subdomain(name);
            if name.is_empty() {
                errors.required(path, "");
            } else if !wrong.is_empty() {
                errors.invalid(path, name, wrong.join(","));
            } else if name.split('.').count() < 2 {
                errors.invalid(path, name, "should be a domain with at least two segments separated by dots");
            }
            return;
        }
        _ => return,
    };
    if errors.len() > before {
        return;
    }
    if net::parse_ip(address).is_some_and(|ip| ip.is_ipv4() != v4) {
        errors.invalid(list, address, format!("must be an {address_type} address"));
    }
    net::non_special_ip(errors, address, path);
}

fn ports(errors: &mut FieldErrors, ports: &[Value]) {
    let path = FieldPath::new("ports");
    if ports.len() > 20_000 {
        errors.too_many(&path, ports.len(), 20_000);
        return;
    }
    let mut seen = HashSet::new();
    for (i, port) in ports.iter().enumerate() {
        let path = path.index(i);
        let name = port.str_at(&["name"]);
        if !name.is_empty() {
            dns_label(errors, name, &path.child("name"));
        }
        if !seen.insert(name) {
            errors.duplicate(&path.child("name"), name);
        }
        if !has(port, &["protocol"]) {
            errors.required(&path.child("protocol"), "");
        }
        one_of_at(errors, port, "protocol", &PROTOCOLS, &path);
        if let Some(protocol) = present(port, &["appProtocol"]).and_then(Value::as_str) {
            qualified_name(errors, protocol, &path.child("appProtocol"));
        }
    }
}

fn warnings(slice: &Value, old: Option<&Value>) -> Vec<String> {
    const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
    // They only write down what others have written.
    const CONTROLLERS: [&str; 2] =
        ["endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"];
    let mut out = Vec::new();
    if slice.str_at(&["addressType"]) == "FQDN" && old.is_none() {
        out.push("spec.addressType: FQDN endpoints are deprecated".to_owned());
    }
    if slice.label(MANAGED_BY).is_some_and(|controller| CONTROLLERS.contains(&controller)) {
        return out;
    }
    for (i, endpoint) in slice.array_at(&["endpoints"]).iter().enumerate() {
        let path = FieldPath::new("endpoints").index(i).child("addresses");
        for (j, address) in endpoint.array_at(&["addresses"]).iter().filter_map(Value::as_str).enumerate() {
            net::ip_warnings(&mut out, address, &path.index(j));
        }
    }
    out
}
