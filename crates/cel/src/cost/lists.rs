//! What CEL's own libraries of lists and sets cost.

use super::calls::{CallEstimate, TRAVERSAL};
use super::estimator::{Argument, Estimator};
use super::{CostEstimate, SizeEstimate};
use crate::ast::{ExprKind, Literal};

/// A call that is dispatched and makes a list.
const NEW: u64 = 1 + 10;

/// An overload's cost if it is of these libraries.
pub(super) fn estimate(
    estimator: &Estimator<'_>,
    overload: &str,
    target: Option<&Argument<'_>>,
    arguments: &[Argument<'_>],
) -> Option<CallEstimate> {
    Some(match (overload, target, arguments) {
        ("list_slice", Some(list), [start, end]) => {
            let end = written(end, estimator.asked(list).max);
            list_call(1.0, SizeEstimate::fixed(end.wrapping_sub(written(start, 0))))
        }
        ("lists_range", None, [count]) => list_call(1.0, SizeEstimate::fixed(written(count, u64::MAX))),
        ("list_reverse", Some(list), []) => list_call(1.0, estimator.asked(list)),
        ("list_flatten" | "list_flatten_int", Some(list), depth) => {
            let depth = depth.first().map_or(1, |depth| written(depth, u64::MAX));
            list_call(depth as f64, estimator.asked(list))
        }
        ("list_distinct", Some(list), []) => quadratic(2.0, estimator.asked(list)),
        (_, Some(list), []) if overload.starts_with("list_") && overload.ends_with("_sort") => {
            quadratic(sort_factor(overload), estimator.asked(list))
        }
        (_, Some(_), [keys]) if overload.ends_with("_sortByAssociatedKeys") => {
            quadratic(sort_factor(overload), estimator.asked(keys))
        }
        ("list_sets_contains_list" | "list_sets_intersects_list", _, [left, right]) => {
            compare_all(1.0, estimator.asked(left), estimator.asked(right))
        }
        ("list_sets_equivalent_list", _, [left, right]) => {
            compare_all(2.0, estimator.asked(left), estimator.asked(right))
        }
        _ => return None,
    })
}

/// Every element of one list with every element of another.
fn compare_all(factor: f64, left: SizeEstimate, right: SizeEstimate) -> CallEstimate {
    CallEstimate::of(left.times(right).scaled(factor).plus(CostEstimate::fixed(1)))
}

fn sort_factor(overload: &str) -> f64 {
    let traverses = overload.starts_with("list_string_") || overload.starts_with("list_bytes_");
    if traverses { 2.0 + TRAVERSAL } else { 2.0 }
}

fn quadratic(factor: f64, size: SizeEstimate) -> CallEstimate {
    list_call(factor, size.times(size))
}

fn list_call(factor: f64, size: SizeEstimate) -> CallEstimate {
    CallEstimate::sized(size.scaled(factor).plus(CostEstimate::fixed(NEW)), size)
}

/// The number that an argument is, if it is written out.
fn written(argument: &Argument<'_>, otherwise: u64) -> u64 {
    match argument.expr.map(|expr| &expr.kind) {
        Some(ExprKind::Literal(Literal::Int(value))) => u64::try_from(*value).unwrap_or(0),
        _ => otherwise,
    }
}
