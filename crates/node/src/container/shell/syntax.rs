//! The language of `sh`: from text to a tree. Functions, `case`, here documents and jobs are left out.

use std::iter::Peekable;
use std::str::CharIndices;

/// How deep commands may be nested.
const DEEPEST: usize = 32;

/// A piece of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Text {
        text: String,
        quoted: bool,
    },
    /// `$NAME`, or `${NAME:-WORD}` with what stands between name and word.
    Variable {
        name: String,
        quoted: bool,
        otherwise: Option<(String, Word)>,
    },
    /// `$(SCRIPT)`
    Output {
        script: String,
        quoted: bool,
    },
    /// `$((EXPRESSION))`
    Number(String),
}

pub(crate) type Word = Vec<Part>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Redirection {
    From(Word),
    To {
        fd: u8,
        append: bool,
        path: Word,
    },
    /// `2>&1`
    Copy {
        fd: u8,
        of: u8,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Simple { assignments: Vec<(String, Word)>, words: Vec<Word>, redirections: Vec<Redirection> },
    Group { list: List, subshell: bool, redirections: Vec<Redirection> },
    If { branches: Vec<(List, List)>, otherwise: Option<List> },
    While { condition: List, body: List, until: bool },
    For { name: String, words: Vec<Word>, body: List },
}

/// When a pipeline runs, by how the one before it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Always,
    Succeeded,
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pipeline {
    pub(crate) when: When,
    pub(crate) negated: bool,
    pub(crate) commands: Vec<Command>,
}

pub(crate) type List = Vec<Pipeline>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(Word),
    Operator(&'static str),
    /// `>`, `>>` or `<`, with the descriptor that stood before it.
    Redirect(Option<u8>, &'static str),
}

/// # Errors
/// What `sh` says of a script that makes no sense.
pub(crate) fn parse(script: &str) -> Result<List, String> {
    parse_nested(script, 0)
}

fn parse_nested(script: &str, depth: usize) -> Result<List, String> {
    let mut tokens = Lexer { chars: script.char_indices().peekable(), script }.tokens()?;
    tokens.reverse();
    let mut parser = Parser { tokens, depth };
    let list = parser.list(&[])?;
    match parser.tokens.last() {
        None => Ok(list),
        Some(token) => Err(unexpected(Some(token))),
    }
}

fn unexpected(token: Option<&Token>) -> String {
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
fn plain(word: &Word) -> Option<&str> {
    match word.as_slice() {
        [Part::Text { text, quoted: false }] => Some(text),
        _ => None,
    }
}

struct Lexer<'a> {
    chars: Peekable<CharIndices<'a>>,
    script: &'a str,
}

impl Lexer<'_> {
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
                let mut lexer = Lexer { chars: rest.char_indices().peekable(), script: rest };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_that_make_no_sense_are_refused_as_sh_does() {
        let check = |script: &str, message: &str| assert_eq!(parse(script).unwrap_err(), message, "{script}");
        check("echo 'a", "syntax error: unterminated quoted string");
        check("echo a &&", "syntax error: unexpected end of file");
        check("| cat", "syntax error: unexpected \"|\"");
        check("if true; then echo", "syntax error: unexpected end of file");
        check("echo $(ls", "syntax error: missing ')'");
        check("echo a )", "syntax error: unexpected \")\"");
        check(&"(".repeat(100), "syntax error: nested too deep");
    }

    #[test]
    fn lists_pipelines_and_redirections() {
        let list = parse("A=1 echo x >f 2>&1 && ! cat <f | wc -l; (ls)").unwrap();
        assert_eq!(list.len(), 3);
        assert_eq!((list[1].when, list[1].negated, list[1].commands.len()), (When::Succeeded, true, 2));
        let Command::Simple { assignments, words, redirections } = &list[0].commands[0] else { panic!() };
        assert_eq!((assignments.len(), words.len()), (1, 2));
        assert_eq!(redirections[1], Redirection::Copy { fd: 2, of: 1 });
        assert!(matches!(list[2].commands[0], Command::Group { subshell: true, .. }));
    }
}
