//! HorizontalPodAutoscaler: v1 keeps in annotations what it has no field for, in its own shape of metrics.

use drydock_machinery::status::literal_text;
use drydock_machinery::{Value, value};

use crate::go_form;
use crate::shape::{default_nil, has, keep, present, with_mut};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

const ALL: [&str; 6] = [
    METRICS,
    CURRENT_METRICS,
    CONDITIONS,
    BEHAVIOR,
    "autoscaling.alpha.kubernetes.io/scale-down-tolerance",
    "autoscaling.alpha.kubernetes.io/scale-up-tolerance",
];

/// `DropRoundTripHorizontalPodAutoscalerAnnotations`: v2 says all of it in fields.
pub(crate) fn drop_annotations(object: &mut Value) {
    let annotations = object.object_at(&["metadata", "annotations"]);
    if !ALL.iter().any(|key| annotations.contains_key(key)) {
        return;
    }
    for key in ALL {
        object.remove(&["metadata", "annotations", key]);
    }
    if object.object_at(&["metadata", "annotations"]).is_empty() {
        object.remove(&["metadata", "annotations"]);
    }
}

/// Where a version's metrics stand: in the spec and in the status.
struct Place {
    holder: &'static str,
    /// The list in v2.
    list: &'static str,
    /// v2's struct of amounts.
    amounts: &'static str,
    /// What v1 calls amounts by: `targetValue`.
    prefix: &'static str,
    /// v1's field for the utilization of the CPU.
    cpu: &'static str,
    annotation: &'static str,
}

const SPEC: Place = Place {
    holder: "spec",
    list: "metrics",
    amounts: "target",
    prefix: "target",
    cpu: "targetCPUUtilizationPercentage",
    annotation: METRICS,
};

const STATUS: Place = Place {
    holder: "status",
    list: "currentMetrics",
    amounts: "current",
    prefix: "current",
    cpu: "currentCPUUtilizationPercentage",
    annotation: CURRENT_METRICS,
};

/// Types of metrics and their fields.
const TYPES: [&str; 5] = ["object", "pods", "resource", "containerResource", "external"];

impl Place {
    fn is_spec(&self) -> bool {
        self.holder == "spec"
    }

    /// The CPU's utilization, if a metric is of it.
    fn cpu_of(&self, metric: &Value) -> Option<i64> {
        let is_cpu = metric.str_at(&["type"]) == "Resource" && metric.str_at(&["resource", "name"]) == "cpu";
        metric.i64_at(&["resource", self.amounts, "averageUtilization"]).filter(|_| is_cpu)
    }

    /// v1's name of an amount: `targetAverageValue` for `averageValue`. Metrics of objects have one of their own.
    fn name(&self, field: &str, amount: &str) -> String {
        match (field, amount) {
            ("object", "averageValue") => amount.to_owned(),
            (_, amount) => format!("{}{}{}", self.prefix, amount[..1].to_uppercase(), &amount[1..]),
        }
    }

    /// Whether v1 has an amount that is no pointer, and so always shown.
    fn is_plain(&self, field: &str, amount: &str) -> bool {
        matches!((self.is_spec(), field, amount), (_, "object", "value") | (_, "pods", "averageValue"))
            || !self.is_spec()
                && matches!(
                    (field, amount),
                    ("external", "value") | ("resource" | "containerResource", "averageValue")
                )
    }

    fn to_v1(&self, object: &mut Value) {
        let metrics = object.array_at(&[self.holder, self.list]).to_vec();
        object.remove(&[self.holder, self.list]);
        let mut utilizations = metrics.iter().filter_map(|metric| self.cpu_of(metric));
        let cpu = if self.is_spec() { utilizations.next() } else { utilizations.next_back() };
        if let Some(percent) = cpu {
            object.set(&[self.holder, self.cpu], percent);
        }
        // The status keeps that of the CPU in its place among the others.
        let kept = |metric: &&Value| !self.is_spec() || self.cpu_of(metric).is_none();
        let others: Vec<Value> =
            metrics.iter().filter(kept).map(|metric| self.metric_to_v1(metric)).collect();
        if !others.is_empty() {
            annotate(object, self.annotation, &go_form::list(others.into_iter()));
        }
    }

