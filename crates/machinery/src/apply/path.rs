//! Where in an object: a chain of field names, list keys, set values and indices.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use crate::patch::go_format::go_format;
use crate::value::{Key, Map, Value};

/// One step of a path. The order is upstream's: fields, keys, values, indices.
#[derive(Clone, Debug)]
pub enum PathElement {
    /// A struct's field or a map's key.
    Field(Key),
    /// The element of a list of type `map` with these key fields; the map is sorted by name.
    Key(Map),
    /// The element of a list of type `set`.
    Value(Value),
    Index(i64),
}

/// From the object's root.
pub type Path = [PathElement];

impl PathElement {
    pub fn field(name: &str) -> Self {
        Self::Field(name.into())
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }
}

impl Ord for PathElement {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(a), Self::Field(b)) => a.as_str().cmp(b.as_str()),
            (Self::Key(a), Self::Key(b)) => compare_maps(a, b),
            (Self::Value(a), Self::Value(b)) => compare_values(a, b),
            (Self::Index(a), Self::Index(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for PathElement {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for PathElement {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for PathElement {}

/// Numbers that are equal by amount hash alike.
impl Hash for PathElement {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.rank().hash(hasher);
        match self {
            Self::Field(name) => name.hash(hasher),
            Self::Key(fields) => fields.iter().for_each(|(name, value)| {
                name.hash(hasher);
                hash_value(value, hasher);
            }),
            Self::Value(value) => hash_value(value, hasher),
            Self::Index(i) => i.hash(hasher),
        }
    }
}

/// Of what is compared by looking into it, its size alone.
fn hash_value<H: Hasher>(value: &Value, hasher: &mut H) {
    match value {
        Value::String(text) => text.hash(hasher),
        Value::Bool(flag) => flag.hash(hasher),
        Value::Int(_) | Value::Float(_) => value.as_f64().unwrap_or_default().to_bits().hash(hasher),
        Value::Array(items) => items.len().hash(hasher),
        Value::Object(fields) => fields.len().hash(hasher),
        Value::Null => {}
    }
}

impl fmt::Display for PathElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(fields) => {
                f.write_str("[")?;
                for (i, (name, value)) in fields.iter().enumerate() {
                    let comma = if i > 0 { "," } else { "" };
                    write!(f, "{comma}{name}={}", shown(value))?;
                }
                f.write_str("]")
            }
            Self::Value(value) => write!(f, "[={}]", shown(value)),
            Self::Index(i) => write!(f, "[{i}]"),
        }
    }
}

/// `.spec.containers[name="a"].image`
pub(super) fn path_text(path: &Path) -> String {
    path.iter().map(ToString::to_string).collect()
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(s) => format!("{:?}", s.as_str()),
        Value::Null => "null".to_owned(),
        other => go_format(other),
    }
}

/// Equality of structured-merge-diff: numbers are equal by amount.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|((ka, a), (kb, b))| ka == kb && same(a, b))
        }
        (Value::Int(_) | Value::Float(_), Value::Int(_) | Value::Float(_)) => compare_values(a, b).is_eq(),
        (a, b) => a == b,
    }
}

fn compare_values(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => a.as_str().cmp(b.as_str()),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            let mut pairs = a.iter().zip(b.iter()).map(|(a, b)| compare_values(a, b));
            pairs.find(|order| order.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (Value::Object(a), Value::Object(b)) => compare_maps(a, b),
        _ => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            _ => value_rank(a).cmp(&value_rank(b)),
        },
    }
}

fn compare_maps(a: &Map, b: &Map) -> Ordering {
    let mut pairs = a.iter().zip(b.iter()).map(|((name_a, a), (name_b, b))| {
        name_a.as_str().cmp(name_b.as_str()).then_with(|| compare_values(a, b))
    });
    pairs.find(|order| order.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
}

fn value_rank(value: &Value) -> u8 {
    match value {
        Value::Int(_) | Value::Float(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    }
}
