//! When a job fails, succeeds and replaces its pods.

use drydock_machinery::status::{FieldError, FieldErrorKind};
use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::check::{at_least_zero, one_of_at, qualified_name};
use crate::go_form;
use crate::shape::{has, present, shown};

/// `validatePodFailurePolicy`.
pub(super) fn failure(errors: &mut FieldErrors, spec: &Value, policy: &Value, path: &FieldPath) {
    let names: Vec<&str> = ["initContainers", "containers"]
        .iter()
        .flat_map(|list| spec.array_at(&["template", "spec", list]))
        .map(|container| container.str_at(&["name"]))
        .collect();
    let rules = policy.array_at(&["rules"]);
    if rules.len() > 20 {
        errors.too_many(&path.child("rules"), rules.len(), 20);
    }
    for (i, rule) in rules.iter().enumerate() {
        let path = path.child("rules").index(i);
        let supported = ["Count", "FailIndex", "FailJob", "Ignore"];
        let action = rule.str_at(&["action"]);
        if action.is_empty() {
            errors.required(&path.child("action"), format!("valid values: {}", list(&supported)));
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
        if conditions.len() > 20 {
            errors.too_many(&path.child("onPodConditions"), conditions.len(), 20);
        }
        for (j, condition) in conditions.iter().enumerate() {
            let path = path.child("onPodConditions").index(j);
            qualified_name(errors, condition.str_at(&["type"]), &path.child("type"));
            let status = condition.str_at(&["status"]);
            let supported = ["False", "True", "Unknown"];
            if status.is_empty() {
                errors.required(&path.child("status"), format!("valid values: {}", list(&supported)));
            } else if !supported.contains(&status) {
                errors.not_supported(&path.child("status"), status, &supported);
            }
        }
        match (codes.is_some(), !conditions.is_empty()) {
            (true, true) => {
                whole(errors, &path, "specifying both OnExitCodes and OnPodConditions is not supported");
            }
            (false, false) => {
                whole(errors, &path, "specifying one of OnExitCodes and OnPodConditions is required");
            }
            _ => {}
        }
    }
}

/// Go's `%q` of a list.
fn list(texts: &[&str]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
    format!("[{}]", quoted.join(" "))
}

/// An error of a rule as a whole, which is not shown.
fn whole(errors: &mut FieldErrors, path: &FieldPath, detail: &str) {
    errors.push(FieldError {
        kind: FieldErrorKind::InvalidShown,
        field: path.to_string(),
        value: None,
        detail: detail.to_owned(),
    });
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
        errors.invalid(&values_path, shown(codes, &["values"]), "at least one value is required");
    } else if values.len() > 255 {
        errors.too_many(&values_path, values.len(), 255);
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
        let shown = go_form::of("SuccessPolicy", policy);
        errors.invalid(path, shown, "requires indexed completion mode");
        return;
    }
    let rules = policy.array_at(&["rules"]);
    if rules.is_empty() {
        errors.required(
            &path.child("rules"),
            "at least one rules must be specified when the successPolicy is specified",
        );
    }
    if rules.len() > 20 {
        errors.too_many(&path.child("rules"), rules.len(), 20);
    }
    for (i, rule) in rules.iter().enumerate() {
        let path = path.child("rules").index(i);
        if !has(rule, &["succeededCount"]) && !has(rule, &["succeededIndexes"]) {
            errors.required(&path, "at least one of succeededCount or succeededIndexes must be specified");
        }
        success_rule(errors, spec.i64_at(&["completions"]).unwrap_or(0), rule, &path);
    }
}

fn success_rule(errors: &mut FieldErrors, completions: i64, rule: &Value, path: &FieldPath) {
    let mut total = 0;
    let given = present(rule, &["succeededIndexes"]).and_then(Value::as_str);
    if let Some(text) = given {
        let path = path.child("succeededIndexes");
        if text.len() > 64 * 1024 {
            errors.too_long(&path, 64 * 1024);
        }
        match super::indexes::count(text, completions) {
            Ok(count) => total = count,
            Err(why) => errors.invalid(&path, text, format!("error parsing succeededIndexes: {why}")),
        }
    }
    let Some(count) = rule.i64_at(&["succeededCount"]) else { return };
    let path = path.child("succeededCount");
    at_least_zero(errors, count, &path);
    if count > completions {
        let detail =
            format!("must be less than or equal to {completions} (the number of specified completions)");
        errors.invalid(&path, count, detail);
    }
    if given.is_some() && count > total {
        let detail = format!(
            "must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
        );
        errors.invalid(&path, count, detail);
    }
}

pub(super) fn replacement(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let supported: &[&str] =
        if has(spec, &["podFailurePolicy"]) { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    one_of_at(errors, spec, "podReplacementPolicy", supported, path);
}
