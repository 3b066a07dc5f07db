//! Walks the grammar's network over tokens and grows a tree, by ANTLR's rules, which also say what an error is called
//! and how parsing goes on behind it.

use super::grammar::{Choice, Network, RULES, Role, Rule, Transition, network};
use super::predict::{Prediction, predict};
use super::token::{Kind, Set, Token};
use crate::source::Issue;

/// How deeply one rule may be nested.
const DEEPEST: usize = 250;
/// How often parsing goes on after an error.
const RECOVERIES: usize = 30;
/// How many tokens one recovery may skip.
const SKIPPED: usize = 256;
/// How many syntax errors are reported.
const REPORTS: usize = 100;

/// What a node holds, in order. Tokens that were skipped are left out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Child {
    Node(usize),
    Token(Token),
    /// A token that is not in the text but was taken as if it were.
    Missing(Kind),
}

#[derive(Debug)]
pub(super) struct Node {
    pub rule: Rule,
    /// Which alternative of the rule, from 1; 0 if the parser could not tell.
    pub alternative: u8,
    /// Where its first token begins.
    pub offset: u32,
    pub children: Vec<Child>,
}

/// A parse tree; the last node of a finished parse is the root.
pub(super) struct Tree {
    pub nodes: Vec<Node>,
    pub root: usize,
}

/// Parses; without a tree if a limit ended it. Reports to `issues`, which already holds what the lexer found.
pub(super) fn parse(text: &[char], tokens: &[Token], issues: &mut Vec<Issue>) -> Option<Tree> {
    let visible: Vec<Token> = tokens.iter().copied().filter(|token| token.kind != Kind::Hidden).collect();
    if issues.len() > REPORTS {
        issues.truncate(REPORTS + 1);
        if let Some(last) = issues.last_mut() {
            last.message = TOO_MANY.to_owned();
        }
        return None;
    }
    let kinds: Vec<Kind> = visible.iter().map(|token| token.kind).collect();
    let mut machine = Machine {
        network: network(),
        text,
        tokens,
        visible,
        kinds,
        position: 0,
        reports: issues.len(),
        issues,
        nodes: Vec::new(),
        frames: Vec::new(),
        follows: Vec::new(),
        depth: [0; RULES],
        at: 0,
        recovering: false,
        last_error: None,
        recoveries: 0,
    };
    let root = machine.run().ok()?;
    Some(Tree { nodes: machine.nodes, root })
}

const TOO_MANY: &str = "Syntax error: More than 100 syntax errors";

/// Why a rule does not go on.
enum Fault {
    /// No alternative fits; it shows this many tokens ahead.
    NoViable(usize),
    Mismatch,
    /// A limit is reached; parsing ends.
    Abort,
}

/// A rule that is being parsed.
struct Frame {
    node: usize,
    rule: Rule,
    precedence: u8,
    /// Of left-recursive rules: the alternative chosen for the next node.
    pending: u8,
}

struct Machine<'a> {
    network: &'static Network,
    text: &'a [char],
    tokens: &'a [Token],
    visible: Vec<Token>,
    kinds: Vec<Kind>,
    position: usize,
    reports: usize,
    issues: &'a mut Vec<Issue>,
    nodes: Vec<Node>,
    frames: Vec<Frame>,
    /// Where each frame but the first goes on in its caller.
    follows: Vec<usize>,
    depth: [usize; RULES],
    /// The state that errors are about.
    at: usize,
    /// Whether an error was reported and no token was matched since.
    recovering: bool,
    last_error: Option<(usize, Vec<usize>)>,
    recoveries: usize,
}

