//! What a call costs: cel-go's `interpreter/runtimecost.go` under Kubernetes' `library/cost.go`.

use crate::value::{List, Value};

/// Per character that is looked at.
const TRAVERSAL: f64 = 0.1;
/// Per character of a pattern.
const REGEX: f64 = 0.25;
pub(super) const LIST_CREATE: u64 = 10;
pub(super) const MAP_CREATE: u64 = 30;
pub(super) const STRUCT_CREATE: u64 = 40;
/// Allows for two authorization checks in one expression.
const AUTHORIZATION_CHECK: u64 = 350_000;

/// The cost of `function`, called with `arguments`. A value that is an error counts as null does.
pub(super) fn call(function: &str, overload: &str, arguments: &[Value], result: &Value) -> u64 {
    list_library(overload, arguments, result)
        .or_else(|| kubernetes(function, overload, arguments, result))
        .unwrap_or_else(|| standard(overload, arguments))
}

fn size(value: &Value) -> u64 {
    value.size().unwrap_or(1)
}

/// Sizes as cel-go itself takes them, which looks into optionals.
fn size_within(value: &Value) -> u64 {
    match value {
        Value::Optional(Some(inner)) => size_within(inner),
        other => size(other),
    }
}

fn traverse(characters: u64, factor: f64) -> u64 {
    (characters as f64 * factor).ceil() as u64
}

fn regex(text: u64, pattern: u64) -> u64 {
    let text = ((1.0 + text as f64) * TRAVERSAL).ceil() as u64;
    text.saturating_mul(traverse(pattern, REGEX))
}

/// cel-go's `ext/lists.go` and `ext/sets.go`, which know overloads.
fn list_library(overload: &str, arguments: &[Value], result: &Value) -> Option<u64> {
    let allocating = |factor: f64, size: u64| (size as f64 * factor) as u64 + 1 + LIST_CREATE;
    let sets = |factor: u64| {
        let pairs = size(arguments.first()?).saturating_mul(size(arguments.get(1)?));
        Some(pairs.saturating_mul(factor).saturating_add(1))
    };
    let own = |list: &Value| {
        let elements = size(list);
        let textual = match list {
            Value::List(list) => matches!(list.get(0), Ok(Value::String(_) | Value::Bytes(_))),
            _ => false,
        };
        allocating(if textual { 2.0 + TRAVERSAL } else { 2.0 }, elements.saturating_mul(elements))
    };
    match overload {
        "list_slice" | "lists_range" | "list_reverse" => Some(allocating(1.0, size(result))),
        "list_flatten" | "list_flatten_int" => {
            let depth = match arguments.get(1) {
                Some(Value::Int(depth)) => *depth as f64,
                _ => 1.0,
            };
            Some(allocating(depth, size(arguments.first()?)))
        }
        "list_distinct" => arguments.first().map(own),
        "list_sets_contains_list" | "list_sets_intersects_list" => sets(1),
        "list_sets_equivalent_list" => sets(2),
        _ if overload.starts_with("list_") && overload.ends_with("_sort") => arguments.first().map(own),
        _ if overload.ends_with("_sortByAssociatedKeys") => arguments.get(1).map(own),
        _ => None,
    }
}

