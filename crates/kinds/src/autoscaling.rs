//! autoscaling: HorizontalPodAutoscaler, kept as v2, and Scale.

use drydock_machinery::quantity::Quantity;
use drydock_machinery::{FieldErrors, FieldPath, Value, value};

use crate::check::path_segment;
use crate::kind::Kind;
use crate::shape::{default_nil, has, present, shown, with_mut};
use crate::table;

pub(crate) const KINDS: &[&Kind] = &[&AUTOSCALER, &SCALE];

static AUTOSCALER: Kind = Kind {
    status: true,
    defaults: set_defaults,
    prepare_create: |_, object| zero_status(object),
    validate: |errors, _, object| validate(errors, object),
    cells: table::horizontal_pod_autoscaler,
    ..Kind::new("autoscaling", "horizontalpodautoscalers")
};

/// Never stored: what a scale subresource shows.
static SCALE: Kind = Kind { cells: table::scale, ..Kind::new("autoscaling", "scales") };

fn zero_status(object: &mut Value) {
    default_nil(object, &["status", "desiredReplicas"], 0);
    if object.at(&["status", "currentMetrics"]).is_none() {
        object.set(&["status", "currentMetrics"], Value::Null);
    }
}

fn set_defaults(object: &mut Value) {
    let spec = object.at_mut(&["spec"]);
    default_nil(spec, &["minReplicas"], 1);
    if spec.array_at(&["metrics"]).is_empty() {
        let cpu = value!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}});
        spec.set(&["metrics"], vec![cpu]);
    }
    with_mut(spec, &["behavior"], behavior);
    zero_status(object);
}

fn behavior(behavior: &mut Value) {
    let up = value!([
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ]);
    let down = value!([{"type": "Percent", "value": 100, "periodSeconds": 15}]);
    for (rules, window, policies) in [("scaleUp", Some(0), up), ("scaleDown", None, down)] {
        if let Some(window) = window {
            default_nil(behavior, &[rules, "stabilizationWindowSeconds"], window);
        }
        default_nil(behavior, &[rules, "selectPolicy"], "Max");
        default_nil(behavior, &[rules, "policies"], policies);
    }
}

fn validate(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec");
    let spec = shown(object, &["spec"]);
    let min = spec.i64_at(&["minReplicas"]);
    let max = spec.i64_at(&["maxReplicas"]).unwrap_or(0);
    if let Some(min) = min
        && min < 1
    {
        errors.invalid(&path.child("minReplicas"), min, "must be greater than or equal to 1");
    }
    if max < 1 {
        errors.invalid(&path.child("maxReplicas"), max, "must be greater than 0");
    }
    if min.is_some_and(|min| max < min) {
        errors.invalid(&path.child("maxReplicas"), max, "must be greater than or equal to `minReplicas`");
    }
    target(errors, &shown(&spec, &["scaleTargetRef"]), &path.child("scaleTargetRef"));
    for (i, metric) in spec.array_at(&["metrics"]).iter().enumerate() {
        validate_metric(errors, metric, &path.child("metrics").index(i));
    }
    if let Some(behavior) = present(&spec, &["behavior"]) {
        for rules in ["scaleUp", "scaleDown"] {
            if let Some(given) = present(behavior, &[rules]) {
                scaling_rules(errors, given, &path.child("behavior").child(rules));
            }
        }
    }
}

fn target(errors: &mut FieldErrors, target: &Value, path: &FieldPath) {
    for field in ["kind", "name"] {
        let text = target.str_at(&[field]);
        if text.is_empty() {
            errors.required(&path.child(field), "");
        } else {
            path_segment(errors, text, &path.child(field));
        }
    }
}