    fn metric_to_v1(&self, metric: &Value) -> Value {
        let mut out = value!({"type": metric.str_at(&["type"])});
        for field in TYPES {
            if let Some(source) = present(metric, &[field]) {
                out.set(&[field], self.source_to_v1(field, source));
            }
        }
        go_form::ordered(&out, &["type", "object", "pods", "resource", "containerResource", "external"])
    }

    fn source_to_v1(&self, field: &str, source: &Value) -> Value {
        let mut out = Value::object();
        if matches!(field, "resource" | "containerResource") {
            out.set(&["name"], source.str_at(&["name"]).to_owned());
        } else {
            out.set(&["metricName"], source.str_at(&["metric", "name"]).to_owned());
        }
        if field == "containerResource" {
            out.set(&["container"], source.str_at(&["container"]).to_owned());
        }
        let selector = if field == "external" { "metricSelector" } else { "selector" };
        if let Some(given) = present(source, &["metric", "selector"]) {
            out.set(&[selector], go_form::ordered(given, &["matchLabels", "matchExpressions"]));
        }
        if field == "object" {
            let about = present(source, &["describedObject"]).unwrap_or(&Value::Null);
            out.set(&["target"], go_form::ordered(about, &["kind", "name", "apiVersion"]));
        }
        for amount in ["value", "averageValue", "averageUtilization"] {
            match present(source, &[self.amounts, amount]) {
                Some(given) => out.set(&[&self.name(field, amount)], given.clone()),
                None if self.is_plain(field, amount) => out.set(&[&self.name(field, amount)], "0"),
                None => {}
            }
        }
        self.in_order(field, &out)
    }

    fn in_order(&self, field: &str, source: &Value) -> Value {
        let of = |amount: &str| self.name(field, amount);
        let [value, average, utilization] = ["value", "averageValue", "averageUtilization"].map(of);
        let order = match field {
            "object" => ["target", "metricName", &value, "selector", &average],
            "pods" => ["metricName", &average, "selector", "", ""],
            "external" => ["metricName", "metricSelector", &value, &average, ""],
            _ => ["name", &utilization, &average, "container", ""],
        };
        go_form::ordered(source, &order)
    }

    fn to_v2(&self, object: &mut Value, given: Option<Value>) {
        let percent = object.remove(&[self.holder, self.cpu]);
        let of_cpu = percent.map(|percent| {
            let mut metric = value!({"type": "Resource", "resource": {"name": "cpu"}});
            if self.is_spec() {
                metric.set(&["resource", self.amounts, "type"], "Utilization");
            }
            metric.set(&["resource", self.amounts, "averageUtilization"], percent);
            metric
        });
        let others = match &given {
            Some(Value::Array(metrics)) => Some(metrics.iter().map(|metric| self.metric_to_v2(metric))),
            _ => None,
        };
        // What the annotation says of a status is all there is.
        let of_cpu = of_cpu.filter(|_| self.is_spec() || others.is_none());
        let metrics: Vec<Value> = others.into_iter().flatten().chain(of_cpu).collect();
        if !metrics.is_empty() {
            object.set(&[self.holder, self.list], metrics);
        }
    }

    fn metric_to_v2(&self, metric: &Value) -> Value {
        let mut out = value!({"type": metric.str_at(&["type"])});
        for field in TYPES {
            if let Some(source) = present(metric, &[field]) {
                out.set(&[field], self.source_to_v2(field, source));
            }
        }
        out
    }

    fn source_to_v2(&self, field: &str, source: &Value) -> Value {
        let mut out = Value::object();
        if matches!(field, "resource" | "containerResource") {
            keep(&mut out, source, &["name"]);
            keep(&mut out, source, &["container"]);
        } else {
            out.set(&["metric", "name"], source.str_at(&["metricName"]).to_owned());
            let selector = if field == "external" { "metricSelector" } else { "selector" };
            if let Some(given) = present(source, &[selector]) {
                out.set(&["metric", "selector"], given.clone());
            }
        }
        if field == "object" {
            out.set(&["describedObject"], present(source, &["target"]).cloned().unwrap_or_default());
        }
        let averaged = has(source, &[&self.name(field, "averageValue")]);
        for amount in ["value", "averageValue", "averageUtilization"] {
            match present(source, &[&self.name(field, amount)]) {
                // An object that is averaged has no amount of its own, which v1 has to show as none.
                Some(given)
                    if field == "object"
                        && amount == "value"
                        && averaged
                        && self.is_spec()
                        && is_none(given) => {}
                Some(given) => out.set(&[self.amounts, amount], given.clone()),
                None if self.is_plain(field, amount) => out.set(&[self.amounts, amount], "0"),
                None => {}
            }
        }
        if self.is_spec() {
            let has = |amount: &str| has(source, &[&self.name(field, amount)]);
            let kind = match field {
                "resource" | "containerResource" if has("averageUtilization") => "Utilization",
                "external" if has("value") => "Value",
                "object" if !has("averageValue") => "Value",
                _ => "AverageValue",
            };
            out.set(&[self.amounts, "type"], kind);
        }
        out
    }
}

