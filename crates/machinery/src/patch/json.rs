//! JSON Patch, RFC 6902, with the habits of evanphx/json-patch v4 that upstream uses.
//!
//! Where they differ from the RFC: negative indices count from the end; `replace` of a missing field adds it; `copy`
//! of a missing field adds null; `test` of a missing field against null holds.

mod limits;

use self::limits::{Copied, check_depth};
use super::PatchError;
use crate::value::Value;

/// The most operations that one patch may have.
pub const MAX_OPERATIONS: usize = 10_000;

/// Applies the operations of `patch`, a list, one after the other.
///
/// # Errors
/// When `patch` is no list of objects, has too many operations, copies too much, or one of them does not apply.
pub fn json_patch(original: &Value, patch: &Value) -> Result<Value, PatchError> {
    let operations = operations(patch)?;
    if operations.len() > MAX_OPERATIONS {
        return Err(PatchError::TooLarge(format!(
            "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
            operations.len()
        )));
    }
    let mut document = original.clone();
    let mut copied = Copied::default();
    for operation in operations {
        apply(&mut document, operation, &mut copied).map_err(PatchError::Unprocessable)?;
    }
    Ok(document)
}

/// The list's elements, all of them objects; null stands for an empty list or operation, as in Go.
fn operations(patch: &Value) -> Result<&[Value], PatchError> {
    let refuse = |value: &Value, into: &str| {
        Err(PatchError::BadRequest(format!(
            "json: cannot unmarshal {} into Go value of type {into}",
            json_kind(value)
        )))
    };
    match patch {
        Value::Null => Ok(&[]),
        Value::Array(items) => {
            match items.iter().find(|item| !matches!(item, Value::Object(_) | Value::Null)) {
                Some(item) => refuse(item, "jsonpatch.Operation"),
                None => Ok(items),
            }
        }
        other => refuse(other, "jsonpatch.Patch"),
    }
}

/// What the API server's own look at a JSON patch's operations finds: fields that no operation has.
///
/// # Errors
/// When they are no operations, as decoding them into Go's struct says it.
pub fn unknown_fields(patch: &Value) -> Result<Vec<String>, String> {
    let refuse = |value: &Value, what: &str| {
        Err(format!("json: cannot unmarshal {} into Go {what}", json_kind(value)))
    };
    let items = match patch {
        Value::Null => return Ok(Vec::new()),
        Value::Array(items) => items,
        other => return refuse(other, "value of type []handlers.jsonPatchOp"),
    };
    let mut unknown = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let fields = match item {
            Value::Null => continue,
            Value::Object(fields) => fields,
            other => return refuse(other, "value of type handlers.jsonPatchOp"),
        };
        for (name, value) in fields.iter() {
            match name.as_str() {
                "op" | "path" | "from" if matches!(value, Value::String(_) | Value::Null) => {}
                "op" | "path" | "from" => {
                    return refuse(value, &format!("struct field jsonPatchOp.{name} of type string"));
                }
                "value" => {}
                other => unknown.push(format!("json patch unknown field \"[{i}].{other}\"")),
            }
        }
    }
    Ok(unknown)
}

