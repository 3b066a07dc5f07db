//! What expressions compute with.
//!
//! A [`Value`] is cheap to clone: what is large is shared. A caller's own trees come in without being copied, as a
//! [`ListView`] or a [`MapView`]; libraries' own types are [`Opaque`].

mod compare;
mod list;
mod map;
mod number;
mod opaque;
mod show;
mod time;

use std::sync::Arc;

use ecow::EcoString;

pub use list::{List, ListView};
pub use map::{BuiltMap, Map, MapView, Object};
pub use opaque::Opaque;
pub use time::{Duration, Timestamp};

pub(crate) use compare::{compare, equal};
pub(crate) use map::Key;
pub(crate) use number::{double_to_string, float_to_int, float_to_uint};

use crate::error::EvalError;
use crate::types::Type;

/// A value at run time.
#[derive(Clone, Debug)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(EcoString),
    Bytes(Arc<[u8]>),
    Duration(Duration),
    Timestamp(Timestamp),
    List(List),
    Map(Map),
    /// A type, by its name.
    Type(EcoString),
    Optional(Option<Arc<Value>>),
    /// Made in the expression from a type's name and fields: `JSONPatch{op: "remove"}`.
    Object(Arc<Object>),
    /// A value of a library: a URL, a quantity.
    Opaque(Arc<dyn Opaque>),
}

impl Value {
    pub fn list(items: Vec<Self>) -> Self {
        Self::List(List::Built(Arc::new(items)))
    }

    pub fn strings<S: Into<EcoString>>(items: impl IntoIterator<Item = S>) -> Self {
        Self::list(items.into_iter().map(|item| Self::String(item.into())).collect())
    }

    pub fn opaque(value: impl Opaque) -> Self {
        Self::Opaque(Arc::new(value))
    }

    /// `optional.of(self)`.
    #[must_use]
    pub fn some(self) -> Self {
        Self::Optional(Some(Arc::new(self)))
    }

    /// `optional.none()`.
    pub fn none() -> Self {
        Self::Optional(None)
    }

    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(b) = self { Some(*b) } else { None }
    }

    /// The library's value of type `T`, if it is one.
    pub fn downcast<T: Opaque>(&self) -> Option<&T> {
        if let Self::Opaque(value) = self { value.as_any().downcast_ref() } else { None }
    }

    /// The name of its type, as `type(x)` answers it.
    pub fn type_name(&self) -> &str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::List(_) => "list",
            Self::Map(map) => map.type_name(),
            Self::Type(_) => "type",
            Self::Optional(_) => "optional_type",
            Self::Object(object) => &object.type_name,
            Self::Opaque(value) => value.type_name(),
        }
    }

    /// Characters of a string, bytes, elements; None where there is no such thing.
    pub(crate) fn size(&self) -> Option<u64> {
        let size = match self {
            Self::String(text) => text.chars().count(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(list) => list.len(),
            Self::Map(map) => map.len(),
            Self::Opaque(value) => return value.size(),
            _ => return None,
        };
        Some(size as u64)
    }

    /// Whether it is its type's zero: `optional.ofNonZeroValue`.
    pub(crate) fn is_zero(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(b) => !b,
            Self::Int(i) => *i == 0,
            Self::Uint(u) => *u == 0,
            Self::Double(d) => *d == 0.0,
            Self::Duration(d) => d.nanoseconds() == 0,
            Self::String(_) | Self::Bytes(_) => self.size() == Some(0),
            // Views are the callers' types, which upstream asks for no zero.
            Self::List(List::Built(items)) => items.is_empty(),
            Self::Map(Map::Built(map)) => map.is_empty(),
            _ => false,
        }
    }

    /// What it is to code that does not know the caller's schema: a view's [`ListView::native`].
    pub(crate) fn native(&self) -> Self {
        match self {
            Self::List(List::View(view)) => view.native().unwrap_or_else(|| self.clone()),
            Self::Map(Map::View(view)) => view.native().unwrap_or_else(|| self.clone()),
            other => other.clone(),
        }
    }

    /// `==` of the language.
    ///
    /// # Errors
    /// Where a value of a library or of a caller does not compare with the other's type.
    pub fn equals(&self, other: &Self) -> Result<bool, EvalError> {
        equal(self, other)
    }
}

/// The name that a type has as a value.
pub(crate) fn runtime_type_name(ty: &Type) -> EcoString {
    match ty {
        Type::Null => "null_type".into(),
        Type::List(_) => "list".into(),
        Type::Map(_) => "map".into(),
        Type::Type(_) => "type".into(),
        Type::Optional(_) => "optional_type".into(),
        Type::Named(name, _) => EcoString::from(&**name),
        other => EcoString::from(other.to_string()),
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

impl From<i64> for Value {
    fn from(i: i64) -> Self {
        Self::Int(i)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl From<EcoString> for Value {
    fn from(text: EcoString) -> Self {
        Self::String(text)
    }
}
