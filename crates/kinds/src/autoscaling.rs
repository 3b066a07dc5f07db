//! autoscaling: HorizontalPodAutoscaler, kept as v2, and Scale.

use drydock_machinery::quantity::Quantity;
use drydock_machinery::{FieldErrors, FieldPath, Value, value};

use crate::check::{
    NOT_NEGATIVE, at_least_zero_each, dns_label, non_negative_quantity, one_of_at, one_of_given, path_segment,
};
use crate::kind::Kind;
use crate::shape::{default_nil, default_null, has, present, shown, with_mut};
use crate::table;

pub(crate) const KINDS: &[&Kind] = &[&AUTOSCALER, &SCALE];

static AUTOSCALER: Kind = Kind {
    status: true,
    defaults: set_defaults,
    prepare_create: |_, object| zero_status(object),
    validate: |errors, _, object, old| validate(errors, object, old),
    validate_status: |errors, _, object, _| {
        let status = shown(object, &["status"]);
        at_least_zero_each(
            errors,
            &status,
            &["currentReplicas", "desiredReplicas"],
            &FieldPath::new("status"),
        );
    },
    cells: table::horizontal_pod_autoscaler,
    ..Kind::new("autoscaling", "horizontalpodautoscalers")
};

/// Never stored: what a scale subresource shows.
static SCALE: Kind = Kind { cells: table::scale, ..Kind::new("autoscaling", "scales") };

fn zero_status(object: &mut Value) {
    default_nil(object, &["status", "desiredReplicas"], 0);
    default_null(object.at_mut(&["status"]), &["currentMetrics"]);
}

/// Who says nothing of metrics wants four fifths of a CPU; also where v1 is converted.
pub(crate) fn default_metrics(object: &mut Value) {
    if object.array_at(&["spec", "metrics"]).is_empty() {
        let cpu = value!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}});
        object.set(&["spec", "metrics"], vec![cpu]);
    }
}

fn set_defaults(object: &mut Value) {
    crate::convert::drop_autoscaler_annotations(object);
    default_metrics(object);
    let spec = object.at_mut(&["spec"]);
    default_nil(spec, &["minReplicas"], 1);
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
        // No policies at all are left for validation to find.
        if behavior.at(&[rules, "policies"]).is_none_or(Value::is_null) {
            behavior.set(&[rules, "policies"], policies);
        }
    }
}

fn validate(errors: &mut FieldErrors, object: &Value, old: Option<&Value>) {
    let path = FieldPath::new("spec");
    let spec = shown(object, &["spec"]);
    let min = spec.i64_at(&["minReplicas"]);
    let max = spec.i64_at(&["maxReplicas"]).unwrap_or(0);
    if let Some(min) = min
        && min < 1
    {
        errors.invalid(&path.child("minReplicas"), min, "must be greater than or equal to 1");
    }
    match max {
        0 => errors.required(&path.child("maxReplicas"), "must be set and greater than 0"),
        max if max < 0 => {
            errors.invalid(&path.child("maxReplicas"), max, "must be greater than or equal to 1");
        }
        _ => {}
    }
    if min.is_some_and(|min| max < min) {
        errors.invalid(&path.child("maxReplicas"), max, "must be greater than or equal to `minReplicas`");
    }
    let old = old.and_then(|old| old.get("spec"));
    target(errors, &shown(&spec, &["scaleTargetRef"]), &path.child("scaleTargetRef"));
    let [version, kind] = ["apiVersion", "kind"].map(|field| ["scaleTargetRef", field]);
    if old.is_none_or(|old| [version, kind].iter().any(|at| old.at(at) != spec.at(at))) {
        // The one kind of the core group that scales.
        let core = spec.str_at(&kind) == "ReplicationController";
        api_version(errors, spec.str_at(&version), core, &path.child("scaleTargetRef"));
    }
    for (i, metric) in spec.array_at(&["metrics"]).iter().enumerate() {
        validate_metric(errors, metric, &path.child("metrics").index(i));
    }
    let outside = |metric: &Value| ["Object", "External"].contains(&metric.str_at(&["type"]));
    if min == Some(0) && !spec.array_at(&["metrics"]).iter().any(outside) {
        let detail =
            "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.forbidden(&path.child("metrics"), detail);
    }
    if let Some(behavior) = present(&spec, &["behavior"]) {
        for rules in ["scaleUp", "scaleDown"] {
            if let Some(given) = present(behavior, &[rules]) {
                scaling_rules(errors, given, &path.child("behavior").child(rules));
            }
        }
    }
}

/// `ValidateCrossVersionObjectReference`, but for the version.
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

/// `ValidateAPIVersion`: that of something with a scale subresource may be of the core group.
fn api_version(errors: &mut FieldErrors, text: &str, core: bool, path: &FieldPath) {
    let path = path.child("apiVersion");
    let slashes = text.matches('/').count();
    if slashes > 1 {
        errors.invalid(&path, text, format!("unexpected GroupVersion string: {text}"));
    } else if !core && (slashes == 0 || text.starts_with('/')) {
        errors.invalid(&path, text, "apiVersion must specify API group");
    }
}

