//! From a tree to a message.

use jiff::Timestamp;

use super::ProtobufError;
use super::plan::{Known, Slot, Slots, is_wrapped_list, json_schema, known, plan};
use super::wire::Writer;
use crate::decode::base64_decode;
use crate::schema::{Shape, StringFormat, Struct, TypeRef};
use crate::value::{Map, Value};

/// Appends the fields of a struct.
pub(super) fn message(value: &Value, ty: TypeRef<'_>, out: &mut Writer) -> Result<(), ProtobufError> {
    static EMPTY: Map = Map::new();
    let Shape::Struct(fields) = ty.shape() else {
        return Err(ProtobufError::Unsupported("its type is no message"));
    };
    let slots = plan(ty).ok_or(ProtobufError::Unsupported("its type is not built in"))?;
    slots_of(value.as_object().unwrap_or(&EMPTY), ty, fields, slots, out)
}

fn slots_of(
    object: &Map,
    ty: TypeRef<'_>,
    fields: &Struct,
    slots: &Slots,
    out: &mut Writer,
) -> Result<(), ProtobufError> {
    for (number, slot) in slots {
        match slot {
            Slot::Inlined(inner) => {
                let open = out.begin(*number);
                slots_of(object, ty, fields, inner, out)?;
                out.end(open);
            }
            Slot::Field(i) => {
                let Some(field) = fields.fields.get(*i) else { continue };
                let value = object.get(&field.name).filter(|value| !value.is_null());
                let optional = field.proto.as_ref().is_none_or(|proto| proto.optional);
                match value {
                    Some(value) => self::field(*number, value, ty.with(field.ty), out)?,
                    None if optional => {}
                    // What Go has by value is written also when it is zero.
                    None => self::field(*number, &Value::Null, ty.with(field.ty), out)?,
                }
            }
        }
    }
    Ok(())
}

/// Appends one field; lists and maps are several.
fn field(number: u32, value: &Value, ty: TypeRef<'_>, out: &mut Writer) -> Result<(), ProtobufError> {
    match ty.shape() {
        Shape::List { item, .. } if !is_wrapped_list(ty) => {
            for element in value.as_array().unwrap_or(&[]) {
                single(number, element, ty.with(*item), out)?;
            }
        }
        Shape::Map { value: inner, .. } => {
            for (key, element) in value.as_object().into_iter().flat_map(Map::iter) {
                let entry = out.begin(number);
                out.string(1, key);
                single(2, element, ty.with(*inner), out)?;
                out.end(entry);
            }
        }
        _ => single(number, value, ty, out)?,
    }
    Ok(())
}

/// Appends one value; null is the type's zero.
fn single(number: u32, value: &Value, ty: TypeRef<'_>, out: &mut Writer) -> Result<(), ProtobufError> {
    match ty.shape() {
        Shape::Bool => out.int(number, i64::from(value.as_bool().unwrap_or(false))),
        Shape::Integer { .. } => out.int(number, value.as_i64().unwrap_or(0)),
        Shape::Number => out.double(number, value.as_f64().unwrap_or(0.0)),
        Shape::String(StringFormat::Bytes) => {
            let bytes = base64_decode(value.as_str().unwrap_or(""))
                .map_err(|error| ProtobufError::Value(error.to_string()))?;
            out.bytes(number, &bytes);
        }
        Shape::String(StringFormat::Time | StringFormat::MicroTime) => time(number, value, out)?,
        Shape::String(_) => out.string(number, value.as_str().unwrap_or("")),
        Shape::Quantity => {
            let open = out.begin(number);
            out.string(1, value.as_str().unwrap_or("0"));
            out.end(open);
        }
        Shape::IntOrString => {
            let open = out.begin(number);
            out.int(1, i64::from(value.as_str().is_some()));
            out.int(2, value.as_i64().unwrap_or(0));
            out.string(3, value.as_str().unwrap_or(""));
            out.end(open);
        }
        Shape::List { .. } => {
            // A wrapped list.
            let open = out.begin(number);
            for element in value.as_array().unwrap_or(&[]) {
                out.string(1, element.as_str().unwrap_or(""));
            }
            out.end(open);
        }
        Shape::Map { .. } => return Err(ProtobufError::Unsupported("a map inside of a map")),
        Shape::Struct(_) => {
            let open = out.begin(number);
            message(value, ty, out)?;
            out.end(open);
        }
        Shape::Any => {
            let open = out.begin(number);
            any(value, ty, out)?;
            out.end(open);
        }
    }
    Ok(())
}

fn any(value: &Value, ty: TypeRef<'_>, out: &mut Writer) -> Result<(), ProtobufError> {
    let kind = known(ty);
    if kind == Known::RawJson {
        if !value.is_null() {
            out.bytes(1, &value.to_json());
        }
        return Ok(());
    }
    let schema = json_schema(ty).ok_or(ProtobufError::Unsupported("no schema type"))?;
    if kind == Known::SchemaOrBool {
        // A schema stands for true.
        out.int(1, i64::from(value.as_bool().unwrap_or(value.as_object().is_some())));
    }
    if value.as_object().is_some() {
        let open = out.begin(if kind == Known::SchemaOrBool { 2 } else { 1 });
        message(value, schema, out)?;
        out.end(open);
    }
    for element in value.as_array().unwrap_or(&[]) {
        if kind == Known::SchemaOrStrings {
            out.string(2, element.as_str().unwrap_or(""));
        } else {
            let open = out.begin(2);
            message(element, schema, out)?;
            out.end(open);
        }
    }
    Ok(())
}

/// `{1: seconds, 2: nanoseconds}`, or nothing for the zero time.
fn time(number: u32, value: &Value, out: &mut Writer) -> Result<(), ProtobufError> {
    let open = out.begin(number);
    if let Some(text) = value.as_str() {
        let at: Timestamp =
            text.parse().map_err(|error: jiff::Error| ProtobufError::Value(error.to_string()))?;
        out.int(1, at.as_second());
        out.int(2, i64::from(at.subsec_nanosecond()));
    }
    out.end(open);
    Ok(())
}
