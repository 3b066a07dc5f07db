//! What calls cost: of libraries first, then of what CEL itself has.

use super::estimator::{Argument, Estimator};
use super::{CostEstimate, SizeEstimate, libraries, lists};
use crate::ast::Expr;

/// Going through a string, by its characters.
pub(super) const TRAVERSAL: f64 = 0.1;
/// Applying a regular expression, by its characters, to a string of cost 1.
pub(super) const REGEX: f64 = 0.25;

/// A call's cost and the size of its result, if that is known.
pub(super) struct CallEstimate {
    pub cost: CostEstimate,
    pub size: Option<SizeEstimate>,
}

impl CallEstimate {
    pub(super) fn of(cost: CostEstimate) -> Self {
        Self { cost, size: None }
    }

    pub(super) fn sized(cost: CostEstimate, size: SizeEstimate) -> Self {
        Self { cost, size: Some(size) }
    }
}

impl<'a> Estimator<'a> {
    /// One overload's cost, arguments included, the target not.
    pub(super) fn overload(
        &mut self,
        expr: &Expr,
        function: &str,
        overload: &str,
        target: Option<&Argument<'a>>,
        arguments: &[Argument<'a>],
        costs: &[CostEstimate],
    ) -> CallEstimate {
        let sum = costs.iter().copied().fold(CostEstimate::fixed(0), CostEstimate::plus);
        let library = lists::estimate(self, overload, target, arguments)
            .or_else(|| libraries::estimate(self, function, overload, target, arguments));
        if let Some(estimate) = library {
            return CallEstimate { cost: estimate.cost.plus(sum), size: estimate.size };
        }
        match (overload, costs) {
            ("logical_or" | "logical_and", [left, right]) => {
                return CallEstimate::of(CostEstimate { min: left.min, max: left.plus(*right).max });
            }
            ("conditional", [condition, yes, no]) => {
                return self.conditional(expr, arguments, condition.plus(yes.union(*no)));
            }
            _ => {}
        }
        let estimate = self.standard(expr, overload, target, arguments);
        CallEstimate { cost: estimate.cost.plus(sum), size: estimate.size }
    }

    fn conditional(&mut self, expr: &Expr, arguments: &[Argument<'a>], cost: CostEstimate) -> CallEstimate {
        let [_, yes, no] = arguments else { return CallEstimate::of(cost) };
        self.join_insides(expr, yes, no);
        CallEstimate::sized(cost, size(yes).union(size(no)))
    }

    fn join_insides(&mut self, expr: &Expr, first: &Argument<'a>, second: &Argument<'a>) {
        let first = first.expr.and_then(|expr| self.inside(expr));
        let second = second.expr.and_then(|expr| self.inside(expr));
        if let (Some(first), Some(second)) = (first, second) {
            self.set_inside(expr.id, first.union(second));
        }
    }

    fn standard(
        &mut self,
        expr: &Expr,
        overload: &str,
        target: Option<&Argument<'a>>,
        arguments: &[Argument<'a>],
    ) -> CallEstimate {
        match (overload, target, arguments) {
            ("string_format", Some(target), _) => CallEstimate::of(size(target).scaled(TRAVERSAL)),
            ("string_to_bytes", _, [text]) => {
                let size = size(text);
                let result = SizeEstimate { min: size.min, max: size.max.wrapping_mul(4) };
                CallEstimate::sized(size.scaled(TRAVERSAL), result)
            }
            ("bytes_to_string", _, [bytes]) => {
                let size = size(bytes);
                CallEstimate::sized(size.scaled(TRAVERSAL), SizeEstimate { min: size.min / 4, max: size.max })
            }
            ("strings_quote", _, [text]) => {
                let size = size(text);
                let max = size.max.wrapping_mul(2).wrapping_add(2);
                let result = SizeEstimate { min: size.min.wrapping_add(2), max };
                CallEstimate::sized(size.scaled(TRAVERSAL), result)
            }
            ("starts_with_string" | "ends_with_string", _, [part]) => {
                CallEstimate::of(size(part).scaled(TRAVERSAL))
            }
            ("in_list", _, [_, list]) => CallEstimate::of(size(list).scaled(1.0)),
            ("matches_string", Some(target), [regex]) => {
                let text = size(target).plus(SizeEstimate::fixed(1)).scaled(TRAVERSAL);
                CallEstimate::of(text.times(size(regex).scaled(REGEX)))
            }
            ("contains_string", Some(target), [part]) => {
                CallEstimate::of(size(target).scaled(TRAVERSAL).times(size(part).scaled(TRAVERSAL)))
            }
            ("add_string" | "add_bytes" | "add_list", _, [left, right]) => {
                let result = size(left).plus(size(right));
                self.join_insides(expr, left, right);
                let is_list = overload == "add_list";
                let cost = if is_list { CostEstimate::fixed(1) } else { result.scaled(TRAVERSAL) };
                CallEstimate::sized(cost, result)
            }
            (_, _, [left, right]) if compares_sizes(overload) => {
                let max = size(left).max.min(size(right).max);
                CallEstimate::of(CostEstimate { min: max.min(1), max }.scaled(TRAVERSAL))
            }
            _ => CallEstimate::of(CostEstimate::fixed(1)),
        }
    }
}

/// An argument's size without asking the caller again.
fn size(argument: &Argument<'_>) -> SizeEstimate {
    argument.size.unwrap_or(SizeEstimate::UNKNOWN)
}

fn compares_sizes(overload: &str) -> bool {
    matches!(
        overload,
        "equals"
            | "not_equals"
            | "less_string"
            | "less_equals_string"
            | "greater_string"
            | "greater_equals_string"
            | "less_bytes"
            | "less_equals_bytes"
            | "greater_bytes"
            | "greater_equals_bytes"
    )
}
