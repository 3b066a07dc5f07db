//! Which alternative a parser takes where one token does not tell: ANTLR's adaptive prediction.
//!
//! All alternatives are followed at once through the network, first as if every caller of the rule were possible and,
//! should alternatives become indistinguishable, once more with the real callers. The lowest alternative wins what stays
//! ambiguous. Where no alternative can go on, the token at which that shows is part of the message.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use super::grammar::{Choice, Network, Role, Transition, network};
use super::token::{KINDS, Kind};

/// One alternative's thread through the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Thread {
    alternative: u8,
    state: usize,
    /// Into [`Stacks`].
    stack: usize,
    /// Whether it left the rule in which the choice is made.
    left_rule: bool,
}

/// Call stacks that share their lower parts. 0 is the empty one.
struct Stacks {
    nodes: Vec<(usize, usize)>,
    known: HashMap<(usize, usize), usize>,
}

impl Stacks {
    fn new() -> Self {
        Self { nodes: vec![(0, 0)], known: HashMap::new() }
    }

    fn push(&mut self, below: usize, follow: usize) -> usize {
        *self.known.entry((below, follow)).or_insert_with(|| {
            self.nodes.push((below, follow));
            self.nodes.len() - 1
        })
    }
}

/// A prediction: the tokens from where the choice is made, and who called.
pub(super) struct Prediction<'a> {
    /// Kinds of the visible tokens from here on, the last of them `End`.
    pub tokens: &'a [Kind],
    /// Where the rules that are being parsed go on, the innermost last.
    pub callers: &'a [usize],
    /// The precedence at which the rule was entered.
    pub precedence: u8,
}

/// The alternative (from 1), or how many tokens ahead it shows that there is none.
pub(super) fn predict(state: usize, asked: &Prediction<'_>) -> Result<u8, usize> {
    let first = asked.tokens.first().copied().unwrap_or(Kind::End);
    if first != Kind::End
        && let Some(row) = table().get(&(state, asked.precedence.min(HIGHEST)))
        && let Some(alternative) = row[first as usize]
    {
        return Ok(alternative);
    }
    let mut simulation = Simulation { network: network(), stacks: Stacks::new(), full: false };
    simulation.run(state, asked)
}

/// No operator binds closer.
const HIGHEST: u8 = 4;

type Table = HashMap<(usize, u8), [Option<u8>; KINDS]>;

/// What one token tells already, by state and precedence.
fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let network = network();
        let mut table = Table::new();
        for (at, state) in network.states.iter().enumerate() {
            if state.choice != Some(Choice::Ahead) {
                continue;
            }
            for precedence in 0..=HIGHEST {
                let mut simulation = Simulation { network, stacks: Stacks::new(), full: false };
                let threads = simulation.start(at, precedence, 0);
                table.insert((at, precedence), simulation.by_token(&threads));
            }
        }
        table
    })
}

struct Simulation<'a> {
    network: &'a Network,
    stacks: Stacks,
    /// Whether stacks begin with the real callers.
    full: bool,
}

