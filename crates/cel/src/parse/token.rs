//! The kinds of tokens, and sets of them.

/// Kinds with their names in messages.
macro_rules! kinds {
    ($($(#[$about:meta])* $kind:ident $name:literal),* $(,)?) => {
        /// A token's kind, numbered and named as CEL's grammar numbers and names them: messages list them in that order.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub(super) enum Kind {
            $($(#[$about])* $kind),*
        }

        /// Every kind, in order.
        const ALL: &[Kind] = &[$(Kind::$kind),*];

        const NAMES: &[&str] = &[$($name),*];
    };
}

kinds! {
    End "<EOF>",
    Equals "'=='",
    NotEquals "'!='",
    In "'in'",
    Less "'<'",
    LessEquals "'<='",
    GreaterEquals "'>='",
    Greater "'>'",
    And "'&&'",
    Or "'||'",
    LeftBracket "'['",
    RightBracket "']'",
    LeftBrace "'{'",
    RightBrace "'}'",
    LeftParenthesis "'('",
    RightParenthesis "')'",
    Dot "'.'",
    Comma "','",
    Minus "'-'",
    Not "'!'",
    Question "'?'",
    Colon "':'",
    Plus "'+'",
    Star "'*'",
    Slash "'/'",
    Percent "'%'",
    True "'true'",
    False "'false'",
    Null "'null'",
    /// White space and comments: kept for the text of messages, never seen by the grammar.
    Hidden "WHITESPACE",
    Float "NUM_FLOAT",
    Int "NUM_INT",
    Uint "NUM_UINT",
    String "STRING",
    Bytes "BYTES",
    Identifier "IDENTIFIER",
    Escaped "ESC_IDENTIFIER",
}

/// How many kinds there are.
pub(super) const KINDS: usize = ALL.len();

/// A piece of the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub kind: Kind,
    /// Where it begins and ends, in characters.
    pub start: u32,
    pub end: u32,
}

/// A set of kinds, and whether a rule may end (`EPSILON`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Set(u64);

impl Set {
    pub(super) const EPSILON: Self = Self(1 << 63);

    pub(super) const fn of(kinds: &[Kind]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < kinds.len() {
            bits |= 1 << kinds[at] as u8;
            at += 1;
        }
        Self(bits)
    }

    pub(super) fn has(self, kind: Kind) -> bool {
        self.0 & Self::of(&[kind]).0 != 0
    }

    pub(super) fn has_number(self, kind: usize) -> bool {
        self.0 & (1 << kind) != 0
    }

    pub(super) fn has_epsilon(self) -> bool {
        self.0 & Self::EPSILON.0 != 0
    }

    pub(super) fn without_epsilon(self) -> Self {
        Self(self.0 & !Self::EPSILON.0)
    }

    pub(super) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The kind that comes first in the grammar.
    pub(super) fn first(self) -> Option<Kind> {
        ALL.iter().copied().find(|kind| self.has(*kind))
    }

    /// The names of the kinds, in braces if there are several.
    pub(super) fn names(self) -> String {
        let names: Vec<&str> = NAMES
            .iter()
            .enumerate()
            .filter(|(at, _)| self.0 & (1 << at) != 0)
            .map(|(_, name)| *name)
            .collect();
        match names.as_slice() {
            [name] => (*name).to_owned(),
            names => format!("{{{}}}", names.join(", ")),
        }
    }
}
