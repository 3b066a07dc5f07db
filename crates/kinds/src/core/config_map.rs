//! ConfigMap.

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::kind::{CHANGED_THEN_NEW, Kind};
use crate::shape::same;
use crate::table;

/// Keys and values together.
const MAX_SIZE: usize = 1024 * 1024;

const SET: &str = "field is immutable when `immutable` is set";

pub(super) static KIND: Kind = Kind {
    update: CHANGED_THEN_NEW,
    validate: |errors, object, _| validate(errors, object),
    validate_change,
    cells: table::config_map,
    ..Kind::new("", "configmaps")
};

fn validate(errors: &mut FieldErrors, object: &Value) {
    let (data, binary) = (object.object_at(&["data"]), object.object_at(&["binaryData"]));
    let mut size = 0;
    let path = FieldPath::new("data");
    for (key, value) in data.iter() {
        names::invalid_each(errors, &path.key(key), key.as_str(), names::is_config_map_key(key));
        if binary.contains_key(key) {
            errors.invalid(&path.key(key), key.as_str(), "duplicate of key present in binaryData");
        }
        size += value.as_str().map_or(0, str::len);
    }
    let path = FieldPath::new("binaryData");
    for (key, value) in binary.iter() {
        names::invalid_each(errors, &path.key(key), key.as_str(), names::is_config_map_key(key));
        size += value.as_str().map_or(0, |text| text.len() / 4 * 3);
    }
    if size > MAX_SIZE {
        // Upstream names no field.
        errors.too_long(&FieldPath::new("[]"), MAX_SIZE);
    }
}

fn validate_change(errors: &mut FieldErrors, object: &Value, old: &Value) {
    if old.bool_at(&["immutable"]) {
        if !object.bool_at(&["immutable"]) {
            errors.forbidden(&FieldPath::new("immutable"), SET);
        }
        for field in ["data", "binaryData"] {
            if !same(object.get(field), old.get(field)) {
                errors.forbidden(&FieldPath::new(field), SET);
            }
        }
    }
}
