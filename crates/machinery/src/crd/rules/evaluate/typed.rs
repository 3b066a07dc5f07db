//! Values of custom resources as expressions see them: apiserver's `pkg/cel/common/valuesunstructured.go`.

use std::any::Any;
use std::sync::Arc;

use drydock_cel::EvalError;
use drydock_cel::value::{List, ListView, Map as CelMap, MapView, Opaque, Timestamp, Value as CelValue};
use ecow::{EcoString, EcoVec};

use super::schema::{Format, ListKind, Shape, Typed};
use crate::cel::{from_json, to_json};
use crate::crd::parse_duration;
use crate::crd::rules::declare::{escape, unescape};
use crate::decode::base64_decode;
use crate::patch::go_format::go_type;
use crate::value::{Key, Map, Value};

/// `value` with the type that `schema` gives it.
///
/// # Errors
/// Where it is not of that type, in upstream's words.
pub(super) fn typed(value: &Value, schema: &Arc<Typed>) -> Result<CelValue, EvalError> {
    let invalid = |what: &str| Err(EvalError::new(format!("invalid data, {what}")));
    match (value, &schema.shape) {
        (Value::Null, _) if schema.nullable => Ok(CelValue::Null),
        (Value::Null, _) => invalid("got null for schema with nullable=false"),
        (Value::String(text), Shape::IntOrString) => Ok(CelValue::String(text.clone())),
        (Value::Int(i), Shape::IntOrString | Shape::Integer) => Ok(CelValue::Int(*i)),
        (_, Shape::IntOrString) => invalid("expected XIntOrString value to be either a string or integer"),
        (Value::Object(map), Shape::Object { .. }) => {
            let view = TypedMap { value: map.clone(), schema: schema.clone() };
            Ok(CelValue::Map(CelMap::View(Arc::new(view))))
        }
        (_, Shape::Object { .. }) => invalid("expected a map for the provided schema with type=object"),
        (Value::Array(items), Shape::List { items: Some(_), .. }) => Ok(list(items.clone(), schema)),
        (Value::Array(_), Shape::List { .. }) => {
            Err(EvalError::new("invalid array type, expected Items with a non-empty Schema"))
        }
        (_, Shape::List { .. }) => invalid("expected an array for the provided schema with type=array"),
        (Value::String(text), Shape::Text(format)) => self::text(text, *format),
        (other, Shape::Text(_)) => invalid(&format!("expected string, got {}", go_type(other))),
        (Value::Int(_) | Value::Float(_), Shape::Number) => {
            Ok(CelValue::Double(value.as_f64().unwrap_or_default()))
        }
        (other, Shape::Number) => invalid(&format!("expected float, got {}", go_type(other))),
        (other, Shape::Integer) => invalid(&format!("expected int, got {}", go_type(other))),
        (Value::Bool(b), Shape::Bool) => Ok(CelValue::Bool(*b)),
        (other, Shape::Bool) => invalid(&format!("expected bool, got {}", go_type(other))),
        (_, Shape::Preserved) => Ok(CelValue::opaque(Preserved(value.clone()))),
        (_, Shape::Other(name)) => Err(EvalError::new(format!(
            "invalid type, expected object, array, number, integer, boolean or string, or no type with x-kubernetes-int-or-string or x-kubernetes-preserve-unknown-fields is true, got {name}"
        ))),
    }
}

fn list(items: EcoVec<Value>, schema: &Arc<Typed>) -> CelValue {
    CelValue::List(List::View(Arc::new(TypedList { items, schema: schema.clone() })))
}

fn text(text: &EcoString, format: Format) -> Result<CelValue, EvalError> {
    let timestamp = |rfc3339: &str, what: &str| {
        let parsed = Timestamp::parse(rfc3339)?;
        let invalid = || EvalError::new(format!("Invalid {what} formatted string {text}: cannot parse"));
        parsed.map(CelValue::Timestamp).ok_or_else(invalid)
    };
    match format {
        Format::Plain => Ok(CelValue::String(text.clone())),
        Format::Duration => match parse_duration(text) {
            Some(duration) => Ok(CelValue::Duration(duration)),
            None => {
                let why = format!("Invalid duration {text}: unable to parse {text} as duration");
                Err(EvalError::new(why))
            }
        },
        Format::Date => timestamp(&format!("{text}T00:00:00Z"), "date"),
        Format::DateTime => timestamp(&text.to_uppercase(), "date-time"),
        Format::Byte => match base64_decode(text) {
            Ok(bytes) => Ok(CelValue::Bytes(bytes.into())),
            Err(at) => Err(EvalError::new(format!(
                "Invalid byte formatted string {text}: illegal base64 data at input byte {}",
                at.0
            ))),
        },
    }
}

/// A value that its schema says nothing about. It is equal to what is the same.
#[derive(Debug)]
struct Preserved(Value);

impl Opaque for Preserved {
    fn type_name(&self) -> &str {
        "unknown"
    }

