//! Between versions of the kinds whose versions differ in more than their name: Event and HorizontalPodAutoscaler.
//!
//! All others have one shape; for them this does nothing but write apiVersion and kind.

use drydock_machinery::{GroupVersionKind, ObjectMeta as _, Value, value};

use crate::shape::{default_nil, has};

/// Gives an object the shape, apiVersion and kind of another version of its kind.
pub fn convert(object: &mut Value, to: &GroupVersionKind) {
    let api_version = to.api_version();
    let from = object.api_version();
    if from == api_version && object.kind() == to.kind {
        return;
    }
    match (from, api_version.as_str(), &*to.kind) {
        ("v1", "events.k8s.io/v1", "Event") => to_new_event(object),
        ("events.k8s.io/v1", "v1", "Event") => to_core_event(object),
        ("autoscaling/v2", "autoscaling/v1", "HorizontalPodAutoscaler") => to_autoscaler_v1(object),
        ("autoscaling/v1", "autoscaling/v2", "HorizontalPodAutoscaler") => to_autoscaler_v2(object),
        _ => {}
    }
    object.set(&["apiVersion"], api_version);
    object.set(&["kind"], &*to.kind);
}

/// Field names of core/v1 and events.k8s.io/v1.
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

fn rename(object: &mut Value, from: &str, to: &str) {
    if let Some(value) = object.remove(&[from]) {
        object.set(&[to], value);
    }
}

fn to_new_event(object: &mut Value) {
    for (core, new) in EVENT_FIELDS {
        rename(object, core, new);
    }
    for field in ["reportingController", "reportingInstance"] {
        if object.str_at(&[field]).is_empty() {
            object.remove(&[field]);
        }
    }
    default_nil(object, &["deprecatedSource"], Value::object());
    default_nil(object, &["regarding"], Value::object());
    null_times(object, &["deprecatedFirstTimestamp", "deprecatedLastTimestamp", "eventTime"]);
}

fn to_core_event(object: &mut Value) {
    for (core, new) in EVENT_FIELDS {
        rename(object, new, core);
    }
    for field in ["reportingComponent", "reportingInstance"] {
        default_nil(object, &[field], "");
    }
    default_nil(object, &["source"], Value::object());
    default_nil(object, &["involvedObject"], Value::object());
    null_times(object, &["firstTimestamp", "lastTimestamp", "eventTime"]);
}

/// Times are no pointers in Go: those that are not set are shown as null.
fn null_times(object: &mut Value, fields: &[&str]) {
    for field in fields {
        if object.get(field).is_none() {
            object.set(&[field], Value::Null);
        }
    }
}

fn is_cpu_utilization(metric: &Value, place: &str) -> bool {
    metric.str_at(&["type"]) == "Resource"
        && metric.str_at(&["resource", "name"]) == "cpu"
        && has(metric, &["resource", place, "averageUtilization"])
}

fn to_autoscaler_v1(object: &mut Value) {
    for (holder, list, place, target) in [
        ("spec", "metrics", "target", "targetCPUUtilizationPercentage"),
        ("status", "currentMetrics", "current", "currentCPUUtilizationPercentage"),
    ] {
        let metrics = object.array_at(&[holder, list]).to_vec();
        object.remove(&[holder, list]);
        let cpu = metrics.iter().find(|metric| is_cpu_utilization(metric, place));
        if let Some(percent) = cpu.and_then(|cpu| cpu.i64_at(&["resource", place, "averageUtilization"])) {
            object.set(&[holder, target], percent);
        }
        let others: Vec<Value> =
            metrics.into_iter().filter(|metric| !is_cpu_utilization(metric, place)).collect();
        if !others.is_empty() {
            let key = if holder == "spec" { METRICS } else { CURRENT_METRICS };
            set_annotation(object, key, &Value::from(others));
        }
    }
    if let Some(conditions) = object.remove(&["status", "conditions"]) {
        set_annotation(object, CONDITIONS, &conditions);
    }
    if let Some(behavior) = object.remove(&["spec", "behavior"]) {
        set_annotation(object, BEHAVIOR, &behavior);
    }
    default_nil(object, &["status", "currentReplicas"], 0);
    default_nil(object, &["status", "desiredReplicas"], 0);
}

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// v1 keeps what it has no field for in annotations.
fn set_annotation(object: &mut Value, key: &str, value: &Value) {
    let text = String::from_utf8_lossy(&value.to_json()).into_owned();
    object.set(&["metadata", "annotations", key], text);
}

fn take_annotation(object: &mut Value, key: &str) -> Option<Value> {
    let text = object.remove(&["metadata", "annotations", key])?;
    Value::from_json(text.as_str()?.as_bytes()).ok()
}

fn to_autoscaler_v2(object: &mut Value) {
    for (holder, list, place, target, key) in [
        ("spec", "metrics", "target", "targetCPUUtilizationPercentage", METRICS),
        ("status", "currentMetrics", "current", "currentCPUUtilizationPercentage", CURRENT_METRICS),
    ] {
        let mut metrics =
            take_annotation(object, key).map_or_else(Vec::new, |all| all.array_at(&[]).to_vec());
        if let Some(percent) = object.remove(&[holder, target]) {
            let mut metric = value!({"type": "Resource", "resource": {"name": "cpu"}});
            metric.set(&["resource", place, "averageUtilization"], percent);
            if holder == "spec" {
                metric.set(&["resource", place, "type"], "Utilization");
            }
            metrics.insert(0, metric);
        }
        if !metrics.is_empty() {
            object.set(&[holder, list], metrics);
        }
    }
    if let Some(conditions) = take_annotation(object, CONDITIONS) {
        object.set(&["status", "conditions"], conditions);
    }
    if let Some(behavior) = take_annotation(object, BEHAVIOR) {
        object.set(&["spec", "behavior"], behavior);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_survives_the_other_version() {
        let core = value!({"apiVersion": "v1", "kind": "Event", "involvedObject": {"kind": "Pod"}, "message": "m",
            "source": {"component": "c"}, "count": 3, "firstTimestamp": null, "lastTimestamp": null,
            "eventTime": null, "reportingComponent": "", "reportingInstance": ""});
        let mut event = core.clone();
        convert(&mut event, &GroupVersionKind::new("events.k8s.io", "v1", "Event"));
        assert_eq!(event.str_at(&["note"]), "m");
        assert_eq!(event.i64_at(&["deprecatedCount"]), Some(3));
        convert(&mut event, &GroupVersionKind::new("", "v1", "Event"));
        assert_eq!(event, core);
    }
}
