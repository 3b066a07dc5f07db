//! The query string form of label selectors: a lexer, and a parser that looks one token ahead.

use super::SelectorError;
use super::label::{Operator, Requirement};
use crate::names_validation::is_qualified_name;
use crate::status::{FieldErrors, FieldPath};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Error,
    End,
    Close,
    Comma,
    Not,
    DoubleEquals,
    Equals,
    Greater,
    Identifier,
    In,
    Less,
    NotEquals,
    NotIn,
    Open,
}

type Parsed<T> = Result<T, SelectorError>;

/// The requirements in the order written.
pub(super) fn parse(text: &str) -> Parsed<Vec<Requirement>> {
    let mut parser = Parser { items: scan(text), position: 0 };
    let mut requirements = Vec::new();
    loop {
        match parser.peek() {
            (Token::Identifier | Token::Not, _) => {
                let requirement = parser.requirement();
                requirements.push(
                    requirement.map_err(|e| SelectorError(format!("unable to parse requirement: {e}")))?,
                );
                match parser.next() {
                    (Token::End, _) => return Ok(requirements),
                    (Token::Comma, _) => {
                        let (token, literal) = parser.peek();
                        if token != Token::Identifier && token != Token::Not {
                            return unexpected(literal, ", expected: identifier after ','");
                        }
                    }
                    (_, literal) => return unexpected(&literal, ", expected: ',' or 'end of string'"),
                }
            }
            (Token::End, _) => return Ok(requirements),
            (_, literal) => return unexpected(literal, ", expected: !, identifier, or 'end of string'"),
        }
    }
}

fn unexpected<T>(literal: &str, expected: &str) -> Parsed<T> {
    Err(SelectorError(format!("found '{literal}'{expected}")))
}

struct Parser {
    /// Ends with [`Token::End`].
    items: Vec<(Token, String)>,
    position: usize,
}

impl Parser {
    /// The next token where `in` and `notin` are ordinary words.
    fn peek(&self) -> (Token, &str) {
        let (token, literal) = &self.items[self.position.min(self.items.len() - 1)];
        (as_word(*token), literal)
    }

    fn next(&mut self) -> (Token, String) {
        let (token, literal) = self.next_operator();
        (as_word(token), literal)
    }

    /// The next token where `in` and `notin` are operators.
    fn next_operator(&mut self) -> (Token, String) {
        let item = self.items[self.position.min(self.items.len() - 1)].clone();
        self.position += 1;
        item
    }

    fn requirement(&mut self) -> Parsed<Requirement> {
        let (mut token, mut key) = self.next();
        let negated = token == Token::Not;
        if negated {
            (token, key) = self.next();
        }
        if token != Token::Identifier {
            return unexpected(&key, ", expected: identifier");
        }
        validate_key(&key)?;
        if negated {
            return Requirement::new(&key, Operator::DoesNotExist, Vec::new());
        }
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Requirement::new(&key, Operator::Exists, Vec::new());
        }
        let operator = self.operator()?;
        let mut values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => vec![self.exact_value()?],
        };
        values.sort_unstable();
        values.dedup();
        Requirement::new(&key, operator, values)
    }

    fn operator(&mut self) -> Parsed<Operator> {
        let (token, literal) = self.next_operator();
        Ok(match token {
            Token::In => Operator::In,
            Token::NotIn => Operator::NotIn,
            Token::Equals => Operator::Equals,
            Token::DoubleEquals => Operator::DoubleEquals,
            Token::NotEquals => Operator::NotEquals,
            Token::Greater => Operator::GreaterThan,
            Token::Less => Operator::LessThan,
            _ => return unexpected(&literal, ", expected: in, notin, =, ==, !=, gt, lt"),
        })
    }

    /// `(a,b)`; an empty place between commas is the empty value.
    fn values(&mut self) -> Parsed<Vec<String>> {
        let (token, literal) = self.next();
        if token != Token::Open {
            return unexpected(&literal, " expected: '('");
        }
        match self.peek() {
            (Token::Identifier | Token::Comma, _) => {
                let values = self.identifiers()?;
                // The list ends only before a closing parenthesis.
                self.next();
                Ok(values)
            }
            (Token::Close, _) => {
                self.next();
                Ok(vec![String::new()])
            }
            (_, literal) => unexpected(literal, ", expected: ',', ')' or identifier"),
        }
    }

    fn identifiers(&mut self) -> Parsed<Vec<String>> {
        let mut values = Vec::new();
        loop {
            match self.next() {
                (Token::Identifier, literal) => {
                    values.push(literal);
                    match self.peek() {
                        (Token::Comma, _) => {}
                        (Token::Close, _) => return Ok(values),
                        (_, literal) => return unexpected(literal, ", expected: ',' or ')'"),
                    }
                }
                (Token::Comma, _) => {
                    if values.is_empty() {
                        values.push(String::new());
                    }
                    match self.peek().0 {
                        Token::Close => {
                            values.push(String::new());
                            return Ok(values);
                        }
                        Token::Comma => values.push(String::new()),
                        _ => {}
                    }
                }
                (_, literal) => return unexpected(&literal, ", expected: ',', or identifier"),
            }
        }
    }

    fn exact_value(&mut self) -> Parsed<String> {
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Ok(String::new());
        }
        match self.next() {
            (Token::Identifier, literal) => Ok(literal),
            (_, literal) => unexpected(&literal, ", expected: identifier"),
        }
    }
}

