//! batch: Job and CronJob.

mod cron_job;
mod job;
mod schedule;

use crate::kind::Kind;

pub(crate) const KINDS: &[&Kind] = &[&cron_job::KIND, &job::KIND];
