//! The syntax of JSON, with Go's error messages, and which kind a document says it is.
//!
//! One pass over the bytes without allocation; everything after it may rely on well-formed text.

/// `apiVersion` and `kind` as the text has them; "" when absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeMeta {
    pub api_version: String,
    pub kind: String,
}

/// How deep arrays and objects may nest. Go allows 10,000; nothing real comes near this.
pub(crate) const MAX_DEPTH: usize = 1000;

/// Checks that `text` is one JSON document.
///
/// # Errors
/// Go's message, such as `unexpected end of JSON input`.
pub fn check_syntax(text: &[u8]) -> Result<(), String> {
    Scanner { text, at: 0, depth: 0 }.document(&mut |_, _, _| {})
}

/// Checks that `text` is one JSON document, and reads which kind of object it is.
///
/// # Errors
/// Go's message. Upstream puts `couldn't get version/kind; json parse error: ` before it.
pub fn type_meta(text: &[u8]) -> Result<TypeMeta, String> {
    let mut meta = TypeMeta::default();
    let mut wrong = None;
    let mut scanner = Scanner { text, at: 0, depth: 0 };
    scanner.document(&mut |depth, key, value| {
        if depth == 0 && wrong.is_none() {
            wrong = top_level_problem(value);
        }
        // Go matches these two names without regard to case.
        let target = if depth != 1 {
            return;
        } else if key.eq_ignore_ascii_case(b"\"apiVersion\"") {
            (&mut meta.api_version, "apiVersion")
        } else if key.eq_ignore_ascii_case(b"\"kind\"") {
            (&mut meta.kind, "kind")
        } else {
            return;
        };
        match value.first() {
            Some(b'"') => *target.0 = serde_json::from_slice(value).unwrap_or_default(),
            Some(b'n') => {}
            first if wrong.is_none() => {
                let what = first.map_or("", describe);
                let field = target.1;
                wrong = Some(format!(
                    "json: cannot unmarshal {what} into Go struct field .{field} of type string"
                ));
            }
            _ => {}
        }
    })?;
    wrong.map_or(Ok(meta), Err)
}

fn top_level_problem(value: &[u8]) -> Option<String> {
    const GO_TYPE: &str = r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
    match value.first() {
        Some(b'{' | b'n') | None => None,
        Some(first) => {
            Some(format!("json: cannot unmarshal {} into Go value of type {GO_TYPE}", describe(first)))
        }
    }
}

/// What Go calls a value that starts with this byte.
fn describe(first: &u8) -> &'static str {
    match first {
        b'"' => "string",
        b'{' => "object",
        b'[' => "array",
        b't' | b'f' => "bool",
        _ => "number",
    }
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

/// Told of each value: its depth, the key it is under ("" for none) with its quotes, and its text.
type Visit<'v> = dyn FnMut(usize, &[u8], &[u8]) + 'v;

