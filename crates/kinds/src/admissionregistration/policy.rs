//! Validating admission policies, and the bindings of both kinds of policies.

use drydock_cel::declare::KubernetesVersion;
use drydock_cel::parse::RESERVED;
use drydock_machinery::jsonpath::JsonPath;
use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value, value};

use super::{GROUP, match_conditions, reserved_name, rule_defaults, rule_with_operations};
use crate::check::{conditions, dns_subdomain, label_selector, one_of_at, path_segment, qualified_name};
use crate::expression::{Compiler, Returns, Scope, for_new};
use crate::kind::{Finalizers, Kind, NEW_AND_CHANGED, StatusMeta, Step};
use crate::shape::{default_nil, has, is_zero, present, same, shown, with_mut};
use crate::table;

pub(super) static VALIDATING: Kind = Kind {
    finalizers: Finalizers::Any,
    update: NEW_AND_CHANGED,
    update_status: &[Step::Change],
    status_meta: StatusMeta::Kept,
    status: true,
    generation: true,
    unconditional_update: false,
    defaults: policy_defaults,
    validate: |errors, context, object, old| validating(errors, for_new(context), object, old),
    validate_status: |errors, _, object, _| status(errors, object),
    warnings: |object, _| reserved_name(object),
    cells: table::validating_admission_policy,
    ..Kind::new(GROUP, "validatingadmissionpolicies")
};

pub(super) static VALIDATING_BINDING: Kind = Kind {
    finalizers: Finalizers::Any,
    update: NEW_AND_CHANGED,
    generation: true,
    unconditional_update: false,
    defaults: binding_defaults,
    validate: |errors, _, object, _| {
        binding(errors, object);
        actions(errors, object);
    },
    warnings: |object, _| reserved_name(object),
    cells: table::admission_policy_binding,
    ..Kind::new(GROUP, "validatingadmissionpolicybindings")
};

pub(super) static MUTATING_BINDING: Kind = Kind {
    finalizers: Finalizers::Any,
    update: NEW_AND_CHANGED,
    generation: true,
    unconditional_update: false,
    defaults: binding_defaults,
    validate: |errors, _, object, _| {
        binding(errors, object);
        if let Some(resources) = object.at(&["spec", "matchResources"]) {
            supported_operations(
                errors,
                resources,
                &MUTATED,
                &FieldPath::new("spec").child("matchResources"),
            );
        }
    },
    warnings: |object, _| reserved_name(object),
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

pub(super) fn policy_defaults(object: &mut Value) {
    default_nil(object, &["spec", "failurePolicy"], "Fail");
    with_mut(object, &["spec", "matchConstraints"], match_resources);
}

fn binding_defaults(object: &mut Value) {
    with_mut(object, &["spec", "matchResources"], match_resources);
}

/// The most that one policy has of them.
const MAX_AUDIT_ANNOTATIONS: usize = 20;
const MAX_AUDIT_EXPRESSION: usize = 5 * 1024;

/// What both kinds of policies have: answers the compiler that knows the variables.
pub(super) fn common(
    errors: &mut FieldErrors,
    version: KubernetesVersion,
    spec: &Value,
    old: Option<&Value>,
    operations: Option<&[&str]>,
    path: &FieldPath,
) -> Compiler {
    one_of_at(errors, spec, "failurePolicy", &["Fail", "Ignore"], path);
    let params = present(spec, &["paramKind"]);
    if let Some(kind) = params {
        param_kind(errors, kind, &path.child("paramKind"));
    }
    match present(spec, &["matchConstraints"]) {
        None => errors.required(&path.child("matchConstraints"), ""),
        Some(resources) => {
            let path = path.child("matchConstraints");
            validate_match(errors, resources, &path);
            let rules = resources.array_at(&["resourceRules"]);
            if rules.is_empty() {
                errors.required(&path.child("resourceRules"), "");
            }
            if let Some(supported) = operations {
                supported_operations(errors, resources, supported, &path);
            }
        }
    }
    // Conditions that were let pass once stay.
    let unchanged = |old: &Value| {
        ["paramKind", "matchConditions"].iter().all(|field| same(spec.get(field), old.get(field)))
    };
    if !old.is_some_and(unchanged) {
        match_conditions(errors, version, spec, params.is_some(), path);
    }
    let variables = spec.array_at(&["variables"]);
    // A mutation may always ask for variables, of which there may be none.
    let plain = variables.is_empty() && operations.is_none();
    let mut compiler = if plain { Compiler::plain(version) } else { Compiler::composed(version) };
    for (i, variable) in variables.iter().enumerate() {
        let path = path.child("variables").index(i);
        declare(errors, &mut compiler, variable, params.is_some(), &path);
    }
    compiler
}

fn declare(
    errors: &mut FieldErrors,
    compiler: &mut Compiler,
    variable: &Value,
    params: bool,
    path: &FieldPath,
) {
    let name = variable.str_at(&["name"]);
    if name.trim().is_empty() {
        errors.required(&path.child("name"), "name is not specified");
    } else if !is_identifier(name) {
        errors.invalid(&path.child("name"), name, "must be a valid CEL identifier");
    }
    let expression = variable.str_at(&["expression"]);
    if expression.trim().is_empty() {
        errors.required(&path.child("expression"), "expression is not specified");
    } else if let Err(why) = compiler.declare(name, expression, Scope::condition(params)) {
        errors.invalid(&path.child("expression"), expression, why.0);
    }
}

fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !RESERVED.contains(&name)
}

