//! What Kubernetes' libraries cost, and what it makes of the costs of string functions.

use std::sync::Arc;

use super::calls::{CallEstimate, REGEX, TRAVERSAL};
use super::estimator::{Argument, Estimator};
use super::{CostEstimate, SizeEstimate};
use crate::ast::{ExprKind, Literal};
use crate::types::Type;

/// Two checks of authorization are as much as an expression can afford.
const AUTHORIZATION_CHECK: u64 = 350_000;
/// The longest name of a format.
const LONGEST_FORMAT: u64 = 64;
/// The longest regular expression of a format.
const LONGEST_FORMAT_REGEX: f64 = 128.0;

/// A call's cost if it is one of those that Kubernetes estimates.
pub(super) fn estimate(
    estimator: &Estimator<'_>,
    function: &str,
    overload: &str,
    target: Option<&Argument<'_>>,
    arguments: &[Argument<'_>],
) -> Option<CallEstimate> {
    let nominal = || Some(CallEstimate::of(CostEstimate::fixed(1)));
    let size = |argument: &Argument<'_>| estimator.asked(argument);
    let traversal = |factor: f64| {
        arguments.first().map(|argument| CallEstimate::of(size(argument).scaled(factor * TRAVERSAL)))
    };
    match function {
        "check" => Some(CallEstimate::of(CostEstimate::fixed(AUTHORIZATION_CHECK))),
        "serviceAccount" | "path" | "group" | "resource" | "subresource" | "namespace" | "name"
        | "allowed" | "reason" | "error" | "errored" => nominal(),
        "fieldSelector" | "labelSelector" => match arguments {
            [selector] => Some(CallEstimate::of(selector_cost(size(selector)))),
            _ => None,
        },
        "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => {
            Some(CallEstimate::of(each_element(estimator, target?)))
        }
        "url" | "jsonpatch.escapeKey" => match arguments {
            [text] => Some(CallEstimate::sized(size(text).scaled(TRAVERSAL), size(text))),
            _ => None,
        },
        "lowerAscii" | "upperAscii" | "substring" | "trim" => {
            let size = size(target?);
            Some(CallEstimate::sized(size.scaled(TRAVERSAL), size))
        }
        "replace" => match arguments {
            [old, new, ..] => Some(replace(size(target?), size(old), size(new))),
            _ => None,
        },
        "split" => Some(split(size(target?), arguments)),
        "join" => Some(join(estimator, target?, arguments)),
        "find" | "findAll" => {
            let (text, regex) = (size(target?), size(arguments.first()?));
            let cost = text.plus(SizeEstimate::fixed(1)).scaled(TRAVERSAL).times(regex.scaled(REGEX));
            Some(CallEstimate::sized(cost, SizeEstimate { min: 0, max: text.max }))
        }
        "ip" if overload == "cidr_ip" => nominal(),
        "cidr" | "isIP" | "isCIDR" | "ip" | "quantity" | "isQuantity" | "semver" | "isSemver" => {
            traversal(1.0)
        }
        "ip.isCanonical" => traversal(2.0),
        "masked"
        | "prefixLength"
        | "family"
        | "isUnspecified"
        | "isLoopback"
        | "isLinkLocalMulticast"
        | "isLinkLocalUnicast"
        | "isGlobalUnicast" => nominal(),
        "containsIP" | "containsCIDR" => Some(contains(overload, size(arguments.first()?))),
        "validate" => {
            let text = size(arguments.first()?).scaled(TRAVERSAL);
            Some(CallEstimate::of(text.scaled(LONGEST_FORMAT_REGEX * REGEX)))
        }
        "format.named" | "sign" | "asInteger" | "isInteger" | "asApproximateFloat" | "isGreaterThan"
        | "isLessThan" | "compareTo" | "add" | "sub" | "major" | "minor" | "patch" | "getScheme"
        | "getHostname" | "getHost" | "getPort" | "getEscapedPath" | "getQuery" => nominal(),
        "_==_" => match arguments {
            [left, right] if left.of == right.of => equality(&left.of, right.size),
            _ => None,
        },
        _ => None,
    }
}

/// Of a label or field selector: every two characters may be a requirement.
fn selector_cost(length: SizeEstimate) -> CostEstimate {
    let parse = length.scaled(TRAVERSAL);
    CostEstimate::fixed(10).plus(parse).plus(length.scaled(0.5).scaled(50.0))
}

