//! Lists: built by expressions, or a caller's own.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::{Value, equal};
use crate::error::EvalError;

/// A list.
#[derive(Clone, Debug)]
pub enum List {
    Built(Arc<Vec<Value>>),
    View(Arc<dyn ListView>),
}

/// A caller's list. Elements are made when they are asked for.
pub trait ListView: Any + fmt::Debug + Send + Sync {
    fn len(&self) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at `index`, which is less than [`ListView::len`].
    ///
    /// # Errors
    /// When the caller's data does not fit its schema; the expression sees the error as that element.
    fn get(&self, index: usize) -> Result<Value, EvalError>;

    /// `self == other`.
    ///
    /// # Errors
    /// When the two do not compare.
    fn equals(&self, other: &Value) -> Result<bool, EvalError> {
        match other {
            Value::List(other) => lists_equal(self.len(), &|i| self.get(i), other),
            _ => Ok(false),
        }
    }

    /// `value in self`. What does not compare is not the same.
    ///
    /// # Errors
    /// Where the list's type has it otherwise.
    fn contains(&self, value: &Value) -> Result<bool, EvalError> {
        let same = |index| self.get(index).and_then(|item| equal(value, &item)).unwrap_or(false);
        Ok((0..self.len()).any(same))
    }

    /// `self + other`, where that is not plain concatenation.
    fn concat(&self, _other: &List) -> Option<Result<Value, EvalError>> {
        None
    }

    /// The list as it is without its schema; None when that is no different.
    fn native(&self) -> Option<Value> {
        None
    }

    fn as_any(&self) -> &dyn Any;
}

impl List {
    pub fn len(&self) -> usize {
        match self {
            Self::Built(items) => items.len(),
            Self::View(view) => view.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// # Errors
    /// `index out of bounds`, or the element is malformed.
    pub fn get(&self, index: usize) -> Result<Value, EvalError> {
        let out = || EvalError::new(format!("index out of bounds: {index}"));
        match self {
            Self::Built(items) => items.get(index).cloned().ok_or_else(out),
            Self::View(view) if index < view.len() => view.get(index),
            Self::View(_) => Err(out()),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = Result<Value, EvalError>> + '_ {
        (0..self.len()).map(|index| self.get(index))
    }

    /// All elements.
    ///
    /// # Errors
    /// The first malformed one.
    pub fn to_vec(&self) -> Result<Vec<Value>, EvalError> {
        match self {
            Self::Built(items) => Ok(items.to_vec()),
            Self::View(_) => self.iter().collect(),
        }
    }

    pub(super) fn equals(&self, other: &Value) -> Result<bool, EvalError> {
        match (self, other) {
            (Self::View(view), _) => view.equals(other),
            (Self::Built(_), Value::List(other)) => lists_equal(self.len(), &|i| self.get(i), other),
            _ => Ok(false),
        }
    }
}

fn lists_equal(
    len: usize,
    get: &dyn Fn(usize) -> Result<Value, EvalError>,
    other: &List,
) -> Result<bool, EvalError> {
    if len != other.len() {
        return Ok(false);
    }
    for index in 0..len {
        if !equal(&get(index)?, &other.get(index)?)? {
            return Ok(false);
        }
    }
    Ok(true)
}
