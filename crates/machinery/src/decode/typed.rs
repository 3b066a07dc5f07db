//! The decoder proper: a document, a schema, and Go's rules.

use ecow::{EcoString, EcoVec};

use super::emptied::{self, Emptied, Place};
use super::misfit::{Step, go_type_name, misfit, path_to};
use super::reader::{Number, Reader, Text, Token};
use super::{DecodeError, Decoded, FieldValidation, add_strict, base64, finish, time};
use crate::catalog::Catalog;
use crate::go_text::go_quote;
use crate::patch::json::json_kind;
use crate::quantity::Quantity;
use crate::schema::{Field, Presence, Shape, StringFormat, Struct, TypeRef};
use crate::value::{Map, Value};

pub(super) fn decode<'a>(
    reader: &mut impl Reader<'a>,
    schema: TypeRef<'_>,
    validation: FieldValidation,
) -> Result<Decoded, DecodeError> {
    let mut decoder = Decoder {
        reader,
        strict: validation != FieldValidation::Ignore,
        steps: Vec::new(),
        strict_errors: Vec::new(),
        error: None,
        fields: Vec::new(),
        emptied: Vec::new(),
        marker: std::marker::PhantomData,
    };
    let value = decoder.value(schema).map_err(|Fatal(message)| DecodeError::Value(message))?;
    if let Some(message) = decoder.error {
        return Err(DecodeError::Value(message));
    }
    let value = if value.is_null() { zero(schema) } else { value };
    let decoded = finish(value, decoder.strict_errors, validation)?;
    Ok(Decoded { emptied: decoder.emptied, ..decoded })
}

/// An error that ends decoding at once: a type's own reader refused the value.
struct Fatal(String);

struct Decoder<'r, 's, 'a, R> {
    reader: &'r mut R,
    /// Whether unknown and duplicate fields are of interest.
    strict: bool,
    steps: Vec<Step<'s>>,
    strict_errors: Vec<String>,
    /// The first value of the wrong type. Decoding goes on after it.
    error: Option<String>,
    /// Fields of all structs that are open, each with its place in the schema.
    fields: Vec<(usize, Value)>,
    emptied: Vec<Emptied>,
    marker: std::marker::PhantomData<&'a ()>,
}

impl<'s, 'a, R: Reader<'a>> Decoder<'_, 's, 'a, R> {
    /// Null stands for an explicit null, and for what was of the wrong type.
    fn value(&mut self, ty: TypeRef<'s>) -> Result<Value, Fatal> {
        if matches!(ty.shape(), Shape::Any) {
            return self.any(ty);
        }
        Ok(match self.reader.token() {
            Token::Null => Value::Null,
            Token::Object => match ty.shape() {
                Shape::Struct(fields) => self.structure(ty, fields)?,
                Shape::Map { value, .. } => self.map(ty.with(*value))?,
                _ => {
                    self.leave_object();
                    self.mismatch("object", ty)?
                }
            },
            Token::Array => match ty.shape() {
                Shape::List { item, .. } => self.list(ty.with(*item))?,
                Shape::String(StringFormat::Bytes) => self.bytes()?,
                _ => {
                    self.leave_array();
                    self.mismatch("array", ty)?
                }
            },
            Token::Bool(b) => match ty.shape() {
                Shape::Bool => Value::Bool(b),
                _ => self.mismatch("bool", ty)?,
            },
            Token::Number(number) => self.number(number, ty)?,
            Token::String(text) => self.string(text, ty)?,
        })
    }

    fn structure(&mut self, ty: TypeRef<'s>, fields: &'s Struct) -> Result<Value, Fatal> {
        let base = self.fields.len();
        let mut unknown = Map::new();
        while let Some(key) = self.reader.key() {
            let Some(i) = fields.place(key.as_str()) else {
                if fields.preserve_unknown {
                    let value = self.untyped();
                    unknown.insert(key.into_key(), value);
                } else {
                    self.unknown_field(key.as_str());
                    self.reader.skip();
                }
                continue;
            };
            let field = &fields.fields[i];
            let known = self.fields[base..].iter().position(|(known, _)| *known == i);
            if known.is_some() {
                self.duplicate_field(&field.name);
            }
            self.steps.push(Step::Field(ty, &field.name));
            let value = self.value(ty.with(field.ty))?;
            self.note_empty(ty, field, &value);
            self.steps.pop();
            match known {
                None => self.fields.push((i, value)),
                Some(place) => merge(&mut self.fields[base + place].1, value),
            }
        }
        let mut map = close(ty, fields, &mut self.fields, base);
        for (key, value) in unknown.iter() {
            map.insert(key.clone(), value.clone());
        }
        Ok(Value::Object(map))
    }

