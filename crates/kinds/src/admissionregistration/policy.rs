//! Admission policies and their bindings.

use drydock_machinery::{FieldErrors, FieldPath, Value};

use super::{GROUP, match_conditions, policy_of, rule_defaults, rule_with_operations};
use crate::check::{dns_subdomain, label_selector};
use crate::kind::Kind;
use crate::shape::{default_nil, has, is_zero, present, shown, with_mut};
use crate::table;

pub(super) static VALIDATING: Kind = Kind {
    status: true,
    generation: true,
    unconditional_update: false,
    defaults: policy_defaults,
    validate: |errors, _, object| validating(errors, object),
    cells: table::validating_admission_policy,
    ..Kind::new(GROUP, "validatingadmissionpolicies")
};

pub(super) static MUTATING: Kind = Kind {
    generation: true,
    unconditional_update: false,
    defaults: policy_defaults,
    validate: |errors, _, object| mutating(errors, object),
    cells: table::mutating_admission_policy,
    ..Kind::new(GROUP, "mutatingadmissionpolicies")
};

pub(super) static VALIDATING_BINDING: Kind = Kind {
    generation: true,
    unconditional_update: false,
    defaults: binding_defaults,
    validate: |errors, _, object| {
        binding(errors, object);
        actions(errors, object);
    },
    cells: table::admission_policy_binding,
    ..Kind::new(GROUP, "validatingadmissionpolicybindings")
};

pub(super) static MUTATING_BINDING: Kind = Kind {
    generation: true,
    unconditional_update: false,
    defaults: binding_defaults,
    validate: |errors, _, object| binding(errors, object),
    cells: table::admission_policy_binding,
    ..Kind::new(GROUP, "mutatingadmissionpolicybindings")
};

fn match_resources(resources: &mut Value) {
    default_nil(resources, &["matchPolicy"], "Equivalent");
    default_nil(resources, &["namespaceSelector"], Value::object());
    default_nil(resources, &["objectSelector"], Value::object());
    rule_defaults(resources, "resourceRules");
    rule_defaults(resources, "excludeResourceRules");
}

fn policy_defaults(object: &mut Value) {
    default_nil(object, &["spec", "failurePolicy"], "Fail");
    with_mut(object, &["spec", "matchConstraints"], match_resources);
}

fn binding_defaults(object: &mut Value) {
    with_mut(object, &["spec", "matchResources"], match_resources);
}

fn common(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    policy_of(errors, spec, "failurePolicy", &["Fail", "Ignore"], path);
    if let Some(kind) = present(spec, &["paramKind"]) {
        let path = path.child("paramKind");
        for field in ["apiVersion", "kind"] {
            if kind.str_at(&[field]).is_empty() {
                errors.required(&path.child(field), "");
            }
        }
    }
    match present(spec, &["matchConstraints"]) {
        None => errors.required(&path.child("matchConstraints"), ""),
        Some(resources) => {
            let path = path.child("matchConstraints");
            validate_match(errors, resources, &path);
            if resources.array_at(&["resourceRules"]).is_empty() {
                errors.required(&path.child("resourceRules"), "");
            }
        }
    }
    match_conditions(errors, spec, path);
    let mut seen = std::collections::HashSet::new();
    for (i, variable) in spec.array_at(&["variables"]).iter().enumerate() {
        let path = path.child("variables").index(i);
        let name = variable.str_at(&["name"]);
        if name.trim().is_empty() {
            errors.required(&path.child("name"), "name is not specified");
        } else {
            let identifier = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && !name.as_bytes()[0].is_ascii_digit();
            if !identifier {
                errors.invalid(&path.child("name"), name, "name is not a valid CEL identifier");
            }
            if !seen.insert(name) {
                errors.duplicate(&path.child("name"), name);
            }
        }
        if variable.str_at(&["expression"]).trim().is_empty() {
            errors.required(&path.child("expression"), "expression is not specified");
        }
    }
}

fn validate_match(errors: &mut FieldErrors, resources: &Value, path: &FieldPath) {
    policy_of(errors, resources, "matchPolicy", &["Equivalent", "Exact"], path);
    for field in ["namespaceSelector", "objectSelector"] {
        match present(resources, &[field]) {
            None => errors.required(&path.child(field), ""),
            Some(selector) => label_selector(errors, selector, &path.child(field)),
        }
    }
    for field in ["resourceRules", "excludeResourceRules"] {
        for (i, rule) in resources.array_at(&[field]).iter().enumerate() {
            rule_with_operations(errors, rule, &path.child(field).index(i));
        }
    }
}

fn validating(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec");
    let spec = shown(object, &["spec"]);
    common(errors, &spec, &path);
    let (validations, annotations) = (spec.array_at(&["validations"]), spec.array_at(&["auditAnnotations"]));
    if validations.is_empty() && annotations.is_empty() {
        let detail = "validations or auditAnnotations must contain at least one item";
        errors.required(&path.child("validations"), detail);
        errors.required(&path.child("auditAnnotations"), detail);
    }
    for (i, validation) in validations.iter().enumerate() {
        validate_validation(errors, validation, &path.child("validations").index(i));
    }
    let mut seen = std::collections::HashSet::new();
    for (i, annotation) in annotations.iter().enumerate() {
        let path = path.child("auditAnnotations").index(i);
        let key = annotation.str_at(&["key"]);
        if key.is_empty() {
            errors.required(&path.child("key"), "");
        } else if !seen.insert(key) {
            errors.duplicate(&path.child("key"), key);
        }
        if annotation.str_at(&["valueExpression"]).trim().is_empty() {
            errors.required(&path.child("valueExpression"), "valueExpression is not specified");
        }
    }
}

