//! Workloads: deployments, replica sets, jobs and what scales or guards them.

use drydock_machinery::{ObjectMeta as _, Value, value};
use jiff::Timestamp;

use super::{age, container_cells, format_labels, format_selector, human, int, plain, text_or};
use crate::shape::{has, present};

const TEMPLATE: &[&str] = &["spec", "template", "spec", "containers"];

pub(crate) fn deployment(object: &Value, now: Timestamp) -> Vec<Value> {
    let [names, images] = container_cells(object.array_at(TEMPLATE));
    let ready = object.i64_at(&["status", "readyReplicas"]).unwrap_or(0);
    let desired = object.i64_at(&["spec", "replicas"]).unwrap_or(0);
    vec![
        object.name().into(),
        format!("{ready}/{desired}").into(),
        int(object, &["status", "updatedReplicas"]),
        int(object, &["status", "availableReplicas"]),
        age(object, now),
        names,
        images,
        format_selector(object.at(&["spec", "selector"])).into(),
    ]
}

pub(crate) fn stateful_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let [names, images] = container_cells(object.array_at(TEMPLATE));
    let ready = object.i64_at(&["status", "readyReplicas"]).unwrap_or(0);
    let desired = object.i64_at(&["spec", "replicas"]).unwrap_or(0);
    vec![object.name().into(), format!("{ready}/{desired}").into(), age(object, now), names, images]
}

pub(crate) fn replica_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let selector = format_selector(object.at(&["spec", "selector"]));
    replicas(object, now, selector)
}

pub(crate) fn replication_controller(object: &Value, now: Timestamp) -> Vec<Value> {
    replicas(object, now, format_labels(object.object_at(&["spec", "selector"])))
}

fn replicas(object: &Value, now: Timestamp, selector: String) -> Vec<Value> {
    let [names, images] = container_cells(object.array_at(TEMPLATE));
    vec![
        object.name().into(),
        int(object, &["spec", "replicas"]),
        int(object, &["status", "replicas"]),
        int(object, &["status", "readyReplicas"]),
        age(object, now),
        names,
        images,
        selector.into(),
    ]
}

pub(crate) fn daemon_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let [names, images] = container_cells(object.array_at(TEMPLATE));
    vec![
        object.name().into(),
        int(object, &["status", "desiredNumberScheduled"]),
        int(object, &["status", "currentNumberScheduled"]),
        int(object, &["status", "numberReady"]),
        int(object, &["status", "updatedNumberScheduled"]),
        int(object, &["status", "numberAvailable"]),
        format_labels(object.object_at(&["spec", "template", "spec", "nodeSelector"])).into(),
        age(object, now),
        names,
        images,
        format_selector(object.at(&["spec", "selector"])).into(),
    ]
}

pub(crate) fn controller_revision(object: &Value, now: Timestamp) -> Vec<Value> {
    let controller = object.controller_ref().map_or("<none>".to_owned(), |owner| {
        let (group, _) = drydock_machinery::names::split_api_version(owner.str_at(&["apiVersion"]));
        let kind = owner.str_at(&["kind"]).to_lowercase();
        let qualified = if group.is_empty() { kind } else { format!("{kind}.{group}") };
        format!("{qualified}/{}", owner.str_at(&["name"]))
    });
    vec![object.name().into(), controller.into(), int(object, &["revision"]), age(object, now)]
}

fn job_condition<'a>(object: &'a Value, condition_type: &str) -> Option<&'a Value> {
    object.array_at(&["status", "conditions"]).iter().find(|condition| {
        condition.str_at(&["type"]) == condition_type && condition.str_at(&["status"]) == "True"
    })
}

pub(crate) fn job(object: &Value, now: Timestamp) -> Vec<Value> {
    let succeeded = object.i64_at(&["status", "succeeded"]).unwrap_or(0);
    let parallelism = object.i64_at(&["spec", "parallelism"]).unwrap_or(0);
    let completions = match object.i64_at(&["spec", "completions"]) {
        Some(completions) => format!("{succeeded}/{completions}"),
        None if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        None => format!("{succeeded}/1"),
    };
    let start = object.str_at(&["status", "startTime"]);
    let end = object.str_at(&["status", "completionTime"]);
    let duration = match (start, end) {
        ("", _) => String::new(),
        (start, "") => human::since(start, now),
        (start, end) => human::between(start, end).unwrap_or_default(),
    };
    let [names, images] = container_cells(object.array_at(TEMPLATE));
    vec![
        object.name().into(),
        job_status(object).into(),
        completions.into(),
        duration.into(),
        age(object, now),
        names,
        images,
        format_selector(object.at(&["spec", "selector"])).into(),
    ]
}

