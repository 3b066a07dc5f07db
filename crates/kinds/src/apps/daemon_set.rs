//! DaemonSet.

use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value, value};

use super::deployment::amount;
use super::{not_empty, runs_always, selector, selector_matches_template};
use crate::check::{
    at_least_zero_each, immutable_selector, label_selector, not_more_than_100_percent,
    positive_int_or_percent,
};
use crate::kind::{Kind, Step};
use crate::pod::{defaults, template, warnings};
use crate::shape::{default, default_nil, keep, present, same_of, shown};
use crate::{Context, go_form, table};

/// The annotation that keeps a DaemonSet's `spec.templateGeneration` of old: apps/v1 has no field for it.
pub const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

pub(super) static KIND: Kind = Kind {
    status: true,
    generation: true,
    defaults: set_defaults,
    prepare_create: |_, object| {
        if template_generation(object) < 1 {
            object.set(&["metadata", "annotations", TEMPLATE_GENERATION], "1");
        }
        zero_status(object);
    },
    prepare_update: count_template_generation,
    update: &[Step::MetaChange, Step::Change, Step::Body],
    validate: |errors, _, object, _| validate(errors, object),
    validate_change: immutable_selector,
    validate_status,
    warnings: |object, old| {
        // They are said again with every other template, which is counted by itself.
        if old.is_some_and(|old| template_generation(old) == template_generation(object)) {
            return Vec::new();
        }
        warnings::of_template(object, None)
    },
    cells: table::daemon_set,
    pod_spec: Some(&["spec", "template", "spec"]),
    ..Kind::new("apps", "daemonsets")
};

fn set_defaults(object: &mut Value) {
    let spec = object.at_mut(&["spec"]);
    default(spec, &["updateStrategy", "type"], "RollingUpdate");
    let rolls = spec.str_at(&["updateStrategy", "type"]) == "RollingUpdate";
    // The internal form has both numbers, or neither.
    if rolls || present(spec, &["updateStrategy", "rollingUpdate"]).is_some() {
        default_nil(spec, &["updateStrategy", "rollingUpdate", "maxUnavailable"], i64::from(rolls));
        default_nil(spec, &["updateStrategy", "rollingUpdate", "maxSurge"], 0);
    }
    default_nil(spec, &["revisionHistoryLimit"], 10);
    default_nil(spec, &["template"], Value::object());
    defaults::pod_template(spec, &["template"]);
    default_nil(object, &["metadata", "annotations", TEMPLATE_GENERATION], "0");
    zero_status(object);
}

fn zero_status(object: &mut Value) {
    for field in ["currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"] {
        default_nil(object, &["status", field], 0);
    }
}

fn template_generation(object: &Value) -> i64 {
    object.annotation(TEMPLATE_GENERATION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn count_template_generation(context: &Context<'_>, object: &mut Value, old: &Value) {
    let at = &["metadata", "annotations", TEMPLATE_GENERATION];
    if !context.subresource.is_empty() {
        keep(object, old, at);
        return;
    }
    let template = &["spec", "template"];
    let before = template_generation(old);
    let is_same = same_of("core.v1.PodTemplateSpec", object.at(template), old.at(template));
    let generation = if is_same { before } else { before + 1 };
    object.set(at, generation.to_string());
}

fn validate(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec");
    let Some(spec) = object.get("spec") else { return };
    label_selector(errors, &shown(spec, &["selector"]), &path.child("selector"));
    let pods = shown(spec, &["template"]);
    if let Some(selector) = selector(spec) {
        selector_matches_template(errors, &selector, &pods, &path.child("template"));
    }
    if let Some(selector) = present(spec, &["selector"]) {
        not_empty(errors, selector, &path.child("selector"), "daemonset");
    }
    let template_path = path.child("template");
    template::validate(errors, &pods, &template_path);
    runs_always(errors, &pods, &template_path, "DaemonSet");
    at_least_zero_each(errors, spec, &["minReadySeconds"], &path);
    validate_strategy(errors, spec, &path.child("updateStrategy"));
    at_least_zero_each(errors, spec, &["revisionHistoryLimit"], &path);
}

fn validate_strategy(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    match spec.str_at(&["updateStrategy", "type"]) {
        "OnDelete" => {}
        "RollingUpdate" => {
            let rolling = shown(spec, &["updateStrategy", "rollingUpdate"]);
            if rolling.is_null() {
                errors.required(&path.child("rollingUpdate"), "");
                return;
            }
            validate_rolling_update(errors, &rolling, &path.child("rollingUpdate"));
        }
        other => {
            let rolling = shown(spec, &["updateStrategy", "rollingUpdate"]);
            let rolling = match rolling {
                Value::Null => Value::Null,
                rolling => go_form::struct_of(&[
                    ("MaxUnavailable", shown(&rolling, &["maxUnavailable"])),
                    ("MaxSurge", shown(&rolling, &["maxSurge"])),
                ]),
            };
            let given = go_form::struct_of(&[("Type", value!(other)), ("RollingUpdate", rolling)]);
            errors.not_supported(path, given, &["RollingUpdate", "OnDelete"]);
        }
    }
}

fn validate_rolling_update(errors: &mut FieldErrors, rolling: &Value, path: &FieldPath) {
    let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
    let unavailable_path = path.child("maxUnavailable");
    let surge_path = path.child("maxSurge");
    positive_int_or_percent(errors, unavailable, &unavailable_path);
    positive_int_or_percent(errors, surge, &surge_path);
    not_more_than_100_percent(errors, unavailable, &unavailable_path);
    not_more_than_100_percent(errors, surge, &surge_path);
    match (amount(unavailable) != 0, amount(surge) != 0) {
        (true, true) => errors.invalid(
            &surge_path,
            surge.cloned().unwrap_or_default(),
            "may not be set when maxUnavailable is non-zero",
        ),
        (false, false) => errors.required(&unavailable_path, "cannot be 0 when maxSurge is 0"),
        _ => {}
    }
}

fn validate_status(errors: &mut FieldErrors, _: &Context<'_>, object: &Value, old: &Value) {
    let path = FieldPath::new("status");
    let status = object.get("status").unwrap_or(&Value::Null);
    at_least_zero_each(
        errors,
        status,
        &[
            "currentNumberScheduled",
            "numberMisscheduled",
            "desiredNumberScheduled",
            "numberReady",
            "observedGeneration",
            "updatedNumberScheduled",
            "numberAvailable",
            "numberUnavailable",
            "collisionCount",
        ],
        &path,
    );
    super::collision_count(errors, object, old);
}
