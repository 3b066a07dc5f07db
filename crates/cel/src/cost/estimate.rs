//! Ranges of costs and sizes. Nothing overflows: what is too large is as large as can be.

/// The least and the greatest it can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    pub min: u64,
    pub max: u64,
}

impl Estimate {
    /// Could be anything.
    pub const UNKNOWN: Self = Self { min: 0, max: u64::MAX };
    /// What no value widens less.
    pub(super) const NONE: Self = Self { min: u64::MAX, max: 0 };

    pub const fn fixed(value: u64) -> Self {
        Self { min: value, max: value }
    }

    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }

    #[must_use]
    pub fn times(self, other: Self) -> Self {
        Self { min: self.min.saturating_mul(other.min), max: self.max.saturating_mul(other.max) }
    }

    /// Times a factor, rounded up.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        // Conversion from floating point stops at the greatest.
        let scale = |value: u64| (value as f64 * factor).ceil() as u64;
        Self { min: scale(self.min), max: scale(self.max) }
    }

    /// The range that holds both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}
