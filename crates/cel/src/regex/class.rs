//! Sets of characters: in brackets, Perl's letters, and POSIX's names. They are ASCII's, as far as they have names.

use super::cursor::Cursor;
use super::error::{Mistake, SyntaxError};
use super::tree::Node;
use super::{escape, unicode, write};

/// The half of a pair is in no text, so that ranges are as good without them.
const SURROGATES: std::ops::RangeInclusive<u32> = 0xD800..=0xDFFF;

/// POSIX's classes as items of a bracketed class.
const POSIX: &[(&str, &str)] = &[
    ("alnum", "0-9A-Za-z"),
    ("alpha", "A-Za-z"),
    ("ascii", r"\x00-\x7F"),
    ("blank", r"\x09\x20"),
    ("cntrl", r"\x00-\x1F\x7F"),
    ("digit", "0-9"),
    ("graph", r"\x21-\x7E"),
    ("lower", "a-z"),
    ("print", r"\x20-\x7E"),
    ("punct", r"\x21-\x2F\x3A-\x40\x5B-\x60\x7B-\x7E"),
    ("space", r"\x09-\x0D\x20"),
    ("upper", "A-Z"),
    ("word", r"0-9A-Za-z\x5F"),
    ("xdigit", "0-9A-Fa-f"),
];

/// What is in a bracketed class, in the regex crate's notation.
#[derive(Default)]
struct Items {
    /// Characters and ranges of them.
    ranges: String,
    /// Sets in brackets of their own.
    sets: String,
}

impl Items {
    /// Next to sets the ranges get brackets, too: each then gets its other cases on its own, and the whole, which may be
    /// nearly everything, is not searched for them.
    fn in_brackets(&self, negated: bool) -> String {
        if self.sets.is_empty() || self.ranges.is_empty() {
            return write::bracketed(&format!("{}{}", self.ranges, self.sets), negated);
        }
        write::bracketed(&format!("[{}]{}", self.ranges, self.sets), negated)
    }
}

/// Reads what follows the opening bracket at `start`, through the closing one. A class of one character is as good as
/// that character, and counts as it.
///
/// # Errors
/// When the class does not end, or an item of it is malformed.
pub(super) fn bracketed(
    cursor: &mut Cursor<'_>,
    start: Cursor<'_>,
    folded: bool,
) -> Result<Node, SyntaxError> {
    let negated = cursor.eat("^");
    let mut items = Items::default();
    // A bracket that comes first is an item.
    let mut only = item(cursor, start, &mut items)?;
    while !cursor.eat("]") {
        item(cursor, start, &mut items)?;
        only = None;
    }
    Ok(match only {
        Some(only) if !negated => Node::literal(only, folded),
        _ => Node::set(write::folded(items.in_brackets(negated), folded)),
    })
}

/// Perl's letter for a set, if one follows the backslash.
pub(super) fn perl(cursor: &mut Cursor<'_>) -> Option<String> {
    let letter = cursor.next_if(|c| matches!(c, 'd' | 'D' | 's' | 'S' | 'w' | 'W'))?;
    let items = match letter.to_ascii_lowercase() {
        'd' => "0-9",
        's' => r"\x09\x0A\x0C\x0D\x20",
        _ => r"0-9A-Za-z\x5F",
    };
    Some(write::bracketed(items, letter.is_ascii_uppercase()))
}

/// Reads an item of a class that begins at `class`; answers the character, if it is only one.
fn item(cursor: &mut Cursor<'_>, class: Cursor<'_>, items: &mut Items) -> Result<Option<char>, SyntaxError> {
    let start = *cursor;
    if let Some(set) = posix(cursor)? {
        items.sets.push_str(&set);
        return Ok(None);
    }
    let mut ahead = *cursor;
    if ahead.eat(r"\") {
        let set = match unicode::property(&mut ahead, start)? {
            Some(set) => Some(set),
            None => perl(&mut ahead),
        };
        if let Some(set) = set {
            items.sets.push_str(&set);
            *cursor = ahead;
            return Ok(None);
        }
    }
    let low = character(cursor, class)?;
    let is_range = cursor.rest().len() > 1 && !cursor.rest().starts_with("-]") && cursor.eat("-");
    let high = if is_range { character(cursor, class)? } else { low };
    if high < low {
        return Err(cursor.mistake(Mistake::CharRange, start));
    }
    push_range(&mut items.ranges, low, high);
    Ok(char::from_u32(low).filter(|_| low == high))
}

/// A set like `[:alpha:]`, if one stands here: what begins like one and ends like one has to be one.
fn posix(cursor: &mut Cursor<'_>) -> Result<Option<String>, SyntaxError> {
    let mut ahead = *cursor;
    if !ahead.eat("[:") {
        return Ok(None);
    }
    let Some(name) = ahead.until_class_end() else { return Ok(None) };
    let bare = name.strip_prefix('^').unwrap_or(name);
    let Some((_, items)) = POSIX.iter().find(|(known, _)| *known == bare) else {
        return Err(ahead.mistake(Mistake::CharRange, *cursor));
    };
    *cursor = ahead;
    Ok(Some(write::bracketed(items, bare.len() < name.len())))
}

/// A single character, which may be escaped.
fn character(cursor: &mut Cursor<'_>, class: Cursor<'_>) -> Result<u32, SyntaxError> {
    let start = *cursor;
    match cursor.next() {
        Some('\\') => escape::code_point(cursor, start),
        Some(c) => Ok(c.into()),
        None => Err(class.mistake_in_rest(Mistake::MissingBracket)),
    }
}

fn push_range(ranges: &mut String, low: u32, high: u32) {
    let low = if SURROGATES.contains(&low) { SURROGATES.end() + 1 } else { low };
    let high = if SURROGATES.contains(&high) { SURROGATES.start() - 1 } else { high };
    let (Some(low), Some(high)) = (char::from_u32(low), char::from_u32(high)) else { return };
    if low > high {
        return;
    }
    write::write_char(ranges, low);
    if low < high {
        ranges.push('-');
        write::write_char(ranges, high);
    }
}
