//! Formats whose text and list of arguments are literals: what is wrong with those is known before they are evaluated.

use super::Checked;
use crate::ast::{Call, Element, Expr, ExprKind, Literal};
use crate::library::format::parse_clause;
use crate::source::Issue;
use crate::types::Type;

/// What a clause takes, and what is said of anything else.
const CLAUSES: &[(&[char], &[&str], &str)] = &[
    (&['d'], &["int", "uint"], "decimal clause can only be used on integers"),
    (&['f'], &["double", "string"], "fixed-point clause can only be used on doubles"),
    (&['e'], &["double", "string"], "scientific clause can only be used on doubles"),
    (&['b'], &["int", "uint", "bool"], "only integers and bools can be formatted as binary"),
    (&['o'], &["int", "uint"], "octal clause can only be used on integers"),
    (
        &['x', 'X'],
        &["int", "uint", "string", "bytes"],
        "only integers, byte buffers, and strings can be formatted as hex",
    ),
];

const SHOWN: &[&str] = &[
    "list",
    "map",
    "int",
    "uint",
    "double",
    "bool",
    "string",
    "google.protobuf.Timestamp",
    "bytes",
    "google.protobuf.Duration",
    "type",
    "null_type",
];

/// Adds what is wrong with a call of `format`, whose node is at `offset`.
pub(super) fn validate(checked: &Checked, call: &Call, offset: u32, issues: &mut Vec<Issue>) {
    let Some(ExprKind::Literal(Literal::String(text))) = call.target.as_ref().map(|target| &target.kind)
    else {
        return;
    };
    let Some(ExprKind::List(arguments)) = call.arguments.first().map(|list| &list.kind) else { return };
    match arguments_used(checked, text, arguments) {
        Err(wrong) => issues.push(Issue::at(wrong.offset.unwrap_or(offset), wrong.message)),
        Ok(used) if arguments.len() > used => {
            let given = arguments.len();
            let message =
                format!("too many arguments supplied to string.format (expected {used}, got {given})");
            issues.push(Issue::at(offset, message));
        }
        Ok(_) => {}
    }
}

struct Wrong {
    /// Of the argument; None for the call as a whole.
    offset: Option<u32>,
    message: String,
}

/// How many arguments the text's clauses take.
fn arguments_used(checked: &Checked, text: &str, arguments: &[Element]) -> Result<usize, Wrong> {
    let whole = |message: String| Wrong { offset: None, message };
    let mut used = 0;
    let mut rest = text;
    while let Some(start) = rest.find('%') {
        rest = &rest[start + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            rest = after;
            continue;
        }
        if rest.is_empty() {
            return Err(whole("unexpected end of string".to_owned()));
        }
        let argument = arguments.get(used).ok_or_else(|| whole(format!("index {used} out of range")))?;
        let (clause, after) = parse_clause(rest)
            .map_err(|error| whole(format!("could not parse formatting clause: {error}")))?;
        takes(checked, clause.verb, &argument.value).map_err(|Wrong { offset, message }| Wrong {
            offset,
            message: format!("error during formatting: {message}"),
        })?;
        rest = after;
        used += 1;
    }
    Ok(used)
}

fn takes(checked: &Checked, verb: char, argument: &Expr) -> Result<(), Wrong> {
    let Some((_, allowed, what)) = CLAUSES.iter().find(|(verbs, ..)| verbs.contains(&verb)) else {
        return is_shown(checked, argument);
    };
    of_type(checked, argument, allowed, what)
}

/// The elements of literal lists and maps count too.
fn is_shown(checked: &Checked, argument: &Expr) -> Result<(), Wrong> {
    const WHAT: &str = "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, \
                        durations, and timestamps";
    of_type(checked, argument, SHOWN, WHAT)?;
    match &argument.kind {
        ExprKind::List(elements) => elements.iter().try_for_each(|element| is_shown(checked, &element.value)),
        ExprKind::Map(entries) => entries.iter().try_for_each(|entry| {
            is_shown(checked, &entry.key)?;
            is_shown(checked, &entry.value)
        }),
        _ => Ok(()),
    }
}

fn of_type(checked: &Checked, argument: &Expr, allowed: &[&str], what: &str) -> Result<(), Wrong> {
    let found = checked.type_of(argument.id);
    let name = runtime_name(found);
    if *found == Type::Dyn || allowed.contains(&&*name) {
        return Ok(());
    }
    Err(Wrong { offset: Some(argument.offset), message: format!("{what}, was given {name}") })
}

/// What `type(x)` is called once it is evaluated.
fn runtime_name(of: &Type) -> String {
    match of {
        Type::Null => "null_type".to_owned(),
        Type::Type(_) => "type".to_owned(),
        Type::List(_) => "list".to_owned(),
        Type::Map(_) => "map".to_owned(),
        Type::Optional(_) => "optional_type".to_owned(),
        Type::Nullable(inside) => runtime_name(inside),
        Type::Named(name, _) => name.to_string(),
        other => other.to_string(),
    }
}