    /// Remembers a list or map that [`close`] leaves out.
    fn note_empty(&mut self, owner: TypeRef<'s>, field: &'s Field, value: &Value) {
        if self.emptied.len() == emptied::MOST || !emptied::is_left_out(value, field, owner) {
            return;
        }
        // The last step is the field itself.
        let parents = self.steps.iter().take(self.steps.len() - 1).map(|step| match step {
            Step::Field(_, name) => Place::Name((*name).clone()),
            Step::Index(i) => Place::Index(*i),
            Step::MapKey(key) => Place::Name(key.clone()),
        });
        let (parents, name) = (parents.collect(), field.name.clone());
        self.emptied.push(Emptied { parents, name, value: value.clone() });
    }

    fn map(&mut self, ty: TypeRef<'s>) -> Result<Value, Fatal> {
        let mut map = Map::new();
        // Only containers can have strict errors inside.
        let deep = matches!(ty.shape(), Shape::Struct(_) | Shape::Map { .. } | Shape::List { .. });
        while let Some(key) = self.reader.key() {
            let key = key.into_key();
            if deep {
                self.steps.push(Step::MapKey(key.clone()));
            }
            let mut value = self.value(ty)?;
            if deep {
                self.steps.pop();
            }
            if value.is_null() {
                // No bytes under a key are none, and written as such.
                let is_bytes = matches!(ty.shape(), Shape::String(StringFormat::Bytes));
                value = if is_bytes { Value::from("") } else { zero(ty) };
            }
            if let Some(known) = map.get_mut(&key) {
                *known = value;
                self.duplicate_field(&key);
            } else {
                map.insert(key, value);
            }
        }
        Ok(Value::Object(map))
    }

    fn list(&mut self, ty: TypeRef<'s>) -> Result<Value, Fatal> {
        let mut items = EcoVec::new();
        while self.reader.element() {
            self.steps.push(Step::Index(items.len()));
            let value = self.value(ty)?;
            self.steps.pop();
            items.push(if value.is_null() { zero(ty) } else { value });
        }
        Ok(Value::Array(items))
    }

    /// Bytes that are given one by one, which Go takes as well.
    fn bytes(&mut self) -> Result<Value, Fatal> {
        let mut bytes = Vec::new();
        while self.reader.element() {
            let (found, byte) = match self.reader.token() {
                Token::Null => ("null", Some(0)),
                Token::Number(number) => {
                    let byte = number.as_i64().and_then(|number| u8::try_from(number).ok());
                    if byte.is_none() && self.error.is_none() {
                        self.error = Some(misfit(&self.steps, &format!("number {}", number.text()), "uint8"));
                    }
                    ("number", byte.or(Some(0)))
                }
                Token::String(_) => ("string", None),
                Token::Bool(_) => ("bool", None),
                Token::Array => {
                    self.leave_array();
                    ("array", None)
                }
                Token::Object => {
                    self.leave_object();
                    ("object", None)
                }
            };
            if byte.is_none() && self.error.is_none() {
                self.error = Some(misfit(&self.steps, found, "uint8"));
            }
            bytes.push(byte.unwrap_or(0));
        }
        Ok(Value::from(base64::encode(&bytes)))
    }

    fn number(&mut self, number: Number<'a>, ty: TypeRef<'s>) -> Result<Value, Fatal> {
        let int32 = |number: Number<'_>| number.as_i64().filter(|i| i32::try_from(*i).is_ok());
        let int = match ty.shape() {
            Shape::Integer { bits: 64 } => number.as_i64(),
            Shape::Integer { .. } | Shape::IntOrString => int32(number),
            Shape::Number => {
                let f = number.as_f64();
                return Ok(match number.as_i64() {
                    Some(i) => Value::Int(i),
                    None if f == f.trunc() && f.abs() < 1e15 => Value::Int(f as i64),
                    None => Value::Float(f),
                });
            }
            Shape::Quantity => return quantity(&number.text()),
            _ => return self.mismatch("number", ty),
        };
        match int {
            Some(i) => Ok(Value::Int(i)),
            None => self.mismatch(&format!("number {}", number.text()), ty),
        }
    }

