//! Core kinds besides workloads and storage.

use drydock_machinery::{ObjectMeta as _, Value};
use jiff::Timestamp;

use super::{age, format_labels, human, text_or};
use crate::shape::present;

pub(crate) fn namespace(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![object.name().into(), object.str_at(&["status", "phase"]).into(), age(object, now)]
}

pub(crate) fn config_map(object: &Value, now: Timestamp) -> Vec<Value> {
    let count = object.object_at(&["data"]).len() + object.object_at(&["binaryData"]).len();
    vec![object.name().into(), count.into(), age(object, now)]
}

pub(crate) fn secret(object: &Value, now: Timestamp) -> Vec<Value> {
    let secret_type = object.str_at(&["type"]).into();
    vec![object.name().into(), secret_type, object.object_at(&["data"]).len().into(), age(object, now)]
}

pub(crate) fn service_account(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![object.name().into(), age(object, now)]
}

pub(crate) fn service(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        object.name().into(),
        object.str_at(&["spec", "type"]).into(),
        text_or(
            object.array_at(&["spec", "clusterIPs"]).first().and_then(Value::as_str).unwrap_or(""),
            "<none>",
        )
        .into(),
        external_ip(object).into(),
        ports(object).into(),
        age(object, now),
        format_labels(object.object_at(&["spec", "selector"])).into(),
    ]
}

/// Addresses and host names of a load balancer, sorted.
pub(super) fn load_balancer(object: &Value) -> String {
    let ingress = object.array_at(&["status", "loadBalancer", "ingress"]).iter();
    let mut result: Vec<&str> = ingress
        .map(|entry| text_or(entry.str_at(&["ip"]), entry.str_at(&["hostname"])))
        .filter(|text| !text.is_empty())
        .collect();
    result.sort_unstable();
    result.dedup();
    result.join(",")
}

fn external_ip(object: &Value) -> String {
    let external: Vec<&str> =
        object.array_at(&["spec", "externalIPs"]).iter().filter_map(Value::as_str).collect();
    match object.str_at(&["spec", "type"]) {
        "ClusterIP" | "NodePort" => text_or(&external.join(","), "<none>").to_owned(),
        "LoadBalancer" => {
            let mut all = load_balancer(object);
            if !external.is_empty() {
                if !all.is_empty() {
                    all.push(',');
                }
                all.push_str(&external.join(","));
            }
            text_or(&all, "<pending>").to_owned()
        }
        "ExternalName" => object.str_at(&["spec", "externalName"]).to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

fn ports(object: &Value) -> String {
    let ports = object.array_at(&["spec", "ports"]).iter().map(|port| {
        let number = port.i64_at(&["port"]).unwrap_or(0);
        let protocol = port.str_at(&["protocol"]);
        match port.i64_at(&["nodePort"]).unwrap_or(0) {
            0 => format!("{number}/{protocol}"),
            node_port => format!("{number}:{node_port}/{protocol}"),
        }
    });
    let joined = ports.collect::<Vec<_>>().join(",");
    text_or(&joined, "<none>").to_owned()
}

pub(crate) fn endpoints(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![object.name().into(), endpoint_addresses(object).into(), age(object, now)]
}

fn endpoint_addresses(object: &Value) -> String {
    const MAX: usize = 3;
    let subsets = object.array_at(&["subsets"]);
    if subsets.is_empty() {
        return "<none>".to_owned();
    }
    let mut all: Vec<String> = Vec::new();
    for subset in subsets {
        let addresses = subset.array_at(&["addresses"]);
        let ports = subset.array_at(&["ports"]);
        if ports.is_empty() {
            all.extend(addresses.iter().map(|address| address.str_at(&["ip"]).to_owned()));
        }
        for port in ports {
            let port = port.i64_at(&["port"]).unwrap_or(0);
            all.extend(addresses.iter().map(|address| join_host_port(address.str_at(&["ip"]), port)));
        }
    }
    if all.len() > MAX {
        return format!("{} + {} more...", all[..MAX].join(","), all.len() - MAX);
    }
    all.join(",")
}

fn join_host_port(host: &str, port: i64) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

pub(crate) fn event(object: &Value, now: Timestamp) -> Vec<Value> {
    // Kept in core/v1 or events.k8s.io/v1 form.
    let first = first_text(object, &["firstTimestamp", "deprecatedFirstTimestamp"]);
    let last = first_text(object, &["lastTimestamp", "deprecatedLastTimestamp"]);
    let event_time = object.str_at(&["eventTime"]);
    let first_seen = human::since(text_or(first, event_time), now);
    let series = present(object, &["series"]);
    let last_seen = match series {
        Some(series) => human::since(series.str_at(&["lastObservedTime"]), now),
        None if last.is_empty() => first_seen.clone(),
        None => human::since(last, now),
    };
    let about = if object.get("regarding").is_some() { "regarding" } else { "involvedObject" };
    let kind = object.str_at(&[about, "kind"]).to_lowercase();
    let name = object.str_at(&[about, "name"]);
    let target = if name.is_empty() { kind } else { format!("{kind}/{name}") };
    let source = if object.get("deprecatedSource").is_some() { "deprecatedSource" } else { "source" };
    let count = match series {
        Some(series) => series.i64_at(&["count"]).unwrap_or(0),
        None => {
            let counts = ["count", "deprecatedCount"].into_iter().filter_map(|field| object.i64_at(&[field]));
            counts.into_iter().find(|count| *count != 0).unwrap_or(1)
        }
    };
    let message = text_or(object.str_at(&["message"]), object.str_at(&["note"])).trim();
    vec![
        last_seen.into(),
        object.str_at(&["type"]).into(),
        object.str_at(&["reason"]).into(),
        target.into(),
        object.str_at(&[about, "fieldPath"]).into(),
        event_source(object, source).into(),
        message.into(),
        first_seen.into(),
        count.into(),
        object.name().into(),
    ]
}

fn first_text<'a>(object: &'a Value, fields: &[&str]) -> &'a str {
    fields.iter().map(|field| object.str_at(&[field])).find(|text| !text.is_empty()).unwrap_or("")
}