    fn equals(&self, other: &dyn Opaque) -> Result<bool, EvalError> {
        let other: Option<&Self> = other.as_any().downcast_ref();
        Ok(other.is_some_and(|other| self.0 == other.0))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// An object or a map.
#[derive(Debug)]
struct TypedMap {
    value: Map,
    schema: Arc<Typed>,
}

impl TypedMap {
    /// A field by its own name. A field that is null is like one that is absent.
    fn find(&self, name: &str) -> Result<Option<CelValue>, EvalError> {
        let (Some(value), Some(schema)) = (self.value.get(name), self.schema.property(name)) else {
            return Ok(None);
        };
        if self.schema.has_properties() && value.is_null() {
            return Ok(None);
        }
        typed(value, schema).map(Some)
    }
}

impl MapView for TypedMap {
    fn len(&self) -> usize {
        self.value.len()
    }

    fn get(&self, key: &str) -> Result<Option<CelValue>, EvalError> {
        if !self.schema.has_properties() {
            return self.find(key);
        }
        unescape(key).map_or(Ok(None), |name| self.find(&name))
    }

    fn keys(&self) -> Vec<EcoString> {
        let known = self.value.keys().filter(|name| self.schema.property(name).is_some());
        if !self.schema.has_properties() {
            return known.cloned().collect();
        }
        known.map(|name| escape(name).map_or_else(|| name.clone(), EcoString::from)).collect()
    }

    fn equals(&self, other: &CelValue) -> Result<bool, EvalError> {
        let CelValue::Map(other) = other else { return Err(EvalError::no_such_overload()) };
        if self.len() != other.len() {
            return Ok(false);
        }
        let same_kind = match other {
            CelMap::View(view) => view.as_any().downcast_ref::<Self>(),
            CelMap::Built(_) => None,
        };
        for (name, value) in self.value.iter() {
            if self.schema.property(name).is_none() {
                let others = same_kind.ok_or_else(EvalError::no_such_overload)?;
                if others.value.get(name).is_some_and(|others| others != value) {
                    return Ok(false);
                }
                continue;
            }
            match (self.get(name)?, other.get(&CelValue::String(name.clone()))?) {
                (None, None) => {}
                (Some(own), Some(others)) if own.equals(&others)? => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    fn native(&self) -> Option<CelValue> {
        Some(from_json(&Value::Object(self.value.clone())))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A list, which compares and adds as its list type says.
#[derive(Debug)]
struct TypedList {
    items: EcoVec<Value>,
    schema: Arc<Typed>,
}

impl TypedList {
    fn kind(&self) -> &ListKind {
        match &self.schema.shape {
            Shape::List { kind, .. } => kind,
            _ => &ListKind::Atomic,
        }
    }

    fn element(&self, value: &Value) -> Result<CelValue, EvalError> {
        match self.schema.items() {
            Some(items) => typed(value, items),
            None => Err(EvalError::new("invalid array type, expected Items with a non-empty Schema")),
        }
    }

    fn set_equals(&self, other: &List) -> Result<bool, EvalError> {
        for item in other.iter() {
            let item = item?;
            if !to_json(&item).is_ok_and(|item| self.items.contains(&item)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn map_equals(&self, keys: &[Key], other: &List) -> Result<bool, EvalError> {
        for item in other.iter() {
            let item = item?;
            let Ok(json) = to_json(&item) else { return Ok(false) };
            let key = map_key(keys, &json);
            // Of elements with the same key the last counts.
            let Some(own) = self.items.iter().rfind(|own| map_key(keys, own) == key) else {
                return Ok(false);
            };
            if !self.element(own)?.equals(&item)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn map_key<'a>(keys: &[Key], element: &'a Value) -> Vec<Option<&'a Value>> {
    keys.iter().map(|key| element.get(&escape(key).unwrap_or_else(|| key.to_string()))).collect()
}

impl ListView for TypedList {
    fn len(&self) -> usize {
        self.items.len()
    }

    fn get(&self, index: usize) -> Result<CelValue, EvalError> {
        match self.items.get(index) {
            Some(item) => self.element(item),
            None => Err(EvalError::new(format!("index out of bounds: {index}"))),
        }
    }

    fn equals(&self, other: &CelValue) -> Result<bool, EvalError> {
        let CelValue::List(other) = other else { return Err(EvalError::no_such_overload()) };
        if self.len() != other.len() {
            return Ok(false);
        }
        match self.kind() {
            ListKind::Set => return self.set_equals(other),
            ListKind::Map(keys) => return self.map_equals(keys, other),
            ListKind::Atomic => {}
        }
        for index in 0..self.len() {
            if !self.get(index)?.equals(&other.get(index)?)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// That an element does not compare is an error unless another is the same.
    fn contains(&self, value: &CelValue) -> Result<bool, EvalError> {
        let mut error = None;
        for index in 0..self.len() {
            match self.get(index).and_then(|item| item.equals(value)) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(other) => error = error.or(Some(other)),
            }
        }
        error.map_or(Ok(false), Err)
    }

    fn concat(&self, other: &List) -> Option<Result<CelValue, EvalError>> {
        // What has no form as JSON cannot be of the same schema: such elements are added as they are.
        let added: Vec<Value> = other.iter().map(|item| to_json(&item.ok()?).ok()).collect::<Option<_>>()?;
        let mut items = self.items.clone();
        for item in added {
            let place = match self.kind() {
                ListKind::Atomic => None,
                ListKind::Set => items.iter().position(|own| *own == item),
                ListKind::Map(keys) => {
                    items.iter().position(|own| map_key(keys, own) == map_key(keys, &item))
                }
            };
            match place {
                Some(place) => items.make_mut()[place] = item,
                None => items.push(item),
            }
        }
        Some(Ok(list(items, &self.schema)))
    }

    fn native(&self) -> Option<CelValue> {
        Some(from_json(&Value::Array(self.items.clone())))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
