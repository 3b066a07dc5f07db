//! What can go wrong with what a user asks for.
//!
//! The variants are for the user, except [`ServiceError::Internal`], whose source only the log may see. No door's terms
//! are here: each door has one `match` that translates.

use std::time::Duration;

use crate::database::DatabaseError;
use crate::database::cluster::Reason;

#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error("the request has {} invalid field(s)", .0.len())]
    Invalid(Vec<FieldError>),
    #[error("there is no {kind} {name:?}")]
    NotFound { kind: &'static str, name: String },
    #[error("there is a {kind} {name:?} already")]
    AlreadyExists { kind: &'static str, name: String },
    /// Not as things are now.
    #[error("{}", .0.message)]
    Conflict(Reason),
    #[error("the {kind} is at revision {found}, not at the one required")]
    PreconditionFailed { kind: &'static str, found: i64 },
    #[error("the idempotency key was used for a different request")]
    IdempotencyKeyReused,
    /// The cluster does not serve (yet).
    #[error("{message}")]
    NotReady { message: String, retry_after: Duration },
    #[error("no port is free between {from} and {to}")]
    NoPort { from: u16, to: u16 },
    #[error("internal error")]
    Internal(#[from] DatabaseError),
}

/// What is wrong with one field, by its path: `nodePools[0].instanceType`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    pub field: String,
    pub message: String,
}

impl FieldError {
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

pub type Result<T, E = ServiceError> = std::result::Result<T, E>;
