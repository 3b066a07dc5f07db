//! Where a proxy's request goes to.

use std::net::IpAddr;
use std::sync::Arc;

use drydock_auth::Reader as _;
use drydock_machinery::{Object, ObjectMeta as _, Reason, Status, Value};

use super::dial::{self, TlsTarget};
use crate::http::path::ResourcePath;
use crate::seams::{DialError, Stream};
use crate::server::Core;

const KUBELET_PORT: &str = "10250";

/// A server.
pub(super) struct Location {
    tls: bool,
    /// `ADDRESS:PORT`, or the node's name and port.
    pub(super) authority: String,
    place: Place,
}

enum Place {
    Kubelet(String),
    Address(IpAddr, u16),
}

/// # Errors
/// As the client sees it: what is not there or cannot be reached by a proxy.
pub(super) fn resolve(core: &Core, path: &ResourcePath) -> Result<Location, Status> {
    let invalid = |what: &str| Status::bad_request(format!("invalid {what} request {:?}", path.name));
    let what = path.resource.trim_end_matches('s');
    let (scheme, name, port) = split(&path.name).ok_or_else(|| invalid(what))?;
    match path.resource.as_str() {
        "pods" => pod(core, path, scheme, name, port),
        "services" => service(core, path, scheme, name, port),
        _ => node(core, scheme, name, port),
    }
}

/// `NAME`, `NAME:PORT`, `SCHEME:NAME:PORT`.
fn split(id: &str) -> Option<(&str, &str, &str)> {
    let parts: Vec<&str> = id.split(':').collect();
    let (scheme, name, port) = match parts.as_slice() {
        [name] => ("", *name, ""),
        [name, port] => ("", *name, *port),
        [scheme, name, port] => (*scheme, *name, *port),
        _ => return None,
    };
    (!name.is_empty() && matches!(scheme, "" | "http" | "https")).then_some((scheme, name, port))
}

fn pod(core: &Core, path: &ResourcePath, scheme: &str, name: &str, port: &str) -> Result<Location, Status> {
    let pod = core.registry.cache.get("", "pods", &path.namespace, name);
    let pod = pod.ok_or_else(|| Status::not_found("", "pods", name))?;
    let mut declared = pod.array_at(&["spec", "containers"]).iter().flat_map(|one| one.array_at(&["ports"]));
    let first = declared.next().and_then(|port| port.i64_at(&["containerPort"]));
    let port = match (port, first) {
        ("", Some(first)) => first.to_string(),
        (port, _) => port.to_owned(),
    };
    address(scheme, pod.str_at(&["status", "podIP"]), &port)
}

fn address(scheme: &str, ip: &str, port: &str) -> Result<Location, Status> {
    let not_allowed = || Status::bad_request("address not allowed");
    let ip: IpAddr = ip.parse().map_err(|_| not_allowed())?;
    if !dial::is_global_unicast(ip) {
        return Err(not_allowed());
    }
    let tls = scheme == "https";
    let port = match port {
        "" if tls => 443,
        "" => 80,
        port => port.parse().map_err(|_| {
            let why = format!("error trying to reach service: dial tcp: lookup tcp/{port}: unknown port");
            Status::new(503, Reason::ServiceUnavailable, why)
        })?,
    };
    let authority = std::net::SocketAddr::new(ip, port).to_string();
    Ok(Location { tls, authority, place: Place::Address(ip, port) })
}