fn kubernetes(function: &str, overload: &str, arguments: &[Value], result: &Value) -> Option<u64> {
    let first = || arguments.first().map(size);
    let second = || arguments.get(1).map(size);
    let parse = |factor: f64| first().map(|text| traverse(text, factor));
    match function {
        "check" => Some(AUTHORIZATION_CHECK),
        "serviceAccount" | "path" | "group" | "resource" | "subresource" | "namespace" | "name"
        | "allowed" | "reason" | "error" | "errored" => Some(1),
        "fieldSelector" | "labelSelector" => {
            let length = second()?;
            let requirements = traverse(length, 0.5) as f64 * (LIST_CREATE + STRUCT_CREATE) as f64;
            Some(LIST_CREATE + traverse(length, TRAVERSAL) + requirements.ceil() as u64)
        }
        "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => {
            Some(arguments.first().map_or(0, traversal))
        }
        "url"
        | "lowerAscii"
        | "upperAscii"
        | "substring"
        | "trim"
        | "jsonpatch.escapeKey"
        | "cidr"
        | "isIP"
        | "isCIDR"
        | "quantity"
        | "isQuantity"
        | "semver"
        | "isSemver" => parse(TRAVERSAL),
        "replace" | "split" | "ip.isCanonical" => parse(2.0 * TRAVERSAL),
        "join" => Some(traverse(size(result), 2.0 * TRAVERSAL)),
        "find" | "findAll" => Some(regex(first()?, second()?)),
        "ip" if overload == "cidr_ip" => Some(1),
        "ip" => parse(TRAVERSAL),
        "containsIP" | "containsCIDR" => contains(function, overload, first()?, second()?),
        "validate" => match arguments {
            [Value::Opaque(format), text] => Some(regex(size(text), format.size()?)),
            _ => None,
        },
        "masked"
        | "prefixLength"
        | "family"
        | "isUnspecified"
        | "isLoopback"
        | "isLinkLocalMulticast"
        | "isLinkLocalUnicast"
        | "isGlobalUnicast"
        | "format.named"
        | "sign"
        | "asInteger"
        | "isInteger"
        | "asApproximateFloat"
        | "isGreaterThan"
        | "isLessThan"
        | "compareTo"
        | "add"
        | "sub"
        | "major"
        | "minor"
        | "patch"
        | "getScheme"
        | "getHostname"
        | "getHost"
        | "getPort"
        | "getEscapedPath"
        | "getQuery" => Some(1),
        "_==_" if matches!(arguments.first(), Some(Value::Opaque(_))) => Some(1),
        _ => None,
    }
}

fn contains(function: &str, overload: &str, cidr: u64, other: u64) -> Option<u64> {
    let mut cost = traverse(cidr + cidr, TRAVERSAL);
    if function == "containsCIDR" {
        cost += traverse(cidr, TRAVERSAL) + 1;
    }
    if overload.ends_with("_string") {
        cost += traverse(other, TRAVERSAL);
    }
    Some(cost)
}

/// The cost of looking at everything within a value.
fn traversal(value: &Value) -> u64 {
    match value {
        Value::String(text) => (text.len() as f64 * TRAVERSAL) as u64,
        Value::Bytes(bytes) => (bytes.len() as f64 * TRAVERSAL) as u64,
        Value::List(List::Built(items)) => items.iter().map(traversal).sum(),
        Value::List(items) => items.iter().map(|item| traversal(&item.unwrap_or(Value::Null))).sum(),
        Value::Map(map) => {
            let within = |key: &Value| map.get(key).ok().flatten().as_ref().map_or(1, traversal);
            map.keys().iter().map(|key| traversal(key) + within(key)).sum()
        }
        _ => 1,
    }
}

fn standard(overload: &str, arguments: &[Value]) -> u64 {
    let at = |index: usize| arguments.get(index).map_or(1, size_within);
    let compared = |overload: &str| {
        ["less_", "greater_"].iter().any(|prefix| overload.starts_with(prefix))
            && ["_string", "_bytes"].iter().any(|suffix| overload.ends_with(suffix))
    };
    match overload {
        "starts_with_string" | "ends_with_string" | "string_to_bytes" | "bytes_to_string"
        | "strings_quote" | "string_format" => traverse(at(0), TRAVERSAL),
        "in_list" => at(1),
        "equals" | "not_equals" => traverse(at(0).min(at(1)), TRAVERSAL),
        "add_string" | "add_bytes" => traverse(at(0) + at(1), TRAVERSAL),
        "matches_string" => regex(at(0), at(1)),
        "contains_string" => traverse(at(0), TRAVERSAL).saturating_mul(traverse(at(1), TRAVERSAL)),
        _ if compared(overload) => traverse(at(0).min(at(1)), TRAVERSAL),
        _ => 1,
    }
}
