//! JSON trees as lists and maps of expressions, and back.

use std::any::Any;
use std::sync::Arc;

use drydock_cel::EvalError;
use drydock_cel::value::{List, ListView, Map as CelMap, MapView, Value as CelValue};
use ecow::{EcoString, EcoVec};

use crate::value::{Map, Value};

/// A tree as expressions see it that have no schema for it: `dyn`.
pub fn from_json(value: &Value) -> CelValue {
    match value {
        Value::Null => CelValue::Null,
        Value::Bool(b) => CelValue::Bool(*b),
        Value::Int(i) => CelValue::Int(*i),
        Value::Float(f) => CelValue::Double(*f),
        Value::String(text) => CelValue::String(text.clone()),
        Value::Array(items) => CelValue::List(List::View(Arc::new(JsonList(items.clone())))),
        Value::Object(map) => CelValue::Map(CelMap::View(Arc::new(JsonMap(map.clone())))),
    }
}

/// An array without schema.
#[derive(Debug)]
pub(crate) struct JsonList(pub(crate) EcoVec<Value>);

impl ListView for JsonList {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, index: usize) -> Result<CelValue, EvalError> {
        Ok(self.0.get(index).map_or(CelValue::Null, from_json))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// An object without schema.
#[derive(Debug)]
pub(crate) struct JsonMap(pub(crate) Map);

impl MapView for JsonMap {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, key: &str) -> Result<Option<CelValue>, EvalError> {
        Ok(self.0.get(key).map(from_json))
    }

    fn contains(&self, key: &str) -> Result<bool, EvalError> {
        Ok(self.0.contains_key(key))
    }

    fn keys(&self) -> Vec<EcoString> {
        self.0.keys().cloned().collect()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What a value is as JSON. Times are texts, bytes base64; optionals are what they hold.
///
/// # Errors
/// Values that have no such form: types, a library's own, keys that are no strings.
pub fn to_json(value: &CelValue) -> Result<Value, EvalError> {
    let unsupported = || EvalError::new(format!("unsupported value of type {}", value.type_name()));
    Ok(match value {
        CelValue::Null => Value::Null,
        CelValue::Bool(b) => Value::Bool(*b),
        CelValue::Int(i) => Value::Int(*i),
        CelValue::Uint(u) => Value::from(*u),
        CelValue::Double(d) => Value::Float(*d),
        CelValue::String(text) => Value::String(text.clone()),
        CelValue::Bytes(bytes) => Value::from(crate::decode::base64_encode(bytes)),
        CelValue::Duration(d) => Value::from(d.to_string()),
        CelValue::Timestamp(t) => Value::from(t.to_string()),
        CelValue::List(list) => list_to_json(list)?,
        CelValue::Map(map) => map_to_json(map)?,
        CelValue::Optional(Some(inner)) => to_json(inner)?,
        CelValue::Object(object) => {
            let fields = object.fields.iter();
            let fields = fields.map(|(name, value)| Ok((name.clone(), to_json(value)?)));
            Value::Object(fields.collect::<Result<Map, EvalError>>()?)
        }
        CelValue::Optional(None) | CelValue::Type(_) | CelValue::Opaque(_) => return Err(unsupported()),
    })
}

fn list_to_json(list: &List) -> Result<Value, EvalError> {
    if let List::View(view) = list {
        if let Some(json) = view.as_any().downcast_ref::<JsonList>() {
            return Ok(Value::Array(json.0.clone()));
        }
        if let Some(native) = view.native() {
            return to_json(&native);
        }
    }
    list.iter().map(|item| to_json(&item?)).collect::<Result<EcoVec<Value>, _>>().map(Value::Array)
}

fn map_to_json(map: &CelMap) -> Result<Value, EvalError> {
    if let CelMap::View(view) = map {
        if let Some(json) = view.as_any().downcast_ref::<JsonMap>() {
            return Ok(Value::Object(json.0.clone()));
        }
        if let Some(native) = view.native() {
            return to_json(&native);
        }
    }
    let mut out = Map::new();
    for key in map.keys() {
        let CelValue::String(name) = &key else {
            return Err(EvalError::new(format!("unsupported key of type {}", key.type_name())));
        };
        out.insert(name.clone(), to_json(&map.get(&key)?.unwrap_or(CelValue::Null))?);
    }
    Ok(Value::Object(out))
}
