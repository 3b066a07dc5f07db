//! Jobs that a cron job has started: which still run, and how many finished ones are kept.

use std::sync::Arc;

use drydock_machinery::{Object, ObjectMeta, Status, Value};

use super::CronJobs;
use crate::util::{conditions, count_at, time_at};

/// The type of the condition with which the job ended.
fn ending(job: &Value) -> Option<&'static str> {
    ["Complete", "Failed"].into_iter().find(|kind| conditions::is_true(job, kind))
}

impl CronJobs {
    /// Takes jobs that have ended or gone from `status.active`.
    pub(super) fn follow_active(&self, cron_job: &Object, jobs: &[Arc<Object>], new: &mut Value) {
        let mut active = Vec::new();
        for reference in cron_job.array_at(&["status", "active"]) {
            let name = reference.str_at(&["name"]);
            let Some(job) = jobs.iter().find(|job| job.uid() == reference.str_at(&["uid"])) else {
                let message = format!("Active job went missing: {name}");
                self.ctx.events.normal(cron_job, "MissingJob", message);
                continue;
            };
            match ending(job) {
                Some(kind) => {
                    let message = format!("Saw completed job: {name}, condition: {kind}");
                    self.ctx.events.normal(cron_job, "SawCompletedJob", message);
                    self.note_success(job, new);
                }
                None => active.push(reference.clone()),
            }
        }
        if active.is_empty() {
            new.remove(&["status", "active"]);
        } else {
            new.set(&["status", "active"], active);
        }
    }

    fn note_success(&self, job: &Object, new: &mut Value) {
        let Some(completed) = time_at(job, &["status", "completionTime"]) else { return };
        if time_at(new, &["status", "lastSuccessfulTime"]).is_none_or(|last| last < completed) {
            new.set(&["status", "lastSuccessfulTime"], job.str_at(&["status", "completionTime"]));
        }
    }

    /// Deletes the oldest finished jobs beyond the limits.
    pub(super) async fn clean_up(&self, cron_job: &Object, jobs: &[Arc<Object>]) -> Result<(), Status> {
        let limits = [
            ("Complete", count_at(cron_job, &["spec", "successfulJobsHistoryLimit"], 3)),
            ("Failed", count_at(cron_job, &["spec", "failedJobsHistoryLimit"], 1)),
        ];
        for (kind, limit) in limits {
            let mut ended: Vec<_> =
                jobs.iter().filter(|job| ending(job) == Some(kind) && !job.is_deleting()).collect();
            ended.sort_by_key(|job| (job.str_at(&["status", "startTime"]).to_owned(), job.name().to_owned()));
            let surplus = ended.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
            for job in ended.into_iter().take(surplus) {
                self.delete_job(cron_job, job.name()).await?;
            }
        }
        Ok(())
    }
}
