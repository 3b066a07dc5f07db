//! What may follow an opening parenthesis: a name, flags, or nothing special.

use super::cursor::Cursor;
use super::error::{Mistake, SyntaxError};
use super::parse::Flags;

/// What an opening parenthesis begins.
pub(super) enum Opening {
    /// A group that captures.
    Capture,
    /// A group that does not, and the flags inside of it.
    Group(Flags),
    /// No group: flags for the rest of the one around it.
    Flags(Flags),
}

/// Reads what follows the parenthesis at `start`, where the flags are `flags`.
///
/// # Errors
/// When a question mark follows, and then something that Go does not know.
pub(super) fn opening(
    cursor: &mut Cursor<'_>,
    start: Cursor<'_>,
    flags: Flags,
) -> Result<Opening, SyntaxError> {
    if !cursor.eat("?") {
        return Ok(Opening::Capture);
    }
    // With nothing after the `<` Go looks for flags.
    let named_by = ["<", "P<"].into_iter().find(|by| cursor.rest().len() > by.len() && cursor.eat(by));
    if named_by.is_some() { named(cursor, start) } else { flagged(cursor, start, flags) }
}

fn named(cursor: &mut Cursor<'_>, start: Cursor<'_>) -> Result<Opening, SyntaxError> {
    let Some(name) = cursor.until(">") else {
        return Err(start.mistake_in_rest(Mistake::NamedCapture));
    };
    if name.is_empty() || !name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()) {
        return Err(cursor.mistake(Mistake::NamedCapture, start));
    }
    Ok(Opening::Capture)
}

fn flagged(cursor: &mut Cursor<'_>, start: Cursor<'_>, mut flags: Flags) -> Result<Opening, SyntaxError> {
    let mut sets = true;
    // A minus wants a flag after it.
    let mut is_complete = true;
    while let Some(c) = cursor.next() {
        match c {
            'i' => flags.folded = sets,
            'm' => flags.lines = sets,
            's' => flags.dot_is_any = sets,
            'U' => flags.lazy = sets,
            '-' if sets => {
                sets = false;
                is_complete = false;
                continue;
            }
            ':' if is_complete => return Ok(Opening::Group(flags)),
            ')' if is_complete => return Ok(Opening::Flags(flags)),
            _ => break,
        }
        is_complete = true;
    }
    Err(cursor.mistake(Mistake::PerlSyntax, start))
}
