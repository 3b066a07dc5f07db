//! What is wrong at the moment, and when it is tried again.

use std::time::Duration;

use drydock_cloud_api::{CloudError, CloudErrorKind};
use drydock_runtime::Clock;
use jiff::Timestamp;

use crate::{PoolReason, RecordsError};

const FIRST_DELAY: Duration = Duration::from_secs(1);
const LAST_DELAY: Duration = Duration::from_secs(60);
/// For what will not succeed until somebody changes something: the spec, permissions, a quota.
const HOPELESS_DELAY: Duration = Duration::from_secs(60);

/// A run of failures of one thing.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) reason: PoolReason,
    failures: u32,
}

impl Trouble {
    /// One more failure.
    pub(super) fn again(before: Option<&Self>, cause: Cause, clock: &Clock) -> Self {
        let failures = before.map_or(0, |before| before.failures);
        let delay = if cause.hopeless {
            HOPELESS_DELAY
        } else {
            FIRST_DELAY.saturating_mul(1 << failures.min(10)).min(LAST_DELAY)
        };
        let now = clock.now();
        let delay = cause.retry_after.map_or(delay, |asked| asked.max(delay));
        let since = before.filter(|before| before.reason.code == cause.code).map_or(now, |b| b.reason.since);
        let next_attempt = Some(now.saturating_add(delay).unwrap_or(Timestamp::MAX));
        let reason = PoolReason { code: cause.code, message: cause.message, since, next_attempt };
        Self { reason, failures: failures + 1 }
    }

    pub(super) fn next_attempt(&self) -> Timestamp {
        self.reason.next_attempt.unwrap_or(Timestamp::MIN)
    }
}

/// Why something failed.
#[derive(Clone, Debug)]
pub(super) struct Cause {
    code: String,
    message: String,
    hopeless: bool,
    retry_after: Option<Duration>,
}

impl Cause {
    pub(super) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), hopeless: false, retry_after: None }
    }
}

impl From<&CloudError> for Cause {
    fn from(error: &CloudError) -> Self {
        let hopeless = matches!(
            error.kind,
            CloudErrorKind::InvalidRequest | CloudErrorKind::Unsupported | CloudErrorKind::Unauthorized
        );
        Self {
            code: error.kind.as_str().to_owned(),
            message: error.to_string(),
            hopeless,
            retry_after: error.retry_after,
        }
    }
}

impl From<&RecordsError> for Cause {
    fn from(error: &RecordsError) -> Self {
        Self::new("RecordsUnavailable", drydock_runtime::tasks::chain(error))
    }
}
