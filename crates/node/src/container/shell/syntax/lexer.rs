//! From text to words and operators.

use std::iter::Peekable;
use std::str::CharIndices;

use super::{DEEPEST, Part, Word};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Word(Word),
    Operator(&'static str),
    /// `>`, `>>` or `<`, with the descriptor that stood before it.
    Redirect(Option<u8>, &'static str),
}

pub(super) fn unexpected(token: Option<&Token>) -> String {
    let shown = match token {
        None => return "syntax error: unexpected end of file".to_owned(),
        Some(Token::Operator(text) | Token::Redirect(_, text)) if *text == "\n" => "newline",
        Some(Token::Operator(text) | Token::Redirect(_, text)) => text,
        Some(Token::Word(word)) => {
            return format!("syntax error: unexpected {:?}", plain(word).unwrap_or("word"));
        }
    };
    format!("syntax error: unexpected {shown:?}")
}

/// The text of a word that is nothing else, and not quoted.
pub(super) fn plain(word: &Word) -> Option<&str> {
    match word.as_slice() {
        [Part::Text { text, quoted: false }] => Some(text),
        _ => None,
    }
}

/// # Errors
/// What `sh` says of quotes and brackets that do not end.
pub(super) fn tokens(script: &str) -> Result<Vec<Token>, String> {
    Lexer::new(script, 0)?.tokens()
}

struct Lexer<'a> {
    chars: Peekable<CharIndices<'a>>,
    script: &'a str,
    /// In how many words this text stands.
    depth: usize,
}

impl<'a> Lexer<'a> {
    fn new(script: &'a str, depth: usize) -> Result<Self, String> {
        if depth > DEEPEST {
            return Err("syntax error: nested too deep".to_owned());
        }
        Ok(Self { chars: script.char_indices().peekable(), script, depth })
    }

    fn tokens(mut self) -> Result<Vec<Token>, String> {
        let mut tokens = Vec::new();
        while let Some(&(_, c)) = self.chars.peek() {
            match c {
                ' ' | '\t' | '\r' => drop(self.chars.next()),
                '#' => while self.chars.next_if(|(_, c)| *c != '\n').is_some() {},
                '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>' => tokens.push(self.operator(None)?),
                _ => {
                    let word = self.word()?;
                    let fd = plain(&word).and_then(|text| text.parse().ok());
                    let redirects = matches!(self.chars.peek(), Some((_, '<' | '>')));
                    tokens.push(match fd {
                        Some(fd) if redirects => self.operator(Some(fd))?,
                        _ => Token::Word(word),
                    });
                }
            }
        }
        Ok(tokens)
    }

    fn next_is(&mut self, wanted: char) -> bool {
        self.chars.next_if(|(_, c)| *c == wanted).is_some()
    }

    fn operator(&mut self, fd: Option<u8>) -> Result<Token, String> {
        let (_, c) = self.chars.next().ok_or_else(|| unexpected(None))?;
        Ok(match c {
            '\n' => Token::Operator("\n"),
            '(' => Token::Operator("("),
            ')' => Token::Operator(")"),
            ';' if self.next_is(';') => Token::Operator(";;"),
            ';' => Token::Operator(";"),
            '&' if self.next_is('&') => Token::Operator("&&"),
            '&' => Token::Operator("&"),
            '|' if self.next_is('|') => Token::Operator("||"),
            '|' => Token::Operator("|"),
            '<' if self.next_is('<') => {
                return Err("syntax error: here documents are not known here".to_owned());
            }
            '<' => Token::Redirect(fd, "<"),
            _ if self.next_is('>') => Token::Redirect(fd, ">>"),
            _ if self.next_is('&') => Token::Redirect(fd, ">&"),
            _ => Token::Redirect(fd, ">"),
        })
    }

    fn word(&mut self) -> Result<Word, String> {
        let mut word = Word::new();
        while let Some(&(_, c)) = self.chars.peek() {
            match c {
                ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>' => break,
                '\'' => {
                    self.chars.next();
                    let mut text = String::new();
                    loop {
                        match self.chars.next() {
                            Some((_, '\'')) => break,
                            Some((_, c)) => text.push(c),
                            None => return Err("syntax error: unterminated quoted string".to_owned()),
                        }
                    }
                    word.push(Part::Text { text, quoted: true });
                }
                '"' => {
                    self.chars.next();
                    self.double_quoted(&mut word)?;
                }
                '\\' => {
                    self.chars.next();
                    if let Some((_, c)) = self.chars.next().filter(|(_, c)| *c != '\n') {
                        word.push(Part::Text { text: c.to_string(), quoted: true });
                    }
                }
                '$' => {
                    self.chars.next();
                    word.push(self.dollar(false)?);
                }
                c => {
                    self.chars.next();
                    push_text(&mut word, c, false);
                }
            }
        }
        Ok(word)
    }

