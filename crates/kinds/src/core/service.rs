//! Service: all but the allocation of addresses and node ports, which needs to know of other services.

mod validate;

use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value};

pub use validate::validate_service_addresses;

use crate::check::{dns_subdomain, net, one_of_given, path_of};
use crate::kind::{Kind, Step};
use crate::shape::{default, default_nil, each_mut, has, is_zero, keep, same};
use crate::{Context, NameRule, table};

pub(super) static KIND: Kind = Kind {
    name: NameRule::DnsLabel,
    status: true,
    put_creates: true,
    defaults: set_defaults,
    prepare_create: |_, object| {
        object.set(&["status", "loadBalancer"], Value::object());
        drop_internal_policy(object);
        list_address(object);
    },
    prepare_update,
    update: &[Step::MetaChange, Step::Change],
    validate: |errors, _, object, _| validate::service(errors, object, None),
    validate_change: validate::update,
    validate_status,
    warnings,
    status_warnings: load_balancer_warnings,
    field_names: &["spec.clusterIP", "spec.type"],
    field_values: |object| {
        vec![
            ("spec.clusterIP", object.str_at(&["spec", "clusterIP"]).into()),
            ("spec.type", object.str_at(&["spec", "type"]).into()),
        ]
    },
    cells: table::service,
    ..Kind::new("", "services")
};

fn set_defaults(object: &mut Value) {
    default_nil(object, &["status", "loadBalancer"], Value::object());
    let spec = object.at_mut(&["spec"]);
    default(spec, &["sessionAffinity"], "None");
    if spec.str_at(&["sessionAffinity"]) == "None" {
        spec.remove(&["sessionAffinityConfig"]);
    }
    if spec.str_at(&["sessionAffinity"]) == "ClientIP" {
        default_nil(spec, &["sessionAffinityConfig", "clientIP", "timeoutSeconds"], 10_800);
    }
    default(spec, &["type"], "ClusterIP");
    each_mut(spec, &["ports"], |port| {
        default(port, &["protocol"], "TCP");
        if is_zero(port.get("targetPort")) {
            let number = port.i64_at(&["port"]).unwrap_or(0);
            port.set(&["targetPort"], number);
        }
    });
    let kind = spec.str_at(&["type"]).to_owned();
    let external = is_external(object);
    let spec = object.at_mut(&["spec"]);
    if external {
        default(spec, &["externalTrafficPolicy"], "Cluster");
    }
    if needs_internal_policy(&kind) {
        default_nil(spec, &["internalTrafficPolicy"], "Cluster");
    }
    if kind == "LoadBalancer" {
        default_nil(spec, &["allocateLoadBalancerNodePorts"], true);
        each_mut(object, &["status", "loadBalancer", "ingress"], |ingress| {
            if !ingress.str_at(&["ip"]).is_empty() {
                default_nil(ingress, &["ipMode"], "VIP");
            }
        });
    }
}

/// Whether a Service of this type says where traffic from inside the cluster goes.
fn needs_internal_policy(kind: &str) -> bool {
    matches!(kind, "ClusterIP" | "LoadBalancer" | "NodePort")
}

fn prepare_update(context: &Context<'_>, object: &mut Value, old: &Value) {
    if context.subresource.is_empty() {
        keep(object, old, &["status"]);
        drop_type_dependent(object, old);
        drop_internal_policy(object);
    }
}

/// A client that gives only `clusterIP` means `clusterIPs` too: `normalizeClusterIPs`.
fn list_address(object: &mut Value) {
    let (one, all) = (&["spec", "clusterIP"], &["spec", "clusterIPs"]);
    let first = object.str_at(one).to_owned();
    if !first.is_empty() && object.array_at(all).is_empty() {
        object.set(all, vec![Value::from(first)]);
    }
}

/// Names of other places have no traffic of their own.
fn drop_internal_policy(object: &mut Value) {
    if !has_addresses(object) {
        object.remove(&["spec", "internalTrafficPolicy"]);
    }
}

