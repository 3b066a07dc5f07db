//! Cuts a text into tokens: the longest match wins; what matches nothing is an issue and is skipped.

use super::token::{Kind, Token};
use crate::source::Issue;

/// The tokens with hidden ones among them, `End` as the last, and what was not recognized.
pub(super) fn tokens(text: &[char]) -> (Vec<Token>, Vec<Issue>) {
    let mut tokens = Vec::new();
    let mut issues = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let start = at as u32;
        match longest(text, at) {
            Ok((kind, end)) => {
                at = end;
                tokens.push(Token { kind, start, end: end as u32 });
            }
            // The character that ended all hope goes too.
            Err(failed) => {
                let end = text.len().min(failed + 1);
                let skipped: String = text[at..end].iter().collect();
                issues
                    .push(Issue::at(start, format!("Syntax error: token recognition error at: '{skipped}'")));
                at = end;
            }
        }
    }
    let end = text.len() as u32;
    tokens.push(Token { kind: Kind::End, start: end, end });
    (tokens, issues)
}

/// The token at a place, or where matching failed.
fn longest(text: &[char], at: usize) -> Result<(Kind, usize), usize> {
    let next = text.get(at + 1).copied();
    let one = |kind| Ok((kind, at + 1));
    let pair = |second: char, kind, single: Option<Kind>| match (next == Some(second), single) {
        (true, _) => Ok((kind, at + 2)),
        (false, Some(single)) => Ok((single, at + 1)),
        (false, None) => Err(at + 1),
    };
    match text[at] {
        '=' => pair('=', Kind::Equals, None),
        '!' => pair('=', Kind::NotEquals, Some(Kind::Not)),
        '<' => pair('=', Kind::LessEquals, Some(Kind::Less)),
        '>' => pair('=', Kind::GreaterEquals, Some(Kind::Greater)),
        '&' => pair('&', Kind::And, None),
        '|' => pair('|', Kind::Or, None),
        '[' => one(Kind::LeftBracket),
        ']' => one(Kind::RightBracket),
        '{' => one(Kind::LeftBrace),
        '}' => one(Kind::RightBrace),
        '(' => one(Kind::LeftParenthesis),
        ')' => one(Kind::RightParenthesis),
        ',' => one(Kind::Comma),
        '-' => one(Kind::Minus),
        '?' => one(Kind::Question),
        ':' => one(Kind::Colon),
        '+' => one(Kind::Plus),
        '*' => one(Kind::Star),
        '%' => one(Kind::Percent),
        '/' if next == Some('/') => Ok((Kind::Hidden, while_(text, at, |c| c != '\n'))),
        '/' => one(Kind::Slash),
        '.' if next.is_some_and(|c| c.is_ascii_digit()) => Ok((Kind::Float, fraction(text, at))),
        '.' => one(Kind::Dot),
        '`' => escaped(text, at),
        '"' | '\'' => quoted(text, at, false).map(|end| (Kind::String, end)),
        c if is_space(c) => Ok((Kind::Hidden, while_(text, at, is_space))),
        c if c.is_ascii_digit() => Ok(number(text, at)),
        c if c.is_ascii_alphabetic() || c == '_' => Ok(word(text, at)),
        _ => Err(at),
    }
}

fn is_space(c: char) -> bool {
    matches!(c, '\t' | ' ' | '\r' | '\n' | '\u{c}')
}

fn while_(text: &[char], at: usize, matches: impl Fn(char) -> bool) -> usize {
    at + text[at..].iter().take_while(|c| matches(**c)).count()
}

fn digits(text: &[char], at: usize) -> usize {
    while_(text, at, |c| c.is_ascii_digit())
}

/// From a dot that a digit follows to the end of the fraction and its exponent.
fn fraction(text: &[char], at: usize) -> usize {
    let end = digits(text, at + 1);
    exponent(text, end).unwrap_or(end)
}

/// The end of an exponent, if one stands here.
fn exponent(text: &[char], at: usize) -> Option<usize> {
    if !matches!(text.get(at), Some('e' | 'E')) {
        return None;
    }
    let sign = usize::from(matches!(text.get(at + 1), Some('+' | '-')));
    let start = at + 1 + sign;
    let end = if start <= text.len() { digits(text, start) } else { start };
    (end > start).then_some(end)
}