    fn string(&mut self, text: Text<'a>, ty: TypeRef<'s>) -> Result<Value, Fatal> {
        Ok(match ty.shape() {
            Shape::String(StringFormat::Plain) | Shape::IntOrString => Value::String(text.into_eco()),
            Shape::String(format @ (StringFormat::Time | StringFormat::MicroTime)) => {
                let parse =
                    if *format == StringFormat::Time { time::parse_time } else { time::parse_micro_time };
                match parse(text.as_str()).map_err(Fatal)? {
                    zero if time::is_zero(&zero) => Value::Null,
                    canonical => Value::from(canonical),
                }
            }
            Shape::String(StringFormat::Bytes) => match base64::canonical(text.as_str()) {
                Ok(None) => Value::String(text.into_eco()),
                Ok(Some(canonical)) => Value::from(canonical),
                Err(error) => {
                    self.error.get_or_insert_with(|| error.to_string());
                    Value::Null
                }
            },
            Shape::String(StringFormat::Duration) => Value::String(text.into_eco()),
            Shape::Quantity => match quantity_text(text.as_str())? {
                None => Value::String(text.into_eco()),
                Some(canonical) => Value::String(canonical),
            },
            _ => self.mismatch("string", ty)?,
        })
    }

    /// RawExtension and its like are kept as they are; three types of CustomResourceDefinition are either or.
    fn any(&mut self, ty: TypeRef<'s>) -> Result<Value, Fatal> {
        let name = ty.ty().name.as_str();
        if !name.contains(".JSONSchemaPropsOr") {
            return Ok(self.untyped());
        }
        let schema_type = || Catalog::builtin().definition_id(JSON_SCHEMA_PROPS).map(|id| ty.with(id));
        // These decode by themselves, without strictness.
        let strict = std::mem::replace(&mut self.strict, false);
        let value = match self.reader.token() {
            // Go leaves the pointer alone.
            Token::Null => {
                self.strict = strict;
                return Ok(Value::Null);
            }
            Token::Object => match schema_type().map(|schema| (schema, schema.shape())) {
                Some((schema, Shape::Struct(fields))) => self.structure(schema, fields)?,
                _ => {
                    self.leave_object();
                    Value::Null
                }
            },
            Token::Array if name.ends_with("OrArray") => match schema_type() {
                Some(schema) => self.list(schema)?,
                None => {
                    self.leave_array();
                    Value::Null
                }
            },
            Token::Array => {
                let mut items = EcoVec::new();
                while self.reader.element() {
                    items.push(self.untyped());
                }
                let no_text = |item: &&Value| !matches!(item, Value::String(_) | Value::Null);
                if let Some(other) = items.iter().find(no_text).filter(|_| name.ends_with("OrStringArray")) {
                    let message = misfit(&self.steps, json_kind(other), "string");
                    self.error.get_or_insert(message);
                }
                Value::Array(items)
            }
            Token::Bool(b) => Value::Bool(b),
            _ => Value::Null,
        };
        self.strict = strict;
        let is_bool = matches!(value, Value::Bool(_));
        if name.ends_with("OrBool") != is_bool && !matches!(value, Value::Object(_)) {
            if name.ends_with("OrBool") {
                self.error.get_or_insert_with(|| "boolean or JSON schema expected".to_owned());
                return Ok(Value::Null);
            }
            return Ok(if is_bool { Value::Null } else { value });
        }
        Ok(value)
    }

    fn untyped(&mut self) -> Value {
        super::untyped::read(self.reader)
    }

    fn leave_object(&mut self) {
        while self.reader.key().is_some() {
            self.reader.skip();
        }
    }

    fn leave_array(&mut self) {
        while self.reader.element() {
            self.reader.skip();
        }
    }

