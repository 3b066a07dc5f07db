//! The types of a structural schema's values in expressions, with how large the values can be.

use std::collections::BTreeMap;
use std::sync::Arc;

use drydock_cel::cost::{SizeEstimate, Sizes};
use drydock_cel::env::Types;
use drydock_cel::parse::RESERVED;
use drydock_cel::types::Type;

use crate::value::Value;

/// The largest request, which bounds what schemas do not.
pub(super) const LARGEST_REQUEST: i64 = 3 * 1024 * 1024;

/// The name of the type that a rule's `self` has if it is an object. It is in no expression's reach.
const SELF: &str = "selfType";

/// What a schema says of a value.
#[derive(Debug)]
pub struct Declared {
    pub shape: Shape,
    /// Greatest number of characters, elements or entries; 0 for what has no size.
    pub max_elements: i64,
    /// The fewest bytes that it takes as JSON.
    pub min_size: i64,
}

#[derive(Debug)]
pub enum Shape {
    Simple(Type),
    List(Arc<Declared>),
    /// From strings.
    Map(Arc<Declared>),
    /// By names as expressions write them; see [`escape`].
    Object(BTreeMap<String, Arc<Declared>>),
}

impl Declared {
    fn simple(of: Type, max_elements: i64, min_size: i64) -> Self {
        Self { shape: Shape::Simple(of), max_elements, min_size }
    }

    /// What a structural schema declares; none for what expressions cannot see. `is_resource`: it is an object with
    /// `apiVersion`, `kind` and `metadata`.
    pub fn of(schema: &Value, is_resource: bool) -> Option<Self> {
        if schema.bool_at(&["x-kubernetes-int-or-string"]) {
            return Some(Self::simple(Type::Dyn, max_length(schema).unwrap_or(LARGEST_REQUEST - 2), 1));
        }
        let is_embedded = |schema: &Value| schema.bool_at(&["x-kubernetes-embedded-resource"]);
        if is_resource {
            return match schema.str_at(&["type"]) {
                "object" => object(&with_meta(schema)),
                _ => None,
            };
        }
        match schema.str_at(&["type"]) {
            "array" => {
                let items = object_at(schema, "items")?;
                let items = Self::of(items, is_embedded(items))?;
                let bound = schema.i64_at(&["maxItems"]).map(|max| max.max(0));
                let max_elements = bound.unwrap_or((LARGEST_REQUEST - 2) / (items.min_size + 1));
                Some(Self { shape: Shape::List(Arc::new(items)), max_elements, min_size: 2 })
            }
            "object" => object(schema),
            "string" => Some(string(schema)),
            "boolean" => Some(Self::simple(Type::Bool, 0, 4)),
            "number" => Some(Self::simple(Type::Double, 0, 1)),
            "integer" => Some(Self::simple(Type::Int, 0, 1)),
            _ => None,
        }
    }

    /// The type of a value that stands at a path of type names.
    fn cel_type(&self, name: &str) -> Type {
        match &self.shape {
            Shape::Simple(of) => of.clone(),
            Shape::List(items) => Type::list(items.cel_type(&format!("{name}.@idx"))),
            Shape::Map(values) => Type::map(Type::String, values.cel_type(&format!("{name}.@elem"))),
            Shape::Object(_) => Type::named(name),
        }
    }
}

fn object_at<'a>(schema: &'a Value, field: &str) -> Option<&'a Value> {
    schema.get(field).filter(|inner| matches!(inner, Value::Object(_)))
}

/// In bytes, of which a character takes up to four.
fn max_length(schema: &Value) -> Option<i64> {
    schema.i64_at(&["maxLength"]).map(|max| max.max(0).saturating_mul(4))
}

fn string(schema: &Value) -> Declared {
    let unbounded = LARGEST_REQUEST - 2;
    match schema.str_at(&["format"]) {
        "byte" => {
            let bound = schema.i64_at(&["maxLength"]).map(|max| max.max(0));
            Declared::simple(Type::Bytes, bound.unwrap_or(unbounded), 2)
        }
        "duration" => Declared::simple(Type::Duration, 32, 3),
        "date" => Declared::simple(Type::Timestamp, 12, 12),
        "date-time" => Declared::simple(Type::Timestamp, 32, 21),
        _ => {
            let values = schema.array_at(&["enum"]);
            let longest = values.iter().filter_map(Value::as_str).map(str::len).max().unwrap_or(0);
            let by_enum = if values.is_empty() { unbounded } else { longest as i64 };
            Declared::simple(Type::String, max_length(schema).unwrap_or(by_enum), 2)
        }
    }
}

