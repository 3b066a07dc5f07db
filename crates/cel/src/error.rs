//! What can go wrong while an expression is evaluated.

use ecow::EcoString;

/// An error of evaluation, in cel-go's words: `no such key: x`, `division by zero`.
///
/// Most are values to the language: `&&` and `||` may absorb them. One that [`EvalError::is_fatal`] ends the whole
/// evaluation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    message: EcoString,
    fatal: bool,
}

impl EvalError {
    pub fn new(message: impl Into<EcoString>) -> Self {
        Self { message: message.into(), fatal: false }
    }

    /// The evaluation cost more than it may.
    pub fn over_budget() -> Self {
        Self { message: "operation cancelled: actual cost limit exceeded".into(), fatal: true }
    }

    /// An operand's type fits no implementation.
    pub fn no_such_overload() -> Self {
        Self::new("no such overload")
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether nothing in the expression may absorb it: a budget ran out.
    pub fn is_fatal(&self) -> bool {
        self.fatal
    }
}