/// What Go's JSON errors call a value.
pub fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Int(_) | Value::Float(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

type Applied = Result<(), String>;

fn apply(document: &mut Value, operation: &Value, copied: &mut Copied) -> Applied {
    match operation.str_at(&["op"]) {
        "add" => add(document, operation),
        "remove" => {
            let path = text(operation, "path", "remove operation failed to decode path: missing value")?;
            let (container, key) = find(document, path).ok_or_else(|| {
                format!("remove operation does not apply: doc is missing path: {path:?}: missing value")
            })?;
            remove_from(container, &key).map_err(|e| format!("error in remove for path: '{path}': {e}"))?;
            Ok(())
        }
        "replace" => replace(document, operation),
        "move" => move_value(document, operation),
        "copy" => copy(document, operation, copied),
        "test" => test(document, operation),
        "" => Err("Unexpected kind: unknown".to_owned()),
        other => Err(format!("Unexpected kind: {other}")),
    }
}

fn add(document: &mut Value, operation: &Value) -> Applied {
    let path = text(operation, "path", "add operation failed to decode path: missing value")?;
    let (container, key) = find(document, path).ok_or_else(|| {
        format!("add operation does not apply: doc is missing path: {path:?}: missing value")
    })?;
    let value = value_of(operation);
    check_depth(path, &value)?;
    add_to(container, key, value).map_err(|e| format!("error in add for path: '{path}': {e}"))
}

fn replace(document: &mut Value, operation: &Value) -> Applied {
    let path = text(
        operation,
        "path",
        "replace operation failed to decode path: operation missing path field: missing value",
    )?;
    let value = value_of(operation);
    if path.is_empty() {
        if !matches!(value, Value::Object(_) | Value::Array(_)) {
            return Err("replace operation value must be object or array".to_owned());
        }
        *document = value;
        return Ok(());
    }
    let (container, key) = find(document, path).ok_or_else(|| {
        format!("replace operation does not apply: doc is missing path: {path}: missing value")
    })?;
    check_depth(path, &value)?;
    match container {
        Value::Object(map) => {
            map.insert(key, value);
        }
        Value::Array(items) => {
            let i = index(&key, items.len()).map_err(|_| {
                format!("replace operation does not apply: doc is missing key: {path}: missing value")
            })?;
            items.make_mut()[i] = value;
        }
        _ => {}
    }
    Ok(())
}

fn move_value(document: &mut Value, operation: &Value) -> Applied {
    let from = text(
        operation,
        "from",
        "move operation failed to decode from: operation, missing from field: missing value",
    )?;
    let (container, key) = find(document, from).ok_or_else(|| {
        format!("move operation does not apply: doc is missing from path: {from}: missing value")
    })?;
    let value = remove_from(container, &key).map_err(|e| format!("error in move for path: '{key}': {e}"))?;
    let path = text(
        operation,
        "path",
        "move operation failed to decode path: operation missing path field: missing value",
    )?;
    let (container, key) = find(document, path).ok_or_else(|| {
        format!("move operation does not apply: doc is missing destination path: {path}: missing value")
    })?;
    check_depth(path, &value)?;
    add_to(container, key, value).map_err(|e| format!("error in move for path: '{path}': {e}"))
}

fn copy(document: &mut Value, operation: &Value, copied: &mut Copied) -> Applied {
    let from = text(
        operation,
        "from",
        "copy operation failed to decode from: operation, missing from field: missing value",
    )?;
    let (container, key) = find(document, from).ok_or_else(|| {
        format!("copy operation does not apply: doc is missing from path: {from}: missing value")
    })?;
    let value = get_from(container, &key).map_err(|e| format!("error in copy for from: '{from}': {e}"))?;
    let path = text(operation, "path", "copy operation failed to decode path: missing value")?;
    let (container, key) = find(document, path).ok_or_else(|| {
        format!("copy operation does not apply: doc is missing destination path: {path}: missing value")
    })?;
    copied.add(value.as_ref())?;
    check_depth(path, value.as_ref().unwrap_or(&Value::Null))?;
    add_to(container, key, value.unwrap_or_default())
        .map_err(|e| format!("error while adding value during copy: {e}"))
}

fn test(document: &mut Value, operation: &Value) -> Applied {
    let path = text(
        operation,
        "path",
        "test operation failed to decode path: operation missing path field: missing value",
    )?;
    let actual = if path.is_empty() {
        Some(document.clone())
    } else {
        let (container, key) = find(document, path).ok_or_else(|| {
            format!("test operation does not apply: is missing path: {path}: missing value")
        })?;
        get_from(container, &key).map_err(|e| format!("error in test for path: '{path}': {e}"))?
    };
    if actual.unwrap_or_default() == value_of(operation) {
        Ok(())
    } else {
        Err(format!("testing value {path} failed: test failed"))
    }
}

fn text<'a>(operation: &'a Value, field: &str, missing: &str) -> Result<&'a str, String> {
    operation.get(field).and_then(Value::as_str).ok_or_else(|| missing.to_owned())
}

fn value_of(operation: &Value) -> Value {
    operation.get("value").cloned().unwrap_or_default()
}

/// The container that a JSON pointer's last token is a key of. None when something on the way is missing or a scalar.
fn find<'a>(document: &'a mut Value, pointer: &str) -> Option<(&'a mut Value, String)> {
    let mut tokens = pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~"));
    let mut key = tokens.next()?;
    let mut here = document;
    for next in tokens {
        here = match here {
            Value::Object(map) => map.get_mut(&key)?,
            Value::Array(items) => {
                let i = index(&key, items.len()).ok()?;
                &mut items.make_mut()[i]
            }
            _ => return None,
        };
        key = next;
    }
    matches!(here, Value::Object(_) | Value::Array(_)).then_some((here, key))
}

fn get_from(container: &Value, key: &str) -> Result<Option<Value>, String> {
    match container {
        Value::Array(items) => index(key, items.len()).map(|i| Some(items[i].clone())),
        other => Ok(other.get(key).cloned()),
    }
}

fn remove_from(container: &mut Value, key: &str) -> Result<Value, String> {
    match container {
        Value::Array(items) => index(key, items.len()).map(|i| items.remove(i)),
        Value::Object(map) => {
            map.remove(key).ok_or_else(|| format!("Unable to remove nonexistent key: {key}: missing value"))
        }
        _ => Ok(Value::Null),
    }
}

fn add_to(container: &mut Value, key: String, value: Value) -> Result<(), String> {
    match container {
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => {
            let i = index(&key, items.len() + 1).map_err(|e| {
                if e.starts_with("strconv") {
                    format!("value was not a proper array index: '{key}': {e}")
                } else {
                    e
                }
            })?;
            items.insert(i, value);
        }
        Value::Object(map) => {
            map.insert(key, value);
        }
        _ => {}
    }
    Ok(())
}

