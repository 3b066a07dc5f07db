//! The grammar, apart from what has a module of its own. The pattern is walked once; a mistake ends the walk, so the
//! first one is what Go answers.

use super::cursor::Cursor;
use super::error::{Mistake, SyntaxError};
use super::groups::{self, Opening};
use super::tree::{Node, Times};
use super::{class, escape, unicode, write};

/// How often something may be repeated.
const MAX_REPEAT: u32 = 1000;

/// What a pattern says.
///
/// # Errors
/// What Go would answer.
pub(super) fn parse(pattern: &str) -> Result<Node, SyntaxError> {
    let mut parser = Parser {
        cursor: Cursor::new(pattern),
        flags: Flags::default(),
        whole: Group::default(),
        groups: Vec::new(),
        last_repetition: None,
    };
    while !parser.cursor.is_at_end() {
        parser.step()?;
    }
    parser.finish()
}

/// What Perl's flags say from here to the end of the group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags {
    /// `i`: in any case.
    pub(super) folded: bool,
    /// `m`: `^` and `$` are lines' ends.
    pub(super) lines: bool,
    /// `s`: a dot is any character, line feeds included.
    pub(super) dot_is_any: bool,
    /// `U`: repetitions are lazy where they would be greedy, and the other way round.
    pub(super) lazy: bool,
}

/// A group that is open, or the whole pattern.
#[derive(Default)]
struct Group {
    captures: bool,
    /// The flags to return to.
    before: Flags,
    branches: Vec<Node>,
    /// The branch that is being read.
    sequence: Vec<Node>,
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    flags: Flags,
    whole: Group,
    /// From the outermost to the innermost.
    groups: Vec<Group>,
    /// Where the repetition operator stands that was just read.
    last_repetition: Option<Cursor<'a>>,
}

