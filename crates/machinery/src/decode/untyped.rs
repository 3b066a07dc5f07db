//! Documents without a schema.

use ecow::EcoVec;

use super::reader::{JsonReader, Number, Reader, Token};
use super::{DecodeError, Decoded, FieldValidation, add_strict, finish};
use crate::go_text::go_quote;
use crate::status::literal;
use crate::value::{Map, Value};

pub(super) fn decode(text: &str, validation: FieldValidation) -> Result<Decoded, DecodeError> {
    let mut reader = JsonReader::new(text);
    if validation == FieldValidation::Ignore {
        return Ok(Decoded { value: read(&mut reader), ..Decoded::default() });
    }
    let mut errors = Vec::new();
    let value = read_strict(&mut reader, &mut String::new(), &mut errors);
    finish(value, errors, validation)
}

/// The next value. The last of duplicate fields wins.
pub(super) fn read<'a>(reader: &mut impl Reader<'a>) -> Value {
    read_with(reader, |number| number.value())
}

/// As [`read`], with the numbers that are not integers as they are written.
pub(super) fn exact(text: &str) -> Value {
    read_with(&mut JsonReader::new(text), |number| match (number.value(), number) {
        (Value::Float(_), Number::Literal(text)) => literal(text),
        (value, _) => value,
    })
}

fn read_with<'a>(reader: &mut impl Reader<'a>, number: fn(Number<'a>) -> Value) -> Value {
    match reader.token() {
        Token::Null => Value::Null,
        Token::Bool(b) => Value::Bool(b),
        Token::Number(given) => number(given),
        Token::String(text) => Value::String(text.into_eco()),
        Token::Array => {
            let mut items = EcoVec::new();
            while reader.element() {
                items.push(read_with(reader, number));
            }
            Value::Array(items)
        }
        Token::Object => {
            let mut map = Map::new();
            while let Some(key) = reader.key() {
                let value = read_with(reader, number);
                map.insert(key.into_key(), value);
            }
            Value::Object(map)
        }
    }
}

/// As [`read`], and notes duplicate fields. `path` is where the value is.
fn read_strict<'a>(reader: &mut impl Reader<'a>, path: &mut String, errors: &mut Vec<String>) -> Value {
    let here = path.len();
    match reader.token() {
        Token::Null => Value::Null,
        Token::Bool(b) => Value::Bool(b),
        Token::Number(number) => number.value(),
        Token::String(text) => Value::String(text.into_eco()),
        Token::Array => {
            let mut items = EcoVec::new();
            while reader.element() {
                path.push_str(&format!("[{}]", items.len()));
                items.push(read_strict(reader, path, errors));
                path.truncate(here);
            }
            Value::Array(items)
        }
        Token::Object => {
            let mut map = Map::new();
            while let Some(key) = reader.key() {
                let key = key.into_key();
                if here > 0 {
                    path.push('.');
                }
                path.push_str(&key);
                if map.contains_key(&key) {
                    add_strict(errors, format!("duplicate field {}", go_quote(path)));
                }
                let value = read_strict(reader, path, errors);
                path.truncate(here);
                map.insert(key, value);
            }
            Value::Object(map)
        }
    }
}
