//! `ValidateService`.

mod ips;

use std::collections::HashSet;

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value};

use super::{kind_of, needs_internal_policy};
use crate::check::{
    IMMUTABLE, PROTOCOLS, dns_label, dns_subdomain, net, one_of, one_of_at, port_number, qualified_name,
};
use crate::go_form;
use crate::shape::{has, is_zero, present, same, shown};

/// `validateService`: on update, addresses that were there may stay.
pub(super) fn service(errors: &mut FieldErrors, object: &Value, old: Option<&Value>) {
    topology_annotations(errors, object);
    let path = FieldPath::new("spec");
    let spec = shown(object, &["spec"]);
    let headless = is_headless(object);
    if is_zero(spec.get("ports")) && !headless && kind_of(object) != "ExternalName" {
        errors.required(&path.child("ports"), "");
    }
    by_type(errors, &spec, headless, &path);
    let mut seen = HashSet::new();
    let ports = spec.array_at(&["ports"]);
    for (i, port) in ports.iter().enumerate() {
        let path = path.child("ports").index(i);
        service_port(errors, port, ports.len() > 1, &mut seen, &path);
    }
    if has(&spec, &["selector"]) {
        names::validate_labels(errors, spec.object_at(&["selector"]), &path.child("selector"));
    }
    affinity(errors, &spec, &path);
    ips::cluster_ips(errors, object, &spec, &texts(old, "clusterIPs"), &path);
    let before = texts(old, "externalIPs");
    for (i, ip) in spec.array_at(&["externalIPs"]).iter().filter_map(Value::as_str).enumerate() {
        let path = path.child("externalIPs").index(i);
        let found = errors.len();
        net::ip_unless(errors, ip, &before, &path);
        if errors.len() == found {
            net::non_special_ip(errors, ip, &path);
        }
    }
    let types = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    one_of(errors, kind_of(object), &types, &path.child("type"));
    node_ports(errors, object, &spec, &path);
    source_ranges(errors, object, old, &path);
    load_balancer_fields(errors, object, &spec, &path);
    load_balancer_class(errors, object, &path);
    external_traffic(errors, object, &spec, &path);
    internal_traffic(errors, object, &spec, &path);
    distribution(errors, &spec, &path);
}

/// `ValidateServiceClusterIPsRelatedFields`, which upstream also asks before it allocates.
pub fn validate_service_addresses(object: &Value, old: Option<&Value>) -> FieldErrors {
    let mut errors = FieldErrors::new();
    let path = FieldPath::new("spec");
    ips::cluster_ips(&mut errors, object, &shown(object, &["spec"]), &texts(old, "clusterIPs"), &path);
    errors
}

/// The texts of a list in the old service's spec.
fn texts<'a>(old: Option<&'a Value>, field: &str) -> Vec<&'a str> {
    old.map_or(&[][..], |old| old.array_at(&["spec", field])).iter().filter_map(Value::as_str).collect()
}

/// `isHeadlessService`.
pub(super) fn is_headless(object: &Value) -> bool {
    let ips = object.array_at(&["spec", "clusterIPs"]);
    ips.len() == 1 && ips[0].as_str() == Some("None")
}

/// The two names of one annotation say the same.
fn topology_annotations(errors: &mut FieldErrors, object: &Value) {
    const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
    const MODE: &str = "service.kubernetes.io/topology-mode";
    if let (Some(hints), Some(mode)) = (object.annotation(HINTS), object.annotation(MODE))
        && hints != mode
    {
        let path = FieldPath::new("metadata").child("annotations").key(MODE);
        errors.invalid(&path, mode, format!("must match annotations[{HINTS}] when both are specified"));
    }
}

fn by_type(errors: &mut FieldErrors, spec: &Value, headless: bool, path: &FieldPath) {
    match spec.str_at(&["type"]) {
        kind @ ("LoadBalancer" | "NodePort") if headless => {
            let detail = format!("may not be set to 'None' for {kind} services");
            errors.invalid(&path.child("clusterIPs").index(0), "None", detail);
        }
        "ExternalName" => {
            for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                let given = has(spec, &[field]) && (field == "ipFamilyPolicy" || !is_zero(spec.get(field)));
                if given {
                    errors.forbidden(&path.child(field), "may not be set for ExternalName services");
                }
            }
            let name = spec.str_at(&["externalName"]);
            let name = name.strip_suffix('.').unwrap_or(name);
            if name.is_empty() {
                errors.required(&path.child("externalName"), "");
            } else {
                dns_subdomain(errors, name, &path.child("externalName"));
            }
        }
        _ => {}
    }
}

