//! How much of a quota's resource some objects use.

use std::sync::Arc;

use drydock_client::resources::PODS;
use drydock_machinery::quantity::Quantity;
use drydock_machinery::{GroupVersionResource, Object, ObjectMeta, Value};

use jiff::{SignedDuration, Timestamp};

use crate::util::{pod, time_at};

/// The amount of `resource` that `objects` (of the resource `gvr`) use, canonically written.
pub(super) fn of(
    quota: &Object,
    resource: &str,
    gvr: &GroupVersionResource,
    objects: &[Arc<Object>],
    now: Timestamp,
) -> String {
    let mut total = Quantity::ZERO;
    for object in objects {
        let is_gone = *gvr == PODS && !resource.starts_with("count/") && !counts(object, now);
        if is_gone || !in_scopes(quota, gvr, object) {
            continue;
        }
        total += &amount(resource, object);
    }
    total.to_string()
}

/// Whether the pod takes anything: neither has it ended, nor is the time over that it was given to go.
fn counts(pod: &Value, now: Timestamp) -> bool {
    let grace = pod.i64_at(&["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0);
    let end = time_at(pod, &["metadata", "deletionTimestamp"]);
    let grace = SignedDuration::from_secs(grace);
    let is_over = end.is_some_and(|end| end.saturating_add(grace).unwrap_or(Timestamp::MAX) < now);
    !pod::is_finished(pod) && !is_over
}

/// Whether an update can lower usage.
pub(super) fn matters(old: &Object, new: &Object, now: Timestamp) -> bool {
    if new.kind() == "Pod" {
        // Being bound to a node changes the spec, too.
        let containers = |pod: &Object| pod.at(&["spec", "containers"]).cloned();
        let ends = |pod: &Object| pod.i64_at(&["spec", "activeDeadlineSeconds"]).is_some();
        return counts(old, now) && !counts(new, now)
            || containers(old) != containers(new)
            || ends(old) != ends(new);
    }
    let claim = new.kind() == "PersistentVolumeClaim";
    // A claim's status has the class that it has, and the size it was given.
    old.get("spec") != new.get("spec") || claim && old.get("status") != new.get("status")
}

fn one_if(holds: bool) -> Quantity {
    if holds { Quantity::new(1, drydock_machinery::quantity::Format::DecimalSi) } else { Quantity::ZERO }
}

/// Load balancers that are not given any have those that they ask for by number.
fn node_ports(service: &Value) -> usize {
    let ports = service.array_at(&["spec", "ports"]);
    let given = service.at(&["spec", "allocateLoadBalancerNodePorts"]).and_then(Value::as_bool);
    match service.str_at(&["spec", "type"]) {
        "LoadBalancer" if given == Some(false) => {
            ports.iter().filter(|port| port.i64_at(&["nodePort"]).is_some_and(|port| port != 0)).count()
        }
        "NodePort" | "LoadBalancer" => ports.len(),
        _ => 0,
    }
}

fn amount(resource: &str, object: &Value) -> Quantity {
    if resource.starts_with("count/") {
        return one_if(true);
    }
    let service_type = object.str_at(&["spec", "type"]);
    match resource {
        "pods" => one_if(true),
        "services"
        | "secrets"
        | "configmaps"
        | "replicationcontrollers"
        | "resourcequotas"
        | "persistentvolumeclaims" => one_if(true),
        "services.loadbalancers" => one_if(service_type == "LoadBalancer"),
        "services.nodeports" => {
            let ports = i64::try_from(node_ports(object)).unwrap_or(i64::MAX);
            Quantity::new(ports, drydock_machinery::quantity::Format::DecimalSi)
        }
        "requests.storage" => storage(object),
        name => match name.split_once(".storageclass.storage.k8s.io/") {
            Some((class, rest)) if object.str_at(&["spec", "storageClassName"]) == class => {
                if rest == "requests.storage" { storage(object) } else { one_if(true) }
            }
            Some(_) => Quantity::ZERO,
            None if name.ends_with(PER_DEVICE_CLASS) => {
                let class = name.trim_end_matches(PER_DEVICE_CLASS);
                Quantity::new(devices(object, class), drydock_machinery::quantity::Format::DecimalSi)
            }
            None => compute(name, object),
        },
    }
}

/// What follows a device class in the name that quotas have for its devices.
pub(super) const PER_DEVICE_CLASS: &str = ".deviceclass.resource.k8s.io/devices";

/// How many devices of a class a resource claim may get; of alternatives the worst counts.
fn devices(claim: &Value, class: &str) -> i64 {
    /// The most that a claim can be given at all.
    const MOST: i64 = 32;
    let asked = |request: &Value| match request.str_at(&["allocationMode"]) {
        _ if request.str_at(&["deviceClassName"]) != class => 0,
        "ExactCount" => request.i64_at(&["count"]).unwrap_or(0),
        "All" => MOST,
        _ => 0,
    };
    let requests = claim.array_at(&["spec", "devices", "requests"]).iter();
    let worst = requests.map(|request| match request.array_at(&["firstAvailable"]) {
        [] => request.get("exactly").map_or(0, asked),
        alternatives => alternatives.iter().map(asked).max().unwrap_or(0),
    });
    worst.sum()
}

/// What is asked for, or what was given when that is more: a claim may be made smaller only so far.
fn storage(claim: &Value) -> Quantity {
    let asked = Quantity::of(claim.at(&["spec", "resources", "requests", "storage"]));
    asked.max(Quantity::of(claim.at(&["status", "allocatedResources", "storage"])))
}

/// `cpu`, `requests.cpu`, `limits.memory`, … of a pod.
fn compute(resource: &str, pod: &Value) -> Quantity {
    let (list, name) = match resource.split_once('.') {
        Some(("requests", name)) => ("requests", name),
        Some(("limits", name)) => ("limits", name),
        _ => ("requests", resource),
    };
    if let Some(level) = pod.at(&["spec", "resources", list, name]) {
        return Quantity::of(Some(level));
    }
    let of = |container: &Value| Quantity::of(container.at(&["resources", list, name]));
    let mut total = Quantity::ZERO;
    for container in pod.array_at(&["spec", "containers"]) {
        total += &of(container);
    }
    let (mut sidecars, mut worst) = (Quantity::ZERO, Quantity::ZERO);
    for container in pod.array_at(&["spec", "initContainers"]) {
        let own = of(container);
        let mut here = sidecars.clone();
        here += &own;
        if container.str_at(&["restartPolicy"]) == "Always" {
            total += &own;
            sidecars += &own;
        }
        worst = worst.max(here);
    }
    let mut total = total.max(worst);
    total += &Quantity::of(pod.at(&["spec", "overhead", name]));
    total
}

/// Whether the object is in all scopes of the quota. Only pods and claims are in any.
fn in_scopes(quota: &Object, gvr: &GroupVersionResource, object: &Object) -> bool {
    let in_scope = |scope: &str, operator: &str, values: &[Value]| match (&*gvr.group, &*gvr.resource) {
        ("", "pods") => in_scope(scope, operator, values, object),
        ("", "persistentvolumeclaims") => {
            scope == "VolumeAttributesClass" && has_class(operator, values, object)
        }
        _ => false,
    };
    let named = quota.array_at(&["spec", "scopes"]).iter().filter_map(Value::as_str);
    let all_named = named.into_iter().all(|scope| in_scope(scope, "Exists", &[]));
    let expressions = quota.array_at(&["spec", "scopeSelector", "matchExpressions"]);
    all_named
        && expressions.iter().all(|expression| {
            let operator = expression.str_at(&["operator"]);
            in_scope(expression.str_at(&["scopeName"]), operator, expression.array_at(&["values"]))
        })
}

/// Whether one of the classes that a claim wants, has or is given is one that the operator means.
fn has_class(operator: &str, values: &[Value], claim: &Object) -> bool {
    let classes: Vec<&str> =
        CLASSES.iter().map(|path| claim.str_at(path)).filter(|c| !c.is_empty()).collect();
    let listed = |class: &&str| values.iter().any(|value| value.as_str() == Some(class));
    match operator {
        "In" => classes.iter().any(listed),
        "NotIn" => classes.is_empty() || !classes.iter().all(listed),
        "DoesNotExist" => classes.is_empty(),
        _ => !classes.is_empty(),
    }
}

const CLASSES: [&[&str]; 3] = [
    &["spec", "volumeAttributesClassName"],
    &["status", "currentVolumeAttributesClassName"],
    &["status", "modifyVolumeStatus", "targetVolumeAttributesClassName"],
];

fn in_scope(scope: &str, operator: &str, values: &[Value], pod: &Object) -> bool {
    let terminating = pod.i64_at(&["spec", "activeDeadlineSeconds"]).is_some_and(|seconds| seconds >= 0);
    let best_effort = pod.str_at(&["status", "qosClass"]) == "BestEffort";
    match scope {
        "Terminating" => terminating,
        "NotTerminating" => !terminating,
        "BestEffort" => best_effort,
        "NotBestEffort" => !best_effort,
        "PriorityClass" => {
            let class = pod.str_at(&["spec", "priorityClassName"]);
            let listed = values.iter().any(|value| value.as_str() == Some(class));
            match operator {
                "In" => listed,
                "NotIn" => !listed,
                "DoesNotExist" => class.is_empty(),
                _ => !class.is_empty(),
            }
        }
        "CrossNamespacePodAffinity" => {
            let kinds = ["podAffinity", "podAntiAffinity"].iter();
            let lists = kinds.flat_map(|kind| {
                let required = pod.array_at(&[
                    "spec",
                    "affinity",
                    kind,
                    "requiredDuringSchedulingIgnoredDuringExecution",
                ]);
                let preferred = pod.array_at(&[
                    "spec",
                    "affinity",
                    kind,
                    "preferredDuringSchedulingIgnoredDuringExecution",
                ]);
                let preferred = preferred.iter().filter_map(|term| term.get("podAffinityTerm"));
                required.iter().chain(preferred)
            });
            let crosses = |term: &Value| {
                !term.array_at(&["namespaces"]).is_empty()
                    || term.get("namespaceSelector").is_some_and(|s| !s.is_null())
            };
            lists.into_iter().any(crosses)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    #[test]
    fn a_pod_takes_nothing_once_its_time_to_go_is_over() {
        let pod = |metadata: Value| {
            let mut pod = value!({"kind": "Pod", "status": {"phase": "Running"}});
            pod.set(&["metadata"], metadata);
            Object::new(pod, 1)
        };
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let goes =
            pod(value!({"deletionTimestamp": "2024-01-01T00:00:00Z", "deletionGracePeriodSeconds": 30}));
        let stays = pod(value!({}));
        assert!(counts(&goes, at("2024-01-01T00:00:30Z")));
        assert!(!counts(&goes, at("2024-01-01T00:00:31Z")));
        assert!(counts(&stays, at("2024-01-01T00:00:31Z")));
        assert!(matters(&stays, &goes, at("2024-01-01T00:00:31Z")));
        assert!(!matters(&stays, &goes, at("2024-01-01T00:00:30Z")));
    }

    #[test]
    fn load_balancers_without_node_ports_take_those_they_name() {
        let service = |given: bool| {
            value!({"spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": given,
                "ports": [{"port": 80}, {"port": 81, "nodePort": 30000}]}})
        };
        assert_eq!([true, false].map(|given| node_ports(&service(given))), [2, 1]);
    }
}
