//! ControllerRevision: data that never changes.

use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::check::{at_least_zero, immutable};
use crate::kind::{Kind, Step};
use crate::table;

pub(super) static KIND: Kind = Kind {
    update: &[Step::MetaChange, Step::Meta, Step::Change],
    validate: |errors, _, object, _| validate(errors, object),
    validate_change,
    cells: table::controller_revision,
    ..Kind::new("apps", "controllerrevisions")
};

fn validate(errors: &mut FieldErrors, object: &Value) {
    validate_revision(errors, object);
    let path = FieldPath::new("data");
    match object.get("data") {
        None | Some(Value::Null) => errors.required(&path, "data is mandatory"),
        Some(Value::Object(_)) => {}
        Some(_) => errors.required(&path, "data must be a valid JSON object"),
    }
}

fn validate_revision(errors: &mut FieldErrors, object: &Value) {
    at_least_zero(errors, object.i64_at(&["revision"]).unwrap_or(0), &FieldPath::new("revision"));
}

fn validate_change(errors: &mut FieldErrors, object: &Value, old: &Value) {
    validate_revision(errors, object);
    immutable(errors, object, old, &["data"]);
}
