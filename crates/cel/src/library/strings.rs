//! cel-go's `ext/strings.go`, version 2. Positions count characters.

use super::{Implementation, format, no_overload};
use crate::error::EvalError;
use crate::interpret::Context;
use crate::value::Value;

pub(super) const FUNCTIONS: &[(&str, Implementation)] = &[
    ("charAt", char_at),
    ("lowerAscii", |context, args| mapped(context, "lowerAscii", args, |text| text.to_ascii_lowercase())),
    ("upperAscii", |context, args| mapped(context, "upperAscii", args, |text| text.to_ascii_uppercase())),
    ("trim", |context, args| mapped(context, "trim", args, |text| text.trim_matches(is_go_space).to_owned())),
    ("strings.quote", |context, args| mapped(context, "strings.quote", args, quote)),
    ("replace", replace),
    ("split", split),
    ("substring", substring),
    ("join", join),
    ("format", |context, args| match args {
        [Value::String(text), Value::List(list)] => format::format(context, text, list),
        _ => Err(no_overload("format", args)),
    }),
];

/// `unicode.IsSpace`.
fn is_go_space(c: char) -> bool {
    c.is_whitespace() || c == '\u{85}'
}

fn mapped(
    context: &mut Context<'_>,
    function: &str,
    args: &[Value],
    map: fn(&str) -> String,
) -> Result<Value, EvalError> {
    match args {
        [Value::String(text)] => {
            context.allocate(text.len() * 2)?;
            Ok(Value::from(map(text)))
        }
        _ => Err(no_overload(function, args)),
    }
}

fn out_of_range(index: i64) -> EvalError {
    EvalError::new(format!("index out of range: {index}"))
}

fn char_at(_: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    let [Value::String(text), Value::Int(index)] = args else { return Err(no_overload("charAt", args)) };
    let place = usize::try_from(*index).map_err(|_| out_of_range(*index))?;
    match text.chars().nth(place) {
        Some(c) => Ok(Value::from(c.to_string())),
        None if text.chars().count() == place => Ok(Value::from("")),
        None => Err(out_of_range(*index)),
    }
}

/// The character position of `part` in `text`, at `offset` or after.
pub(super) fn index_of(
    context: &mut Context<'_>,
    text: &str,
    part: &str,
    offset: i64,
) -> Result<i64, EvalError> {
    context.work(text.len() / 16)?;
    if part.is_empty() {
        return Ok(offset);
    }
    let skipped = usize::try_from(offset).map_err(|_| out_of_range(offset))?;
    let Some((start, _)) = text.char_indices().nth(skipped) else { return Ok(-1) };
    Ok(text[start..].find(part).map_or(-1, |found| position(text, start + found)))
}

/// The character position of the last `part` that begins at `offset` or before.
pub(super) fn last_index_of(
    context: &mut Context<'_>,
    text: &str,
    part: &str,
    offset: Option<i64>,
) -> Result<i64, EvalError> {
    context.work(text.len() / 16)?;
    let Some(offset) = offset else {
        let end = if part.is_empty() { Some(text.len()) } else { text.rfind(part) };
        return Ok(end.map_or(-1, |end| position(text, end)));
    };
    if part.is_empty() {
        return Ok(offset);
    }
    let place = usize::try_from(offset).map_err(|_| out_of_range(offset))?;
    let Some((start, _)) = text.char_indices().nth(place) else { return Ok(-1) };
    // A match may begin at the offset and go beyond it.
    let end = text.len().min(start + part.len());
    let end = (end..=text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(text.len());
    Ok(text[..end].rfind(part).map_or(-1, |found| position(text, found)))
}

fn position(text: &str, byte: usize) -> i64 {
    i64::try_from(text[..byte].chars().count()).unwrap_or(i64::MAX)
}

fn replace(context: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    let (text, old, new, limit) = match args {
        [Value::String(text), Value::String(old), Value::String(new)] => (text, old, new, -1),
        [Value::String(text), Value::String(old), Value::String(new), Value::Int(limit)] => {
            (text, old, new, *limit)
        }
        _ => return Err(no_overload("replace", args)),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    context.work(text.len() / 16)?;
    let times = if old.is_empty() { text.chars().count() + 1 } else { text.matches(old.as_str()).count() };
    let grown = new.len().saturating_mul(times.min(limit)).saturating_add(text.len());
    context.allocate(grown)?;
    Ok(Value::from(text.replacen(old.as_str(), new, limit)))
}

fn split(context: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    let (text, separator, limit) = match args {
        [Value::String(text), Value::String(separator)] => (text, separator, -1),
        [Value::String(text), Value::String(separator), Value::Int(limit)] => (text, separator, *limit),
        _ => return Err(no_overload("split", args)),
    };
    context.work(text.len() / 16)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if limit == 0 {
        return Ok(Value::list(Vec::new()));
    }
    let parts = if separator.is_empty() {
        characters(text, limit)
    } else {
        text.splitn(limit, separator.as_str()).collect()
    };
    context.allocate_list(parts.len())?;
    Ok(Value::strings(parts))
}

/// Each character by itself, the rest in the last part.
fn characters(text: &str, limit: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if parts.len() + 1 == limit {
            parts.push(rest);
            break;
        }
        let (first, others) = rest.split_at(c.len_utf8());
        parts.push(first);
        rest = others;
    }
    parts
}

fn substring(_: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    let (text, start, end) = match args {
        [Value::String(text), Value::Int(start)] => (text, *start, None),
        [Value::String(text), Value::Int(start), Value::Int(end)] => (text, *start, Some(*end)),
        _ => return Err(no_overload("substring", args)),
    };
    if let Some(end) = end.filter(|end| start > *end) {
        let message = format!("invalid substring range. start: {start}, end: {end}");
        return Err(EvalError::new(message));
    }
    let from = byte_at(text, start)?;
    let to = end.map_or(Ok(text.len()), |end| byte_at(text, end))?;
    Ok(Value::from(&text[from..to]))
}

/// Where the character at a position begins; the end counts as a place.
fn byte_at(text: &str, position: i64) -> Result<usize, EvalError> {
    let out = || out_of_range(position);
    let place = usize::try_from(position).map_err(|_| out())?;
    let mut ends = text.char_indices().map(|(byte, _)| byte).chain([text.len()]);
    ends.nth(place).ok_or_else(out)
}

fn join(context: &mut Context<'_>, args: &[Value]) -> Result<Value, EvalError> {
    let (list, separator) = match args {
        [Value::List(list)] => (list, ""),
        [Value::List(list), Value::String(separator)] => (list, separator.as_str()),
        _ => return Err(no_overload("join", args)),
    };
    let mut out = String::new();
    for (index, element) in list.iter().enumerate() {
        let element = element?;
        let Value::String(text) = &element else {
            return Err(EvalError::new(format!("join: invalid input: {element}")));
        };
        let separator = if index > 0 { separator } else { "" };
        context.allocate(separator.len() + text.len())?;
        out.push_str(separator);
        out.push_str(text);
    }
    Ok(Value::from(out))
}

fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}