impl Simulation<'_> {
    fn by_token(&self, threads: &[Thread]) -> [Option<u8>; KINDS] {
        let mut row = [None; KINDS];
        let mut several = [false; KINDS];
        for thread in threads {
            for transition in &self.network.states[thread.state].next {
                let Transition::Match(set, _) = transition else { continue };
                for at in 0..KINDS {
                    if set.has_number(at) {
                        several[at] |= row[at].is_some_and(|known| known != thread.alternative);
                        row[at] = Some(thread.alternative);
                    }
                }
            }
        }
        for (cell, several) in row.iter_mut().zip(several) {
            if several {
                *cell = None;
            }
        }
        row
    }

    fn run(&mut self, state: usize, asked: &Prediction<'_>) -> Result<u8, usize> {
        let mut threads = self.start(state, asked.precedence, 0);
        for (ahead, token) in asked.tokens.iter().enumerate() {
            let reached = self.advance(&threads, *token);
            if reached.is_empty() {
                return finished(self.network, &threads).ok_or(ahead);
            }
            if let Some(alternative) = unique(&reached) {
                return Ok(alternative);
            }
            if self.indistinguishable(&reached) {
                return self.run_full(state, asked);
            }
            threads = reached;
        }
        Ok(lowest(&threads))
    }

    fn run_full(&mut self, state: usize, asked: &Prediction<'_>) -> Result<u8, usize> {
        self.full = true;
        let callers = asked.callers.iter().fold(0, |below, follow| self.stacks.push(below, *follow));
        let mut threads = self.start(state, asked.precedence, callers);
        for (ahead, token) in asked.tokens.iter().enumerate() {
            let reached = self.advance(&threads, *token);
            if reached.is_empty() {
                return finished(self.network, &threads).ok_or(ahead);
            }
            if let Some(alternative) = unique(&reached).or_else(|| agreed(&reached)) {
                return Ok(alternative);
            }
            threads = reached;
        }
        Ok(lowest(&threads))
    }

    fn start(&mut self, state: usize, precedence: u8, stack: usize) -> Vec<Thread> {
        let by_precedence = self.network.states[state].by_precedence.then_some(precedence);
        let mut found = Vec::new();
        for (at, transition) in self.network.states[state].next.iter().enumerate() {
            let Transition::Epsilon(to) = *transition else { continue };
            let thread = Thread { alternative: at as u8 + 1, state: to, stack, left_rule: false };
            self.close(thread, by_precedence, false, &mut found);
        }
        if by_precedence.is_some() {
            // A turn of the loop is preferred over what callers would do at the same state.
            let first: HashSet<_> =
                found.iter().filter(|t| t.alternative == 1).map(|t| (t.state, t.stack)).collect();
            found.retain(|t| t.alternative == 1 || !first.contains(&(t.state, t.stack)));
        }
        found
    }

    /// Adds every thread that a thread leads to without a token.
    fn close(&mut self, thread: Thread, precedence: Option<u8>, at_end: bool, found: &mut Vec<Thread>) {
        let mut seen: HashSet<Thread> = HashSet::new();
        let mut open = vec![(thread, 0_i32)];
        while let Some((thread, depth)) = open.pop() {
            if !seen.insert(thread) {
                continue;
            }
            let state = &self.network.states[thread.state];
            if state.role == Role::Stop {
                self.leave(thread, depth, &mut open, found);
                continue;
            }
            let mut waits = false;
            for transition in &state.next {
                let (to, stack, depth) = match *transition {
                    Transition::Epsilon(to) => (to, thread.stack, depth),
                    Transition::Precedence(level, to) => {
                        if depth == 0 && precedence.is_some_and(|precedence| level < precedence) {
                            continue;
                        }
                        (to, thread.stack, depth)
                    }
                    Transition::Rule { rule, follow, .. } => {
                        let stack = self.stacks.push(thread.stack, follow);
                        (self.network.starts[rule as usize], stack, if depth < 0 { depth } else { depth + 1 })
                    }
                    Transition::Match(set, to) => {
                        waits = true;
                        if !(at_end && set.has(Kind::End)) {
                            continue;
                        }
                        (to, thread.stack, depth)
                    }
                };
                open.push((Thread { state: to, stack, ..thread }, depth));
            }
            if waits {
                found.push(thread);
            }
        }
        let mut known = HashSet::new();
        found.retain(|thread| known.insert(*thread));
    }

    /// A rule ends: on to its caller, or to every possible one.
    fn leave(&self, thread: Thread, depth: i32, open: &mut Vec<(Thread, i32)>, found: &mut Vec<Thread>) {
        if thread.stack != 0 {
            let (below, follow) = self.stacks.nodes[thread.stack];
            open.push((Thread { state: follow, stack: below, ..thread }, depth));
            return;
        }
        if self.full {
            found.push(thread);
            return;
        }
        let rule = self.network.states[thread.state].rule;
        let follows = &self.network.follows[rule as usize];
        if follows.is_empty() {
            found.push(thread);
        }
        for follow in follows {
            open.push((Thread { state: *follow, left_rule: true, ..thread }, depth - 1));
        }
    }

    fn advance(&mut self, threads: &[Thread], token: Kind) -> Vec<Thread> {
        let at_end = token == Kind::End;
        let mut moved = Vec::new();
        let mut stopped = Vec::new();
        for thread in threads {
            let state = &self.network.states[thread.state];
            if state.role == Role::Stop {
                if self.full || at_end {
                    stopped.push(*thread);
                }
                continue;
            }
            for transition in &state.next {
                if let Transition::Match(set, to) = *transition
                    && set.has(token)
                {
                    moved.push(Thread { state: to, ..*thread });
                }
            }
        }
        let decided = stopped.is_empty() && !at_end && unique(&moved).is_some();
        let mut reached = Vec::new();
        if decided {
            reached = moved;
        } else {
            for thread in moved {
                self.close(thread, None, at_end, &mut reached);
            }
        }
        if at_end {
            reached.retain(|thread| self.network.states[thread.state].role == Role::Stop);
        }
        if !self.full || reached.iter().all(|thread| self.network.states[thread.state].role != Role::Stop) {
            reached.extend(stopped);
        }
        reached
    }

    /// Whether more tokens cannot tell the alternatives apart as long as callers are unknown.
    fn indistinguishable(&self, threads: &[Thread]) -> bool {
        if threads.iter().all(|thread| self.network.states[thread.state].role == Role::Stop) {
            return true;
        }
        let mut by_state: HashMap<usize, HashSet<u8>> = HashMap::new();
        let mut by_stack: HashMap<(usize, usize), HashSet<u8>> = HashMap::new();
        for thread in threads {
            by_state.entry(thread.state).or_default().insert(thread.alternative);
            by_stack.entry((thread.state, thread.stack)).or_default().insert(thread.alternative);
        }
        by_stack.values().any(|alternatives| alternatives.len() > 1)
            && by_state.values().all(|alternatives| alternatives.len() > 1)
    }
}

fn unique(threads: &[Thread]) -> Option<u8> {
    let first = threads.first()?.alternative;
    threads.iter().all(|thread| thread.alternative == first).then_some(first)
}

/// The alternative that is the lowest wherever several meet, if it is the same everywhere.
fn agreed(threads: &[Thread]) -> Option<u8> {
    let mut lowest: HashMap<(usize, usize), u8> = HashMap::new();
    for thread in threads {
        let entry = lowest.entry((thread.state, thread.stack)).or_insert(thread.alternative);
        *entry = (*entry).min(thread.alternative);
    }
    let mut values = lowest.into_values();
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

fn lowest(threads: &[Thread]) -> u8 {
    threads.iter().map(|thread| thread.alternative).min().unwrap_or(1)
}

/// Of dead threads, the lowest alternative with which the rule could have ended before the bad token.
fn finished(network: &Network, threads: &[Thread]) -> Option<u8> {
    let ended = |thread: &&Thread| {
        thread.left_rule || network.states[thread.state].role == Role::Stop && thread.stack == 0
    };
    threads.iter().filter(ended).map(|thread| thread.alternative).min()
}
