//! policy: PodDisruptionBudget.

use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::check::{
    at_least_zero_each, conditions, label_selector, not_more_than_100_percent, one_of_at,
    positive_int_or_percent,
};
use crate::kind::{Kind, Step};
use crate::shape::{default_nil, has, present, shown};
use crate::{go_form, table};

pub(crate) const KINDS: &[&Kind] = &[&BUDGET];

static BUDGET: Kind = Kind {
    create: &[Step::Body],
    update: &[Step::Body],
    update_status: &[Step::Change],
    unconditional_update: false,
    status: true,
    generation: true,
    defaults: zero_status,
    prepare_create: |_, object| zero_status(object),
    validate: |errors, _, object, _| validate(errors, object),
    validate_status: |errors, _, object, _| validate_status(errors, object),
    cells: table::pod_disruption_budget,
    ..Kind::new("policy", "poddisruptionbudgets")
};

fn zero_status(object: &mut Value) {
    for field in ["currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods"] {
        default_nil(object, &["status", field], 0);
    }
}

fn validate(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec");
    let spec = shown(object, &["spec"]);
    if has(&spec, &["minAvailable"]) && has(&spec, &["maxUnavailable"]) {
        let detail = "minAvailable and maxUnavailable cannot be both set";
        errors.invalid(&path, go_form::of("PodDisruptionBudgetSpec", &spec), detail);
    }
    for field in ["minAvailable", "maxUnavailable"] {
        let amount = spec.get(field);
        positive_int_or_percent(errors, amount, &path.child(field));
        not_more_than_100_percent(errors, amount, &path.child(field));
    }
    if let Some(selector) = present(&spec, &["selector"]) {
        label_selector(errors, selector, &path.child("selector"));
    }
    let policies = ["AlwaysAllow", "IfHealthyBudget"];
    one_of_at(errors, &spec, "unhealthyPodEvictionPolicy", &policies, &path);
}

fn validate_status(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("status");
    let status = shown(object, &["status"]);
    conditions(errors, status.array_at(&["conditions"]), &path.child("conditions"));
    at_least_zero_each(
        errors,
        &status,
        &["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"],
        &path,
    );
}