fn validate_metric(errors: &mut FieldErrors, metric: &Value, path: &FieldPath) {
    const TYPES: [(&str, &str); 5] = [
        ("ContainerResource", "containerResource"),
        ("External", "external"),
        ("Object", "object"),
        ("Pods", "pods"),
        ("Resource", "resource"),
    ];
    let metric_type = metric.str_at(&["type"]);
    if metric_type.is_empty() {
        errors.required(&path.child("type"), "must specify a metric source type");
        return;
    }
    let Some((_, field)) = TYPES.iter().find(|(name, _)| *name == metric_type) else {
        errors.not_supported(&path.child("type"), metric_type, &TYPES.map(|(name, _)| name));
        return;
    };
    let Some(source) = present(metric, &[field]) else {
        errors.required(&path.child(field), "must populate information for the given metric source");
        return;
    };
    let path = path.child(field);
    if field.ends_with("esource") {
        if source.str_at(&["name"]).is_empty() {
            errors.required(&path.child("name"), "must specify a resource name");
        }
    } else if source.str_at(&["metric", "name"]).is_empty() {
        errors.required(&path.child("metric").child("name"), "must specify a metric name");
    }
    metric_target(errors, &shown(source, &["target"]), &path.child("target"));
}

fn metric_target(errors: &mut FieldErrors, target: &Value, path: &FieldPath) {
    let target_type = target.str_at(&["type"]);
    if target_type.is_empty() {
        errors.required(&path.child("type"), "must specify a metric target type");
    }
    if !["Utilization", "Value", "AverageValue"].contains(&target_type) {
        errors.invalid(
            &path.child("type"),
            target_type,
            "must be either Utilization, Value, or AverageValue",
        );
    }
    if let Some(percent) = target.i64_at(&["averageUtilization"])
        && percent < 1
    {
        errors.invalid(&path.child("averageUtilization"), percent, "must be greater than 0");
    }
    for field in ["value", "averageValue"] {
        if let Some(amount) = present(target, &[field]) {
            let quantity = Quantity::of(Some(amount));
            if quantity.is_negative() || quantity.is_zero() {
                errors.invalid(&path.child(field), amount.clone(), "must be positive");
            }
        }
    }
    if !has(target, &["averageUtilization"]) && !has(target, &["averageValue"]) && !has(target, &["value"]) {
        let detail = "must set either a target raw value or a target utilization";
        errors.required(&path.child("averageUtilization"), detail);
    }
}

fn scaling_rules(errors: &mut FieldErrors, rules: &Value, path: &FieldPath) {
    if let Some(seconds) = rules.i64_at(&["stabilizationWindowSeconds"]) {
        let path = path.child("stabilizationWindowSeconds");
        if seconds < 0 {
            errors.invalid(&path, seconds, "must be greater than or equal to zero");
        }
        if seconds > 3600 {
            errors.invalid(&path, seconds, "must be less than or equal to 3600");
        }
    }
    let select = rules.str_at(&["selectPolicy"]);
    if has(rules, &["selectPolicy"]) && !["Max", "Min", "Disabled"].contains(&select) {
        errors.not_supported(&path.child("selectPolicy"), select, &["Disabled", "Max", "Min"]);
    }
    let policies = rules.array_at(&["policies"]);
    if policies.is_empty() {
        errors.required(&path.child("policies"), "must specify at least one Policy");
    }
    for (i, policy) in policies.iter().enumerate() {
        let path = path.child("policies").index(i);
        let policy_type = policy.str_at(&["type"]);
        if !["Pods", "Percent"].contains(&policy_type) {
            errors.not_supported(&path.child("type"), policy_type, &["Percent", "Pods"]);
        }
        for (field, most) in [("value", i64::MAX), ("periodSeconds", 1800)] {
            let number = policy.i64_at(&[field]).unwrap_or(0);
            if number <= 0 {
                errors.invalid(&path.child(field), number, "must be greater than zero");
            }
            if number > most {
                errors.invalid(&path.child(field), number, format!("must be less than or equal to {most}"));
            }
        }
    }
}

/// An `autoscaling/v1 Scale`.
pub fn validate_scale(scale: &Value) -> FieldErrors {
    let mut errors = FieldErrors::new();
    crate::validate_object_meta(&mut errors, scale, crate::NameRule::DnsSubdomain);
    let replicas = scale.i64_at(&["spec", "replicas"]).unwrap_or(0);
    if replicas < 0 {
        let path = FieldPath::new("spec").child("replicas");
        errors.invalid(&path, replicas, crate::check::NOT_NEGATIVE);
    }
    errors
}
