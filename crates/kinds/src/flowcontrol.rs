//! flowcontrol.apiserver.k8s.io.

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value};

use crate::kind::Kind;
use crate::shape::{default, default_nil, has, is_zero, shown, with_mut};
use crate::table;

const GROUP: &str = "flowcontrol.apiserver.k8s.io";

pub(crate) const KINDS: &[&Kind] = &[&SCHEMA, &LEVEL];

static SCHEMA: Kind = Kind {
    status: true,
    generation: true,
    defaults: |object| {
        let spec = object.at_mut(&["spec"]);
        default(spec, &["matchingPrecedence"], 1000);
    },
    validate: |errors, _, object| validate_schema(errors, object),
    cells: table::flow_schema,
    ..Kind::new(GROUP, "flowschemas")
};

static LEVEL: Kind = Kind {
    status: true,
    generation: true,
    defaults: set_level_defaults,
    validate: |errors, _, object| validate_level(errors, object),
    cells: table::priority_level,
    ..Kind::new(GROUP, "prioritylevelconfigurations")
};

fn set_level_defaults(object: &mut Value) {
    let spec = object.at_mut(&["spec"]);
    if spec.str_at(&["type"]) == "Exempt" {
        default_nil(spec, &["exempt", "nominalConcurrencyShares"], 0);
        default_nil(spec, &["exempt", "lendablePercent"], 0);
    }
    with_mut(spec, &["limited"], |limited| {
        default_nil(limited, &["nominalConcurrencyShares"], 30);
        default_nil(limited, &["lendablePercent"], 0);
        if limited.str_at(&["limitResponse", "type"]) == "Queue" {
            with_mut(limited, &["limitResponse", "queuing"], |queuing| {
                default(queuing, &["handSize"], 8);
                default(queuing, &["queues"], 64);
                default(queuing, &["queueLengthLimit"], 50);
            });
        }
    });
}

fn validate_schema(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec");
    let spec = shown(object, &["spec"]);
    let precedence = spec.i64_at(&["matchingPrecedence"]).unwrap_or(0);
    if precedence <= 0 {
        errors.invalid(&path.child("matchingPrecedence"), precedence, "must be a positive value");
    }
    if precedence > 10_000 {
        let detail = "must not be greater than 10000";
        errors.invalid(&path.child("matchingPrecedence"), precedence, detail);
    }
    if precedence == 1 && object.name() != "exempt" {
        let detail = "only the schema named 'exempt' may have matchingPrecedence 1";
        errors.invalid(&path.child("matchingPrecedence"), precedence, detail);
    }
    let method = spec.str_at(&["distinguisherMethod", "type"]);
    if has(&spec, &["distinguisherMethod"]) && !["ByNamespace", "ByUser"].contains(&method) {
        let path = path.child("distinguisherMethod").child("type");
        errors.not_supported(&path, method, &["ByNamespace", "ByUser"]);
    }
    let level = spec.str_at(&["priorityLevelConfiguration", "name"]);
    let level_path = path.child("priorityLevelConfiguration").child("name");
    if level.is_empty() {
        errors.required(&level_path, "must reference a priority level");
    } else {
        names::invalid_each(errors, &level_path, level, names::is_dns1123_subdomain(level));
    }
    for (i, rule) in spec.array_at(&["rules"]).iter().enumerate() {
        let path = path.child("rules").index(i);
        if rule.array_at(&["subjects"]).is_empty() {
            errors.required(&path.child("subjects"), "subjects must contain at least one value");
        }
        if is_zero(rule.get("resourceRules")) && is_zero(rule.get("nonResourceRules")) {
            errors.required(&path, "at least one of resourceRules and nonResourceRules has to be non-empty");
        }
    }
}

fn validate_level(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec");
    let spec = shown(object, &["spec"]);
    match spec.str_at(&["type"]) {
        "Exempt" => {
            if has(&spec, &["limited"]) {
                errors.forbidden(&path.child("limited"), "must be nil if the type is not Limited");
            }
        }
        "Limited" => {
            if has(&spec, &["exempt"]) {
                errors.forbidden(&path.child("exempt"), "must be nil if the type is Limited");
            }
            if has(&spec, &["limited"]) {
                validate_limited(errors, &shown(&spec, &["limited"]), &path.child("limited"));
            } else {
                errors.required(&path.child("limited"), "must not be empty when type is Limited");
            }
        }
        other => errors.not_supported(&path.child("type"), other, &["Exempt", "Limited"]),
    }
}

fn validate_limited(errors: &mut FieldErrors, limited: &Value, path: &FieldPath) {
    let shares = limited.i64_at(&["nominalConcurrencyShares"]).unwrap_or(0);
    if shares < 0 {
        let detail = "must be a non-negative integer";
        errors.invalid(&path.child("nominalConcurrencyShares"), shares, detail);
    }
    let path = path.child("limitResponse");
    let queuing = shown(limited, &["limitResponse", "queuing"]);
    match limited.str_at(&["limitResponse", "type"]) {
        "Reject" => {
            if !queuing.is_null() {
                let detail = "must be nil if limited.limitResponse.type is not Limited";
                errors.forbidden(&path.child("queuing"), detail);
            }
        }
        "Queue" => {
            if queuing.is_null() {
                let detail = "must not be empty if limited.limitResponse.type is Limited";
                errors.required(&path.child("queuing"), detail);
                return;
            }
            for field in ["queues", "handSize", "queueLengthLimit"] {
                let number = queuing.i64_at(&[field]).unwrap_or(0);
                if number <= 0 {
                    errors.invalid(&path.child("queuing").child(field), number, "must be positive");
                }
            }
        }
        "" => errors.required(&path.child("type"), "must not be empty"),
        other => errors.not_supported(&path.child("type"), other, &["Queue", "Reject"]),
    }
}
