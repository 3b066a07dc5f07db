//! One JSON-shaped tree for everything that goes through the API.
//!
//! Invariants: a [`Map`] is sorted by key and has no key twice; strings are UTF-8; integers that fit an `i64` are
//! [`Value::Int`], all other numbers are [`Value::Float`], as in apimachinery's `unstructured`.
//! Clones share storage; a write copies only the nodes on the path to what changes.

mod convert;
mod map;
mod serial;
mod write;

use std::fmt;

use ecow::{EcoString, EcoVec};

pub(crate) use map::intern_known;
pub use map::{Key, Map, intern};
pub use write::write_json_string;
pub(crate) use write::{IN_HTML, write_name, write_plain_string};

/// A JSON-shaped value, cheap to clone.
#[derive(Clone, Default, PartialEq)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(EcoString),
    Array(EcoVec<Value>),
    Object(Map),
}

impl Value {
    /// An empty object.
    pub fn object() -> Self {
        Self::Object(Map::new())
    }

    #[inline]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    #[inline]
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(b) = self { Some(*b) } else { None }
    }

    #[inline]
    pub fn as_i64(&self) -> Option<i64> {
        if let Self::Int(i) = self { Some(*i) } else { None }
    }

    /// The number as a float, whether it was written as an integer or not.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(i) => Some(*i as f64),
            Self::Float(f) => Some(*f),
            _ => None,
        }
    }

    #[inline]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(s) = self { Some(s) } else { None }
    }

    #[inline]
    /// Makes integers of the numbers that JSON writes without a point, as who reads them back has them.
    pub fn settle_numbers(&mut self) {
        fn whole(number: f64) -> Option<i64> {
            let fits = number == number.trunc() && number.abs() < 9_223_372_036_854_775_808.0;
            fits.then_some(number as i64)
        }
        fn has_any(value: &Value) -> bool {
            match value {
                Value::Float(number) => whole(*number).is_some(),
                Value::Array(items) => items.iter().any(has_any),
                Value::Object(map) => map.values().any(has_any),
                _ => false,
            }
        }
        fn settle(value: &mut Value) {
            match value {
                Value::Float(number) => *value = whole(*number).map_or(Value::Float(*number), Value::Int),
                Value::Array(items) => items.make_mut().iter_mut().for_each(settle),
                Value::Object(map) => map.iter_mut().for_each(|(_, value)| settle(value)),
                _ => {}
            }
        }
        // Looked at first: what is written to is copied.
        if has_any(self) {
            settle(self);
        }
    }

    pub fn as_array(&self) -> Option<&[Value]> {
        if let Self::Array(a) = self { Some(a) } else { None }
    }

    pub fn as_array_mut(&mut self) -> Option<&mut EcoVec<Value>> {
        if let Self::Array(a) = self { Some(a) } else { None }
    }

    #[inline]
    pub fn as_object(&self) -> Option<&Map> {
        if let Self::Object(m) = self { Some(m) } else { None }
    }

    pub fn as_object_mut(&mut self) -> Option<&mut Map> {
        if let Self::Object(m) = self { Some(m) } else { None }
    }

    /// The field `key`, when this is an object that has it.
    #[inline]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_object()?.get(key)
    }

    /// The value at a path of field names. An explicit null counts as present.
    #[inline]
    pub fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(self, |value, key| value.get(key))
    }

    /// The string at a path, or "" when there is none.
    #[inline]
    pub fn str_at(&self, path: &[&str]) -> &str {
        self.at(path).and_then(Value::as_str).unwrap_or("")
    }

    /// The integer at a path.
    #[inline]
    pub fn i64_at(&self, path: &[&str]) -> Option<i64> {
        self.at(path).and_then(Value::as_i64)
    }

    /// The boolean at a path; false when there is none.
    #[inline]
    pub fn bool_at(&self, path: &[&str]) -> bool {
        self.at(path).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The elements of the array at a path; empty when there is none.
    #[inline]
    pub fn array_at(&self, path: &[&str]) -> &[Value] {
        self.at(path).and_then(Value::as_array).unwrap_or(&[])
    }

    /// The fields of the object at a path; empty when there is none.
    #[inline]
    pub fn object_at(&self, path: &[&str]) -> &Map {
        static EMPTY: Map = Map::new();
        self.at(path).and_then(Value::as_object).unwrap_or(&EMPTY)
    }

    /// A place to write the value at `path`; objects are made on the way, and anything else in the way is replaced.
    pub fn at_mut(&mut self, path: &[&str]) -> &mut Value {
        let mut here = self;
        for key in path {
            if !matches!(here, Self::Object(_)) {
                *here = Self::object();
            }
            let Self::Object(map) = here else { unreachable!("made an object above") };
            here = map.get_or_insert(key);
        }
        here
    }

    /// Writes `value` at `path`.
    pub fn set(&mut self, path: &[&str], value: impl Into<Value>) {
        *self.at_mut(path) = value.into();
    }

    /// Removes and returns what is at `path`. Nothing is made on the way.
    pub fn remove(&mut self, path: &[&str]) -> Option<Value> {
        let (last, parents) = path.split_last()?;
        self.at(parents)?.get(last)?;
        self.at_mut(parents).as_object_mut()?.remove(last)
    }

    /// Whether both are one and the same array or object in memory, and so equal without a look inside.
    pub fn shares_storage(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Array(a), Self::Array(b)) => a.as_ptr() == b.as_ptr() && a.len() == b.len(),
            (Self::Object(a), Self::Object(b)) => {
                a.entries().as_ptr() == b.entries().as_ptr() && a.len() == b.len()
            }
            _ => false,
        }
    }

    /// Where in memory an array's or object's parts are; None of what has none. Equal addresses of values that both are
    /// alive mean equal values.
    pub(crate) fn storage(&self) -> Option<usize> {
        match self {
            Self::Array(items) if !items.is_empty() => Some(items.as_ptr().addr()),
            Self::Object(map) if !map.is_empty() => Some(map.entries().as_ptr().addr()),
            _ => None,
        }
    }

    /// Lets go of storage of its own for every part that is equal to the same part of `other`, and shares that. Answers
    /// whether all is equal.
    pub fn share_with(&mut self, other: &Self) -> bool {
        if self.shares_storage(other) {
            return true;
        }
        let equal = match (&mut *self, other) {
            (Self::Array(own), Self::Array(others)) => {
                let parts = own.make_mut().iter_mut().zip(others);
                // All parts are gone through, whatever came of those before.
                let equal = parts.fold(true, |equal, (part, other)| part.share_with(other) & equal);
                equal && own.len() == others.len()
            }
            (Self::Object(own), Self::Object(others)) => {
                let same_length = own.len() == others.len();
                let share = |(key, part): (&Key, &mut Self)| {
                    others.get(key).is_some_and(|other| part.share_with(other))
                };
                own.iter_mut().map(share).fold(true, |equal, part| part & equal) && same_length
            }
            (own, other) => own == other,
        };
        if equal {
            *self = other.clone();
        }
        equal
    }

    /// Reads JSON. The last of duplicate keys wins; strict decoding over a schema reports them.
    ///
    /// # Errors
    /// When the text is not one JSON document.
    pub fn from_json(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_json()))
    }
}

