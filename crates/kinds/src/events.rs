//! Event, in its core/v1 and events.k8s.io/v1 forms: one kind in the store with two sets of field names and rules.

use std::borrow::Cow;

use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value};

use crate::check::{IMMUTABLE, qualified_name};
use crate::go_form;
use crate::kind::{Kind, Step};
use crate::meta::{validate_object_meta, validate_object_meta_update};
use crate::shape::{default_nil, default_null, is_zero, same, shown};
use crate::{NameRule, table};

pub(crate) const KINDS: &[&Kind] = &[&CORE, &NEW];

static CORE: Kind = Kind {
    create: &[Step::Body],
    update: &[Step::Body],
    name: NameRule::Any,
    put_creates: true,
    defaults: set_defaults,
    validate: |errors, _, object, _| legacy(errors, object, "reportingComponent"),
    field_names: FIELDS,
    field_values,
    cells: table::event,
    ..Kind::new("", "events")
};

static NEW: Kind = Kind {
    name: NameRule::DnsSubdomain,
    put_creates: true,
    defaults: set_defaults,
    // The metadata is looked at in between.
    create: &[Step::Body],
    update: &[Step::Change],
    validate: |errors, _, object, _| {
        legacy(errors, object, "reportingController");
        validate_object_meta(errors, object, NEW.name);
        strict(errors, object);
    },
    validate_change: update,
    field_names: &[
        "regarding.kind",
        "regarding.namespace",
        "regarding.name",
        "regarding.uid",
        "regarding.apiVersion",
        "regarding.resourceVersion",
        "regarding.fieldPath",
        "reason",
        "reportingController",
        "type",
    ],
    field_values: |object| {
        let names = NEW.field_names.iter().copied();
        let renamed = |name: &str| match name {
            "reportingController" => "reportingComponent".to_owned(),
            name => name.replace("regarding", "involvedObject"),
        };
        let values = field_values(object);
        names
            .map(|name| {
                let old = renamed(name);
                let found = values.iter().find(|(field, _)| *field == old);
                (name, found.map_or(Cow::Borrowed(""), |(_, value)| value.clone()))
            })
            .collect()
    },
    cells: table::event,
    ..Kind::new("events.k8s.io", "events")
};

const FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

/// Whether the object has the field names of events.k8s.io.
fn is_new(object: &Value) -> bool {
    object.api_version().starts_with("events.k8s.io/")
}

fn about(object: &Value) -> &'static str {
    if is_new(object) { "regarding" } else { "involvedObject" }
}

fn set_defaults(object: &mut Value) {
    if is_new(object) {
        default_null(object, &["eventTime", "deprecatedFirstTimestamp", "deprecatedLastTimestamp"]);
        default_nil(object, &["deprecatedSource"], Value::object());
        default_nil(object, &["regarding"], Value::object());
    } else {
        default_null(object, &["eventTime", "firstTimestamp", "lastTimestamp"]);
        default_nil(object, &["source"], Value::object());
        default_nil(object, &["involvedObject"], Value::object());
        default_nil(object, &["reportingComponent"], "");
        default_nil(object, &["reportingInstance"], "");
    }
}

fn field_values(object: &Value) -> Vec<(&'static str, Cow<'_, str>)> {
    let about = about(object);
    let of = |field: &str| Cow::from(object.str_at(&[about, field]));
    let controller = if is_new(object) {
        object.str_at(&["reportingController"])
    } else {
        object.str_at(&["reportingComponent"])
    };
    let source = if is_new(object) { "deprecatedSource" } else { "source" };
    let component = object.str_at(&[source, "component"]);
    vec![
        ("involvedObject.kind", of("kind")),
        ("involvedObject.namespace", of("namespace")),
        ("involvedObject.name", of("name")),
        ("involvedObject.uid", of("uid")),
        ("involvedObject.apiVersion", of("apiVersion")),
        ("involvedObject.resourceVersion", of("resourceVersion")),
        ("involvedObject.fieldPath", of("fieldPath")),
        ("reason", object.str_at(&["reason"]).into()),
        ("reportingComponent", controller.into()),
        ("source", if component.is_empty() { controller } else { component }.into()),
        ("type", object.str_at(&["type"]).into()),
    ]
}

/// `legacyValidateEvent`: an event stands in the namespace of its object, or in default without one. One with a time of
/// its own says who reports what.
fn legacy(errors: &mut FieldErrors, object: &Value, controller: &str) {
    let namespace = object.str_at(&[about(object), "namespace"]);
    let own = object.namespace();
    let timed = !object.str_at(&["eventTime"]).is_empty();
    let agrees = match (namespace, timed) {
        ("", true) => own == "default" || own == "kube-system",
        ("", false) => own.is_empty() || own == "default",
        (_, true) => true,
        (_, false) => namespace == own,
    };
    if !agrees {
        let path = FieldPath::new("involvedObject").child("namespace");
        errors.invalid(&path, namespace, "does not match event.namespace");
    }
    if timed {
        required_fields(errors, object, &FieldPath::new(controller));
    }
}

