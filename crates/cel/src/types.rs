//! The types of expressions.

use std::fmt;
use std::sync::Arc;

/// A type as the checker sees it. Displayed as CEL's own messages show it: `list(string)`, `map(string, int)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// Anything, known when it is evaluated.
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Duration,
    Timestamp,
    /// A type as a value: `type(int)`.
    Type(Arc<Type>),
    List(Arc<Type>),
    Map(Arc<(Type, Type)>),
    /// `optional_type(T)`.
    Optional(Arc<Type>),
    /// A wrapper: the primitive or null.
    Nullable(Arc<Type>),
    /// A type that a library or the caller declares, by name and parameters: `kubernetes.Quantity`, an object of a schema.
    Named(Arc<str>, Arc<[Type]>),
    /// A parameter of a declaration: `T`.
    Parameter(Arc<str>),
    /// What the checker gives to what it found wrong.
    Error,
}

impl Type {
    pub fn list(element: Self) -> Self {
        Self::List(Arc::new(element))
    }

    pub fn map(key: Self, value: Self) -> Self {
        Self::Map(Arc::new((key, value)))
    }

    pub fn optional(value: Self) -> Self {
        Self::Optional(Arc::new(value))
    }

    pub fn named(name: &str) -> Self {
        Self::Named(name.into(), Arc::new([]))
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn => f.write_str("dyn"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Duration => f.write_str("google.protobuf.Duration"),
            Self::Timestamp => f.write_str("google.protobuf.Timestamp"),
            Self::Type(of) => write!(f, "type({of})"),
            Self::List(element) => write!(f, "list({element})"),
            Self::Map(of) => write!(f, "map({}, {})", of.0, of.1),
            Self::Optional(of) => write!(f, "optional_type({of})"),
            Self::Nullable(of) => write!(f, "wrapper({of})"),
            Self::Named(name, parameters) if parameters.is_empty() => f.write_str(name),
            Self::Named(name, parameters) => {
                write!(f, "{name}(")?;
                for (at, parameter) in parameters.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    write!(f, "{comma}{parameter}")?;
                }
                f.write_str(")")
            }
            Self::Parameter(name) => f.write_str(name),
            Self::Error => f.write_str("!error!"),
        }
    }
}
