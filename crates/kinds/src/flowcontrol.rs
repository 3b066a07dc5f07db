//! flowcontrol.apiserver.k8s.io.

mod level;
mod mandatory;
mod schema;

use std::collections::HashSet;

use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::kind::{Kind, NEW, StatusMeta, Step};
use crate::shape::{default, default_nil, with_mut};
use crate::{Context, table};

const GROUP: &str = "flowcontrol.apiserver.k8s.io";

pub(crate) const KINDS: &[&Kind] = &[&SCHEMA, &LEVEL];

static SCHEMA: Kind = Kind {
    update: NEW,
    update_status: &[Step::Change],
    status_meta: StatusMeta::Kept,
    status: true,
    generation: true,
    defaults: |object| {
        let spec = object.at_mut(&["spec"]);
        default(spec, &["matchingPrecedence"], 1000);
    },
    validate: |errors, _, object, _| schema::validate(errors, object),
    validate_status: conditions,
    cells: table::flow_schema,
    ..Kind::new(GROUP, "flowschemas")
};

static LEVEL: Kind = Kind {
    update: NEW,
    update_status: &[Step::Change],
    status_meta: StatusMeta::Kept,
    status: true,
    generation: true,
    defaults: set_level_defaults,
    validate: |errors, _, object, _| level::validate(errors, object),
    validate_status: conditions,
    cells: table::priority_level,
    ..Kind::new(GROUP, "prioritylevelconfigurations")
};

fn set_level_defaults(object: &mut Value) {
    let spec = object.at_mut(&["spec"]);
    if spec.str_at(&["type"]) == "Exempt" {
        with_mut(spec, &["exempt"], |exempt| {
            default_nil(exempt, &["nominalConcurrencyShares"], 0);
            default_nil(exempt, &["lendablePercent"], 0);
        });
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
