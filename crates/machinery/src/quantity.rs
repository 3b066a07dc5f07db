//! Decimal amounts with a suffix: `100m`, `1536Mi`, `12e6`.
//!
//! A [`Quantity`] is a mantissa and a power of ten, never a float. Parsing, rounding up to nano, the cap of binary
//! amounts and the canonical form follow apimachinery's `pkg/api/resource`, including that a text which is already
//! near canonical is kept as written. Amounts keep 38 digits; upstream keeps any number.

mod arithmetic;
mod parse;

use std::fmt;

use ecow::EcoString;

use crate::value::Value;

/// An amount of a resource.
#[derive(Clone, Debug)]
pub struct Quantity {
    /// The amount is `mantissa` times ten to the power of `exponent`.
    mantissa: i128,
    exponent: i32,
    format: Format,
    /// The text it was read from, when that is how it is written.
    text: Option<EcoString>,
}

/// Which family of suffixes a quantity is written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `12e6`
    DecimalExponent,
    /// `12Mi`
    BinarySi,
    /// `12M`
    DecimalSi,
}

/// Why a text is no quantity, in upstream's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

impl Quantity {
    pub const ZERO: Self = Self { mantissa: 0, exponent: 0, format: Format::DecimalSi, text: None };

    pub fn new(value: i64, format: Format) -> Self {
        Self { mantissa: value.into(), exponent: 0, format, text: None }
    }

    /// `value` thousandths, in decimal form.
    pub fn from_milli(value: i64) -> Self {
        Self { mantissa: value.into(), exponent: -3, format: Format::DecimalSi, text: None }
    }

    /// # Errors
    /// When `text` is no quantity.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        parse::parse(text)
    }

    /// Reads a quantity as JSON has it: a string, around which spaces are ignored, or a number. Null is zero.
    ///
    /// # Errors
    /// When the value is no quantity.
    pub fn from_value(value: &Value) -> Result<Self, QuantityError> {
        match value {
            Value::Null => Ok(Self::ZERO),
            Value::String(text) => Self::parse(text.trim()),
            Value::Int(i) => Self::parse(&i.to_string()),
            Value::Float(_) => Self::parse(&String::from_utf8_lossy(&value.to_json())),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(QuantityError::Format),
        }
    }

    /// The quantity at a field; zero when it is absent or malformed.
    pub fn of(value: Option<&Value>) -> Self {
        value.and_then(|value| Self::from_value(value).ok()).unwrap_or(Self::ZERO)
    }

    pub fn format(&self) -> Format {
        self.format
    }

    pub fn is_zero(&self) -> bool {
        self.mantissa == 0
    }

    pub fn is_negative(&self) -> bool {
        self.mantissa < 0
    }

    /// The nearest integer away from zero. Saturates.
    pub fn value(&self) -> i64 {
        self.scaled_value(0)
    }

    /// The nearest number of thousandths away from zero. Saturates.
    pub fn milli_value(&self) -> i64 {
        self.scaled_value(-3)
    }

    /// The integer, if the amount is one.
    pub fn as_i64(&self) -> Option<i64> {
        let exact = self.rounded_up(0);
        (exact == *self).then(|| i64::try_from(exact.scaled_mantissa(0)?).ok()).flatten()
    }

    pub fn as_f64(&self) -> f64 {
        self.mantissa as f64 * 10f64.powi(self.exponent)
    }
}

impl From<&Quantity> for Value {
    fn from(quantity: &Quantity) -> Self {
        Self::from(quantity.to_string())
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = &self.text {
            return f.write_str(text);
        }
        if self.mantissa == 0 {
            return f.write_str("0");
        }
        match self.format {
            Format::BinarySi => match self.in_1024s() {
                Some((amount, times)) => write!(f, "{amount}{}", parse::BINARY_SUFFIXES[times]),
                None => self.fmt_decimal(f, parse::decimal_suffix),
            },
            Format::DecimalSi => self.fmt_decimal(f, parse::decimal_suffix),
            Format::DecimalExponent => self.fmt_decimal(f, |_| None),
        }
    }
}

