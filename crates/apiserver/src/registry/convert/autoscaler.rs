//! HorizontalPodAutoscalers: v2, which is stored, and v1, which knows one metric by itself and the rest as annotations.

use drydock_machinery::{Value, value};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";

pub(super) fn to_v2(mut object: Value) -> Value {
    let mut metrics: Vec<Value> = Vec::new();
    if let Some(percent) = object.remove(&["spec", "targetCPUUtilizationPercentage"]).filter(|p| !p.is_null())
    {
        metrics.push(value!({
            "type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization"}},
        }));
        metrics[0].set(&["resource", "target", "averageUtilization"], percent);
    }
    metrics.extend(
        annotated(&mut object, METRICS)
            .and_then(|list| list.as_array().map(<[Value]>::to_vec))
            .unwrap_or_default(),
    );
    if !metrics.is_empty() {
        object.set(&["spec", "metrics"], metrics);
    }
    for (annotation, path) in [(BEHAVIOR, ["spec", "behavior"]), (CONDITIONS, ["status", "conditions"])] {
        if let Some(value) = annotated(&mut object, annotation) {
            object.set(&path, value);
        }
    }
    let mut current: Vec<Value> = Vec::new();
    if let Some(percent) =
        object.remove(&["status", "currentCPUUtilizationPercentage"]).filter(|p| !p.is_null())
    {
        current.push(value!({"type": "Resource", "resource": {"name": "cpu", "current": {}}}));
        current[0].set(&["resource", "current", "averageUtilization"], percent);
    }
    current.extend(
        annotated(&mut object, CURRENT_METRICS)
            .and_then(|list| list.as_array().map(<[Value]>::to_vec))
            .unwrap_or_default(),
    );
    if !current.is_empty() {
        object.set(&["status", "currentMetrics"], current);
    }
    object
}

pub(super) fn from_v2(mut object: Value) -> Value {
    let metrics = object.remove(&["spec", "metrics"]);
    let target = ["resource", "target", "averageUtilization"];
    let (percent, rest) = split(metrics, &target);
    if let Some(percent) = percent {
        object.set(&["spec", "targetCPUUtilizationPercentage"], percent);
    }
    annotate(&mut object, METRICS, rest);
    let current = object.remove(&["status", "currentMetrics"]);
    let (percent, rest) = split(current, &["resource", "current", "averageUtilization"]);
    if let Some(percent) = percent {
        object.set(&["status", "currentCPUUtilizationPercentage"], percent);
    }
    annotate(&mut object, CURRENT_METRICS, rest);
    for (annotation, path) in [(BEHAVIOR, ["spec", "behavior"]), (CONDITIONS, ["status", "conditions"])] {
        let value = object.remove(&path).filter(|value| !value.is_null());
        annotate(&mut object, annotation, value);
    }
    object
}

/// The CPU utilization of a list of metrics, and the list without it.
fn split(metrics: Option<Value>, path: &[&str]) -> (Option<Value>, Option<Value>) {
    let mut percent = None;
    let mut rest: Vec<Value> = Vec::new();
    for metric in metrics.as_ref().and_then(Value::as_array).unwrap_or(&[]) {
        let is_cpu = metric.str_at(&["type"]) == "Resource" && metric.str_at(&["resource", "name"]) == "cpu";
        match metric.at(path) {
            Some(value) if is_cpu && percent.is_none() => percent = Some(value.clone()),
            _ => rest.push(metric.clone()),
        }
    }
    (percent, (!rest.is_empty()).then(|| Value::from(rest)))
}

fn annotated(object: &mut Value, annotation: &str) -> Option<Value> {
    let text = object.remove(&["metadata", "annotations", annotation])?;
    if object.object_at(&["metadata", "annotations"]).is_empty() {
        object.remove(&["metadata", "annotations"]);
    }
    Value::from_json(text.as_str()?.as_bytes()).ok()
}

fn annotate(object: &mut Value, annotation: &str, value: Option<Value>) {
    if let Some(value) = value {
        let text = String::from_utf8_lossy(&value.to_json()).into_owned();
        object.set(&["metadata", "annotations", annotation], text);
    }
}
