//! From words and operators to a tree.

use super::lexer::{Token, plain, unexpected};
use super::{Command, DEEPEST, List, Part, Pipeline, Redirection, When, Word};

/// # Errors
/// What `sh` says of what makes no sense.
pub(super) fn parse(mut tokens: Vec<Token>) -> Result<List, String> {
    tokens.reverse();
    let mut parser = Parser { tokens, depth: 0 };
    let list = parser.list(&[])?;
    match parser.tokens.last() {
        None => Ok(list),
        Some(token) => Err(unexpected(Some(token))),
    }
}

struct Parser {
    /// The next one is last.
    tokens: Vec<Token>,
    depth: usize,
}

impl Parser {
    fn peek_operator(&self) -> &'static str {
        match self.tokens.last() {
            Some(Token::Operator(text)) => text,
            _ => "",
        }
    }

    /// The reserved word that comes next.
    fn peek_word(&self) -> &str {
        match self.tokens.last() {
            Some(Token::Word(word)) => plain(word).unwrap_or(""),
            _ => "",
        }
    }

    fn skip(&mut self, operators: &[&str]) {
        while operators.contains(&self.peek_operator()) {
            self.tokens.pop();
        }
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        if self.peek_word() == word {
            self.tokens.pop();
            return Ok(());
        }
        Err(unexpected(self.tokens.last()))
    }

    /// Pipelines up to one of the reserved words, a closing bracket or the end.
    fn list(&mut self, ends: &[&str]) -> Result<List, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("syntax error: nested too deep".to_owned());
        }
        let mut list = List::new();
        let mut when = When::Always;
        self.skip(&["\n", ";"]);
        while !self.tokens.is_empty() && self.peek_operator() != ")" && !ends.contains(&self.peek_word()) {
            list.push(self.pipeline(when)?);
            when = match self.peek_operator() {
                "&&" => When::Succeeded,
                "||" => When::Failed,
                ";" | "\n" | "&" => When::Always,
                _ => break,
            };
            self.tokens.pop();
            self.skip(if when == When::Always { &["\n", ";"] } else { &["\n"] });
            if when != When::Always && self.tokens.is_empty() {
                return Err(unexpected(None));
            }
        }
        self.depth -= 1;
        Ok(list)
    }

    fn pipeline(&mut self, when: When) -> Result<Pipeline, String> {
        let negated = self.peek_word() == "!";
        if negated {
            self.tokens.pop();
        }
        let mut commands = vec![self.command()?];
        while self.peek_operator() == "|" {
            self.tokens.pop();
            self.skip(&["\n"]);
            commands.push(self.command()?);
        }
        Ok(Pipeline { when, negated, commands })
    }

    fn command(&mut self) -> Result<Command, String> {
        if self.peek_operator() == "(" {
            self.tokens.pop();
            let list = self.list(&[])?;
            if self.peek_operator() != ")" {
                return Err(unexpected(self.tokens.last()));
            }
            self.tokens.pop();
            return Ok(Command::Group { list, subshell: true, redirections: self.redirections()? });
        }
        match self.peek_word() {
            "{" => {
                self.tokens.pop();
                let list = self.list(&["}"])?;
                self.expect("}")?;
                Ok(Command::Group { list, subshell: false, redirections: self.redirections()? })
            }
            "if" => self.conditional(),
            "while" => self.repeated(false),
            "until" => self.repeated(true),
            "for" => self.for_each(),
            _ => self.simple(),
        }
    }

    fn conditional(&mut self) -> Result<Command, String> {
        let mut branches = Vec::new();
        let mut otherwise = None;
        self.expect("if")?;
        loop {
            let condition = self.list(&["then"])?;
            self.expect("then")?;
            branches.push((condition, self.list(&["elif", "else", "fi"])?));
            match self.peek_word() {
                "elif" => drop(self.tokens.pop()),
                "else" => {
                    self.tokens.pop();
                    otherwise = Some(self.list(&["fi"])?);
                    break;
                }
                _ => break,
            }
        }
        self.expect("fi")?;
        Ok(Command::If { branches, otherwise })
    }

    fn repeated(&mut self, until: bool) -> Result<Command, String> {
        self.tokens.pop();
        let condition = self.list(&["do"])?;
        Ok(Command::While { condition, body: self.body()?, until })
    }

    fn for_each(&mut self) -> Result<Command, String> {
        self.tokens.pop();
        let name = self.peek_word().to_owned();
        self.tokens.pop();
        self.expect("in")?;
        let mut words = Vec::new();
        while let Some(Token::Word(_)) = self.tokens.last() {
            if let Some(Token::Word(word)) = self.tokens.pop() {
                words.push(word);
            }
        }
        self.skip(&["\n", ";"]);
        Ok(Command::For { name, words, body: self.body()? })
    }

    fn body(&mut self) -> Result<List, String> {
        self.expect("do")?;
        let body = self.list(&["done"])?;
        self.expect("done")?;
        Ok(body)
    }

    fn simple(&mut self) -> Result<Command, String> {
        let (mut assignments, mut words, mut redirections) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            match self.tokens.last() {
                Some(Token::Word(word)) => {
                    let assignment = words.is_empty().then(|| assignment(word)).flatten();
                    match assignment {
                        Some(found) => assignments.push(found),
                        None => words.push(word.clone()),
                    }
                    self.tokens.pop();
                }
                Some(Token::Redirect(..)) => redirections.push(self.redirection()?),
                _ => break,
            }
        }
        if assignments.is_empty() && words.is_empty() && redirections.is_empty() {
            return Err(unexpected(self.tokens.last()));
        }
        Ok(Command::Simple { assignments, words, redirections })
    }

    fn redirections(&mut self) -> Result<Vec<Redirection>, String> {
        let mut all = Vec::new();
        while let Some(Token::Redirect(..)) = self.tokens.last() {
            all.push(self.redirection()?);
        }
        Ok(all)
    }

    fn redirection(&mut self) -> Result<Redirection, String> {
        let Some(Token::Redirect(fd, sign)) = self.tokens.pop() else { return Err(unexpected(None)) };
        let Some(Token::Word(path)) = self.tokens.pop() else { return Err(unexpected(self.tokens.last())) };
        Ok(match sign {
            "<" => Redirection::From(path),
            ">&" => {
                let of = plain(&path).and_then(|text| text.parse().ok());
                let of = of.ok_or_else(|| "syntax error: bad fd number".to_owned())?;
                Redirection::Copy { fd: fd.unwrap_or(1), of }
            }
            sign => Redirection::To { fd: fd.unwrap_or(1), append: sign == ">>", path },
        })
    }
}

/// `NAME=WORD`
fn assignment(word: &Word) -> Option<(String, Word)> {
    let Some(Part::Text { text, quoted: false }) = word.first() else { return None };
    let (name, value) = text.split_once('=')?;
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !is_name {
        return None;
    }
    let mut rest = vec![Part::Text { text: value.to_owned(), quoted: false }];
    rest.extend_from_slice(&word[1..]);
    Some((name.to_owned(), rest))
}
