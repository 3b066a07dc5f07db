//! How values look in messages: literals of the language.

use std::fmt;

use super::{List, Map, Value, double_to_string};

impl fmt::Display for Value {
    /// Strings bare when alone, quoted within lists and maps.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => f.write_str(text),
            other => literal(f, other),
        }
    }
}

fn literal(f: &mut fmt::Formatter<'_>, value: &Value) -> fmt::Result {
    match value {
        Value::Null => f.write_str("null"),
        Value::Bool(b) => write!(f, "{b}"),
        Value::Int(i) => write!(f, "{i}"),
        Value::Uint(u) => write!(f, "{u}u"),
        Value::Double(d) => f.write_str(&double(*d)),
        Value::String(text) => write!(f, "\"{}\"", escape(text)),
        Value::Bytes(bytes) => write!(f, "b\"{}\"", octal(bytes)),
        Value::Duration(d) => write!(f, "duration(\"{d}\")"),
        Value::Timestamp(t) => write!(f, "timestamp(\"{t}\")"),
        Value::Type(name) => f.write_str(name),
        Value::Optional(None) => f.write_str("optional.none()"),
        Value::Optional(Some(inner)) => {
            f.write_str("optional.of(")?;
            literal(f, inner)?;
            f.write_str(")")
        }
        Value::List(items) => list(f, items),
        Value::Map(entries) => map(f, entries),
        Value::Object(object) => {
            write!(f, "{}{{", object.type_name)?;
            for (i, (name, value)) in object.fields.iter().enumerate() {
                write!(f, "{}{name}: ", if i > 0 { ", " } else { "" })?;
                literal(f, value)?;
            }
            f.write_str("}")
        }
        Value::Opaque(value) => match value.text() {
            Some(text) => f.write_str(&text),
            None => f.write_str(value.type_name()),
        },
    }
}

fn list(f: &mut fmt::Formatter<'_>, items: &List) -> fmt::Result {
    f.write_str("[")?;
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        match item {
            Ok(item) => literal(f, &item)?,
            Err(error) => write!(f, "{error}")?,
        }
    }
    f.write_str("]")
}

fn map(f: &mut fmt::Formatter<'_>, entries: &Map) -> fmt::Result {
    f.write_str("{")?;
    for (i, key) in entries.keys().into_iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        literal(f, &key)?;
        f.write_str(": ")?;
        match entries.get(&key) {
            Ok(value) => literal(f, &value.unwrap_or(Value::Null))?,
            Err(error) => write!(f, "{error}")?,
        }
    }
    f.write_str("}")
}

/// A double that reads back as a double.
fn double(d: f64) -> String {
    let text = double_to_string(d);
    if text.contains(['.', 'e', 'N', 'I']) { text } else { format!("{text}.0") }
}

/// Every byte by its number.
fn octal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:03o}")).collect()
}

/// Escapes as a literal of the language has them.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let escaped = match u32::from(c) {
            7 => "\\a",
            8 => "\\b",
            9 => "\\t",
            10 => "\\n",
            11 => "\\v",
            12 => "\\f",
            13 => "\\r",
            34 => "\\\"",
            92 => "\\\\",
            _ => "",
        };
        match c {
            _ if !escaped.is_empty() => out.push_str(escaped),
            '\0'..='\u{1f}' | '\u{7f}' => out.push_str(&format!("\\{:03o}", u32::from(c))),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_look_like_literals() {
        let value = Value::list(vec![
            Value::from("a\"b\n"),
            Value::Double(1.0),
            Value::Uint(2),
            Value::Bytes(vec![b'x', 255].into()),
            Value::Int(1).some(),
        ]);
        assert_eq!(value.to_string(), r#"["a\"b\n", 1.0, 2u, b"\170\377", optional.of(1)]"#);
        assert_eq!(Value::from("bare").to_string(), "bare");
    }
}
