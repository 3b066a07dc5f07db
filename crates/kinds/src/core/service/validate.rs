//! `ValidateService`.

use std::collections::HashSet;

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use super::{kind_of, needs_internal_policy, needs_ip};
use crate::check::{dns_label, in_range, net, one_of, port_number};
use crate::shape::{has, is_zero, shown};
use crate::{Context, go_form};

pub(super) fn service(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec");
    let spec = shown(object, &["spec"]);
    let headless = spec.str_at(&["clusterIP"]) == "None";
    if is_zero(spec.get("ports")) && !headless && kind_of(object) != "ExternalName" {
        errors.required(&path.child("ports"), "");
    }
    by_type(errors, &spec, &path);
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
    cluster_ips(errors, object, &spec, &path);
    for (i, ip) in spec.array_at(&["externalIPs"]).iter().filter_map(Value::as_str).enumerate() {
        let path = path.child("externalIPs").index(i);
        let before = errors.len();
        net::ip(errors, ip, &path);
        if errors.len() == before {
            net::non_special_ip(errors, ip, &path);
        }
    }
    match kind_of(object) {
        "" => errors.required(&path.child("type"), ""),
        kind => {
            one_of(
                errors,
                kind,
                &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
                &path.child("type"),
            );
        }
    }
    node_ports(errors, object, &spec, &path);
    source_ranges(errors, object, &spec, &path);
    load_balancer_fields(errors, object, &spec, &path);
    external_traffic(errors, object, &spec, &path);
    internal_traffic(errors, object, &spec, &path);
    distribution(errors, &spec, &path);
}

