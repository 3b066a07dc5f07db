//! Between versions of the kinds whose versions differ in more than their name: Event and HorizontalPodAutoscaler.
//!
//! All others have one shape; for them this does nothing but write apiVersion and kind.

mod autoscaler;

use drydock_machinery::{GroupVersionKind, ObjectMeta as _, Value};

pub(crate) use self::autoscaler::drop_annotations as drop_autoscaler_annotations;
use crate::shape::{default_nil, default_null, with_mut};

/// Gives an object the shape, apiVersion and kind of another version of its kind.
pub fn convert(object: &mut Value, to: &GroupVersionKind) {
    let api_version = to.api_version();
    let from = object.api_version();
    if from == api_version && object.kind() == to.kind {
        return;
    }
    match (from, api_version.as_str(), &*to.kind) {
        ("v1", "events.k8s.io/v1", "Event") => to_new_event(object),
        ("events.k8s.io/v1", "v1", "Event") => to_core_event(object),
        ("autoscaling/v2", "autoscaling/v1", "HorizontalPodAutoscaler") => autoscaler::to_v1(object),
        ("autoscaling/v1", "autoscaling/v2", "HorizontalPodAutoscaler") => autoscaler::to_v2(object),
        _ => {}
    }
    object.set(&["apiVersion"], api_version);
    object.set(&["kind"], &*to.kind);
}

/// Field names of core/v1 and events.k8s.io/v1.
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

fn rename(object: &mut Value, from: &str, to: &str) {
    if let Some(value) = object.remove(&[from]) {
        object.set(&[to], value);
    }
}

fn to_new_event(object: &mut Value) {
    for (core, new) in EVENT_FIELDS {
        rename(object, core, new);
    }
    for field in ["reportingController", "reportingInstance"] {
        if object.str_at(&[field]).is_empty() {
            object.remove(&[field]);
        }
    }
    with_mut(object, &["series"], |series| {
        default_nil(series, &["count"], 0);
        default_null(series, &["lastObservedTime"]);
    });
    default_nil(object, &["deprecatedSource"], Value::object());
    default_nil(object, &["regarding"], Value::object());
    default_null(object, &["deprecatedFirstTimestamp", "deprecatedLastTimestamp", "eventTime"]);
}

fn to_core_event(object: &mut Value) {
    for (core, new) in EVENT_FIELDS {
        rename(object, new, core);
    }
    for field in ["reportingComponent", "reportingInstance"] {
        default_nil(object, &[field], "");
    }
    default_nil(object, &["source"], Value::object());
    default_nil(object, &["involvedObject"], Value::object());
    default_null(object, &["firstTimestamp", "lastTimestamp", "eventTime"]);
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    #[test]
    fn an_event_survives_the_other_version() {
        let core = value!({"apiVersion": "v1", "kind": "Event", "involvedObject": {"kind": "Pod"}, "message": "m",
            "source": {"component": "c"}, "count": 3, "firstTimestamp": null, "lastTimestamp": null,
            "eventTime": null, "reportingComponent": "", "reportingInstance": ""});
        let mut event = core.clone();
        convert(&mut event, &GroupVersionKind::new("events.k8s.io", "v1", "Event"));
        assert_eq!(event.str_at(&["note"]), "m");
        assert_eq!(event.i64_at(&["deprecatedCount"]), Some(3));
        convert(&mut event, &GroupVersionKind::new("", "v1", "Event"));
        assert_eq!(event, core);
    }
}
