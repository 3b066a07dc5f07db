//! Events: core's form, which is stored, and that of events.k8s.io. They differ in names.

use drydock_machinery::Value;

/// Names in core and in events.k8s.io.
const NAMES: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

pub(super) fn to_core(mut event: Value) -> Value {
    for (core, other) in NAMES {
        rename(&mut event, other, core);
    }
    event
}

pub(super) fn from_core(mut event: Value) -> Value {
    for (core, other) in NAMES {
        rename(&mut event, core, other);
    }
    event
}

fn rename(event: &mut Value, from: &str, to: &str) {
    if let Some(value) = event.remove(&[from]) {
        event.set(&[to], value);
    }
}
