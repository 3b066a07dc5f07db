//! The Common Expression Language (CEL) as Kubernetes speaks it.
//!
//! The way of an expression: the parser reads the text and expands its macros into the tree of [`ast`]; the checker
//! gives every node a [`types::Type`] and finds the overloads of its calls; the interpreter evaluates the checked tree
//! against variables and counts what that costs. Kubernetes' libraries (lists, regex, URLs, quantities, IP addresses,
//! formats, semantic versions, authorization) are declared and implemented side by side.
//!
//! The crate knows no Kubernetes objects: callers declare their types and hand in values.

pub mod ast;
pub mod check;
pub mod cost;
pub mod declare;
pub mod env;
pub mod parse;
pub mod source;
pub mod types;
