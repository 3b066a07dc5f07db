//! Everything else: networking, RBAC, certificates, admission, flow control, devices, aggregation.

use drydock_machinery::{ObjectMeta as _, Value, go_text};
use jiff::Timestamp;

use super::core::load_balancer;
use super::{age, format_selector, human, int, plain, text_or};
use crate::shape::{has, present};

pub(crate) fn name_and_age(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![object.name().into(), age(object, now)]
}

pub(crate) fn ingress(object: &Value, now: Timestamp) -> Vec<Value> {
    let class = present(object, &["spec", "ingressClassName"]).and_then(Value::as_str);
    let ports = if object.array_at(&["spec", "tls"]).is_empty() { "80" } else { "80, 443" };
    vec![
        object.name().into(),
        class.unwrap_or("<none>").into(),
        hosts(object.array_at(&["spec", "rules"])).into(),
        load_balancer(object).into(),
        ports.into(),
        age(object, now),
    ]
}

fn hosts(rules: &[Value]) -> String {
    const MAX: usize = 3;
    let mut shown: Vec<&str> = Vec::new();
    for rule in rules {
        // Any rule behind the third host counts, whether it has one or not.
        if shown.len() == MAX {
            return format!("{} + {} more...", shown.join(","), rules.len() - MAX);
        }
        shown.extend(Some(rule.str_at(&["host"])).filter(|host| !host.is_empty()));
    }
    if shown.is_empty() { "*".to_owned() } else { shown.join(",") }
}

pub(crate) fn ingress_class(object: &Value, now: Timestamp) -> Vec<Value> {
    let parameters = match present(object, &["spec", "parameters"]) {
        Some(parameters) => {
            let kind = parameters.str_at(&["kind"]);
            let group = parameters.str_at(&["apiGroup"]);
            let kind = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
            format!("{kind}/{}", parameters.str_at(&["name"]))
        }
        None => "<none>".to_owned(),
    };
    let mut name = object.name().to_owned();
    if object.annotation("ingressclass.kubernetes.io/is-default-class") == Some("true") {
        name.push_str(" (default)");
    }
    vec![name.into(), object.str_at(&["spec", "controller"]).into(), parameters.into(), age(object, now)]
}

pub(crate) fn network_policy(object: &Value, now: Timestamp) -> Vec<Value> {
    let selector = format_selector(object.at(&["spec", "podSelector"]));
    vec![object.name().into(), selector.into(), age(object, now)]
}

/// Upstream's rows have an age, which none of its columns is for.
pub(crate) fn ip_address(object: &Value, now: Timestamp) -> Vec<Value> {
    let parent = present(object, &["spec", "parentRef"]).map(|reference| {
        let [resource, group, namespace, name] =
            ["resource", "group", "namespace", "name"].map(|field| reference.str_at(&[field]));
        let mut text = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
        text.make_ascii_lowercase();
        if !namespace.is_empty() {
            text = format!("{text}/{namespace}");
        }
        format!("{text}/{name}")
    });
    vec![object.name().into(), parent.unwrap_or_else(|| "<none>".to_owned()).into(), age(object, now)]
}

pub(crate) fn service_cidr(object: &Value, now: Timestamp) -> Vec<Value> {
    let cidrs: Vec<&str> = object.array_at(&["spec", "cidrs"]).iter().filter_map(Value::as_str).collect();
    vec![object.name().into(), cidrs.join(",").into(), age(object, now)]
}

pub(crate) fn endpoint_slice(object: &Value, now: Timestamp) -> Vec<Value> {
    let ports: Vec<String> = object
        .array_at(&["ports"])
        .iter()
        .map(|port| match (present(port, &["port"]), present(port, &["name"])) {
            (Some(number), _) => plain(Some(number)),
            (None, Some(name)) => name.as_str().unwrap_or("").to_owned(),
            (None, None) => "*".to_owned(),
        })
        .collect();
    let addresses: Vec<&str> = object
        .array_at(&["endpoints"])
        .iter()
        .flat_map(|endpoint| endpoint.array_at(&["addresses"]))
        .filter_map(Value::as_str)
        .collect();
    vec![
        object.name().into(),
        object.str_at(&["addressType"]).into(),
        shortened(&ports).into(),
        shortened(&addresses).into(),
        age(object, now),
    ]
}

/// Three of a list, and how many more.
fn shortened<T: AsRef<str>>(all: &[T]) -> String {
    const MAX: usize = 3;
    let shown: Vec<&str> = all.iter().take(MAX).map(AsRef::as_ref).collect();
    let text = shown.join(",");
    if all.len() > MAX {
        format!("{text} + {} more...", all.len() - MAX)
    } else {
        text_or(&text, "<unset>").to_owned()
    }
}