/// A malformed key is reported without a field's name, which Go shows as `<nil>`.
fn validate_key(key: &str) -> Parsed<()> {
    let wrong = is_qualified_name(key);
    if wrong.is_empty() {
        return Ok(());
    }
    let mut errors = FieldErrors::new();
    errors.invalid(&FieldPath::root(), key, wrong.join("; "));
    Err(SelectorError(errors.aggregate().unwrap_or_default()))
}

fn as_word(token: Token) -> Token {
    if matches!(token, Token::In | Token::NotIn) { Token::Identifier } else { token }
}

fn scan(text: &str) -> Vec<(Token, String)> {
    let mut items = Vec::new();
    // As in Go, a NUL ends the text.
    let mut rest = text.split('\0').next().unwrap_or("");
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let Some(first) = rest.chars().next() else { break };
        let (token, literal, used) = if is_special(first) { scan_symbol(rest) } else { scan_word(rest) };
        items.push((token, literal));
        rest = &rest[used..];
    }
    items.push((Token::End, String::new()));
    items
}

fn is_special(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

fn scan_word(text: &str) -> (Token, String, usize) {
    let end =
        text.find(|c: char| is_special(c) || matches!(c, ' ' | '\t' | '\r' | '\n')).unwrap_or(text.len());
    let word = &text[..end];
    let token = match word {
        "in" => Token::In,
        "notin" => Token::NotIn,
        _ => Token::Identifier,
    };
    (token, word.to_owned(), end)
}

/// The longest symbol that is one.
fn scan_symbol(text: &str) -> (Token, String, usize) {
    let run = text.find(|c| !is_special(c)).unwrap_or(text.len());
    let mut found = None;
    for end in 1..=run {
        match symbol(&text[..end]) {
            Some(token) => found = Some((token, text[..end].to_owned(), end)),
            None if found.is_some() => break,
            None => {}
        }
    }
    let error = || (Token::Error, format!("error expected: keyword found '{}'", &text[..run]), run);
    found.unwrap_or_else(error)
}

fn symbol(text: &str) -> Option<Token> {
    Some(match text {
        ")" => Token::Close,
        "," => Token::Comma,
        "!" => Token::Not,
        "==" => Token::DoubleEquals,
        "=" => Token::Equals,
        ">" => Token::Greater,
        "<" => Token::Less,
        "!=" => Token::NotEquals,
        "(" => Token::Open,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::selector::Selector;

    fn check(text: &str, expect: &str) {
        let got = match Selector::parse(text) {
            Ok(selector) => selector.to_string(),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(got, expect, "{text}");
    }

    #[test]
    fn selectors_parse_and_print() {
        check("", "");
        check("b=2, a==1", "a==1,b=2");
        check("x in (foo,,baz),y,z notin ()", "x in (,baz,foo),y,z notin ()");
        check("!x,in in (in,notin)", "in in (in,notin),!x");
        check("a=,b!=", "a=,b!=");
        check("a>1,b<2", "a>1,b<2");
        check("x in (b,a,b)", "x in (a,b)");
    }

    #[test]
    fn what_does_not_parse_is_explained_as_upstream_does() {
        check("app===x", "error: unable to parse requirement: found '=', expected: identifier");
        check("app in web", "error: unable to parse requirement: found 'web' expected: '('");
        check("app in (web", "error: unable to parse requirement: found '', expected: ',' or ')'");
        check(
            "app frob (web)",
            "error: unable to parse requirement: found 'frob', expected: in, notin, =, ==, !=, gt, lt",
        );
        check("app=not ok", "error: found 'ok', expected: ',' or 'end of string'");
        check(",app", "error: found ',', expected: !, identifier, or 'end of string'");
        check("a,", "error: found '', expected: identifier after ','");
        check(
            "a>xyz",
            "error: unable to parse requirement: values[0]: Invalid value: \"xyz\": for 'Gt', 'Lt' operators, the \
             value must be an integer",
        );
        check(
            "-app=x",
            "error: unable to parse requirement: <nil>: Invalid value: \"-app\": name part must consist of \
             alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. \
             'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
             '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        );
    }
}
