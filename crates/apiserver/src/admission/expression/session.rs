//! Evaluating one expression after the other over the same inputs.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use drydock_cel::value::{Map, MapView, Value};
use drydock_cel::{Budget, EvalError, Evaluation, Program, Variables};
use drydock_kinds::expression::{CompileError, Compiler, Scope};
use ecow::EcoString;
use parking_lot::Mutex;

use super::{Expression, Inputs};

/// A policy's variables.
#[derive(Debug, Default)]
pub(crate) struct Composition {
    variables: BTreeMap<EcoString, Result<Program, CompileError>>,
}

impl Composition {
    /// Compiles the variables of a policy's spec, in their order, and lets `compiler` know them.
    pub(in crate::admission) fn new(
        compiler: &mut Compiler,
        spec: &drydock_machinery::Value,
        scope: Scope,
    ) -> Self {
        let variables = spec.array_at(&["variables"]).iter().map(|variable| {
            let name = variable.str_at(&["name"]);
            (EcoString::from(name), compiler.declare(name, variable.str_at(&["expression"]), scope))
        });
        Self { variables: variables.collect() }
    }
}

/// Evaluates expressions until the budget is spent.
pub(in crate::admission) struct Session {
    bound: Bound,
    left: u64,
}

/// Why nothing further is evaluated.
#[derive(Debug)]
pub(in crate::admission) struct Exhausted(pub(in crate::admission) String);

impl Session {
    pub(in crate::admission) fn new(
        inputs: Inputs,
        composition: Option<Arc<Composition>>,
        budget: u64,
    ) -> Self {
        let state = State { inputs, composition, known: Mutex::default(), cost: AtomicU64::new(0) };
        Self { bound: Bound(Arc::new(state)), left: budget }
    }

    /// What is left of the budget.
    pub(in crate::admission) fn left(&self) -> u64 {
        self.left
    }

    /// The value, or why the expression has none.
    ///
    /// # Errors
    /// When the budget is spent.
    pub(in crate::admission) async fn evaluate(
        &mut self,
        expression: &Expression,
    ) -> Result<Result<Value, String>, Exhausted> {
        let program = match &expression.program {
            Ok(program) => program,
            Err(why) => return Ok(Err(format!("compilation error: {why}"))),
        };
        let evaluation = self.bound.evaluate(program).await;
        // Variables are paid for by whoever asks for them first.
        let of_variables = self.bound.0.cost.swap(0, Ordering::Relaxed);
        for cost in [of_variables, evaluation.cost] {
            self.left = self.left.checked_sub(cost).ok_or_else(|| {
                Exhausted(
                    "validation failed due to running out of cost budget, no further validation rules will be run"
                        .to_owned(),
                )
            })?;
        }
        Ok(evaluation
            .result
            .map_err(|why| format!("expression '{}' resulted in error: {why}", expression.text)))
    }
}

struct State {
    inputs: Inputs,
    composition: Option<Arc<Composition>>,
    /// Variables that were asked for.
    known: Mutex<HashMap<EcoString, Result<Value, EvalError>>>,
    /// What variables cost since somebody looked.
    cost: AtomicU64,
}

#[derive(Clone)]
struct Bound(Arc<State>);

impl Variables for Bound {
    fn variable(&self, name: &str) -> Option<Result<Value, EvalError>> {
        if name == "variables" {
            let composed = self.0.composition.is_some();
            return composed.then(|| Ok(Value::Map(Map::View(Arc::new(self.clone())))));
        }
        self.0.inputs.get(name).map(Ok)
    }
}

impl Bound {
    /// Evaluates until every check that the program makes is answered. Checks are dear enough that there are few.
    async fn evaluate(&self, program: &Program) -> Evaluation {
        loop {
            let known = self.0.known.lock().clone();
            let evaluation = program.evaluate(self, Budget::default());
            let asker = self.0.inputs.asker();
            let Some((asker, waiting)) = asker.and_then(|asker| Some((asker, asker.take_waiting()?))) else {
                return evaluation;
            };
            // Nothing of what was made without the answer is kept or paid for.
            *self.0.known.lock() = known;
            self.0.cost.store(0, Ordering::Relaxed);
            asker.wait(waiting).await;
        }
    }

    fn of_policy(&self, name: &str) -> Option<Result<Value, EvalError>> {
        let composition = self.0.composition.as_ref()?;
        let compiled = composition.variables.get(name)?;
        if let Some(known) = self.0.known.lock().get(name) {
            return Some(known.clone());
        }
        let value = match compiled {
            Ok(program) => {
                let evaluation = program.evaluate(self, Budget::default());
                self.0.cost.fetch_add(evaluation.cost, Ordering::Relaxed);
                evaluation.result.map_err(|why| {
                    EvalError::new(format!("composited variable {name:?} fails to evaluate: {why}"))
                })
            }
            Err(why) => Err(EvalError::new(format!("composited variable {name:?} fails to compile: {why}"))),
        };
        self.0.known.lock().insert(name.into(), value.clone());
        Some(value)
    }
}

impl MapView for Bound {
    fn len(&self) -> usize {
        self.0.composition.as_ref().map_or(0, |composition| composition.variables.len())
    }

    fn get(&self, key: &str) -> Result<Option<Value>, EvalError> {
        self.of_policy(key).transpose()
    }

    fn contains(&self, key: &str) -> Result<bool, EvalError> {
        Ok(self.0.composition.as_ref().is_some_and(|known| known.variables.contains_key(key)))
    }

    fn keys(&self) -> Vec<EcoString> {
        self.0.composition.iter().flat_map(|composition| composition.variables.keys().cloned()).collect()
    }

    fn type_name(&self) -> &str {
        "kubernetes.variables"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("variables")
    }
}