impl Machine<'_> {
    fn run(&mut self) -> Result<usize, Fault> {
        self.enter(Rule::Start, 0)?;
        let mut state = self.network.starts[Rule::Start as usize];
        let mut behind_turn = false;
        loop {
            if self.network.states[state].role == Role::Stop {
                match self.leave() {
                    Ok(follow) => state = follow,
                    Err(root) => return Ok(root),
                }
                continue;
            }
            match self.step(state, behind_turn) {
                Ok(next) => {
                    let role = self.network.states[state].role;
                    behind_turn = role == Role::LoopBack && self.network.states[state].choice.is_none();
                    state = next;
                }
                Err(Fault::Abort) => return Err(Fault::Abort),
                Err(fault) => {
                    behind_turn = false;
                    self.report(&fault)?;
                    self.recover()?;
                    let rule = self.frames.last().map_or(Rule::Start, |frame| frame.rule);
                    state = self.network.stops[rule as usize];
                }
            }
        }
    }

    /// Goes through one state. `behind_turn`: a loop's turn just ended, so that the loop's entry is no place for errors.
    fn step(&mut self, at: usize, behind_turn: bool) -> Result<usize, Fault> {
        let network = self.network;
        let state = &network.states[at];
        if state.role != Role::Plain && !behind_turn {
            self.at = at;
            self.sync()?;
        }
        if let Some(choice) = state.choice {
            let alternative = self.choose(at, choice)?;
            if state.names_node
                && let Some(frame) = self.frames.last_mut()
            {
                frame.pending = alternative;
                if !matches!(frame.rule, Rule::Calc | Rule::Member) {
                    self.nodes[frame.node].alternative = alternative;
                }
            }
            return self.take(at, usize::from(alternative) - 1);
        }
        self.take(at, 0)
    }

    fn take(&mut self, at: usize, transition: usize) -> Result<usize, Fault> {
        match self.network.states[at].next[transition] {
            Transition::Epsilon(to) => Ok(to),
            Transition::Precedence(_, to) => {
                self.grow();
                Ok(to)
            }
            Transition::Match(set, to) => {
                self.at = at;
                self.expect(set, to)?;
                Ok(to)
            }
            Transition::Rule { rule, precedence, follow } => {
                self.at = at;
                self.follows.push(follow);
                self.enter(rule, precedence)?;
                Ok(self.network.starts[rule as usize])
            }
        }
    }

    fn choose(&self, at: usize, choice: Choice) -> Result<u8, Fault> {
        let state = &self.network.states[at];
        if choice == Choice::Ahead {
            let precedence = self.frames.last().map_or(0, |frame| frame.precedence);
            let asked =
                Prediction { tokens: &self.kinds[self.position..], callers: &self.follows, precedence };
            return predict(at, &asked).map_err(Fault::NoViable);
        }
        let kind = self.kind(0);
        for (alternative, transition) in (1..).zip(&state.next) {
            if let Transition::Epsilon(to) = transition
                && self.network.first(*to).has(kind)
            {
                return Ok(alternative);
            }
        }
        if state.names_node { Err(Fault::NoViable(0)) } else { Ok(2) }
    }

    fn kind(&self, ahead: usize) -> Kind {
        self.kinds.get(self.position + ahead).copied().unwrap_or(Kind::End)
    }

    fn token(&self) -> Token {
        self.visible[self.position.min(self.visible.len() - 1)]
    }

    fn enter(&mut self, rule: Rule, precedence: u8) -> Result<(), Fault> {
        self.depth[rule as usize] += 1;
        if self.depth[rule as usize] > DEEPEST {
            self.issues.push(Issue::whole(format!("expression recursion limit exceeded: {DEEPEST}")));
            return Err(Fault::Abort);
        }
        let alternative = u8::from(!matches!(rule, Rule::Unary | Rule::Primary | Rule::Name | Rule::Literal));
        let alternative =
            if matches!(rule, Rule::Relation | Rule::Calc | Rule::Member) { 0 } else { alternative };
        let offset = self.token().start;
        self.nodes.push(Node { rule, alternative, offset, children: Vec::new() });
        self.frames.push(Frame { node: self.nodes.len() - 1, rule, precedence, pending: 1 });
        Ok(())
    }

    /// Ends a rule: the state to go on at, or the root.
    fn leave(&mut self) -> Result<usize, usize> {
        let Some(frame) = self.frames.pop() else { return Err(0) };
        self.depth[frame.rule as usize] -= 1;
        match (self.frames.last(), self.follows.pop()) {
            (Some(caller), Some(follow)) => {
                self.nodes[caller.node].children.push(Child::Node(frame.node));
                Ok(follow)
            }
            _ => Err(frame.node),
        }
    }

    /// What was parsed of a left-recursive rule becomes the first child of a new node of the same rule.
    fn grow(&mut self) {
        let Some(frame) = self.frames.last_mut() else { return };
        let offset = self.nodes[frame.node].offset;
        let children = vec![Child::Node(frame.node)];
        // Alternative 0 is what the recursion begins with.
        self.nodes.push(Node { rule: frame.rule, alternative: frame.pending, offset, children });
        frame.node = self.nodes.len() - 1;
    }

    fn add(&mut self, child: Child) {
        if let Some(frame) = self.frames.last() {
            self.nodes[frame.node].children.push(child);
        }
    }

    fn expect(&mut self, set: Set, to: usize) -> Result<(), Fault> {
        if !set.has(self.kind(0)) {
            self.count_recovery()?;
            if !self.drop_token()? {
                if self.network.next_tokens(to, Some(&self.follows)).has(self.kind(0)) {
                    self.report_missing()?;
                    if let Some(kind) = self.expected().first() {
                        self.add(Child::Missing(kind));
                    }
                    return Ok(());
                }
                return Err(Fault::Mismatch);
            }
        }
        self.matched();
        let token = self.token();
        self.add(Child::Token(token));
        self.consume();
        Ok(())
    }

    fn consume(&mut self) {
        if self.kind(0) != Kind::End {
            self.position += 1;
        }
    }

    fn matched(&mut self) {
        self.recovering = false;
        self.last_error = None;
    }
}

