//! A tree as something to decode from.

use std::borrow::Cow;

use super::reader::{Number, Reader, Text, Token};
use crate::status::literal_text;
use crate::value::{Key, Value};

pub(super) struct TreeReader<'a> {
    /// What [`Reader::token`] is to answer.
    next: Option<&'a Value>,
    open: Vec<Open<'a>>,
}

/// An array or object that was entered.
enum Open<'a> {
    Array(std::slice::Iter<'a, Value>),
    Object(Box<dyn Iterator<Item = (&'a Key, &'a Value)> + 'a>),
}

impl<'a> TreeReader<'a> {
    pub(super) fn new(root: &'a Value) -> Self {
        Self { next: Some(root), open: Vec::new() }
    }
}

impl<'a> Reader<'a> for TreeReader<'a> {
    fn token(&mut self) -> Token<'a> {
        match self.next.take() {
            None | Some(Value::Null) => Token::Null,
            Some(Value::Bool(b)) => Token::Bool(*b),
            Some(Value::Int(i)) => Token::Number(Number::Int(*i)),
            Some(Value::Float(f)) => Token::Number(Number::Float(*f)),
            Some(Value::String(text)) => Token::String(Text::Shared(text)),
            Some(Value::Array(items)) => {
                self.open.push(Open::Array(items.iter()));
                Token::Array
            }
            Some(object @ Value::Object(map)) => {
                if map.len() == 1
                    && let Some(text) = literal_text(object)
                {
                    return Token::Number(Number::Literal(text));
                }
                self.open.push(Open::Object(Box::new(map.iter())));
                Token::Object
            }
        }
    }

    fn key(&mut self) -> Option<Text<'a>> {
        let next = match self.open.last_mut() {
            Some(Open::Object(fields)) => fields.next(),
            _ => None,
        };
        let Some((key, value)) = next else {
            self.open.pop();
            return None;
        };
        self.next = Some(value);
        Some(Text::Shared(key))
    }

    fn element(&mut self) -> bool {
        self.next = match self.open.last_mut() {
            Some(Open::Array(items)) => items.next(),
            _ => None,
        };
        if self.next.is_none() {
            self.open.pop();
        }
        self.next.is_some()
    }

    fn skip(&mut self) {
        self.next = None;
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Text::Plain(Cow::Borrowed(text))
    }
}
