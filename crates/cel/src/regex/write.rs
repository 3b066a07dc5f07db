//! Expressions in the regex crate's notation. Everything is spelled out where it stands, so that no flag reaches further.

use std::fmt::Write as _;

use super::tree::{Kind, Node, Times};

/// A set without characters.
const NOTHING: &str = r"[^\x00-\x{10FFFF}]";

/// A set of all characters.
const ANYTHING: &str = r"[\x00-\x{10FFFF}]";

/// What an expression is part of, and so whether it needs a group of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Within {
    Alternatives,
    Sequence,
    Repetition,
}

/// The pattern of an expression.
pub(super) fn in_rust(node: &Node) -> String {
    let mut out = String::new();
    write_node(&mut out, node, Within::Alternatives);
    out
}

/// A set of the characters of several expressions, each of which is one character.
pub(super) fn union(characters: &[Node]) -> String {
    let mut out = String::from("(?:");
    for (i, node) in characters.iter().enumerate() {
        if i > 0 {
            out.push('|');
        }
        write_node(&mut out, node, Within::Alternatives);
    }
    out.push(')');
    out
}

/// The set of a bracketed class whose items are these, in the regex crate's notation.
pub(super) fn bracketed(items: &str, negated: bool) -> String {
    match (items.is_empty(), negated) {
        (true, false) => NOTHING.to_owned(),
        (true, true) => ANYTHING.to_owned(),
        (false, false) => format!("[{items}]"),
        (false, true) => format!("[^{items}]"),
    }
}

/// A set in any case, if it is `folded`.
pub(super) fn folded(set: String, folded: bool) -> String {
    if folded { format!("(?i:{set})") } else { set }
}

/// How many sets of a pattern are spelled out by the regex crate as ranges of characters, hundreds of them: those by
/// properties, and those in any case. What stands for itself is escaped, so that it does not look like them.
pub(super) fn costly_sets(pattern: &str) -> usize {
    pattern.matches("{age=15.0}").count() + pattern.matches("(?i:[").count()
}

/// A character that stands for itself, inside a class or outside.
pub(super) fn write_char(out: &mut String, c: char) {
    if c.is_ascii_alphanumeric() || !c.is_ascii() && !c.is_control() {
        out.push(c);
    } else {
        // Writing to a string does not fail.
        let _ = write!(out, r"\x{{{:X}}}", u32::from(c));
    }
}

fn write_node(out: &mut String, node: &Node, within: Within) {
    match node.kind() {
        Kind::Empty => out.push_str("(?:)"),
        Kind::Literal { text, folded } => write_literal(out, text, *folded, within),
        Kind::Set(notation) => out.push_str(notation),
        Kind::Place(notation) if within == Within::Repetition => grouped(out, |out| out.push_str(notation)),
        Kind::Place(notation) => out.push_str(notation),
        Kind::Capture(inner) => write_node(out, inner, within),
        Kind::Repeat { .. } if within == Within::Repetition => {
            grouped(out, |out| write_node(out, node, Within::Alternatives));
        }
        Kind::Repeat { operand, times, lazy } => {
            write_node(out, operand, Within::Repetition);
            write_times(out, *times);
            if *lazy {
                out.push('?');
            }
        }
        Kind::Sequence(parts) if within < Within::Repetition => {
            parts.iter().for_each(|part| write_node(out, part, Within::Sequence));
        }
        Kind::Alternatives(branches) if within < Within::Sequence => {
            for (i, branch) in branches.iter().enumerate() {
                if i > 0 {
                    out.push('|');
                }
                write_node(out, branch, Within::Alternatives);
            }
        }
        Kind::Sequence(_) | Kind::Alternatives(_) => {
            grouped(out, |out| write_node(out, node, Within::Alternatives))
        }
    }
}

fn write_literal(out: &mut String, text: &str, folded: bool, within: Within) {
    let opened = match (folded, within) {
        (true, _) => "(?i:",
        (false, Within::Repetition) => "(?:",
        (false, _) => "",
    };
    out.push_str(opened);
    text.chars().for_each(|c| write_char(out, c));
    if !opened.is_empty() {
        out.push(')');
    }
}

fn write_times(out: &mut String, times: Times) {
    // Writing to a string does not fail.
    let _ = match times {
        Times::Star => out.write_char('*'),
        Times::Plus => out.write_char('+'),
        Times::Optional => out.write_char('?'),
        Times::Counted { min, max: None } => write!(out, "{{{min},}}"),
        Times::Counted { min, max: Some(max) } => write!(out, "{{{min},{max}}}"),
    };
}

fn grouped(out: &mut String, inner: impl FnOnce(&mut String)) {
    out.push_str("(?:");
    inner(out);
    out.push(')');
}
