//! What is wrong at the moment, and when it is tried again.

use std::time::Duration;

use drydock_cloud_api::{CloudError, CloudErrorKind, InstanceFailure};
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
    of_machine: bool,
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
        Self { reason, failures: failures + 1, of_machine: cause.of_machine }
    }

    /// Whether it says something else than before.
    pub(super) fn is_news(&self, before: Option<&Self>) -> bool {
        before.is_none_or(|before| {
            (&before.reason.code, &before.reason.message) != (&self.reason.code, &self.reason.message)
        })
    }

    /// It is about a machine that was made and then failed, rather than about a call.
    pub(super) fn is_of_machine(&self) -> bool {
        self.of_machine
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
    of_machine: bool,
    retry_after: Option<Duration>,
}

impl Cause {
    pub(super) fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            hopeless: false,
            of_machine: false,
            retry_after: None,
        }
    }

    /// A machine that the cloud made and then failed.
    pub(super) fn of_machine(id: &str, failure: &InstanceFailure) -> Self {
        let message = format!("{id} failed: {}", failure.message);
        Self { of_machine: true, ..Self::new(failure.kind.as_str(), message) }
    }

    /// Nothing is wrong, it takes time.
    pub(super) fn is_waiting(&self) -> bool {
        self.code == CloudErrorKind::InProgress.as_str()
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
            of_machine: false,
            retry_after: error.retry_after,
        }
    }
}

impl From<&RecordsError> for Cause {
    fn from(error: &RecordsError) -> Self {
        Self::new("RecordsUnavailable", drydock_runtime::tasks::chain(error))
    }
}
