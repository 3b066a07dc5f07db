//! Text to tokens, after libyaml's scanner: what may be a mapping's key is only known once its `:` is seen.

use std::collections::{HashMap, VecDeque};

use super::cursor::{Cursor, Mark, Problem};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    StreamEnd,
    Version { major: i64, minor: i64 },
    TagDirective { handle: String, prefix: String },
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias(String),
    Anchor(String),
    Tag { handle: String, suffix: String },
    Scalar { text: String, plain: bool },
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) mark: Mark,
}

pub(super) type Scanned<T> = Result<T, Problem>;

/// A place at which a key may have begun.
#[derive(Clone, Copy, Default)]
struct SimpleKey {
    possible: bool,
    /// It must be a key: it stands where the block mapping's keys do.
    required: bool,
    token: usize,
    mark: Mark,
}

pub(super) struct Scanner<'a> {
    pub(super) cursor: Cursor<'a>,
    tokens: VecDeque<Token>,
    /// How many tokens were taken.
    taken: usize,
    pub(super) flow_level: usize,
    /// Of the block collection that is open; -1 outside.
    pub(super) indent: isize,
    indents: Vec<isize>,
    simple_keys: Vec<SimpleKey>,
    keys_by_token: HashMap<usize, usize>,
    pub(super) key_allowed: bool,
    ended: bool,
}