fn event_source(object: &Value, source: &str) -> String {
    let component = text_or(object.str_at(&[source, "component"]), object.str_at(&["reportingComponent"]));
    let component = text_or(component, object.str_at(&["reportingController"]));
    let instance = text_or(object.str_at(&[source, "host"]), object.str_at(&["reportingInstance"]));
    if instance.is_empty() { component.to_owned() } else { format!("{component}, {instance}") }
}

pub(crate) fn resource_quota(object: &Value, now: Timestamp) -> Vec<Value> {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (name, hard) in object.object_at(&["status", "hard"]).iter() {
        let used = object.at(&["status", "used", name]).and_then(Value::as_str).unwrap_or("0");
        let text = format!("{name}: {used}/{}", hard.as_str().unwrap_or(""));
        if name.starts_with("limits") { limits.push(text) } else { requests.push(text) }
    }
    vec![object.name().into(), requests.join(", ").into(), limits.join(", ").into(), age(object, now)]
}

pub(crate) fn node(object: &Value, now: Timestamp) -> Vec<Value> {
    let info = |field: &str| Value::from(text_or(object.str_at(&["status", "nodeInfo", field]), "<unknown>"));
    let kernel = match object.str_at(&["status", "nodeInfo", "architecture"]) {
        "" => info("kernelVersion"),
        own => {
            let kernel = text_or(object.str_at(&["status", "nodeInfo", "kernelVersion"]), "<unknown>");
            format!("{kernel} ({own})").into()
        }
    };
    let address = |wanted: &str| {
        let mut addresses = object.array_at(&["status", "addresses"]).iter();
        let found = addresses.find(|address| address.str_at(&["type"]) == wanted);
        Value::from(found.map_or("<none>", |address| address.str_at(&["address"])))
    };
    vec![
        object.name().into(),
        node_status(object).into(),
        node_roles(object).into(),
        age(object, now),
        object.str_at(&["status", "nodeInfo", "kubeletVersion"]).into(),
        address("InternalIP"),
        address("ExternalIP"),
        info("osImage"),
        kernel,
        info("containerRuntimeVersion"),
    ]
}

fn node_status(object: &Value) -> String {
    let conditions = object.array_at(&["status", "conditions"]).iter();
    let ready = conditions.rev().find(|condition| condition.str_at(&["type"]) == "Ready");
    let mut status = match ready.map(|ready| ready.str_at(&["status"])) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if object.bool_at(&["spec", "unschedulable"]) {
        status.push_str(",SchedulingDisabled");
    }
    status
}

fn node_roles(object: &Value) -> String {
    let mut roles: Vec<&str> = object
        .labels()
        .iter()
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role),
            None if key == "kubernetes.io/role" => value.as_str(),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    roles.dedup();
    text_or(&roles.join(","), "<none>").to_owned()
}

pub(crate) fn component_status(object: &Value, _now: Timestamp) -> Vec<Value> {
    let conditions = object.array_at(&["conditions"]);
    let health = conditions.iter().find(|condition| condition.str_at(&["type"]) == "Healthy");
    let text = |field: &str| health.map_or("", |condition| condition.str_at(&[field]));
    let status = match text("status") {
        "" => "Unknown",
        "True" => "Healthy",
        _ => "Unhealthy",
    };
    vec![object.name().into(), status.into(), text("message").into(), text("error").into()]
}
