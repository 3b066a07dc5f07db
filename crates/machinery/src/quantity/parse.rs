//! From text to a quantity.

use super::{Format, Quantity, QuantityError};

pub(super) const BINARY_SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

const DECIMAL_SUFFIXES: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

/// Amounts finer than this are rounded up to it.
const NANO: i32 = -9;

/// What upstream's fast path can hold: those amounts may keep the text they were written with.
const MAX_INT64_FACTORS: i32 = 18;

pub(super) fn decimal_suffix(exponent: i32) -> Option<&'static str> {
    DECIMAL_SUFFIXES.iter().find(|(_, e)| *e == exponent).map(|(suffix, _)| *suffix)
}

/// A quantity's text taken apart.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

pub(super) fn parse(text: &str) -> Result<Quantity, QuantityError> {
    if text.is_empty() {
        return Err(QuantityError::Format);
    }
    let parts = split(text)?;
    let (base, suffix_exponent, format) = interpret(parts.suffix).ok_or(QuantityError::Suffix)?;
    let digits = i32::try_from(parts.whole.len() + parts.fraction.len()).unwrap_or(i32::MAX);
    let (mut mantissa, dropped) = read_digits(&parts);
    let mut exponent = dropped - i32::try_from(parts.fraction.len()).unwrap_or(i32::MAX);
    let fits = match base {
        10 => {
            exponent = exponent.saturating_add(suffix_exponent);
            exponent >= NANO && digits <= MAX_INT64_FACTORS
        }
        _ => {
            let whole = parts.fraction.is_empty() && digits <= 14 - suffix_exponent * 3 / 10;
            match mantissa.checked_mul(1_i128 << suffix_exponent) {
                Some(scaled) => mantissa = scaled,
                None => (mantissa, exponent) = (i128::from(i64::MAX), 0),
            }
            whole
        }
    };
    let keeps_text = fits && keeps_text(&parts, base, exponent);
    let mut quantity = Quantity { mantissa, exponent, format, text: None };
    if !fits {
        quantity = capped(quantity.rounded_up(NANO));
    }
    if parts.negative {
        quantity.mantissa = -quantity.mantissa;
    }
    quantity.text = keeps_text.then(|| text.into());
    Ok(quantity)
}

/// Upstream's quick test for a text that is canonical already; it lets leading signs and zeros pass.
fn keeps_text(parts: &Parts<'_>, base: u8, exponent: i32) -> bool {
    let ends_in = |zeros: &str| match parts.fraction {
        "" => parts.whole.ends_with(zeros),
        fraction => fraction.ends_with(zeros) || format!("{}{fraction}", parts.whole).ends_with(zeros),
    };
    match base {
        10 => exponent % 3 == 0 && !ends_in("000") && !parts.whole.starts_with('0'),
        _ => parts.whole.parse::<i64>().is_ok_and(|value| value % 8 != 0),
    }
}

/// Binary amounts have a maximum, and small ones are shown as decimals.
fn capped(mut quantity: Quantity) -> Quantity {
    if quantity.format == Format::BinarySi {
        let max = Quantity::new(i64::MAX, Format::BinarySi);
        if quantity > max {
            return max;
        }
        if !quantity.is_zero() && quantity < Quantity::new(1, Format::BinarySi) {
            quantity.format = Format::DecimalSi;
        }
    }
    quantity
}

/// The digits as one number, and how many of them were left out at the end because they do not fit.
fn read_digits(parts: &Parts<'_>) -> (i128, i32) {
    let mut mantissa: i128 = 0;
    let mut dropped = 0;
    for digit in parts.whole.bytes().chain(parts.fraction.bytes()) {
        match mantissa.checked_mul(10).and_then(|m| m.checked_add(i128::from(digit - b'0'))) {
            Some(next) if dropped == 0 => mantissa = next,
            _ => dropped += 1,
        }
    }
    (mantissa, dropped)
}

fn split(text: &str) -> Result<Parts<'_>, QuantityError> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text).trim_start_matches('0');
    let (whole, rest) = unsigned.split_at(digits(unsigned));
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    let exponent = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    if digits(exponent) < exponent.len() {
        return Err(QuantityError::Format);
    }
    let whole = if whole.is_empty() { "0" } else { whole };
    Ok(Parts { negative: text.starts_with('-'), whole, fraction, suffix })
}

/// The base, the exponent and the format that a suffix stands for.
fn interpret(suffix: &str) -> Option<(u8, i32, Format)> {
    if let Some((_, exponent)) = DECIMAL_SUFFIXES.iter().find(|(s, _)| *s == suffix) {
        return Some((10, *exponent, Format::DecimalSi));
    }
    if let Some(i) = BINARY_SUFFIXES.iter().position(|s| *s == suffix) {
        return Some((2, i32::try_from(i).ok()? * 10, Format::BinarySi));
    }
    let exponent: i64 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    // Beyond this nothing can be told apart anyway.
    let exponent = exponent.clamp(-1_000_000, 1_000_000);
    Some((10, i32::try_from(exponent).ok()?, Format::DecimalExponent))
}
