//! scheduling.k8s.io, coordination.k8s.io and node.k8s.io: small kinds of few fields.

use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value};

use crate::check::{at_least_zero_each, dns_label, immutable, one_of_at};
use crate::go_form;
use crate::kind::{Finalizers, Kind, NEW_THEN_CHANGED, Step};
use crate::shape::{default_nil, has, present, shown};
use crate::table;

pub(crate) const KINDS: &[&Kind] = &[&PRIORITY_CLASS, &LEASE, &RUNTIME_CLASS];

const MAX_USER_PRIORITY: i64 = 1_000_000_000;

/// Those that every cluster has.
const SYSTEM: [(&str, i64); 2] =
    [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];

static PRIORITY_CLASS: Kind = Kind {
    generation: true,
    // Set once and never counted.
    spec_changed: Some(|_, _| false),
    defaults: |object| {
        default_nil(object, &["preemptionPolicy"], "PreemptLowerPriority");
        // Not a pointer in Go, and shown.
        default_nil(object, &["value"], 0);
    },
    update: &[Step::MetaChange, Step::Change],
    validate: |errors, _, object, _| validate_priority_class(errors, object),
    validate_change: |errors, object, old| {
        if object.i64_at(&["value"]) != old.i64_at(&["value"]) {
            errors.forbidden(&FieldPath::new("value"), "may not be changed in an update.");
        }
        immutable(errors, object, old, &["preemptionPolicy"]);
    },
    cells: table::priority_class,
    ..Kind::new("scheduling.k8s.io", "priorityclasses")
};

fn validate_priority_class(errors: &mut FieldErrors, object: &Value) {
    let value = object.i64_at(&["value"]).unwrap_or(0);
    let name = object.name();
    if name.starts_with("system-") {
        let why = match SYSTEM.iter().find(|(known, _)| *known == name) {
            None => Some(format!("{name} is not a known system priority class")),
            Some((_, expected)) if *expected != value => {
                Some(format!("value of {name} PriorityClass must be {expected}"))
            }
            Some(_) => {
                let is_default = object.bool_at(&["globalDefault"]);
                is_default.then(|| format!("globalDefault of {name} PriorityClass must be false"))
            }
        };
        if let Some(why) = why {
            errors.forbidden(
                &FieldPath::new("metadata").child("name"),
                format!("priority class names with 'system-' prefix are reserved for system use only. error: {why}"),
            );
        }
    } else if value > MAX_USER_PRIORITY {
        let detail = format!("maximum allowed value of a user defined priority is {MAX_USER_PRIORITY}");
        errors.forbidden(&FieldPath::new("value"), detail);
    }
    match object.get("preemptionPolicy").and_then(Value::as_str) {
        Some("") => errors.required(&FieldPath::new("preemptionPolicy"), ""),
        _ => one_of_at(
            errors,
            object,
            "preemptionPolicy",
            &["PreemptLowerPriority", "Never"],
            &FieldPath::root(),
        ),
    }
}

static LEASE: Kind = Kind {
    finalizers: Finalizers::Any,
    put_creates: true,
    unconditional_update: false,
    defaults: |object| default_nil(object, &["spec"], Value::object()),
    // Coordinated leader election is off by default.
    prepare_create: |_, object| drop_election(object, None),
    prepare_update: |_, object, old| drop_election(object, Some(old)),
    validate: |errors, _, object, _| {
        let path = FieldPath::new("spec");
        if let Some(seconds) = object.i64_at(&["spec", "leaseDurationSeconds"])
            && seconds <= 0
        {
            errors.invalid(&path.child("leaseDurationSeconds"), seconds, "must be greater than 0");
        }
        at_least_zero_each(errors, &shown(object, &["spec"]), &["leaseTransitions"], &path);
        if has(object, &["spec", "preferredHolder"]) && object.str_at(&["spec", "strategy"]).is_empty() {
            let detail = "may only be specified if `strategy` is defined";
            errors.forbidden(&path.child("preferredHolder"), detail);
        }
    },
    cells: table::lease,
    ..Kind::new("coordination.k8s.io", "leases")
};

/// What is new does not have these, what has one of them may keep it.
fn drop_election(object: &mut Value, old: Option<&Value>) {
    for at in [["spec", "strategy"], ["spec", "preferredHolder"]] {
        if old.is_none_or(|old| !has(old, &at)) {
            object.remove(&at);
        }
    }
}

static RUNTIME_CLASS: Kind = Kind {
    put_creates: true,
    finalizers: Finalizers::Any,
    update: NEW_THEN_CHANGED,
    unconditional_update: false,
    validate: |errors, _, object, _| validate_runtime_class(errors, object),
    validate_change: |errors, object, old| immutable(errors, object, old, &["handler"]),
    warnings: |object, _| {
        let labels = object.object_at(&["scheduling", "nodeSelector"]);
        let texts = labels.keys().filter_map(|key| crate::pod::warnings::deprecated_label(key));
        texts.map(|text| format!("scheduling.nodeSelector: {text}")).collect()
    },
    cells: table::runtime_class,
    ..Kind::new("node.k8s.io", "runtimeclasses")
};

fn validate_runtime_class(errors: &mut FieldErrors, object: &Value) {
    let handler = object.str_at(&["handler"]);
    let path = FieldPath::new("handler");
    if handler.is_empty() {
        errors.required(&path, "");
    } else {
        dns_label(errors, handler, &path);
    }
    crate::pod::resources::limits(errors, object, &["overhead", "podFixed"], &FieldPath::new("overhead"));
    let Some(scheduling) = present(object, &["scheduling"]) else { return };
    let path = FieldPath::new("scheduling");
    drydock_machinery::names_validation::validate_labels(
        errors,
        scheduling.object_at(&["nodeSelector"]),
        &path.child("nodeSelector"),
    );
    let tolerations = scheduling.array_at(&["tolerations"]);
    let path = path.child("tolerations");
    for (i, toleration) in tolerations.iter().enumerate() {
        crate::pod::scheduling::validate_toleration(errors, toleration, &path.index(i));
    }
    let key = |toleration: &Value| {
        ["key", "operator", "value", "effect"].map(|f| toleration.str_at(&[f]).to_owned())
    };
    for (i, toleration) in tolerations.iter().enumerate() {
        if tolerations[..i].iter().any(|other| key(other) == key(toleration)) {
            errors.duplicate(&path.index(i), go_form::of("Toleration", toleration));
        }
    }
}
