//! What a JSON patch may make of a document: a short one could make it of any size and depth, `copy` by `copy`.

use crate::decode::MAX_DEPTH;
use crate::value::{Value, write_json_string};

/// The most bytes, as JSON, that a patch may copy: upstream's `JSONPatchMaxCopyBytes`.
const MAX_COPIED: usize = 3 * 1024 * 1024;

/// How much has been copied so far.
#[derive(Debug, Default)]
pub(super) struct Copied(usize);

impl Copied {
    /// # Errors
    /// When that is too much.
    pub(super) fn add(&mut self, value: Option<&Value>) -> Result<(), String> {
        self.0 = value.map_or(self.0, |value| with_size(self.0, value));
        if self.0 <= MAX_COPIED {
            return Ok(());
        }
        Err(format!(
            "Unable to complete the copy, the accumulated size increase of copy is {}, exceeding the limit {MAX_COPIED}",
            self.0
        ))
    }
}

/// The bytes so far and those of `value` as JSON. Does not go on once there are too many.
fn with_size(so_far: usize, value: &Value) -> usize {
    match value {
        Value::Array(items) => {
            let commas = items.len().saturating_sub(1);
            items.iter().fold(so_far + commas + 2, |size, item| match size {
                0..=MAX_COPIED => with_size(size, item),
                _ => size,
            })
        }
        Value::Object(map) => {
            let commas = map.len().saturating_sub(1);
            map.iter().fold(so_far + commas + 2, |size, (key, value)| match size {
                0..=MAX_COPIED => with_size(size + string_size(key) + 1, value),
                _ => size,
            })
        }
        Value::String(text) => so_far + string_size(text),
        other => so_far + other.to_json().len(),
    }
}

fn string_size(text: &str) -> usize {
    let mut out = Vec::with_capacity(text.len() + 2);
    write_json_string(text, &mut out);
    out.len()
}

/// # Errors
/// When `value` at `pointer` makes the document deeper than documents may be.
pub(super) fn check_depth(pointer: &str, value: &Value) -> Result<(), String> {
    let above = pointer.matches('/').count();
    let deeper = above > MAX_DEPTH || is_deeper(value, MAX_DEPTH - above);
    if deeper { Err("exceeded max depth".to_owned()) } else { Ok(()) }
}

fn is_deeper(value: &Value, most: usize) -> bool {
    let is_below = |value: &Value| is_deeper(value, most.saturating_sub(1));
    match value {
        Value::Array(items) => most == 0 || items.iter().any(is_below),
        Value::Object(map) => most == 0 || map.values().any(is_below),
        _ => false,
    }
}