/// Types of metrics and their fields, in the order in which upstream looks for them.
const METRICS: [(&str, &str); 5] = [
    ("Object", "object"),
    ("External", "external"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
];

fn validate_metric(errors: &mut FieldErrors, metric: &Value, path: &FieldPath) {
    let types = ["ContainerResource", "External", "Object", "Pods", "Resource"];
    let metric_type = metric.str_at(&["type"]);
    if metric_type.is_empty() {
        errors.required(&path.child("type"), "must specify a metric source type");
    }
    one_of_given(errors, metric_type, &types, &path.child("type"));
    let given: Vec<&str> =
        METRICS.iter().map(|(_, field)| *field).filter(|field| has(metric, &[field])).collect();
    if let Some(field) = given.first() {
        source(errors, field, &shown(metric, &[field]), &path.child(field));
    }
    let expected = METRICS.iter().find(|(name, _)| *name == metric_type).map(|(_, field)| *field);
    match expected {
        Some(field) if !has(metric, &[field]) => {
            errors.required(&path.child(field), "must populate information for the given metric source");
        }
        Some(_) => {}
        None => errors.not_supported(&path.child("type"), metric_type, &types),
    }
    if given.len() != 1 {
        for other in given.iter().filter(|field| Some(**field) != expected) {
            errors.forbidden(&path.child(other), "must populate the given metric source only");
        }
    }
}

/// One source of a metric, with what its kind of target must have.
fn source(errors: &mut FieldErrors, field: &str, source: &Value, path: &FieldPath) {
    let target_path = path.child("target");
    let goal = shown(source, &["target"]);
    let given = |field: &str| has(&goal, &[field]);
    if field == "object" {
        let object = shown(source, &["describedObject"]);
        target(errors, &object, &path.child("describedObject"));
        api_version(errors, object.str_at(&["apiVersion"]), true, &path.child("describedObject"));
    }
    let of_resource = field.ends_with("esource");
    if of_resource {
        resource(errors, field, source, path);
    } else {
        match source.str_at(&["metric", "name"]) {
            "" => errors.required(&path.child("metric").child("name"), "must specify a metric name"),
            name => path_segment(errors, name, &path.child("metric").child("name")),
        }
    }
    metric_target(errors, &goal, &target_path);
    let average = target_path.child("averageValue");
    match field {
        "object" if !given("value") && !given("averageValue") => {
            errors.required(&average, "must set either a target value or averageValue");
        }
        "external" if !given("value") && !given("averageValue") => {
            errors.required(&average, "must set either a target value for metric or a per-pod target");
        }
        "external" if given("value") && given("averageValue") => {
            let detail = "may not set both a target value for metric and a per-pod target";
            errors.forbidden(&target_path.child("value"), detail);
        }
        "pods" if !given("averageValue") => {
            errors.required(&average, "must specify a positive target averageValue");
        }
        _ => {}
    }
    if of_resource {
        match (given("averageUtilization"), given("averageValue")) {
            (false, false) => errors.required(
                &target_path.child("averageUtilization"),
                "must set either a target raw value or a target utilization",
            ),
            (true, true) => {
                errors.forbidden(&average, "may not set both a target raw value and a target utilization");
            }
            _ => {}
        }
    }
}

fn resource(errors: &mut FieldErrors, field: &str, source: &Value, path: &FieldPath) {
    let name = source.str_at(&["name"]);
    if name.is_empty() {
        errors.required(&path.child("name"), "must specify a resource name");
    }
    if field != "containerResource" {
        return;
    }
    if !name.is_empty() {
        crate::pod::resources::container_resource_name(errors, name, &path.child("name"));
    }
    match source.str_at(&["container"]) {
        "" => errors.required(&path.child("container"), "must specify a container"),
        container => dns_label(errors, container, &path.child("container")),
    }
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
    for field in ["value", "averageValue"] {
        if let Some(amount) = present(target, &[field]) {
            let quantity = Quantity::of(Some(amount));
            if quantity.is_negative() || quantity.is_zero() {
                errors.invalid(&path.child(field), amount.clone(), "must be positive");
            }
        }
    }
    if let Some(percent) = target.i64_at(&["averageUtilization"])
        && percent < 1
    {
        errors.invalid(&path.child("averageUtilization"), percent, "must be greater than 0");
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
    one_of_at(errors, rules, "selectPolicy", &["Disabled", "Max", "Min"], path);
    let policies = rules.array_at(&["policies"]);
    if policies.is_empty() {
        errors.required(&path.child("policies"), "must specify at least one Policy");
    }
    for (i, policy) in policies.iter().enumerate() {
        let path = path.child("policies").index(i);
        one_of_given(errors, policy.str_at(&["type"]), &["Percent", "Pods"], &path.child("type"));
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
    if let Some(tolerance) = present(rules, &["tolerance"]) {
        non_negative_quantity(errors, tolerance, &path.child("tolerance"));
    }
}

/// An `autoscaling/v1 Scale`.
pub fn validate_scale(scale: &Value) -> FieldErrors {
    let mut errors = FieldErrors::new();
    crate::validate_object_meta(&mut errors, scale, crate::NameRule::DnsSubdomain);
    let replicas = scale.i64_at(&["spec", "replicas"]).unwrap_or(0);
    if replicas < 0 {
        let path = FieldPath::new("spec").child("replicas");
        errors.invalid(&path, replicas, NOT_NEGATIVE);
    }
    errors
}