impl Scanner<'_> {
    fn document(&mut self, visit: &mut Visit<'_>) -> Result<(), String> {
        self.skip_space();
        let start = self.at;
        self.value(b"", visit)?;
        visit(0, b"", &self.text[start..self.at]);
        self.skip_space();
        match self.peek() {
            None => Ok(()),
            Some(c) => Err(invalid(c, "after top-level value")),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// The next byte after spaces.
    fn next_token(&mut self) -> Result<u8, String> {
        self.skip_space();
        self.peek().ok_or_else(end)
    }

    fn value(&mut self, key: &[u8], visit: &mut Visit<'_>) -> Result<(), String> {
        let start = self.at;
        match self.peek().ok_or_else(end)? {
            b'{' => self.object(visit)?,
            b'[' => self.array(visit)?,
            b'"' => self.string()?,
            b'-' | b'0'..=b'9' => self.number()?,
            b't' => self.literal("true")?,
            b'f' => self.literal("false")?,
            b'n' => self.literal("null")?,
            c => return Err(invalid(c, "looking for beginning of value")),
        }
        // Only the top level's fields are of interest.
        if self.depth == 1 && !key.is_empty() {
            visit(1, key, &self.text[start..self.at]);
        }
        Ok(())
    }

    fn enter(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(invalid(self.text[self.at], "exceeded max depth"));
        }
        self.at += 1;
        Ok(())
    }

    fn leave(&mut self) {
        self.at += 1;
        self.depth -= 1;
    }

    fn object(&mut self, visit: &mut Visit<'_>) -> Result<(), String> {
        self.enter()?;
        if self.next_token()? == b'}' {
            self.leave();
            return Ok(());
        }
        loop {
            match self.next_token()? {
                b'"' => {}
                c => return Err(invalid(c, "looking for beginning of object key string")),
            }
            let start = self.at;
            self.string()?;
            let key = start..self.at;
            match self.next_token()? {
                b':' => self.at += 1,
                c => return Err(invalid(c, "after object key")),
            }
            self.next_token()?;
            let text = self.text;
            self.value(&text[key], visit)?;
            match self.next_token()? {
                b',' => self.at += 1,
                b'}' => break,
                c => return Err(invalid(c, "after object key:value pair")),
            }
        }
        self.leave();
        Ok(())
    }

    fn array(&mut self, visit: &mut Visit<'_>) -> Result<(), String> {
        self.enter()?;
        if self.next_token()? == b']' {
            self.leave();
            return Ok(());
        }
        loop {
            self.next_token()?;
            self.value(b"", visit)?;
            match self.next_token()? {
                b',' => self.at += 1,
                b']' => break,
                c => return Err(invalid(c, "after array element")),
            }
        }
        self.leave();
        Ok(())
    }

    fn string(&mut self) -> Result<(), String> {
        self.at += 1;
        loop {
            match self.peek().ok_or_else(end)? {
                b'"' => break,
                b'\\' => {
                    self.at += 1;
                    match self.peek().ok_or_else(end)? {
                        b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => {}
                        b'u' => {
                            for _ in 0..4 {
                                self.at += 1;
                                match self.peek().ok_or_else(end)? {
                                    c if c.is_ascii_hexdigit() => {}
                                    c => return Err(invalid(c, "in \\u hexadecimal character escape")),
                                }
                            }
                        }
                        c => return Err(invalid(c, "in string escape code")),
                    }
                }
                c if c < 0x20 => return Err(invalid(c, "in string literal")),
                _ => {}
            }
            self.at += 1;
        }
        self.at += 1;
        Ok(())
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn need_digit(&mut self, context: &str) -> Result<(), String> {
        match self.peek().ok_or_else(end)? {
            b'0'..=b'9' => Ok(()),
            c => Err(invalid(c, context)),
        }
    }

    fn number(&mut self) -> Result<(), String> {
        if self.peek() == Some(b'-') {
            self.at += 1;
            self.need_digit("in numeric literal")?;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits();
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.need_digit("after decimal point in numeric literal")?;
            self.digits();
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.need_digit("in exponent of numeric literal")?;
            self.digits();
        }
        Ok(())
    }

    fn literal(&mut self, word: &str) -> Result<(), String> {
        for expected in word.bytes() {
            match self.peek().ok_or_else(end)? {
                c if c == expected => self.at += 1,
                c => {
                    let context = format!("in literal {word} (expecting '{}')", char::from(expected));
                    return Err(invalid(c, &context));
                }
            }
        }
        Ok(())
    }
}

fn end() -> String {
    "unexpected end of JSON input".into()
}

fn invalid(c: u8, context: &str) -> String {
    let quoted = match c {
        b'\'' => "\\'".to_owned(),
        b'"' => "\"".to_owned(),
        // Go prints the byte as the character of that number.
        c => {
            let quoted = crate::go_text::go_quote(&char::from(c).to_string());
            quoted[1..quoted.len() - 1].to_owned()
        }
    };
    format!("invalid character '{quoted}' {context}")
}
