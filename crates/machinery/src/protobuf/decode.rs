//! From a message to a tree, in the form that decoding JSON gives.

use ecow::EcoVec;
use jiff::Timestamp;

use super::ProtobufError;
use super::plan::{Known, Slot, Slots, is_wrapped_list, json_schema, known, plan};
use super::wire::{FIXED64, LEN, Reader, VARINT, first_bytes};
use crate::decode::{base64_encode, close_struct, zero};
use crate::quantity::Quantity;
use crate::schema::{Shape, StringFormat, Struct, TypeRef};
use crate::value::{Map, Value, intern};

const MAX_DEPTH: usize = 100;

pub(super) fn message(raw: &[u8], ty: TypeRef<'_>) -> Result<Value, ProtobufError> {
    Decoder { depth: 0 }.message(raw, ty)
}

/// Fields that were read, each with its place in the struct type.
type Fields = Vec<(usize, Value)>;

struct Decoder {
    depth: usize,
}

impl Decoder {
    fn message(&mut self, raw: &[u8], ty: TypeRef<'_>) -> Result<Value, ProtobufError> {
        let Shape::Struct(fields) = ty.shape() else {
            return Err(ProtobufError::Unsupported("its type is no message"));
        };
        let slots = plan(ty).ok_or(ProtobufError::Unsupported("its type is not built in"))?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ProtobufError::TooDeep);
        }
        let mut found = Fields::new();
        self.slots(raw, ty, fields, slots, &mut found)?;
        self.depth -= 1;
        Ok(Value::Object(close_struct(ty, fields, found)))
    }

    fn slots(
        &mut self,
        raw: &[u8],
        ty: TypeRef<'_>,
        fields: &Struct,
        slots: &Slots,
        found: &mut Fields,
    ) -> Result<(), ProtobufError> {
        let mut reader = Reader::new(raw);
        while let Some((number, wire_type)) = reader.tag()? {
            let slot = slots.binary_search_by_key(&number, |(number, _)| *number);
            match slot.map(|i| &slots[i].1) {
                Ok(Slot::Inlined(inner)) if wire_type == LEN => {
                    self.slots(reader.bytes()?, ty, fields, inner, found)?;
                }
                Ok(Slot::Field(i)) => {
                    let ty = ty.with(fields.fields[*i].ty);
                    let place = found.iter().position(|(known, _)| known == i);
                    let known = place.map(|place| found.swap_remove(place).1);
                    found.push((*i, self.field(&mut reader, wire_type, ty, known)?));
                }
                _ => reader.skip(wire_type)?,
            }
        }
        Ok(())
    }

    /// Reads one occurrence of a field, of which `known` was read before.
    fn field(
        &mut self,
        reader: &mut Reader<'_>,
        wire_type: u64,
        ty: TypeRef<'_>,
        known: Option<Value>,
    ) -> Result<Value, ProtobufError> {
        match ty.shape() {
            Shape::List { item, .. } if !is_wrapped_list(ty) => {
                let mut items = match known {
                    Some(Value::Array(items)) => items,
                    _ => EcoVec::new(),
                };
                let item = ty.with(*item);
                // Numbers may be packed.
                if wire_type == LEN && matches!(item.shape(), Shape::Integer { .. } | Shape::Bool) {
                    let mut packed = Reader::new(reader.bytes()?);
                    while !packed.is_empty() {
                        items.push(self.single(&mut packed, VARINT, item)?);
                    }
                } else {
                    items.push(self.single(reader, wire_type, item)?);
                }
                Ok(Value::Array(items))
            }
            Shape::Map { value, .. } => {
                let mut map = match known {
                    Some(Value::Object(map)) => map,
                    _ => Map::new(),
                };
                let value = ty.with(*value);
                let mut entry = Reader::new(reader.bytes()?);
                let (mut key, mut element) = ("", zero(value));
                while let Some((number, wire_type)) = entry.tag()? {
                    match number {
                        1 => key = entry.string()?,
                        2 => element = self.single(&mut entry, wire_type, value)?,
                        _ => entry.skip(wire_type)?,
                    }
                }
                map.insert(intern(key), element);
                Ok(Value::Object(map))
            }
            _ => self.single(reader, wire_type, ty),
        }
    }

    fn single(
        &mut self,
        reader: &mut Reader<'_>,
        wire_type: u64,
        ty: TypeRef<'_>,
    ) -> Result<Value, ProtobufError> {
        let expected = match ty.shape() {
            Shape::Bool | Shape::Integer { .. } => VARINT,
            Shape::Number => FIXED64,
            _ => LEN,
        };
        if wire_type != expected {
            return Err(ProtobufError::WireType(wire_type));
        }
        Ok(match ty.shape() {
            Shape::Bool => Value::Bool(reader.varint()? != 0),
            Shape::Integer { bits: 32 } => Value::Int(i64::from(reader.varint()? as i32)),
            Shape::Integer { .. } => Value::Int(reader.varint()? as i64),
            Shape::Number => number(reader.double()?),
            Shape::String(StringFormat::Bytes) => Value::from(base64_encode(reader.bytes()?)),
            Shape::String(StringFormat::Time) => time(reader.bytes()?, false)?,
            Shape::String(StringFormat::MicroTime) => time(reader.bytes()?, true)?,
            Shape::String(_) => Value::from(reader.string()?),
            Shape::Quantity => quantity(first_bytes(reader.bytes()?)?)?,
            Shape::IntOrString => int_or_string(reader.bytes()?)?,
            Shape::List { .. } => strings(reader.bytes()?, 1)?,
            Shape::Map { .. } => return Err(ProtobufError::Unsupported("a map inside of a map")),
            Shape::Struct(_) => self.message(reader.bytes()?, ty)?,
            Shape::Any => self.any(reader.bytes()?, ty)?,
        })
    }

    fn any(&mut self, raw: &[u8], ty: TypeRef<'_>) -> Result<Value, ProtobufError> {
        let kind = known(ty);
        if kind == Known::RawJson {
            let json = first_bytes(raw)?;
            if json.is_empty() {
                return Ok(Value::Null);
            }
            return Value::from_json(json).map_err(|error| ProtobufError::Value(error.to_string()));
        }
        let schema = json_schema(ty).ok_or(ProtobufError::Unsupported("no schema type"))?;
        let mut out = Value::Null;
        let mut list = EcoVec::new();
        let mut reader = Reader::new(raw);
        while let Some((number, wire_type)) = reader.tag()? {
            match (kind, number, wire_type) {
                (Known::SchemaOrBool, 1, VARINT) => {
                    let allows = reader.varint()? != 0;
                    if out.is_null() {
                        out = Value::Bool(allows);
                    }
                }
                (Known::SchemaOrBool, 2, LEN) | (Known::SchemaOrArray | Known::SchemaOrStrings, 1, LEN) => {
                    out = self.message(reader.bytes()?, schema)?;
                }
                (Known::SchemaOrArray, 2, LEN) => list.push(self.message(reader.bytes()?, schema)?),
                (Known::SchemaOrStrings, 2, LEN) => list.push(Value::from(reader.string()?)),
                _ => reader.skip(wire_type)?,
            }
        }
        Ok(if list.is_empty() { out } else { Value::Array(list) })
    }
}

