//! What config maps and secrets hold: values by key.

use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::shape::present;

/// Of all values together.
pub(super) const MAX_SIZE: usize = 1024 * 1024;

/// How many bytes a value is that is written in base64.
pub(super) fn decoded_len(value: &Value) -> usize {
    let text = value.as_str().unwrap_or("");
    let padding = text.bytes().rev().take_while(|b| *b == b'=').count();
    (text.len() / 4 * 3).saturating_sub(padding)
}

/// What is immutable stays so, and keeps these fields. No values and no map of values are not the same here.
pub(super) fn stays(errors: &mut FieldErrors, object: &Value, old: &Value, fields: &[&str]) {
    const SET: &str = "field is immutable when `immutable` is set";
    if !old.bool_at(&["immutable"]) {
        return;
    }
    if !object.bool_at(&["immutable"]) {
        errors.forbidden(&FieldPath::new("immutable"), SET);
    }
    for field in fields.iter().filter(|field| present(object, &[field]) != present(old, &[field])) {
        errors.forbidden(&FieldPath::new(field), SET);
    }
}

#[cfg(test)]
mod tests {
    use super::decoded_len;

    #[test]
    fn padding_is_no_data() {
        let lengths = ["", "YQ==", "YWI=", "YWJj", "="].map(|text| decoded_len(&text.into()));
        assert_eq!(lengths, [0, 1, 2, 3, 0]);
    }
}