fn object(schema: &Value) -> Option<Declared> {
    let is_embedded = |schema: &Value| schema.bool_at(&["x-kubernetes-embedded-resource"]);
    if let Some(values) = object_at(schema, "additionalProperties") {
        let values = Declared::of(values, is_embedded(values))?;
        let bound = schema.i64_at(&["maxProperties"]).map(|max| max.max(0));
        let max_elements = bound.unwrap_or((LARGEST_REQUEST - 2) / (values.min_size + 6));
        return Some(Declared { shape: Shape::Map(Arc::new(values)), max_elements, min_size: 2 });
    }
    let required = schema.array_at(&["required"]);
    let mut fields = BTreeMap::new();
    let mut min_size = 2;
    for (name, property) in schema.object_at(&["properties"]).iter() {
        let Some(declared) = Declared::of(property, is_embedded(property)) else { continue };
        let is_required = required.iter().any(|required| required.as_str() == Some(name.as_str()));
        if is_required && property.get("default").is_none_or(Value::is_null) {
            min_size += name.len() as i64 + declared.min_size + 4;
        }
        if let Some(name) = escape(name) {
            fields.insert(name, Arc::new(declared));
        }
    }
    Some(Declared { shape: Shape::Object(fields), max_elements: 0, min_size })
}

/// A resource's schema with what every resource has: `apiVersion`, `kind`, and of `metadata` the names.
pub(super) fn with_meta(schema: &Value) -> Value {
    let is =
        |path: &[&str], of: &str| schema.at(path).is_some_and(|property| property.str_at(&["type"]) == of);
    let metadata = ["properties", "metadata", "properties"];
    if is(&["properties", "kind"], "string")
        && is(&["properties", "apiVersion"], "string")
        && is(&["properties", "metadata"], "object")
        && is(&[metadata[0], metadata[1], metadata[2], "name"], "string")
        && is(&[metadata[0], metadata[1], metadata[2], "generateName"], "string")
    {
        return schema.clone();
    }
    let mut schema = schema.clone();
    let string = || crate::value!({"type": "string"});
    schema.set(&["properties", "kind"], string());
    schema.set(&["properties", "apiVersion"], string());
    let names = crate::value!({"name": (string()), "generateName": (string())});
    schema.set(&["properties", "metadata"], crate::value!({"type": "object", "properties": (names)}));
    schema
}

/// The types and sizes that a rule's `self` and `oldSelf` have.
#[derive(Clone, Debug)]
pub struct SelfType(pub Arc<Declared>);

impl SelfType {
    /// The type of `self`.
    pub fn cel_type(&self) -> Type {
        self.0.cel_type(SELF)
    }

    /// The object that a type's name stands for.
    fn object(&self, name: &str) -> Option<&BTreeMap<String, Arc<Declared>>> {
        let mut parts = name.strip_prefix(SELF)?.split('.');
        if parts.next() != Some("") {
            return None;
        }
        let mut at = &self.0;
        for part in parts {
            at = match (&at.shape, part) {
                (Shape::List(items), "@idx") => items,
                (Shape::Map(values), "@elem") => values,
                (Shape::Object(fields), field) => fields.get(field)?,
                _ => return None,
            };
        }
        match &at.shape {
            Shape::Object(fields) => Some(fields),
            _ => None,
        }
    }
}

impl Types for SelfType {
    fn has_type(&self, name: &str) -> bool {
        self.object(name).is_some()
    }

    fn is_nameable(&self, _: &str) -> bool {
        false
    }

    fn field(&self, type_name: &str, field: &str) -> Option<Type> {
        Some(self.object(type_name)?.get(field)?.cel_type(&format!("{type_name}.{field}")))
    }
}

impl Sizes for SelfType {
    fn size(&self, path: &[Arc<str>], _: &Type) -> Option<SizeEstimate> {
        let mut at = &self.0;
        // Every path begins with a variable, and every variable is of this type.
        let (_, steps) = path.split_first()?;
        for step in steps {
            at = match (&at.shape, &**step) {
                (Shape::List(inside), "@items" | "@values") | (Shape::Map(inside), "@items" | "@values") => {
                    inside
                }
                (Shape::Map(_), "@keys") => return (step == steps.last()?).then_some(SizeEstimate::fixed(0)),
                (Shape::Object(fields), field) => fields.get(field)?,
                _ => return None,
            };
        }
        Some(SizeEstimate { min: 0, max: at.max_elements.cast_unsigned() })
    }
}

