//! Kubernetes' protobuf: what client-go's typed clients and kubelets speak for built-in kinds.
//!
//! An object on the wire is the four bytes `k8s\0` and an `Unknown` message: its `apiVersion` and `kind`, and the object
//! proper. A watch is a sequence of frames, each a length of four bytes, big-endian, and a `WatchEvent`
//! message, whose object is such an envelope again.
//!
//! Numbers and nesting come from the catalog. What Go has by value is always written, also when zero; so a decoded
//! object is brought into the form that [`crate::decode`] gives it. Custom resources have no
//! protobuf, but their metadata has.
//!
//! Source: apimachinery's `pkg/runtime/serializer/protobuf` and the `generated.proto` files.

mod decode;
mod encode;
mod metadata;
mod plan;
pub(crate) mod wire;

use crate::decode::TypeMeta;
use crate::object::ObjectMeta as _;
use crate::schema::TypeRef;
use crate::value::Value;
use wire::{LEN, Reader, Writer};

pub use metadata::encode_metadata;

const MAGIC: &[u8] = b"k8s\0";

/// Why bytes are no protobuf message of the kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
    #[error("empty data")]
    Empty,
    #[error("empty body")]
    EmptyBody,
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    NoPrefix,
    #[error("unexpected EOF")]
    UnexpectedEnd,
    #[error("proto: illegal wireType {0}")]
    WireType(u64),
    #[error("proto: integer overflow")]
    Overflow,
    #[error("proto: invalid UTF-8 in a string")]
    Utf8,
    #[error("proto: messages nest too deeply")]
    TooDeep,
    /// A custom resource, or a value that the schema does not fit.
    #[error("the object cannot be written as protobuf: {0}")]
    Unsupported(&'static str),
    #[error("{0}")]
    Value(String),
}

/// A body that was taken out of its envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown<'a> {
    pub type_meta: TypeMeta,
    /// The object, to be read with [`decode_message`] over its kind's schema.
    pub raw: &'a [u8],
}

/// An object in its envelope; `apiVersion` and `kind` are the object's own.
///
/// # Errors
/// When the schema is not a built-in one.
pub fn encode(object: &Value, schema: TypeRef<'_>) -> Result<Vec<u8>, ProtobufError> {
    in_envelope(object, |out| encode::message(object, schema, out))
}

fn in_envelope(
    object: &Value,
    write: impl FnOnce(&mut Writer) -> Result<(), ProtobufError>,
) -> Result<Vec<u8>, ProtobufError> {
    let mut out = Writer::with_capacity(512);
    out.bytes_raw(MAGIC);
    let meta = out.begin(1);
    out.string(1, object.api_version());
    out.string(2, object.kind());
    out.end(meta);
    let raw = out.begin(2);
    write(&mut out)?;
    out.end(raw);
    out.string(3, "");
    out.string(4, "");
    Ok(out.into_bytes())
}

/// An object without envelope.
///
/// # Errors
/// As [`encode`].
pub fn encode_message(object: &Value, schema: TypeRef<'_>) -> Result<Vec<u8>, ProtobufError> {
    let mut out = Writer::with_capacity(512);
    encode::message(object, schema, &mut out)?;
    Ok(out.into_bytes())
}

/// Takes a body out of its envelope.
///
/// # Errors
/// When it is in none.
pub fn open(bytes: &[u8]) -> Result<Unknown<'_>, ProtobufError> {
    if bytes.is_empty() {
        return Err(ProtobufError::Empty);
    }
    let body = bytes.strip_prefix(MAGIC).ok_or(ProtobufError::NoPrefix)?;
    if body.is_empty() {
        return Err(ProtobufError::EmptyBody);
    }
    let mut unknown = Unknown { type_meta: TypeMeta::default(), raw: &[] };
    let mut reader = Reader::new(body);
    while let Some((number, wire_type)) = reader.tag()? {
        match (number, wire_type) {
            (1, LEN) => {
                let mut meta = Reader::new(reader.bytes()?);
                while let Some((number, wire_type)) = meta.tag()? {
                    match (number, wire_type) {
                        (1, LEN) => unknown.type_meta.api_version = meta.string()?.to_owned(),
                        (2, LEN) => unknown.type_meta.kind = meta.string()?.to_owned(),
                        _ => meta.skip(wire_type)?,
                    }
                }
            }
            (2, LEN) => unknown.raw = reader.bytes()?,
            _ => reader.skip(wire_type)?,
        }
    }
    Ok(unknown)
}

/// Reads an object without envelope; `apiVersion` and `kind`, which protobuf does not have, are for the caller to set.
///
/// # Errors
/// When the bytes are no message of that kind.
pub fn decode_message(raw: &[u8], schema: TypeRef<'_>) -> Result<Value, ProtobufError> {
    decode::message(raw, schema)
}

/// One event of a watch: `event_type` is `ADDED` and so on, `object` an envelope made by [`encode`].
pub fn watch_frame(event_type: &str, object: &[u8]) -> Vec<u8> {
    let mut event = Writer::with_capacity(object.len() + 32);
    event.string(1, event_type);
    let raw_extension = event.begin(2);
    event.bytes(1, object);
    event.end(raw_extension);
    let event = event.into_bytes();
    let mut frame = Vec::with_capacity(event.len() + 4);
    frame.extend_from_slice(&u32::try_from(event.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(&event);
    frame
}

/// An event of a watch, as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchFrame<'a> {
    pub event_type: &'a str,
    /// An envelope, for [`open`].
    pub object: &'a [u8],
    /// What follows the frame.
    pub rest: &'a [u8],
}

/// Reads the first frame of a watch; None when it is not complete yet.
///
/// # Errors
/// When the frame is no event.
pub fn read_watch_frame(bytes: &[u8]) -> Result<Option<WatchFrame<'_>>, ProtobufError> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let Some((event, rest)) = rest.split_at_checked(u32::from_be_bytes(*length) as usize) else {
        return Ok(None);
    };
    let mut frame = WatchFrame { event_type: "", object: &[], rest };
    let mut reader = Reader::new(event);
    while let Some((number, wire_type)) = reader.tag()? {
        match (number, wire_type) {
            (1, LEN) => frame.event_type = reader.string()?,
            (2, LEN) => frame.object = wire::first_bytes(reader.bytes()?)?,
            _ => reader.skip(wire_type)?,
        }
    }
    Ok(Some(frame))
}

#[cfg(test)]
mod tests;
