//! ConfigMap.

use drydock_machinery::{FieldErrors, FieldPath, Value};

use super::data::{MAX_SIZE, decoded_len, stays};
use crate::check::data_key;
use crate::kind::{CHANGED_THEN_NEW, Kind};
use crate::table;

pub(super) static KIND: Kind = Kind {
    update: CHANGED_THEN_NEW,
    validate: |errors, _, object, _| validate(errors, object),
    validate_change: |errors, object, old| stays(errors, object, old, &["data", "binaryData"]),
    cells: table::config_map,
    ..Kind::new("", "configmaps")
};

fn validate(errors: &mut FieldErrors, object: &Value) {
    let (data, binary) = (object.object_at(&["data"]), object.object_at(&["binaryData"]));
    let mut size = 0;
    let path = FieldPath::new("data");
    for (key, value) in data.iter() {
        data_key(errors, key, &path.key(key));
        if binary.contains_key(key) {
            errors.invalid(&path.key(key), key.as_str(), "duplicate of key present in binaryData");
        }
        size += value.as_str().map_or(0, str::len);
    }
    let path = FieldPath::new("binaryData");
    for (key, value) in binary.iter() {
        data_key(errors, key, &path.key(key));
        size += decoded_len(value);
    }
    if size > MAX_SIZE {
        // Upstream names no field.
        errors.too_long(&FieldPath::new("[]"), MAX_SIZE);
    }
}
