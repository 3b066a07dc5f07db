//! ResourceQuota.

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::check::{IMMUTABLE, is_fully_qualified, resource_quantity_value};
use crate::kind::Kind;
use crate::shape::{has, same, shown};
use crate::{Context, table};

pub(super) static KIND: Kind = Kind {
    status: true,
    validate: |errors, _, object| validate(errors, object),
    validate_update: Some(validate_update),
    validate_status: |errors, _, object, _| {
        if object.object_at(&["status"]).is_empty() {
            return;
        }
        amounts(errors, object, &["status", "hard"], &FieldPath::new("status").child("hard"));
        amounts(errors, object, &["status", "used"], &FieldPath::new("status").child("used"));
    },
    cells: table::resource_quota,
    ..Kind::new("", "resourcequotas")
};

fn amounts(errors: &mut FieldErrors, object: &Value, at: &[&str], path: &FieldPath) {
    for (name, amount) in object.object_at(at).iter() {
        resource_name(errors, name, &path.key(name));
        resource_quantity_value(errors, name, amount, &path.key(name));
    }
}

const STANDARD: [&str; 17] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
];

/// `ValidateResourceQuotaResourceName`.
fn resource_name(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    let huge = name.starts_with("hugepages-") || name.starts_with("requests.hugepages-");
    let quota =
        STANDARD.contains(&name) || matches!(name, "services.nodeports" | "services.loadbalancers") || huge;
    let wrong = names::is_qualified_name(name);
    let malformed = !wrong.is_empty();
    names::invalid_each(errors, path, name, wrong);
    if malformed || is_fully_qualified(name) {
        return;
    }
    if !quota && name != "storage" && !name.starts_with("count/") {
        errors.invalid(path, name, "must be a standard resource type or fully qualified");
    }
    if !quota {
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

/// Whether a scope can limit a resource.
fn fits(scope: &str, resource: &str) -> bool {
    let pods = ["pods", "count/pods"].contains(&resource);
    match scope {
        "BestEffort" => pods,
        "VolumeAttributesClass" => {
            matches!(resource, "persistentvolumeclaims" | "requests.storage")
                || resource.contains(".storageclass")
        }
        "CrossNamespacePodAffinity" => pods || compute(resource),
        _ => pods || compute(resource),
    }
}

fn compute(resource: &str) -> bool {
    const NAMES: [&str; 9] = [
        "cpu",
        "memory",
        "ephemeral-storage",
        "requests.cpu",
        "requests.memory",
        "requests.ephemeral-storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
    ];
    NAMES.contains(&resource) || resource.contains('/') || resource.contains("hugepages-")
}

fn scopes(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let all = shown(spec, &["scopes"]);
    let given: Vec<&str> = spec.array_at(&["scopes"]).iter().filter_map(Value::as_str).collect();
    check_scopes(errors, spec, &given, &all, path);
}

fn check_scopes(errors: &mut FieldErrors, spec: &Value, given: &[&str], all: &Value, path: &FieldPath) {
    for scope in given {
        if !SCOPES.contains(scope) {
            errors.invalid(path, all.clone(), "unsupported scope");
        }
        for resource in spec.object_at(&["hard"]).keys() {
            if SCOPES.contains(scope) && !fits(scope, resource) {
                errors.invalid(path, all.clone(), "unsupported scope applied to resource");
            }
        }
    }
    for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]] {
        if pair.iter().all(|scope| given.contains(scope)) {
            errors.invalid(path, all.clone(), "conflicting scopes");
        }
    }
}

fn scope_selector(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    if !has(spec, &["scopeSelector"]) {
        return;
    }
    let path = path.child("matchExpressions");
    let expressions = spec.array_at(&["scopeSelector", "matchExpressions"]);
    let all = shown(spec, &["scopeSelector", "matchExpressions"]);
    let given = expressions.iter().map(|e| e.str_at(&["scopeName"]));
    let given: Vec<&str> = given.filter(|scope| SCOPES.contains(scope)).collect();
    for expression in expressions {
        let (scope, operator) = (expression.str_at(&["scopeName"]), expression.str_at(&["operator"]));
        if !SCOPES.contains(&scope) {
            errors.invalid(&path.child("scopeName"), scope, "unsupported scope");
        }
        let only_exists = matches!(
            scope,
            "BestEffort" | "NotBestEffort" | "Terminating" | "NotTerminating" | "CrossNamespacePodAffinity"
        );
        if only_exists && operator != "Exists" {
            let detail = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
            errors.invalid(&path.child("operator"), operator, detail);
        }
        let values = expression.array_at(&["values"]);
        match operator {
            "In" | "NotIn" => {
                if values.is_empty() {
                    let detail =
                        "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                    errors.required(&path.child("values"), detail);
                }
            }
            "Exists" | "DoesNotExist" => {
                if !values.is_empty() {
                    let detail =
                        "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                    errors.invalid(&path.child("values"), shown(expression, &["values"]), detail);
                }
            }
            other => errors.invalid(&path.child("operator"), other, "not a valid selector operator"),
        }
    }
    check_scopes(errors, spec, &given, &all, &path);
}

fn validate_update(errors: &mut FieldErrors, _: &Context<'_>, object: &Value, old: &Value) {
    validate(errors, object);
    let sorted = |object: &Value| {
        let mut scopes: Vec<String> = object
            .array_at(&["spec", "scopes"])
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        scopes.sort_unstable();
        scopes
    };
    let path = FieldPath::new("spec");
    if sorted(object) != sorted(old) {
        errors.invalid(&path.child("scopes"), shown(object, &["spec", "scopes"]), IMMUTABLE);
    }
    let selector = &["spec", "scopeSelector"];
    if !same(object.at(selector), old.at(selector)) {
        errors.invalid(&path.child("scopeSelector"), shown(object, selector), IMMUTABLE);
    }
}
