//! LimitRanger: a namespace's LimitRanges fill in what containers leave out, and bound what pods and claims ask for.

use std::sync::Arc;

use async_trait::async_trait;
use drydock_machinery::quantity::Quantity;
use drydock_machinery::{Object, ObjectMeta as _, Status, Value};

use super::resources::{Amounts, Side, amounts, of_container, of_pod};
use super::{AdmissionContext, AdmissionPlugin, AdmissionRequest, Operation};

pub(super) struct LimitRanger;

#[async_trait]
impl AdmissionPlugin for LimitRanger {
    fn name(&self) -> &'static str {
        "LimitRanger"
    }

    /// Containers do not change after creation, but for resizing; claims do. What is being deleted is let go.
    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        match request.operation {
            _ if request.old().is_deleting() => false,
            Operation::Create => request.is_for("", "pods") || request.is_for("", "persistentvolumeclaims"),
            Operation::Update => {
                request.is_of("", "pods") && request.subresource == "resize"
                    || request.is_for("", "persistentvolumeclaims")
            }
            _ => false,
        }
    }

    async fn admit(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        if !request.is_create_of("", "pods") {
            return Ok(());
        }
        for range in ranges(context, request) {
            if let Some(pod) = &mut request.object {
                fill_in(pod, &range);
            }
        }
        Ok(())
    }

    async fn validate(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        for range in ranges(context, request) {
            let object = request.object();
            let problems = if request.is_of("", "pods") {
                pod_problems(object, &range)
            } else {
                claim_problems(object, &range)
            };
            match problems.as_slice() {
                [] => {}
                [one] => return Err(request.forbidden(one)),
                several => return Err(request.forbidden(&format!("[{}]", several.join(", ")))),
            }
        }
        Ok(())
    }
}

fn ranges(context: &AdmissionContext<'_>, request: &AdmissionRequest<'_>) -> Vec<Arc<Object>> {
    context.reader.list("", "limitranges", request.namespace)
}

fn limits_of<'a>(range: &'a Object, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    range.array_at(&["spec", "limits"]).iter().filter(move |limit| limit.str_at(&["type"]) == kind)
}

/// Gives containers the range's default requests and limits, and says so in an annotation.
fn fill_in(pod: &mut Value, range: &Object) {
    let mut requests = Amounts::new();
    let mut limits = Amounts::new();
    for limit in limits_of(range, "Container") {
        requests.extend(amounts(limit.get("defaultRequest")));
        limits.extend(amounts(limit.get("default")));
    }
    let mut notes: Vec<String> = Vec::new();
    for (list, title) in [("containers", "container"), ("initContainers", "init container")] {
        let mut containers = pod.array_at(&["spec", list]).to_vec();
        let before = notes.len();
        for container in &mut containers {
            let name = container.str_at(&["name"]).to_owned();
            for (field, defaults, what) in [("requests", &requests, "request"), ("limits", &limits, "limit")]
            {
                let set = fill_in_side(container, field, defaults);
                if !set.is_empty() {
                    notes.push(format!("{} {what} for {title} {name}", set.join(", ")));
                }
            }
        }
        if notes.len() > before {
            pod.set(&["spec", list], containers);
        }
    }
    if !notes.is_empty() {
        let text = format!("LimitRanger plugin set: {}", notes.join("; "));
        pod.set(&["metadata", "annotations", "kubernetes.io/limit-ranger"], text);
    }
}

/// The names of the resources that were filled in.
fn fill_in_side(container: &mut Value, field: &str, defaults: &Amounts) -> Vec<String> {
    let missing: Vec<&String> =
        defaults.keys().filter(|name| container.at(&["resources", field, name.as_str()]).is_none()).collect();
    for name in &missing {
        container.set(&["resources", field, name.as_str()], &defaults[*name]);
    }
    missing.into_iter().cloned().collect()
}

fn pod_problems(pod: &Value, range: &Object) -> Vec<String> {
    let mut problems = Vec::new();
    for limit in range.array_at(&["spec", "limits"]) {
        match limit.str_at(&["type"]) {
            "Container" => {
                for container in
                    ["containers", "initContainers"].iter().flat_map(|list| pod.array_at(&["spec", list]))
                {
                    let requests = of_container(container, Side::Requests);
                    check(
                        limit,
                        "Container",
                        &requests,
                        &of_container(container, Side::Limits),
                        &mut problems,
                    );
                }
            }
            "Pod" => {
                check(limit, "Pod", &of_pod(pod, Side::Requests), &of_pod(pod, Side::Limits), &mut problems);
            }
            _ => {}
        }
    }
    problems
}