    /// Notes that a value is of the wrong type. Types that read themselves end the decoding.
    fn mismatch(&mut self, what: &str, ty: TypeRef<'s>) -> Result<Value, Fatal> {
        let (go_type, own_reader) = match ty.shape() {
            Shape::Quantity => return quantity("").and(Ok(Value::Null)),
            Shape::IntOrString => ("int32".to_owned(), true),
            Shape::String(StringFormat::Time | StringFormat::MicroTime | StringFormat::Duration) => {
                ("string".to_owned(), true)
            }
            _ => (go_type_name(ty), false),
        };
        if !own_reader && self.error.is_some() {
            return Ok(Value::Null);
        }
        let message = misfit(&self.steps, what, &go_type);
        if own_reader {
            return Err(Fatal(message));
        }
        self.error = Some(message);
        Ok(Value::Null)
    }

    fn unknown_field(&mut self, name: &str) {
        self.strict_error("unknown", name);
    }

    fn duplicate_field(&mut self, name: &str) {
        self.strict_error("duplicate", name);
    }

    #[cold]
    fn strict_error(&mut self, what: &str, name: &str) {
        if !self.strict {
            return;
        }
        let path = path_to(&self.steps, name);
        add_strict(&mut self.strict_errors, format!("{what} field {}", go_quote(&path)));
    }
}

const JSON_SCHEMA_PROPS: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// Makes the object of the fields from `base` on, and takes them away.
pub(super) fn close(ty: TypeRef<'_>, fields: &Struct, given: &mut Vec<(usize, Value)>, base: usize) -> Map {
    given[base..].sort_unstable_by_key(|(i, _)| *i);
    let mut entries = EcoVec::with_capacity(given.len() - base + 4);
    let mut given = given.drain(base..).peekable();
    for (i, field) in fields.fields.iter().enumerate() {
        let value = given.next_if(|(at, _)| *at == i).map(|(_, value)| value);
        if let Some(value) = present(field, value, ty) {
            entries.push((field.name.clone(), value));
        }
    }
    Map::from_sorted(entries)
}

/// What is written of a field: None when it is left out.
fn present(field: &Field, value: Option<Value>, owner: TypeRef<'_>) -> Option<Value> {
    let value = value.filter(|value| !value.is_null());
    match field.presence {
        Presence::AsGiven | Presence::Pointer => value,
        Presence::OmitEmpty => value.filter(|value| !is_empty(value)),
        Presence::AlwaysPointer => Some(value.unwrap_or(Value::Null)),
        Presence::Always => Some(value.unwrap_or_else(|| zero(owner.with(field.ty)))),
    }
}

/// Whether Go's `omitempty` drops it.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::Int(i) => *i == 0,
        Value::Float(f) => *f == 0.0,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

pub(super) fn zero(ty: TypeRef<'_>) -> Value {
    match ty.shape() {
        Shape::Bool => Value::Bool(false),
        Shape::Integer { .. } | Shape::Number | Shape::IntOrString => Value::Int(0),
        Shape::Quantity => Value::from("0"),
        Shape::String(StringFormat::Plain) => Value::from(""),
        Shape::String(StringFormat::Duration) => Value::from("0s"),
        Shape::Any | Shape::String(_) | Shape::List { .. } | Shape::Map { .. } => Value::Null,
        Shape::Struct(fields) => ty.table.zero(ty.id, || {
            let entries = fields
                .fields
                .iter()
                .filter_map(|field| Some((field.name.clone(), present(field, None, ty)?)));
            Value::Object(Map::from_sorted(entries.collect()))
        }),
    }
}

/// A field that was given twice: Go decodes the second into what the first left.
fn merge(known: &mut Value, value: Value) {
    match (known, value) {
        (Value::Object(known), Value::Object(new)) => {
            for (key, value) in new.iter() {
                known.insert(key.clone(), value.clone());
            }
        }
        (known @ (Value::Bool(_) | Value::Int(_) | Value::Float(_)), Value::Null) => {
            // Null leaves scalars alone.
            let _ = known;
        }
        (known, value) => *known = value,
    }
}

fn quantity(text: &str) -> Result<Value, Fatal> {
    Ok(match quantity_text(text)? {
        Some(canonical) => Value::String(canonical),
        None => Value::from(text),
    })
}

/// The canonical form of a quantity; None when `text` is it.
fn quantity_text(text: &str) -> Result<Option<EcoString>, Fatal> {
    // Most are a few digits and a suffix, which parsing leaves alone.
    let canonical = Quantity::parse(text.trim()).map_err(|error| Fatal(error.to_string()))?.to_string();
    Ok(if canonical == text { None } else { Some(canonical.into()) })
}
