//! The values of literals.

use std::sync::Arc;

use crate::ast::Literal;

/// An integer's value, `-` and `0x` included.
pub(super) fn int(negative: bool, text: &str) -> Result<Literal, &'static str> {
    let (base, digits) = split(text);
    let signed = format!("{}{digits}", if negative { "-" } else { "" });
    i64::from_str_radix(&signed, base).map(Literal::Int).map_err(|_| "invalid int literal")
}

/// An unsigned integer's value; the text ends with `u`.
pub(super) fn uint(text: &str) -> Result<Literal, &'static str> {
    let (base, digits) = split(text.trim_end_matches(['u', 'U']));
    u64::from_str_radix(digits, base).map(Literal::Uint).map_err(|_| "invalid uint literal")
}

fn split(text: &str) -> (u32, &str) {
    text.strip_prefix("0x").map_or((10, text), |digits| (16, digits))
}

/// A number with fraction or exponent; one too large for 64 bits is an error.
pub(super) fn double(negative: bool, text: &str) -> Result<Literal, &'static str> {
    let value: f64 = text.parse().map_err(|_| "invalid double literal")?;
    if value.is_infinite() {
        return Err("invalid double literal");
    }
    Ok(Literal::Double(if negative { -value } else { value }))
}

/// A string's value, quotes and escapes resolved.
pub(super) fn string(text: &str) -> Result<Literal, &'static str> {
    let mut value = String::new();
    unescape(text, |unit| match unit {
        Unit::Character(character) => {
            value.push(character);
            Ok(())
        }
        Unit::Code { value: code, .. } => {
            value.push(char::from_u32(code).ok_or("invalid unicode code point")?);
            Ok(())
        }
    })?;
    Ok(Literal::String(value.into()))
}

/// The value of bytes; the text begins with `b`.
pub(super) fn bytes(text: &str) -> Result<Literal, &'static str> {
    let mut value = Vec::new();
    unescape(&text[1..], |unit| match unit {
        Unit::Character(character) => {
            value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            Ok(())
        }
        Unit::Code { wide: true, .. } => Err("unable to unescape string"),
        Unit::Code { value: code, .. } => {
            value.push(code as u8);
            Ok(())
        }
    })?;
    Ok(Literal::Bytes(Arc::from(value)))
}

/// A piece of a string.
enum Unit {
    Character(char),
    /// A number that was written out; `wide` with `\u` or `\U`.
    Code {
        value: u32,
        wide: bool,
    },
}

fn unescape(text: &str, mut found: impl FnMut(Unit) -> Result<(), &'static str>) -> Result<(), &'static str> {
    const BROKEN: &str = "unable to unescape string";
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let unquoted = text.strip_prefix(['r', 'R']);
    let raw = unquoted.is_some();
    let quoted = unquoted.unwrap_or(&text);
    let marks =
        if quoted.len() >= 6 && (quoted.starts_with("'''") || quoted.starts_with("\"\"\"")) { 3 } else { 1 };
    let inside = quoted.get(marks..quoted.len() - marks).ok_or(BROKEN)?;
    let mut characters = inside.chars();
    while let Some(character) = characters.next() {
        if raw || character != '\\' {
            found(Unit::Character(character))?;
            continue;
        }
        let escape = characters.next().ok_or(BROKEN)?;
        let mut number = |digits: usize, base, start: u32| {
            (0..digits).try_fold(start, |value, _| {
                let digit = characters.next().and_then(|c| c.to_digit(base)).ok_or(BROKEN)?;
                Ok::<u32, &'static str>(value.wrapping_mul(base).wrapping_add(digit))
            })
        };
        found(match escape {
            'a' => Unit::Character('\u{7}'),
            'b' => Unit::Character('\u{8}'),
            'f' => Unit::Character('\u{c}'),
            'n' => Unit::Character('\n'),
            'r' => Unit::Character('\r'),
            't' => Unit::Character('\t'),
            'v' => Unit::Character('\u{b}'),
            '\\' | '\'' | '"' | '`' | '?' => Unit::Character(escape),
            'x' | 'X' => Unit::Code { value: number(2, 16, 0)?, wide: false },
            'u' => Unit::Code { value: number(4, 16, 0)?, wide: true },
            'U' => Unit::Code { value: number(8, 16, 0)?, wide: true },
            '0'..='3' => Unit::Code { value: number(2, 8, u32::from(escape) - u32::from('0'))?, wide: false },
            _ => return Err(BROKEN),
        })?;
    }
    Ok(())
}
