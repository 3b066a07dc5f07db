//! A place in YAML text, and what stands there.

/// Where something is; all count from 0. Columns and indexes are in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) index: usize,
    pub(super) line: usize,
    pub(super) column: usize,
}

/// Why text is no YAML, and where, as go-yaml tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) text: String,
    at: Mark,
    context: Mark,
    is_scanners: bool,
}

impl Problem {
    pub(super) fn of_scanner(text: impl Into<String>, context: Mark, at: Mark) -> Self {
        Self { text: text.into(), at, context, is_scanners: true }
    }

    pub(super) fn of_parser(text: impl Into<String>, context: Mark, at: Mark) -> Self {
        Self { text: text.into(), at, context, is_scanners: false }
    }

    /// The line that go-yaml names: the scanner's count from 1, the parser's from 0. None in a first line.
    pub(super) fn line(&self) -> Option<usize> {
        let line = match self.at.line {
            0 => self.context.line,
            line => line + usize::from(self.is_scanners),
        };
        (line != 0).then_some(line)
    }
}

/// Reads text character by character. Beyond the end there are NULs, which text does not hold.
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    pub(super) mark: Mark,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, mark: Mark::default() }
    }

    /// The byte `ahead` of here.
    pub(super) fn byte(&self, ahead: usize) -> u8 {
        self.text.as_bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    pub(super) fn here(&self) -> u8 {
        self.byte(0)
    }

    pub(super) fn is_end(&self) -> bool {
        self.at >= self.text.len()
    }

    pub(super) fn is_blank(&self, ahead: usize) -> bool {
        matches!(self.byte(ahead), b' ' | b'\t')
    }

    /// A line break: `\r`, `\n`, NEL, LS, PS.
    pub(super) fn is_break(&self, ahead: usize) -> bool {
        match self.byte(ahead) {
            b'\r' | b'\n' => true,
            0xc2 => self.byte(ahead + 1) == 0x85,
            0xe2 => self.byte(ahead + 1) == 0x80 && matches!(self.byte(ahead + 2), 0xa8 | 0xa9),
            _ => false,
        }
    }

    pub(super) fn is_break_or_end(&self, ahead: usize) -> bool {
        self.is_break(ahead) || self.at + ahead >= self.text.len()
    }

    pub(super) fn is_blank_or_end(&self, ahead: usize) -> bool {
        self.is_blank(ahead) || self.is_break_or_end(ahead)
    }

    pub(super) fn is_bom(&self) -> bool {
        self.text[self.at..].starts_with('\u{feff}')
    }

    /// `---` or `...` at the start of a line.
    pub(super) fn is_document_indicator(&self) -> bool {
        let three = |byte| (0..3).all(|i| self.byte(i) == byte);
        self.mark.column == 0 && (three(b'-') || three(b'.')) && self.is_blank_or_end(3)
    }

    /// Passes over a character that is no line break.
    pub(super) fn skip(&mut self) {
        let width = self.text[self.at..].chars().next().map_or(0, char::len_utf8);
        self.at += width;
        self.mark.index += 1;
        self.mark.column += 1;
    }

    /// Appends the character here, and passes over it.
    pub(super) fn read(&mut self, out: &mut String) {
        out.extend(self.text[self.at..].chars().next());
        self.skip();
    }

    /// Passes over a line break.
    pub(super) fn skip_line(&mut self) {
        let width = match (self.here(), self.byte(1)) {
            (b'\r', b'\n') => 2,
            _ => self.text[self.at..].chars().next().map_or(0, char::len_utf8),
        };
        self.mark.index += if width == 2 && self.here() == b'\r' { 2 } else { 1 };
        self.at += width;
        self.mark.column = 0;
        self.mark.line += 1;
    }

    /// Appends a line break, normalised, and passes over it. Nothing happens where there is none.
    pub(super) fn read_line(&mut self, out: &mut String) {
        if !self.is_break(0) {
            return;
        }
        match self.text[self.at..].chars().next() {
            Some(separator @ ('\u{2028}' | '\u{2029}')) => out.push(separator),
            _ => out.push('\n'),
        }
        self.skip_line();
    }

    pub(super) fn skip_blanks(&mut self) {
        while self.is_blank(0) {
            self.skip();
        }
    }

    /// Passes over a comment, if there is one.
    pub(super) fn skip_comment(&mut self) {
        if self.here() == b'#' {
            while !self.is_break_or_end(0) {
                self.skip();
            }
        }
    }

    /// A letter, digit, `_` or `-`.
    pub(super) fn is_word(&self) -> bool {
        let byte = self.here();
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
    }
}
