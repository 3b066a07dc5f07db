//! The notation in which functions are declared: a function's name on a line, its overloads indented beneath it, each
//! as `id (arguments) -> result` or, for members, `id target.(arguments) -> result`. A capital letter is a parameter.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Overload;
use crate::types::Type;

/// The functions of a text, by name. A line that is not in the notation ends it.
pub(super) fn functions(text: &str) -> Vec<(&str, Overload)> {
    let mut found = Vec::new();
    let mut name = "";
    for line in text.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("  ") {
            None => name = line,
            Some(declared) => match overload(declared) {
                Some(overload) => found.push((name, overload)),
                None => break,
            },
        }
    }
    found
}

fn overload(line: &str) -> Option<Overload> {
    let (id, signature) = line.split_once(' ')?;
    let (inputs, result) = signature.split_once(" -> ")?;
    let mut arguments = Vec::new();
    let listed = match inputs.split_once(".(") {
        Some((target, listed)) => {
            arguments.push(type_of(target)?);
            listed
        }
        None => inputs.strip_prefix('(')?,
    };
    let is_member = !arguments.is_empty();
    for argument in split(listed.strip_suffix(')')?) {
        arguments.push(type_of(argument)?);
    }
    let result = type_of(result)?;
    let mut parameters = BTreeSet::new();
    for part in arguments.iter().chain([&result]) {
        collect(part, &mut parameters);
    }
    Some(Overload {
        id: id.into(),
        is_member,
        arguments,
        result,
        parameters: parameters.into_iter().collect(),
    })
}

/// A list's parts, which commas divide unless they are inside of brackets.
fn split(list: &str) -> Vec<&str> {
    let mut depth = 0;
    let parts = list.split(|character| {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        character == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn type_of(text: &str) -> Option<Type> {
    if let Some((name, inside)) = text.split_once('(') {
        let inside = split(inside.strip_suffix(')')?);
        let first = type_of(inside.first()?)?;
        return Some(match name {
            "list" => Type::list(first),
            "map" => Type::map(first, type_of(inside.get(1)?)?),
            "optional_type" => Type::optional(first),
            "type" => Type::Type(Arc::new(first)),
            _ => return None,
        });
    }
    Some(match text {
        "dyn" => Type::Dyn,
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "duration" => Type::Duration,
        "timestamp" => Type::Timestamp,
        _ if text.len() == 1 => Type::Parameter(text.into()),
        _ if text.contains('.') => Type::named(text),
        _ => return None,
    })
}

fn collect(of: &Type, found: &mut BTreeSet<Arc<str>>) {
    match of {
        Type::Parameter(name) => {
            found.insert(name.clone());
        }
        Type::List(inner) | Type::Optional(inner) | Type::Type(inner) | Type::Nullable(inner) => {
            collect(inner, found)
        }
        Type::Map(pair) => {
            collect(&pair.0, found);
            collect(&pair.1, found);
        }
        Type::Named(_, parameters) => parameters.iter().for_each(|parameter| collect(parameter, found)),
        _ => {}
    }
}
