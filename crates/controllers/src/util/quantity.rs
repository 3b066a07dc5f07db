//! Reading quantities for sums and comparisons, in thousandths.

use drydock_machinery::Value;

/// The quantity in thousandths of its unit, rounded up; 0 when it cannot be read.
pub(crate) fn milli(value: Option<&Value>) -> i128 {
    match value {
        Some(Value::Int(i)) => i128::from(*i) * 1000,
        Some(Value::Float(f)) => (f * 1000.0).ceil() as i128,
        Some(Value::String(text)) => parse_milli(text).unwrap_or(0),
        _ => 0,
    }
}

fn parse_milli(text: &str) -> Option<i128> {
    let split =
        text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let (numerator, denominator): (i128, i128) = match suffix {
        "n" => (1, 1_000_000),
        "u" => (1, 1_000),
        "m" => (1, 1),
        "" => (1_000, 1),
        "k" => (1_000_000, 1),
        "M" => (1_000_000_000, 1),
        "G" => (1_000_000_000_000, 1),
        "T" => (1_000_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000_000, 1),
        "Ki" => (1_000 << 10, 1),
        "Mi" => (1_000 << 20, 1),
        "Gi" => (1_000 << 30, 1),
        "Ti" => (1_000 << 40, 1),
        "Pi" => (1_000 << 50, 1),
        "Ei" => (1_000 << 60, 1),
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            let factor = 10i128.checked_pow(power.unsigned_abs())?;
            if power >= 0 { (factor.checked_mul(1_000)?, 1) } else { (1_000, factor) }
        }
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let negative = whole.starts_with('-');
    let whole = whole.trim_start_matches(['+', '-']);
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let denominator = denominator.checked_mul(10i128.checked_pow(u32::try_from(fraction.len()).ok()?)?)?;
    let product = digits.checked_mul(numerator)?;
    let value = product.div_euclid(denominator) + i128::from(product.rem_euclid(denominator) != 0);
    Some(if negative { -value } else { value })
}

/// How quantities of one kind are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    DecimalSi,
    BinarySi,
}

impl Format {
    pub(crate) fn of(value: Option<&Value>) -> Self {
        let binary = value.and_then(Value::as_str).is_some_and(|text| text.ends_with('i'));
        if binary { Self::BinarySi } else { Self::DecimalSi }
    }
}

/// The canonical text of a quantity in thousandths.
pub(crate) fn text(milli: i128, format: Format) -> String {
    if milli == 0 {
        return "0".to_owned();
    }
    if milli % 1000 != 0 {
        return format!("{milli}m");
    }
    let mut value = milli / 1000;
    let (base, suffixes): (i128, &[&str]) = match format {
        Format::BinarySi => (1024, &["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]),
        Format::DecimalSi => (1000, &["", "k", "M", "G", "T", "P", "E"]),
    };
    let mut step = 0;
    while step + 1 < suffixes.len() && value % base == 0 {
        value /= base;
        step += 1;
    }
    format!("{value}{}", suffixes[step])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_and_written_canonically() {
        for (input, expected) in
            [("100m", 100), ("1", 1000), ("1.5", 1500), ("1Ki", 1_024_000), ("2e3", 2_000_000), ("1n", 1)]
        {
            assert_eq!(milli(Some(&Value::from(input))), expected, "{input}");
        }
        assert_eq!(text(1500, Format::DecimalSi), "1500m");
        assert_eq!(text(3_145_728_000, Format::BinarySi), "3Mi");
        assert_eq!(text(2_000_000, Format::DecimalSi), "2k");
    }
}
