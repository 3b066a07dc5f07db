//! Cron jobs: jobs at their times.

mod history;
mod schedule;

use std::sync::Arc;
use std::time::Duration;

use drydock_client::resources::{CRON_JOBS, JOBS};
use drydock_client::{Controller, DeleteOptions, Informer, Propagation, WorkQueue};
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value, value};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::Context;
use crate::util::owner::{self, controller_ref};
use crate::util::{between, split_key, time_at};
use schedule::Schedule;

const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// A little later than the time itself, so that the clock has surely passed it.
const SLACK: Duration = Duration::from_millis(100);

struct CronJobs {
    ctx: Context,
    queue: Arc<WorkQueue>,
    cron_jobs: Arc<Informer>,
    jobs: Arc<Informer>,
}

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let this = Arc::new(CronJobs {
        cron_jobs: ctx.informers.informer(&CRON_JOBS),
        jobs: ctx.informers.informer(&JOBS),
        queue: queue.clone(),
        ctx,
    });
    owner::index_by_controller(&this.jobs);
    let to = queue.clone();
    this.cron_jobs.on_change(move |change| to.add_object(change.object()));
    let to = queue.clone();
    this.jobs.on_change(move |change| {
        let job = change.object();
        if let Some(name) = owner::controller_of_kind(job, "batch", "CronJob") {
            to.add(format!("{}/{name}", job.namespace()));
        }
    });
    let needs = [this.cron_jobs.clone(), this.jobs.clone()];
    let tasks = this.ctx.tasks.clone();
    Controller::new("cronjob", queue).workers(5).needs(needs).start(&tasks, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await }
    });
}

impl CronJobs {
    async fn sync(&self, key: &Key) -> Result<(), Status> {
        let (namespace, name) = split_key(key);
        let Some(cron_job) = self.cron_jobs.get(namespace, name) else { return Ok(()) };
        let jobs = owner::controlled(&self.jobs, &cron_job);
        let mut new = cron_job.value().clone();
        self.follow_active(&cron_job, &jobs, &mut new);
        self.clean_up(&cron_job, &jobs).await?;
        let outcome = if cron_job.is_deleting() || cron_job.bool_at(&["spec", "suspend"]) {
            Ok(())
        } else {
            self.run_if_due(&cron_job, &jobs, &mut new).await
        };
        if new.get("status") != cron_job.get("status") {
            self.ctx.client.update_status(&CRON_JOBS, new).await?;
        }
        outcome
    }

    /// None when schedule or zone cannot be read, which is said in an event.
    fn schedule(&self, cron_job: &Object) -> Option<Schedule> {
        let text = cron_job.str_at(&["spec", "schedule"]);
        let zone = match cron_job.str_at(&["spec", "timeZone"]) {
            "" => TimeZone::UTC,
            name => match TimeZone::get(name) {
                Ok(zone) => zone,
                Err(error) => {
                    let message = format!("invalid timeZone: {name:?}: {error}");
                    self.ctx.events.warning(cron_job, "UnknownTimeZone", message);
                    return None;
                }
            },
        };
        match Schedule::parse(text, zone) {
            Ok(schedule) => Some(schedule),
            Err(error) => {
                let message = format!("unparseable schedule: {text:?} : {error}");
                self.ctx.events.warning(cron_job, "UnParseableCronJobSchedule", message);
                None
            }
        }
    }

