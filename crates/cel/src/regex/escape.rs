//! A backslash before a single character.

use super::cursor::Cursor;
use super::error::{Mistake, SyntaxError};

/// The code point that is meant by what follows the backslash at `start`. It may be half of a surrogate pair.
///
/// # Errors
/// When there is no such escape sequence, or the pattern ends with the backslash.
pub(super) fn code_point(cursor: &mut Cursor<'_>, start: Cursor<'_>) -> Result<u32, SyntaxError> {
    let Some(c) = cursor.next() else {
        return Err(cursor.mistake_in_rest(Mistake::TrailingBackslash));
    };
    let code = match c {
        'a' => Some(0x07),
        'f' => Some(0x0C),
        'n' => Some(0x0A),
        'r' => Some(0x0D),
        't' => Some(0x09),
        'v' => Some(0x0B),
        'x' => hexadecimal(cursor),
        '0' => Some(octal(cursor, 0)),
        // A single digit would refer to a group, which Go does not do.
        '1'..='7' if cursor.peek().is_some_and(|next| next.is_digit(8)) => {
            Some(octal(cursor, c.to_digit(8).unwrap_or_default()))
        }
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(c.into()),
        _ => None,
    };
    code.ok_or_else(|| cursor.mistake(Mistake::Escape, start))
}

/// Up to two more digits.
fn octal(cursor: &mut Cursor<'_>, first: u32) -> u32 {
    let mut code = first;
    for _ in 0..2 {
        match cursor.next_if(|c| c.is_digit(8)).and_then(|c| c.to_digit(8)) {
            Some(digit) => code = code * 8 + digit,
            None => break,
        }
    }
    code
}

/// Two digits, or any number of them in braces. What was looked at in vain counts as read.
fn hexadecimal(cursor: &mut Cursor<'_>) -> Option<u32> {
    let first = cursor.next()?;
    if first == '{' {
        return in_braces(cursor);
    }
    let second = cursor.next()?;
    Some(first.to_digit(16)? * 16 + second.to_digit(16)?)
}

fn in_braces(cursor: &mut Cursor<'_>) -> Option<u32> {
    let mut code = None;
    loop {
        match cursor.next()? {
            '}' => return code,
            c => code = Some(code.unwrap_or(0) * 16 + c.to_digit(16)?),
        }
        if code > Some(char::MAX.into()) {
            return None;
        }
    }
}
