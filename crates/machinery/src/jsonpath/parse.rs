//! From text to steps: client-go's scanner, one action at a time.

use super::{JsonPathError, Slice, Step};
use crate::value::Value;

type Parsed<T> = Result<T, JsonPathError>;

fn error<T>(text: impl Into<String>) -> Parsed<T> {
    Err(JsonPathError(text.into()))
}

pub(super) fn parse(text: &str) -> Parsed<Vec<Step>> {
    let mut parser = Parser { rest: text, steps: Vec::new() };
    while !parser.rest.is_empty() {
        parser.action()?;
    }
    Ok(parser.steps)
}

struct Parser<'a> {
    rest: &'a str,
    steps: Vec<Step>,
}

impl<'a> Parser<'a> {
    fn action(&mut self) -> Parsed<()> {
        if let Some(rest) = self.rest.strip_prefix("[?(") {
            self.rest = rest;
            return self.filter();
        }
        if let Some(rest) = self.rest.strip_prefix("..") {
            self.rest = rest;
            return self.recursive();
        }
        let Some(first) = self.rest.chars().next() else { return Ok(()) };
        match first {
            '\r' | '\n' => error("unclosed action"),
            ' ' | '@' | '$' => {
                self.skip(first);
                Ok(())
            }
            '[' => {
                self.skip(first);
                self.array()
            }
            '"' | '\'' => self.quote(first),
            '.' => {
                self.skip(first);
                self.field();
                Ok(())
            }
            '+' | '-' | '0'..='9' => self.number(),
            c if c == '_' || c.is_alphabetic() => {
                self.word();
                Ok(())
            }
            other => error(format!("unrecognized character in action: U+{:04X} '{other}'", u32::from(other))),
        }
    }

    fn skip(&mut self, c: char) {
        self.rest = &self.rest[c.len_utf8()..];
    }

    fn take(&mut self, end: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn recursive(&mut self) -> Parsed<()> {
        if self.steps.last() == Some(&Step::Recursive) {
            return error("invalid multiple recursive descent");
        }
        self.steps.push(Step::Recursive);
        if self.rest.starts_with(|c: char| c == '_' || c.is_alphanumeric()) {
            self.field();
        }
        Ok(())
    }

    /// A field's name; a backslash takes the next character as it is.
    fn field(&mut self) {
        let mut name = String::new();
        let mut end = self.rest.len();
        let mut chars = self.rest.char_indices();
        while let Some((i, c)) = chars.next() {
            match c {
                '\\' => name.extend(chars.next().map(|(_, c)| c)),
                c if is_terminator(c) => {
                    end = i;
                    break;
                }
                c => name.push(c),
            }
        }
        let raw = self.take(end);
        self.steps.push(if raw == "*" { Step::Wildcard } else { Step::Field(name) });
    }

    fn word(&mut self) {
        let end = self.rest.find(is_terminator).unwrap_or(self.rest.len());
        match self.take(end) {
            "true" => self.steps.push(Step::Literal(Value::Bool(true))),
            "false" => self.steps.push(Step::Literal(Value::Bool(false))),
            other => self.steps.push(Step::Identifier(other.to_owned())),
        }
    }

    fn number(&mut self) -> Parsed<()> {
        let sign = usize::from(self.rest.starts_with(['+', '-']));
        let digits = self.rest[sign..].find(|c: char| c != '.' && !c.is_ascii_digit());
        let text = self.take(digits.map_or(self.rest.len(), |digits| digits + sign));
        let value = match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(i), _) => Value::Int(i),
            (_, Ok(f)) => Value::Float(f),
            _ => return error(format!("cannot parse number {text}")),
        };
        self.steps.push(Step::Literal(value));
        Ok(())
    }

    fn quote(&mut self, quote: char) -> Parsed<()> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((i, c)) = chars.next() {
            match c {
                '\n' => break,
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, c)) => text.push(c),
                    None => break,
                },
                c if c == quote => {
                    self.rest = &self.rest[i + 1..];
                    self.steps.push(Step::Literal(Value::from(text)));
                    return Ok(());
                }
                c => text.push(c),
            }
        }
        error("unterminated quoted string")
    }

    /// What is between brackets: an index, a slice, a quoted key, or several of them.
    fn array(&mut self) -> Parsed<()> {
        let Some(end) = self.rest.find([']', '\n']).filter(|end| self.rest[*end..].starts_with(']')) else {
            return error("unterminated array");
        };
        let text = self.take(end);
        self.rest = &self.rest[1..];
        let text = if text == "*" { ":" } else { text };
        if text.contains(',') {
            let branches: Parsed<Vec<Vec<Step>>> =
                text.split(',').map(|branch| parse(&format!("[{}]", branch.trim_matches(' ')))).collect();
            self.steps.push(Step::Union(branches?));
            return Ok(());
        }
        let quoted = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
        if let Some(key) = quoted.filter(|key| !key.contains('\'')) {
            self.steps.push(Step::Field(key.replace('\\', "")));
            return Ok(());
        }
        self.steps.push(Step::Slice(slice(text)?));
        Ok(())
    }

    fn filter(&mut self) -> Parsed<()> {
        let text = self.filter_text()?;
        let Some(start) = text.find(['!', '<', '>', '=']).filter(|start| *start > 0) else {
            self.steps.push(Step::Filter {
                left: parse(text)?,
                operator: "exists".to_owned(),
                right: Vec::new(),
            });
            return Ok(());
        };
        let end = text[start..].find(|c| !"!<>=".contains(c)).map_or(text.len(), |length| start + length);
        let (left, operator, right) = (&text[..start], &text[start..end], &text[end..]);
        let (left, right) = (parse(left)?, parse(right)?);
        self.steps.push(Step::Filter { left, operator: operator.to_owned(), right });
        Ok(())
    }

    /// Up to the `)]` that closes the filter; one that is in quotes does not.
    fn filter_text(&mut self) -> Parsed<&'a str> {
        let mut quote = None;
        let mut last = ' ';
        for (i, c) in self.rest.char_indices() {
            match (c, quote) {
                ('\n', _) => break,
                ('"' | '\'', None) => quote = Some(c),
                (c, Some(open)) if c == open && last != '\\' => quote = None,
                (')', None) => {
                    let text = &self.rest[..i];
                    let Some(rest) = self.rest[i + 1..].strip_prefix(']') else {
                        return error("unclosed array expect ]");
                    };
                    self.rest = rest;
                    return Ok(text);
                }
                _ => {}
            }
            last = c;
        }
        error("unterminated filter")
    }
}

fn slice(text: &str) -> Parsed<Slice> {
    let invalid = || JsonPathError(format!("invalid array index {text}"));
    let parts: Vec<&str> = text.split(':').collect();
    let number = |i: usize| -> Parsed<Option<i64>> {
        match parts.get(i) {
            None | Some(&"") => Ok(None),
            Some(part) => part.parse().map(Some).map_err(|_| invalid()),
        }
    };
    let (start, end, step) = (number(0)?, number(1)?, number(2)?);
    match parts.len() {
        1 => {
            let end = Some(start.unwrap_or(0).wrapping_add(1));
            Ok(Slice { start, end, step: None, single: true })
        }
        2 | 3 => Ok(Slice { start, end, step, single: false }),
        _ => Err(invalid()),
    }
}

fn is_terminator(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}')
}
