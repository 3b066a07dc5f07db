//! flowcontrol.apiserver.k8s.io.

mod level;
mod mandatory;
mod schema;

use drydock_machinery::Value;

use crate::kind::Kind;
use crate::shape::{default, default_nil, with_mut};
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
    validate: |errors, _, object| schema::validate(errors, object),
    cells: table::flow_schema,
    ..Kind::new(GROUP, "flowschemas")
};

static LEVEL: Kind = Kind {
    status: true,
    generation: true,
    defaults: set_level_defaults,
    validate: |errors, _, object| level::validate(errors, object),
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