/// Builds a [`Value`] from JSON-like syntax, with expressions inside as in [`serde_json::json!`].
#[macro_export]
macro_rules! value {
    ($($json:tt)+) => { $crate::Value::from($crate::__private::json!($($json)+)) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_survives_json() {
        let text = br#"{"a":[1,-2,3.5,"x\n\"\\",null,true],"b":{"a-long-field-name-here":""},"c":{}}"#;
        let value = Value::from_json(text).unwrap();
        assert_eq!(value.to_json(), text);
    }

    #[test]
    fn writing_a_clone_leaves_the_original() {
        let original = value!({"spec": {"replicas": 1, "template": {"x": [1, 2]}}});
        let mut copy = original.clone();
        copy.set(&["spec", "replicas"], 5);
        assert_eq!(original.i64_at(&["spec", "replicas"]), Some(1));
        assert_eq!(copy.i64_at(&["spec", "replicas"]), Some(5));
        assert_eq!(copy.remove(&["spec", "template", "x"]), Some(value!([1, 2])));
        assert_eq!(copy.remove(&["no", "such"]), None);
    }

    #[test]
    fn equal_parts_are_shared_and_others_stay() {
        let other = value!({"a": {"x": [1, {"y": "z"}]}, "b": {"same": {"deep": [1]}, "own": 1}, "c": 2});
        let own = value!({"a": {"x": [1, {"y": "z"}]}, "b": {"same": {"deep": [1]}, "own": 3}, "d": 2});
        let mut shared = own.clone();
        assert!(!shared.share_with(&other));
        assert_eq!(shared, own);
        let both = |path: &[&str]| shared.at(path).unwrap().shares_storage(other.at(path).unwrap());
        assert!(both(&["a"]) && both(&["b", "same"]) && !both(&["b"]));
        let mut equal = value!({"a": {"x": [1]}});
        assert!(equal.share_with(&value!({"a": {"x": [1]}})));
        assert!(!value!({"a": [1, 2]}).share_with(&value!({"a": [1]})));
    }

    #[test]
    fn a_value_is_three_words() {
        assert_eq!(size_of::<Value>(), 24);
    }
}