fn param_kind(errors: &mut FieldErrors, kind: &Value, path: &FieldPath) {
    let at = path.child("apiVersion");
    let api_version = kind.str_at(&["apiVersion"]);
    let (group, version) = match api_version.split('/').collect::<Vec<_>>().as_slice() {
        ["", ""] => ("", ""),
        [version] => ("", *version),
        [group, version] => (*group, *version),
        _ => {
            errors.invalid(&at, api_version, format!("unexpected GroupVersion string: {api_version}"));
            ("", "v1")
        }
    };
    if api_version.is_empty() {
        errors.required(&at, "");
    } else {
        if !group.is_empty() {
            joined(errors, &at, group, "", names::is_dns1123_subdomain(group));
        }
        if version.is_empty() {
            errors.invalid(&at, api_version, "version must be specified");
        } else {
            joined(errors, &at, version, "", names::is_dns1035_label(version));
        }
    }
    let at = path.child("kind");
    match kind.str_at(&["kind"]) {
        "" => errors.required(&at, ""),
        kind => {
            let wrong = names::is_dns1035_label(&kind.to_lowercase());
            joined(errors, &at, kind, "may have mixed case, but should otherwise match: ", wrong);
        }
    }
}

fn joined(errors: &mut FieldErrors, path: &FieldPath, value: &str, before: &str, wrong: Vec<String>) {
    if !wrong.is_empty() {
        errors.invalid(path, value, format!("{before}{}", wrong.join(",")));
    }
}

fn validate_match(errors: &mut FieldErrors, resources: &Value, path: &FieldPath) {
    one_of_at(errors, resources, "matchPolicy", &["Equivalent", "Exact"], path);
    for field in ["namespaceSelector", "objectSelector"] {
        match present(resources, &[field]) {
            None => errors.required(&path.child(field), ""),
            Some(selector) => label_selector(errors, selector, &path.child(field)),
        }
    }
    for field in ["resourceRules", "excludeResourceRules"] {
        for (i, rule) in resources.array_at(&[field]).iter().enumerate() {
            let path = path.child(field).index(i);
            resource_names(errors, rule, &path.child("resourceNames"));
            rule_with_operations(errors, rule, &path);
        }
    }
}

fn resource_names(errors: &mut FieldErrors, rule: &Value, path: &FieldPath) {
    let names: Vec<&str> = rule.array_at(&["resourceNames"]).iter().filter_map(Value::as_str).collect();
    for (i, name) in names.iter().enumerate() {
        path_segment(errors, name, &path.index(i));
        if names[..i].contains(name) {
            errors.duplicate(&path.index(i), *name);
        }
    }
}

/// A status says of each expression that it warns about which it is.
fn status(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("status").child("typeChecking").child("expressionWarnings");
    let warnings = object.array_at(&["status", "typeChecking", "expressionWarnings"]);
    for (i, warning) in warnings.iter().enumerate() {
        if warning.str_at(&["warning"]).is_empty() {
            errors.required(&path.index(i).child("warning"), "");
        }
        let (reference, path) = (warning.str_at(&["fieldRef"]).trim(), path.index(i).child("fieldRef"));
        if reference.is_empty() {
            errors.required(&path, "");
        }
        if !reference.is_empty()
            && let Err(why) = JsonPath::parse(reference)
        {
            errors.invalid(&path, reference, format!("invalid JSONPath: {why}"));
        }
    }
    let path = FieldPath::new("status").child("conditions");
    conditions(errors, object.array_at(&["status", "conditions"]), &path);
}