impl Quantity {
    fn fmt_decimal(
        &self,
        f: &mut fmt::Formatter<'_>,
        suffix: impl Fn(i32) -> Option<&'static str>,
    ) -> fmt::Result {
        let (mut amount, mut exponent) = self.without_trailing_zeros();
        while exponent % 3 != 0 {
            amount = amount.saturating_mul(10);
            exponent -= 1;
        }
        match suffix(exponent) {
            Some(suffix) => write!(f, "{amount}{suffix}"),
            None if exponent == 0 => write!(f, "{amount}"),
            None => write!(f, "{amount}e{exponent}"),
        }
    }

    /// The amount as a number of 1024s to some power; None when it is a fraction, or too small to gain from it.
    fn in_1024s(&self) -> Option<(i128, usize)> {
        let mut amount = self.scaled_mantissa(0).filter(|amount| amount.abs() >= 1024)?;
        if self.rounded_up(0) != *self {
            return None;
        }
        let mut times = 0;
        while amount.abs() >= 1024 && amount % 1024 == 0 && times < parse::BINARY_SUFFIXES.len() - 1 {
            amount /= 1024;
            times += 1;
        }
        Some((amount, times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        let got = match Quantity::parse(text) {
            Ok(quantity) => quantity.to_string(),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(got, expect, "{text}");
    }

    #[test]
    fn quantities_are_written_in_canonical_form() {
        for (text, expect) in [
            ("0", "0"),
            ("0Ki", "0"),
            ("00", "0"),
            ("1", "1"),
            ("1000", "1k"),
            ("1500", "1500"),
            ("1.5", "1500m"),
            ("0.5", "500m"),
            ("0.0001", "100u"),
            ("100m", "100m"),
            ("1000m", "1"),
            ("1000k", "1M"),
            ("1024", "1024"),
            ("1024Ki", "1Mi"),
            ("1Ki", "1Ki"),
            ("8Ki", "8Ki"),
            ("1.5Gi", "1536Mi"),
            ("0.5Ki", "512"),
            ("100.035Ki", "102435840m"),
            ("1e3", "1e3"),
            ("1E3", "1E3"),
            ("12e4", "120e3"),
            ("-1.5", "-1500m"),
            ("1.G", "1.G"),
            ("3.001n", "4n"),
            ("0.9n", "1n"),
            ("9Ei", "9223372036854775807"),
            ("12E", "12E"),
            (".", "0"),
            ("1.1", "1100m"),
            ("1.500", "1.500"),
            ("+5", "+5"),
        ] {
            check(text, expect);
        }
    }

    #[test]
    fn what_is_no_quantity_is_explained_as_upstream_does() {
        let format = "error: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
        for text in ["", "x", "1x", "1 Ki", "1e5.5", "1.2.3"] {
            check(text, format);
        }
        for text in ["1e", "1mi", "1Ki5", "1Kii"] {
            check(text, "error: unable to parse quantity's suffix");
        }
    }

    #[test]
    fn quantities_compare_by_amount_and_add_in_the_first_ones_form() {
        let q = |text| Quantity::parse(text).unwrap();
        assert_eq!(q("1Ki"), q("1024"));
        assert!(q("10000T") > q("100Gi"));
        assert!(q("1e1000") > q("9E"));
        assert!(q("-1") < q("1n"));
        assert_eq!((q("1") + q("500m")).to_string(), "1500m");
        assert_eq!((q("1Gi") + q("512Mi")).to_string(), "1536Mi");
        assert_eq!((q("0") + q("1Mi")).to_string(), "1Mi");
        assert_eq!((q("1") - q("1")).to_string(), "0");
        assert_eq!((q("1Ki") - q("1")).to_string(), "1023");
        assert_eq!(q("1500m").value(), 2);
        assert_eq!(q("-1500m").value(), -2);
        assert_eq!(q("1.5").milli_value(), 1500);
        assert_eq!(q("100").milli_value(), 100_000);
        assert_eq!(q("1Gi").as_i64(), Some(1 << 30));
        assert_eq!(q("1500m").as_i64(), None);
        assert_eq!(q("1u").rounded_up(-3).to_string(), "1m");
    }

    #[test]
    fn json_numbers_are_quantities_too() {
        let check = |value: Value| Quantity::from_value(&value).map(|q| q.to_string());
        assert_eq!(check(Value::from(2)), Ok("2".to_owned()));
        assert_eq!(check(Value::from(0.5)), Ok("500m".to_owned()));
        assert_eq!(check(Value::from(" 1 ")), Ok("1".to_owned()));
        assert_eq!(check(Value::from(true)), Err(QuantityError::Format));
    }
}