    async fn run_if_due(
        &self,
        cron_job: &Object,
        jobs: &[Arc<Object>],
        new: &mut Value,
    ) -> Result<(), Status> {
        let Some(schedule) = self.schedule(cron_job) else { return Ok(()) };
        let now = self.ctx.clock.now();
        // What is to happen every so often goes on from the last time.
        let from = last_time(cron_job, now);
        let base = schedule.last(from, now).unwrap_or(from);
        if let Some(next) = schedule.next(base).filter(|next| *next > now).or_else(|| schedule.next(now)) {
            self.queue.add_after(cron_job.key(), between(now, next) + SLACK);
        }
        let deadline = cron_job.i64_at(&["spec", "startingDeadlineSeconds"]);
        let Some(due) = schedule.last(earliest(from, deadline, now), now) else { return Ok(()) };
        let latest = deadline.and_then(|seconds| due.checked_add(SignedDuration::from_secs(seconds)).ok());
        if latest.is_some_and(|latest| latest < now) {
            let message = format!(
                "Missed scheduled time to start a job: {}",
                due.strftime("%a, %d %b %Y %H:%M:%S +0000")
            );
            self.ctx.events.warning(cron_job, "MissSchedule", message);
            return Ok(());
        }
        let name = format!("{}-{}", cron_job.name(), due.as_second() / 60);
        if jobs.iter().any(|job| job.name() == name) {
            return Ok(());
        }
        let active = new.array_at(&["status", "active"]).to_vec();
        match cron_job.str_at(&["spec", "concurrencyPolicy"]) {
            "Forbid" if !active.is_empty() => {
                let message =
                    "Not starting job because prior execution is running and concurrency policy is Forbid";
                self.ctx.events.normal(cron_job, "JobAlreadyActive", message);
                return Ok(());
            }
            "Replace" => {
                for job in &active {
                    self.delete_job(cron_job, job.str_at(&["name"])).await?;
                }
                new.remove(&["status", "active"]);
            }
            _ => {}
        }
        self.create_job(cron_job, &name, due, new).await
    }

    async fn create_job(
        &self,
        cron_job: &Object,
        name: &str,
        due: Timestamp,
        new: &mut Value,
    ) -> Result<(), Status> {
        let time = drydock_runtime::clock::rfc3339(due);
        let template = cron_job.at(&["spec", "jobTemplate"]).cloned().unwrap_or_default();
        let mut job = value!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": name, "namespace": cron_job.namespace()},
        });
        for field in ["labels", "annotations"] {
            if let Some(map) = template.at(&["metadata", field]) {
                job.set(&["metadata", field], map.clone());
            }
        }
        job.set(&["metadata", "annotations", SCHEDULED], time.clone());
        job.set(&["metadata", "ownerReferences"], vec![controller_ref(cron_job)]);
        job.set(&["spec"], template.get("spec").cloned().unwrap_or_default());
        match self.ctx.client.create(&JOBS, job).await {
            Ok(job) => {
                self.ctx.events.normal(cron_job, "SuccessfulCreate", format!("Created job {name}"));
                let mut active = new.array_at(&["status", "active"]).to_vec();
                active.push(value!({
                    "apiVersion": "batch/v1", "kind": "Job", "name": name, "namespace": cron_job.namespace(),
                    "uid": job.uid(), "resourceVersion": job.resource_version(),
                }));
                new.set(&["status", "active"], active);
                new.set(&["status", "lastScheduleTime"], time);
                Ok(())
            }
            Err(status) if status.is_already_exists() => {
                new.set(&["status", "lastScheduleTime"], time);
                Ok(())
            }
            Err(status) => {
                self.ctx.events.warning(cron_job, "FailedCreate", format!("Error creating job: {status}"));
                Err(status)
            }
        }
    }

    async fn delete_job(&self, cron_job: &Object, name: &str) -> Result<(), Status> {
        let options = DeleteOptions::default().propagation(Propagation::Background);
        match self.ctx.client.delete(&JOBS, cron_job.namespace(), name, options).await {
            Ok(()) => {
                self.ctx.events.normal(cron_job, "SuccessfulDelete", format!("Deleted job {name}"));
                Ok(())
            }
            Err(status) if status.is_not_found() => Ok(()),
            Err(status) => {
                self.ctx.events.warning(cron_job, "FailedDelete", format!("Deleted job: {status}"));
                Err(status)
            }
        }
    }
}

/// When a job was started last, or else when the cron job was made.
fn last_time(cron_job: &Object, now: Timestamp) -> Timestamp {
    let last = time_at(cron_job, &["status", "lastScheduleTime"]);
    last.or_else(|| time_at(cron_job, &["metadata", "creationTimestamp"])).unwrap_or(now)
}

/// From where on missed times count.
fn earliest(last: Timestamp, deadline: Option<i64>, now: Timestamp) -> Timestamp {
    match deadline.and_then(|seconds| now.checked_sub(SignedDuration::from_secs(seconds)).ok()) {
        Some(bound) => last.max(bound),
        None => last,
    }
}