fn number(text: &[char], at: usize) -> (Kind, usize) {
    if text[at] == '0' && text.get(at + 1) == Some(&'x') {
        let end = while_(text, at + 2, |c| c.is_ascii_hexdigit());
        if end > at + 2 {
            return unsigned(text, end);
        }
    }
    let end = digits(text, at);
    if text.get(end) == Some(&'.') && text.get(end + 1).is_some_and(char::is_ascii_digit) {
        return (Kind::Float, fraction(text, end));
    }
    match exponent(text, end) {
        Some(end) => (Kind::Float, end),
        None => unsigned(text, end),
    }
}

fn unsigned(text: &[char], end: usize) -> (Kind, usize) {
    if matches!(text.get(end), Some('u' | 'U')) { (Kind::Uint, end + 1) } else { (Kind::Int, end) }
}

/// An identifier, a keyword, or a string with a prefix. A prefixed string that does not end is an identifier.
fn word(text: &[char], at: usize) -> (Kind, usize) {
    let bytes = usize::from(matches!(text[at], 'b' | 'B'));
    let raw = usize::from(matches!(text.get(at + bytes), Some('r' | 'R')));
    let quote = at + bytes + raw;
    if matches!(text.get(quote), Some('"' | '\''))
        && let Ok(end) = quoted(text, quote, raw == 1)
    {
        return (if bytes == 1 { Kind::Bytes } else { Kind::String }, end);
    }
    let end = while_(text, at, |c| c.is_ascii_alphanumeric() || c == '_');
    let word: String = text[at..end].iter().collect();
    let kind = match word.as_str() {
        "in" => Kind::In,
        "true" => Kind::True,
        "false" => Kind::False,
        "null" => Kind::Null,
        _ => Kind::Identifier,
    };
    (kind, end)
}

fn escaped(text: &[char], at: usize) -> Result<(Kind, usize), usize> {
    let end = while_(text, at + 1, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | ' '));
    if end > at + 1 && text.get(end) == Some(&'`') { Ok((Kind::Escaped, end + 1)) } else { Err(end) }
}

/// The end of the string whose first quote is here, or where it fails.
fn quoted(text: &[char], at: usize, raw: bool) -> Result<usize, usize> {
    let quote = text[at];
    let is_quote = |at: usize| text.get(at) == Some(&quote);
    if is_quote(at + 1) && is_quote(at + 2) {
        // The empty string is a match too, should the long one not end.
        return Ok(long(text, at + 3, quote, raw).unwrap_or(at + 2));
    }
    let mut at = at + 1;
    loop {
        match text.get(at) {
            None | Some('\n' | '\r') => return Err(at),
            Some(c) if *c == quote => return Ok(at + 1),
            Some('\\') if !raw => at = escape(text, at)?,
            Some(_) => at += 1,
        }
    }
}

/// The end of a string in three quotes, from behind the first three.
fn long(text: &[char], mut at: usize, quote: char, raw: bool) -> Option<usize> {
    loop {
        match text.get(at)? {
            c if *c == quote && text.get(at + 1) == Some(&quote) && text.get(at + 2) == Some(&quote) => {
                return Some(at + 3);
            }
            '\\' if !raw => at = escape(text, at).ok()?,
            _ => at += 1,
        }
    }
}

/// The end of the escape whose backslash is here, or where it fails.
fn escape(text: &[char], at: usize) -> Result<usize, usize> {
    let hexadecimal = |count: usize| exactly(text, at + 2, count, |c| c.is_ascii_hexdigit());
    match text.get(at + 1) {
        Some('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '"' | '\'' | '\\' | '?' | '`') => Ok(at + 2),
        Some('x' | 'X') => hexadecimal(2),
        Some('u') => hexadecimal(4),
        Some('U') => hexadecimal(8),
        Some('0'..='3') => exactly(text, at + 2, 2, |c| ('0'..='7').contains(&c)),
        _ => Err(at + 1),
    }
}

fn exactly(text: &[char], at: usize, count: usize, matches: impl Fn(char) -> bool) -> Result<usize, usize> {
    (at..at + count)
        .try_for_each(|at| if text.get(at).is_some_and(|c| matches(*c)) { Ok(()) } else { Err(at) })?;
    Ok(at + count)
}