pub(crate) fn role_binding(object: &Value, now: Timestamp) -> Vec<Value> {
    let subjects = |kind: &str| {
        let named = object.array_at(&["subjects"]).iter().filter(|subject| subject.str_at(&["kind"]) == kind);
        let names: Vec<String> = named
            .map(|subject| match subject.str_at(&["namespace"]) {
                namespace if kind == "ServiceAccount" => format!("{namespace}/{}", subject.str_at(&["name"])),
                _ => subject.str_at(&["name"]).to_owned(),
            })
            .collect();
        Value::from(names.join(", "))
    };
    let role = format!("{}/{}", object.str_at(&["roleRef", "kind"]), object.str_at(&["roleRef", "name"]));
    vec![
        object.name().into(),
        role.into(),
        age(object, now),
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}

pub(crate) fn certificate_signing_request(object: &Value, now: Timestamp) -> Vec<Value> {
    let duration = match object.i64_at(&["spec", "expirationSeconds"]) {
        Some(seconds) => human::duration(seconds),
        None => "<none>".to_owned(),
    };
    vec![
        object.name().into(),
        age(object, now),
        object.str_at(&["spec", "signerName"]).into(),
        object.str_at(&["spec", "username"]).into(),
        duration.into(),
        csr_status(object).into(),
    ]
}

fn csr_status(object: &Value) -> String {
    let has = |wanted: &str| {
        object.array_at(&["status", "conditions"]).iter().any(|c| c.str_at(&["type"]) == wanted)
    };
    let mut status = if has("Denied") {
        "Denied"
    } else if has("Approved") {
        "Approved"
    } else {
        "Pending"
    }
    .to_owned();
    if has("Failed") {
        status.push_str(",Failed");
    }
    if !object.str_at(&["status", "certificate"]).is_empty() {
        status.push_str(",Issued");
    }
    status
}

pub(crate) fn runtime_class(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![object.name().into(), object.str_at(&["handler"]).into(), age(object, now)]
}

pub(crate) fn priority_class(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        object.name().into(),
        int(object, &["value"]),
        object.bool_at(&["globalDefault"]).into(),
        age(object, now),
        object.str_at(&["preemptionPolicy"]).into(),
    ]
}

pub(crate) fn webhook_configuration(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![object.name().into(), object.array_at(&["webhooks"]).len().into(), age(object, now)]
}

pub(crate) fn validating_admission_policy(object: &Value, now: Timestamp) -> Vec<Value> {
    admission_policy(object, now, "validations")
}

pub(crate) fn mutating_admission_policy(object: &Value, now: Timestamp) -> Vec<Value> {
    admission_policy(object, now, "mutations")
}

fn admission_policy(object: &Value, now: Timestamp, rules: &str) -> Vec<Value> {
    let param_kind = match present(object, &["spec", "paramKind"]) {
        Some(kind) => format!("{}/{}", kind.str_at(&["apiVersion"]), kind.str_at(&["kind"])),
        None => "<unset>".to_owned(),
    };
    let count = object.array_at(&["spec", rules]).len();
    vec![object.name().into(), count.into(), param_kind.into(), age(object, now)]
}

pub(crate) fn admission_policy_binding(object: &Value, now: Timestamp) -> Vec<Value> {
    let param = match present(object, &["spec", "paramRef"]) {
        Some(param) => match (param.str_at(&["namespace"]), param.str_at(&["name"])) {
            (namespace, name) if !name.is_empty() => match namespace {
                "" => format!("*/{name}"),
                namespace => format!("{namespace}/{name}"),
            },
            (_, _) => match present(param, &["selector"]) {
                Some(selector) => go_text::label_selector(selector),
                None => "<unset>".to_owned(),
            },
        },
        None => "<unset>".to_owned(),
    };
    vec![object.name().into(), object.str_at(&["spec", "policyName"]).into(), param.into(), age(object, now)]
}

pub(crate) fn flow_schema(object: &Value, now: Timestamp) -> Vec<Value> {
    let method = text_or(object.str_at(&["spec", "distinguisherMethod", "type"]), "<none>");
    let mut conditions = object.array_at(&["status", "conditions"]).iter();
    let missing = conditions
        .find(|condition| condition.str_at(&["type"]) == "Dangling")
        .map_or("?", |condition| condition.str_at(&["status"]));
    vec![
        object.name().into(),
        object.str_at(&["spec", "priorityLevelConfiguration", "name"]).into(),
        int(object, &["spec", "matchingPrecedence"]),
        method.into(),
        age(object, now),
        missing.into(),
    ]
}

pub(crate) fn priority_level(object: &Value, now: Timestamp) -> Vec<Value> {
    let number = |path: &[&str]| present(object, path).cloned().unwrap_or_else(|| "<none>".into());
    let queuing = |field: &str| number(&["spec", "limited", "limitResponse", "queuing", field]);
    let shares = match object.str_at(&["spec", "type"]) {
        "Exempt" => "<none>".into(),
        _ => number(&["spec", "limited", "nominalConcurrencyShares"]),
    };
    vec![
        object.name().into(),
        object.str_at(&["spec", "type"]).into(),
        shares,
        queuing("queues"),
        queuing("handSize"),
        queuing("queueLengthLimit"),
        age(object, now),
    ]
}

pub(crate) fn resource_claim(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut states = Vec::new();
    if object.is_deleting() {
        states.push("deleted");
    }
    if has(object, &["status", "allocation"]) {
        states.push("allocated");
        if !object.array_at(&["status", "reservedFor"]).is_empty() {
            states.push("reserved");
        }
    } else if !object.is_deleting() {
        states.push("pending");
    }
    vec![object.name().into(), states.join(",").into(), age(object, now)]
}

pub(crate) fn resource_slice(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        object.name().into(),
        object.str_at(&["spec", "nodeName"]).into(),
        object.str_at(&["spec", "driver"]).into(),
        object.str_at(&["spec", "pool", "name"]).into(),
        age(object, now),
    ]
}

pub(crate) fn api_service(object: &Value, now: Timestamp) -> Vec<Value> {
    let service = match present(object, &["spec", "service"]) {
        Some(service) => format!("{}/{}", service.str_at(&["namespace"]), service.str_at(&["name"])),
        None => "Local".to_owned(),
    };
    let mut conditions = object.array_at(&["status", "conditions"]).iter();
    let available = match conditions.find(|condition| condition.str_at(&["type"]) == "Available") {
        Some(condition) if condition.str_at(&["status"]) == "True" => "True".to_owned(),
        Some(condition) => {
            format!("{} ({})", condition.str_at(&["status"]), condition.str_at(&["reason"]))
        }
        None => "Unknown".to_owned(),
    };
    vec![object.name().into(), service.into(), available.into(), age(object, now)]
}
