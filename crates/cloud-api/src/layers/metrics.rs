//! Counts calls. Owns the counters; whoever serves `/metrics` reads them.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::{Call, Layer};
use crate::CloudError;

/// A layer that counts attempts and their wall time by provider, operation and outcome.
#[derive(Debug, Default)]
pub struct CloudMetrics {
    counts: Mutex<BTreeMap<Key, (u64, Duration)>>,
}

/// Provider, operation, outcome.
type Key = (&'static str, &'static str, &'static str);

/// One row of [`CloudMetrics::counts`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CallCount {
    pub provider: &'static str,
    pub operation: &'static str,
    /// `OK` or a [`crate::CloudErrorKind`]'s name.
    pub outcome: &'static str,
    pub count: u64,
    /// Summed up.
    pub elapsed: Duration,
}

impl CloudMetrics {
    /// Since the start, sorted.
    pub fn counts(&self) -> Vec<CallCount> {
        let counts = self.counts.lock();
        counts
            .iter()
            .map(|(&(provider, operation, outcome), &(count, elapsed))| CallCount {
                provider,
                operation,
                outcome,
                count,
                elapsed,
            })
            .collect()
    }
}

#[async_trait]
impl Layer for CloudMetrics {
    async fn after(&self, call: &Call, outcome: Result<(), CloudError>) -> Result<(), CloudError> {
        let text = outcome.as_ref().map_or_else(|error| error.kind.as_str(), |()| "OK");
        let mut counts = self.counts.lock();
        let (count, elapsed) = counts.entry((call.provider, call.operation.name, text)).or_default();
        *count += 1;
        *elapsed += call.elapsed;
        drop(counts);
        outcome
    }
}
