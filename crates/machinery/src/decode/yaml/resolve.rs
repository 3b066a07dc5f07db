//! What a scalar's text means in YAML 1.1, in the dialect of go-yaml v2.

use crate::value::Value;

/// The value of a scalar after YAML 1.1.
pub(super) fn resolve(text: &str, plain: bool, tag: Option<&str>) -> Value {
    let core = tag.and_then(|tag| tag.strip_prefix("tag:yaml.org,2002:"));
    match core {
        Some("str" | "binary" | "timestamp") => return Value::from(text),
        None if !plain || tag.is_some() => return Value::from(text),
        _ => {}
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Value::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Value::Bool(false);
        }
        _ => {}
    }
    let number = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
    number.then(|| resolve_number(text)).flatten().unwrap_or_else(|| Value::from(text))
}

fn resolve_number(text: &str) -> Option<Value> {
    // JSON has no infinities: what upstream cannot encode stays text.
    let plain = text.replace('_', "");
    if let Some(int) = parse_int(&plain) {
        return Some(i64::try_from(int).map_or(Value::Float(int as f64), Value::Int));
    }
    is_float(&plain).then(|| plain.parse::<f64>().ok()).flatten().map(|f| {
        // Go prints a whole float without a point, which JSON reads back as an integer.
        if f == f.trunc() && f.abs() < 1e15 { Value::Int(f as i64) } else { Value::Float(f) }
    })
}

/// As Go's `strconv.ParseInt` with base 0.
fn parse_int(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, radix) = match digits.get(..2) {
        Some("0x" | "0X") => (&digits[2..], 16),
        Some("0b" | "0B") => (&digits[2..], 2),
        Some("0o" | "0O") => (&digits[2..], 8),
        Some(_) if digits.starts_with('0') => (&digits[1..], 8),
        _ => (digits, 10),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let magnitude = i128::from(u64::from_str_radix(digits, radix).ok()?);
    let value = if negative { -magnitude } else { magnitude };
    (value >= i128::from(i64::MIN)).then_some(value)
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let mantissa = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    let exponent = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    mantissa && exponent
}
