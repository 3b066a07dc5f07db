//! A compiled expression that can be evaluated any number of times.

use crate::check::Checked;
use crate::error::EvalError;
use crate::interpret::plan::{Planned, plan};
use crate::interpret::{Limits, Machine, Variables};
use crate::library::Library;
use crate::value::Value;

/// Kubernetes' limit for one evaluation of one expression.
pub const PER_CALL_LIMIT: u64 = 1_000_000;

/// Nodes and list elements that one evaluation may visit, whatever they cost.
const STEPS: u64 = 20_000_000;

/// Bytes that one evaluation may build. Upstream's cost lets strings grow to some ten megabytes.
const MEMORY: usize = 64 << 20;

/// What one evaluation may cost.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// In CEL's units of cost.
    pub cost: u64,
}

impl Default for Budget {
    /// [`PER_CALL_LIMIT`].
    fn default() -> Self {
        Self { cost: PER_CALL_LIMIT }
    }
}

impl Budget {
    fn limits(self) -> Limits {
        Limits { cost: self.cost, steps: STEPS, memory: MEMORY }
    }
}

/// What came of an evaluation, and its cost, which also errors have.
#[derive(Clone, Debug)]
pub struct Evaluation {
    pub result: Result<Value, EvalError>,
    pub cost: u64,
}

/// A checked expression, planned. Evaluations do not change it: it can be shared.
#[derive(Debug)]
pub struct Program {
    planned: Planned,
}

impl Program {
    /// Plans a checked expression, with the functions of `library`.
    ///
    /// # Errors
    /// A constant that does not convert, a malformed pattern, a function that the library does not have.
    pub fn new(checked: &Checked, library: &Library) -> Result<Self, EvalError> {
        plan(checked, library, Budget::default().limits()).map(|planned| Self { planned })
    }

    /// Evaluates it. The errors of [`Evaluation::result`] are the expression's own, or that it ran out of `budget`:
    /// [`EvalError::is_fatal`].
    pub fn evaluate(&self, variables: &dyn Variables, budget: Budget) -> Evaluation {
        let mut machine = Machine::new(&self.planned, variables, budget.limits());
        let result = machine.evaluate(&self.planned.root);
        Evaluation { result, cost: machine.cost() }
    }
}
