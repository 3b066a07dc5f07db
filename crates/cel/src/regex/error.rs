//! What can be wrong with a pattern, in Go's words.

use thiserror::Error;

/// What Go calls a mistake; the order is that of `regexp/syntax`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Mistake {
    #[error("regexp/syntax: internal error")]
    Internal,
    #[error("invalid character class range")]
    CharRange,
    #[error("invalid escape sequence")]
    Escape,
    #[error("invalid named capture")]
    NamedCapture,
    #[error("invalid or unsupported Perl syntax")]
    PerlSyntax,
    #[error("invalid nested repetition operator")]
    NestedRepetition,
    #[error("invalid repeat count")]
    RepeatCount,
    #[error("missing closing ]")]
    MissingBracket,
    #[error("missing closing )")]
    MissingParen,
    #[error("missing argument to repetition operator")]
    MissingArgument,
    #[error("trailing backslash at end of expression")]
    TrailingBackslash,
    #[error("unexpected )")]
    UnexpectedParen,
    #[error("expression nests too deeply")]
    TooDeep,
    #[error("expression too large")]
    TooLarge,
}

/// A mistake and the part of the pattern that it is in.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("error parsing regexp: {mistake}: `{fragment}`")]
pub(super) struct SyntaxError {
    mistake: Mistake,
    fragment: String,
}

impl SyntaxError {
    pub(super) fn new(mistake: Mistake, fragment: &str) -> Self {
        Self { mistake, fragment: fragment.to_owned() }
    }
}