fn job_status(object: &Value) -> &'static str {
    if job_condition(object, "Complete").is_some() {
        "Complete"
    } else if job_condition(object, "Failed").is_some() {
        "Failed"
    } else if object.is_deleting() {
        "Terminating"
    } else if job_condition(object, "Suspended").is_some() {
        "Suspended"
    } else if job_condition(object, "FailureTarget").is_some() {
        "FailureTarget"
    } else if job_condition(object, "SuccessCriteriaMet").is_some() {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

/// Whether the job has completed.
pub(crate) fn job_conditions(object: &Value) -> Vec<Value> {
    let ended = job_condition(object, "Complete").or_else(|| job_condition(object, "Failed"));
    let Some(condition) = ended else { return Vec::new() };
    vec![value!({
        "type": "Completed", "status": "True",
        "reason": condition.str_at(&["reason"]), "message": condition.str_at(&["message"]),
    })]
}

pub(crate) fn cron_job(object: &Value, now: Timestamp) -> Vec<Value> {
    let template = &["spec", "jobTemplate", "spec", "template", "spec", "containers"];
    let [names, images] = container_cells(object.array_at(template));
    let last = match object.str_at(&["status", "lastScheduleTime"]) {
        "" => "<none>".to_owned(),
        last => human::since(last, now),
    };
    let suspend = match object.at(&["spec", "suspend"]).and_then(Value::as_bool) {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    };
    vec![
        object.name().into(),
        object.str_at(&["spec", "schedule"]).into(),
        text_or(object.str_at(&["spec", "timeZone"]), "<none>").into(),
        suspend.into(),
        object.array_at(&["status", "active"]).len().into(),
        last.into(),
        age(object, now),
        names,
        images,
        format_selector(object.at(&["spec", "jobTemplate", "spec", "selector"])).into(),
    ]
}

pub(crate) fn pod_template(object: &Value, _now: Timestamp) -> Vec<Value> {
    let [names, images] = container_cells(object.array_at(&["template", "spec", "containers"]));
    let labels = format_labels(object.object_at(&["template", "metadata", "labels"]));
    vec![object.name().into(), names, images, labels.into()]
}

pub(crate) fn pod_disruption_budget(object: &Value, now: Timestamp) -> Vec<Value> {
    let shown = |field: &str| match present(object, &["spec", field]) {
        Some(amount) => Value::from(plain(Some(amount))),
        None => "N/A".into(),
    };
    vec![
        object.name().into(),
        shown("minAvailable"),
        shown("maxUnavailable"),
        int(object, &["status", "disruptionsAllowed"]),
        age(object, now),
    ]
}

pub(crate) fn horizontal_pod_autoscaler(object: &Value, now: Timestamp) -> Vec<Value> {
    let target = &["spec", "scaleTargetRef"];
    let reference = object
        .at(target)
        .map_or(String::new(), |target| format!("{}/{}", target.str_at(&["kind"]), target.str_at(&["name"])));
    let min = match object.i64_at(&["spec", "minReplicas"]) {
        Some(min) => min.to_string(),
        None => "<unset>".to_owned(),
    };
    vec![
        object.name().into(),
        reference.into(),
        hpa_metrics(object).into(),
        min.into(),
        int(object, &["spec", "maxReplicas"]),
        int(object, &["status", "currentReplicas"]),
        age(object, now),
    ]
}

/// `formatHPAMetrics`: what is and what shall be, two metrics at most.
fn hpa_metrics(object: &Value) -> String {
    let specs = object.array_at(&["spec", "metrics"]);
    if specs.is_empty() {
        return "<none>".to_owned();
    }
    let current = object.array_at(&["status", "currentMetrics"]);
    let texts: Vec<String> =
        specs.iter().enumerate().map(|(i, spec)| hpa_metric(spec, current.get(i))).collect();
    if texts.len() > 2 {
        return format!("{} + {} more...", texts[..2].join(", "), texts.len() - 2);
    }
    texts.join(", ")
}

fn hpa_metric(spec: &Value, status: Option<&Value>) -> String {
    let metric_type = spec.str_at(&["type"]);
    let field = match metric_type {
        "Pods" => "pods",
        "Object" => "object",
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        "External" => "external",
        _ => return "<unknown type>".to_owned(),
    };
    let current = |name: &str| status.and_then(|status| present(status, &[field, "current", name]));
    let unknown = || "<unknown>".to_owned();
    let target = |name: &str| present(spec, &[field, "target", name]);
    let shown = |name: &str| current(name).map_or_else(unknown, |value| plain(Some(value)));
    match field {
        "resource" | "containerResource" => {
            let name = spec.str_at(&[field, "name"]);
            if let Some(average) = target("averageValue") {
                return format!("{name}: {}/{}", shown("averageValue"), plain(Some(average)));
            }
            let now = current("averageUtilization")
                .map_or_else(unknown, |value| format!("{}%", plain(Some(value))));
            let goal = target("averageUtilization")
                .map_or_else(|| "<auto>".to_owned(), |value| format!("{}%", plain(Some(value))));
            format!("{name}: {now}/{goal}")
        }
        "external" | "object" => match target("averageValue") {
            Some(average) => format!("{}/{} (avg)", shown("averageValue"), plain(Some(average))),
            None => format!("{}/{}", shown("value"), plain(target("value"))),
        },
        _ => format!("{}/{}", shown("averageValue"), plain(target("averageValue"))),
    }
}

pub(crate) fn lease(object: &Value, now: Timestamp) -> Vec<Value> {
    let holder = if has(object, &["spec", "holderIdentity"]) {
        object.str_at(&["spec", "holderIdentity"])
    } else {
        ""
    };
    vec![object.name().into(), holder.into(), age(object, now)]
}

pub(crate) fn scale(object: &Value, now: Timestamp) -> Vec<Value> {
    let (desired, available) = (int(object, &["spec", "replicas"]), int(object, &["status", "replicas"]));
    vec![object.name().into(), desired, available, age(object, now)]
}
