//! What a Service is given, after upstream's `pkg/registry/core/service/storage/alloc.go`, for a cluster with IPv4.

use std::net::Ipv4Addr;

use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta, Status, Value};

use super::Reserved;
use super::pool::{Pool, Refused};

const TYPES_WITH_PORTS: [&str; 2] = ["NodePort", "LoadBalancer"];

pub(super) fn create(pool: &mut Pool, service: &mut Value, reserved: &mut Reserved) -> Result<(), Status> {
    sync_cluster_ips(service);
    let mut errors = FieldErrors::new();
    init_families(service, &mut errors);
    if errors.is_empty() {
        give_address(pool, service, reserved, &mut errors);
    }
    if errors.is_empty() {
        give_ports(pool, service, None, reserved, &mut errors);
    }
    refuse(service, &errors)
}

pub(super) fn update(
    pool: &mut Pool,
    service: &mut Value,
    old: &Value,
    reserved: &mut Reserved,
) -> Result<(), Status> {
    keep_allocated(service, old);
    sync_cluster_ips_on_update(service, old);
    let mut errors = FieldErrors::new();
    if kind(service) != "ExternalName" {
        let mut ignored = FieldErrors::new();
        // What an address already given allows is validation's to say.
        let given = kind(old) != "ExternalName";
        init_families(service, if given { &mut ignored } else { &mut errors });
        if errors.is_empty() && !given {
            give_address(pool, service, reserved, &mut errors);
        }
    }
    if errors.is_empty() {
        give_ports(pool, service, Some(old), reserved, &mut errors);
    }
    refuse(service, &errors)
}

fn refuse(service: &Value, errors: &FieldErrors) -> Result<(), Status> {
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("", "Service", service.name(), errors)) }
}

fn kind(service: &Value) -> &str {
    match service.str_at(&["spec", "type"]) {
        "" => "ClusterIP",
        kind => kind,
    }
}

/// Cluster IPs that a Service holds.
pub(super) fn addresses_of(service: &Value) -> Vec<Ipv4Addr> {
    let listed = service.array_at(&["spec", "clusterIPs"]).iter().filter_map(Value::as_str);
    listed.filter_map(|ip| ip.parse().ok()).collect()
}

/// Node ports that a Service holds, the health check's included.
pub(super) fn ports_of(service: &Value) -> Vec<u16> {
    let ports = service.array_at(&["spec", "ports"]).iter().filter_map(|port| port.i64_at(&["nodePort"]));
    let health = service.i64_at(&["spec", "healthCheckNodePort"]);
    ports.chain(health).filter_map(|port| u16::try_from(port).ok()).filter(|port| *port != 0).collect()
}

/// A client that sends only one of clusterIP and clusterIPs means both.
fn sync_cluster_ips(service: &mut Value) {
    let single = service.str_at(&["spec", "clusterIP"]).to_owned();
    if !single.is_empty() && service.array_at(&["spec", "clusterIPs"]).is_empty() {
        service.set(&["spec", "clusterIPs"], vec![single]);
    }
}

fn sync_cluster_ips_on_update(service: &mut Value, old: &Value) {
    let (new_ip, old_ip) =
        (service.str_at(&["spec", "clusterIP"]).to_owned(), old.str_at(&["spec", "clusterIP"]).to_owned());
    let same_list = service.at(&["spec", "clusterIPs"]) == old.at(&["spec", "clusterIPs"]);
    if new_ip.is_empty() && !old_ip.is_empty() && same_list {
        service.remove(&["spec", "clusterIPs"]);
    } else if new_ip != old_ip && same_list {
        service.set(&["spec", "clusterIPs"], vec![new_ip]);
    } else {
        sync_cluster_ips(service);
    }
}