fn service(
    core: &Core,
    path: &ResourcePath,
    scheme: &str,
    name: &str,
    port: &str,
) -> Result<Location, Status> {
    let unavailable = |text: String| Status::new(503, Reason::ServiceUnavailable, text);
    let cache = &core.registry.cache;
    let mut port_name = port.to_owned();
    if let Ok(number) = port.parse::<i64>() {
        let service = cache.get("", "services", &path.namespace, name);
        let service = service.ok_or_else(|| Status::not_found("", "services", name))?;
        let ports = service.array_at(&["spec", "ports"]);
        let found = ports.iter().find(|own| own.i64_at(&["port"]) == Some(number));
        let found = found
            .ok_or_else(|| unavailable(format!("no service port {number} found for service {name:?}")))?;
        port_name = found.str_at(&["name"]).to_owned();
    }
    let endpoints = cache.get("", "endpoints", &path.namespace, name);
    // Upstream names what was asked for.
    let endpoints = endpoints.ok_or_else(|| Status::not_found("", "services", name))?;
    let subsets = endpoints.array_at(&["subsets"]);
    if subsets.is_empty() {
        return Err(unavailable(format!("no endpoints available for service {name:?}")));
    }
    let mut fitting = Vec::new();
    for subset in subsets {
        let ports = subset.array_at(&["ports"]).iter();
        for port in ports.filter(|port| port.str_at(&["name"]) == port_name) {
            let addresses = subset.array_at(&["addresses"]).iter();
            let valid = addresses.filter(|address| is_pods_own(core, &path.namespace, address));
            fitting
                .extend(valid.map(|address| (address.str_at(&["ip"]), port.i64_at(&["port"]).unwrap_or(0))));
        }
    }
    if fitting.is_empty() {
        return Err(unavailable(format!("no endpoints available for service {:?}", path.name)));
    }
    let (ip, port) = fitting[rand::random_range(0..fitting.len())];
    address(scheme, ip, &port.to_string())
}

/// A proxy goes to addresses that are pods' of the same namespace only.
fn is_pods_own(core: &Core, namespace: &str, address: &Value) -> bool {
    if address.str_at(&["targetRef", "namespace"]) != namespace {
        return false;
    }
    let name = address.str_at(&["targetRef", "name"]);
    let pod: Option<Arc<Object>> = core.registry.cache.get("", "pods", namespace, name);
    pod.is_some_and(|pod| {
        let own = pod.array_at(&["status", "podIPs"]).iter();
        own.into_iter().any(|own| own.str_at(&["ip"]) == address.str_at(&["ip"]))
    })
}

fn node(core: &Core, scheme: &str, name: &str, port: &str) -> Result<Location, Status> {
    let node = core.registry.cache.get("", "nodes", "", name);
    let node = node.ok_or_else(|| Status::not_found("", "nodes", name))?;
    if node.array_at(&["status", "addresses"]).is_empty() {
        let why = "no preferred addresses found; known addresses: []";
        return Err(Status::new(500, Reason::Unknown, why));
    }
    if port.is_empty() || port == KUBELET_PORT {
        let authority = format!("{name}:{KUBELET_PORT}");
        return Ok(Location { tls: false, authority, place: Place::Kubelet(node.name().to_owned()) });
    }
    let addresses = node.array_at(&["status", "addresses"]).iter();
    let internal = addresses.into_iter().find(|address| address.str_at(&["type"]) == "InternalIP");
    address(scheme, internal.map_or("", |address| address.str_at(&["address"])), port)
}

impl Location {
    /// # Errors
    /// What Go's dialer says.
    pub(super) async fn connect(&self, core: &Core) -> Result<Box<dyn Stream>, String> {
        let stream = match &self.place {
            Place::Kubelet(node) => {
                let nodes = core.nodes.as_ref().ok_or("no node can be reached")?;
                match nodes.kubelet(node).await {
                    Ok(stream) => stream,
                    Err(DialError::Unreachable(why) | DialError::Refused { text: why, .. }) => {
                        return Err(why);
                    }
                }
            }
            Place::Address(ip, port) => dial::cluster_network(core, *ip, *port).await?,
        };
        if !self.tls {
            return Ok(stream);
        }
        // Who is behind a port of a pod is not known: its certificate is not looked at.
        dial::tls(stream, TlsTarget::unverified(&self.authority)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_have_a_scheme_and_a_port() {
        assert_eq!(split("a"), Some(("", "a", "")));
        assert_eq!(split("a:80"), Some(("", "a", "80")));
        assert_eq!(split("https:a:web"), Some(("https", "a", "web")));
        assert_eq!(split("ftp:a:21"), None);
        assert_eq!(split(":80"), None);
        assert_eq!(split("a:b:c:d"), None);
    }

    #[test]
    fn addresses_of_the_machine_itself_are_no_targets() {
        for ip in [
            "127.0.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "224.0.0.1",
            "",
        ] {
            assert!(address("", ip, "80").is_err(), "{ip}");
        }
        assert_eq!(address("https", "10.0.0.7", "").map(|found| found.authority).unwrap(), "10.0.0.7:443");
    }
}
