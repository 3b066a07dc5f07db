//! Values whose insides only their library knows.

use std::any::Any;
use std::cmp::Ordering;
use std::fmt;

use crate::error::EvalError;

/// A value of a library.
pub trait Opaque: Any + fmt::Debug + Send + Sync {
    /// `kubernetes.Quantity`.
    fn type_name(&self) -> &str;

    /// `self == other`, of two values of any libraries.
    ///
    /// # Errors
    /// `no such overload`, when `other` is of another type.
    fn equals(&self, other: &dyn Opaque) -> Result<bool, EvalError>;

    /// The order of two values, for types that have one.
    fn compare(&self, _other: &dyn Opaque) -> Option<Ordering> {
        None
    }

    /// What cost is counted by, where the type has a size.
    fn size(&self) -> Option<u64> {
        None
    }

    /// What `string()` and messages make of it; None when it has no text.
    fn text(&self) -> Option<String> {
        None
    }

    fn as_any(&self) -> &dyn Any;
}