pub(crate) fn kind_of(object: &Value) -> &str {
    object.str_at(&["spec", "type"])
}

fn has_addresses(object: &Value) -> bool {
    kind_of(object) != "ExternalName"
}

fn has_node_ports(object: &Value) -> bool {
    ["NodePort", "LoadBalancer"].contains(&kind_of(object))
}

fn needs_health_port(object: &Value) -> bool {
    kind_of(object) == "LoadBalancer" && object.str_at(&["spec", "externalTrafficPolicy"]) == "Local"
}

/// Whether clients from outside the cluster reach it: `ExternallyAccessible`.
fn is_external(object: &Value) -> bool {
    has_node_ports(object)
        || kind_of(object) == "ClusterIP" && !object.array_at(&["spec", "externalIPs"]).is_empty()
}

/// Those that its ports name.
fn node_ports(object: &Value) -> Vec<i64> {
    let ports = object.array_at(&["spec", "ports"]).iter();
    ports.filter_map(|port| port.i64_at(&["nodePort"])).filter(|number| *number != 0).collect()
}

/// Fields that mean nothing after a change of type go, if the user has left them as they were:
/// `dropTypeDependentFields`.
fn drop_type_dependent(object: &mut Value, old: &Value) {
    let is_balancer = |object: &Value| kind_of(object) == "LoadBalancer";
    // Each group goes together.
    let dependent: [(&[&str], fn(&Value) -> bool); 7] = [
        (&["clusterIP", "clusterIPs"], has_addresses),
        (&["ipFamilies"], has_addresses),
        (&["ipFamilyPolicy"], has_addresses),
        (&["healthCheckNodePort"], needs_health_port),
        (&["allocateLoadBalancerNodePorts"], is_balancer),
        (&["loadBalancerClass"], is_balancer),
        (&["externalTrafficPolicy"], is_external),
    ];
    // The traffic policy itself says whether there is a port for health checks.
    let new = object.clone();
    for (fields, needed) in dependent {
        let unchanged = |field: &&str| same(new.at(&["spec", field]), old.at(&["spec", field]));
        if needed(old) && !needed(&new) && fields.iter().all(unchanged) {
            for field in fields {
                object.remove(&["spec", field]);
            }
        }
    }
    if has_node_ports(old) && !has_node_ports(object) {
        let before = node_ports(old);
        if node_ports(object).iter().all(|number| before.contains(number)) {
            each_mut(object, &["spec", "ports"], |port| {
                port.remove(&["nodePort"]);
            });
        }
    }
    if !is_balancer(object) {
        object.set(&["status", "loadBalancer"], Value::object());
    }
}

fn validate_status(errors: &mut FieldErrors, _: &Context<'_>, object: &Value, old: &Value) {
    let path = FieldPath::new("status").child("loadBalancer").child("ingress");
    let ingress = object.array_at(&["status", "loadBalancer", "ingress"]);
    if !ingress.is_empty() && kind_of(object) != "LoadBalancer" {
        errors.forbidden(&path, "may only be used when `spec.type` is 'LoadBalancer'");
    } else {
        load_balancer(errors, object, old, true, &path);
    }
}

/// `ValidateLoadBalancerStatus`, of services and of ingresses, which have no modes.
pub(crate) fn load_balancer(
    errors: &mut FieldErrors,
    object: &Value,
    old: &Value,
    modes: bool,
    path: &FieldPath,
) {
    let list = &["status", "loadBalancer", "ingress"];
    let before: Vec<&str> = old.array_at(list).iter().map(|ingress| ingress.str_at(&["ip"])).collect();
    for (i, ingress) in object.array_at(list).iter().enumerate() {
        let path = path.index(i);
        let ip = ingress.str_at(&["ip"]);
        if !ip.is_empty() {
            net::ip_unless(errors, ip, &before, &path.child("ip"));
        }
        if modes {
            ip_mode(errors, ingress, ip, &path.child("ipMode"));
        }
        let hostname = ingress.str_at(&["hostname"]);
        if !hostname.is_empty() {
            dns_subdomain(errors, hostname, &path.child("hostname"));
            if net::parse_ip(hostname).is_some() {
                errors.invalid(&path.child("hostname"), hostname, "must be a DNS name, not an IP address");
            }
        }
    }
}

