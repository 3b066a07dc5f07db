//! What Kubernetes forbids beyond what types say: lists and maps of mixed types, and literals that can only fail.

use super::{Checked, formats, shown};
use crate::ast::{Call, Expr, ExprKind, Literal};
use crate::regex::go_regex;
use crate::source::Issue;
use crate::types::Type;
use crate::value::{Duration, Timestamp};

/// Everything that is wrong in this way.
pub(crate) fn validate(checked: &Checked) -> Vec<Issue> {
    let mut issues = Vec::new();
    visit(checked, &checked.expr, Mixing::Forbidden, &mut issues);
    issues
}

/// Whether literals may mix types: they may within calls of `format`, however deep.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mixing {
    Allowed,
    Forbidden,
}

fn visit(checked: &Checked, expr: &Expr, mixing: Mixing, issues: &mut Vec<Issue>) {
    match &expr.kind {
        ExprKind::Literal(_) | ExprKind::Ident(_) => {}
        ExprKind::Select(select) => visit(checked, &select.operand, mixing, issues),
        ExprKind::Call(call) => {
            literal_argument(call, issues);
            if &*call.function == "format" {
                formats::validate(checked, call, expr.offset, issues);
            }
            let mixing = if &*call.function == "format" { Mixing::Allowed } else { mixing };
            for part in call.target.iter().chain(&call.arguments) {
                visit(checked, part, mixing, issues);
            }
        }
        ExprKind::List(elements) => {
            let mut first = None;
            for element in elements.iter().filter(|_| mixing == Mixing::Forbidden) {
                let found = inside(checked.type_of(element.value.id), element.optional);
                // One wrong element is enough of a list.
                if mixed(&mut first, found, element.value.offset, issues) {
                    break;
                }
            }
            elements.iter().for_each(|element| visit(checked, &element.value, mixing, issues));
        }
        ExprKind::Map(entries) => {
            let (mut keys, mut values) = (None, None);
            for entry in entries {
                if mixing == Mixing::Forbidden {
                    mixed(&mut keys, checked.type_of(entry.key.id).clone(), entry.key.offset, issues);
                    let value = inside(checked.type_of(entry.value.id), entry.optional);
                    mixed(&mut values, value, entry.value.offset, issues);
                }
                visit(checked, &entry.key, mixing, issues);
                visit(checked, &entry.value, mixing, issues);
            }
        }
        ExprKind::Struct(object) => {
            object.fields.iter().for_each(|field| visit(checked, &field.value, mixing, issues))
        }
        ExprKind::Comprehension(fold) => {
            for part in [&fold.range, &fold.initial, &fold.condition, &fold.step, &fold.result] {
                visit(checked, part, mixing, issues);
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
        "duration" => Duration::parse(text).is_some(),
        "timestamp" => matches!(Timestamp::parse(text), Ok(Some(_))),
        "matches" => go_regex(text).is_ok(),
        _ => return,
    };
    if !is_valid {
        issues.push(Issue::at(argument.offset, format!("invalid {} argument", call.function)));
    }
}
