//! Anchors, aliases, tags and directives.

use super::cursor::Mark;
use super::scanner::{Kind, Scanned, Scanner};

impl Scanner<'_> {
    pub(super) fn anchor(&mut self, kind: fn(String) -> Kind) -> Scanned<Kind> {
        let start = self.cursor.mark;
        self.cursor.skip();
        let name = self.word();
        let ends = self.cursor.is_blank_or_end(0)
            || matches!(self.cursor.here(), b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`');
        if name.is_empty() || !ends {
            return self.fail(start, "did not find expected alphabetic or numeric character");
        }
        Ok(kind(name))
    }

    fn word(&mut self) -> String {
        let mut out = String::new();
        while self.cursor.is_word() {
            self.cursor.read(&mut out);
        }
        out
    }

    /// `!<uri>`, `!suffix`, `!handle!suffix`.
    pub(super) fn tag(&mut self) -> Scanned<Kind> {
        let start = self.cursor.mark;
        let (handle, suffix) = if self.cursor.byte(1) == b'<' {
            self.cursor.skip();
            self.cursor.skip();
            let suffix = self.tag_uri("", start)?;
            if self.cursor.here() != b'>' {
                return self.fail(start, "did not find the expected '>'");
            }
            self.cursor.skip();
            (String::new(), suffix)
        } else {
            let handle = self.tag_handle();
            if handle.len() > 1 && handle.ends_with('!') {
                let suffix = self.tag_uri("", start)?;
                (handle, suffix)
            } else {
                match self.tag_uri(&handle, start)? {
                    suffix if suffix.is_empty() => (String::new(), "!".to_owned()),
                    suffix => ("!".to_owned(), suffix),
                }
            }
        };
        if !self.cursor.is_blank_or_end(0) {
            return self.fail(start, "did not find expected whitespace or line break");
        }
        Ok(Kind::Tag { handle, suffix })
    }

    /// `!`, `!!`, `!name!`, or `!name` when it is none.
    fn tag_handle(&mut self) -> String {
        let mut handle = String::new();
        self.cursor.read(&mut handle);
        handle.push_str(&self.word());
        if self.cursor.here() == b'!' {
            self.cursor.read(&mut handle);
        }
        handle
    }

    /// The rest of a tag after `head`, the `!` of which is left out.
    fn tag_uri(&mut self, head: &str, start: Mark) -> Scanned<String> {
        let mut out = head.get(1..).unwrap_or("").as_bytes().to_vec();
        let mut found = !head.is_empty();
        while self.cursor.is_word() || b";/?:@&=+$,.!~*'()[]%".contains(&self.cursor.here()) {
            if self.cursor.here() == b'%' {
                self.uri_escape(start, &mut out)?;
            } else {
                let mut letter = String::new();
                self.cursor.read(&mut letter);
                out.extend_from_slice(letter.as_bytes());
            }
            found = true;
        }
        if !found {
            return self.fail(start, "did not find expected tag URI");
        }
        match String::from_utf8(out) {
            Ok(uri) => Ok(uri),
            Err(_) => self.fail(start, "found an incorrect trailing UTF-8 octet"),
        }
    }

    fn uri_escape(&mut self, start: Mark, out: &mut Vec<u8>) -> Scanned<()> {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        match (digit(self.cursor.byte(1)), digit(self.cursor.byte(2))) {
            (Some(high), Some(low)) => out.push((high * 16 + low) as u8),
            _ => return self.fail(start, "did not find URI escaped octet"),
        }
        (0..3).for_each(|_| self.cursor.skip());
        Ok(())
    }

    /// `%YAML 1.1` or `%TAG ! tag:example.com,2000:`.
    pub(super) fn scan_directive(&mut self) -> Scanned<Kind> {
        let start = self.cursor.mark;
        self.cursor.skip();
        let name = self.word();
        if name.is_empty() {
            return self.fail(start, "could not find expected directive name");
        }
        if !self.cursor.is_blank_or_end(0) {
            return self.fail(start, "found unexpected non-alphabetical character");
        }
        let kind = match name.as_str() {
            "YAML" => self.version(start)?,
            "TAG" => self.tag_directive(start)?,
            _ => return self.fail(start, "found unknown directive name"),
        };
        self.end_of_line(start)?;
        Ok(kind)
    }

    fn version(&mut self, start: Mark) -> Scanned<Kind> {
        self.cursor.skip_blanks();
        let major = self.version_number(start)?;
        if self.cursor.here() != b'.' {
            return self.fail(start, "did not find expected digit or '.' character");
        }
        self.cursor.skip();
        let minor = self.version_number(start)?;
        Ok(Kind::Version { major, minor })
    }

    fn version_number(&mut self, start: Mark) -> Scanned<i64> {
        let mut text = String::new();
        while self.cursor.here().is_ascii_digit() {
            self.cursor.read(&mut text);
            if text.len() > 2 {
                return self.fail(start, "found extremely long version number");
            }
        }
        match text.parse() {
            Ok(number) => Ok(number),
            Err(_) => self.fail(start, "did not find expected version number"),
        }
    }

    fn tag_directive(&mut self, start: Mark) -> Scanned<Kind> {
        self.cursor.skip_blanks();
        if self.cursor.here() != b'!' {
            return self.fail(start, "did not find expected '!'");
        }
        let handle = self.tag_handle();
        if handle != "!" && !handle.ends_with('!') {
            return self.fail(start, "did not find expected '!'");
        }
        if !self.cursor.is_blank(0) {
            return self.fail(start, "did not find expected whitespace");
        }
        self.cursor.skip_blanks();
        let prefix = self.tag_uri("", start)?;
        if !self.cursor.is_blank_or_end(0) {
            return self.fail(start, "did not find expected whitespace or line break");
        }
        Ok(Kind::TagDirective { handle, prefix })
    }
}
