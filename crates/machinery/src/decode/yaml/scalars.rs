//! Scalars: block, quoted, plain.

use super::cursor::Mark;
use super::scanner::{Kind, Scanned, Scanner};

/// What becomes of the line breaks at a block scalar's end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chomp {
    Strip,
    Clip,
    Keep,
}

/// Blanks and line breaks between two parts of a scalar, which are folded.
#[derive(Default)]
struct Gap {
    blanks: String,
    first_break: String,
    more_breaks: String,
    /// There was a line break.
    lines: bool,
}

impl Gap {
    /// Takes the blanks and breaks here.
    fn take(&mut self, scanner: &mut Scanner<'_>) {
        let cursor = &mut scanner.cursor;
        if cursor.is_blank(0) {
            if self.lines { cursor.skip() } else { cursor.read(&mut self.blanks) }
        } else if self.lines {
            cursor.read_line(&mut self.more_breaks);
        } else {
            self.blanks.clear();
            cursor.read_line(&mut self.first_break);
            self.lines = true;
        }
    }

    fn fold_into(&mut self, out: &mut String) {
        if self.lines {
            if !self.first_break.starts_with('\n') {
                out.push_str(&self.first_break);
                out.push_str(&self.more_breaks);
            } else if self.more_breaks.is_empty() {
                out.push(' ');
            } else {
                out.push_str(&self.more_breaks);
            }
        } else {
            out.push_str(&self.blanks);
        }
        *self = Self::default();
    }
}

