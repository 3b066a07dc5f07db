//! The three patch formats that change a whole object: JSON Patch, JSON Merge Patch, strategic merge patch.
//!
//! All of them are pure functions from a tree to a tree. Errors have upstream's texts and HTTP statuses. What comes
//! before (reading the request's text) and after (decoding, defaulting, validation) is the API server's.
//! Server-side apply is in [`crate::apply`].

pub mod go_format;
pub mod json;
pub mod merge;
pub mod strategic;

use crate::status::{Reason, Status};

pub use json::json_patch;
pub use merge::merge_patch;
pub use strategic::strategic_merge_patch;

/// Why a patch cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch itself is malformed: 400.
    #[error("{0}")]
    BadRequest(String),
    /// The patch does not fit the object: 422. Upstream shows the client a fixed text only.
    #[error("{0}")]
    Unprocessable(String),
    /// Too many operations: 413.
    #[error("{0}")]
    TooLarge(String),
    /// What upstream never gave a status to: 500.
    #[error("{0}")]
    Other(String),
}

impl From<PatchError> for Status {
    fn from(error: PatchError) -> Self {
        match error {
            PatchError::BadRequest(text) => Self::bad_request(text),
            PatchError::Unprocessable(_) => Self::new(
                422,
                Reason::Invalid,
                "the server rejected our request due to an error in our request",
            )
            .with_details(Default::default()),
            PatchError::TooLarge(text) => {
                Self::new(413, Reason::RequestEntityTooLarge, format!("Request entity too large: {text}"))
            }
            PatchError::Other(text) => Self::new(500, Reason::Unknown, text),
        }
    }
}
