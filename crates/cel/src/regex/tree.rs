//! What a pattern says, and how large and how deep that is by Go's count.

use super::error::Mistake;

/// Go's limit on nesting. Sequences in sequences, and alternatives in alternatives, count as one.
const MAX_HEIGHT: u32 = 1000;

/// The limit on nesting when all groups are counted, too. Go has none, but trees are walked by recursion, and copied from
/// level to level.
pub(super) const MAX_DEPTH: u32 = 4 * MAX_HEIGHT;

/// Go's limit on the instructions of a compiled expression: 128 MiB of them, 40 bytes each.
const MAX_SIZE: u64 = (128 << 20) / 40;

/// How often a repetition and those inside it may copy what is innermost.
const MAX_COPIES: u32 = 1000;

/// An expression.
#[derive(Clone, Debug)]
pub(super) struct Node {
    kind: Kind,
    /// Levels by Go's count.
    height: u32,
    /// Levels when all groups are counted, too.
    depth: u32,
    /// Instructions by Go's count.
    size: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Matches the empty text.
    Empty,
    /// A text, in any case if it is `folded`.
    Literal {
        text: String,
        folded: bool,
    },
    /// One character of a set, in the regex crate's notation.
    Set(String),
    /// A place, in the regex crate's notation.
    Place(&'static str),
    /// A group that captures in Go.
    Capture(Box<Node>),
    Repeat {
        operand: Box<Node>,
        times: Times,
        lazy: bool,
    },
    Sequence(Vec<Node>),
    Alternatives(Vec<Node>),
}

/// How often something is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Times {
    Star,
    Plus,
    Optional,
    /// Without a `max` there is no upper limit.
    Counted {
        min: u32,
        max: Option<u32>,
    },
}

impl Node {
    pub(super) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Levels of nodes and groups.
    pub(super) fn depth(&self) -> u32 {
        self.depth
    }

    pub(super) fn literal(c: char, folded: bool) -> Self {
        Self::leaf(Kind::Literal { text: c.to_string(), folded })
    }

    pub(super) fn set(notation: String) -> Self {
        Self::leaf(Kind::Set(notation))
    }

    pub(super) fn place(notation: &'static str) -> Self {
        Self::leaf(Kind::Place(notation))
    }

    /// A group that does not capture is nothing to Go.
    pub(super) fn group(inner: Self) -> Self {
        Self { depth: inner.depth + 1, ..inner }
    }

    pub(super) fn capture(inner: Self) -> Self {
        let (height, depth, size) = (inner.height + 1, inner.depth + 1, inner.size.saturating_add(2));
        Self { kind: Kind::Capture(Box::new(inner)), height, depth, size }
    }

    pub(super) fn repeat(operand: Self, times: Times, lazy: bool) -> Self {
        let (height, depth, size) = (operand.height + 1, operand.depth + 1, times.size(operand.size));
        Self { kind: Kind::Repeat { operand: Box::new(operand), times, lazy }, height, depth, size }
    }

    /// One after the other. Literals become one.
    pub(super) fn sequence(parts: Vec<Self>) -> Self {
        let mut joined: Vec<Self> = Vec::with_capacity(parts.len());
        for part in parts {
            if let Some(last) = joined.last_mut()
                && last.append(&part)
            {
                continue;
            }
            joined.push(part);
        }
        match joined.len() {
            0 => Self::leaf(Kind::Empty),
            1 => joined.swap_remove(0),
            _ => Self::of_several(joined, Kind::Sequence, |kind| matches!(kind, Kind::Sequence(_))),
        }
    }

    /// One of several. Neighbours that are one character each become a set.
    pub(super) fn alternatives(branches: Vec<Self>) -> Self {
        let mut runs: Vec<Vec<Self>> = Vec::with_capacity(branches.len());
        for branch in branches {
            match runs.last_mut() {
                Some(run) if run.last().is_some_and(|last| last.merges_with(&branch)) => run.push(branch),
                _ => runs.push(vec![branch]),
            }
        }
        let mut merged: Vec<Self> = runs.into_iter().map(Self::merged).collect();
        if merged.len() == 1 {
            return merged.swap_remove(0);
        }
        let bars = (merged.len() as u64).saturating_sub(1);
        let mut node =
            Self::of_several(merged, Kind::Alternatives, |kind| matches!(kind, Kind::Alternatives(_)));
        node.size = node.size.saturating_add(bars);
        node
    }

