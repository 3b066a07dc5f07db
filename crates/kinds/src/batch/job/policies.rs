//! When a job fails, succeeds and replaces its pods.

use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::check::at_least_zero_at;
use crate::shape::{has, present, shown};

/// `validatePodFailurePolicy`.
pub(super) fn failure(errors: &mut FieldErrors, spec: &Value, policy: &Value, path: &FieldPath) {
    let names: Vec<&str> = ["initContainers", "containers"]
        .iter()
        .flat_map(|list| spec.array_at(&["template", "spec", list]))
        .map(|container| container.str_at(&["name"]))
        .collect();
    for (i, rule) in policy.array_at(&["rules"]).iter().enumerate() {
        let path = path.child("rules").index(i);
        let supported = ["Count", "FailIndex", "FailJob", "Ignore"];
        let action = rule.str_at(&["action"]);
        if action.is_empty() {
            errors.required(&path.child("action"), format!("valid values: {supported:?}"));
        } else if action == "FailIndex" && !has(spec, &["backoffLimitPerIndex"]) {
            errors.invalid(&path.child("action"), action, "requires the backoffLimitPerIndex to be set");
        } else if !supported.contains(&action) {
            errors.not_supported(&path.child("action"), action, &supported);
        }
        let codes = present(rule, &["onExitCodes"]);
        if let Some(codes) = codes {
            exit_codes(errors, codes, &names, &path.child("onExitCodes"));
        }
        let conditions = rule.array_at(&["onPodConditions"]);
        for (j, condition) in conditions.iter().enumerate() {
            let path = path.child("onPodConditions").index(j);
            crate::check::qualified_name(errors, condition.str_at(&["type"]), &path.child("type"));
            let status = condition.str_at(&["status"]);
            let supported = ["False", "True", "Unknown"];
            if status.is_empty() {
                errors.required(&path.child("status"), format!("valid values: {supported:?}"));
            } else if !supported.contains(&status) {
                errors.not_supported(&path.child("status"), status, &supported);
            }
        }
        match (codes.is_some(), !conditions.is_empty()) {
            (true, true) => errors.invalid(
                &path,
                Value::Null,
                "specifying both OnExitCodes and OnPodConditions is not supported",
            ),
            (false, false) => errors.invalid(
                &path,
                Value::Null,
                "specifying one of OnExitCodes and OnPodConditions is required",
            ),
            _ => {}
        }
    }
}

fn exit_codes(errors: &mut FieldErrors, codes: &Value, names: &[&str], path: &FieldPath) {
    let operator = codes.str_at(&["operator"]);
    if operator.is_empty() {
        errors.required(&path.child("operator"), "valid values: [\"In\" \"NotIn\"]");
    } else if !["In", "NotIn"].contains(&operator) {
        errors.not_supported(&path.child("operator"), operator, &["In", "NotIn"]);
    }
    if let Some(name) = present(codes, &["containerName"]).and_then(Value::as_str)
        && !names.contains(&name)
    {
        errors.invalid(
            &path.child("containerName"),
            name,
            "must be one of the container or initContainer names in the pod template",
        );
    }
    let values: Vec<i64> = codes.array_at(&["values"]).iter().filter_map(Value::as_i64).collect();
    let values_path = path.child("values");
    if values.is_empty() {
        errors.invalid(&values_path, Value::Null, "at least one value is required");
    }
    for (i, code) in values.iter().enumerate() {
        if operator == "In" && *code == 0 {
            errors.invalid(&values_path.index(i), 0, "must not be 0 for the In operator");
        }
        if values[..i].contains(code) {
            errors.duplicate(&values_path.index(i), *code);
        }
    }
    if values.windows(2).any(|pair| pair[0] > pair[1]) {
        errors.invalid(&values_path, shown(codes, &["values"]), "must be ordered");
    }
}

/// `validateSuccessPolicy`.
pub(super) fn success(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let Some(policy) = present(spec, &["successPolicy"]) else { return };
    if spec.str_at(&["completionMode"]) != "Indexed" {
        errors.invalid(path, policy.clone(), "requires indexed completion mode");
        return;
    }
    let rules = policy.array_at(&["rules"]);
    if rules.is_empty() {
        errors.required(
            &path.child("rules"),
            "at least one rules must be specified when the successPolicy is specified",
        );
    }
    for (i, rule) in rules.iter().enumerate() {
        let path = path.child("rules").index(i);
        if !has(rule, &["succeededCount"]) && !has(rule, &["succeededIndexes"]) {
            errors.required(&path, "at least one of succeededCount or succeededIndexes must be specified");
        }
        at_least_zero_at(errors, rule, &["succeededCount"], &path.child("succeededCount"));
    }
}

pub(super) fn replacement(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let policy = spec.str_at(&["podReplacementPolicy"]);
    if policy.is_empty() {
        return;
    }
    let supported: &[&str] =
        if has(spec, &["podFailurePolicy"]) { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    if !supported.contains(&policy) {
        errors.not_supported(path, policy, supported);
    }
}