/// What the client left out is what it was: `patchAllocatedValues`.
fn keep_allocated(service: &mut Value, old: &Value) {
    if kind(service) != "ExternalName" && kind(old) != "ExternalName" {
        let absent = |service: &Value, field| match service.at(&["spec", field]) {
            None | Some(Value::Null) => true,
            Some(Value::String(text)) => text.is_empty(),
            Some(Value::Array(list)) => list.is_empty(),
            Some(_) => false,
        };
        if absent(service, "clusterIP") && absent(service, "clusterIPs") {
            for field in ["clusterIP", "clusterIPs"] {
                if let Some(value) = old.at(&["spec", field]) {
                    service.set(&["spec", field], value.clone());
                }
            }
        }
        if absent(service, "ipFamilies") && absent(service, "ipFamilyPolicy") {
            for field in ["ipFamilies", "ipFamilyPolicy"] {
                if let Some(value) = old.at(&["spec", field]) {
                    service.set(&["spec", field], value.clone());
                }
            }
        }
    }
    if TYPES_WITH_PORTS.contains(&kind(service)) && TYPES_WITH_PORTS.contains(&kind(old)) {
        keep_node_ports(service, old);
        let health = ["spec", "healthCheckNodePort"];
        if service.i64_at(&health).unwrap_or(0) == 0
            && needs_health_port(service)
            && let Some(port) = old.i64_at(&health)
        {
            service.set(&health, port);
        }
    }
}

fn keep_node_ports(service: &mut Value, old: &Value) {
    let used: Vec<i64> =
        service.array_at(&["spec", "ports"]).iter().filter_map(|port| port.i64_at(&["nodePort"])).collect();
    let ports: Vec<Value> = service
        .array_at(&["spec", "ports"])
        .iter()
        .map(|port| {
            let mut port = port.clone();
            let same = |other: &&Value| {
                other.i64_at(&["port"]) == port.i64_at(&["port"]) && protocol(other) == protocol(&port)
            };
            let known = old.array_at(&["spec", "ports"]).iter().find(same);
            let node_port = known.and_then(|known| known.i64_at(&["nodePort"])).unwrap_or(0);
            if port.i64_at(&["nodePort"]).unwrap_or(0) == 0 && node_port != 0 && !used.contains(&node_port) {
                port.set(&["nodePort"], node_port);
            }
            port
        })
        .collect();
    if !ports.is_empty() {
        service.set(&["spec", "ports"], ports);
    }
}

fn protocol(port: &Value) -> &str {
    match port.str_at(&["protocol"]) {
        "" => "TCP",
        protocol => protocol,
    }
}

fn is_headless(service: &Value) -> bool {
    service.str_at(&["spec", "clusterIP"]) == "None"
}

/// `initIPFamilyFields` on a single-stack IPv4 cluster.
fn init_families(service: &mut Value, errors: &mut FieldErrors) {
    if kind(service) == "ExternalName" {
        return;
    }
    let spec = FieldPath::new("spec");
    let policy = service.str_at(&["spec", "ipFamilyPolicy"]).to_owned();
    let families: Vec<String> = service
        .array_at(&["spec", "ipFamilies"])
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    // Validation says what is wrong with unknown words.
    let known_policy = matches!(policy.as_str(), "" | "SingleStack" | "PreferDualStack" | "RequireDualStack");
    if !known_policy || families.iter().any(|family| !matches!(family.as_str(), "IPv4" | "IPv6")) {
        return;
    }
    if is_headless(service) && service.object_at(&["spec", "selector"]).is_empty() {
        init_selectorless(service, &policy, families);
        return;
    }
    for (i, family) in families.iter().enumerate() {
        if family == "IPv6" {
            let path = spec.child("ipFamilies").index(i);
            errors.invalid(&path, family.as_str(), "not configured on this cluster");
        }
    }
    if policy == "RequireDualStack" {
        let path = spec.child("ipFamilyPolicy");
        errors.invalid(&path, policy.as_str(), "this cluster is not configured for dual-stack services");
    }
    if !errors.is_empty() {
        return;
    }
    if policy.is_empty() {
        service.set(&["spec", "ipFamilyPolicy"], "SingleStack");
    }
    if families.is_empty() {
        service.set(&["spec", "ipFamilies"], vec!["IPv4"]);
    }
}

/// Headless without a selector: the endpoints are someone else's, of any family.
fn init_selectorless(service: &mut Value, policy: &str, families: Vec<String>) {
    let policy = if policy.is_empty() {
        service.set(&["spec", "ipFamilyPolicy"], "RequireDualStack");
        "RequireDualStack"
    } else {
        policy
    };
    let mut families = families;
    if families.is_empty() {
        families.push("IPv4".to_owned());
    }
    if families.len() == 1 && policy != "SingleStack" {
        let other = if families[0] == "IPv4" { "IPv6" } else { "IPv4" };
        families.push(other.to_owned());
    }
    service.set(&["spec", "ipFamilies"], families);
}

