//! The text of an expression, and what was found wrong with it.

use std::fmt;

/// The longest line that is shown beneath an issue.
const LONGEST_SNIPPET: usize = 16_384;

/// How many issues are shown.
const SHOWN: usize = 100;

/// Something wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Where, in characters from the text's beginning; without: the expression as a whole.
    pub offset: Option<u32>,
    pub message: String,
}

impl Issue {
    pub(crate) fn at(offset: u32, message: impl Into<String>) -> Self {
        Self { offset: Some(offset), message: message.into() }
    }

    pub(crate) fn whole(message: impl Into<String>) -> Self {
        Self { offset: None, message: message.into() }
    }
}

/// Why an expression does not compile. Displayed as cel-go does: every issue, with its line and a mark beneath.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Issues {
    pub list: Vec<Issue>,
    text: String,
    /// Those that were found but are not in the list.
    truncated: usize,
}

impl Issues {
    pub(crate) fn new(source: &str, mut list: Vec<Issue>) -> Self {
        let truncated = list.len().saturating_sub(SHOWN);
        list.truncate(SHOWN);
        // Issues without a place sort before those that have one.
        list.sort_by_key(|issue| issue.offset);
        Self { list, text: source.to_owned(), truncated }
    }
}

impl fmt::Display for Issues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        let mut newline =
            |f: &mut fmt::Formatter<'_>| if std::mem::take(&mut first) { Ok(()) } else { f.write_str("\n") };
        for issue in &self.list {
            newline(f)?;
            show(f, issue, &self.text)?;
        }
        if self.truncated > 0 {
            newline(f)?;
            write!(f, "{} more errors were truncated", self.truncated)?;
        }
        Ok(())
    }
}

fn show(f: &mut fmt::Formatter<'_>, issue: &Issue, source: &str) -> fmt::Result {
    let Some(offset) = issue.offset else { return write!(f, "ERROR: <input>:-1:0: {}", issue.message) };
    if source.is_empty() {
        // Upstream finds no line in it.
        return write!(f, "ERROR: <input>:1:0: {}", issue.message);
    }
    let (line, column, text) = place(source, offset);
    write!(f, "ERROR: <input>:{line}:{}: {}", column + 1, issue.message)?;
    if text.len() > LONGEST_SNIPPET {
        return Ok(());
    }
    write!(f, "\n | {}\n | ", text.replace('\t', " "))?;
    let mut characters = text.chars();
    for character in characters.by_ref().take(column) {
        f.write_str(if character.len_utf8() > 1 { "\u{ff0e}" } else { "." })?;
    }
    let wide = characters.next().is_some_and(|character| character.len_utf8() > 1);
    f.write_str(if wide { "\u{ff3e}" } else { "^" })
}

/// The line (from 1), the column in characters (from 0) and the line's text.
fn place(source: &str, offset: u32) -> (usize, usize, &str) {
    let mut left = offset as usize;
    let mut number = 0;
    for line in source.split('\n') {
        number += 1;
        let length = line.chars().count();
        if left <= length {
            return (number, left, line);
        }
        left -= length + 1;
    }
    (number.max(1), left, "")
}
