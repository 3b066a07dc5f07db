//! One JSON-shaped tree for everything that goes through the API.
//!
//! Invariants: a [`Map`] is sorted by key and has no key twice; strings are UTF-8; integers that fit an `i64` are
//! [`Value::Int`], all other numbers are [`Value::Float`], as in apimachinery's `unstructured`.
//! Clones share storage; a write copies only the nodes on the path to what changes.

use std::fmt;

use ecow::{EcoString, EcoVec};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

/// A map key. Up to 15 bytes are kept inline.
pub type Key = EcoString;

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

/// Fields of an object, sorted by name.
#[derive(Clone, Default, PartialEq)]
pub struct Map {
    entries: EcoVec<(Key, Value)>,
}

impl Value {
    /// An empty object.
    pub fn object() -> Self {
        Self::Object(Map::new())
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(b) = self { Some(*b) } else { None }
    }

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

    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(s) = self { Some(s) } else { None }
    }

    pub fn as_array(&self) -> Option<&[Value]> {
        if let Self::Array(a) = self { Some(a) } else { None }
    }

    pub fn as_array_mut(&mut self) -> Option<&mut EcoVec<Value>> {
        if let Self::Array(a) = self { Some(a) } else { None }
    }

    pub fn as_object(&self) -> Option<&Map> {
        if let Self::Object(m) = self { Some(m) } else { None }
    }

    pub fn as_object_mut(&mut self) -> Option<&mut Map> {
        if let Self::Object(m) = self { Some(m) } else { None }
    }

    /// The field `key`, when this is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_object()?.get(key)
    }

    /// The value at a path of field names. An explicit null counts as present.
    pub fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(self, |value, key| value.get(key))
    }

    /// The string at a path, or "" when there is none.
    pub fn str_at(&self, path: &[&str]) -> &str {
        self.at(path).and_then(Value::as_str).unwrap_or("")
    }

    /// The integer at a path.
    pub fn i64_at(&self, path: &[&str]) -> Option<i64> {
        self.at(path).and_then(Value::as_i64)
    }

    /// The boolean at a path; false when there is none.
    pub fn bool_at(&self, path: &[&str]) -> bool {
        self.at(path).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The elements of the array at a path; empty when there is none.
    pub fn array_at(&self, path: &[&str]) -> &[Value] {
        self.at(path).and_then(Value::as_array).unwrap_or(&[])
    }

    /// The fields of the object at a path; empty when there is none.
    pub fn object_at(&self, path: &[&str]) -> &Map {
        static EMPTY: Map = Map { entries: EcoVec::new() };
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
                a.entries.as_ptr() == b.entries.as_ptr() && a.len() == b.len()
            }
            _ => false,
        }
    }

    /// Where in memory an array's or object's parts are; None of what has none. Equal addresses of values that both are
    /// alive mean equal values.
    pub(crate) fn storage(&self) -> Option<usize> {
        match self {
            Self::Array(items) if !items.is_empty() => Some(items.as_ptr().addr()),
            Self::Object(map) if !map.is_empty() => Some(map.entries.as_ptr().addr()),
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

    /// Compact JSON.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        self.write_json(&mut out);
        out
    }

    /// Appends compact JSON to `out`.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Int(i) => out.extend_from_slice(itoa::Buffer::new().format(*i).as_bytes()),
            Self::Float(f) => write_float(*f, out),
            Self::String(s) => write_json_string(s, out),
            Self::Array(items) => {
                out.push(b'[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    item.write_json(out);
                }
                out.push(b']');
            }
            Self::Object(map) => {
                out.push(b'{');
                for (i, (key, value)) in map.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    write_json_string(key, out);
                    out.push(b':');
                    value.write_json(out);
                }
                out.push(b'}');
            }
        }
    }
}

