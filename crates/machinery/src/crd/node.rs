//! A schema's value validations, compiled: regular expressions built, formats looked up.

use regex::Regex;

use super::formats::Format;
use super::go_regex;
use crate::value::{Key, Value};

/// What one node of a JSON schema asks of a value.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    /// Empty when any.
    pub(super) types: Vec<&'static str>,
    /// What is given as a type and is none: no value has it.
    pub(super) no_type: Option<String>,
    pub(super) nullable: bool,
    /// Formats that the type does not have are ignored, as upstream does.
    pub(super) format: Option<(String, Option<Format>)>,
    pub(super) maximum: Option<f64>,
    pub(super) exclusive_maximum: bool,
    pub(super) minimum: Option<f64>,
    pub(super) exclusive_minimum: bool,
    pub(super) multiple_of: Option<f64>,
    pub(super) max_length: Option<i64>,
    pub(super) min_length: Option<i64>,
    pub(super) pattern: Option<(String, Result<Regex, String>)>,
    pub(super) max_items: Option<i64>,
    pub(super) min_items: Option<i64>,
    pub(super) unique_items: bool,
    pub(super) max_properties: Option<i64>,
    pub(super) min_properties: Option<i64>,
    pub(super) required: Vec<Key>,
    pub(super) enumeration: Vec<Value>,
    pub(super) all_of: Vec<Node>,
    pub(super) one_of: Vec<Node>,
    pub(super) any_of: Vec<Node>,
    pub(super) not: Option<Box<Node>>,
    /// Sorted by name.
    pub(super) properties: Vec<(Key, Node)>,
    pub(super) additional_properties: Option<Box<Node>>,
    pub(super) items: Option<Box<Node>>,
    /// The keys that tell list elements apart; None when they are told apart by place alone.
    pub(super) map_keys: Option<Vec<Key>>,
    pub(super) atomic: bool,
}

impl Node {
    pub(super) fn compile(schema: &Value) -> Self {
        let types = types(schema);
        let no_type = Some(schema.str_at(&["type"])).filter(|name| types.is_empty() && !name.is_empty());
        let int = |name| schema.i64_at(&[name]);
        let float = |name| schema.get(name).and_then(Value::as_f64);
        let nodes = |name| schema.array_at(&[name]).iter().map(Self::compile).collect();
        let node = |name| match schema.get(name) {
            Some(inner @ Value::Object(_)) => Some(Box::new(Self::compile(inner))),
            _ => None,
        };
        let pattern = Some(schema.str_at(&["pattern"])).filter(|pattern| !pattern.is_empty());
        let properties = schema.object_at(&["properties"]).iter();
        let is_map = schema.str_at(&["x-kubernetes-list-type"]) == "map";
        Self {
            format: format(schema.str_at(&["format"]), &types),
            types,
            no_type: no_type.map(str::to_owned),
            nullable: schema.bool_at(&["nullable"]),
            maximum: float("maximum"),
            exclusive_maximum: schema.bool_at(&["exclusiveMaximum"]),
            minimum: float("minimum"),
            exclusive_minimum: schema.bool_at(&["exclusiveMinimum"]),
            multiple_of: float("multipleOf"),
            max_length: int("maxLength"),
            min_length: int("minLength"),
            pattern: pattern.map(|pattern| (pattern.to_owned(), go_regex(pattern))),
            max_items: int("maxItems"),
            min_items: int("minItems"),
            unique_items: schema.bool_at(&["uniqueItems"]),
            max_properties: int("maxProperties"),
            min_properties: int("minProperties"),
            required: schema
                .array_at(&["required"])
                .iter()
                .filter_map(Value::as_str)
                .map(Key::from)
                .collect(),
            enumeration: schema.array_at(&["enum"]).to_vec(),
            all_of: nodes("allOf"),
            one_of: nodes("oneOf"),
            any_of: nodes("anyOf"),
            not: node("not"),
            properties: properties.map(|(name, inner)| (name.clone(), Self::compile(inner))).collect(),
            additional_properties: node("additionalProperties"),
            items: node("items"),
            map_keys: is_map.then(|| super::compile::map_keys(schema)),
            atomic: schema.str_at(&["x-kubernetes-map-type"]) == "atomic",
        }
    }

    pub(super) fn property(&self, name: &str) -> Option<&Self> {
        let i = self.properties.binary_search_by(|(other, _)| other.as_str().cmp(name)).ok()?;
        Some(&self.properties[i].1)
    }
}

fn types(schema: &Value) -> Vec<&'static str> {
    if schema.bool_at(&["x-kubernetes-int-or-string"]) {
        return vec!["integer", "string"];
    }
    let known = ["string", "integer", "number", "boolean", "array", "object"];
    let name = schema.str_at(&["type"]);
    known.into_iter().filter(|known| *known == name).collect()
}

fn format(name: &str, types: &[&str]) -> Option<(String, Option<Format>)> {
    let known = match types {
        [] | ["string"] => Some(Some(Format::find(name)?)),
        ["integer"] => matches!(name, "int32" | "int64").then_some(None),
        ["number"] => matches!(name, "float" | "double").then_some(None),
        _ => None,
    };
    known.map(|format| (name.to_owned(), format))
}