impl<'a> Parser<'a> {
    fn step(&mut self) -> Result<(), SyntaxError> {
        let start = self.cursor;
        let Some(c) = self.cursor.next() else { return Ok(()) };
        let last = self.last_repetition.take();
        match c {
            '(' => self.open(start)?,
            '|' => self.end_branch()?,
            ')' => self.close()?,
            '^' => self.push(Node::place(if self.flags.lines { "(?m:^)" } else { r"\A" })),
            '$' => self.push(Node::place(if self.flags.lines { "(?m:$)" } else { r"\z" })),
            '.' => self.push(Node::set(if self.flags.dot_is_any { "(?s:.)" } else { "." }.to_owned())),
            '[' => {
                let class = class::bracketed(&mut self.cursor, start, self.flags.folded)?;
                self.push(class);
            }
            '*' => self.repeat(Times::Star, start, last)?,
            '+' => self.repeat(Times::Plus, start, last)?,
            '?' => self.repeat(Times::Optional, start, last)?,
            '{' => match counts(&mut self.cursor) {
                Some(counts) => {
                    let times =
                        counts.times().ok_or_else(|| self.cursor.mistake(Mistake::RepeatCount, start))?;
                    self.repeat(times, start, last)?;
                }
                None => self.literal('{'),
            },
            '\\' => self.escape(start)?,
            c => self.literal(c),
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Node, SyntaxError> {
        let is_open = !self.groups.is_empty();
        let tree = self.end_group()?;
        if is_open { Err(self.cursor.mistake_in_whole(Mistake::MissingParen)) } else { Ok(tree) }
    }

    fn group(&mut self) -> &mut Group {
        self.groups.last_mut().unwrap_or(&mut self.whole)
    }

    fn push(&mut self, node: Node) {
        self.group().sequence.push(node);
    }

    /// A character that stands for itself. Half of a surrogate pair is in no text.
    fn code_point(&mut self, code: u32) {
        match char::from_u32(code) {
            Some(c) => self.literal(c),
            None => self.push(Node::set(write::bracketed("", false))),
        }
    }

    fn literal(&mut self, c: char) {
        let folded = self.flags.folded;
        self.push(Node::literal(c, folded));
    }

    /// What follows an opening parenthesis.
    fn open(&mut self, start: Cursor<'a>) -> Result<(), SyntaxError> {
        let before = self.flags;
        let captures = match groups::opening(&mut self.cursor, start, before)? {
            Opening::Capture => true,
            Opening::Group(flags) => {
                self.flags = flags;
                false
            }
            Opening::Flags(flags) => {
                self.flags = flags;
                return Ok(());
            }
        };
        self.groups.push(Group { captures, before, ..Group::default() });
        Ok(())
    }

    fn close(&mut self) -> Result<(), SyntaxError> {
        let inner = self.end_group()?;
        let Some(group) = self.groups.pop() else {
            return Err(self.cursor.mistake_in_whole(Mistake::UnexpectedParen));
        };
        self.flags = group.before;
        let node = if group.captures { Node::capture(inner) } else { Node::group(inner) };
        let node = self.within_limits(node)?;
        self.push(node);
        Ok(())
    }

    fn end_branch(&mut self) -> Result<(), SyntaxError> {
        let sequence = std::mem::take(&mut self.group().sequence);
        let branch = self.within_limits(Node::sequence(sequence))?;
        self.group().branches.push(branch);
        Ok(())
    }

    fn end_group(&mut self) -> Result<Node, SyntaxError> {
        self.end_branch()?;
        let branches = std::mem::take(&mut self.group().branches);
        self.within_limits(Node::alternatives(branches))
    }

    fn within_limits(&self, node: Node) -> Result<Node, SyntaxError> {
        node.check_limits().map_err(|mistake| self.cursor.mistake_in_whole(mistake))?;
        Ok(node)
    }

    /// Repeats what was read last. `start` is where the operator stands, `last` the one that stands directly before it.
    fn repeat(
        &mut self,
        times: Times,
        start: Cursor<'a>,
        last: Option<Cursor<'a>>,
    ) -> Result<(), SyntaxError> {
        let lazy = self.cursor.eat("?") != self.flags.lazy;
        if let Some(last) = last {
            return Err(self.cursor.mistake(Mistake::NestedRepetition, last));
        }
        let Some(operand) = self.group().sequence.pop() else {
            return Err(self.cursor.mistake(Mistake::MissingArgument, start));
        };
        let node = self.within_limits(Node::repeat(operand, times, lazy))?;
        if times.copies() && !node.copies_are_few() {
            return Err(self.cursor.mistake(Mistake::RepeatCount, start));
        }
        self.push(node);
        self.last_repetition = Some(start);
        Ok(())
    }

    /// What follows a backslash.
    fn escape(&mut self, start: Cursor<'a>) -> Result<(), SyntaxError> {
        let folded = self.flags.folded;
        for (letter, place) in [("A", r"\A"), ("b", r"(?-u:\b)"), ("B", r"(?-u:\B)"), ("z", r"\z")] {
            if self.cursor.eat(letter) {
                self.push(Node::place(place));
                return Ok(());
            }
        }
        if self.cursor.eat("Q") {
            self.quoted();
        } else if let Some(set) = unicode::property(&mut self.cursor, start)? {
            self.push(Node::set(write::folded(set, folded)));
        } else if let Some(set) = class::perl(&mut self.cursor) {
            self.push(Node::set(write::folded(set, folded)));
        } else {
            let code = escape::code_point(&mut self.cursor, start)?;
            self.code_point(code);
        }
        Ok(())
    }

    /// Characters that stand for themselves, up to `\E` or the end.
    fn quoted(&mut self) {
        while !self.cursor.eat(r"\E") {
            match self.cursor.next() {
                Some(c) => self.literal(c),
                None => return,
            }
        }
    }
}

impl Times {
    /// Whether something may be there twice.
    fn copies(self) -> bool {
        matches!(self, Self::Counted { min, max } if min >= 2 || max.is_some_and(|max| max >= 2))
    }
}

/// The numbers in braces.
struct Counts {
    min: Number,
    max: Option<Number>,
}

/// A number as far as it matters: those beyond the limit are `None`.
type Number = Option<u32>;

impl Counts {
    /// None where a number is too large, or the smaller one is the larger.
    fn times(&self) -> Option<Times> {
        let min = self.min?;
        let max = match self.max {
            Some(max) => Some(max?),
            None => None,
        };
        max.is_none_or(|max| min <= max).then_some(Times::Counted { min, max })
    }
}

/// What follows an opening brace, if it makes a repetition: `2}`, `2,}`, `2,5}`. Otherwise the cursor stays.
fn counts(cursor: &mut Cursor<'_>) -> Option<Counts> {
    let mut ahead = *cursor;
    let min = number(&mut ahead)?;
    let max = if !ahead.eat(",") {
        Some(min)
    } else if ahead.peek() == Some('}') {
        None
    } else {
        Some(number(&mut ahead)?)
    };
    if !ahead.eat("}") {
        return None;
    }
    *cursor = ahead;
    Some(Counts { min, max })
}

/// Digits without needless zeros before them.
fn number(cursor: &mut Cursor<'_>) -> Option<Number> {
    let start = *cursor;
    while cursor.next_if(|c| c.is_ascii_digit()).is_some() {}
    match cursor.since(start) {
        "" => None,
        digits if digits.len() > 1 && digits.starts_with('0') => None,
        digits => Some(digits.parse().ok().filter(|number| *number <= MAX_REPEAT)),
    }
}
