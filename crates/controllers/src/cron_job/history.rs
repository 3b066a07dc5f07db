//! Jobs that a cron job has started: which still run, and how many finished ones are kept.

use std::sync::Arc;

use drydock_client::resources::{CRON_JOBS, JOBS};
use drydock_machinery::{Object, ObjectMeta, Status, Value};

use super::CronJobs;
use crate::util::{conditions, time_at};

/// The type of the condition with which the job ended.
fn ending(job: &Value) -> Option<&'static str> {
    ["Complete", "Failed"].into_iter().find(|kind| conditions::is_true(job, kind))
}

fn is_active(cron_job: &Value, uid: &str) -> bool {
    cron_job.array_at(&["status", "active"]).iter().any(|reference| reference.str_at(&["uid"]) == uid)
}

/// Takes the job from `status.active`.
pub(super) fn forget_active(cron_job: &mut Value, uid: &str) {
    let active = cron_job.array_at(&["status", "active"]).iter();
    let kept: Vec<Value> = active.filter(|reference| reference.str_at(&["uid"]) != uid).cloned().collect();
    if kept.is_empty() {
        cron_job.remove(&["status", "active"]);
    } else {
        cron_job.set(&["status", "active"], kept);
    }
}

impl CronJobs {
    /// Takes jobs that have ended or gone from `status.active`, and tells of those that it knows nothing of.
    pub(super) async fn follow_jobs(
        &self,
        cron_job: &Object,
        jobs: &[Arc<Object>],
        new: &mut Value,
    ) -> Result<(), Status> {
        for job in jobs {
            match ending(job) {
                Some(kind) => self.note_end(cron_job, job, kind, new),
                None if is_active(new, job.uid()) => {}
                None => self.note_unexpected(cron_job, job).await?,
            }
        }
        for reference in new.array_at(&["status", "active"]).to_vec() {
            let (name, uid) = (reference.str_at(&["name"]), reference.str_at(&["uid"]));
            if jobs.iter().any(|job| job.uid() == uid) {
                continue;
            }
            // The server is asked: the informer may not have it yet.
            if self.ctx.client.find(&JOBS, cron_job.namespace(), name).await?.is_none() {
                self.ctx.events.normal(cron_job, "MissingJob", format!("Active job went missing: {name}"));
                forget_active(new, uid);
            }
        }
        Ok(())
    }

    fn note_end(&self, cron_job: &Object, job: &Object, kind: &str, new: &mut Value) {
        if is_active(new, job.uid()) {
            forget_active(new, job.uid());
            let message = format!("Saw completed job: {}, condition: {kind}", job.name());
            self.ctx.events.normal(cron_job, "SawCompletedJob", message);
        }
        let Some(completed) = time_at(job, &["status", "completionTime"]).filter(|_| kind == "Complete")
        else {
            return;
        };
        if time_at(new, &["status", "lastSuccessfulTime"]).is_none_or(|last| last < completed) {
            new.set(&["status", "lastSuccessfulTime"], job.str_at(&["status", "completionTime"]));
        }
    }

    /// A job of this cron job's that it did not start, or whose start it could not note.
    async fn note_unexpected(&self, cron_job: &Object, job: &Object) -> Result<(), Status> {
        let fresh = self.ctx.client.get(&CRON_JOBS, cron_job.namespace(), cron_job.name()).await?;
        if !is_active(&fresh, job.uid()) {
            let message = format!("Saw a job that the controller did not create or forgot: {}", job.name());
            self.ctx.events.warning(cron_job, "UnexpectedJob", message);
        }
        Ok(())
    }

    /// Deletes the oldest finished jobs beyond the limits. One that cannot be deleted now will be later.
    pub(super) async fn clean_up(&self, cron_job: &Object, jobs: &[Arc<Object>], new: &mut Value) {
        for (kind, limit) in
            [("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")]
        {
            let Some(limit) = cron_job.i64_at(&["spec", limit]) else { continue };
            let mut ended: Vec<_> = jobs.iter().filter(|job| ending(job) == Some(kind)).collect();
            ended.sort_by_key(|job| {
                let start = job.str_at(&["status", "startTime"]).to_owned();
                (start.is_empty(), start, job.name().to_owned())
            });
            let surplus = ended.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
            for job in ended.into_iter().take(surplus) {
                if let Err(status) = self.delete_job(cron_job, job, new).await {
                    tracing::debug!(job = job.key(), %status, "finished job was not deleted");
                }
            }
        }
    }
}
