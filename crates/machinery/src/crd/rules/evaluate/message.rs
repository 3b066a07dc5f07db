//! `messageExpression`: what a failed rule says of itself.

use drydock_cel::value::Value as CelValue;
use drydock_cel::{Budget, Program, Variables};

/// The longest message, in bytes.
const LONGEST: usize = 5 * 1024;

/// What came of a `messageExpression`.
pub(super) enum Message {
    Text(String),
    /// The rule's own message has to do.
    None,
    /// Nothing more may be evaluated, for this reason.
    OutOfBudget(String),
}

/// Evaluates it, and takes what that costs from `budget`.
pub(super) fn evaluate(
    program: &Program,
    source: &str,
    variables: &dyn Variables,
    budget: &mut i64,
) -> Message {
    let evaluation = program.evaluate(variables, Budget::default());
    let cost = i64::try_from(evaluation.cost).unwrap_or(i64::MAX);
    if cost > *budget {
        return Message::OutOfBudget(
            "messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run".to_owned(),
        );
    }
    match evaluation.result {
        Err(error) if error.is_fatal() => Message::OutOfBudget(format!(
            "no further validation rules will be run due to call cost exceeds limit for messageExpression: {source:?}"
        )),
        Ok(CelValue::String(text)) => {
            *budget -= cost;
            let text = text.trim();
            if text.is_empty() || text.len() > LONGEST || text.contains('\n') {
                return Message::None;
            }
            Message::Text(text.to_owned())
        }
        _ => {
            *budget -= cost;
            Message::None
        }
    }
}
