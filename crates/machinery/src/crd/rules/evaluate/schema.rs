//! A structural schema as far as values of expressions need it.

use std::sync::Arc;

use crate::crd::compile::map_keys;
use crate::crd::rules::declare::with_meta;
use crate::value::{Key, Value};

/// One node.
#[derive(Debug)]
pub(super) struct Typed {
    pub(super) nullable: bool,
    pub(super) shape: Shape,
}

#[derive(Debug)]
pub(super) enum Shape {
    IntOrString,
    /// With properties, keys are names of fields and are escaped; else every key has the type `additional`.
    Object {
        properties: Vec<(Key, Arc<Typed>)>,
        additional: Option<Arc<Typed>>,
    },
    List {
        items: Option<Arc<Typed>>,
        kind: ListKind,
    },
    Text(Format),
    Number,
    Integer,
    Bool,
    /// Whatever it is, it stays as it is.
    Preserved,
    /// A type that structural schemas do not have.
    Other(String),
}

#[derive(Debug)]
pub(super) enum ListKind {
    Atomic,
    Set,
    Map(Vec<Key>),
}

/// What a text is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Plain,
    Duration,
    Date,
    DateTime,
    Byte,
}

impl Typed {
    /// `is_resource`: with `apiVersion`, `kind` and `metadata`, whether the schema has them or not.
    pub(super) fn compile(schema: &Value, is_resource: bool) -> Arc<Self> {
        let extended;
        let schema = if is_resource {
            extended = with_meta(schema);
            &extended
        } else {
            schema
        };
        Arc::new(Self { nullable: schema.bool_at(&["nullable"]), shape: shape(schema) })
    }

    fn below(schema: &Value) -> Arc<Self> {
        Self::compile(schema, schema.bool_at(&["x-kubernetes-embedded-resource"]))
    }

    pub(super) fn property(&self, name: &str) -> Option<&Arc<Self>> {
        let Shape::Object { properties, additional } = &self.shape else { return None };
        if properties.is_empty() {
            return additional.as_ref();
        }
        let index = properties.binary_search_by(|(other, _)| other.as_str().cmp(name)).ok()?;
        Some(&properties[index].1)
    }

    /// Whether keys are names of fields.
    pub(super) fn has_properties(&self) -> bool {
        matches!(&self.shape, Shape::Object { properties, .. } if !properties.is_empty())
    }

    pub(super) fn items(&self) -> Option<&Arc<Self>> {
        if let Shape::List { items, .. } = &self.shape { items.as_ref() } else { None }
    }
}

fn shape(schema: &Value) -> Shape {
    if schema.bool_at(&["x-kubernetes-int-or-string"]) {
        return Shape::IntOrString;
    }
    let object_at = |name: &str| schema.get(name).filter(|inner| matches!(inner, Value::Object(_)));
    match schema.str_at(&["type"]) {
        "object" => Shape::Object {
            properties: schema
                .object_at(&["properties"])
                .iter()
                .map(|(name, property)| (name.clone(), Typed::below(property)))
                .collect(),
            additional: object_at("additionalProperties").map(Typed::below),
        },
        "array" => Shape::List {
            items: object_at("items").map(Typed::below),
            kind: match schema.str_at(&["x-kubernetes-list-type"]) {
                "map" => ListKind::Map(map_keys(schema)),
                "set" => ListKind::Set,
                _ => ListKind::Atomic,
            },
        },
        "string" => Shape::Text(match schema.str_at(&["format"]) {
            "duration" => Format::Duration,
            "date" => Format::Date,
            "date-time" => Format::DateTime,
            "byte" => Format::Byte,
            _ => Format::Plain,
        }),
        "number" => Shape::Number,
        "integer" => Shape::Integer,
        "boolean" => Shape::Bool,
        _ if schema.bool_at(&["x-kubernetes-preserve-unknown-fields"]) => Shape::Preserved,
        other => Shape::Other(other.to_owned()),
    }
}
