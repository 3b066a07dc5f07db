//! Protobuf's wire format: tags, varints, lengths.

use super::ProtobufError;

pub(crate) const VARINT: u64 = 0;
pub(crate) const FIXED64: u64 = 1;
pub(crate) const LEN: u64 = 2;
const FIXED32: u64 = 5;

pub(crate) struct Writer {
    out: Vec<u8>,
}

/// Where a nested message began.
pub(crate) struct Open(usize);

impl Writer {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { out: Vec::with_capacity(capacity) }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    pub(crate) fn bytes_raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(crate) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    fn tag(&mut self, number: u32, wire_type: u64) {
        self.varint(u64::from(number) << 3 | wire_type);
    }

    /// Negative numbers take ten bytes, as in Go.
    pub(crate) fn int(&mut self, number: u32, value: i64) {
        self.tag(number, VARINT);
        self.varint(value as u64);
    }

    pub(crate) fn double(&mut self, number: u32, value: f64) {
        self.tag(number, FIXED64);
        self.out.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, number: u32, bytes: &[u8]) {
        self.tag(number, LEN);
        self.varint(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    pub(crate) fn string(&mut self, number: u32, text: &str) {
        self.bytes(number, text.as_bytes());
    }

    /// Begins a nested message; what is written until [`Writer::end`] is in it.
    pub(crate) fn begin(&mut self, number: u32) -> Open {
        self.tag(number, LEN);
        // Most messages are shorter than 128 bytes: their length takes this one byte.
        self.out.push(0);
        Open(self.out.len())
    }

    pub(crate) fn end(&mut self, open: Open) {
        let length = self.out.len() - open.0;
        if length < 0x80 {
            self.out[open.0 - 1] = length as u8;
            return;
        }
        let mut varint = Self::with_capacity(10);
        varint.varint(length as u64);
        self.out.splice(open.0 - 1..open.0, varint.out);
    }
}

pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next field's number and wire type; None at the end.
    pub(crate) fn tag(&mut self) -> Result<Option<(u32, u64)>, ProtobufError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| ProtobufError::Overflow)?;
        Ok(Some((number, tag & 7)))
    }

    pub(crate) fn varint(&mut self) -> Result<u64, ProtobufError> {
        let mut value = 0u64;
        for i in 0..10 {
            let (&byte, rest) = self.rest.split_first().ok_or(ProtobufError::UnexpectedEnd)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(ProtobufError::Overflow)
    }

    pub(crate) fn double(&mut self) -> Result<f64, ProtobufError> {
        let (bytes, rest) = self.rest.split_first_chunk::<8>().ok_or(ProtobufError::UnexpectedEnd)?;
        self.rest = rest;
        Ok(f64::from_bits(u64::from_le_bytes(*bytes)))
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], ProtobufError> {
        let length = usize::try_from(self.varint()?).map_err(|_| ProtobufError::Overflow)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(ProtobufError::UnexpectedEnd)?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(crate) fn string(&mut self) -> Result<&'a str, ProtobufError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| ProtobufError::Utf8)
    }

    pub(crate) fn skip(&mut self, wire_type: u64) -> Result<(), ProtobufError> {
        match wire_type {
            VARINT => self.varint().map(drop),
            FIXED64 => self.double().map(drop),
            LEN => self.bytes().map(drop),
            FIXED32 => {
                self.rest = self.rest.get(4..).ok_or(ProtobufError::UnexpectedEnd)?;
                Ok(())
            }
            other => Err(ProtobufError::WireType(other)),
        }
    }
}

/// The bytes of field 1: what RawExtension and its like consist of.
pub(crate) fn first_bytes(message: &[u8]) -> Result<&[u8], ProtobufError> {
    let mut reader = Reader::new(message);
    let mut found: &[u8] = &[];
    while let Some((number, wire_type)) = reader.tag()? {
        match (number, wire_type) {
            (1, LEN) => found = reader.bytes()?,
            _ => reader.skip(wire_type)?,
        }
    }
    Ok(found)
}
