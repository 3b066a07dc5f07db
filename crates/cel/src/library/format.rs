//! `"%s".format([x])`: cel-go's `ext/formatting.go`, in the locale en.

use super::conversions::to_string;
use crate::error::EvalError;
use crate::interpret::Context;
use crate::value::{List, Map, Value};

const PRECISION: usize = 6;
/// More digits than this say nothing.
const MOST_DIGITS: usize = 1000;

/// # Errors
/// A malformed clause, one without argument, or with one of a type that it does not take.
pub(super) fn format(context: &mut Context<'_>, text: &str, list: &List) -> Result<Value, EvalError> {
    context.allocate(text.len())?;
    let mut out = String::with_capacity(text.len());
    let mut index = 0;
    let mut rest = text;
    while let Some(start) = rest.find('%') {
        out.push_str(&rest[..start]);
        rest = &rest[start + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        if index >= list.len() {
            return Err(EvalError::new(format!("index {index} out of range")));
        }
        let argument = list.get(index)?;
        if rest.is_empty() {
            return Err(EvalError::new("unexpected end of string"));
        }
        let (clause, after) = parse_clause(rest)
            .map_err(|error| EvalError::new(format!("could not parse formatting clause: {error}")))?;
        let shown = clause
            .show(&argument)
            .map_err(|error| EvalError::new(format!("error during formatting: {error}")))?;
        context.allocate(shown.len())?;
        out.push_str(&shown);
        rest = after;
        index += 1;
    }
    out.push_str(rest);
    Ok(Value::from(out))
}

/// A verb with its precision.
pub(crate) struct Clause {
    pub(crate) verb: char,
    precision: usize,
}

pub(crate) fn parse_clause(text: &str) -> Result<(Clause, &str), String> {
    let (precision, rest) = match text.strip_prefix('.') {
        Some(rest) => parse_precision(rest).map_err(|e| format!("error while parsing precision: {e}"))?,
        None => (PRECISION, text),
    };
    let mut chars = rest.chars();
    match chars.next() {
        Some(verb @ ('s' | 'd' | 'f' | 'e' | 'b' | 'x' | 'X' | 'o')) => {
            Ok((Clause { verb, precision }, chars.as_str()))
        }
        other => {
            // Upstream looks at one byte.
            let byte = char::from(rest.as_bytes().first().copied().unwrap_or_default());
            let shown = if other.is_some_and(|c| c.is_ascii()) { other.unwrap_or(byte) } else { byte };
            Err(format!("unrecognized formatting clause \"{shown}\""))
        }
    }
}

fn parse_precision(text: &str) -> Result<(usize, &str), String> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    let end = end.ok_or("could not find end of precision specifier")?;
    let digits = &text[..end];
    let reason = |kind: &str| {
        format!("error while converting precision to integer: strconv.Atoi: parsing {digits:?}: {kind}")
    };
    match digits.parse::<i64>() {
        Ok(precision) => Ok((usize::try_from(precision).unwrap_or(0).min(MOST_DIGITS), &text[end..])),
        Err(_) if digits.is_empty() => Err(reason("invalid syntax")),
        Err(_) => Err(reason("value out of range")),
    }
}

impl Clause {
    fn show(&self, value: &Value) -> Result<String, String> {
        match self.verb {
            's' => shown(value),
            'd' => decimal(value),
            'f' => self.number(value, "fixed-point").map(|d| fixed(d, self.precision)),
            // The precision is a width here.
            'e' => self.number(value, "scientific").map(|d| format!("{:>1$}", scientific(d), self.precision)),
            'b' => radix(value, |n| format!("{n:b}"))
                .or_else(|| Some(i32::from(value.as_bool()?).to_string()))
                .ok_or_else(|| wrong("only integers and bools can be formatted as binary", value)),
            'o' => radix(value, |n| format!("{n:o}"))
                .ok_or_else(|| wrong("octal clause can only be used on integers", value)),
            'x' => hexadecimal(value),
            _ => hexadecimal(value).map(|text| text.to_uppercase()),
        }
    }

    fn number(&self, value: &Value, clause: &str) -> Result<f64, String> {
        match value {
            Value::Double(d) => Ok(*d),
            Value::String(text) => match text.as_str() {
                "NaN" => Ok(f64::NAN),
                "Infinity" => Ok(f64::INFINITY),
                "-Infinity" => Ok(f64::NEG_INFINITY),
                _ => Err(wrong(&format!("{clause} clause can only be used on doubles"), value)),
            },
            _ => Err(wrong(&format!("{clause} clause can only be used on doubles"), value)),
        }
    }
}

fn wrong(what: &str, value: &Value) -> String {
    format!("{what}, was given {}", value.type_name())
}