fn check(limit: &Value, kind: &str, requests: &Amounts, limits: &Amounts, problems: &mut Vec<String>) {
    for (name, bound) in amounts(limit.get("min")) {
        problems.extend(below_minimum(kind, &name, &bound, requests.get(&name), limits.get(&name)));
    }
    for (name, bound) in amounts(limit.get("max")) {
        problems.extend(above_maximum(kind, &name, &bound, requests.get(&name), limits.get(&name)));
    }
    for (name, bound) in amounts(limit.get("maxLimitRequestRatio")) {
        problems.extend(above_ratio(kind, &name, &bound, requests.get(&name), limits.get(&name)));
    }
}

fn below_minimum(
    kind: &str,
    name: &str,
    bound: &Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let text = format!("minimum {name} usage per {kind} is {bound}");
    let Some(request) = request else { return Some(format!("{text}.  No request is specified")) };
    if request < bound {
        return Some(format!("{text}, but request is {request}"));
    }
    limit.filter(|limit| *limit < bound).map(|limit| format!("{text}, but limit is {limit}"))
}

fn above_maximum(
    kind: &str,
    name: &str,
    bound: &Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let text = format!("maximum {name} usage per {kind} is {bound}");
    let Some(limit) = limit else { return Some(format!("{text}.  No limit is specified")) };
    if limit > bound {
        return Some(format!("{text}, but limit is {limit}"));
    }
    request.filter(|request| *request > bound).map(|request| format!("{text}, but request is {request}"))
}

fn above_ratio(
    kind: &str,
    name: &str,
    bound: &Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let text = format!("{name} max limit to request ratio per {kind} is {bound}");
    let Some(request) = request.filter(|request| !request.is_zero()) else {
        return Some(format!("{text}, but no request is specified or request is 0"));
    };
    let Some(limit) = limit.filter(|limit| !limit.is_zero()) else {
        return Some(format!("{text}, but no limit is specified or limit is 0"));
    };
    let ratio = limit.as_f64() / request.as_f64();
    (ratio > bound.as_f64()).then(|| format!("{text}, but provided ratio is {ratio:.6}"))
}

fn claim_problems(claim: &Value, range: &Object) -> Vec<String> {
    const KIND: &str = "PersistentVolumeClaim";
    let requests = amounts(claim.at(&["spec", "resources", "requests"]));
    let mut problems = Vec::new();
    for limit in limits_of(range, KIND) {
        for (name, bound) in amounts(limit.get("min")) {
            problems.extend(below_minimum(KIND, &name, &bound, requests.get(&name), None));
        }
        for (name, bound) in amounts(limit.get("max")) {
            let text = format!("maximum {name} usage per {KIND} is {bound}");
            match requests.get(&name) {
                None => problems.push(format!("{text}.  No request is specified")),
                Some(request) if *request > bound => {
                    problems.push(format!("{text}, but request is {request}"))
                }
                Some(_) => {}
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    #[test]
    fn defaults_are_filled_in_and_noted() {
        let range = Object::new(
            value!({"spec": {"limits": [{"type": "Container",
                "default": {"cpu": "500m", "memory": "256Mi"}, "defaultRequest": {"cpu": "100m", "memory": "256Mi"}}]}}),
            1,
        );
        let mut pod = value!({"spec": {"containers": [{"name": "c", "resources": {}}]}});
        fill_in(&mut pod, &range);
        assert_eq!(
            pod.str_at(&["metadata", "annotations", "kubernetes.io/limit-ranger"]),
            "LimitRanger plugin set: cpu, memory request for container c; cpu, memory limit for container c"
        );
        assert_eq!(
            pod.array_at(&["spec", "containers"])[0].get("resources"),
            Some(
                &value!({"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}})
            )
        );
    }

    #[test]
    fn bounds_are_checked_in_upstreams_words() {
        let check = |limit: Value, resources: Value, expected: &[&str]| {
            let range = Object::new(value!({"spec": {"limits": [limit]}}), 1);
            let pod = value!({"spec": {"containers": [{"name": "c", "resources": resources}]}});
            assert_eq!(pod_problems(&pod, &range), expected);
        };
        check(
            value!({"type": "Pod", "max": {"cpu": "1"}}),
            value!({"limits": {"cpu": "1200m"}}),
            &["maximum cpu usage per Pod is 1, but limit is 1200m"],
        );
        check(
            value!({"type": "Pod", "max": {"cpu": "1"}}),
            value!({}),
            &["maximum cpu usage per Pod is 1.  No limit is specified"],
        );
        check(
            value!({"type": "Container", "min": {"memory": "16Mi"}}),
            value!({"requests": {"memory": "1Mi"}}),
            &["minimum memory usage per Container is 16Mi, but request is 1Mi"],
        );
        check(
            value!({"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}}),
            value!({"requests": {"cpu": "100m"}, "limits": {"cpu": "300m"}}),
            &["cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000"],
        );
    }
}
