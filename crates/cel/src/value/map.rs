//! Maps and objects.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use ecow::EcoString;

use super::{Value, equal, float_to_int, float_to_uint};
use crate::error::EvalError;

/// A map.
#[derive(Clone, Debug)]
pub enum Map {
    Built(Arc<BuiltMap>),
    View(Arc<dyn MapView>),
}

/// A caller's map or object, with strings as keys. Values are made when they are asked for.
pub trait MapView: Any + fmt::Debug + Send + Sync {
    fn len(&self) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a key or field; None when there is none.
    ///
    /// # Errors
    /// When the caller's data does not fit its schema, or cannot be had.
    fn get(&self, key: &str) -> Result<Option<Value>, EvalError>;

    fn contains(&self, key: &str) -> Result<bool, EvalError> {
        Ok(self.get(key)?.is_some())
    }

    /// The keys, as expressions know them, in a fixed order.
    fn keys(&self) -> Vec<EcoString>;

    /// `self == other`.
    ///
    /// # Errors
    /// When the two do not compare.
    fn equals(&self, other: &Value) -> Result<bool, EvalError> {
        let Value::Map(other) = other else { return Ok(false) };
        if self.len() != other.len() {
            return Ok(false);
        }
        for key in self.keys() {
            let (Some(own), Some(others)) = (self.get(&key)?, other.get(&Value::String(key))?) else {
                return Ok(false);
            };
            if !equal(&own, &others)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The name of its type: `map`, unless it is an object of a declared type.
    fn type_name(&self) -> &str {
        "map"
    }

    /// The map as it is without its schema; None when that is no different.
    fn native(&self) -> Option<Value> {
        None
    }

    fn as_any(&self) -> &dyn Any;
}

/// A map made by an expression. Entries keep their order.
#[derive(Clone, Debug, Default)]
pub struct BuiltMap {
    entries: Vec<(Value, Value)>,
    places: HashMap<Key, usize>,
}

/// A key, numbers by amount: `1`, `1u` and `1.0` find the same entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Bool(bool),
    Int(i64),
    Uint(u64),
    /// By its bits; never a whole number.
    Double(u64),
    String(EcoString),
}

impl Key {
    /// None when values of that type are no keys.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Bool(b) => Self::Bool(*b),
            Value::Int(i) => Self::Int(*i),
            Value::Uint(u) => i64::try_from(*u).map_or(Self::Uint(*u), Self::Int),
            Value::Double(d) => match (float_to_int(*d), float_to_uint(*d)) {
                (Ok(i), _) if i as f64 == *d => Self::Int(i),
                (_, Ok(u)) if u as f64 == *d => Self::Uint(u),
                _ => Self::Double(d.to_bits()),
            },
            Value::String(text) => Self::String(text.clone()),
            _ => return None,
        })
    }
}

impl BuiltMap {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn get(&self, key: &Value) -> Option<&Value> {
        let place = self.places.get(&Key::of(key)?)?;
        Some(&self.entries[*place].1)
    }

    pub fn entries(&self) -> &[(Value, Value)] {
        &self.entries
    }

    /// Writes an entry; answers whether the key is new.
    ///
    /// # Errors
    /// When the key is of a type that keys cannot have.
    pub fn insert(&mut self, key: Value, value: Value) -> Result<bool, EvalError> {
        let Some(hashed) = Key::of(&key) else {
            return Err(EvalError::new(format!("unsupported key type: {}", key.type_name())));
        };
        if let Some(place) = self.places.get(&hashed) {
            self.entries[*place].1 = value;
            return Ok(false);
        }
        self.places.insert(hashed, self.entries.len());
        self.entries.push((key, value));
        Ok(true)
    }

    pub(crate) fn remove(&mut self, key: &Value) {
        let Some(place) = Key::of(key).and_then(|key| self.places.remove(&key)) else { return };
        self.entries.remove(place);
        for other in self.places.values_mut().filter(|other| **other > place) {
            *other -= 1;
        }
    }
}

impl Map {
    pub fn len(&self) -> usize {
        match self {
            Self::Built(map) => map.len(),
            Self::View(view) => view.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// # Errors
    /// When the key is of a type that the map's keys do not have, or the value is malformed.
    pub fn get(&self, key: &Value) -> Result<Option<Value>, EvalError> {
        match (self, key) {
            (Self::Built(map), _) => Ok(map.get(key).cloned()),
            (Self::View(view), Value::String(key)) => view.get(key),
            (Self::View(_), _) => Err(EvalError::no_such_overload()),
        }
    }

    /// # Errors
    /// As [`Map::get`].
    pub fn contains(&self, key: &Value) -> Result<bool, EvalError> {
        match (self, key) {
            (Self::Built(map), _) => Ok(map.get(key).is_some()),
            (Self::View(view), Value::String(key)) => view.contains(key),
            (Self::View(_), _) => Err(EvalError::no_such_overload()),
        }
    }

    pub fn keys(&self) -> Vec<Value> {
        match self {
            Self::Built(map) => map.entries().iter().map(|(key, _)| key.clone()).collect(),
            Self::View(view) => view.keys().into_iter().map(Value::String).collect(),
        }
    }

    pub(super) fn type_name(&self) -> &str {
        match self {
            Self::Built(_) => "map",
            Self::View(view) => view.type_name(),
        }
    }

    pub(super) fn equals(&self, other: &Value) -> Result<bool, EvalError> {
        let own = match self {
            Self::View(view) => return view.equals(other),
            Self::Built(own) => own,
        };
        let Value::Map(other) = other else { return Ok(false) };
        if own.len() != other.len() {
            return Ok(false);
        }
        for (key, value) in own.entries() {
            let Some(others) = other.get(key)? else { return Ok(false) };
            if !equal(value, &others)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl From<BuiltMap> for Value {
    fn from(map: BuiltMap) -> Self {
        Self::Map(Map::Built(Arc::new(map)))
    }
}

/// An object that an expression made.
#[derive(Clone, Debug)]
pub struct Object {
    pub type_name: EcoString,
    /// The fields that are set, in the order they were written.
    pub fields: Vec<(EcoString, Value)>,
}

impl Object {
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.fields.iter().find(|(name, _)| name == field).map(|(_, value)| value)
    }

    pub(super) fn equals(&self, other: &Self) -> Result<bool, EvalError> {
        if self.type_name != other.type_name || self.fields.len() != other.fields.len() {
            return Ok(false);
        }
        for (name, value) in &self.fields {
            match other.get(name) {
                Some(others) if equal(value, others)? => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }
}
