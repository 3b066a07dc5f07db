//! `FieldsV1`: a [`FieldSet`] as JSON. `f:` is a field, `k:` a key, `v:` a value, `i:` an index, `.` the thing itself.

use super::path::PathElement;
use super::set::FieldSet;
use crate::patch::go_format::go_json;
use crate::value::{Map, Value};

/// A `FieldsV1` that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FieldsError(pub String);

impl FieldSet {
    /// The `FieldsV1` tree.
    pub fn to_fields_v1(&self) -> Value {
        Value::Object(self.to_map(false))
    }

    fn to_map(&self, with_self: bool) -> Map {
        let mut map = Map::new();
        if with_self {
            map.insert(".", Value::object());
        }
        for member in &self.members {
            map.insert(element_key(member), Value::object());
        }
        for (element, child) in &self.children {
            let is_member = self.has_member(element);
            map.insert(element_key(element), Value::Object(child.to_map(is_member)));
        }
        map
    }

    /// Reads a `FieldsV1` tree. Kinds of path elements that are not known are left out.
    ///
    /// # Errors
    /// When a key is no path element.
    pub fn from_fields_v1(fields: &Value) -> Result<Self, FieldsError> {
        Ok(read(fields)?.0)
    }
}

/// The set below a node, and whether the node itself is in its parent's set.
fn read(fields: &Value) -> Result<(FieldSet, bool), FieldsError> {
    let mut set = FieldSet::default();
    let mut is_member = false;
    let Value::Object(map) = fields else { return Ok((set, true)) };
    for (key, below) in map.iter() {
        if key == "." {
            is_member = true;
            continue;
        }
        let Some(element) = parse_key(key)? else { continue };
        let (child, child_is_member) = read(below)?;
        if child_is_member {
            set.insert_member(element.clone());
        }
        if !child.is_empty() {
            *set.child_mut(&element) = child;
        }
    }
    is_member |= set.is_empty();
    Ok((set, is_member))
}

fn element_key(element: &PathElement) -> String {
    match element {
        PathElement::Field(name) => format!("f:{name}"),
        PathElement::Key(fields) => format!("k:{}", go_json(&Value::Object(fields.clone()))),
        PathElement::Value(value) => format!("v:{}", go_json(value)),
        PathElement::Index(i) => format!("i:{i}"),
    }
}

fn parse_key(key: &str) -> Result<Option<PathElement>, FieldsError> {
    let bad = |why: String| FieldsError(format!("parsing key as path element: {why}"));
    if key.len() < 2 {
        return Err(bad("key must be 2 characters long:".to_owned()));
    }
    let Some((kind, text)) = key.split_once(':').filter(|(kind, _)| kind.len() == 1) else {
        return Err(bad(format!("missing colon: {key}")));
    };
    let value = || Value::from_json(text.as_bytes()).map_err(|e| bad(e.to_string()));
    Ok(match kind {
        "f" => Some(PathElement::Field(crate::value::intern(text))),
        "v" => Some(PathElement::Value(value()?)),
        "k" => match value()? {
            Value::Object(fields) => Some(PathElement::Key(fields)),
            _ => return Err(bad(format!("expected an object: {key}"))),
        },
        "i" => Some(PathElement::Index(text.parse().map_err(|_| bad(format!("invalid index: {key}")))?)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn fields_v1_survives_a_set() {
        let fields = value!({
            "f:metadata": {"f:labels": {".": {}, "f:a/b": {}}, "f:finalizers": {"v:\"x<y\"": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:image": {}}},
                "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {}}, "f:args": {"i:0": {}}},
        });
        let set = FieldSet::from_fields_v1(&fields).unwrap();
        let mut escaped = fields.clone();
        escaped.remove(&["f:metadata", "f:finalizers"]);
        escaped.set(&["f:metadata", "f:finalizers"], value!({"v:\"x\\u003cy\"": {}}));
        assert_eq!(set.to_fields_v1(), escaped);
        assert_eq!(FieldSet::from_fields_v1(&escaped).unwrap(), set);
    }

    #[test]
    fn unknown_kinds_are_left_out_and_malformed_keys_refused() {
        let set = FieldSet::from_fields_v1(&value!({"z:new": {}, "f:a": {}})).unwrap();
        assert_eq!(set.to_fields_v1(), value!({"f:a": {}}));
        assert!(FieldSet::from_fields_v1(&value!({"f": {}})).is_err());
        assert!(FieldSet::from_fields_v1(&value!({"fa": {}})).is_err());
        assert!(FieldSet::from_fields_v1(&value!({"k:1": {}})).is_err());
    }
}