/// As Go's encoding/json: the shortest digits that read back, with an exponent only for the very small and large.
fn write_float(f: f64, out: &mut Vec<u8>) {
    if f == f.trunc() && f.abs() < 1e15 {
        out.extend_from_slice(itoa::Buffer::new().format(f as i64).as_bytes());
    } else if !f.is_finite() {
        out.extend_from_slice(b"null");
    } else if (1e-6..1e21).contains(&f.abs()) {
        out.extend_from_slice(format!("{f}").as_bytes());
    } else {
        let text = format!("{f:e}");
        let signed = match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
            _ => text,
        };
        out.extend_from_slice(signed.as_bytes());
    }
}

/// Appends `s` as a JSON string, quotes included.
pub fn write_json_string(s: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = s.as_bytes();
    let mut start = 0;
    for (i, &b) in bytes.iter().enumerate() {
        if b >= 0x20 && b != b'"' && b != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[start..i]);
        start = i + 1;
        match b {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(b >> 4)]);
                out.push(HEX[usize::from(b & 15)]);
            }
        }
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}

impl Map {
    pub const fn new() -> Self {
        Self { entries: EcoVec::new() }
    }

    /// Takes entries in any order; the last of duplicate keys wins.
    pub fn from_entries(entries: impl IntoIterator<Item = (Key, Value)>) -> Self {
        let mut map = Self::new();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }

    /// Takes entries that are sorted by key, without duplicates.
    pub(crate) fn from_sorted(entries: EcoVec<(Key, Value)>) -> Self {
        debug_assert!(entries.windows(2).all(|pair| pair[0].0 < pair[1].0));
        Self { entries }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|(k, _)| k.as_str().cmp(key))
    }

    /// Where `key` is. Names of fields mostly differ in length, so that looking at each in turn is faster than halving as
    /// long as there are few.
    fn position(&self, key: &str) -> Option<usize> {
        const FEW: usize = 12;
        if self.entries.len() > FEW {
            return self.find(key).ok();
        }
        self.entries.iter().position(|(other, _)| other.as_str() == key)
    }

    pub fn get(&self, key: &str) -> Option<&Value> {
        self.position(key).map(|i| &self.entries[i].1)
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        let i = self.position(key)?;
        Some(&mut self.entries.make_mut()[i].1)
    }

    /// The value of `key`, inserted as null when absent.
    pub fn get_or_insert(&mut self, key: &str) -> &mut Value {
        let i = match self.find(key) {
            Ok(i) => i,
            Err(i) => {
                self.entries.insert(i, (intern(key), Value::Null));
                i
            }
        };
        &mut self.entries.make_mut()[i].1
    }

    pub fn contains_key(&self, key: &str) -> bool {
        self.position(key).is_some()
    }

    /// Writes `value`; answers what was there.
    pub fn insert(&mut self, key: impl Into<Key>, value: impl Into<Value>) -> Option<Value> {
        let (key, value) = (key.into(), value.into());
        // Objects are mostly read in order: appending is the common case.
        if self.entries.last().is_none_or(|(last, _)| last.as_str() < key.as_str()) {
            self.entries.push((key, value));
            return None;
        }
        match self.find(&key) {
            Ok(i) => Some(std::mem::replace(&mut self.entries.make_mut()[i].1, value)),
            Err(i) => {
                self.entries.insert(i, (key, value));
                None
            }
        }
    }

    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let i = self.position(key)?;
        Some(self.entries.remove(i).1)
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&str, &mut Value) -> bool) {
        self.entries.retain(|(key, value)| keep(key, value));
    }

    pub(crate) fn entries(&self) -> &[(Key, Value)] {
        &self.entries
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Key, &Value)> + ExactSizeIterator {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&Key, &mut Value)> {
        self.entries.make_mut().iter_mut().map(|(key, value)| (&*key, value))
    }

    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Key> + ExactSizeIterator {
        self.entries.iter().map(|(key, _)| key)
    }

    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Value> + ExactSizeIterator {
        self.entries.iter().map(|(_, value)| value)
    }
}

impl FromIterator<(Key, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (Key, Value)>>(entries: I) -> Self {
        Self::from_entries(entries)
    }
}

/// A key for `name`. Names longer than fit inline share one allocation when they are a known field name.
pub fn intern(name: &str) -> Key {
    if name.len() > EcoString::INLINE_LIMIT
        && let Some(known) = KNOWN.get().and_then(|known| known.get(name))
    {
        return known.clone();
    }
    Key::from(name)
}