fn service_port<'a>(
    errors: &mut FieldErrors,
    port: &'a Value,
    needs_name: bool,
    seen: &mut HashSet<&'a str>,
    path: &FieldPath,
) {
    let name = port.str_at(&["name"]);
    if name.is_empty() {
        if needs_name {
            errors.required(&path.child("name"), "");
        }
    } else {
        dns_label(errors, name, &path.child("name"));
        if !seen.insert(name) {
            errors.duplicate(&path.child("name"), name);
        }
    }
    let number = port.i64_at(&["port"]).unwrap_or(0);
    port_number(errors, number, &path.child("port"));
    one_of(errors, port.str_at(&["protocol"]), &PROTOCOLS, &path.child("protocol"));
    crate::pod::probes::port(errors, port.get("targetPort"), &path.child("targetPort"));
    if let Some(protocol) = port.get("appProtocol").and_then(Value::as_str) {
        qualified_name(errors, protocol, &path.child("appProtocol"));
    }
}

fn affinity(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    const NEEDED: &str = "when session affinity type is ClientIP";
    let affinity = spec.str_at(&["sessionAffinity"]);
    one_of(errors, affinity, &["ClientIP", "None"], &path.child("sessionAffinity"));
    let path = path.child("sessionAffinityConfig");
    let config = present(spec, &["sessionAffinityConfig"]);
    match (affinity, config) {
        ("ClientIP", None) => errors.required(&path, NEEDED),
        ("ClientIP", Some(config)) => {
            let path = path.child("clientIP");
            if !has(config, &["clientIP"]) {
                return errors.required(&path, NEEDED);
            }
            let path = path.child("timeoutSeconds");
            match config.i64_at(&["clientIP", "timeoutSeconds"]) {
                None => errors.required(&path, NEEDED),
                Some(seconds) if !(1..=86_400).contains(&seconds) => {
                    errors.invalid(&path, seconds, "must be greater than 0 and less than 86400");
                }
                Some(_) => {}
            }
        }
        ("None", Some(_)) => {
            errors.forbidden(&path, "must not be set when session affinity is None");
        }
        _ => {}
    }
}

fn node_ports(errors: &mut FieldErrors, object: &Value, spec: &Value, path: &FieldPath) {
    let ports = spec.array_at(&["ports"]);
    let kind = kind_of(object);
    if kind == "ClusterIP" {
        for (i, port) in ports.iter().enumerate() {
            if port.i64_at(&["nodePort"]).unwrap_or(0) != 0 {
                let path = path.child("ports").index(i).child("nodePort");
                errors.forbidden(&path, "may not be used when `type` is 'ClusterIP'");
            }
        }
    }
    let mut seen: HashSet<(&str, i64)> = HashSet::new();
    for (i, port) in ports.iter().enumerate() {
        let number = port.i64_at(&["nodePort"]).unwrap_or(0);
        if number != 0 && !seen.insert((port.str_at(&["protocol"]), number)) {
            errors.duplicate(&path.child("ports").index(i).child("nodePort"), number);
        }
    }
    let mut seen: HashSet<(&str, i64)> = HashSet::new();
    for (i, port) in ports.iter().enumerate() {
        if !seen.insert((port.str_at(&["protocol"]), port.i64_at(&["port"]).unwrap_or(0))) {
            let mut key = Value::object();
            for field in ["protocol", "port"] {
                key.set(&[field], shown(port, &[field]));
            }
            key.set(&["targetPort"], 0);
            errors.duplicate(&path.child("ports").index(i), go_form::of("ServicePort", &key));
        }
    }
}

