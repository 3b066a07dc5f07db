//! JSON Merge Patch, RFC 7386.

use crate::status::literal_text;
use crate::value::{Map, Value};

/// Merges `patch` into `original`: null removes a field, objects merge, everything else replaces.
///
/// As in evanphx/json-patch, nulls inside new objects are dropped, also within lists, but a list's own nulls stay.
pub fn merge_patch(original: &Value, patch: &Value) -> Value {
    match (original, patch) {
        (Value::Object(_), number) if literal_text(number).is_some() => number.clone(),
        (Value::Object(original), Value::Object(patch)) => Value::Object(merge_maps(original, patch)),
        (Value::Object(_), _) => patch.clone(),
        _ => without_nulls(patch),
    }
}

fn merge_maps(original: &Map, patch: &Map) -> Map {
    let mut out = original.clone();
    for (key, value) in patch.iter() {
        if value.is_null() {
            out.remove(key);
            continue;
        }
        let merged = match out.get(key) {
            None | Some(Value::Null) => without_nulls(value),
            Some(current) => merge_patch(current, value),
        };
        out.insert(key.clone(), merged);
    }
    out
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key.clone(), without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn merge_patches_merge() {
        for (original, patch, expect) in [
            // The examples of the RFC's appendix.
            (value!({"a": "b"}), value!({"a": "c"}), value!({"a": "c"})),
            (value!({"a": "b"}), value!({"b": "c"}), value!({"a": "b", "b": "c"})),
            (value!({"a": "b"}), value!({"a": null}), value!({})),
            (value!({"a": ["b"]}), value!({"a": "c"}), value!({"a": "c"})),
            (value!({"a": "c"}), value!({"a": ["b"]}), value!({"a": ["b"]})),
            (value!({"a": {"b": "c"}}), value!({"a": {"b": "d", "c": null}}), value!({"a": {"b": "d"}})),
            (value!({"a": [{"b": "c"}]}), value!({"a": [1]}), value!({"a": [1]})),
            (value!({"e": null}), value!({"a": 1}), value!({"e": null, "a": 1})),
            (value!({}), value!({"a": {"bb": {"ccc": null}}}), value!({"a": {"bb": {}}})),
            // Nulls in lists.
            (value!({"a": 1}), value!({"a": [null, {"b": null}]}), value!({"a": [null, {}]})),
            (value!({"a": {}}), value!({"a": [{"b": null}]}), value!({"a": [{"b": null}]})),
        ] {
            assert_eq!(merge_patch(&original, &patch), expect, "{original:?} + {patch:?}");
        }
    }
}
