//! What Kubernetes forbids beyond what types say: lists and maps of mixed types, and literals that can only fail.

use regex::Regex;

use super::{Checked, shown};
use crate::ast::{Call, Expr, ExprKind, Literal};
use crate::source::Issue;
use crate::types::Type;

/// Everything that is wrong in this way.
pub(crate) fn validate(checked: &Checked) -> Vec<Issue> {
    let mut issues = Vec::new();
    visit(checked, &checked.expr, &mut issues);
    issues
}

fn visit(checked: &Checked, expr: &Expr, issues: &mut Vec<Issue>) {
    match &expr.kind {
        ExprKind::Literal(_) | ExprKind::Ident(_) => {}
        ExprKind::Select(select) => visit(checked, &select.operand, issues),
        ExprKind::Call(call) => {
            literal_argument(call, issues);
            for part in call.target.iter().chain(&call.arguments) {
                visit(checked, part, issues);
            }
        }
        ExprKind::List(elements) => {
            let mut first = None;
            for element in elements {
                let found = inside(checked.type_of(element.value.id), element.optional);
                // One wrong element is enough of a list.
                if mixed(&mut first, found, element.value.offset, issues) {
                    break;
                }
            }
            elements.iter().for_each(|element| visit(checked, &element.value, issues));
        }
        ExprKind::Map(entries) => {
            let (mut keys, mut values) = (None, None);
            for entry in entries {
                mixed(&mut keys, checked.type_of(entry.key.id).clone(), entry.key.offset, issues);
                let value = inside(checked.type_of(entry.value.id), entry.optional);
                mixed(&mut values, value, entry.value.offset, issues);
                visit(checked, &entry.key, issues);
                visit(checked, &entry.value, issues);
            }
        }
        ExprKind::Struct(object) => {
            object.fields.iter().for_each(|field| visit(checked, &field.value, issues))
        }
        ExprKind::Comprehension(fold) => {
            for part in [&fold.range, &fold.initial, &fold.condition, &fold.step, &fold.result] {
                visit(checked, part, issues);
            }
        }
    }
}

fn inside(of: &Type, optional: bool) -> Type {
    match of {
        Type::Optional(inside) if optional => (**inside).clone(),
        of => of.clone(),
    }
}

/// Reports a type that is not the first one's.
fn mixed(first: &mut Option<Type>, found: Type, offset: u32, issues: &mut Vec<Issue>) -> bool {
    let Some(expected) = first else {
        *first = Some(found);
        return false;
    };
    if *expected == found {
        return false;
    }
    issues.push(Issue::at(
        offset,
        format!("expected type '{}' but found '{}'", shown(expected), shown(&found)),
    ));
    true
}

/// A literal that a function can do nothing with.
fn literal_argument(call: &Call, issues: &mut Vec<Issue>) {
    let Some(argument) = call.arguments.first() else { return };
    let ExprKind::Literal(Literal::String(text)) = &argument.kind else { return };
    let is_valid = match &*call.function {
        "duration" => is_duration(text),
        "timestamp" => is_timestamp(text),
        "matches" => Regex::new(text).is_ok(),
        _ => return,
    };
    if !is_valid {
        issues.push(Issue::at(argument.offset, format!("invalid {} argument", call.function)));
    }
}

/// Whether a text is a duration as Go writes them: `1h30m`, `-1.5s`, of less than 292 years.
fn is_duration(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    if text == "0" {
        return true;
    }
    let mut rest = text;
    let mut nanoseconds = 0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, behind) = rest.split_at(digits);
        let unit = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit);
        let scale = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return false,
        };
        let has_digit = number.contains(|c: char| c.is_ascii_digit());
        let Some(value) = has_digit.then(|| format!("0{number}").parse::<f64>().ok()).flatten() else {
            return false;
        };
        nanoseconds += value * scale;
        rest = behind;
    }
    !text.is_empty() && nanoseconds < i64::MAX as f64
}

/// Whether a text is a time by RFC 3339.
fn is_timestamp(text: &str) -> bool {
    let shape = text.len() >= 20 && text.as_bytes()[10] == b'T' && !text.contains(['t', 'z', '[', ' ']);
    shape && text.parse::<jiff::Timestamp>().is_ok()
}