fn by_type(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    match spec.str_at(&["type"]) {
        kind @ ("LoadBalancer" | "NodePort") if spec.str_at(&["clusterIP"]) == "None" => {
            let detail = format!("may not be set to 'None' for {kind} services");
            errors.invalid(&path.child("clusterIPs").index(0), "None", detail);
        }
        "ExternalName" => {
            if !spec.array_at(&["clusterIPs"]).is_empty() {
                errors.forbidden(&path.child("clusterIPs"), "may not be set for ExternalName services");
            }
            let name = spec.str_at(&["externalName"]);
            let name = name.strip_suffix('.').unwrap_or(name);
            if name.is_empty() {
                errors.required(&path.child("externalName"), "");
            } else {
                crate::check::dns_subdomain(errors, name, &path.child("externalName"));
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
    one_of(errors, port.str_at(&["protocol"]), &["SCTP", "TCP", "UDP"], &path.child("protocol"));
    let target = port.get("targetPort");
    match target {
        Some(Value::String(name)) => {
            names::invalid_each(
                errors,
                &path.child("targetPort"),
                name.as_str(),
                names::is_valid_port_name(name),
            );
        }
        target => port_number(errors, target.and_then(Value::as_i64).unwrap_or(0), &path.child("targetPort")),
    }
    let protocol = port.str_at(&["appProtocol"]);
    if !protocol.is_empty() {
        names::invalid_each(errors, &path.child("appProtocol"), protocol, names::is_qualified_name(protocol));
    }
}

fn affinity(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    one_of(errors, spec.str_at(&["sessionAffinity"]), &["ClientIP", "None"], &path.child("sessionAffinity"));
    let config = path.child("sessionAffinityConfig");
    if spec.str_at(&["sessionAffinity"]) == "ClientIP" {
        let timeout = config.child("clientIP").child("timeoutSeconds");
        match spec.i64_at(&["sessionAffinityConfig", "clientIP", "timeoutSeconds"]) {
            None => errors.required(&config, "when session affinity type is ClientIP"),
            Some(seconds) if !(1..=86_400).contains(&seconds) => {
                errors.invalid(&timeout, seconds, "must be greater than 0 and less than 86400");
            }
            Some(_) => {}
        }
    } else if has(spec, &["sessionAffinityConfig"]) {
        let detail = "must not be set when session affinity is None";
        errors.forbidden(&config, detail);
    }
}

const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];

/// `ValidateServiceClusterIPsRelatedFields`.
fn cluster_ips(errors: &mut FieldErrors, object: &Value, spec: &Value, path: &FieldPath) {
    let ips: Vec<&str> = spec.array_at(&["clusterIPs"]).iter().filter_map(Value::as_str).collect();
    let families: Vec<&str> = spec.array_at(&["ipFamilies"]).iter().filter_map(Value::as_str).collect();
    if !needs_ip(object) {
        for (field, given) in [
            ("clusterIPs", !ips.is_empty()),
            ("ipFamilies", !families.is_empty()),
            ("ipFamilyPolicy", has(spec, &["ipFamilyPolicy"])),
        ] {
            if given && kind_of(object) == "ExternalName" && field != "clusterIPs" {
                errors.forbidden(&path.child(field), "may not be set for ExternalName services");
            }
        }
        return;
    }
    first_ip(errors, spec, &ips, path);
    let policy = spec.str_at(&["ipFamilyPolicy"]);
    for (i, family) in families.iter().enumerate() {
        if !FAMILIES.contains(family) {
            errors.not_supported(&path.child("ipFamilies").index(i), *family, &FAMILIES);
        }
        if families[..i].contains(family) {
            errors.duplicate(&path.child("ipFamilies").index(i), *family);
        }
    }
    if has(spec, &["ipFamilyPolicy"]) {
        let supported = ["PreferDualStack", "RequireDualStack", "SingleStack"];
        if !supported.contains(&policy) {
            errors.not_supported(&path.child("ipFamilyPolicy"), policy, &supported);
        }
    }
    if ips.len() > 2 {
        let shown = shown(spec, &["clusterIPs"]);
        errors.invalid(&path.child("clusterIPs"), shown, "may only hold up to 2 values");
    }
    for (i, ip) in ips.iter().enumerate().filter(|(_, ip)| **ip != "None") {
        let path = path.child("clusterIPs").index(i);
        let before = errors.len();
        net::ip(errors, ip, &path);
        if errors.len() > before {
            continue;
        }
        let family = if ip.contains(':') { "IPv6" } else { "IPv4" };
        if families.get(i).is_some_and(|wanted| FAMILIES.contains(wanted) && *wanted != family) {
            let detail = format!("expected an {} value as indicated by `ipFamilies[{i}]`", families[i]);
            errors.invalid(&path, *ip, detail);
        }
    }
}

fn first_ip(errors: &mut FieldErrors, spec: &Value, ips: &[&str], path: &FieldPath) {
    let first = spec.str_at(&["clusterIP"]);
    let all = path.child("clusterIPs");
    match (first, ips) {
        ("", []) => {}
        ("", _) => errors.forbidden(&all, "must be empty when `clusterIP` is not specified"),
        (_, []) => errors.required(&all, ""),
        (first, ips) if ips[0] != first => {
            errors.invalid(&all, shown(spec, &["clusterIPs"]), "first value must match `clusterIP`");
        }
        (_, ips) => {
            if ips.len() > 1 && ips.contains(&"None") {
                let at = ips.iter().position(|ip| *ip == "None").unwrap_or(0);
                let detail = "'None' must be the first and only value";
                errors.invalid(&all.index(at), "None", detail);
            }
        }
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

fn source_ranges(errors: &mut FieldErrors, object: &Value, spec: &Value, path: &FieldPath) {
    let ranges = spec.array_at(&["loadBalancerSourceRanges"]);
    if ranges.is_empty() {
        return;
    }
    let path = path.child("LoadBalancerSourceRanges");
    if kind_of(object) != "LoadBalancer" {
        errors.forbidden(&path, "may only be used when `type` is 'LoadBalancer'");
    }
    for (i, range) in ranges.iter().filter_map(Value::as_str).enumerate() {
        net::cidr(errors, range.trim(), &path.index(i));
    }
}

fn load_balancer_fields(errors: &mut FieldErrors, object: &Value, spec: &Value, path: &FieldPath) {
    let is_balancer = kind_of(object) == "LoadBalancer";
    if !is_balancer && has(spec, &["allocateLoadBalancerNodePorts"]) {
        let path = path.child("allocateLoadBalancerNodePorts");
        errors.forbidden(&path, "may only be used when `type` is 'LoadBalancer'");
    }
    if is_balancer && !has(spec, &["allocateLoadBalancerNodePorts"]) {
        errors.required(&path.child("allocateLoadBalancerNodePorts"), "");
    }
    if let Some(class) = spec.get("loadBalancerClass").and_then(Value::as_str) {
        let path = path.child("loadBalancerClass");
        if is_balancer {
            names::invalid_each(errors, &path, class, names::is_qualified_name(class));
        } else {
            errors.forbidden(&path, "may only be used when `type` is 'LoadBalancer'");
        }
    }
}

fn external_traffic(errors: &mut FieldErrors, object: &Value, spec: &Value, path: &FieldPath) {
    let policy = spec.str_at(&["externalTrafficPolicy"]);
    let external = ["NodePort", "LoadBalancer"].contains(&kind_of(object))
        || kind_of(object) == "ClusterIP" && !spec.array_at(&["externalIPs"]).is_empty();
    let policy_path = path.child("externalTrafficPolicy");
    if external {
        one_of(errors, policy, &["Cluster", "Local"], &policy_path);
    } else if !policy.is_empty() {
        errors.invalid(&policy_path, policy, "may only be set for externally-accessible services");
    }
    let port = spec.i64_at(&["healthCheckNodePort"]).unwrap_or(0);
    if port != 0 && !super::needs_health_port(object) {
        let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.invalid(&path.child("healthCheckNodePort"), port, detail);
    } else if port != 0 {
        in_range(errors, port, 1, 65_535, &path.child("healthCheckNodePort"));
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
    const SUPPORTED: [&str; 3] = ["PreferClose", "PreferSameNode", "PreferSameZone"];
    if let Some(policy) = spec.get("trafficDistribution").and_then(Value::as_str)
        && !SUPPORTED.contains(&policy)
    {
        errors.not_supported(&path.child("trafficDistribution"), policy, &SUPPORTED);
    }
}

/// `ValidateServiceUpdate`.
pub(super) fn update(errors: &mut FieldErrors, _: &Context<'_>, object: &Value, old: &Value) {
    let path = FieldPath::new("spec");
    let (new_kind, old_kind) = (kind_of(object), kind_of(old));
    if needs_ip(object) && needs_ip(old) {
        let before = old.array_at(&["spec", "clusterIPs"]);
        let after = object.array_at(&["spec", "clusterIPs"]);
        if let Some(first) = before.first()
            && !after.is_empty()
            && after.first() != Some(first)
        {
            errors.invalid(
                &path.child("clusterIPs").index(0),
                shown(object, &["spec", "clusterIPs"]),
                "may not change once set",
            );
        }
    }
    if new_kind == "LoadBalancer" && old_kind == "LoadBalancer" {
        let class = &["spec", "loadBalancerClass"];
        if object.at(class) != old.at(class) {
            errors.invalid(&path.child("loadBalancerClass"), shown(object, class), "may not change once set");
        }
    }
    service(errors, object);
}
