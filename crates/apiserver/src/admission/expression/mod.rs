//! Evaluating the expressions of policies and of match conditions.
//!
//! [`Inputs`] are what the variables are for one request; a [`Session`] evaluates expressions over them one after the
//! other, against one budget. Variables of a policy (`variables.x`) are evaluated when something asks for them, once in
//! a session.
//!
//! Expressions cost what upstream says they cost, and are ended when they cost too much; the time of one session is
//! thereby bounded.

mod authorizer;
mod conditions;
mod inputs;
mod session;

use drydock_cel::Program;
use drydock_kinds::expression::{CompileError, Compiler, Returns, Scope};

pub(super) use authorizer::Asker;
pub(super) use conditions::Conditions;
pub(super) use inputs::Inputs;
pub(super) use session::{Composition, Session};

/// What all expressions of a policy may cost for one request and parameter.
pub(super) const BUDGET: u64 = 10_000_000;
/// What a policy's or a webhook's match conditions may cost.
pub(super) const CONDITIONS_BUDGET: u64 = 2_500_000;

/// An expression as it was written, and what it compiled to.
#[derive(Debug)]
pub(super) struct Expression {
    pub(super) text: String,
    pub(super) program: Result<Program, CompileError>,
}

impl Expression {
    pub(super) fn new(compiler: &Compiler, text: &str, scope: Scope, returns: Returns) -> Self {
        Self { text: text.to_owned(), program: compiler.compile(text, scope, returns) }
    }
}
