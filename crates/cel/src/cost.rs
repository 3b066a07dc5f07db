//! What evaluating an expression can cost at most and at least, known before any value is.
//!
//! By cel-go's estimator with Kubernetes' figures for its libraries: which rules a definition may hold depends on it, so
//! every figure is part of the API.

mod calls;
mod estimate;
mod estimator;
mod libraries;
mod lists;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use estimate::Estimate;

use crate::check::Checked;
use crate::types::Type;

/// An expression's cost, least and greatest.
pub type CostEstimate = Estimate;
/// The size of a value, least and greatest: characters, bytes, elements or entries.
pub type SizeEstimate = Estimate;

/// What a caller knows of the sizes of values.
pub trait Sizes {
    /// The size of what is at a path: a variable's name, then fields' names, `@items`, `@keys` and `@values`.
    fn size(&self, path: &[Arc<str>], of: &Type) -> Option<SizeEstimate>;
}

/// Nothing is known of any size.
pub struct UnknownSizes;

impl Sizes for UnknownSizes {
    fn size(&self, _: &[Arc<str>], _: &Type) -> Option<SizeEstimate> {
        None
    }
}

/// Estimates what evaluating an expression costs.
pub fn estimate(checked: &Checked, sizes: &dyn Sizes) -> CostEstimate {
    estimator::Estimator::new(checked, sizes).cost(&checked.expr)
}
