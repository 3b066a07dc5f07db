//! Evaluating checked expressions.
//!
//! [`plan`](mod@plan) turns the checked tree into one that says how each node is evaluated, as cel-go's planner does;
//! [`machine`] walks it. What that costs follows cel-go's runtime cost tracker node by node, with the quirks that
//! Kubernetes' cost limits have come to rest on: an index that is itself a variable is free, constants are free, the
//! branches of `?:` are cheaper by one when they are variables. Deliberately absent: unknowns and partial evaluation.

mod attribute;
mod context;
mod cost;
mod machine;
pub(crate) mod plan;

pub use context::Context;
pub(crate) use context::Limits;
pub(crate) use machine::Machine;
pub use machine::Variables;