/// An index into a list of `len` elements; negative ones count from its end.
fn index(key: &str, len: usize) -> Result<usize, String> {
    let i: i64 = key.parse().map_err(|_| format!("strconv.Atoi: parsing {key:?}: invalid syntax"))?;
    let from_start = if i < 0 { i64::try_from(len).unwrap_or(i64::MAX).saturating_add(i) } else { i };
    usize::try_from(from_start)
        .ok()
        .filter(|found| *found < len)
        .ok_or_else(|| format!("Unable to access invalid index: {i}: invalid index referenced"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    fn check(patch: Value, expect: Result<Value, &str>) {
        let original = value!({"a": {"b": [1, 2, 3], "c/d": "x", "n": null}, "s": "t"});
        let got = json_patch(&original, &patch).map_err(|e| e.to_string());
        assert_eq!(got, expect.map_err(str::to_owned), "{patch:?}");
    }

    #[test]
    fn operations_apply_in_order() {
        check(
            value!([
                {"op": "add", "path": "/a/b/-", "value": 4}, {"op": "add", "path": "/a/b/0", "value": 0},
                {"op": "remove", "path": "/a/b/1"}, {"op": "replace", "path": "/a/c~1d", "value": "y"},
                {"op": "move", "from": "/s", "path": "/a/t"}, {"op": "copy", "from": "/a/t", "path": "/a/u"},
                {"op": "test", "path": "/a/u", "value": "t"}, {"op": "remove", "path": "/a/b/-1"},
                {"op": "replace", "path": "/new", "value": 1}, {"op": "test", "path": "/none"},
            ]),
            Ok(value!({"a": {"b": [0, 2, 3], "c/d": "y", "n": null, "t": "t", "u": "t"}, "new": 1})),
        );
        check(value!([{"op": "replace", "path": "", "value": {"x": 1}}]), Ok(value!({"x": 1})));
        check(value!(null), Ok(value!({"a": {"b": [1, 2, 3], "c/d": "x", "n": null}, "s": "t"})));
    }

    #[test]
    fn what_does_not_apply_is_explained_as_upstream_does() {
        let one = |operation: Value| Value::from(vec![operation]);
        check(
            one(value!({"op": "remove", "path": "/x"})),
            Err("error in remove for path: '/x': Unable to remove nonexistent key: x: missing value"),
        );
        check(
            one(value!({"op": "add", "path": "/x/y", "value": 1})),
            Err("add operation does not apply: doc is missing path: \"/x/y\": missing value"),
        );
        check(
            one(value!({"op": "add", "path": "/a/b/9", "value": 1})),
            Err(
                "error in add for path: '/a/b/9': Unable to access invalid index: 9: invalid index referenced",
            ),
        );
        check(
            one(value!({"op": "test", "path": "/s", "value": 1})),
            Err("testing value /s failed: test failed"),
        );
        check(one(value!({"op": "frob", "path": "/s"})), Err("Unexpected kind: frob"));
        check(one(value!({"path": "/s"})), Err("Unexpected kind: unknown"));
        check(value!({}), Err("json: cannot unmarshal object into Go value of type jsonpatch.Patch"));
        check(one(value!(1)), Err("json: cannot unmarshal number into Go value of type jsonpatch.Operation"));
    }

    #[test]
    fn there_is_a_limit_to_what_is_copied() {
        let original = value!({"a": {"x": "1234567890"}});
        let double = |i: i32| value!({"op": "copy", "from": "/a", "path": format!("/a/{i}")});
        assert!(json_patch(&original, &Value::from((0..15).map(double).collect::<Vec<_>>())).is_ok());
        let error = json_patch(&original, &Value::from((0..60).map(double).collect::<Vec<_>>())).unwrap_err();
        let text = "Unable to complete the copy, the accumulated size increase of copy is ";
        assert!(matches!(&error, PatchError::Unprocessable(why) if why.starts_with(text)), "{error}");
    }

    #[test]
    fn there_is_a_limit_to_depth() {
        let original = value!({"a": {}});
        let deeper: Vec<Value> = (1..1000)
            .map(|depth| value!({"op": "add", "path": "/a".repeat(depth), "value": {"a": {}}}))
            .collect();
        assert!(json_patch(&original, &Value::from(deeper[..990].to_vec())).is_ok());
        let error = json_patch(&original, &Value::from(deeper)).unwrap_err();
        assert_eq!(error, PatchError::Unprocessable("exceeded max depth".to_owned()));
    }

    #[test]
    fn there_is_a_limit_to_operations() {
        let test = value!({"op": "test", "path": "/s", "value": "t"});
        let patch = Value::from(vec![test; MAX_OPERATIONS + 1]);
        check(patch, Err("The allowed maximum operations in a JSON patch is 10000, got 10001"));
    }
}