    /// Whether Go allows an expression of this size and depth.
    pub(super) fn check_limits(&self) -> Result<(), Mistake> {
        if self.size > MAX_SIZE {
            return Err(Mistake::TooLarge);
        }
        if self.height > MAX_HEIGHT || self.depth > MAX_DEPTH {
            return Err(Mistake::TooDeep);
        }
        Ok(())
    }

    /// Whether counted repetitions copy nothing more often than Go allows.
    pub(super) fn copies_are_few(&self) -> bool {
        self.copies_at_most(MAX_COPIES)
    }

    fn copies_at_most(&self, limit: u32) -> bool {
        match &self.kind {
            Kind::Repeat { operand, times: Times::Counted { min, max }, .. } => match max.unwrap_or(*min) {
                0 if *max == Some(0) => true,
                0 => operand.copies_at_most(limit),
                copies => copies <= limit && operand.copies_at_most(limit / copies),
            },
            Kind::Repeat { operand, .. } | Kind::Capture(operand) => operand.copies_at_most(limit),
            Kind::Sequence(parts) | Kind::Alternatives(parts) => {
                parts.iter().all(|part| part.copies_at_most(limit))
            }
            Kind::Empty | Kind::Literal { .. } | Kind::Set(_) | Kind::Place(_) => true,
        }
    }

    fn leaf(kind: Kind) -> Self {
        Self { kind, height: 1, depth: 1, size: 1 }
    }

    /// A node of a kind over several; those that are of this kind themselves are no level of their own for Go.
    fn of_several(nodes: Vec<Self>, kind: fn(Vec<Self>) -> Kind, is_kind: fn(&Kind) -> bool) -> Self {
        let height = nodes.iter().map(|node| node.height + u32::from(!is_kind(&node.kind))).max();
        let depth = nodes.iter().map(|node| node.depth + 1).max();
        let size = nodes.iter().fold(0, |sum: u64, node| sum.saturating_add(node.size));
        Self { height: height.unwrap_or(1), depth: depth.unwrap_or(1), size: size.max(1), kind: kind(nodes) }
    }

    /// Whether this and the next of several alternatives are as good as one.
    fn merges_with(&self, next: &Self) -> bool {
        matches!((&self.kind, &next.kind), (Kind::Empty, Kind::Empty))
            || self.is_character() && next.is_character()
    }

    /// What alternatives that merge with each other become; there is at least one.
    fn merged(mut run: Vec<Self>) -> Self {
        match &*run {
            [first, _, ..] if first.is_character() => Self {
                depth: run.iter().map(Self::depth).max().unwrap_or(1),
                ..Self::set(super::write::union(&run))
            },
            _ => run.swap_remove(0),
        }
    }

    /// Whether this is exactly one character.
    fn is_character(&self) -> bool {
        match &self.kind {
            Kind::Literal { text, .. } => text.chars().nth(1).is_none(),
            kind => matches!(kind, Kind::Set(_)),
        }
    }

    /// Takes in a literal that follows this one; answers whether it could.
    fn append(&mut self, next: &Self) -> bool {
        match (&mut self.kind, &next.kind) {
            (Kind::Literal { text, folded }, Kind::Literal { text: more, folded: too }) if folded == too => {
                text.push_str(more);
                self.size = self.size.saturating_add(next.size);
                self.depth = self.depth.max(next.depth);
                true
            }
            _ => false,
        }
    }
}

impl Times {
    /// Instructions of something repeated, by Go's count.
    fn size(self, operand: u64) -> u64 {
        let size = match self {
            Self::Star | Self::Counted { min: 0, max: None } => operand.saturating_add(2),
            Self::Plus | Self::Optional => operand.saturating_add(1),
            Self::Counted { min, max: None } => operand.saturating_mul(min.into()).saturating_add(1),
            Self::Counted { min, max: Some(max) } => {
                operand.saturating_mul(max.into()).saturating_add(max.saturating_sub(min).into())
            }
        };
        size.max(1)
    }
}