impl Scanner<'_> {
    pub(super) fn scan_block_scalar(&mut self, literal: bool) -> Scanned<String> {
        let start = self.cursor.mark;
        self.cursor.skip();
        let (chomp, increment) = self.block_header(start)?;
        self.end_of_line(start)?;
        let mut indent = match increment {
            0 => 0,
            increment => usize::try_from(self.indent).unwrap_or(0) + increment,
        };
        let (mut out, mut leading, mut trailing) = (String::new(), String::new(), String::new());
        self.block_breaks(&mut indent, &mut trailing, start)?;
        let mut was_blank = false;
        while self.cursor.mark.column == indent && !self.cursor.is_end() {
            let is_blank = self.cursor.is_blank(0);
            if !literal && leading.starts_with('\n') && !was_blank && !is_blank {
                if trailing.is_empty() {
                    out.push(' ');
                }
            } else {
                out.push_str(&leading);
            }
            leading.clear();
            out.push_str(&trailing);
            trailing.clear();
            was_blank = is_blank;
            while !self.cursor.is_break_or_end(0) {
                self.cursor.read(&mut out);
            }
            self.cursor.read_line(&mut leading);
            self.block_breaks(&mut indent, &mut trailing, start)?;
        }
        if chomp != Chomp::Strip {
            out.push_str(&leading);
        }
        if chomp == Chomp::Keep {
            out.push_str(&trailing);
        }
        Ok(out)
    }

    /// `+`, `-` and a digit, in any order.
    fn block_header(&mut self, start: Mark) -> Scanned<(Chomp, usize)> {
        let (mut chomp, mut increment) = (None, None);
        for _ in 0..2 {
            match self.cursor.here() {
                b'+' if chomp.is_none() => chomp = Some(Chomp::Keep),
                b'-' if chomp.is_none() => chomp = Some(Chomp::Strip),
                b'0' if increment.is_none() => {
                    return self.fail(start, "found an indentation indicator equal to 0");
                }
                digit @ b'1'..=b'9' if increment.is_none() => increment = Some(usize::from(digit - b'0')),
                _ => break,
            }
            self.cursor.skip();
        }
        Ok((chomp.unwrap_or(Chomp::Clip), increment.unwrap_or(0)))
    }

    /// Nothing but blanks and a comment may follow.
    pub(super) fn end_of_line(&mut self, start: Mark) -> Scanned<()> {
        self.cursor.skip_blanks();
        self.cursor.skip_comment();
        if !self.cursor.is_break_or_end(0) {
            return self.fail(start, "did not find expected comment or line break");
        }
        if self.cursor.is_break(0) {
            self.cursor.skip_line();
        }
        Ok(())
    }

    /// Passes over indentation and empty lines; finds the indentation out where it is 0.
    fn block_breaks(&mut self, indent: &mut usize, breaks: &mut String, start: Mark) -> Scanned<()> {
        let mut furthest = 0;
        loop {
            let inside = |column| *indent == 0 || column < *indent;
            while inside(self.cursor.mark.column) && self.cursor.here() == b' ' {
                self.cursor.skip();
            }
            furthest = furthest.max(self.cursor.mark.column);
            if inside(self.cursor.mark.column) && self.cursor.here() == b'\t' {
                return self.fail(start, "found a tab character where an indentation space is expected");
            }
            if !self.cursor.is_break(0) {
                break;
            }
            self.cursor.read_line(breaks);
        }
        if *indent == 0 {
            *indent = furthest.max(usize::try_from(self.indent + 1).unwrap_or(0)).max(1);
        }
        Ok(())
    }

    pub(super) fn quoted(&mut self, single: bool) -> Scanned<Kind> {
        let start = self.cursor.mark;
        let quote = if single { b'\'' } else { b'"' };
        self.cursor.skip();
        let mut out = String::new();
        loop {
            if self.cursor.is_document_indicator() {
                return self.fail(start, "found unexpected document indicator");
            }
            if self.cursor.is_end() {
                return self.fail(start, "found unexpected end of stream");
            }
            let mut gap = Gap::default();
            while !self.cursor.is_blank_or_end(0) {
                let here = self.cursor.here();
                if single && here == quote && self.cursor.byte(1) == quote {
                    out.push('\'');
                    self.cursor.skip();
                    self.cursor.skip();
                } else if here == quote {
                    break;
                } else if !single && here == b'\\' && self.cursor.is_break(1) {
                    self.cursor.skip();
                    self.cursor.skip_line();
                    gap.lines = true;
                    break;
                } else if !single && here == b'\\' {
                    self.escape(start, &mut out)?;
                } else {
                    self.cursor.read(&mut out);
                }
            }
            if self.cursor.here() == quote {
                break;
            }
            while self.cursor.is_blank(0) || self.cursor.is_break(0) {
                gap.take(self);
            }
            gap.fold_into(&mut out);
        }
        self.cursor.skip();
        Ok(Kind::Scalar { text: out, plain: false })
    }

    fn escape(&mut self, start: Mark, out: &mut String) -> Scanned<()> {
        let digits = match self.cursor.byte(1) {
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            letter => {
                out.push(match letter {
                    b'0' => '\0',
                    b'a' => '\u{7}',
                    b'b' => '\u{8}',
                    b't' | b'\t' => '\t',
                    b'n' => '\n',
                    b'v' => '\u{b}',
                    b'f' => '\u{c}',
                    b'r' => '\r',
                    b'e' => '\u{1b}',
                    b' ' => ' ',
                    b'"' => '"',
                    b'\'' => '\'',
                    b'\\' => '\\',
                    b'N' => '\u{85}',
                    b'_' => '\u{a0}',
                    b'L' => '\u{2028}',
                    b'P' => '\u{2029}',
                    _ => return self.fail(start, "found unknown escape character"),
                });
                0
            }
        };
        self.cursor.skip();
        self.cursor.skip();
        if digits == 0 {
            return Ok(());
        }
        let mut code = 0u32;
        for i in 0..digits {
            match char::from(self.cursor.byte(i)).to_digit(16) {
                Some(digit) => code = (code << 4) | digit,
                None => return self.fail(start, "did not find expected hexdecimal number"),
            }
        }
        let Some(letter) = char::from_u32(code) else {
            return self.fail(start, "found invalid Unicode character escape code");
        };
        out.push(letter);
        (0..digits).for_each(|_| self.cursor.skip());
        Ok(())
    }

    pub(super) fn plain(&mut self) -> Scanned<Kind> {
        let start = self.cursor.mark;
        let indent = self.indent + 1;
        let mut out = String::new();
        let mut gap = Gap::default();
        loop {
            if self.cursor.is_document_indicator() || self.cursor.here() == b'#' {
                break;
            }
            while !self.cursor.is_blank_or_end(0) {
                let here = self.cursor.here();
                let in_flow = self.flow_level > 0;
                if (here == b':' && self.cursor.is_blank_or_end(1))
                    || (in_flow && matches!(here, b',' | b'?' | b'[' | b']' | b'{' | b'}'))
                {
                    break;
                }
                gap.fold_into(&mut out);
                self.cursor.read(&mut out);
            }
            if !(self.cursor.is_blank(0) || self.cursor.is_break(0)) {
                break;
            }
            while self.cursor.is_blank(0) || self.cursor.is_break(0) {
                let column = self.cursor.mark.column as isize;
                if gap.lines && column < indent && self.cursor.here() == b'\t' {
                    return self.fail(start, "found a tab character that violates indentation");
                }
                gap.take(self);
            }
            if self.flow_level == 0 && (self.cursor.mark.column as isize) < indent {
                break;
            }
        }
        if gap.lines {
            self.key_allowed = true;
        }
        Ok(Kind::Scalar { text: out, plain: true })
    }
}
