//! The names a resource goes by.

use crate::names_validation::is_dns1035_label;
use crate::status::{FieldErrors, FieldPath};
use crate::value::Value;

pub(super) fn validate(errors: &mut FieldErrors, names: &Value, path: &FieldPath) {
    for field in ["plural", "singular"] {
        label(errors, names.str_at(&[field]), &path.child(field));
    }
    for field in ["kind", "listKind"] {
        let name = names.str_at(&[field]);
        let wrong = is_dns1035_label(&name.to_lowercase());
        if !name.is_empty() && !wrong.is_empty() {
            let detail = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
            errors.invalid(&path.child(field), name, detail);
        }
    }
    list(errors, names, "shortNames", path);
    let list_kind = names.str_at(&["listKind"]);
    if !list_kind.is_empty() && list_kind == names.str_at(&["kind"]) {
        errors.invalid(&path.child("listKind"), list_kind, "kind and listKind may not be the same");
    }
    list(errors, names, "categories", path);
}

fn list(errors: &mut FieldErrors, names: &Value, field: &str, path: &FieldPath) {
    for (i, name) in names.array_at(&[field]).iter().enumerate() {
        let name = name.as_str().unwrap_or("");
        let wrong = is_dns1035_label(name);
        if !wrong.is_empty() {
            errors.invalid(&path.child_named(field).index(i), name, wrong.join(","));
        }
    }
}

/// An empty label is another check's.
fn label(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    let wrong = is_dns1035_label(name);
    if !name.is_empty() && !wrong.is_empty() {
        errors.invalid(path, name, wrong.join(","));
    }
}
