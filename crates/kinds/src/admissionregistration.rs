//! admissionregistration.k8s.io. CEL expressions must compile; admission evaluates them.

mod mutation;
mod policy;
mod webhook;

use drydock_cel::declare::KubernetesVersion;
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value};

use crate::check::{one_of_at, one_of_given, qualified_name};
use crate::expression::{Compiler, Returns, Scope};
use crate::kind::Kind;
use crate::shape::{default_nil, each_mut};

const GROUP: &str = "admissionregistration.k8s.io";

pub(crate) const KINDS: &[&Kind] = &[
    &webhook::VALIDATING,
    &webhook::MUTATING,
    &policy::VALIDATING,
    &policy::VALIDATING_BINDING,
    &mutation::MUTATING,
    &policy::MUTATING_BINDING,
];

const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const SCOPES: [&str; 3] = ["*", "Cluster", "Namespaced"];

/// `WarningsForStaticSuffix`.
fn reserved_name(object: &Value) -> Vec<String> {
    const SUFFIX: &str = ".static.k8s.io";
    let warning = || {
        format!(
            "metadata.name: names ending with {SUFFIX:?} are reserved for static manifest-based configurations and cannot be managed via the API"
        )
    };
    object.name().ends_with(SUFFIX).then(warning).into_iter().collect()
}

/// Rules cover every scope by default.
fn rule_defaults(holder: &mut Value, field: &str) {
    each_mut(holder, &[field], |rule| default_nil(rule, &["scope"], "*"));
}

/// `validateRuleWithOperations`.
fn rule_with_operations(errors: &mut FieldErrors, rule: &Value, path: &FieldPath) {
    let operations = rule.array_at(&["operations"]);
    if operations.is_empty() {
        errors.required(&path.child("operations"), "");
    }
    let is = |operation: &Value, text: &str| operation.as_str() == Some(text);
    if operations.len() > 1 && operations.iter().any(|operation| is(operation, "*")) {
        let shown = Value::Array(operations.iter().cloned().collect());
        let detail = "if '*' is present, must not specify other operations";
        errors.invalid(&path.child("operations"), shown, detail);
    }
    for (i, operation) in operations.iter().filter_map(Value::as_str).enumerate() {
        one_of_given(errors, operation, &OPERATIONS, &path.child("operations").index(i));
    }
    validate_rule(errors, rule, path);
}

fn validate_rule(errors: &mut FieldErrors, rule: &Value, path: &FieldPath) {
    for (field, what) in [("apiGroups", "groups"), ("apiVersions", "versions")] {
        let all: Vec<&str> = rule.array_at(&[field]).iter().filter_map(Value::as_str).collect();
        if all.is_empty() {
            errors.required(&path.child(field), "");
        }
        if all.len() > 1 && all.contains(&"*") {
            let detail = format!("if '*' is present, must not specify other API {what}");
            errors.invalid(&path.child(field), crate::shape::shown(rule, &[field]), detail);
        }
        for (i, text) in all.iter().enumerate() {
            if field == "apiVersions" && text.is_empty() {
                errors.required(&path.child(field).index(i), "");
            }
        }
    }
    resources(errors, rule, &path.child("resources"));
    one_of_at(errors, rule, "scope", &SCOPES, path);
}

fn resources(errors: &mut FieldErrors, rule: &Value, path: &FieldPath) {
    let all: Vec<&str> = rule.array_at(&["resources"]).iter().filter_map(Value::as_str).collect();
    if all.is_empty() {
        errors.required(path, "");
    }
    for (i, resource) in all.iter().enumerate() {
        if resource.is_empty() {
            errors.required(&path.index(i), "");
        }
        if let Some((name, sub)) = resource.split_once('/') {
            for wider in [format!("{name}/*"), format!("*/{sub}")] {
                // Only what stands before counts.
                if all[..i].contains(&wider.as_str()) {
                    let detail = format!("if '{wider}' is present, must not specify {resource}");
                    errors.invalid(&path.index(i), *resource, detail);
                }
            }
        }
    }
    if all.contains(&"*/*") && all.len() > 1 {
        let shown = crate::shape::shown(rule, &["resources"]);
        errors.invalid(path, shown, "if '*/*' is present, must not specify other resources");
    }
    // Upstream asks the last one alone.
    let plain = all.iter().rfind(|resource| !resource.is_empty() && !resource.contains('/'));
    if all.contains(&"*") && plain.is_some_and(|resource| *resource != "*") {
        let shown = crate::shape::shown(rule, &["resources"]);
        let detail = "if '*' is present, must not specify other resources without subresources";
        errors.invalid(path, shown, detail);
    }
}

/// Names and expressions of `matchConditions`; `params` says whether those may be referred to.
fn match_conditions(
    errors: &mut FieldErrors,
    version: KubernetesVersion,
    holder: &Value,
    params: bool,
    path: &FieldPath,
) {
    let conditions = holder.array_at(&["matchConditions"]);
    let path = path.child("matchConditions");
    if conditions.len() > 64 {
        errors.too_many(&path, conditions.len(), 64);
    }
    let mut seen = std::collections::HashSet::new();
    for (i, condition) in conditions.iter().enumerate() {
        let path = path.index(i);
        let expression = condition.str_at(&["expression"]).trim();
        if expression.is_empty() {
            errors.required(&path.child("expression"), "");
        } else if let Err(why) =
            Compiler::plain(version).compile(expression, Scope::condition(params), Returns::Bool)
        {
            errors.invalid(&path.child("expression"), expression, why.0);
        }
        let name = condition.str_at(&["name"]);
        if name.is_empty() {
            errors.required(&path.child("name"), "");
        } else {
            qualified_name(errors, name, &path.child("name"));
            if !seen.insert(name) {
                errors.duplicate(&path.child("name"), name);
            }
        }
    }
}
