//! Why a cloud did not do what it was asked.

use std::fmt;
use std::time::Duration;

/// Why a cloud did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct CloudError {
    pub kind: CloudErrorKind,
    /// The provider's call that failed: `RunInstances`.
    pub operation: &'static str,
    /// The cloud's own words, with its error code.
    pub message: String,
    /// When the cloud said how long to wait.
    pub retry_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum CloudErrorKind {
    /// No answer: connection refused, DNS, time-out. The call may have been carried out.
    Unreachable,
    /// Slow down.
    Throttled,
    /// The cloud failed on its side. The call may have been carried out.
    Internal,
    /// No such capacity now; another zone or type may have it. Nothing was made.
    InsufficientCapacity,
    /// An account limit. Nothing was made.
    QuotaExceeded,
    /// Credentials or permissions. Nothing was done.
    Unauthorized,
    NotFound,
    /// The request will never succeed as it is: unknown type, bad name.
    InvalidRequest,
    /// Something else holds it: a security group still in use.
    InUse,
    /// Nothing is wrong: the cloud is at it, in an operation of its own. Ask again.
    InProgress,
    Unsupported,
}

impl CloudErrorKind {
    /// The kind's name, as metrics labels and reasons show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "Unreachable",
            Self::Throttled => "Throttled",
            Self::Internal => "Internal",
            Self::InsufficientCapacity => "InsufficientCapacity",
            Self::QuotaExceeded => "QuotaExceeded",
            Self::Unauthorized => "Unauthorized",
            Self::NotFound => "NotFound",
            Self::InvalidRequest => "InvalidRequest",
            Self::InUse => "InUse",
            Self::InProgress => "InProgress",
            Self::Unsupported => "Unsupported",
        }
    }
}

impl fmt::Display for CloudErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl CloudError {
    pub fn new(kind: CloudErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        Self { kind, operation, message: message.into(), retry_after: None }
    }

    pub fn kind(&self) -> CloudErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later without anybody changing it.
    pub fn is_retryable(&self) -> bool {
        !matches!(self.kind, CloudErrorKind::InvalidRequest | CloudErrorKind::Unsupported)
    }

    /// Whether a launch that failed so has certainly made nothing.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self.kind,
            CloudErrorKind::InvalidRequest
                | CloudErrorKind::InsufficientCapacity
                | CloudErrorKind::QuotaExceeded
                | CloudErrorKind::Unauthorized
        )
    }

    /// Whether the cloud may have done what it was asked all the same, so that only asking again, or looking, tells.
    pub fn is_ambiguous(&self) -> bool {
        matches!(self.kind, CloudErrorKind::Unreachable | CloudErrorKind::Internal)
    }
}