fn validating(errors: &mut FieldErrors, version: KubernetesVersion, object: &Value, old: Option<&Value>) {
    let path = FieldPath::new("spec");
    let spec = shown(object, &["spec"]);
    let params = has(&spec, &["paramKind"]);
    let compiler = common(errors, version, &spec, old.and_then(|old| old.get("spec")), None, &path);
    let (validations, annotations) = (spec.array_at(&["validations"]), spec.array_at(&["auditAnnotations"]));
    if validations.is_empty() && annotations.is_empty() {
        let detail = "validations or auditAnnotations must contain at least one item";
        errors.required(&path.child("validations"), detail);
        errors.required(&path.child("auditAnnotations"), detail);
        return;
    }
    for (i, validation) in validations.iter().enumerate() {
        validate_validation(errors, &compiler, validation, params, &path.child("validations").index(i));
    }
    let path = path.child("auditAnnotations");
    if annotations.len() > MAX_AUDIT_ANNOTATIONS {
        let detail = format!("must not have more than {MAX_AUDIT_ANNOTATIONS} auditAnnotations");
        // By the names that upstream's struct has for the fields.
        let shown = annotations.iter().map(|annotation| {
            value!({"Key": annotation.str_at(&["key"]), "ValueExpression": annotation.str_at(&["valueExpression"])})
        });
        errors.invalid(&path, shown.collect::<Vec<_>>(), detail);
    }
    let mut seen = std::collections::HashSet::new();
    for (i, annotation) in annotations.iter().enumerate() {
        let path = path.index(i);
        audit_annotation(errors, &compiler, object.name(), annotation, params, &path);
        let key = annotation.str_at(&["key"]);
        if !seen.insert(key) {
            errors.duplicate(&path.child("key"), key);
        }
    }
}

fn audit_annotation(
    errors: &mut FieldErrors,
    compiler: &Compiler,
    policy: &str,
    annotation: &Value,
    params: bool,
    path: &FieldPath,
) {
    let key = annotation.str_at(&["key"]);
    if policy.is_empty() {
        errors.invalid(&path.child("key"), key, "requires metadata.name be non-empty");
    } else {
        qualified_name(errors, &format!("{policy}/{key}"), &path.child("key"));
    }
    let path = path.child("valueExpression");
    let given = annotation.str_at(&["valueExpression"]);
    let expression = given.trim();
    if expression.is_empty() {
        errors.required(&path, "valueExpression is not specified");
    } else if expression.len() > MAX_AUDIT_EXPRESSION {
        errors.required(&path, format!("must not exceed {MAX_AUDIT_EXPRESSION} bytes in length"));
    } else if let Err(why) = compiler.compile(expression, Scope::condition(params), Returns::StringOrNull) {
        errors.invalid(&path, given, why.0);
    }
}

fn validate_validation(
    errors: &mut FieldErrors,
    compiler: &Compiler,
    validation: &Value,
    params: bool,
    path: &FieldPath,
) {
    const REASONS: [&str; 3] = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
    let text = |field: &str| validation.str_at(&[field]);
    let expression = text("expression");
    if expression.trim().is_empty() {
        errors.required(&path.child("expression"), "expression is not specified");
    } else if let Err(why) = compiler.compile(expression, Scope::condition(params), Returns::Bool) {
        errors.invalid(&path.child("expression"), expression, why.0);
    }
    let expression = text("messageExpression");
    if !expression.is_empty() {
        let path = path.child("messageExpression");
        if expression.trim().is_empty() {
            errors.invalid(&path, expression, "must be non-empty if specified");
        } else if let Err(why) = compiler.compile(expression, Scope::message(params), Returns::String) {
            errors.invalid(&path, expression, why.0);
        }
    }
    let message = text("message");
    if !message.is_empty() && message.trim().is_empty() {
        errors.invalid(&path.child("message"), message, "must be non-empty if specified");
    } else if message.trim().contains(['\n', '\r']) {
        errors.invalid(&path.child("message"), message, "must not contain line breaks");
    }
    one_of_at(errors, validation, "reason", &REASONS, path);
}

/// Only what changes or makes something can be changed on its way.
pub(super) const MUTATED: [&str; 4] = ["*", "CONNECT", "CREATE", "UPDATE"];

fn supported_operations(errors: &mut FieldErrors, resources: &Value, supported: &[&str], path: &FieldPath) {
    let path = path.child("resourceRules").child("operations");
    let rules = resources.array_at(&["resourceRules"]).iter();
    rules
        .flat_map(|rule| rule.array_at(&["operations"]))
        .filter_map(Value::as_str)
        .filter(|operation| !supported.contains(operation))
        .for_each(|operation| errors.not_supported(&path, operation, supported));
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
        (false, Some(selector)) => {
            let detail = "name and selector are mutually exclusive";
            path_segment(errors, name, &path.child("name"));
            errors.forbidden(&path.child("name"), detail);
            label_selector(errors, selector, &path.child("selector"));
            errors.forbidden(&path.child("selector"), detail);
        }
        (true, None) => errors.required(path, "one of name or selector must be specified"),
        (false, None) => path_segment(errors, name, &path.child("name")),
        (true, Some(selector)) => label_selector(errors, selector, &path.child("selector")),
    }
    match present(param, &["parameterNotFoundAction"]).and_then(Value::as_str) {
        None | Some("") => errors.required(&path.child("parameterNotFoundAction"), ""),
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
        errors.required(&path, "at least one validation action is required");
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