fn is_none(amount: &Value) -> bool {
    drydock_machinery::quantity::Quantity::of(Some(amount)).is_zero()
}

fn annotate(object: &mut Value, key: &str, shown: &Value) {
    let text = literal_text(shown).unwrap_or_default().to_owned();
    object.set(&["metadata", "annotations", key], text);
}

pub(super) fn to_v1(object: &mut Value) {
    drop_annotations(object);
    SPEC.to_v1(object);
    STATUS.to_v1(object);
    if let Some(behavior) = object.remove(&["spec", "behavior"]).filter(|behavior| !behavior.is_null()) {
        // Upstream writes down its internal struct.
        annotate(object, BEHAVIOR, &go_form::of("HorizontalPodAutoscalerBehavior", &behavior));
    }
    if let Some(Value::Array(conditions)) = object.remove(&["status", "conditions"])
        && !conditions.is_empty()
    {
        let order = ["type", "status", "lastTransitionTime", "reason", "message"];
        let shown = conditions.iter().map(|condition| {
            let mut condition = condition.clone();
            default_nil(&mut condition, &["lastTransitionTime"], Value::Null);
            go_form::ordered(&condition, &order)
        });
        annotate(object, CONDITIONS, &go_form::list(shown));
    }
    default_nil(object, &["status", "currentReplicas"], 0);
    default_nil(object, &["status", "desiredReplicas"], 0);
}

pub(super) fn to_v2(object: &mut Value) {
    let annotation = |object: &Value, key: &str| {
        let text = object.at(&["metadata", "annotations", key]).and_then(Value::as_str)?;
        Value::from_json(text.as_bytes()).ok()
    };
    let [metrics, current, behavior, conditions] =
        [METRICS, CURRENT_METRICS, BEHAVIOR, CONDITIONS].map(|key| annotation(object, key));
    drop_annotations(object);
    SPEC.to_v2(object, metrics);
    crate::autoscaling::default_metrics(object);
    STATUS.to_v2(object, current);
    let mut behavior = lowered(&behavior.unwrap_or_default());
    for rules in ["scaleUp", "scaleDown"] {
        with_mut(&mut behavior, &[rules], drop_nulls);
    }
    drop_nulls(&mut behavior);
    if !behavior.object_at(&[]).is_empty() {
        object.set(&["spec", "behavior"], behavior);
    }
    if let Some(conditions @ Value::Array(_)) = conditions {
        object.set(&["status", "conditions"], conditions);
    }
}

/// With keys as JSON has them: Go's own names begin with a capital, and it reads either.
fn lowered(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut out = Value::object();
            for (key, value) in map.iter() {
                let mut key = key.to_string();
                if let Some(first) = key.get_mut(..1) {
                    first.make_ascii_lowercase();
                }
                out.set(&[&key], lowered(value));
            }
            out
        }
        Value::Array(items) => Value::Array(items.iter().map(lowered).collect()),
        other => other.clone(),
    }
}

fn drop_nulls(holder: &mut Value) {
    let nulls: Vec<String> = holder
        .object_at(&[])
        .iter()
        .filter(|(_, value)| value.is_null())
        .map(|(key, _)| key.to_string())
        .collect();
    for key in nulls {
        holder.remove(&[&key]);
    }
}

#[cfg(test)]
mod tests {
    use drydock_machinery::{GroupVersionKind, ObjectMeta as _};

    use super::super::convert;
    use super::*;

    fn version(version: &'static str) -> GroupVersionKind {
        GroupVersionKind::new("autoscaling", version, "HorizontalPodAutoscaler")
    }

