//! The schema form as structured-merge-diff sees it: scalars, lists and maps, each atomic or not.

use super::path::{PathElement, same};
use crate::schema::{Field, ListType, Presence, Shape, StringFormat, TypeRef};
use crate::value::{Key, Map, Value};

/// The type of a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ty<'a> {
    Schema(TypeRef<'a>),
    /// A custom resource's preserved fields: maps are granular, everything else is a leaf.
    Deduced,
    /// A built-in's free-form field: a leaf, whatever it is.
    Atomic,
}

/// What a type is for one value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Atom<'a> {
    Scalar(Scalar),
    /// Owned as a whole.
    AtomicList(Ty<'a>),
    Set(Ty<'a>),
    ListMap(Ty<'a>, &'a [Key]),
    Map {
        ty: Ty<'a>,
        atomic: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Numeric,
    String,
    Boolean,
    Untyped,
}

/// A custom resource's string of a format that structured-merge-diff does not know counts as any scalar.
fn has_unknown_format(ty: TypeRef<'_>) -> bool {
    ty.ty().source.as_ref().is_some_and(|schema| !matches!(schema.str_at(&["format"]), "" | "byte"))
}

impl<'a> Ty<'a> {
    pub(super) fn new(ty: TypeRef<'a>) -> Self {
        match ty.shape() {
            // Only custom resources' types carry the schema that they were made from.
            Shape::Any | Shape::IntOrString if ty.ty().source.is_some() => Self::Deduced,
            Shape::Any => Self::Atomic,
            _ => Self::Schema(ty),
        }
    }

    /// What this type is for `value`, where it depends on that; absent and null values count as maps.
    pub(super) fn atom(self, value: Option<&Value>) -> Atom<'a> {
        let ty = match self {
            Self::Schema(ty) => ty,
            Self::Deduced | Self::Atomic => {
                return match value {
                    Some(Value::Array(_)) => Atom::AtomicList(Self::Atomic),
                    Some(Value::Object(_) | Value::Null) | None => {
                        Atom::Map { ty: self, atomic: matches!(self, Self::Atomic) }
                    }
                    Some(_) => Atom::Scalar(Scalar::Untyped),
                };
            }
        };
        match ty.shape() {
            Shape::Bool => Atom::Scalar(Scalar::Boolean),
            Shape::Integer { .. } | Shape::Number => Atom::Scalar(Scalar::Numeric),
            Shape::String(StringFormat::Plain) if has_unknown_format(ty) => Atom::Scalar(Scalar::Untyped),
            Shape::String(StringFormat::Plain | StringFormat::Bytes | StringFormat::Duration) => {
                Atom::Scalar(Scalar::String)
            }
            Shape::String(StringFormat::Time | StringFormat::MicroTime)
            | Shape::IntOrString
            | Shape::Quantity
            | Shape::Any => Atom::Scalar(Scalar::Untyped),
            Shape::List { item, list_type } => {
                let item = Self::new(ty.with(*item));
                match list_type {
                    ListType::Atomic => Atom::AtomicList(item),
                    ListType::Set => Atom::Set(item),
                    ListType::Map { keys } => Atom::ListMap(item, keys),
                }
            }
            Shape::Map { atomic, .. } => Atom::Map { ty: self, atomic: *atomic },
            Shape::Struct(fields) => Atom::Map { ty: self, atomic: fields.atomic },
        }
    }

    /// Whether it is a built-in type, at and below which lists are atomic.
    pub(super) fn has_no_associative_list(self) -> bool {
        matches!(self, Self::Schema(ty) if ty.ty().source.is_none() && !ty.table.has_associative(ty.id))
    }

    /// The declared field `name`.
    pub(super) fn declared(self, name: &str) -> Option<&'a Field> {
        if let Self::Schema(ty) = self { ty.field(name) } else { None }
    }

    /// The type of what is under the key `name`; None when the schema has no place for it.
    pub(super) fn child(self, name: &str) -> Option<Self> {
        match self {
            Self::Deduced | Self::Atomic => Some(self),
            Self::Schema(ty) => match ty.shape() {
                Shape::Struct(fields) => match fields.field(name) {
                    Some(field) => Some(Self::new(ty.with(field.ty))),
                    None if fields.preserve_unknown || fields.in_preserving || fields.fields.is_empty() => {
                        Some(Self::Deduced)
                    }
                    None => None,
                },
                Shape::Map { value, .. } => Some(Self::new(ty.with(*value))),
                _ => None,
            },
        }
    }
}