fn give_address(pool: &mut Pool, service: &mut Value, reserved: &mut Reserved, errors: &mut FieldErrors) {
    if kind(service) == "ExternalName" || is_headless(service) {
        return;
    }
    let path = FieldPath::new("spec").child("clusterIPs");
    let wanted = service.str_at(&["spec", "clusterIP"]).to_owned();
    if wanted.is_empty() {
        match pool.any_address() {
            Ok(ip) => {
                reserved.addresses.push(ip);
                service.set(&["spec", "clusterIP"], ip.to_string());
                service.set(&["spec", "clusterIPs"], vec![ip.to_string()]);
            }
            Err(_) => errors.internal(&path, "failed to allocate a serviceIP: range is full"),
        }
        return;
    }
    // What is no address at all is for validation to refuse.
    let Ok(ip) = wanted.parse::<Ipv4Addr>() else { return };
    let why = match pool.take_address(ip) {
        Ok(()) => {
            reserved.addresses.push(ip);
            return;
        }
        Err(Refused::OutOfRange) => {
            format!("failed to allocate IP {ip}: the provided network does not match the current range")
        }
        Err(_) => format!("failed to allocate IP {ip}: provided IP is already allocated"),
    };
    errors.invalid(&path, vec![wanted], why);
}

fn give_ports(
    pool: &mut Pool,
    service: &mut Value,
    old: Option<&Value>,
    reserved: &mut Reserved,
    errors: &mut FieldErrors,
) {
    if !TYPES_WITH_PORTS.contains(&kind(service)) {
        return;
    }
    let mut own = old.map(ports_of).unwrap_or_default();
    let wants = kind(service) == "NodePort"
        || service.at(&["spec", "allocateLoadBalancerNodePorts"]).and_then(Value::as_bool) != Some(false);
    let mut ports: Vec<Value> = service.array_at(&["spec", "ports"]).to_vec();
    // Those asked for by number come first, so that none of them is given away.
    for (i, port) in ports.iter().enumerate() {
        let Some(wanted) = port.i64_at(&["nodePort"]).filter(|wanted| *wanted != 0) else { continue };
        let path = FieldPath::new("spec").child("ports").index(i).child("nodePort");
        claim(pool, wanted, &mut own, &path, reserved, errors);
    }
    for port in ports.iter_mut().filter(|port| wants && port.i64_at(&["nodePort"]).unwrap_or(0) == 0) {
        match pool.any_port() {
            Ok(free) => {
                reserved.ports.push(free);
                port.set(&["nodePort"], free);
            }
            Err(_) => errors.internal(
                &FieldPath::new("spec").child("ports"),
                "failed to allocate a nodePort: range is full",
            ),
        }
    }
    if !ports.is_empty() {
        service.set(&["spec", "ports"], ports);
    }
    if needs_health_port(service) {
        give_health_port(pool, service, &mut own, reserved, errors);
    }
}

fn claim(
    pool: &mut Pool,
    wanted: i64,
    own: &mut Vec<u16>,
    path: &FieldPath,
    reserved: &mut Reserved,
    errors: &mut FieldErrors,
) {
    let port = u16::try_from(wanted).unwrap_or(0);
    if own.contains(&port) {
        return;
    }
    match pool.take_port(port) {
        Ok(()) => {
            reserved.ports.push(port);
            own.push(port);
        }
        Err(Refused::OutOfRange) => errors.invalid(
            path,
            wanted,
            "provided port is not in the valid range. The range of valid ports is 30000-32767",
        ),
        Err(_) => errors.invalid(path, wanted, "provided port is already allocated"),
    }
}

fn needs_health_port(service: &Value) -> bool {
    kind(service) == "LoadBalancer" && service.str_at(&["spec", "externalTrafficPolicy"]) == "Local"
}

fn give_health_port(
    pool: &mut Pool,
    service: &mut Value,
    own: &mut Vec<u16>,
    reserved: &mut Reserved,
    errors: &mut FieldErrors,
) {
    let path = FieldPath::new("spec").child("healthCheckNodePort");
    let wanted = service.i64_at(&["spec", "healthCheckNodePort"]).unwrap_or(0);
    if wanted != 0 {
        claim(pool, wanted, own, &path, reserved, errors);
    } else if let Ok(port) = pool.any_port() {
        reserved.ports.push(port);
        service.set(&["spec", "healthCheckNodePort"], port);
    } else {
        errors.internal(&path, "failed to allocate a healthCheckNodePort: range is full");
    }
}
