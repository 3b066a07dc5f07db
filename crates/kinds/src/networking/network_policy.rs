//! NetworkPolicy.

use drydock_machinery::{FieldErrors, FieldPath, Value};

use super::GROUP;
use crate::check::{
    IntOrPercent, PROTOCOLS, int_or_percent, label_selector, net, one_of_given, port_name, port_number,
};
use crate::kind::Kind;
use crate::shape::{default_nil, each_mut, is_zero, present, shown};
use crate::table;

pub(super) static KIND: Kind = Kind {
    generation: true,
    empty_is_changed: true,
    defaults: set_defaults,
    validate: |errors, _, object, old| validate(errors, object, old),
    warnings,
    cells: table::network_policy,
    ..Kind::new(GROUP, "networkpolicies")
};

fn set_defaults(object: &mut Value) {
    let spec = object.at_mut(&["spec"]);
    default_nil(spec, &["podSelector"], Value::object());
    if is_zero(spec.get("policyTypes")) {
        let mut types = vec![Value::from("Ingress")];
        if !spec.array_at(&["egress"]).is_empty() {
            types.push("Egress".into());
        }
        spec.set(&["policyTypes"], types);
    }
    for direction in ["ingress", "egress"] {
        each_mut(spec, &[direction], |rule| {
            each_mut(rule, &["ports"], |port| default_nil(port, &["protocol"], "TCP"));
        });
    }
}

fn validate(errors: &mut FieldErrors, object: &Value, old: Option<&Value>) {
    let path = FieldPath::new("spec");
    let spec = shown(object, &["spec"]);
    let before = old.map(networks).unwrap_or_default();
    label_selector(errors, &shown(&spec, &["podSelector"]), &path.child("podSelector"));
    for (direction, peers) in DIRECTIONS {
        for (i, rule) in spec.array_at(&[direction]).iter().enumerate() {
            let path = path.child(direction).index(i);
            for (j, port) in rule.array_at(&["ports"]).iter().enumerate() {
                validate_port(errors, port, &path.child("ports").index(j));
            }
            for (j, peer) in rule.array_at(&[peers]).iter().enumerate() {
                validate_peer(errors, peer, &before, &path.child(peers).index(j));
            }
        }
    }
    let types = spec.array_at(&["policyTypes"]);
    if types.len() > 2 {
        let detail = "may not specify more than two policyTypes";
        errors.invalid(&path.child("policyTypes"), shown(&spec, &["policyTypes"]), detail);
        return;
    }
    for (i, policy_type) in types.iter().filter_map(Value::as_str).enumerate() {
        let path = path.child("policyTypes").index(i);
        one_of_given(errors, policy_type, &["Ingress", "Egress"], &path);
    }
}

const DIRECTIONS: [(&str, &str); 2] = [("ingress", "from"), ("egress", "to")];

/// The networks that a policy names; an update may keep a malformed one.
fn networks(object: &Value) -> Vec<&str> {
    let mut out = Vec::new();
    for (direction, peers) in DIRECTIONS {
        let rules = object.array_at(&["spec", direction]).iter();
        for block in rules.flat_map(|rule| rule.array_at(&[peers])).filter_map(|peer| peer.get("ipBlock")) {
            out.push(block.str_at(&["cidr"]));
            out.extend(block.array_at(&["except"]).iter().filter_map(Value::as_str));
        }
    }
    out
}

fn validate_port(errors: &mut FieldErrors, port: &Value, path: &FieldPath) {
    if let Some(protocol) = port.get("protocol").and_then(Value::as_str)
        && !PROTOCOLS.contains(&protocol)
    {
        errors.not_supported(&path.child("protocol"), protocol, &["TCP", "UDP", "SCTP"]);
    }
    let end = port.i64_at(&["endPort"]);
    let (at, end_at) = (path.child("port"), path.child("endPort"));
    match (int_or_percent(port.get("port")), end) {
        (Some(IntOrPercent::Int(number)), end) => {
            port_number(errors, number, &at);
            if let Some(end) = end {
                if end < number {
                    errors.invalid(&end_at, number, "must be greater than or equal to `port`");
                }
                port_number(errors, end, &end_at);
            }
        }
        (Some(IntOrPercent::Text(name)), end) => {
            if let Some(end) = end {
                errors.invalid(&end_at, end, "may not be specified when `port` is non-numeric");
            }
            port_name(errors, name, &at);
        }
        (None, Some(end)) => {
            errors.invalid(&end_at, end, "may not be specified when `port` is not specified");
        }
        (None, None) => {}
    }
}

fn validate_peer(errors: &mut FieldErrors, peer: &Value, before: &[&str], path: &FieldPath) {
    let mut found = 0;
    for field in ["podSelector", "namespaceSelector"] {
        if let Some(selector) = present(peer, &[field]) {
            found += 1;
            label_selector(errors, selector, &path.child(field));
        }
    }
    let block = present(peer, &["ipBlock"]);
    if let Some(block) = block {
        found += 1;
        validate_block(errors, block, before, &path.child("ipBlock"));
    }
    if found == 0 {
        errors.required(path, "must specify a peer");
    } else if found > 1 && block.is_some() {
        errors.forbidden(path, "may not specify both ipBlock and another peer");
    }
}

fn validate_block(errors: &mut FieldErrors, block: &Value, before: &[&str], path: &FieldPath) {
    let cidr = block.str_at(&["cidr"]);
    if cidr.is_empty() {
        errors.required(&path.child("cidr"), "");
        return;
    }
    net::cidr_unless(errors, cidr, before, &path.child("cidr"));
    let Some(network) = net::parse_cidr(cidr) else { return };
    for (i, except) in block.array_at(&["except"]).iter().filter_map(Value::as_str).enumerate() {
        let path = path.child("except").index(i);
        net::cidr_unless(errors, except, before, &path);
        let inside =
            |inner: (std::net::IpAddr, u8)| net::contains(network, net::masked(inner)) && network.1 < inner.1;
        if net::parse_cidr(except).is_some_and(|inner| !inside(inner)) {
            errors.invalid(&path, except, "must be a strict subset of `cidr`");
        }
    }
}

/// `networkPolicyWarnings`.
fn warnings(object: &Value, _: Option<&Value>) -> Vec<String> {
    let mut out = Vec::new();
    for (direction, peers) in DIRECTIONS {
        for (i, rule) in object.array_at(&["spec", direction]).iter().enumerate() {
            for (j, peer) in rule.array_at(&[peers]).iter().enumerate() {
                let path =
                    FieldPath::new("spec").child(direction).index(i).child(peers).index(j).child("ipBlock");
                let Some(block) = present(peer, &["ipBlock"]) else { continue };
                net::cidr_warnings(&mut out, block.str_at(&["cidr"]), &path.child("cidr"));
                for (k, except) in block.array_at(&["except"]).iter().filter_map(Value::as_str).enumerate() {
                    net::cidr_warnings(&mut out, except, &path.child("except").index(k));
                }
            }
        }
    }
    out
}
