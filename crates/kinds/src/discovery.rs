//! discovery.k8s.io: EndpointSlice.

use std::collections::HashSet;

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::check::{dns_label, immutable, net, port_number};
use crate::kind::Kind;
use crate::shape::{default_nil, each_mut, present, shown};
use crate::table;

pub(crate) const KINDS: &[&Kind] = &[&SLICE];

static SLICE: Kind = Kind {
    generation: true,
    spec_changed: Some(|object, old| {
        ["addressType", "endpoints", "ports"]
            .iter()
            .any(|field| !crate::shape::same(object.get(field), old.get(field)))
            || !crate::shape::same(object.at(&["metadata", "labels"]), old.at(&["metadata", "labels"]))
    }),
    defaults: |object| {
        each_mut(object, &["ports"], |port| {
            default_nil(port, &["name"], "");
            default_nil(port, &["protocol"], "TCP");
        });
        each_mut(object, &["endpoints"], |endpoint| default_nil(endpoint, &["conditions"], Value::object()));
        for field in ["endpoints", "ports"] {
            if object.get(field).is_none() {
                object.set(&[field], Value::Null);
            }
        }
    },
    validate: |errors, _, object| validate(errors, object),
    validate_update: Some(|errors, _, object, old| {
        validate(errors, object);
        immutable(errors, object, old, &["addressType"], &FieldPath::new("addressType"));
    }),
    cells: table::endpoint_slice,
    ..Kind::new("discovery.k8s.io", "endpointslices")
};

const ADDRESS_TYPES: [&str; 3] = ["FQDN", "IPv4", "IPv6"];

fn validate(errors: &mut FieldErrors, object: &Value) {
    let address_type = object.str_at(&["addressType"]);
    let path = FieldPath::new("addressType");
    if address_type.is_empty() {
        errors.required(&path, "");
    } else if !ADDRESS_TYPES.contains(&address_type) {
        errors.not_supported(&path, address_type, &ADDRESS_TYPES);
    }
    let endpoints = object.array_at(&["endpoints"]);
    if endpoints.len() > 1000 {
        errors.too_many(&FieldPath::new("endpoints"), endpoints.len(), 1000);
    }
    for (i, endpoint) in endpoints.iter().enumerate() {
        validate_endpoint(errors, endpoint, address_type, &FieldPath::new("endpoints").index(i));
    }
    ports(errors, object.array_at(&["ports"]));
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
        validate_address(errors, address, address_type, &at.index(i));
    }
    let node = endpoint.str_at(&["nodeName"]);
    if !node.is_empty() {
        names::invalid_each(errors, &path.child("nodeName"), node, names::is_dns1123_subdomain(node));
    }
    if let Some(hostname) = present(endpoint, &["hostname"]).and_then(Value::as_str) {
        dns_label(errors, hostname, &path.child("hostname"));
    }
    names::validate_labels(
        errors,
        endpoint.object_at(&["deprecatedTopology"]),
        &path.child("deprecatedTopology"),
    );
    let zones = endpoint.array_at(&["hints", "forZones"]);
    let mut seen = HashSet::new();
    for (i, zone) in zones.iter().enumerate() {
        let name = zone.str_at(&["name"]);
        let path = path.child("hints").child("forZones").index(i).child("name");
        if !seen.insert(name) {
            errors.duplicate(&path, name);
        }
        names::invalid_each(errors, &path, name, names::is_valid_label_value(name));
    }
}

fn validate_address(errors: &mut FieldErrors, address: &str, address_type: &str, path: &FieldPath) {
    let ip = net::parse_ip(address);
    match address_type {
        "IPv4" => match ip {
            Some(ip) if ip.is_ipv4() => net::non_special_ip(errors, address, path),
            _ => errors.invalid(path, address, "must be an IPv4 address"),
        },
        "IPv6" => match ip {
            Some(ip) if ip.is_ipv6() => net::non_special_ip(errors, address, path),
            _ => errors.invalid(path, address, "must be an IPv6 address"),
        },
        "FQDN" => {
            let name = address.strip_suffix('.').unwrap_or(address);
            let wrong = names::is_dns1123_subdomain(name);
            if !wrong.is_empty() {
                errors.invalid(path, name, wrong.join(","));
            } else if name.split('.').count() < 2 {
                errors.invalid(path, name, "should be a domain with at least two segments separated by dots");
            }
        }
        _ => {}
    }
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
        if let Some(number) = port.i64_at(&["port"]) {
            port_number(errors, number, &path.child("port"));
        }
        let protocol = shown(port, &["protocol"]);
        match protocol.as_str() {
            None => errors.required(&path.child("protocol"), ""),
            Some(protocol) if !["SCTP", "TCP", "UDP"].contains(&protocol) => {
                errors.not_supported(&path.child("protocol"), protocol, &["SCTP", "TCP", "UDP"]);
            }
            Some(_) => {}
        }
        if let Some(protocol) = present(port, &["appProtocol"]).and_then(Value::as_str) {
            names::invalid_each(
                errors,
                &path.child("appProtocol"),
                protocol,
                names::is_qualified_name(protocol),
            );
        }
    }
}
