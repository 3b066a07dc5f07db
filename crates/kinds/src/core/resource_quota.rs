//! ResourceQuota.

use drydock_machinery::quantity::Quantity;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::check::{
    IMMUTABLE, is_fully_qualified, is_standard_quota_resource, path_of, resource_name,
    resource_quantity_value,
};
use crate::go_form;
use crate::kind::Kind;
use crate::pod::defaults;
use crate::shape::shown;
use crate::table;

pub(super) static KIND: Kind = Kind {
    status: true,
    defaults: |object| {
        defaults::round_lists(object, &[&["spec", "hard"], &["status", "hard"], &["status", "used"]]);
    },
    validate: |errors, _, object, _| validate(errors, object),
    validate_change,
    validate_status: |errors, _, object, _| {
        if object.object_at(&["status"]).is_empty() {
            return;
        }
        amounts(errors, object, &["status", "hard"], &FieldPath::new("status").child("hard"));
        amounts(errors, object, &["status", "used"], &FieldPath::new("status").child("used"));
    },
    warnings,
    cells: table::resource_quota,
    ..Kind::new("", "resourcequotas")
};

/// Requests that can never be used up, when the quota is new.
fn warnings(object: &Value, old: Option<&Value>) -> Vec<String> {
    let mut out = Vec::new();
    if old.is_some() {
        return out;
    }
    let hard = object.object_at(&["spec", "hard"]);
    for name in ["cpu", "memory", "storage", "ephemeral-storage"] {
        let mut requests = format!("requests.{name}");
        if !hard.contains_key(&requests) && matches!(name, "cpu" | "memory") {
            requests = name.to_owned();
        }
        let limits = format!("limits.{name}");
        let (Some(request), Some(limit)) = (hard.get(&requests), hard.get(&limits)) else { continue };
        let (request, limit) = (Quantity::of(Some(request)), Quantity::of(Some(limit)));
        if request > limit {
            out.push(format!("ResourceQuota {requests} ({request}) should be less than {limits} ({limit})"));
        }
    }
    out
}

fn amounts(errors: &mut FieldErrors, object: &Value, at: &[&str], path: &FieldPath) {
    for (name, amount) in object.object_at(at).iter() {
        quota_name(errors, name, &path.key(name));
        resource_quantity_value(errors, name, amount, &path.key(name));
    }
}

/// `ValidateResourceQuotaResourceName`.
fn quota_name(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    resource_name(errors, name, path);
    if !is_fully_qualified(name) && !is_standard_quota_resource(name) {
        errors.invalid(path, name, "must be a standard resource for quota");
    }
}

fn validate(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec");
    amounts(errors, object, &["spec", "hard"], &path.child("hard"));
    let spec = shown(object, &["spec"]);
    scopes(errors, &spec, &path.child("scopes"));
    scope_selector(errors, &spec, &path.child("scopeSelector"));
}

const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];

/// `IsResourceQuotaScopeValidForResource`.
fn fits(scope: &str, resource: &str) -> bool {
    let compute = matches!(
        resource,
        "cpu" | "memory" | "limits.cpu" | "limits.memory" | "requests.cpu" | "requests.memory"
    );
    match scope {
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => matches!(resource, "persistentvolumeclaims" | "requests.storage"),
        scope if SCOPES.contains(&scope) => resource == "pods" || compute,
        _ => true,
    }
}

/// Resources of the quota that a scope cannot limit.
fn misfits<'a>(spec: &'a Value, scope: &'a str) -> impl Iterator<Item = &'a str> {
    let hard = spec.object_at(&["hard"]).keys().map(|name| name.as_str());
    hard.filter(move |name| is_standard_quota_resource(name) && !fits(scope, name))
}

const CONFLICTS: [[&str; 2]; 2] = [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]];

fn conflicts(errors: &mut FieldErrors, spec: &Value, given: &[&str], path: &FieldPath) {
    for pair in CONFLICTS {
        if pair.iter().all(|scope| given.contains(scope)) {
            errors.invalid(path, shown(spec, &["scopes"]), "conflicting scopes");
        }
    }
}

fn scopes(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let all = shown(spec, &["scopes"]);
    let given: Vec<&str> = spec.array_at(&["scopes"]).iter().filter_map(Value::as_str).collect();
    for scope in &given {
        if !SCOPES.contains(scope) {
            errors.invalid(path, all.clone(), "unsupported scope");
        }
        for _ in misfits(spec, scope) {
            errors.invalid(path, all.clone(), "unsupported scope applied to resource");
        }
    }
    conflicts(errors, spec, &given, path);
}

fn scope_selector(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let path = path.child("matchExpressions");
    let expressions = spec.array_at(&["scopeSelector", "matchExpressions"]);
    let given: Vec<&str> = expressions.iter().map(|e| e.str_at(&["scopeName"])).collect();
    for expression in expressions {
        let scope = expression.str_at(&["scopeName"]);
        if !SCOPES.contains(&scope) {
            errors.invalid(&path.child("scopeName"), scope, "unsupported scope");
        }
        for _ in misfits(spec, scope) {
            let selector = go_form::of("ScopeSelector", &shown(spec, &["scopeSelector"]));
            errors.invalid(&path, selector, "unsupported scope applied to resource");
        }
        requirement(errors, expression, scope, &path);
    }
    conflicts(errors, spec, &given, &path);
}

fn requirement(errors: &mut FieldErrors, expression: &Value, scope: &str, path: &FieldPath) {
    let operator = expression.str_at(&["operator"]);
    let only_exists = matches!(
        scope,
        "BestEffort" | "NotBestEffort" | "Terminating" | "NotTerminating" | "CrossNamespacePodAffinity"
    );
    if only_exists && operator != "Exists" {
        let detail = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
        errors.invalid(&path.child("operator"), operator, detail);
    }
    let values = expression.array_at(&["values"]);
    let values_path = path.child("values");
    match operator {
        "In" | "NotIn" if values.is_empty() => {
            let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
            errors.required(&values_path, detail);
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
            errors.invalid(&values_path, shown(expression, &["values"]), detail);
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => errors.invalid(&path.child("operator"), other, "not a valid selector operator"),
    }
}

fn validate_change(errors: &mut FieldErrors, object: &Value, old: &Value) {
    let at = &["spec", "scopes"];
    let [new, before] = [object, old].map(|object| object.array_at(at));
    // They are sets.
    let within = |these: &[Value], those: &[Value]| these.iter().all(|scope| those.contains(scope));
    if !within(new, before) || !within(before, new) {
        errors.invalid(&path_of(at), shown(object, at), IMMUTABLE);
    }
}