/// Of addresses in the status of services and of ingresses.
pub(crate) fn load_balancer_warnings(object: &Value) -> Vec<String> {
    let mut out = Vec::new();
    let list = ["status", "loadBalancer", "ingress"];
    for (i, ingress) in object.array_at(&list).iter().enumerate() {
        let ip = ingress.str_at(&["ip"]);
        if !ip.is_empty() {
            net::ip_warnings(&mut out, ip, &path_of(&list).index(i));
        }
    }
    out
}

fn ip_mode(errors: &mut FieldErrors, ingress: &Value, ip: &str, path: &FieldPath) {
    match (has(ingress, &["ipMode"]), ip.is_empty()) {
        (false, false) => errors.required(path, "must be specified when `ip` is set"),
        (true, true) => errors.forbidden(path, "may not be specified when `ip` is not set"),
        (true, false) => {
            one_of_given(errors, ingress.str_at(&["ipMode"]), &["Proxy", "VIP"], path);
        }
        (false, true) => {}
    }
}

fn warnings(object: &Value, _: Option<&Value>) -> Vec<String> {
    const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
    let mut out = Vec::new();
    if object.annotation(HINTS).is_some() {
        out.push(format!(
            "annotation {HINTS} is deprecated, please use service.kubernetes.io/topology-mode instead"
        ));
    }
    let path = FieldPath::new("spec");
    let spec = |field: &str| object.at(&["spec", field]).unwrap_or(&Value::Null);
    let texts = |field: &str| spec(field).array_at(&[]).iter().filter_map(Value::as_str).enumerate();
    let headless = validate::is_headless(object);
    if !["", "None"].contains(&object.str_at(&["spec", "clusterIP"])) {
        texts("clusterIPs")
            .for_each(|(i, ip)| net::ip_warnings(&mut out, ip, &path.child("clusterIPs").index(i)));
    }
    if headless {
        headless_warnings(&mut out, object);
    }
    let external = !is_zero(Some(spec("externalIPs")));
    texts("externalIPs")
        .for_each(|(i, ip)| net::ip_warnings(&mut out, ip, &path.child("externalIPs").index(i)));
    let is_name = kind_of(object) == "ExternalName";
    if external && !headless && !is_name {
        out.push(
            "spec.externalIPs is deprecated and may no longer be implemented in some clusters".to_owned(),
        );
    }
    let ip = object.str_at(&["spec", "loadBalancerIP"]);
    if !ip.is_empty() {
        net::ip_warnings(&mut out, ip, &path.child("loadBalancerIP"));
    }
    let ranges = path.child("loadBalancerSourceRanges");
    texts("loadBalancerSourceRanges")
        .for_each(|(i, range)| net::cidr_warnings(&mut out, range, &ranges.index(i)));
    if is_name && external {
        out.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    if !is_name && !is_zero(Some(spec("externalName"))) {
        out.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
    if object.str_at(&["spec", "trafficDistribution"]) == "PreferClose" {
        out.push(
            "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"".to_owned(),
        );
    }
    out
}

fn headless_warnings(out: &mut Vec<String>, object: &Value) {
    for field in ["loadBalancerIP", "externalIPs"] {
        if !is_zero(object.at(&["spec", field])) {
            out.push(format!("spec.{field} is ignored for headless services"));
        }
    }
    if object.str_at(&["spec", "sessionAffinity"]) != "None" {
        out.push("spec.SessionAffinity is ignored for headless services".to_owned());
    }
}
