//! Which addresses a Service is given, after upstream's `pkg/registry/core/service/storage/alloc.go`, for a cluster with IPv4.

use std::net::Ipv4Addr;

use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta, Status, Value, go_text};

use super::pool::{Pool, Refused};
use super::{Reserved, ports};

pub(super) fn create(pool: &mut Pool, service: &mut Value, reserved: &mut Reserved) -> Result<(), Status> {
    normalize_addresses(service, None);
    init_families(service, None)?;
    give_address(pool, service, reserved)?;
    ports::create(pool, service, reserved)
}

pub(super) fn update(
    pool: &mut Pool,
    service: &mut Value,
    old: &Value,
    reserved: &mut Reserved,
) -> Result<(), Status> {
    keep_allocated(service, old);
    normalize_addresses(service, Some(old));
    init_families(service, Some(old))?;
    if !needs_address(old) {
        give_address(pool, service, reserved)?;
    }
    ports::update(pool, service, old, reserved)
}

pub(super) fn refuse(service: &Value, errors: &FieldErrors) -> Result<(), Status> {
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("", "Service", service.name(), errors)) }
}

pub(super) fn kind(service: &Value) -> &str {
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

fn needs_address(service: &Value) -> bool {
    kind(service) != "ExternalName"
}

/// A client that knows of `clusterIP` alone means `clusterIPs` too: `normalizeClusterIPs`.
fn normalize_addresses(service: &mut Value, old: Option<&Value>) {
    let one = |service: &Value| service.str_at(&["spec", "clusterIP"]).to_owned();
    let all = |service: &Value| service.array_at(&["spec", "clusterIPs"]).to_vec();
    let (new_one, new_all) = (one(service), all(service));
    let Some(old) = old else {
        if !new_one.is_empty() && new_all.is_empty() {
            service.set(&["spec", "clusterIPs"], vec![new_one]);
        }
        return;
    };
    let (old_one, old_all) = (one(old), all(old));
    if new_one == old_one {
        if new_all.is_empty() && !old_all.is_empty() {
            service.set(&["spec", "clusterIPs"], old_all);
        }
    } else if new_all == old_all {
        if new_one.is_empty() {
            service.remove(&["spec", "clusterIPs"]);
        } else {
            service.set(&["spec", "clusterIPs"], vec![new_one]);
        }
    }
}

/// What the client left out is what it was, each by itself: `patchAllocatedValues`, and the policy, which
/// `initIPFamilyFields` adopts.
fn keep_allocated(service: &mut Value, old: &Value) {
    if needs_address(service) && needs_address(old) {
        if service.str_at(&["spec", "clusterIP"]).is_empty()
            && let Some(address) = old.at(&["spec", "clusterIP"])
        {
            service.set(&["spec", "clusterIP"], address.clone());
        }
        let listed = old.array_at(&["spec", "clusterIPs"]);
        if service.array_at(&["spec", "clusterIPs"]).is_empty() && !listed.is_empty() {
            service.set(&["spec", "clusterIPs"], listed.to_vec());
        }
    }
    let policy = ["spec", "ipFamilyPolicy"];
    if needs_address(service)
        && service.at(&policy).is_none_or(Value::is_null)
        && let Some(before) = old.at(&policy)
    {
        service.set(&policy, before.clone());
    }
    ports::keep(service, old);
}

fn is_headless(service: &Value) -> bool {
    service.str_at(&["spec", "clusterIP"]) == "None"
}

/// `initIPFamilyFields` on a single-stack IPv4 cluster.
///
/// # Errors
/// What is wrong with the addresses and families that are asked for.
fn init_families(service: &mut Value, old: Option<&Value>) -> Result<(), Status> {
    if !needs_address(service) {
        return Ok(());
    }
    let spec = FieldPath::new("spec");
    let selectorless = is_headless(service) && service.object_at(&["spec", "selector"]).is_empty();
    if service.at(&["spec", "ipFamilyPolicy"]).is_none_or(Value::is_null) {
        let policy = if selectorless { "RequireDualStack" } else { "SingleStack" };
        service.set(&["spec", "ipFamilyPolicy"], policy);
    }
    refuse(service, &drydock_kinds::validate_service_addresses(service, old))?;
    let policy = service.str_at(&["spec", "ipFamilyPolicy"]).to_owned();
    let mut errors = FieldErrors::new();
    if let Some(old) = old {
        give_up_second(service, old, &policy, &mut errors);
    }
    if policy == "SingleStack" {
        for (field, what) in [("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families")] {
            if service.array_at(&["spec", field]).len() == 2 {
                let detail = format!(
                    "must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified"
                );
                errors.invalid(&spec.child("ipFamilyPolicy"), policy.as_str(), detail);
            }
        }
    }
    let families: Vec<String> = service
        .array_at(&["spec", "ipFamilies"])
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    for (i, ip) in service.array_at(&["spec", "clusterIPs"]).iter().enumerate().skip(families.len()) {
        if ip.as_str().is_some_and(|ip| ip.contains(':')) {
            let all = service.at(&["spec", "clusterIPs"]).cloned().unwrap_or_default();
            errors.invalid(&spec.child("clusterIPs").index(i), all, "IPv6 is not configured on this cluster");
        }
    }
    refuse(service, &errors)?;
    if selectorless {
        init_selectorless(service, &policy, families);
        return Ok(());
    }
    if policy == "RequireDualStack" {
        let path = spec.child("ipFamilyPolicy");
        errors.invalid(&path, policy, "this cluster is not configured for dual-stack services");
    }
    for (i, family) in families.iter().enumerate() {
        if family == "IPv6" {
            let path = spec.child("ipFamilies").index(i);
            errors.invalid(&path, family.as_str(), "not configured on this cluster");
        }
    }
    refuse(service, &errors)?;
    if families.is_empty() {
        service.set(&["spec", "ipFamilies"], vec!["IPv4"]);
    }
    Ok(())
}

/// Who asks for one family alone needs not take the second out of the lists, and who takes it out must ask for it.
fn give_up_second(service: &mut Value, old: &Value, policy: &str, errors: &mut FieldErrors) {
    for (field, what) in [("clusterIPs", "cluster IP"), ("ipFamilies", "IP family")] {
        let (new, before) = (service.array_at(&["spec", field]), old.array_at(&["spec", field]));
        if policy != "SingleStack" && !new.is_empty() && new.len() < before.len() {
            let detail = format!("must be 'SingleStack' to release the secondary {what}");
            errors.invalid(&FieldPath::new("spec").child("ipFamilyPolicy"), policy, detail);
        }
        if policy == "SingleStack" && new == before && new.len() > 1 {
            let first = vec![new[0].clone()];
            service.set(&["spec", field], first);
        }
    }
}

/// Headless without a selector: the endpoints are someone else's, of any family.
fn init_selectorless(service: &mut Value, policy: &str, mut families: Vec<String>) {
    if families.is_empty() {
        families.push("IPv4".to_owned());
    }
    if families.len() == 1 && policy != "SingleStack" {
        let other = if families[0] == "IPv4" { "IPv6" } else { "IPv4" };
        families.push(other.to_owned());
    }
    service.set(&["spec", "ipFamilies"], families);
}

/// `allocClusterIPs`.
fn give_address(pool: &mut Pool, service: &mut Value, reserved: &mut Reserved) -> Result<(), Status> {
    if !needs_address(service) || is_headless(service) {
        return Ok(());
    }
    let wanted = service.str_at(&["spec", "clusterIP"]).to_owned();
    if wanted.is_empty() && reserved.dry_run {
        // As upstream: what it would be is not worth looking for.
        let ip = pool.range().address(0).to_string();
        service.set(&["spec", "clusterIP"], ip.as_str());
        service.set(&["spec", "clusterIPs"], vec![ip]);
        return Ok(());
    }
    if wanted.is_empty() {
        let ip = pool.any_address().map_err(|_| {
            let name = go_text::go_quote(service.name());
            Status::internal(format!("failed to allocate a serviceIP for Service {name}: range is full"))
        })?;
        reserved.addresses.push(ip);
        service.set(&["spec", "clusterIP"], ip.to_string());
        service.set(&["spec", "clusterIPs"], vec![ip.to_string()]);
        return Ok(());
    }
    // What is no address at all is for validation to refuse.
    let Ok(ip) = wanted.parse::<Ipv4Addr>() else { return Ok(()) };
    let why = match pool.take_address(ip) {
        Ok(()) => {
            reserved.addresses.push(ip);
            return Ok(());
        }
        // A dry run asks the ranges themselves, and not what is free.
        Err(Refused::Taken) if reserved.dry_run => return Ok(()),
        Err(Refused::OutOfRange) if reserved.dry_run => format!(
            "the provided IP ({ip}) is not in the valid range. The range of valid IPs is {}",
            pool.range()
        ),
        Err(Refused::OutOfRange) => "the provided network does not match the current range".to_owned(),
        Err(_) => "provided IP is already allocated".to_owned(),
    };
    let mut errors = FieldErrors::new();
    let path = FieldPath::new("spec").child("clusterIPs");
    errors.invalid(&path, vec![wanted], format!("failed to allocate IP {ip}: {why}"));
    refuse(service, &errors)
}