/// The field of an event whose two forms have different names.
fn field<'a>(object: &'a Value, old: &str, new: &str) -> Option<&'a Value> {
    object.get(if is_new(object) { new } else { old }).filter(|value| !value.is_null())
}

/// `ValidateEventCreate` for events.k8s.io/v1.
fn strict(errors: &mut FieldErrors, object: &Value) {
    let text = |old: &str, new: &str| field(object, old, new).and_then(Value::as_str).unwrap_or("");
    series(errors, object);
    if text("eventTime", "eventTime").is_empty() {
        errors.required(&FieldPath::new("eventTime"), "");
    }
    let event_type = text("type", "type");
    if !["Normal", "Warning"].contains(&event_type) {
        errors.invalid(&FieldPath::new("type"), "", format!("has invalid value: {event_type}"));
    }
    for (old, new) in
        [("firstTimestamp", "deprecatedFirstTimestamp"), ("lastTimestamp", "deprecatedLastTimestamp")]
    {
        if field(object, old, new).is_some() {
            errors.invalid(&FieldPath::new(old), "", "needs to be unset");
        }
    }
    if !is_zero(field(object, "count", "deprecatedCount")) {
        errors.invalid(&FieldPath::new("count"), "", "needs to be unset");
    }
    if !is_zero(field(object, "source", "deprecatedSource")) {
        errors.invalid(&FieldPath::new("source"), "", "needs to be unset");
    }
}

/// `validateV1EventSeries`.
fn series(errors: &mut FieldErrors, object: &Value) {
    let Some(series) = object.get("series").filter(|series| !series.is_null()) else { return };
    if series.i64_at(&["count"]).unwrap_or(0) < 2 {
        errors.invalid(&FieldPath::new("series.count"), "", "should be at least 2");
    }
    if series.str_at(&["lastObservedTime"]).is_empty() {
        errors.required(&FieldPath::new("series.lastObservedTime"), "");
    }
}

fn required_fields(errors: &mut FieldErrors, object: &Value, path: &FieldPath) {
    let text = |old: &str, new: &str| field(object, old, new).and_then(Value::as_str).unwrap_or("");
    let controller = text("reportingComponent", "reportingController");
    if controller.is_empty() {
        errors.required(path, "");
    }
    qualified_name(errors, controller, path);
    for (field, most) in [("reportingInstance", 128), ("action", 128), ("reason", 128)] {
        let value = text(field, field);
        let path = FieldPath::new(field);
        if value.is_empty() {
            errors.required(&path, "");
        }
        if value.len() > most {
            errors.invalid(&path, "", format!("can have at most {most} characters"));
        }
    }
    if text("message", "note").len() > 1024 {
        errors.invalid(&FieldPath::new("message"), "", "can have at most 1024 characters");
    }
}

/// Only the series of a new event may change.
fn update(errors: &mut FieldErrors, object: &Value, old: &Value) {
    legacy(errors, object, "reportingController");
    validate_object_meta_update(errors, object, old);
    if !same(object.get("series"), old.get("series")) {
        series(errors, object);
    }
    let fields = [
        ("involvedObject", "regarding"),
        ("reason", "reason"),
        ("message", "note"),
        ("source", "deprecatedSource"),
        ("firstTimestamp", "deprecatedFirstTimestamp"),
        ("lastTimestamp", "deprecatedLastTimestamp"),
        ("count", "deprecatedCount"),
        // Again, as upstream has it.
        ("reason", "reason"),
        ("type", "type"),
        ("eventTime", "eventTime"),
        ("action", "action"),
        ("related", "related"),
        ("reportingComponent", "reportingController"),
        ("reportingInstance", "reportingInstance"),
    ];
    for (core, new) in fields {
        if !same(field(object, core, new), field(old, core, new)) {
            let name = if core == "reportingComponent" { "reportingController" } else { core };
            let here = if is_new(object) { new } else { core };
            let mut shown = shown(object, &[here]);
            if core == "involvedObject" {
                shown = go_form::of("ObjectReference", &shown);
            } else if shown.is_null()
                && !["eventTime", "related", "firstTimestamp", "lastTimestamp"].contains(&core)
            {
                shown = if core == "count" { 0.into() } else { "".into() };
            }
            errors.invalid(&FieldPath::new(name), shown, IMMUTABLE);
        }
    }
}
