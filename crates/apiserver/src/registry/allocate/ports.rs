//! Which node ports a Service is given, after upstream's `pkg/registry/core/service/storage/alloc.go`.

use std::collections::HashMap;

use drydock_machinery::{FieldErrors, FieldPath, Reason, Status, Value};

use super::Reserved;
use super::pool::{NODE_PORTS, Pool, Refused};
use super::service::{kind, refuse};

/// What the client left out is what the port of that name had: `patchAllocatedValues`.
pub(super) fn keep(service: &mut Value, old: &Value) {
    if gives_ports(service) && gives_ports(old) {
        let before: HashMap<&str, i64> =
            ports(old).iter().map(|port| (port.str_at(&["name"]), number(port))).collect();
        let used = |service: &Value, wanted: i64| ports(service).iter().any(|port| number(port) == wanted);
        let known = |port: &Value| {
            let before = before.get(port.str_at(&["name"])).copied().unwrap_or(0);
            (number(port) == 0 && before != 0 && !used(service, before)).then_some(before)
        };
        let kept: Vec<Option<i64>> = ports(service).iter().map(known).collect();
        set_ports(service, kept);
    }
    let health = ["spec", "healthCheckNodePort"];
    if service.i64_at(&health).unwrap_or(0) == 0
        && needs_health_port(service)
        && needs_health_port(old)
        && let Some(port) = old.i64_at(&health)
    {
        service.set(&health, port);
    }
}

/// `txnAllocNodePorts`: ports of one number share a node port, whatever their protocols.
pub(super) fn create(pool: &mut Pool, service: &mut Value, reserved: &mut Reserved) -> Result<(), Status> {
    if has_ports(service) {
        let allocates = gives_ports(service);
        let mut shared: HashMap<i64, i64> = HashMap::new();
        let mut given = Vec::new();
        for (i, port) in ports(service).iter().enumerate() {
            let (wanted, own) = (number(port), port.i64_at(&["port"]).unwrap_or(0));
            if wanted == 0 && !allocates {
                given.push(None);
                continue;
            }
            let before = shared.get(&own).copied();
            given.push(match before {
                Some(before) if wanted == 0 || wanted == before => Some(before),
                Some(_) => {
                    claim(pool, service, i, wanted, reserved)?;
                    None
                }
                None => {
                    let same = |other: &&Value| other.i64_at(&["port"]) == Some(own) && number(other) != 0;
                    let taken = match ports(service).iter().find(same).map(number) {
                        Some(asked) => {
                            claim(pool, service, i, asked, reserved)?;
                            asked
                        }
                        None => any(pool, reserved, "nodePort")?,
                    };
                    shared.insert(own, taken);
                    Some(taken)
                }
            });
        }
        set_ports(service, given);
    }
    if needs_health_port(service) { give_health_port(pool, service, reserved) } else { Ok(()) }
}

/// `txnUpdateNodePorts`: what is new is allocated, each port by itself.
pub(super) fn update(
    pool: &mut Pool,
    service: &mut Value,
    old: &Value,
    reserved: &mut Reserved,
) -> Result<(), Status> {
    if has_ports(service) {
        let allocates = gives_ports(service);
        let mut held: Vec<i64> = ports(old).iter().map(number).filter(|number| *number != 0).collect();
        let mut seen: Vec<(String, i64)> = Vec::new();
        let mut given = Vec::new();
        for (i, port) in ports(service).iter().enumerate() {
            let wanted = number(port);
            if wanted == 0 && !allocates {
                given.push(None);
                continue;
            }
            let node_port = if wanted == 0 {
                any(pool, reserved, "nodePort")?
            } else {
                if !held.contains(&wanted) {
                    claim(pool, service, i, wanted, reserved)?;
                    held.push(wanted);
                }
                wanted
            };
            let this = (port.str_at(&["protocol"]).to_owned(), node_port);
            if seen.contains(&this) {
                let text = format!("duplicate nodePort: {{{} {}}}", this.0, this.1);
                return Err(Status::new(500, Reason::Unknown, text));
            }
            seen.push(this);
            given.push(Some(node_port));
        }
        set_ports(service, given);
    }
    if needs_health_port(service) && !needs_health_port(old) {
        give_health_port(pool, service, reserved)?;
    }
    Ok(())
}

fn ports(service: &Value) -> &[Value] {
    service.array_at(&["spec", "ports"])
}

fn number(port: &Value) -> i64 {
    port.i64_at(&["nodePort"]).unwrap_or(0)
}

/// Writes the node ports that were found, one for each port.
fn set_ports(service: &mut Value, given: Vec<Option<i64>>) {
    if given.iter().all(Option::is_none) {
        return;
    }
    let mut changed = ports(service).to_vec();
    for (port, number) in changed.iter_mut().zip(given) {
        if let Some(number) = number {
            port.set(&["nodePort"], number);
        }
    }
    service.set(&["spec", "ports"], changed);
}

fn has_ports(service: &Value) -> bool {
    ["NodePort", "LoadBalancer"].contains(&kind(service))
}

/// Whether ports that ask for no node port get one: `shouldAllocateNodePorts`.
fn gives_ports(service: &Value) -> bool {
    let allocate = service.at(&["spec", "allocateLoadBalancerNodePorts"]).and_then(Value::as_bool);
    kind(service) == "NodePort" || kind(service) == "LoadBalancer" && allocate != Some(false)
}

fn needs_health_port(service: &Value) -> bool {
    kind(service) == "LoadBalancer" && service.str_at(&["spec", "externalTrafficPolicy"]) == "Local"
}

fn any(pool: &mut Pool, reserved: &mut Reserved, what: &str) -> Result<i64, Status> {
    let port = pool
        .any_port()
        .map_err(|_| Status::internal(format!("failed to allocate a {what}: range is full")))?;
    reserved.ports.push(port);
    Ok(i64::from(port))
}

fn take(pool: &mut Pool, wanted: i64, reserved: &mut Reserved) -> Result<(), String> {
    let port = u16::try_from(wanted).unwrap_or(0);
    match pool.take_port(port) {
        Ok(()) => {
            reserved.ports.push(port);
            Ok(())
        }
        // A dry run is not asked whether it is in the range.
        Err(Refused::OutOfRange) if reserved.dry_run => Ok(()),
        Err(Refused::OutOfRange) => Err(format!(
            "provided port is not in the valid range. The range of valid ports is {}-{}",
            NODE_PORTS.start(),
            NODE_PORTS.end()
        )),
        Err(_) => Err("provided port is already allocated".to_owned()),
    }
}

fn claim(
    pool: &mut Pool,
    service: &Value,
    i: usize,
    wanted: i64,
    reserved: &mut Reserved,
) -> Result<(), Status> {
    take(pool, wanted, reserved).or_else(|why| {
        let mut errors = FieldErrors::new();
        errors.invalid(&FieldPath::new("spec").child("ports").index(i).child("nodePort"), wanted, why);
        refuse(service, &errors)
    })
}

/// `allocHealthCheckNodePort`.
fn give_health_port(pool: &mut Pool, service: &mut Value, reserved: &mut Reserved) -> Result<(), Status> {
    let at = ["spec", "healthCheckNodePort"];
    let wanted = service.i64_at(&at).unwrap_or(0);
    if wanted == 0 {
        let port = any(pool, reserved, "HealthCheck NodePort 0")?;
        service.set(&at, port);
        return Ok(());
    }
    take(pool, wanted, reserved).map_err(|why| {
        Status::internal(format!("failed to allocate requested HealthCheck NodePort {wanted}: {why}"))
    })
}
