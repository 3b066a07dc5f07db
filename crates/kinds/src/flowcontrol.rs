//! flowcontrol.apiserver.k8s.io.

mod rules;

use std::collections::HashSet;

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value};

use crate::check::in_range;
use crate::kind::{Kind, MetaChecks, StatusMeta};
use crate::shape::{default, default_nil, has, shown, with_mut};
use crate::{Context, go_form, table};

const GROUP: &str = "flowcontrol.apiserver.k8s.io";

pub(crate) const KINDS: &[&Kind] = &[&SCHEMA, &LEVEL];

static SCHEMA: Kind = Kind {
    meta: MetaChecks::CORE_WHOLE,
    status_meta: StatusMeta::Kept,
    status: true,
    generation: true,
    defaults: |object| {
        let spec = object.at_mut(&["spec"]);
        default(spec, &["matchingPrecedence"], 1000);
    },
    validate: |errors, _, object| validate_schema(errors, object),
    validate_status: conditions,
    cells: table::flow_schema,
    ..Kind::new(GROUP, "flowschemas")
};

static LEVEL: Kind = Kind {
    meta: MetaChecks::CORE_WHOLE,
    status_meta: StatusMeta::Kept,
    status: true,
    generation: true,
    defaults: set_level_defaults,
    validate: |errors, _, object| validate_level(errors, object),
    validate_status: conditions,
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
        let shown = go_form::of("FlowDistinguisherMethod", &shown(&spec, &["distinguisherMethod"]));
        errors.not_supported(&path, shown, &["ByNamespace", "ByUser"]);
    }
    let level = spec.str_at(&["priorityLevelConfiguration", "name"]);
    let level_path = path.child("priorityLevelConfiguration").child("name");
    if level.is_empty() {
        errors.required(&level_path, "must reference a priority level");
    } else {
        names::invalid_each(errors, &level_path, level, names::is_dns1123_subdomain(level));
    }
    for (i, rule) in spec.array_at(&["rules"]).iter().enumerate() {
        rules::rule(errors, rule, &path.child("rules").index(i));
    }
}

/// Types of conditions are there, once each.
fn conditions(errors: &mut FieldErrors, _: &Context<'_>, object: &Value, _: &Value) {
    let path = FieldPath::new("status").child("conditions");
    let mut seen = HashSet::new();
    for (i, condition) in object.array_at(&["status", "conditions"]).iter().enumerate() {
        let kind = condition.str_at(&["type"]);
        let path = path.index(i).child("type");
        if !seen.insert(kind) {
            errors.duplicate(&path, kind);
        }
        if kind.is_empty() {
            errors.required(&path, "");
        }
    }
}

const ZERO_SHARES: &str = "flowcontrol.k8s.io/preserve-zero-concurrency-shares";

fn validate_level(errors: &mut FieldErrors, object: &Value) {
    if object.annotation(ZERO_SHARES).is_some() {
        let path = FieldPath::new("metadata").child("annotations");
        errors.forbidden(&path, format!("annotation '{ZERO_SHARES}' is forbidden"));
    }
    let path = FieldPath::new("spec");
    let spec = shown(object, &["spec"]);
    let kind = spec.str_at(&["type"]);
    if (object.name() == "exempt") != (kind == "Exempt") {
        let detail = "must be 'Exempt' if and only if `name` is 'exempt'";
        errors.invalid(&path.child("type"), kind, detail);
    }
    match kind {
        "Exempt" => {
            if has(&spec, &["limited"]) {
                errors.forbidden(&path.child("limited"), "must be nil if the type is not Limited");
            }
            shares(errors, &shown(&spec, &["exempt"]), &path.child("exempt"));
            lendable(errors, &shown(&spec, &["exempt"]), &path.child("exempt"));
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

fn shares(errors: &mut FieldErrors, holder: &Value, path: &FieldPath) {
    let shares = holder.i64_at(&["nominalConcurrencyShares"]).unwrap_or(0);
    if shares < 0 {
        let detail = "must be a non-negative integer";
        errors.invalid(&path.child("nominalConcurrencyShares"), shares, detail);
    }
}

fn lendable(errors: &mut FieldErrors, holder: &Value, path: &FieldPath) {
    if let Some(percent) = holder.i64_at(&["lendablePercent"]) {
        in_range(errors, percent, 0, 100, &path.child("lendablePercent"));
    }
}

fn validate_limited(errors: &mut FieldErrors, limited: &Value, path: &FieldPath) {
    shares(errors, limited, path);
    let response = path.child("limitResponse");
    let queuing = shown(limited, &["limitResponse", "queuing"]);
    match limited.str_at(&["limitResponse", "type"]) {
        "Reject" => {
            if !queuing.is_null() {
                let detail = "must be nil if limited.limitResponse.type is not Limited";
                errors.forbidden(&response.child("queuing"), detail);
            }
        }
        "Queue" if queuing.is_null() => {
            let detail = "must not be empty if limited.limitResponse.type is Limited";
            errors.required(&response.child("queuing"), detail);
        }
        "Queue" => validate_queuing(errors, &queuing, &response.child("queuing")),
        other => errors.not_supported(&response.child("type"), other, &["Queue", "Reject"]),
    }
    lendable(errors, limited, path);
    if let Some(percent) = limited.i64_at(&["borrowingLimitPercent"])
        && percent < 0
    {
        let detail = "if specified, must be a non-negative integer";
        errors.invalid(&path.child("borrowingLimitPercent"), percent, detail);
    }
}

const MAX_QUEUES: i64 = 10_000_000;
/// The most bits that a hash of a flow has for dealing a hand of queues.
const MAX_HASH_BITS: i64 = 60;

fn validate_queuing(errors: &mut FieldErrors, queuing: &Value, path: &FieldPath) {
    let number = |field: &str| queuing.i64_at(&[field]).unwrap_or(0);
    let (queues, hand) = (number("queues"), number("handSize"));
    let positive = |errors: &mut FieldErrors, field: &str| {
        if number(field) <= 0 {
            errors.invalid(&path.child(field), number(field), "must be positive");
        }
        number(field) > 0
    };
    positive(errors, "queueLengthLimit");
    if positive(errors, "queues") && queues > MAX_QUEUES {
        errors.invalid(&path.child("queues"), queues, format!("must not be greater than {MAX_QUEUES}"));
    }
    if !positive(errors, "handSize") {
        return;
    }
    // Upstream takes the bits of one card for each.
    let bits = (queues.max(1) as f64).log2() * hand as f64;
    let detail = if hand > queues {
        format!("should not be greater than queues ({queues})")
    } else if bits.ceil() as i64 > MAX_HASH_BITS {
        format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {MAX_HASH_BITS}"
        )
    } else {
        return;
    };
    errors.invalid(&path.child("handSize"), hand, detail);
}
