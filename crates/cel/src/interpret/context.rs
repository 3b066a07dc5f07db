//! What an evaluation has used up, and what it may.

use std::collections::HashMap;

use ::regex::Regex;
use ecow::EcoString;

use crate::error::EvalError;
use crate::regex::go_regex;

/// Patterns that one evaluation keeps compiled.
const REGEXES_KEPT: usize = 32;

/// How far an evaluation may go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// In CEL's cost units.
    pub(crate) cost: u64,
    /// Nodes and elements visited. CEL's cost does not count everything that takes time.
    pub(crate) steps: u64,
    /// Bytes of all that is built.
    pub(crate) memory: usize,
}

/// The state of one evaluation, as implementations of functions see it.
#[derive(Debug)]
pub struct Context<'a> {
    limits: Limits,
    cost: u64,
    /// Patterns that the expression names literally.
    literals: &'a HashMap<EcoString, Regex>,
    regexes: HashMap<EcoString, Regex>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(limits: Limits, literals: &'a HashMap<EcoString, Regex>) -> Self {
        Self { limits, cost: 0, literals, regexes: HashMap::new() }
    }

    pub(crate) fn cost(&self) -> u64 {
        self.cost
    }

    /// Adds to the cost.
    pub(crate) fn charge(&mut self, cost: u64) -> Result<(), EvalError> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost > self.limits.cost { Err(EvalError::over_budget()) } else { Ok(()) }
    }

    /// Tells that `steps` elements are about to be looked at.
    ///
    /// # Errors
    /// When the evaluation has taken too many steps.
    pub fn work(&mut self, steps: usize) -> Result<(), EvalError> {
        match self.limits.steps.checked_sub(steps as u64) {
            Some(left) => {
                self.limits.steps = left;
                Ok(())
            }
            None => Err(EvalError::over_budget()),
        }
    }

    /// Tells that `bytes` are about to be built.
    ///
    /// # Errors
    /// When the evaluation has built too much.
    pub fn allocate(&mut self, bytes: usize) -> Result<(), EvalError> {
        match self.limits.memory.checked_sub(bytes) {
            Some(left) => {
                self.limits.memory = left;
                Ok(())
            }
            None => Err(EvalError::over_budget()),
        }
    }

    /// Tells that a list of `len` elements is about to be built.
    ///
    /// # Errors
    /// As [`Context::allocate`].
    pub fn allocate_list(&mut self, len: usize) -> Result<(), EvalError> {
        self.allocate(len.saturating_mul(size_of::<crate::value::Value>()))
    }

    /// Whether a pattern is written in the expression.
    pub(crate) fn is_literal(&self, pattern: &str) -> bool {
        self.literals.contains_key(pattern)
    }

    /// A pattern in Go's notation, compiled.
    ///
    /// # Errors
    /// When it is malformed, in Go's words.
    pub fn regex(&mut self, pattern: &str) -> Result<Regex, String> {
        if let Some(known) = self.literals.get(pattern).or_else(|| self.regexes.get(pattern)) {
            return Ok(known.clone());
        }
        let compiled = go_regex(pattern)?;
        if self.regexes.len() < REGEXES_KEPT {
            self.regexes.insert(pattern.into(), compiled.clone());
        }
        Ok(compiled)
    }
}
