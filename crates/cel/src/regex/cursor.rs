//! A place in a pattern.

use super::error::{Mistake, SyntaxError};

/// Where the parser is. The place is always between two characters.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    whole: &'a str,
    at: usize,
    /// Where the last of [`CLASS_END`] stands.
    last_class_end: Option<usize>,
}

/// What ends a class of POSIX's.
const CLASS_END: &str = ":]";

impl<'a> Cursor<'a> {
    pub(super) fn new(whole: &'a str) -> Self {
        Self { whole, at: 0, last_class_end: whole.rfind(CLASS_END) }
    }

    /// The pattern from here on.
    pub(super) fn rest(&self) -> &'a str {
        self.whole.get(self.at..).unwrap_or_default()
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest().is_empty()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// The next character, if it is one of those.
    pub(super) fn next_if(&mut self, wanted: impl Fn(char) -> bool) -> Option<char> {
        let next = self.peek().filter(|c| wanted(*c))?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// Steps over a text, if it stands here.
    pub(super) fn eat(&mut self, text: &str) -> bool {
        let stands = self.rest().starts_with(text);
        if stands {
            self.at += text.len();
        }
        stands
    }

    /// Steps over everything up to a text and that text; answers what came before it. Without the text the place
    /// stays.
    pub(super) fn until(&mut self, text: &str) -> Option<&'a str> {
        let (before, _) = self.rest().split_once(text)?;
        self.at += before.len() + text.len();
        Some(before)
    }

    /// Steps over the name of a class of POSIX's and its end; answers the name. A pattern may ask for many that do not
    /// end, so that is known without a search.
    pub(super) fn until_class_end(&mut self) -> Option<&'a str> {
        self.last_class_end.filter(|end| *end >= self.at)?;
        self.until(CLASS_END)
    }

    /// What lies between an earlier place and this one.
    pub(super) fn since(&self, start: Self) -> &'a str {
        self.whole.get(start.at..self.at).unwrap_or_default()
    }

    /// A mistake in what lies between an earlier place and this one.
    pub(super) fn mistake(&self, mistake: Mistake, start: Self) -> SyntaxError {
        SyntaxError::new(mistake, self.since(start))
    }

    /// A mistake in the pattern from here on.
    pub(super) fn mistake_in_rest(&self, mistake: Mistake) -> SyntaxError {
        SyntaxError::new(mistake, self.rest())
    }

    /// A mistake in the whole pattern.
    pub(super) fn mistake_in_whole(&self, mistake: Mistake) -> SyntaxError {
        SyntaxError::new(mistake, self.whole)
    }
}
