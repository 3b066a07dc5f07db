//! The Common Expression Language (CEL) as Kubernetes speaks it.
//!
//! The way of an expression: the parser reads the text and expands its macros into the tree of [`ast`]; the checker
//! gives every node a [`types::Type`] and finds the overloads of its calls; a [`Program`] evaluates the checked tree
//! against variables and counts what that costs. Kubernetes' libraries (lists, regex, URLs, quantities, IP addresses,
//! formats, semantic versions, authorization) are declared and implemented side by side.
//!
//! To evaluate: compile the text with [`env::Env::compile`], plan it once with [`Program::new`] (with the [`library::Library`]
//! of the caller, whose functions need more than this crate knows), keep it, and call [`Program::evaluate`] with
//! [`Variables`] and a [`Budget`] as often as needed. Variables are [`value::Value`]s; a caller's own objects come in
//! as [`value::ListView`] and [`value::MapView`] without being copied.
//!
//! Invariants: an evaluation ends. Its cost is counted and limited as upstream does, and so are, beyond upstream, the
//! steps it takes and the memory of what it builds. The crate knows no Kubernetes objects: callers declare their
//! types and hand in values.

pub mod ast;
pub mod check;
pub mod cost;
pub mod declare;
pub mod env;
pub mod error;
mod interpret;
pub mod library;
pub mod parse;
mod program;
mod regex;
pub mod source;
pub mod types;
pub mod value;

pub use crate::error::EvalError;
pub use crate::interpret::{Context, Variables};
pub use crate::program::{Budget, Evaluation, PER_CALL_LIMIT, Program};
pub use crate::regex::go_regex;