/// Flow and block collections may not be deeper, as in go-yaml.
const MAX_DEPTH: usize = 10_000;

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            cursor: Cursor::new(text),
            tokens: VecDeque::new(),
            taken: 0,
            flow_level: 0,
            indent: -1,
            indents: Vec::new(),
            simple_keys: vec![SimpleKey::default()],
            keys_by_token: HashMap::new(),
            key_allowed: true,
            ended: false,
        }
    }

    /// The next token, which stays. After the last comes the last again.
    pub(super) fn peek(&mut self) -> Scanned<&Token> {
        while !self.ended && self.needs_more()? {
            self.fetch()?;
        }
        let end = Token { kind: Kind::StreamEnd, mark: self.cursor.mark };
        if self.tokens.is_empty() {
            self.tokens.push_back(end);
        }
        Ok(&self.tokens[0])
    }

    pub(super) fn skip(&mut self) {
        if self.tokens.pop_front().is_some() {
            self.taken += 1;
        }
    }

    /// Whether the first token is not known yet, or may turn out to be a key.
    fn needs_more(&mut self) -> Scanned<bool> {
        if self.tokens.is_empty() {
            return Ok(true);
        }
        match self.keys_by_token.get(&self.taken) {
            Some(&key) => self.is_valid(key),
            None => Ok(false),
        }
    }

    fn fetch(&mut self) -> Scanned<()> {
        self.skip_to_next_token();
        self.unroll(self.cursor.mark.column as isize);
        let cursor = &self.cursor;
        if cursor.is_end() {
            return self.stream_end();
        }
        if cursor.mark.column == 0 && cursor.here() == b'%' {
            return self.directive();
        }
        if cursor.is_document_indicator() {
            let kind = if cursor.here() == b'-' { Kind::DocumentStart } else { Kind::DocumentEnd };
            return self.document_indicator(kind);
        }
        let in_flow = self.flow_level > 0;
        let ends_after = cursor.is_blank_or_end(1);
        match cursor.here() {
            b'[' => self.flow_start(Kind::FlowSequenceStart),
            b'{' => self.flow_start(Kind::FlowMappingStart),
            b']' => self.flow_end(Kind::FlowSequenceEnd),
            b'}' => self.flow_end(Kind::FlowMappingEnd),
            b',' => self.flow_entry(),
            b'-' if ends_after => self.block_entry(),
            b'?' if in_flow || ends_after => self.key(),
            b':' if in_flow || ends_after => self.value(),
            b'*' => self.simple(|scanner| scanner.anchor(Kind::Alias)),
            b'&' => self.simple(|scanner| scanner.anchor(Kind::Anchor)),
            b'!' => self.simple(Self::tag),
            b'|' if !in_flow => self.block_scalar(true),
            b'>' if !in_flow => self.block_scalar(false),
            b'\'' => self.simple(|scanner| scanner.quoted(true)),
            b'"' => self.simple(|scanner| scanner.quoted(false)),
            here => {
                let starts = match here {
                    b'-' => !self.cursor.is_blank(1),
                    b'?' | b':' => !in_flow && !ends_after,
                    b'#' | b'%' | b'@' | b'`' | b'|' | b'>' => false,
                    _ => !self.cursor.is_blank_or_end(0),
                };
                if starts {
                    return self.simple(Self::plain);
                }
                let mark = self.cursor.mark;
                Err(Problem::of_scanner("found character that cannot start any token", mark, mark))
            }
        }
    }

    pub(super) fn fail<T>(&self, context: Mark, text: &str) -> Scanned<T> {
        Err(Problem::of_scanner(text, context, self.cursor.mark))
    }

    fn push(&mut self, kind: Kind, mark: Mark) {
        self.tokens.push_back(Token { kind, mark });
    }

    /// Passes over spaces, comments and line breaks.
    fn skip_to_next_token(&mut self) {
        loop {
            if self.cursor.mark.column == 0 && self.cursor.is_bom() {
                self.cursor.skip();
            }
            let tabs = self.flow_level > 0 || !self.key_allowed;
            while self.cursor.here() == b' ' || (tabs && self.cursor.here() == b'\t') {
                self.cursor.skip();
            }
            self.cursor.skip_comment();
            if !self.cursor.is_break(0) {
                return;
            }
            self.cursor.skip_line();
            if self.flow_level == 0 {
                self.key_allowed = true;
            }
        }
    }

    fn is_valid(&mut self, key: usize) -> Scanned<bool> {
        const REACH: usize = 1024;
        let known = self.simple_keys[key];
        if !known.possible {
            return Ok(false);
        }
        let here = self.cursor.mark;
        if known.mark.line < here.line || known.mark.index + REACH < here.index {
            if known.required {
                return self.fail(known.mark, "could not find expected ':'");
            }
            self.simple_keys[key].possible = false;
            return Ok(false);
        }
        Ok(true)
    }

    fn save_key(&mut self) -> Scanned<()> {
        if !self.key_allowed {
            return Ok(());
        }
        let mark = self.cursor.mark;
        let required = self.flow_level == 0 && self.indent == mark.column as isize;
        let token = self.taken + self.tokens.len();
        self.remove_key()?;
        let last = self.simple_keys.len() - 1;
        self.simple_keys[last] = SimpleKey { possible: true, required, token, mark };
        self.keys_by_token.insert(token, last);
        Ok(())
    }

    fn remove_key(&mut self) -> Scanned<()> {
        let last = self.simple_keys.len() - 1;
        let known = self.simple_keys[last];
        if known.possible {
            if known.required {
                return self.fail(known.mark, "could not find expected ':'");
            }
            self.simple_keys[last].possible = false;
            self.keys_by_token.remove(&known.token);
        }
        Ok(())
    }

    /// Opens a block collection when the column is further in. `before` is the token to put it before.
    fn roll(&mut self, column: usize, before: Option<usize>, kind: Kind, mark: Mark) -> Scanned<()> {
        let column = column as isize;
        if self.flow_level > 0 || self.indent >= column {
            return Ok(());
        }
        self.indents.push(self.indent);
        self.indent = column;
        if self.indents.len() > MAX_DEPTH {
            return self.fail(mark, &format!("exceeded max depth of {MAX_DEPTH}"));
        }
        let at = before.map_or(self.tokens.len(), |token| token - self.taken);
        self.tokens.insert(at, Token { kind, mark });
        Ok(())
    }

    /// Closes the block collections that are further in than the column.
    fn unroll(&mut self, column: isize) {
        if self.flow_level > 0 {
            return;
        }
        while self.indent > column {
            self.push(Kind::BlockEnd, self.cursor.mark);
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    fn stream_end(&mut self) -> Scanned<()> {
        let mark = &mut self.cursor.mark;
        if mark.column != 0 {
            mark.column = 0;
            mark.line += 1;
        }
        self.unroll(-1);
        self.remove_key()?;
        self.key_allowed = false;
        self.push(Kind::StreamEnd, self.cursor.mark);
        self.ended = true;
        Ok(())
    }

    fn directive(&mut self) -> Scanned<()> {
        self.unroll(-1);
        self.remove_key()?;
        self.key_allowed = false;
        let mark = self.cursor.mark;
        let kind = self.scan_directive()?;
        self.push(kind, mark);
        Ok(())
    }

    fn document_indicator(&mut self, kind: Kind) -> Scanned<()> {
        self.unroll(-1);
        self.remove_key()?;
        self.key_allowed = false;
        let mark = self.cursor.mark;
        (0..3).for_each(|_| self.cursor.skip());
        self.push(kind, mark);
        Ok(())
    }

    fn indicator(&mut self, kind: Kind) {
        let mark = self.cursor.mark;
        self.cursor.skip();
        self.push(kind, mark);
    }

    fn flow_start(&mut self, kind: Kind) -> Scanned<()> {
        self.save_key()?;
        self.simple_keys.push(SimpleKey { mark: self.cursor.mark, ..SimpleKey::default() });
        self.flow_level += 1;
        if self.flow_level > MAX_DEPTH {
            return self.fail(self.cursor.mark, &format!("exceeded max depth of {MAX_DEPTH}"));
        }
        self.key_allowed = true;
        self.indicator(kind);
        Ok(())
    }

    fn flow_end(&mut self, kind: Kind) -> Scanned<()> {
        self.remove_key()?;
        if self.flow_level > 0 {
            self.flow_level -= 1;
            // What it was the key of was let go above; a key that never was has the first token's number.
            self.simple_keys.pop();
        }
        self.key_allowed = false;
        self.indicator(kind);
        Ok(())
    }

    fn flow_entry(&mut self) -> Scanned<()> {
        self.remove_key()?;
        self.key_allowed = true;
        self.indicator(Kind::FlowEntry);
        Ok(())
    }

    fn block_entry(&mut self) -> Scanned<()> {
        let mark = self.cursor.mark;
        if self.flow_level == 0 {
            if !self.key_allowed {
                return self.fail(mark, "block sequence entries are not allowed in this context");
            }
            self.roll(mark.column, None, Kind::BlockSequenceStart, mark)?;
        }
        self.remove_key()?;
        self.key_allowed = true;
        self.indicator(Kind::BlockEntry);
        Ok(())
    }

    fn key(&mut self) -> Scanned<()> {
        let mark = self.cursor.mark;
        if self.flow_level == 0 {
            if !self.key_allowed {
                return self.fail(mark, "mapping keys are not allowed in this context");
            }
            self.roll(mark.column, None, Kind::BlockMappingStart, mark)?;
        }
        self.remove_key()?;
        self.key_allowed = self.flow_level == 0;
        self.indicator(Kind::Key);
        Ok(())
    }

    fn value(&mut self) -> Scanned<()> {
        let last = self.simple_keys.len() - 1;
        if self.is_valid(last)? {
            let SimpleKey { token, mark, .. } = self.simple_keys[last];
            self.tokens.insert(token - self.taken, Token { kind: Kind::Key, mark });
            self.roll(mark.column, Some(token), Kind::BlockMappingStart, mark)?;
            self.simple_keys[last].possible = false;
            self.keys_by_token.remove(&token);
            self.key_allowed = false;
        } else {
            let mark = self.cursor.mark;
            if self.flow_level == 0 {
                if !self.key_allowed {
                    return self.fail(mark, "mapping values are not allowed in this context");
                }
                self.roll(mark.column, None, Kind::BlockMappingStart, mark)?;
            }
            self.key_allowed = self.flow_level == 0;
        }
        self.indicator(Kind::Value);
        Ok(())
    }

    /// A token that may be a key, and that no key can follow.
    fn simple(&mut self, scan: impl FnOnce(&mut Self) -> Scanned<Kind>) -> Scanned<()> {
        self.save_key()?;
        self.key_allowed = false;
        let mark = self.cursor.mark;
        let kind = scan(self)?;
        self.push(kind, mark);
        Ok(())
    }

    fn block_scalar(&mut self, literal: bool) -> Scanned<()> {
        self.remove_key()?;
        self.key_allowed = true;
        let mark = self.cursor.mark;
        let text = self.scan_block_scalar(literal)?;
        self.push(Kind::Scalar { text, plain: false }, mark);
        Ok(())
    }
}