fn validate_validation(errors: &mut FieldErrors, validation: &Value, path: &FieldPath) {
    const REASONS: [&str; 4] = ["Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized"];
    let text = |field: &str| validation.str_at(&[field]);
    if text("expression").trim().is_empty() {
        errors.required(&path.child("expression"), "expression is not specified");
    }
    let message = text("message");
    if has(validation, &["messageExpression"]) && text("messageExpression").trim().is_empty() {
        let detail = "must be non-empty if specified";
        errors.invalid(&path.child("messageExpression"), text("messageExpression"), detail);
    }
    if !message.is_empty() && message.trim().is_empty() {
        let detail = "message must be non-empty if specified";
        errors.invalid(&path.child("message"), message, detail);
    } else if message.trim().contains('\n') {
        errors.invalid(&path.child("message"), message.trim(), "message must not contain line breaks");
    } else if message.is_empty()
        && text("expression").trim().contains('\n')
        && text("messageExpression").is_empty()
    {
        let detail = "message must be specified if expression contains line breaks";
        errors.required(&path.child("message"), detail);
    }
    if has(validation, &["reason"]) && !REASONS.contains(&text("reason")) {
        errors.not_supported(&path.child("reason"), text("reason"), &REASONS[..3]);
    }
}

fn mutating(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec");
    let spec = shown(object, &["spec"]);
    common(errors, &spec, &path);
    let mutations = spec.array_at(&["mutations"]);
    if mutations.is_empty() {
        errors.required(&path.child("mutations"), "mutations must contain at least one item");
    }
    for (i, mutation) in mutations.iter().enumerate() {
        let path = path.child("mutations").index(i);
        let (field, other) = match mutation.str_at(&["patchType"]) {
            "ApplyConfiguration" => ("applyConfiguration", "jsonPatch"),
            "JSONPatch" => ("jsonPatch", "applyConfiguration"),
            "" => {
                errors.required(&path.child("patchType"), "");
                continue;
            }
            kind => {
                errors.not_supported(&path.child("patchType"), kind, &["ApplyConfiguration", "JSONPatch"]);
                continue;
            }
        };
        if !has(mutation, &[field]) {
            let detail = format!("must be specified when patchType is {}", mutation.str_at(&["patchType"]));
            errors.required(&path.child(field), detail);
        } else if mutation.str_at(&[field, "expression"]).trim().is_empty() {
            errors.required(&path.child(field).child("expression"), "expression is not specified");
        }
        if has(mutation, &[other]) {
            let detail =
                format!("must not be specified when patchType is {}", mutation.str_at(&["patchType"]));
            errors.invalid(&path.child(other), shown(mutation, &[other]), detail);
        }
    }
    let policy = spec.str_at(&["reinvocationPolicy"]);
    if policy.is_empty() {
        errors.required(&path.child("reinvocationPolicy"), "");
    } else if !["Never", "IfNeeded"].contains(&policy) {
        errors.not_supported(&path.child("reinvocationPolicy"), policy, &["IfNeeded", "Never"]);
    }
}

fn binding(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec");
    let spec = shown(object, &["spec"]);
    let policy = spec.str_at(&["policyName"]);
    if policy.is_empty() {
        errors.required(&path.child("policyName"), "");
    } else {
        dns_subdomain(errors, policy, &path.child("policyName"));
    }
    if let Some(param) = present(&spec, &["paramRef"]) {
        param_ref(errors, param, &path.child("paramRef"));
    }
    if let Some(resources) = present(&spec, &["matchResources"]) {
        validate_match(errors, resources, &path.child("matchResources"));
    }
}

fn param_ref(errors: &mut FieldErrors, param: &Value, path: &FieldPath) {
    let name = param.str_at(&["name"]);
    match (name.is_empty(), present(param, &["selector"])) {
        (false, Some(_)) => {
            let detail = "name and selector are mutually exclusive";
            errors.forbidden(&path.child("name"), detail);
        }
        (true, None) => errors.required(path, "one of name or selector must be specified"),
        (false, None) => crate::check::path_segment(errors, name, &path.child("name")),
        (true, Some(selector)) => label_selector(errors, selector, &path.child("selector")),
    }
    match present(param, &["parameterNotFoundAction"]).and_then(Value::as_str) {
        None => errors.required(&path.child("parameterNotFoundAction"), ""),
        Some(action) if !["Allow", "Deny"].contains(&action) => {
            errors.not_supported(&path.child("parameterNotFoundAction"), action, &["Deny", "Allow"]);
        }
        Some(_) => {}
    }
}

fn actions(errors: &mut FieldErrors, object: &Value) {
    const SUPPORTED: [&str; 3] = ["Audit", "Deny", "Warn"];
    let path = FieldPath::new("spec").child("validationActions");
    let shown = shown(object, &["spec", "validationActions"]);
    let actions: Vec<&str> =
        object.array_at(&["spec", "validationActions"]).iter().filter_map(Value::as_str).collect();
    if is_zero(Some(&shown)) {
        errors.required(&path, "");
        return;
    }
    for (i, action) in actions.iter().enumerate() {
        if !SUPPORTED.contains(action) {
            errors.not_supported(&path.index(i), *action, &SUPPORTED);
        }
        if actions[..i].contains(action) {
            errors.duplicate(&path.index(i), *action);
        }
    }
    if actions.contains(&"Deny") && actions.contains(&"Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
        errors.invalid(&path, shown, detail);
    }
}
