//! Comparing, adding and rounding quantities.

use std::cmp::Ordering;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

use super::Quantity;

impl Quantity {
    /// The amount as a multiple of ten to the power of `scale`, rounded away from zero: `rounded_up(-3)` for `milli`.
    #[must_use]
    pub fn rounded_up(&self, scale: i32) -> Self {
        if self.exponent >= scale {
            return self.clone();
        }
        let mantissa = divided_up(self.mantissa, scale.saturating_sub(self.exponent));
        Self { mantissa, exponent: scale, format: self.format, text: None }
    }

    pub(super) fn scaled_value(&self, scale: i32) -> i64 {
        match self.scaled_mantissa(scale).map(i64::try_from) {
            Some(Ok(value)) => value,
            _ if self.mantissa < 0 => i64::MIN,
            _ => i64::MAX,
        }
    }

    /// The mantissa for the exponent `scale`, rounded away from zero; None when it overflows.
    pub(super) fn scaled_mantissa(&self, scale: i32) -> Option<i128> {
        let rounded = self.rounded_up(scale);
        times_power_of_ten(rounded.mantissa, rounded.exponent.saturating_sub(scale))
    }

    /// The same amount with the smallest mantissa.
    pub(super) fn without_trailing_zeros(&self) -> (i128, i32) {
        let (mut mantissa, mut exponent) = (self.mantissa, self.exponent);
        if mantissa == 0 {
            return (0, 0);
        }
        while mantissa % 10 == 0 {
            mantissa /= 10;
            exponent += 1;
        }
        (mantissa, exponent)
    }

    /// `self` and `other` with one exponent. Digits that do not fit are rounded away.
    fn aligned(&self, other: &Self) -> (i128, i128, i32) {
        let (a, b) = (self.without_trailing_zeros(), other.without_trailing_zeros());
        let mut exponent = match (a.0, b.0) {
            (0, _) => b.1,
            (_, 0) => a.1,
            _ => a.1.min(b.1),
        };
        loop {
            let at = |(mantissa, own): (i128, i32)| {
                if own >= exponent {
                    times_power_of_ten(mantissa, own - exponent)
                } else {
                    Some(divided_up(mantissa, exponent - own))
                }
            };
            match (at(a), at(b)) {
                (Some(a), Some(b)) if a.checked_add(b).is_some() && a.checked_sub(b).is_some() => {
                    return (a, b, exponent);
                }
                _ => exponent += 1,
            }
        }
    }
}

/// None when it overflows. `power` is not negative.
fn times_power_of_ten(mantissa: i128, power: i32) -> Option<i128> {
    if mantissa == 0 {
        return Some(0);
    }
    let power = u32::try_from(power).ok()?;
    mantissa.checked_mul(10_i128.checked_pow(power)?)
}

/// Divides by a power of ten, away from zero.
fn divided_up(mantissa: i128, power: i32) -> i128 {
    let divisor = u32::try_from(power).ok().and_then(|power| 10_i128.checked_pow(power));
    let Some(divisor) = divisor else { return mantissa.signum() };
    let quotient = mantissa / divisor;
    if mantissa % divisor == 0 { quotient } else { quotient + mantissa.signum() }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.without_trailing_zeros(), other.without_trailing_zeros());
        let signs = a.0.signum().cmp(&b.0.signum());
        if signs.is_ne() || a.0 == 0 {
            return signs;
        }
        let power = (i64::from(a.1) - i64::from(b.1)).clamp(-1000, 1000) as i32;
        let (a, b) = if power >= 0 {
            (times_power_of_ten(a.0, power), Some(b.0))
        } else {
            (Some(a.0), times_power_of_ten(b.0, -power))
        };
        // What overflows is the greater in magnitude.
        match (a, b) {
            (Some(a), Some(b)) => a.cmp(&b),
            (None, _) => self.mantissa.signum().cmp(&0),
            (_, None) => 0.cmp(&self.mantissa.signum()),
        }
    }
}

impl AddAssign<&Quantity> for Quantity {
    /// Zero takes the format of what is added to it.
    fn add_assign(&mut self, other: &Quantity) {
        let format = if self.is_zero() { other.format } else { self.format };
        let (a, b, exponent) = self.aligned(other);
        *self = Self { mantissa: a + b, exponent, format, text: None };
    }
}

impl SubAssign<&Quantity> for Quantity {
    fn sub_assign(&mut self, other: &Quantity) {
        *self += &-other.clone();
    }
}

impl Neg for Quantity {
    type Output = Self;

    fn neg(self) -> Self {
        Self { mantissa: -self.mantissa, text: None, ..self }
    }
}

impl Add for Quantity {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += &other;
        self
    }
}

impl Sub for Quantity {
    type Output = Self;

    fn sub(mut self, other: Self) -> Self {
        self -= &other;
        self
    }
}