fn number(f: f64) -> Value {
    if f == f.trunc() && f.abs() < 1e15 { Value::Int(f as i64) } else { Value::Float(f) }
}

fn strings(raw: &[u8], number: u32) -> Result<Value, ProtobufError> {
    let mut items = EcoVec::new();
    let mut reader = Reader::new(raw);
    while let Some((at, wire_type)) = reader.tag()? {
        if at == number && wire_type == LEN {
            items.push(Value::from(reader.string()?));
        } else {
            reader.skip(wire_type)?;
        }
    }
    Ok(Value::Array(items))
}

fn quantity(raw: &[u8]) -> Result<Value, ProtobufError> {
    let text = std::str::from_utf8(raw).map_err(|_| ProtobufError::Utf8)?;
    if text.is_empty() {
        return Ok(Value::from("0"));
    }
    let quantity = Quantity::parse(text).map_err(|error| ProtobufError::Value(error.to_string()))?;
    Ok(Value::from(&quantity))
}

fn int_or_string(raw: &[u8]) -> Result<Value, ProtobufError> {
    let (mut is_string, mut int, mut text) = (false, 0, "");
    let mut reader = Reader::new(raw);
    while let Some((number, wire_type)) = reader.tag()? {
        match (number, wire_type) {
            (1, VARINT) => is_string = reader.varint()? != 0,
            (2, VARINT) => int = i64::from(reader.varint()? as i32),
            (3, LEN) => text = reader.string()?,
            _ => reader.skip(wire_type)?,
        }
    }
    Ok(if is_string { Value::from(text) } else { Value::Int(int) })
}

/// An empty message is the zero time, which JSON has as null.
fn time(raw: &[u8], micro: bool) -> Result<Value, ProtobufError> {
    if raw.is_empty() {
        return Ok(Value::Null);
    }
    let (mut seconds, mut nanos) = (0, 0);
    let mut reader = Reader::new(raw);
    while let Some((number, wire_type)) = reader.tag()? {
        match (number, wire_type) {
            (1, VARINT) => seconds = reader.varint()? as i64,
            (2, VARINT) => nanos = reader.varint()? as i32,
            _ => reader.skip(wire_type)?,
        }
    }
    let at = Timestamp::new(seconds, 0).map_err(|error| ProtobufError::Value(error.to_string()))?;
    let text = at.strftime("%Y-%m-%dT%H:%M:%S");
    Ok(Value::from(if micro { format!("{text}.{:06}Z", nanos / 1000) } else { format!("{text}Z") }))
}
