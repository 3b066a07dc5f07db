//! A mapping's entries: keys as JSON can have them, duplicates, and `<<`.

use super::{Composer, Node};
use crate::decode::go_quote;
use crate::decode::yaml::YamlError;
use crate::decode::yaml::cursor::Mark;
use crate::value::{Key, Map, Value, intern};

impl Composer<'_> {
    pub(super) fn put(&mut self, map: &mut Map, key: Node, value: Node) {
        if key.is_merge && !key.is_alias {
            if let Err(error) = self.merge(map, &value) {
                self.undecodable.get_or_insert(error);
            }
            return;
        }
        match key_text(&key.value, &value.value) {
            Ok(text) => self.insert(map, text, &key.value, value.value, value.mark),
            Err(error) => {
                self.undecodable.get_or_insert(error);
            }
        }
    }

    fn insert(&mut self, map: &mut Map, text: Key, key: &Value, value: Value, mark: Mark) {
        if map.insert(text, value).is_some() {
            let shown = match key {
                Value::String(text) => go_quote(text),
                other => String::from_utf8_lossy(&other.to_json()).into_owned(),
            };
            self.duplicates.push(format!("line {}: key {shown} already set in map", mark.line + 1));
        }
    }

    /// Adds what `<<` names to the keys so far; of a list's maps the earlier win.
    fn merge(&mut self, map: &mut Map, from: &Node) -> Result<(), YamlError> {
        let maps: Vec<&Map> = match &from.value {
            Value::Object(one) => vec![one],
            Value::Array(items) if !from.is_alias => {
                let maps = items.iter().map(Value::as_object).collect::<Option<_>>();
                maps.ok_or_else(no_map)?
            }
            _ => return Err(no_map()),
        };
        for (key, value) in maps.into_iter().rev().flat_map(Map::iter) {
            self.insert(map, key.clone(), &Value::String(key.clone()), value.clone(), from.mark);
        }
        Ok(())
    }
}

fn no_map() -> YamlError {
    YamlError::yaml("map merge requires map or sequence of maps as the value")
}

/// A key as JSON can have it.
fn key_text(key: &Value, value: &Value) -> Result<Key, YamlError> {
    match key {
        Value::String(text) => Ok(intern(text)),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
            Ok(String::from_utf8_lossy(&key.to_json()).as_ref().into())
        }
        Value::Null => {
            let shown = match value {
                Value::String(text) => go_quote(text),
                Value::Null => "interface {}(nil)".to_owned(),
                other => String::from_utf8_lossy(&other.to_json()).into_owned(),
            };
            let text =
                format!("unsupported map key of type: %!s(<nil>), key: interface {{}}(nil), value: {shown}");
            Err(YamlError(text))
        }
        Value::Array(_) => Err(YamlError::yaml(&format!("invalid map key: {}", go_syntax(key)))),
        Value::Object(_) => Err(YamlError::yaml(&format!("invalid map key: {}", go_syntax(key)))),
    }
}

/// `%#v`.
fn go_syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::String(text) => go_quote(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_syntax).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(map) => {
            let entries: Vec<String> =
                map.iter().map(|(key, value)| format!("{}:{}", go_quote(key), go_syntax(value))).collect();
            format!("map[interface {{}}]interface {{}}{{{}}}", entries.join(", "))
        }
        other => String::from_utf8_lossy(&other.to_json()).into_owned(),
    }
}