    fn scaler() -> Value {
        value!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
            "spec": {"maxReplicas": 3, "metrics": [
                {"type": "Object", "object": {"describedObject": {"kind": "Service", "name": "s", "apiVersion": "v1"},
                    "metric": {"name": "m", "selector": {"matchLabels": {"a": "b"}}},
                    "target": {"type": "AverageValue", "averageValue": "2"}}},
                {"type": "Pods", "pods": {"metric": {"name": "m"},
                    "target": {"type": "AverageValue", "averageValue": "1k"}}},
                {"type": "Resource", "resource": {"name": "memory",
                    "target": {"type": "Utilization", "averageUtilization": 50}}},
                {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "c",
                    "target": {"type": "AverageValue", "averageValue": "5m"}}},
                {"type": "External", "external": {"metric": {"name": "m", "selector": {}},
                    "target": {"type": "Value", "value": "7"}}},
                {"type": "Resource", "resource": {"name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": 80}}},
            ], "behavior": {"scaleUp": {"selectPolicy": "Max", "stabilizationWindowSeconds": 0,
                "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}]}}},
            "status": {"currentReplicas": 1, "desiredReplicas": 2,
                "conditions": [{"type": "AbleToScale", "status": "True", "reason": "r", "message": "m",
                    "lastTransitionTime": "2024-01-01T00:00:00Z"}],
                "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu",
                    "current": {"averageUtilization": 10, "averageValue": "1m"}}}]}})
    }

    #[test]
    fn what_the_old_version_has_no_field_for_is_annotated_as_upstream_does() {
        let mut scaler = scaler();
        convert(&mut scaler, &version("v1"));
        let metrics = concat!(
            r#"[{"type":"Object","object":{"target":{"kind":"Service","name":"s","apiVersion":"v1"},"metricName":"m","#,
            r#""targetValue":"0","selector":{"matchLabels":{"a":"b"}},"averageValue":"2"}},"#,
            r#"{"type":"Pods","pods":{"metricName":"m","targetAverageValue":"1k"}},"#,
            r#"{"type":"Resource","resource":{"name":"memory","targetAverageUtilization":50}},"#,
            r#"{"type":"ContainerResource","containerResource":{"name":"cpu","targetAverageValue":"5m","container":"c"}},"#,
            r#"{"type":"External","external":{"metricName":"m","metricSelector":{},"targetValue":"7"}}]"#,
        );
        assert_eq!(scaler.annotation(METRICS), Some(metrics));
        let behavior = r#"{"ScaleUp":{"StabilizationWindowSeconds":0,"SelectPolicy":"Max","Policies":[{"Type":"Pods","Value":4,"PeriodSeconds":15}],"Tolerance":null},"ScaleDown":null}"#;
        assert_eq!(scaler.annotation(BEHAVIOR), Some(behavior));
        let current = r#"[{"type":"Resource","resource":{"name":"cpu","currentAverageUtilization":10,"currentAverageValue":"1m"}}]"#;
        assert_eq!(scaler.annotation(CURRENT_METRICS), Some(current));
        let conditions = r#"[{"type":"AbleToScale","status":"True","lastTransitionTime":"2024-01-01T00:00:00Z","reason":"r","message":"m"}]"#;
        assert_eq!(scaler.annotation(CONDITIONS), Some(conditions));
        assert_eq!(
            scaler.get("spec"),
            Some(&value!({"maxReplicas": 3, "targetCPUUtilizationPercentage": 80}))
        );
        let status =
            value!({"currentReplicas": 1, "desiredReplicas": 2, "currentCPUUtilizationPercentage": 10});
        assert_eq!(scaler.get("status"), Some(&status));
    }

    #[test]
    fn it_comes_back_and_leaves_no_annotations() {
        let (mut there, expected) = (scaler(), scaler());
        convert(&mut there, &version("v1"));
        convert(&mut there, &version("v2"));
        assert_eq!(there, expected);
    }

    #[test]
    fn annotations_that_cannot_be_read_are_dropped() {
        let mut scaler = value!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "h"}, "spec": {"targetCPUUtilizationPercentage": 5}});
        scaler.set(&["metadata", "annotations", METRICS], "{");
        scaler.set(&["metadata", "annotations", "mine"], "stays");
        convert(&mut scaler, &version("v2"));
        assert_eq!(scaler.at(&["metadata", "annotations"]), Some(&value!({"mine": "stays"})));
        assert_eq!(scaler.array_at(&["spec", "metrics"]).len(), 1);
    }
}
