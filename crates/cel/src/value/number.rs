//! Conversions of numbers, and how Go writes them.

use crate::error::EvalError;

const OVERFLOW: &str = "integer overflow";

pub(crate) fn float_to_int(d: f64) -> Result<i64, EvalError> {
    // The largest doubles below 2^63 convert exactly; the ends are refused as cel-go does.
    if d.is_nan() || d.is_infinite() || d <= i64::MIN as f64 || d >= i64::MAX as f64 {
        return Err(EvalError::new(OVERFLOW));
    }
    Ok(d as i64)
}

pub(crate) fn float_to_uint(d: f64) -> Result<u64, EvalError> {
    if d.is_nan() || d.is_infinite() || d < 0.0 || d >= u64::MAX as f64 {
        return Err(EvalError::new("unsigned integer overflow"));
    }
    Ok(d as u64)
}

/// Go's `%g`: the fewest digits that read back the same, with an exponent when it is less than -4 or more than 5.
pub(crate) fn double_to_string(d: f64) -> String {
    if d.is_nan() {
        return "NaN".to_owned();
    }
    if d.is_infinite() {
        return if d > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{d:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format!("{d}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_written_as_go_does() {
        for (d, expect) in [
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e6, "1e+06"),
            (1e21, "1e+21"),
            (123_456_789.0, "1.23456789e+08"),
            (-12300.0, "-12300"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(double_to_string(d), expect);
        }
    }
}