/// The node of a list's elements; none if it is no list.
fn element<'a>(list: &Argument<'_>) -> Option<Argument<'a>> {
    let of = match &list.of {
        Type::List(inside) | Type::Optional(inside) => (**inside).clone(),
        Type::Map(of) => of.0.clone(),
        _ => return None,
    };
    let mut path = list.path.clone();
    if !path.is_empty() {
        path.push(Arc::from("@items"));
    }
    Some(Argument { path, of, expr: None, size: None })
}

/// Comparing each element of a list, or each character of a string.
fn each_element(estimator: &Estimator<'_>, target: &Argument<'_>) -> CostEstimate {
    let size = estimator.asked(target);
    let Some(element) = element(target) else { return size.scaled(TRAVERSAL) };
    let mut cost = CostEstimate::fixed(1);
    if matches!(element.of, Type::String | Type::Bytes) {
        cost = cost.plus(estimator.asked(&element).scaled(TRAVERSAL));
    }
    size.times(cost)
}

fn replace(text: SizeEstimate, old: SizeEstimate, new: SizeEstimate) -> CallEstimate {
    let quotient = |length: u64, by: u64| (length as f64 / by as f64).ceil() as u64;
    // The longest result: an empty text is replaced around every character, else the shortest text as often as it fits.
    let (most, longest_kept) = if old.min == 0 {
        (text.max.saturating_add(1), text.max)
    } else if new.max <= old.min {
        (0, text.max)
    } else {
        (quotient(text.max, old.min), 0)
    };
    let (fewest, shortest_kept) = if old.max == 0 {
        (text.min.saturating_add(1), text.min)
    } else if old.max <= new.min {
        (0, text.min)
    } else {
        (quotient(text.min, old.max), 0)
    };
    let count = SizeEstimate { min: fewest, max: most };
    let kept = SizeEstimate { min: shortest_kept, max: longest_kept };
    CallEstimate::sized(text.scaled(2.0 * TRAVERSAL), count.times(new).plus(kept))
}

fn split(text: SizeEstimate, arguments: &[Argument<'_>]) -> CallEstimate {
    // At worst every character is a part.
    let mut max = text.max;
    let limit = arguments.get(1).and_then(|limit| limit.expr);
    if let Some(ExprKind::Literal(Literal::Int(limit))) = limit.map(|limit| &limit.kind) {
        // No limit is written as -1, which is the greatest as it is upstream.
        max = limit.cast_unsigned();
    }
    CallEstimate::sized(text.scaled(2.0 * TRAVERSAL), SizeEstimate { min: 0, max })
}

fn join(estimator: &Estimator<'_>, list: &Argument<'_>, arguments: &[Argument<'_>]) -> CallEstimate {
    let count = estimator.asked(list);
    let mut size = SizeEstimate::fixed(0);
    if let Some(element) = element(list) {
        size = count.times(estimator.asked(&element));
    }
    if let Some(separator) = arguments.first() {
        let separators = SizeEstimate { min: count.min.saturating_sub(1), max: count.max.saturating_sub(1) };
        size = size.plus(estimator.asked(separator).times(separators));
    }
    CallEstimate::sized(size.scaled(TRAVERSAL), size)
}

/// Comparing addresses of 4 or 16 bytes, masking them, reading them if they are text.
fn contains(overload: &str, argument: SizeEstimate) -> CallEstimate {
    let address = SizeEstimate { min: 4, max: 16 };
    let mut cost = address.plus(address).scaled(TRAVERSAL);
    if overload.starts_with("cidr_contains_cidr") {
        cost = cost.plus(address.scaled(TRAVERSAL)).plus(CostEstimate::fixed(1));
    }
    if overload.ends_with("_string") {
        cost = cost.plus(argument.scaled(TRAVERSAL));
    }
    CallEstimate::of(cost)
}

fn equality(of: &Type, right: Option<SizeEstimate>) -> Option<CallEstimate> {
    let Type::Named(name, _) = of else { return None };
    let cost = match &**name {
        "kubernetes.Quantity" | "kubernetes.Semver" | "net.IP" | "net.CIDR" => CostEstimate::fixed(1),
        "kubernetes.NamedFormat" => CostEstimate { min: 1, max: LONGEST_FORMAT }.scaled(TRAVERSAL),
        "kubernetes.URL" => {
            let size = right.unwrap_or(SizeEstimate::fixed(1));
            CostEstimate { min: 1, max: size.max }.scaled(TRAVERSAL)
        }
        name if name.starts_with("kubernetes.authorization.") => CostEstimate::fixed(1),
        _ => return None,
    };
    Some(CallEstimate::of(cost))
}
