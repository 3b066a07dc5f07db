//! From type to type: `int("1")`, `string(duration("1h"))`, `type(x)`.

use ecow::EcoString;

use super::{Implementation, no_overload};
use crate::error::EvalError;
use crate::interpret::Context;
use crate::value::{Duration, Timestamp, Value, double_to_string, float_to_int, float_to_uint};

pub(super) const FUNCTIONS: &[(&str, Implementation)] = &[
    ("bool", to_bool),
    ("bytes", to_bytes),
    ("double", to_double),
    ("duration", to_duration),
    ("dyn", |_, args| args.first().cloned().ok_or_else(EvalError::no_such_overload)),
    ("int", to_int),
    ("string", |_, args| to_string(args)),
    ("timestamp", to_timestamp),
    ("type", |_, args| match args {
        [value] => Ok(Value::Type(EcoString::from(value.type_name()))),
        _ => Err(no_overload("type", args)),
    }),
    ("uint", to_uint),
];

fn failed(from: &str, to: &str) -> EvalError {
    EvalError::new(format!("type conversion error from '{from}' to '{to}'"))
}

fn to_bool(_: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    match args {
        [Value::Bool(b)] => Ok(Value::Bool(*b)),
        [Value::String(text)] => match text.as_str() {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(Value::Bool(false)),
            _ => Err(failed("string", "bool")),
        },
        _ => Err(no_overload("bool", args)),
    }
}

fn to_bytes(_: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    match args {
        [Value::Bytes(bytes)] => Ok(Value::Bytes(bytes.clone())),
        [Value::String(text)] => Ok(Value::Bytes(text.as_bytes().into())),
        _ => Err(no_overload("bytes", args)),
    }
}

fn to_double(_: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    Ok(Value::Double(match args {
        [Value::Double(d)] => *d,
        [Value::Int(i)] => *i as f64,
        [Value::Uint(u)] => *u as f64,
        [Value::String(text)] => parse_double(text).ok_or_else(|| failed("string", "double"))?,
        _ => return Err(no_overload("double", args)),
    }))
}

/// `strconv.ParseFloat`, without hexadecimal floats; what is too large is an error there.
pub(super) fn parse_double(text: &str) -> Option<f64> {
    let parsed: f64 = text.parse().ok()?;
    let named = text.trim_start_matches(['+', '-']).starts_with(['i', 'I', 'n', 'N']);
    (parsed.is_finite() || named).then_some(parsed)
}

fn to_duration(_: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    match args {
        [Value::Duration(d)] => Ok(Value::Duration(*d)),
        // It is declared, but upstream's numbers do not convert to that.
        [Value::Int(_)] => Err(failed("int", "google.protobuf.Duration")),
        [Value::String(text)] => Duration::parse(text)
            .map(Value::Duration)
            .ok_or_else(|| failed("string", "google.protobuf.Duration")),
        _ => Err(no_overload("duration", args)),
    }
}

fn to_int(_: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    Ok(Value::Int(match args {
        [Value::Int(i)] => *i,
        [Value::Uint(u)] => i64::try_from(*u).map_err(|_| EvalError::new("integer overflow"))?,
        [Value::Double(d)] => float_to_int(*d)?,
        [Value::Duration(d)] => d.nanoseconds(),
        [Value::Timestamp(t)] => t.seconds(),
        [Value::String(text)] => text.parse().map_err(|_| failed("string", "int"))?,
        _ => return Err(no_overload("int", args)),
    }))
}

fn to_uint(_: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    Ok(Value::Uint(match args {
        [Value::Uint(u)] => *u,
        [Value::Int(i)] => u64::try_from(*i).map_err(|_| EvalError::new("unsigned integer overflow"))?,
        [Value::Double(d)] => float_to_uint(*d)?,
        // A sign is no part of an unsigned number.
        [Value::String(text)] if !text.starts_with('+') => {
            text.parse().map_err(|_| failed("string", "uint"))?
        }
        [Value::String(_)] => return Err(failed("string", "uint")),
        _ => return Err(no_overload("uint", args)),
    }))
}

fn to_timestamp(_: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    match args {
        [Value::Timestamp(t)] => Ok(Value::Timestamp(*t)),
        [Value::Int(seconds)] => Timestamp::from_seconds(*seconds).map(Value::Timestamp),
        [Value::String(text)] => Timestamp::parse(text)?
            .map(Value::Timestamp)
            .ok_or_else(|| failed("string", "google.protobuf.Timestamp")),
        _ => Err(no_overload("timestamp", args)),
    }
}

/// `string(x)`.
pub(super) fn to_string(args: &[Value]) -> Result<Value, EvalError> {
    let text: EcoString = match args {
        [Value::String(text)] => text.clone(),
        [Value::Bool(b)] => b.to_string().into(),
        [Value::Int(i)] => i.to_string().into(),
        [Value::Uint(u)] => u.to_string().into(),
        [Value::Double(d)] => double_to_string(*d).into(),
        [Value::Bytes(bytes)] => match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => return Err(EvalError::new("invalid UTF-8 in bytes, cannot convert to string")),
        },
        [Value::Duration(d)] => d.to_string().into(),
        [Value::Timestamp(t)] => t.to_string().into(),
        [Value::Opaque(value)] => {
            value.text().map(EcoString::from).ok_or_else(|| no_overload("string", args))?
        }
        _ => return Err(no_overload("string", args)),
    };
    Ok(Value::String(text))
}
