//! Which pods (and claims) a quota's scopes select.

use drydock_machinery::{Object, Value};

use super::super::AdmissionRequest;
use super::super::resources::is_best_effort;
use super::usage::is_terminating;

/// Whether the quota's scopes all select the object. Quotas without scopes select everything; quotas with scopes
/// select nothing but pods, and claims by their volume attributes class.
pub(super) fn match_all(quota: &Object, request: &AdmissionRequest<'_>, object: &Value) -> bool {
    let scopes = quota.array_at(&["spec", "scopes"]).iter().filter_map(Value::as_str);
    let expressions = quota.array_at(&["spec", "scopeSelector", "matchExpressions"]);
    let is_pod = request.is_of("", "pods");
    scopes.into_iter().all(|scope| is_pod && matches_pod(scope, "Exists", &[], object))
        && expressions.iter().all(|expression| {
            let operator = expression.str_at(&["operator"]);
            let values: Vec<&str> =
                expression.array_at(&["values"]).iter().filter_map(Value::as_str).collect();
            match expression.str_at(&["scopeName"]) {
                "VolumeAttributesClass" => {
                    request.is_of("", "persistentvolumeclaims") && matches_claim(operator, &values, object)
                }
                scope => is_pod && matches_pod(scope, operator, &values, object),
            }
        })
}

fn matches_pod(scope: &str, operator: &str, values: &[&str], pod: &Value) -> bool {
    match scope {
        "Terminating" => is_terminating(pod),
        "NotTerminating" => !is_terminating(pod),
        "BestEffort" => is_best_effort(pod),
        "NotBestEffort" => !is_best_effort(pod),
        "PriorityClass" => selects(operator, values, pod.str_at(&["spec", "priorityClassName"])),
        "CrossNamespacePodAffinity" => reaches_other_namespaces(pod),
        _ => false,
    }
}

fn matches_claim(operator: &str, values: &[&str], claim: &Value) -> bool {
    let of = |path: &[&str]| claim.str_at(path).to_owned();
    // Those that it wants, has and is given.
    let mut classes = vec![
        of(&["spec", "volumeAttributesClassName"]),
        of(&["status", "currentVolumeAttributesClassName"]),
        of(&["status", "modifyVolumeStatus", "targetVolumeAttributesClassName"]),
    ];
    classes.retain(|class| !class.is_empty());
    match classes.as_slice() {
        [] => selects(operator, values, ""),
        classes => classes.iter().any(|class| selects(operator, values, class)),
    }
}

fn selects(operator: &str, values: &[&str], own: &str) -> bool {
    match operator {
        "Exists" => !own.is_empty(),
        "DoesNotExist" => own.is_empty(),
        "In" => values.contains(&own),
        "NotIn" => !values.contains(&own),
        _ => false,
    }
}

fn reaches_other_namespaces(pod: &Value) -> bool {
    let reaches = |term: &Value| {
        !term.array_at(&["namespaces"]).is_empty()
            || term.get("namespaceSelector").is_some_and(|selector| !selector.is_null())
    };
    ["podAffinity", "podAntiAffinity"].iter().any(|kind| {
        let terms = |field: &str| pod.array_at(&["spec", "affinity", kind, field]).iter();
        terms("requiredDuringSchedulingIgnoredDuringExecution").any(reaches)
            || terms("preferredDuringSchedulingIgnoredDuringExecution")
                .filter_map(|term| term.get("podAffinityTerm"))
                .any(reaches)
    })
}
