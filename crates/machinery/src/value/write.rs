//! Compact JSON, as Go writes it.

use super::Value;

impl Value {
    /// Compact JSON.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        self.write_json(&mut out);
        out
    }

    /// Appends compact JSON to `out`.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Int(i) => out.extend_from_slice(itoa::Buffer::new().format(*i).as_bytes()),
            Self::Float(f) => write_float(*f, out),
            Self::String(s) => write_json_string(s, out),
            Self::Array(items) => {
                out.push(b'[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    item.write_json(out);
                }
                out.push(b']');
            }
            Self::Object(map) => {
                out.push(b'{');
                for (i, (key, value)) in map.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    write_json_string(key, out);
                    out.push(b':');
                    value.write_json(out);
                }
                out.push(b'}');
            }
        }
    }
}

/// As Go's encoding/json: the shortest digits that read back, with an exponent only for the very small and large.
fn write_float(f: f64, out: &mut Vec<u8>) {
    if f == f.trunc() && f.abs() < 1e15 {
        out.extend_from_slice(itoa::Buffer::new().format(f as i64).as_bytes());
    } else if !f.is_finite() {
        out.extend_from_slice(b"null");
    } else if (1e-6..1e21).contains(&f.abs()) {
        out.extend_from_slice(format!("{f}").as_bytes());
    } else {
        let text = format!("{f:e}");
        let signed = match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
            _ => text,
        };
        out.extend_from_slice(signed.as_bytes());
    }
}

/// Of a byte in a string: JSON wants it escaped.
const ESCAPED: u8 = 1;
/// Of a byte in a string: it is, or begins, what HTML wants escaped.
pub(crate) const IN_HTML: u8 = 2;

/// What is to be said about each byte.
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        classes[byte] = ESCAPED;
        byte += 1;
    }
    classes[b'"' as usize] = ESCAPED;
    classes[b'\\' as usize] = ESCAPED;
    classes[b'<' as usize] = IN_HTML;
    classes[b'>' as usize] = IN_HTML;
    classes[b'&' as usize] = IN_HTML;
    // The first byte of U+2028 and U+2029.
    classes[0xe2] = IN_HTML;
    classes
};

/// Where the first byte is that is of one of these classes.
fn first_of(bytes: &[u8], classes: u8) -> Option<usize> {
    bytes.iter().position(|byte| CLASSES[usize::from(*byte)] & classes != 0)
}

/// Whether no byte is of any class, nor might be: said of sixteen bytes at a time, which the compiler does at once.
fn is_harmless(bytes: &[u8]) -> bool {
    let (chunks, rest) = bytes.as_chunks::<16>();
    let harm = |byte: u8| {
        u8::from(byte < 0x20)
            | u8::from(byte >= 0x80)
            | u8::from(byte == b'"')
            | u8::from(byte == b'\\')
            | u8::from(byte == b'<')
            | u8::from(byte == b'>')
            | u8::from(byte == b'&')
    };
    let harms = |chunk: &[u8; 16]| chunk.iter().fold(0, |found, byte| found | harm(*byte)) != 0;
    !chunks.iter().any(harms) && first_of(rest, ESCAPED | IN_HTML).is_none()
}

/// Appends `s` as a JSON string, quotes included, if nothing in it needs to be escaped, nor is of `also`.
pub(crate) fn write_plain_string(s: &str, also: u8, out: &mut Vec<u8>) -> bool {
    let is_plain = is_harmless(s.as_bytes()) || first_of(s.as_bytes(), ESCAPED | also).is_none();
    if is_plain {
        write_name(s, out);
    }
    is_plain
}

/// Appends `name` in quotes; nothing in it needs to be escaped.
pub(crate) fn write_name(name: &str, out: &mut Vec<u8>) {
    out.reserve(name.len() + 4);
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.push(b'"');
}

/// Appends `s` as a JSON string, quotes included.
pub fn write_json_string(s: &str, out: &mut Vec<u8>) {
    if !write_plain_string(s, 0, out) {
        write_escaped(s, out);
    }
}

fn write_escaped(s: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = s.as_bytes();
    while let Some(at) = first_of(rest, ESCAPED) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}
