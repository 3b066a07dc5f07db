//! Deployment: `pkg/apis/apps/validation` and `pkg/registry/apps/deployment`.

use drydock_machinery::{FieldErrors, FieldPath, Value, value};

use super::{no_more_than, replicated_template};
use crate::check::{
    IntOrPercent, at_least_zero_each, immutable_selector, int_or_percent, not_more_than_100_percent,
    percent_of, positive_int_or_percent,
};
use crate::kind::{Kind, StatusMeta};
use crate::pod::defaults;
use crate::shape::{default, default_nil, has, same, same_of};
use crate::{Context, go_form, table};

pub(super) static KIND: Kind = Kind {
    status_meta: StatusMeta::LabelsKept,
    status: true,
    generation: true,
    // Rollouts are told by their annotations too.
    spec_changed: Some(|object, old| {
        let annotations = &["metadata", "annotations"];
        !same_of("apps.v1.DeploymentSpec", object.get("spec"), old.get("spec"))
            || !same(object.at(annotations), old.at(annotations))
    }),
    defaults: set_defaults,
    validate: |errors, _, object, _| validate(errors, object),
    validate_change: immutable_selector,
    validate_status,
    warnings: crate::pod::warnings::of_named_template,
    cells: table::deployment,
    pod_spec: Some(&["spec", "template", "spec"]),
    ..Kind::new("apps", "deployments")
};

fn set_defaults(object: &mut Value) {
    let spec = object.at_mut(&["spec"]);
    default_nil(spec, &["replicas"], 1);
    default_nil(spec, &["revisionHistoryLimit"], 10);
    default_nil(spec, &["progressDeadlineSeconds"], 600);
    default(spec, &["strategy", "type"], "RollingUpdate");
    if spec.str_at(&["strategy", "type"]) == "RollingUpdate" {
        default_nil(spec, &["strategy", "rollingUpdate", "maxUnavailable"], "25%");
        default_nil(spec, &["strategy", "rollingUpdate", "maxSurge"], "25%");
    }
    default_nil(spec, &["template"], Value::object());
    defaults::pod_template(spec, &["template"]);
}

fn validate(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec");
    let Some(spec) = object.get("spec") else { return };
    at_least_zero_each(errors, spec, &["replicas"], &path);
    replicated_template(errors, spec, &path);
    validate_strategy(errors, spec, &path.child("strategy"));
    at_least_zero_each(errors, spec, &["minReadySeconds", "revisionHistoryLimit"], &path);
    if let Some(seconds) = spec.i64_at(&["progressDeadlineSeconds"]) {
        at_least_zero_each(errors, spec, &["progressDeadlineSeconds"], &path);
        let path = path.child("progressDeadlineSeconds");
        if seconds <= spec.i64_at(&["minReadySeconds"]).unwrap_or(0) {
            errors.invalid(&path, seconds, "must be greater than minReadySeconds");
        }
    }
}

fn validate_strategy(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    match spec.str_at(&["strategy", "type"]) {
        "Recreate" => {
            if has(spec, &["strategy", "rollingUpdate"]) {
                errors.forbidden(
                    &path.child("rollingUpdate"),
                    "may not be specified when strategy `type` is 'Recreate'",
                );
            }
        }
        "RollingUpdate" => {
            if !has(spec, &["strategy", "rollingUpdate"]) {
                errors.required(&path.child("rollingUpdate"), "this should be defaulted and never be nil");
                return;
            }
            let rolling = spec.at(&["strategy", "rollingUpdate"]).unwrap_or(&Value::Null);
            validate_rolling_update(errors, rolling, &path.child("rollingUpdate"));
        }
        other => errors.not_supported(
            path,
            go_form::struct_of(&[("Type", value!(other)), ("RollingUpdate", rolling_update_shown(spec))]),
            &["Recreate", "RollingUpdate"],
        ),
    }
}

fn rolling_update_shown(spec: &Value) -> Value {
    let rolling = &["strategy", "rollingUpdate"];
    if !has(spec, rolling) {
        return Value::Null;
    }
    let part = |field| spec.at(&[rolling[0], rolling[1], field]).cloned().unwrap_or_else(|| 0.into());
    go_form::struct_of(&[("MaxUnavailable", part("maxUnavailable")), ("MaxSurge", part("maxSurge"))])
}

fn validate_rolling_update(errors: &mut FieldErrors, rolling: &Value, path: &FieldPath) {
    let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
    positive_int_or_percent(errors, unavailable, &path.child("maxUnavailable"));
    positive_int_or_percent(errors, surge, &path.child("maxSurge"));
    if amount(unavailable) == 0 && amount(surge) == 0 {
        errors.invalid(
            &path.child("maxUnavailable"),
            unavailable.cloned().unwrap_or_else(|| 0.into()),
            "may not be 0 when `maxSurge` is 0",
        );
    }
    not_more_than_100_percent(errors, unavailable, &path.child("maxUnavailable"));
}

/// `getIntOrPercentValue`: a percentage's number, or the number, also one that is written as a text; 0 for anything else.
pub(super) fn amount(value: Option<&Value>) -> i64 {
    percent_of(value).unwrap_or(match int_or_percent(value) {
        Some(IntOrPercent::Int(number)) => number,
        _ => value.and_then(Value::as_str).and_then(|text| text.parse().ok()).unwrap_or(0),
    })
}

fn validate_status(errors: &mut FieldErrors, _: &Context<'_>, object: &Value, old: &Value) {
    let path = FieldPath::new("status");
    let status = object.get("status").unwrap_or(&Value::Null);
    at_least_zero_each(
        errors,
        status,
        &[
            "observedGeneration",
            "replicas",
            "updatedReplicas",
            "readyReplicas",
            "availableReplicas",
            "unavailableReplicas",
            "terminatingReplicas",
            "collisionCount",
        ],
        &path,
    );
    for field in ["updatedReplicas", "readyReplicas", "availableReplicas"] {
        no_more_than(errors, status, [field, "replicas"], "status.replicas", &path);
    }
    no_more_than(errors, status, ["availableReplicas", "readyReplicas"], "readyReplicas", &path);
    super::collision_count(errors, object, old);
}
