//! Go's regular expressions. Patterns are read by a parser for the grammar of Go's `regexp/syntax` (Perl's flags, as
//! `regexp.Compile` sets them), which answers mistakes as Go does, and are then written anew in the notation of the
//! regex crate, which does the matching.
//!
//! Invariants: what [`parse`] accepts is valid in the regex crate's notation, and matches the same. Sets of characters
//! are those of Unicode 15, as in Go; only upper and lower case are paired by the regex crate's own, later tables.
//! Groups do not capture: nobody asks for what they matched.
//!
//! Deliberately absent: Go's rewriting of alternatives that begin alike, which its limits on size and depth are counted
//! after, and its limit on ranges in classes. What is held of an expression is limited in other ways instead, which
//! only expressions meet that have, or repeat, large sets of characters many hundreds of times.

mod class;
mod cursor;
mod error;
mod escape;
mod groups;
mod parse;
#[cfg(test)]
mod tests;
mod tree;
mod unicode;
mod write;

use ::regex::{Regex, RegexBuilder};

use self::error::{Mistake, SyntaxError};
use self::tree::Node;

/// Bytes of a compiled expression. Go lets the largest take 128 MiB, but has one instruction for a set of characters where
/// the regex crate has hundreds.
const SIZE_LIMIT: usize = 32 << 20;

/// Sets of characters in an expression that are spelled out before the limit on bytes is looked at, which takes
/// milliseconds each. Go counts ranges, and allows for more.
const MAX_COSTLY_SETS: usize = 200;

/// Groups within groups that the regex crate is to read: those of the tree, and what is written around each level.
const NEST_LIMIT: u32 = 2 * tree::MAX_DEPTH;

/// Expressions that nest deeper are compiled on a thread with a large stack, since the compiler recurses.
const DEEP: u32 = 100;

/// What a thread needs to compile an expression as deep as they get.
const DEEP_STACK: usize = 64 << 20;

/// Compiles a pattern as Go's `regexp` understands it.
///
/// # Errors
/// When Go would refuse it, in Go's words, and when the compiled form is too large for this process.
pub fn go_regex(pattern: &str) -> Result<Regex, String> {
    compile(pattern).map_err(|error| error.to_string())
}

fn compile(pattern: &str) -> Result<Regex, SyntaxError> {
    let tree = parse::parse(pattern)?;
    let compiled = if tree.depth() > DEEP { build_deep(&tree) } else { build(&tree) };
    compiled.map_err(|mistake| SyntaxError::new(mistake, pattern))
}

fn build(tree: &Node) -> Result<Regex, Mistake> {
    let translated = write::in_rust(tree);
    if write::costly_sets(&translated) > MAX_COSTLY_SETS {
        return Err(Mistake::TooLarge);
    }
    let built = RegexBuilder::new(&translated).size_limit(SIZE_LIMIT).nest_limit(NEST_LIMIT).build();
    built.map_err(|error| match error {
        ::regex::Error::CompiledTooBig(_) => Mistake::TooLarge,
        _ => Mistake::Internal,
    })
}

fn build_deep(tree: &Node) -> Result<Regex, Mistake> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(DEEP_STACK).spawn_scoped(scope, || build(tree));
        thread.ok().and_then(|thread| thread.join().ok()).unwrap_or(Err(Mistake::Internal))
    })
}
