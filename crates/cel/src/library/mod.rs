//! What functions do. The declarations beside say what they take.
//!
//! A [`Library`] finds an implementation by a function's name; it looks at its arguments to see which overload is
//! meant. [`Library::standard`] has CEL's own functions and those of Kubernetes' libraries that need nothing of
//! Kubernetes; callers add the others (quantities, named formats) with [`Library::with`].

mod arithmetic;
mod authorizer;
mod cidr;
mod conversions;
mod extra_lists;
pub(crate) mod format;
mod ip;
mod lists;
mod optionals;
mod semver;
mod sets;
mod standard;
mod strings;
mod times;
mod url;

use std::cmp::Ordering;
use std::collections::HashMap;

pub use authorizer::{Authorizer, AuthorizerValue, Check, Decision, ResourceAttributes, Subject};
pub use url::parse_request_uri;

use crate::error::EvalError;
use crate::interpret::Context;
use crate::value::Value;

/// Evaluates a call. The first argument is the receiver, if there is one.
///
/// # Errors
/// `no such overload` when the arguments' types are none that the function takes; else its own.
pub type Implementation = fn(&mut Context<'_>, &[Value]) -> Result<Value, EvalError>;

/// Functions by name.
#[derive(Clone, Debug, Default)]
pub struct Library {
    functions: HashMap<&'static str, Implementation>,
}

impl Library {
    /// CEL's functions and Kubernetes' that need nothing of Kubernetes.
    pub fn standard() -> Self {
        Self::default()
            .with(arithmetic::FUNCTIONS)
            .with(authorizer::FUNCTIONS)
            .with(cidr::FUNCTIONS)
            .with(conversions::FUNCTIONS)
            .with(extra_lists::FUNCTIONS)
            .with(ip::FUNCTIONS)
            .with(lists::FUNCTIONS)
            .with(optionals::FUNCTIONS)
            .with(semver::FUNCTIONS)
            .with(sets::FUNCTIONS)
            .with(standard::FUNCTIONS)
            .with(strings::FUNCTIONS)
            .with(times::FUNCTIONS)
            .with(url::FUNCTIONS)
            .with(ORDERED)
    }

    /// Adds functions; of one name the last stays.
    #[must_use]
    pub fn with(mut self, functions: &[(&'static str, Implementation)]) -> Self {
        self.functions.extend(functions.iter().copied());
        self
    }

    pub(crate) fn find(&self, function: &str) -> Option<Implementation> {
        self.functions.get(function).copied()
    }
}

/// Comparisons that quantities and versions share.
const ORDERED: &[(&str, Implementation)] = &[
    ("isGreaterThan", |_, args| order("isGreaterThan", args).map(|order| Value::Bool(order.is_gt()))),
    ("isLessThan", |_, args| order("isLessThan", args).map(|order| Value::Bool(order.is_lt()))),
    ("compareTo", |_, args| order("compareTo", args).map(|order| Value::Int(order as i64))),
];

fn order(function: &str, args: &[Value]) -> Result<Ordering, EvalError> {
    match args {
        [Value::Opaque(a), Value::Opaque(b)] => a.compare(&**b).ok_or_else(|| no_overload(function, args)),
        _ => Err(no_overload(function, args)),
    }
}

/// That a function has no overload for these arguments, as cel-go says it.
pub fn no_overload(function: &str, args: &[Value]) -> EvalError {
    let types: Vec<&str> = args.iter().map(Value::type_name).collect();
    EvalError::new(format!("no such overload: {function}({})", types.join(", ")))
}