/// Tells [`intern`] which field names exist, once per process. Later calls change nothing.
pub fn intern_known<'a>(names: impl IntoIterator<Item = &'a str>) {
    let _ = KNOWN.get_or_init(|| names.into_iter().map(Key::from).collect());
}

static KNOWN: std::sync::OnceLock<std::collections::HashSet<Key>> = std::sync::OnceLock::new();

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_json()))
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Value::Object(self.clone()).fmt(f)
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

macro_rules! from_int {
    ($($int:ty),*) => {$(
        impl From<$int> for Value {
            fn from(i: $int) -> Self {
                Self::Int(i64::from(i))
            }
        }
    )*};
}
from_int!(i8, i16, i32, i64, u8, u16, u32);

impl From<usize> for Value {
    fn from(i: usize) -> Self {
        i64::try_from(i).map_or(Self::Float(i as f64), Self::Int)
    }
}

impl From<u64> for Value {
    fn from(i: u64) -> Self {
        i64::try_from(i).map_or(Self::Float(i as f64), Self::Int)
    }
}

impl From<f64> for Value {
    fn from(f: f64) -> Self {
        Self::Float(f)
    }
}

impl From<&str> for Value {
    fn from(s: &str) -> Self {
        Self::String(s.into())
    }
}

impl From<String> for Value {
    fn from(s: String) -> Self {
        Self::String(s.into())
    }
}

impl From<EcoString> for Value {
    fn from(s: EcoString) -> Self {
        Self::String(s)
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::Object(map)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }
}

impl From<EcoVec<Value>> for Value {
    fn from(items: EcoVec<Value>) -> Self {
        Self::Array(items)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(b) => Self::Bool(b),
            serde_json::Value::Number(n) => {
                n.as_i64().map_or_else(|| Self::Float(n.as_f64().unwrap_or(0.0)), Self::Int)
            }
            serde_json::Value::String(s) => Self::String(s.into()),
            serde_json::Value::Array(items) => Self::Array(items.into_iter().map(Into::into).collect()),
            serde_json::Value::Object(map) => {
                Self::Object(map.into_iter().map(|(k, v)| (intern(&k), v.into())).collect())
            }
        }
    }
}

/// Builds a [`Value`] from JSON-like syntax, with expressions inside as in [`serde_json::json!`].
#[macro_export]
macro_rules! value {
    ($($json:tt)+) => { $crate::Value::from($crate::__private::json!($($json)+)) };
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(b) => serializer.serialize_bool(*b),
            Self::Int(i) => serializer.serialize_i64(*i),
            Self::Float(f) => serializer.serialize_f64(*f),
            Self::String(s) => serializer.serialize_str(s),
            Self::Array(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
            Self::Object(map) => {
                let mut out = serializer.serialize_map(Some(map.len()))?;
                for (key, value) in map.iter() {
                    out.serialize_entry(key.as_str(), value)?;
                }
                out.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, b: bool) -> Result<Value, E> {
        Ok(Value::Bool(b))
    }

    fn visit_i64<E>(self, i: i64) -> Result<Value, E> {
        Ok(Value::Int(i))
    }

    fn visit_u64<E>(self, u: u64) -> Result<Value, E> {
        Ok(Value::from(u))
    }

    fn visit_f64<E>(self, f: f64) -> Result<Value, E> {
        Ok(Value::Float(f))
    }

    fn visit_str<E: de::Error>(self, s: &str) -> Result<Value, E> {
        Ok(Value::from(s))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = EcoVec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<InternedKey>()? {
            map.insert(key.0, access.next_value::<Value>()?);
        }
        Ok(Value::Object(map))
    }
}

struct InternedKey(Key);

impl<'de> Deserialize<'de> for InternedKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = InternedKey;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }
            fn visit_str<E: de::Error>(self, s: &str) -> Result<InternedKey, E> {
                Ok(InternedKey(intern(s)))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
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
