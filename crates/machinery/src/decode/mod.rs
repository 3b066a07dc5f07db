//! Reading what clients send, over a schema, exactly as upstream's decoder would answer.
//!
//! What comes out looks as if it had been a Go struct in between: unknown fields are gone, quantities and times are in
//! their canonical form, empty values are dropped or written as [`Presence`](crate::schema::Presence) says. Messages
//! are those of Go's `encoding/json` and of sigs.k8s.io/json, since clients show and match them.
//!
//! The order of work is upstream's: [`type_meta`] checks the whole text's syntax and says which kind it is; the
//! caller picks that kind's schema; [`json`] decodes. YAML becomes a tree first ([`yaml`]), which [`value`] decodes.
//! Custom resources have no Go type: [`untyped`] reads them, and [`prune`] and validation run on the tree.
//!
//! Deliberately absent: defaulting ([`crate::defaults`]), and the `Status` around a message, which the API server writes.

mod base64;
mod emptied;
mod misfit;
mod prune;
mod reader;
mod restore;
mod scan;
mod time;
mod tree;
mod typed;
mod untyped;
mod yaml;

pub use self::base64::{Base64Error, decode as base64_decode, encode as base64_encode};
pub use emptied::Emptied;
pub use prune::prune;
pub use restore::{restorable, wrapped};
pub(crate) use scan::MAX_DEPTH;
pub use scan::{TypeMeta, check_syntax, type_meta};
pub use time::{parse_micro_time, parse_time};
pub use yaml::{Yaml, YamlError, yaml};

use crate::schema::TypeRef;
use crate::value::Value;

/// What to do about unknown and duplicate fields: the query parameter `fieldValidation`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// Drop them silently.
    Ignore,
    /// Drop them and say so: one warning for each.
    #[default]
    Warn,
    /// Refuse the object.
    Strict,
}

/// A decoded object, and what strict decoding would have said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    pub value: Value,
    /// Empty lists and maps that `value` does not have, since Go would not write them.
    pub emptied: Vec<Emptied>,
    /// Such as `unknown field "spec.foo"`; at most 100, none when validation is [`FieldValidation::Ignore`].
    pub warnings: Vec<String>,
}

/// Why a body is no object of the schema. The text is Go's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A value of the wrong type or form: `json: cannot unmarshal string into Go struct field …`.
    #[error("{0}")]
    Value(String),
    /// [`FieldValidation::Strict`] found unknown or duplicate fields.
    #[error("strict decoding error: {}", .0.join(", "))]
    Strict(Vec<String>),
}

/// Decodes JSON that [`type_meta`] or [`check_syntax`] has found well-formed.
///
/// # Errors
/// When a value does not fit the schema, or with [`FieldValidation::Strict`] when there are unknown or duplicate
/// fields.
pub fn json(text: &str, schema: TypeRef<'_>, validation: FieldValidation) -> Result<Decoded, DecodeError> {
    let mut reader = reader::JsonReader::new(text);
    typed::decode(&mut reader, schema, validation)
}

/// Decodes a tree, as after a patch. Nulls, unknown fields and forms that are not canonical may be in it.
///
/// # Errors
/// As [`json`].
pub fn value(tree: &Value, schema: TypeRef<'_>, validation: FieldValidation) -> Result<Decoded, DecodeError> {
    let mut reader = tree::TreeReader::new(tree);
    typed::decode(&mut reader, schema, validation)
}

/// Reads well-formed JSON without a schema, as custom resources are. The last of duplicate fields wins.
///
/// # Errors
/// With [`FieldValidation::Strict`] when there are duplicate fields.
pub fn untyped(text: &str, validation: FieldValidation) -> Result<Decoded, DecodeError> {
    untyped::decode(text, validation)
}

/// The same text with the numbers that are not integers as they are written, for what takes JSON apart without reading
/// it: they are such as [`crate::status::literal`] makes, and read when a typed object is made of the tree.
pub fn untyped_exact(text: &str) -> Value {
    untyped::exact(text)
}

/// What a type's absent value is once Go has encoded it: `{}` with its own always-written fields for a struct, "" for
/// a string, null for a list.
pub fn zero(schema: TypeRef<'_>) -> Value {
    typed::zero(schema)
}

/// The object of a struct type's fields, each with its place in the type, as Go would write it.
pub(crate) fn close_struct(
    ty: TypeRef<'_>,
    fields: &crate::schema::Struct,
    mut given: Vec<(usize, Value)>,
) -> crate::Map {
    typed::close(ty, fields, &mut given, 0)
}

/// Turns collected strict errors into what the mode wants.
fn finish(value: Value, strict: Vec<String>, validation: FieldValidation) -> Result<Decoded, DecodeError> {
    if validation == FieldValidation::Strict && !strict.is_empty() {
        return Err(DecodeError::Strict(strict));
    }
    Ok(Decoded { value, warnings: strict, ..Decoded::default() })
}

/// At most this many strict errors are collected.
const MAX_STRICT_ERRORS: usize = 100;

/// Adds an error unless it is there already or there are too many.
fn add_strict(errors: &mut Vec<String>, error: String) {
    if errors.len() < MAX_STRICT_ERRORS && !errors.contains(&error) {
        errors.push(error);
    }
}

#[cfg(test)]
mod tests;
