//! What the decoder reads from: a stream of tokens, and JSON text as one.

use std::borrow::Cow;

use ecow::EcoString;

use crate::value::{Key, intern};

/// The start of a value. Scalars are consumed by it; arrays and objects are entered.
pub(super) enum Token<'a> {
    Null,
    Bool(bool),
    Number(Number<'a>),
    String(Text<'a>),
    Array,
    Object,
}

#[derive(Clone, Copy)]
pub(super) enum Number<'a> {
    /// As written.
    Literal(&'a str),
    Int(i64),
    Float(f64),
}

pub(super) enum Text<'a> {
    Plain(Cow<'a, str>),
    /// Text of a tree, to be shared.
    Shared(&'a EcoString),
}

/// A well-formed document.
pub(super) trait Reader<'a> {
    fn token(&mut self) -> Token<'a>;

    /// In an object: the next field's name, or None at its end, which leaves it.
    fn key(&mut self) -> Option<Text<'a>>;

    /// In an array: whether there is another element; at its end leaves it.
    fn element(&mut self) -> bool;

    /// Passes over the next value.
    fn skip(&mut self) {
        match self.token() {
            Token::Object => {
                while self.key().is_some() {
                    self.skip();
                }
            }
            Token::Array => {
                while self.element() {
                    self.skip();
                }
            }
            _ => {}
        }
    }
}

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Text::Plain(text) => text,
            Text::Shared(text) => text,
        }
    }

    pub(super) fn into_eco(self) -> EcoString {
        match self {
            Text::Plain(text) => EcoString::from(text),
            Text::Shared(text) => text.clone(),
        }
    }

    pub(super) fn into_key(self) -> Key {
        match self {
            Text::Plain(text) => intern(&text),
            Text::Shared(text) => text.clone(),
        }
    }
}

impl Number<'_> {
    /// As Go's messages show it.
    pub(super) fn text(&self) -> String {
        match self {
            Number::Literal(text) => (*text).to_owned(),
            Number::Int(i) => i.to_string(),
            Number::Float(_) => String::from_utf8(self.value().to_json()).unwrap_or_default(),
        }
    }

    pub(super) fn as_i64(&self) -> Option<i64> {
        match self {
            Number::Literal(text) => text.parse().ok(),
            Number::Int(i) => Some(*i),
            // Written as JSON, a whole float has no point: Go would read an integer.
            Number::Float(f) => (*f == f.trunc() && f.abs() < 1e15).then_some(*f as i64),
        }
    }

    pub(super) fn as_f64(&self) -> f64 {
        match self {
            Number::Literal(text) => text.parse().unwrap_or(f64::INFINITY),
            Number::Int(i) => *i as f64,
            Number::Float(f) => *f,
        }
    }

    /// As an untyped value: an integer where it is written as one and fits.
    pub(super) fn value(&self) -> crate::Value {
        if let Number::Float(f) = self {
            return crate::Value::Float(*f);
        }
        self.as_i64().map_or_else(|| crate::Value::Float(self.as_f64()), crate::Value::Int)
    }
}

/// Reads JSON text that is known to be well-formed; anything else ends early.
pub(super) struct JsonReader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> JsonReader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// The string whose opening quote is next.
    fn string(&mut self) -> Cow<'a, str> {
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        let mut end = start;
        while let Some(&c) = bytes.get(end)
            && c != b'"'
            && c != b'\\'
        {
            end += 1;
        }
        if bytes.get(end) != Some(&b'\\') {
            self.at = end + 1;
            return Cow::Borrowed(&self.text[start..end]);
        }
        let mut out = String::from(&self.text[start..end]);
        self.at = end;
        self.escaped(&mut out);
        Cow::Owned(out)
    }

    /// The rest of a string that has escapes.
    fn escaped(&mut self, out: &mut String) {
        let bytes = self.text.as_bytes();
        loop {
            let start = self.at;
            while let Some(&c) = bytes.get(self.at)
                && c != b'"'
                && c != b'\\'
            {
                self.at += 1;
            }
            out.push_str(&self.text[start..self.at]);
            if self.peek() != Some(b'\\') {
                self.at += 1;
                return;
            }
            self.at += 1;
            let c = self.peek().unwrap_or(b'"');
            self.at += 1;
            out.push(match c {
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'u' => self.unicode(),
                other => char::from(other),
            });
        }
    }

    /// The character of `\uXXXX`, the `\u` of which has been read. Half a pair is U+FFFD, as in Go.
    fn unicode(&mut self) -> char {
        let unit = self.hex();
        if let Some(c) = char::from_u32(unit) {
            return c;
        }
        let rest = &self.text.as_bytes()[self.at.min(self.text.len())..];
        if (0xD800..0xDC00).contains(&unit) && rest.starts_with(b"\\u") {
            let before = self.at;
            self.at += 2;
            let low = self.hex();
            if (0xDC00..0xE000).contains(&low) {
                let code = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                return char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
            }
            self.at = before;
        }
        char::REPLACEMENT_CHARACTER
    }

    fn hex(&mut self) -> u32 {
        let digits = self.text.get(self.at..self.at + 4).unwrap_or("");
        self.at += 4;
        u32::from_str_radix(digits, 16).unwrap_or(0xFFFD)
    }

    fn number(&mut self) -> &'a str {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')) {
            self.at += 1;
        }
        &self.text[start..self.at]
    }

    /// Passes over a comma, if there is one; whether `close` follows, which is passed over too.
    fn closes(&mut self, close: u8) -> bool {
        self.skip_space();
        if self.peek() == Some(b',') {
            self.at += 1;
            self.skip_space();
        }
        match self.peek() {
            Some(c) if c != close => false,
            _ => {
                self.at += 1;
                true
            }
        }
    }
}

impl<'a> Reader<'a> for JsonReader<'a> {
    fn token(&mut self) -> Token<'a> {
        self.skip_space();
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                Token::Object
            }
            Some(b'[') => {
                self.at += 1;
                Token::Array
            }
            Some(b'"') => Token::String(Text::Plain(self.string())),
            Some(b't') => {
                self.at += 4;
                Token::Bool(true)
            }
            Some(b'f') => {
                self.at += 5;
                Token::Bool(false)
            }
            Some(b'-' | b'0'..=b'9') => Token::Number(Number::Literal(self.number())),
            _ => {
                self.at += 4;
                Token::Null
            }
        }
    }

    fn key(&mut self) -> Option<Text<'a>> {
        if self.closes(b'}') {
            return None;
        }
        let key = self.string();
        self.skip_space();
        self.at += 1;
        Some(Text::Plain(key))
    }

    fn element(&mut self) -> bool {
        !self.closes(b']')
    }
}
