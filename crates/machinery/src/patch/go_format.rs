//! How Go's `fmt` shows a JSON tree: error texts have it.

use std::fmt::{self, Write as _};

use crate::value::Value;

/// `%v`: `map[a:1 b:[x y]]`.
pub fn go_format(value: &Value) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_go(value, &mut out);
    out
}

/// `%T`: `map[string]interface {}`.
pub fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "%!s(<nil>)",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// `encoding/json`, which escapes what HTML would misread.
pub fn go_json(value: &Value) -> String {
    let text = String::from_utf8_lossy(&value.to_json()).into_owned();
    if !text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return text;
    }
    text.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

fn write_go(value: &Value, out: &mut String) -> fmt::Result {
    match value {
        Value::Null => out.write_str("<nil>"),
        Value::Bool(b) => write!(out, "{b}"),
        Value::Int(i) => write!(out, "{i}"),
        Value::Float(f) => write_float(*f, out),
        Value::String(s) => out.write_str(s),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(' ');
                }
                write_go(item, out)?;
            }
            out.write_str("]")
        }
        Value::Object(map) => {
            out.write_str("map[")?;
            for (i, (key, value)) in map.iter().enumerate() {
                let space = if i > 0 { " " } else { "" };
                write!(out, "{space}{key}:")?;
                write_go(value, out)?;
            }
            out.write_str("]")
        }
    }
}

/// The shortest digits, with an exponent below 1e-4 and from 1e21.
fn write_float(f: f64, out: &mut String) -> fmt::Result {
    let magnitude = f.abs();
    if magnitude != 0.0 && !(1e-4..1e21).contains(&magnitude) {
        let text = format!("{f:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
        return write!(out, "{digits}e{sign}{exponent:0>2}");
    }
    write!(out, "{f}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn trees_look_as_in_go() {
        let tree = value!({"b": [1, "x", null, true], "a": {"f": 1.5, "g": 1e30, "h": 1e-7}});
        assert_eq!(go_format(&tree), "map[a:map[f:1.5 g:1e+30 h:1e-07] b:[1 x <nil> true]]");
    }
}