fn shown(value: &Value) -> Result<String, String> {
    match value {
        Value::List(list) => shown_list(list),
        Value::Map(map) => shown_map(map),
        Value::Null => Ok("null".to_owned()),
        Value::Type(name) => Ok(name.to_string()),
        Value::Int(_)
        | Value::Uint(_)
        | Value::Double(_)
        | Value::Bool(_)
        | Value::String(_)
        | Value::Timestamp(_)
        | Value::Bytes(_)
        | Value::Duration(_) => match to_string(std::slice::from_ref(value)) {
            Ok(Value::String(text)) => Ok(text.to_string()),
            Ok(other) => Ok(other.to_string()),
            Err(error) => Err(format!("could not convert argument {:?} to string", error.message())),
        },
        _ => Err(wrong(
            "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps",
            value,
        )),
    }
}

/// A value within a list or map, as a literal.
fn nested(value: &Value) -> Result<String, String> {
    Ok(match value {
        Value::String(text) => format!("{text:?}"),
        Value::Bytes(_) => format!("b{:?}", shown(value)?),
        Value::Double(d) if d.is_finite() => format!("{d:.PRECISION$}"),
        Value::Double(d) if d.is_nan() => "\"NaN\"".to_owned(),
        Value::Double(d) => if *d > 0.0 { "\"+Inf\"" } else { "\"-Inf\"" }.to_owned(),
        Value::Timestamp(t) => format!("timestamp(\"{t}\")"),
        Value::Duration(d) => format!("duration(\"{d}\")"),
        Value::Object(_) | Value::Opaque(_) | Value::Optional(_) => {
            return Err(format!("no formatting function for {}", value.type_name()));
        }
        _ => shown(value)?,
    })
}

fn shown_list(list: &List) -> Result<String, String> {
    let items = list.iter().map(|item| nested(&item.map_err(|error| error.to_string())?));
    Ok(format!("[{}]", items.collect::<Result<Vec<_>, _>>()?.join(", ")))
}

/// Entries are sorted by the text of their keys.
fn shown_map(map: &Map) -> Result<String, String> {
    let mut entries = Vec::new();
    for key in map.keys() {
        let shown_key = match &key {
            Value::String(_) | Value::Bool(_) | Value::Int(_) | Value::Uint(_) => nested(&key)?,
            _ => return Err(format!("no formatting function for map key of type {}", key.type_name())),
        };
        let value = map.get(&key).map_err(|error| error.to_string())?.unwrap_or(Value::Null);
        entries.push((shown_key, nested(&value)?));
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    let entries: Vec<String> = entries.into_iter().map(|(key, value)| format!("{key}:{value}")).collect();
    Ok(format!("{{{}}}", entries.join(", ")))
}

fn decimal(value: &Value) -> Result<String, String> {
    match value {
        Value::Int(i) => Ok(i.to_string()),
        Value::Uint(u) => Ok(u.to_string()),
        _ => Err(wrong("decimal clause can only be used on integers", value)),
    }
}

/// With groups of three digits.
fn fixed(d: f64, precision: usize) -> String {
    if let Some(named) = named(d) {
        return named.to_owned();
    }
    let text = format!("{:.precision$}", d.abs());
    let (whole, fraction) = text.split_once('.').map_or((&*text, None), |(w, f)| (w, Some(f)));
    let mut out = String::new();
    if d.is_sign_negative() {
        out.push('-');
    }
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

fn named(d: f64) -> Option<&'static str> {
    match d {
        d if d.is_nan() => Some("NaN"),
        f64::INFINITY => Some("\u{221e}"),
        f64::NEG_INFINITY => Some("-\u{221e}"),
        _ => None,
    }
}

/// `1.234500×10⁰³`.
fn scientific(d: f64) -> String {
    if let Some(named) = named(d) {
        return named.to_owned();
    }
    const SUPERSCRIPTS: [char; 10] = [
        '\u{2070}', '\u{b9}', '\u{b2}', '\u{b3}', '\u{2074}', '\u{2075}', '\u{2076}', '\u{2077}', '\u{2078}',
        '\u{2079}',
    ];
    let text = format!("{d:.PRECISION$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(("", exponent), |rest| ("\u{207b}", rest));
    let raised = format!("{exponent:0>2}");
    let raised = raised.chars().filter_map(|c| SUPERSCRIPTS.get(c.to_digit(10)? as usize));
    format!("{digits}\u{d7}10{sign}{}", raised.collect::<String>())
}

fn radix(value: &Value, digits: fn(u64) -> String) -> Option<String> {
    match value {
        Value::Int(i) if *i < 0 => Some(format!("-{}", digits(i.unsigned_abs()))),
        Value::Int(i) => Some(digits(i.unsigned_abs())),
        Value::Uint(u) => Some(digits(*u)),
        _ => None,
    }
}

fn hexadecimal(value: &Value) -> Result<String, String> {
    let bytes = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    match value {
        Value::String(text) => Ok(bytes(text.as_bytes())),
        Value::Bytes(raw) => Ok(bytes(raw)),
        _ => radix(value, |n| format!("{n:x}"))
            .ok_or_else(|| wrong("only integers, byte buffers, and strings can be formatted as hex", value)),
    }
}