/// A property's name as expressions write it: `a-b` is `a__dash__b`. None if they cannot.
pub fn escape(name: &str) -> Option<String> {
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if RESERVED.contains(&name) {
        return Some(format!("__{name}__"));
    }
    let mut escaped = String::new();
    let mut characters = name.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '_' if characters.next_if_eq(&'_').is_some() => escaped.push_str("__underscores__"),
            '.' => escaped.push_str("__dot__"),
            '-' => escaped.push_str("__dash__"),
            '/' => escaped.push_str("__slash__"),
            '_' => escaped.push('_'),
            _ if character.is_ascii_alphanumeric() => escaped.push(character),
            _ => return None,
        }
    }
    Some(escaped)
}

/// The property's name that expressions write so. None when there is none.
pub fn unescape(escaped: &str) -> Option<String> {
    let mut name = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(start) = rest.find("__") {
        let after = &rest[start + 2..];
        let end = after.find('_').filter(|end| *end > 0 && after[*end..].starts_with("__"));
        let Some(end) = end else {
            // Not the beginning of an escape; the next underscore may be.
            name.push_str(&rest[..=start]);
            rest = &rest[start + 1..];
            continue;
        };
        name.push_str(&rest[..start]);
        match &after[..end] {
            "underscores" => name.push_str("__"),
            "dot" => name.push('.'),
            "dash" => name.push('-'),
            "slash" => name.push('/'),
            word if RESERVED.contains(&word) && escaped.len() == word.len() + 4 => name.push_str(word),
            _ => return None,
        }
        rest = &after[end + 2..];
    }
    name.push_str(rest);
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn names_are_escaped() {
        for (name, expected) in [
            ("a-b", Some("a__dash__b")),
            ("c.d/e", Some("c__dot__d__slash__e")),
            ("namespace", Some("__namespace__")),
            ("a__b___c", Some("a__underscores__b__underscores___c")),
            ("plain_name", Some("plain_name")),
            ("1st", None),
            ("über", None),
            ("", None),
        ] {
            assert_eq!(escape(name).as_deref(), expected, "{name}");
            if let Some(escaped) = expected {
                assert_eq!(unescape(escaped).as_deref(), Some(name), "{escaped}");
            }
        }
    }

    #[test]
    fn types_and_sizes_come_from_the_schema() {
        let schema = value!({
            "type": "object",
            "required": ["list", "name"],
            "properties": {
                "name": {"type": "string", "maxLength": 10},
                "list": {"type": "array", "maxItems": 5, "items": {"type": "object", "properties": {"a-b": {"type": "integer"}}}},
                "map": {"type": "object", "additionalProperties": {"type": "string", "enum": ["one", "three"]}},
                "any": {"x-kubernetes-int-or-string": true},
                "hidden": {"x-kubernetes-preserve-unknown-fields": true},
            },
        });
        let of = SelfType(Arc::new(Declared::of(&schema, true).expect("declared")));
        let shown = |field: &str| of.field("selfType", field).map(|of| of.to_string());
        assert_eq!(shown("list").as_deref(), Some("list(selfType.list.@idx)"));
        assert_eq!(of.field("selfType.list.@idx", "a__dash__b"), Some(Type::Int));
        assert_eq!(shown("map").as_deref(), Some("map(string, string)"));
        assert_eq!(shown("any").as_deref(), Some("dyn"));
        assert_eq!(shown("hidden"), None);
        assert_eq!(shown("kind").as_deref(), Some("string"));
        assert_eq!(of.field("selfType.metadata", "generateName"), Some(Type::String));
        let size = |path: &[&str]| {
            let path: Vec<Arc<str>> = path.iter().map(|step| Arc::from(*step)).collect();
            of.size(&path, &Type::Dyn).map(|size| size.max)
        };
        assert_eq!(size(&["self", "name"]), Some(40));
        assert_eq!(size(&["self", "list"]), Some(5));
        assert_eq!(size(&["self", "list", "@items", "a__dash__b"]), Some(0));
        assert_eq!(size(&["self", "map"]), Some(393_215));
        assert_eq!(size(&["self", "map", "@values"]), Some(5));
        assert_eq!(size(&["self", "nothing"]), None);
        // {}, "list":[], and "name":"",
        assert_eq!(of.0.min_size, 2 + (4 + 2 + 4) + (4 + 2 + 4));
    }
}
