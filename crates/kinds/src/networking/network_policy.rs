//! NetworkPolicy.

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use super::GROUP;
use crate::check::{IntOrPercent, int_or_percent, label_selector, net, one_of, port_number};
use crate::kind::Kind;
use crate::shape::{default, default_nil, each_mut, has, is_zero, present, shown};
use crate::table;

pub(super) static KIND: Kind = Kind {
    generation: true,
    defaults: set_defaults,
    validate: |errors, _, object| validate(errors, object),
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
            each_mut(rule, &["ports"], |port| default(port, &["protocol"], "TCP"));
        });
    }
}

fn validate(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec");
    let spec = shown(object, &["spec"]);
    label_selector(errors, &shown(&spec, &["podSelector"]), &path.child("podSelector"));
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for (i, rule) in spec.array_at(&[direction]).iter().enumerate() {
            let path = path.child(direction).index(i);
            for (j, port) in rule.array_at(&["ports"]).iter().enumerate() {
                validate_port(errors, port, &path.child("ports").index(j));
            }
            for (j, peer) in rule.array_at(&[peers]).iter().enumerate() {
                validate_peer(errors, peer, &path.child(peers).index(j));
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
        one_of(errors, policy_type, &["Egress", "Ingress"], &path.child("policyTypes").index(i));
    }
}

fn validate_port(errors: &mut FieldErrors, port: &Value, path: &FieldPath) {
    let protocol = port.str_at(&["protocol"]);
    if has(port, &["protocol"]) && !["SCTP", "TCP", "UDP"].contains(&protocol) {
        errors.not_supported(&path.child("protocol"), protocol, &["SCTP", "TCP", "UDP"]);
    }
    let number = int_or_percent(port.get("port"));
    match number {
        Some(IntOrPercent::Int(number)) => port_number(errors, number, &path.child("port")),
        Some(IntOrPercent::Text(name)) => {
            names::invalid_each(errors, &path.child("port"), name, names::is_valid_port_name(name));
        }
        None => {}
    }
    if let Some(end) = port.i64_at(&["endPort"]) {
        let path = path.child("endPort");
        match number {
            None => errors.required(&path, "must be specified when `endPort` is specified"),
            Some(IntOrPercent::Int(start)) => {
                if end < start {
                    errors.invalid(&path, end, "must be greater than or equal to `port`");
                }
                port_number(errors, end, &path);
            }
            Some(IntOrPercent::Text(_)) => {
                errors.invalid(&path, end, "may not be specified when `port` is non-numeric");
            }
        }
    }
}

fn validate_peer(errors: &mut FieldErrors, peer: &Value, path: &FieldPath) {
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
        validate_block(errors, block, &path.child("ipBlock"));
    }
    if found == 0 {
        errors.required(path, "must specify a peer");
    } else if found > 1 && block.is_some() {
        errors.forbidden(path, "may not specify both ipBlock and another peer");
    }
}

fn validate_block(errors: &mut FieldErrors, block: &Value, path: &FieldPath) {
    let cidr = block.str_at(&["cidr"]);
    if cidr.is_empty() {
        errors.required(&path.child("cidr"), "");
        return;
    }
    net::cidr(errors, cidr, &path.child("cidr"));
    let Some((_, length)) = net::parse_cidr(cidr) else { return };
    for (i, except) in block.array_at(&["except"]).iter().filter_map(Value::as_str).enumerate() {
        let path = path.child("except").index(i);
        net::cidr(errors, except, &path);
        if let Some((_, inner)) = net::parse_cidr(except)
            && inner <= length
        {
            errors.invalid(&path, except, "must be a strict subset of `cidr`");
        }
    }
}