/// The path element of a list's element.
pub(super) fn list_element(atom: Atom<'_>, element: &Value) -> Result<PathElement, String> {
    match atom {
        Atom::ListMap(item, keys) => keyed_element(item, keys, element),
        Atom::Set(_) => match element {
            Value::Object(_) => {
                Err("associative list without keys has an element that's a map type".to_owned())
            }
            Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
            Value::Null => {
                Err("associative list without keys has an element that's an explicit null".to_owned())
            }
            scalar => Ok(PathElement::Value(scalar.clone())),
        },
        _ => Err("invalid indexing of non-associative list".to_owned()),
    }
}

/// Whether `element` is the list's element that `known` names: [`list_element`] without making one.
pub(super) fn is_list_element(atom: Atom<'_>, element: &Value, known: &PathElement) -> bool {
    match (atom, known, element) {
        (Atom::ListMap(item, keys), PathElement::Key(known), Value::Object(fields)) => {
            let mut found = 0;
            let is_same = |key: &Key| {
                let default;
                let value = match fields.get(key) {
                    Some(value) => Some(value),
                    None => {
                        default = default_of(item, key);
                        default.as_ref()
                    }
                };
                found += usize::from(value.is_some());
                match (value, known.get(key)) {
                    (Some(value), Some(known)) => same(value, known),
                    (value, known) => value.is_none() && known.is_none(),
                }
            };
            keys.iter().all(is_same) && found > 0 && found == known.len()
        }
        (Atom::Set(_), PathElement::Value(known), scalar) => {
            !matches!(scalar, Value::Object(_) | Value::Array(_) | Value::Null) && same(scalar, known)
        }
        _ => false,
    }
}

fn keyed_element(item: Ty<'_>, keys: &[Key], element: &Value) -> Result<PathElement, String> {
    let fields = match element {
        Value::Object(fields) => fields,
        Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
        _ => return Err("associative list with keys may not have non-map elements".to_owned()),
    };
    let mut found = Map::new();
    for key in keys {
        if let Some(value) = fields.get(key).cloned().or_else(|| default_of(item, key)) {
            found.insert(key.clone(), value);
        }
    }
    if found.is_empty() {
        let keys: Vec<String> = keys.iter().map(|key| format!("{:?}", key.as_str())).collect();
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] (and doesn't have default \
             values for any key fields)",
            keys.join(" ")
        ));
    }
    Ok(PathElement::Key(found))
}

/// A key field's default. For fields that Go always writes, and some others, upstream's OpenAPI says that it is their
/// zero value.
fn default_of(item: Ty<'_>, key: &str) -> Option<Value> {
    let Ty::Schema(ty) = item else { return None };
    let field = ty.field(key)?;
    if let Some(default) = &field.default {
        return Some(default.clone());
    }
    if field.presence != Presence::Always && !field.zero_default {
        return None;
    }
    match ty.with(field.ty).shape() {
        Shape::String(_) => Some(Value::from("")),
        Shape::Integer { .. } | Shape::Number => Some(Value::Int(0)),
        Shape::Bool => Some(Value::Bool(false)),
        _ => None,
    }
}

/// The value as a list; null and everything else have no elements.
pub(super) fn elements(value: &Value) -> &[Value] {
    value.as_array().unwrap_or(&[])
}

/// The value as a map; null and everything else have no fields.
pub(super) fn fields(value: &Value) -> &Map {
    value.object_at(&[])
}