fn source_ranges(errors: &mut FieldErrors, object: &Value, old: Option<&Value>, path: &FieldPath) {
    const ANNOTATION: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
    let is_balancer = kind_of(object) == "LoadBalancer";
    let elsewhere = "may only be used when `type` is 'LoadBalancer'";
    let ranges = object.array_at(&["spec", "loadBalancerSourceRanges"]);
    if !ranges.is_empty() {
        let path = path.child("LoadBalancerSourceRanges");
        if !is_balancer {
            errors.forbidden(&path, elsewhere);
        }
        let before = texts(old, "loadBalancerSourceRanges").into_iter().map(str::trim).collect::<Vec<_>>();
        for (i, range) in ranges.iter().filter_map(Value::as_str).enumerate() {
            net::cidr_unless(errors, range.trim(), &before, &path.index(i));
        }
    } else if let Some(text) = object.annotation(ANNOTATION) {
        let path = FieldPath::new("metadata").child("annotations").key(ANNOTATION);
        if !is_balancer {
            errors.forbidden(&path, elsewhere);
        }
        let changed = old.is_none_or(|old| old.annotation(ANNOTATION) != Some(text));
        if changed && !text.trim().is_empty() {
            text.trim().split(',').for_each(|range| net::cidr(errors, range.trim(), &path));
        }
    }
}

fn load_balancer_fields(errors: &mut FieldErrors, object: &Value, spec: &Value, path: &FieldPath) {
    let is_balancer = kind_of(object) == "LoadBalancer";
    if !is_balancer && has(spec, &["allocateLoadBalancerNodePorts"]) {
        let path = path.child("allocateLoadBalancerNodePorts");
        errors.forbidden(&path, "may only be used when `type` is 'LoadBalancer'");
    }
    if is_balancer && !has(spec, &["allocateLoadBalancerNodePorts"]) {
        errors.required(&FieldPath::new("allocateLoadBalancerNodePorts"), "");
    }
}

/// `validateLoadBalancerClassField`, of one service.
fn load_balancer_class(errors: &mut FieldErrors, object: &Value, path: &FieldPath) {
    let Some(class) = object.at(&["spec", "loadBalancerClass"]).and_then(Value::as_str) else { return };
    let path = path.child("loadBalancerClass");
    if kind_of(object) == "LoadBalancer" {
        qualified_name(errors, class, &path);
    } else {
        errors.forbidden(&path, "may only be used when `type` is 'LoadBalancer'");
    }
}

fn external_traffic(errors: &mut FieldErrors, object: &Value, spec: &Value, path: &FieldPath) {
    let policy = spec.str_at(&["externalTrafficPolicy"]);
    let policy_path = path.child("externalTrafficPolicy");
    if super::is_external(object) {
        one_of(errors, policy, &["Cluster", "Local"], &policy_path);
    } else if !policy.is_empty() {
        errors.invalid(&policy_path, policy, "may only be set for externally-accessible services");
    }
    let port = spec.i64_at(&["healthCheckNodePort"]).unwrap_or(0);
    let path = path.child("healthCheckNodePort");
    match (super::needs_health_port(object), port) {
        (true, 0) => errors.required(&path, ""),
        (true, port) => port_number(errors, port, &path),
        (false, 0) => {}
        (false, port) => {
            let detail =
                "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            errors.invalid(&path, port, detail);
        }
    }
}

fn internal_traffic(errors: &mut FieldErrors, object: &Value, spec: &Value, path: &FieldPath) {
    let path = path.child("internalTrafficPolicy");
    match spec.get("internalTrafficPolicy").and_then(Value::as_str) {
        None if needs_internal_policy(kind_of(object)) => errors.required(&path, ""),
        None | Some("Cluster" | "Local") => {}
        Some(policy) => errors.not_supported(&path, policy, &["Cluster", "Local"]),
    }
}

fn distribution(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    const SUPPORTED: [&str; 3] = ["PreferClose", "PreferSameZone", "PreferSameNode"];
    one_of_at(errors, spec, "trafficDistribution", &SUPPORTED, path);
}

/// `ValidateServiceUpdate`.
pub(super) fn update(errors: &mut FieldErrors, object: &Value, old: &Value) {
    let path = FieldPath::new("spec");
    ips::changes(errors, object, old);
    if kind_of(object) == "LoadBalancer" && kind_of(old) == "LoadBalancer" {
        let class = &["spec", "loadBalancerClass"];
        if !same(object.at(class), old.at(class)) {
            errors.invalid(&path.child("loadBalancerClass"), shown(object, class), "may not change once set");
        }
    }
    load_balancer_class(errors, object, &path);
    let port = &["spec", "healthCheckNodePort"];
    let both = super::needs_health_port(object) && super::needs_health_port(old);
    if both && object.i64_at(port) != old.i64_at(port) {
        errors.forbidden(&path.child("healthCheckNodePort"), IMMUTABLE);
    }
    service(errors, object, Some(old));
}
