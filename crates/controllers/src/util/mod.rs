//! What the controllers share: reading pods and conditions, ownership, expectations, names of what they make.

pub(crate) mod conditions;
pub(crate) mod expectations;
pub(crate) mod hash;
pub(crate) mod history;
pub(crate) mod intstr;
pub(crate) mod owner;
pub(crate) mod pod;
pub(crate) mod pod_control;

use std::time::Duration;

use drydock_machinery::Value;
use drydock_machinery::selector::Selector;
use jiff::Timestamp;

/// Splits a `namespace/name` key; the namespace of cluster-scoped keys is "".
pub(crate) fn split_key(key: &str) -> (&str, &str) {
    key.split_once('/').unwrap_or(("", key))
}

/// An RFC 3339 time of an object's field.
pub(crate) fn time_at(value: &Value, path: &[&str]) -> Option<Timestamp> {
    value.str_at(path).parse().ok()
}

/// How long from `from` to `to`; zero when that is negative.
pub(crate) fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// The integer at a path as a count; `default` when absent.
pub(crate) fn count_at(value: &Value, path: &[&str], default: i64) -> i64 {
    value.i64_at(path).unwrap_or(default)
}

/// Writes a count, or takes the field away when it is zero and upstream omits it then.
pub(crate) fn set_count(value: &mut Value, path: &[&str], count: i64) {
    if count == 0 {
        value.remove(path);
    } else {
        value.set(path, count);
    }
}

/// A `metav1.LabelSelector`, compiled; one that is invalid, which validation keeps out, matches nothing.
pub(crate) fn selector(selector: Option<&Value>) -> Selector {
    Selector::from_label_selector(selector).unwrap_or_else(|_| Selector::nothing())
}