    fn double_quoted(&mut self, word: &mut Word) -> Result<(), String> {
        // Also an empty string is a word.
        word.push(Part::Text { text: String::new(), quoted: true });
        loop {
            match self.chars.next() {
                None => return Err("syntax error: unterminated quoted string".to_owned()),
                Some((_, '"')) => return Ok(()),
                Some((_, '$')) => word.push(self.dollar(true)?),
                Some((_, '\\')) => match self.chars.next() {
                    Some((_, c @ ('"' | '\\' | '$' | '`'))) => push_text(word, c, true),
                    Some((_, '\n')) | None => {}
                    Some((_, c)) => {
                        push_text(word, '\\', true);
                        push_text(word, c, true);
                    }
                },
                Some((_, c)) => push_text(word, c, true),
            }
        }
    }

    /// What follows a dollar.
    fn dollar(&mut self, quoted: bool) -> Result<Part, String> {
        let variable = |name: String, otherwise| Part::Variable { name, quoted, otherwise };
        let Some(&(at, c)) = self.chars.peek() else {
            return Ok(Part::Text { text: "$".to_owned(), quoted });
        };
        if self.script[at..].starts_with("((") {
            let inner = self.enclosed('(', ')')?;
            let inner = inner.strip_prefix('(').and_then(|inner| inner.strip_suffix(')'));
            return Ok(Part::Number(inner.unwrap_or_default().to_owned()));
        }
        match c {
            '(' => Ok(Part::Output { script: self.enclosed('(', ')')?, quoted }),
            '{' => {
                let inner = self.enclosed('{', '}')?;
                let end = inner.find([':', '-', '+', '=']).unwrap_or(inner.len());
                let (name, rest) = inner.split_at(end);
                if rest.is_empty() {
                    return Ok(variable(name.to_owned(), None));
                }
                let sign = rest.len() - rest.trim_start_matches([':', '-', '+', '=']).len();
                let (sign, rest) = rest.split_at(sign.min(2));
                let mut lexer = Lexer::new(rest, self.depth + 1)?;
                let mut word = Word::new();
                while let Some(&(_, c)) = lexer.chars.peek() {
                    if c.is_whitespace() || ";&|()<>".contains(c) {
                        lexer.chars.next();
                        push_text(&mut word, c, quoted);
                    } else {
                        word.extend(lexer.word()?);
                    }
                }
                Ok(variable(name.to_owned(), Some((sign.to_owned(), word))))
            }
            '?' | '$' | '#' | '@' | '*' | '0'..='9' => {
                self.chars.next();
                Ok(variable(c.to_string(), None))
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                let mut name = String::new();
                while let Some((_, c)) = self.chars.next_if(|(_, c)| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                Ok(variable(name, None))
            }
            _ => Ok(Part::Text { text: "$".to_owned(), quoted }),
        }
    }

    /// What stands between brackets, which may be nested and quoted.
    fn enclosed(&mut self, open: char, close: char) -> Result<String, String> {
        let mut depth = 0;
        let mut quote = None;
        let mut out = String::new();
        for (_, c) in self.chars.by_ref() {
            match (quote, c) {
                (None, '\'' | '"') => quote = Some(c),
                (Some(opened), c) if opened == c => quote = None,
                (None, c) if c == open => {
                    depth += 1;
                    if depth == 1 {
                        continue;
                    }
                }
                (None, c) if c == close => {
                    depth -= 1;
                    if depth == 0 {
                        return Ok(out);
                    }
                }
                _ => {}
            }
            out.push(c);
        }
        Err(format!("syntax error: missing {close:?}"))
    }
}

fn push_text(word: &mut Word, c: char, quote: bool) {
    match word.last_mut() {
        Some(Part::Text { text, quoted }) if *quoted == quote => text.push(c),
        _ => word.push(Part::Text { text: c.to_string(), quoted: quote }),
    }
}