/// Errors: what they are called and how parsing goes on.
impl Machine<'_> {
    /// Before a choice: is the next token possible at all?
    fn sync(&mut self) -> Result<(), Fault> {
        let first = self.network.first(self.at);
        if self.recovering || first.has_epsilon() || first.has(self.kind(0)) {
            return Ok(());
        }
        if self.network.states[self.at].role == Role::LoopBack {
            self.report_unwanted()?;
            let until = self.expected().with(self.recovery_set());
            while self.kind(0) != Kind::End && !until.has(self.kind(0)) {
                self.consume();
            }
            return Ok(());
        }
        if self.drop_token()? { Ok(()) } else { Err(Fault::Mismatch) }
    }

    /// Drops one token if the one behind it fits.
    fn drop_token(&mut self) -> Result<bool, Fault> {
        if !self.expected().has(self.kind(1)) {
            return Ok(false);
        }
        self.report_unwanted()?;
        self.consume();
        self.matched();
        Ok(true)
    }

    /// What may come next, in this rule and, where it may end, in its callers.
    fn expected(&self) -> Set {
        let mut following = self.network.first(self.at);
        let mut expected = following.without_epsilon();
        for follow in self.follows.iter().rev() {
            if !following.has_epsilon() {
                return expected;
            }
            following = self.network.first(*follow);
            expected = expected.with(following.without_epsilon());
        }
        if following.has_epsilon() { expected.with(Set::of(&[Kind::End])) } else { expected }
    }

    /// Tokens at which some caller could go on.
    fn recovery_set(&self) -> Set {
        let follows = self.follows.iter().map(|follow| self.network.first(*follow).without_epsilon());
        follows.fold(Set::default(), Set::with)
    }

    fn report(&mut self, fault: &Fault) -> Result<(), Fault> {
        if self.recovering {
            return Ok(());
        }
        self.recovering = true;
        match fault {
            Fault::NoViable(ahead) => {
                let offending = self.visible[(self.position + ahead).min(self.visible.len() - 1)];
                let input = self.between(self.token(), offending);
                let mut characters = input.chars();
                characters.next();
                let message = match characters.as_str() {
                    word @ ("true" | "false" | "null") => {
                        format!("mismatched input '{word}' expecting IDENTIFIER")
                    }
                    _ => format!("no viable alternative at input {}", quote(&input)),
                };
                self.notify(offending, &message)
            }
            Fault::Mismatch => {
                let message =
                    format!("mismatched input {} expecting {}", self.shown(), self.expected().names());
                self.notify(self.token(), &message)
            }
            Fault::Abort => Err(Fault::Abort),
        }
    }

    fn report_unwanted(&mut self) -> Result<(), Fault> {
        if std::mem::replace(&mut self.recovering, true) {
            return Ok(());
        }
        let message = format!("extraneous input {} expecting {}", self.shown(), self.expected().names());
        self.notify(self.token(), &message)
    }

    fn report_missing(&mut self) -> Result<(), Fault> {
        if std::mem::replace(&mut self.recovering, true) {
            return Ok(());
        }
        let message = format!("missing {} at {}", self.expected().names(), self.shown());
        self.notify(self.token(), &message)
    }

    fn notify(&mut self, token: Token, message: &str) -> Result<(), Fault> {
        if self.reports >= REPORTS {
            self.issues.push(Issue::at(token.start, TOO_MANY));
            return Err(Fault::Abort);
        }
        self.reports += 1;
        self.issues.push(Issue::at(token.start, format!("Syntax error: {message}")));
        Ok(())
    }

    /// Skips tokens until some caller can go on.
    fn recover(&mut self) -> Result<(), Fault> {
        self.count_recovery()?;
        let mut skipped = 0;
        let (place, mut states) = self.last_error.take().unwrap_or((usize::MAX, Vec::new()));
        if place == self.position && states.contains(&self.at) {
            skipped += 1;
            self.consume();
        }
        states.push(self.at);
        self.last_error = Some((self.position, states));
        let until = self.recovery_set();
        while self.kind(0) != Kind::End && !until.has(self.kind(0)) {
            if skipped >= SKIPPED {
                let message = format!("error recovery token lookahead limit exceeded: {SKIPPED}");
                self.issues.push(Issue::whole(message));
                return Err(Fault::Abort);
            }
            skipped += 1;
            self.consume();
        }
        Ok(())
    }

    fn count_recovery(&mut self) -> Result<(), Fault> {
        self.recoveries += 1;
        if self.recoveries > RECOVERIES {
            let message = format!("error recovery attempt limit exceeded: {RECOVERIES}");
            self.notify(self.token(), &message)?;
            return Err(Fault::Abort);
        }
        Ok(())
    }

    /// The next token as messages show it.
    fn shown(&self) -> String {
        let token = self.token();
        quote(&if token.kind == Kind::End { "<EOF>".to_owned() } else { self.text_of(token) })
    }

    fn text_of(&self, token: Token) -> String {
        self.text[token.start as usize..token.end as usize].iter().collect()
    }

    /// The text of the tokens from one to another, white space included.
    fn between(&self, from: Token, to: Token) -> String {
        if from.kind == Kind::End {
            return "<EOF>".to_owned();
        }
        let inside = self.tokens.iter().filter(|token| token.start >= from.start && token.start <= to.start);
        inside.filter(|token| token.kind != Kind::End).map(|token| self.text_of(*token)).collect()
    }
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r"))
}
