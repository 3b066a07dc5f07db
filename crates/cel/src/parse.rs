//! From the text of an expression to its tree, macros expanded.
//!
//! The lexer cuts the text into tokens, the machine grows a parse tree by the grammar's network and the builder makes
//! the expression of it. Syntax errors are called what cel-go's parser calls them. Every depth and size is limited, by
//! cel-go's limits where it has them.

mod build;
mod grammar;
mod lexer;
mod literals;
mod machine;
mod macros;
mod predict;
#[cfg(test)]
mod tests;
mod token;

pub use macros::{ACCUMULATOR, Macros};

use crate::ast::Expr;
use crate::source::{Issue, Issues};

/// How long an expression may be, in characters.
const LONGEST: usize = 100_000;

/// Words that cannot be names: those of the grammar, and those that CEL keeps for later.
pub const RESERVED: [&str; 21] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "package",
    "namespace",
    "null",
    "return",
    "true",
    "var",
    "void",
    "while",
];

/// Parses an expression. Fails with all that is wrong with its text, among it macros that are used wrongly.
pub fn parse(source: &str, macros: Macros) -> Result<Expr, Issues> {
    let text: Vec<char> = source.chars().collect();
    if text.len() > LONGEST {
        let message =
            format!("expression code point size exceeds limit: size: {}, limit {LONGEST}", text.len());
        return Err(Issues::new(source, vec![Issue::whole(message)]));
    }
    let (tokens, mut issues) = lexer::tokens(&text);
    let tree = machine::parse(&text, &tokens, &mut issues);
    let expr = tree.and_then(|tree| build::build(&text, &tree, macros, &mut issues));
    match expr {
        Some(expr) if issues.is_empty() => Ok(expr),
        _ => Err(Issues::new(source, issues)),
    }
}
