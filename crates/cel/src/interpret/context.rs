//! What an evaluation has used up, and what it may.

use std::collections::HashMap;

use ::regex::Regex;
use ecow::EcoString;

use crate::error::EvalError;
use crate::regex::go_regex;
use crate::value::{List, Value};

/// Takes what looking at all of a value is worth from `left`.
fn weigh(value: &Value, left: &mut u64) -> Result<(), EvalError> {
    let own = match value {
        Value::String(text) => text.len() as u64 / 64 + 1,
        Value::Bytes(bytes) => bytes.len() as u64 / 64 + 1,
        _ => 1,
    };
    *left = left.checked_sub(own).ok_or_else(EvalError::over_budget)?;
    match value {
        Value::List(List::Built(items)) => items.iter().try_for_each(|item| weigh(item, left)),
        Value::List(list) => list.iter().try_for_each(|item| item.map_or(Ok(()), |item| weigh(&item, left))),
        Value::Map(map) => map.keys().iter().try_for_each(|key| {
            weigh(key, left)?;
            map.get(key).ok().flatten().map_or(Ok(()), |value| weigh(&value, left))
        }),
        Value::Optional(Some(inner)) => weigh(inner, left),
        Value::Object(object) => object.fields.iter().try_for_each(|(_, value)| weigh(value, left)),
        _ => Ok(()),
    }
}

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

    /// Tells that all of `value` is about to be looked at, so many times: to be compared.
    ///
    /// # Errors
    /// As [`Context::work`].
    pub fn work_on(&mut self, value: &Value, times: usize) -> Result<(), EvalError> {
        let mut left = self.limits.steps / (times as u64).max(1);
        let before = left;
        weigh(value, &mut left)?;
        self.work(usize::try_from(before - left).unwrap_or(usize::MAX).saturating_mul(times))
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
        self.allocate(len.saturating_mul(size_of::<Value>()))
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
