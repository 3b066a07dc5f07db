//! Cron jobs: jobs at their times.

mod due;
mod history;
mod schedule;

use std::sync::Arc;
use std::time::Duration;

use drydock_client::resources::{CRON_JOBS, JOBS};
use drydock_client::{Change, Controller, DeleteOptions, Informer, Propagation, WorkQueue};
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value, value};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::Context;
use crate::util::owner::{self, controller_ref};
use crate::util::pod_control::is_namespace_terminating;
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
    let me = this.clone();
    this.cron_jobs.on_change(move |change| me.changed(change));
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
    /// Who is given another schedule starts nothing by it before its next time.
    fn changed(&self, change: Change<'_>) {
        let cron_job = change.object();
        let when = |cron_job: &Value| {
            ["schedule", "timeZone"].map(|field| cron_job.str_at(&["spec", field]).to_owned())
        };
        if change.old().is_none_or(|old| when(old) == when(cron_job)) {
            return self.queue.add_object(cron_job);
        }
        let text = cron_job.str_at(&["spec", "schedule"]);
        let schedule = zone(cron_job).and_then(|zone| Schedule::parse(text, zone).ok());
        let now = self.ctx.clock.now();
        if let Some(next) = schedule.and_then(|schedule| due::next(&schedule, cron_job, now)) {
            self.queue.add_after(cron_job.key(), between(now, next) + SLACK);
        }
    }

    async fn sync(&self, key: &Key) -> Result<(), Status> {
        let (namespace, name) = split_key(key);
        let Some(cron_job) = self.cron_jobs.get(namespace, name) else { return Ok(()) };
        let jobs = owner::controlled(&self.jobs, &cron_job);
        let mut new = cron_job.value().clone();
        self.clean_up(&cron_job, &jobs, &mut new).await;
        self.follow_jobs(&cron_job, &jobs, &mut new).await?;
        let outcome =
            if cron_job.is_deleting() { Ok(()) } else { self.run_if_due(&cron_job, &mut new).await };
        if new.get("status") != cron_job.get("status") {
            self.ctx.client.update_status(&CRON_JOBS, new).await?;
        }
        outcome
    }

    /// None when schedule or zone cannot be read, which is said in an event, and while the cron job is suspended.
    fn schedule(&self, cron_job: &Object) -> Option<Schedule> {
        let events = &self.ctx.events;
        let text = cron_job.str_at(&["spec", "schedule"]);
        let Some(zone) = zone(cron_job) else {
            let name = cron_job.str_at(&["spec", "timeZone"]);
            let message = format!("invalid timeZone: {name:?}: unknown time zone {name}");
            events.warning(cron_job, "UnknownTimeZone", message);
            return None;
        };
        if cron_job.bool_at(&["spec", "suspend"]) {
            return None;
        }
        if text.contains("TZ") {
            let message = format!(
                "CRON_TZ or TZ used in schedule {text:?} is not officially supported, see \
                 https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
            );
            events.warning(cron_job, "UnsupportedSchedule", message);
        }
        match Schedule::parse(text, zone) {
            Ok(schedule) => Some(schedule),
            Err(error) => {
                let message = format!("unparseable schedule: {text:?} : {error}");
                events.warning(cron_job, "UnparseableSchedule", message);
                None
            }
        }
    }

    /// Starts the job of the last time that has passed, unless that was done.
    async fn run_if_due(&self, cron_job: &Object, new: &mut Value) -> Result<(), Status> {
        let Some(schedule) = self.schedule(cron_job) else { return Ok(()) };
        let now = self.ctx.clock.now();
        let due = match due::of(&schedule, due::earliest(cron_job, now), now) {
            Ok(due) => due,
            Err(error) => {
                let text = cron_job.str_at(&["spec", "schedule"]);
                self.ctx.events.warning(
                    cron_job,
                    "InvalidSchedule",
                    format!("invalid schedule: {text} : {error}"),
                );
                return Ok(());
            }
        };
        if let Some(next) = due::next(&schedule, cron_job, now) {
            self.queue.add_after(cron_job.key(), between(now, next) + SLACK);
        }
        let Some(due) = due else { return Ok(()) };
        if due.many_missed {
            let message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
            self.ctx.events.warning(cron_job, "TooManyMissedTimes", message);
        }
        if due::is_too_late(cron_job, due.at, now) {
            let time = due.at.strftime("%a, %d %b %Y %H:%M:%S +0000");
            let message = format!("Missed scheduled time to start a job: {time}");
            self.ctx.events.warning(cron_job, "MissSchedule", message);
            return Ok(());
        }
        let name = format!("{}-{}", cron_job.name(), due.at.as_second() / 60);
        let active = new.array_at(&["status", "active"]);
        let is_started = active.iter().any(|job| job.str_at(&["name"]) == name);
        if is_started || time_at(new, &["status", "lastScheduleTime"]) == Some(due.at) {
            return Ok(());
        }
        match cron_job.str_at(&["spec", "concurrencyPolicy"]) {
            "Forbid" if !active.is_empty() => {
                let message =
                    "Not starting job because prior execution is running and concurrency policy is Forbid";
                self.ctx.events.normal(cron_job, "JobAlreadyActive", message);
                return Ok(());
            }
            "Replace" => self.replace_active(cron_job, new).await?,
            _ => {}
        }
        self.create_job(cron_job, &name, due.at, new).await
    }

    /// Deletes what still runs.
    async fn replace_active(&self, cron_job: &Object, new: &mut Value) -> Result<(), Status> {
        for reference in new.array_at(&["status", "active"]).to_vec() {
            let name = reference.str_at(&["name"]);
            let job = match self.ctx.client.get(&JOBS, cron_job.namespace(), name).await {
                Ok(job) => job,
                Err(status) => {
                    self.ctx.events.warning(cron_job, "FailedGet", format!("Get job: {status}"));
                    return Err(status);
                }
            };
            self.delete_job(cron_job, &job, new).await?;
        }
        Ok(())
    }

    async fn create_job(
        &self,
        cron_job: &Object,
        name: &str,
        due: Timestamp,
        new: &mut Value,
    ) -> Result<(), Status> {
        let job = new_job(cron_job, name, due);
        let made = match self.ctx.client.create(&JOBS, job).await {
            Ok(job) => {
                self.ctx.events.normal(cron_job, "SuccessfulCreate", format!("Created job {name}"));
                job
            }
            // Made before, when noting it failed; or somebody else's, who notes it.
            Err(status) if status.is_already_exists() => {
                let job = self.ctx.client.get(&JOBS, cron_job.namespace(), name).await?;
                if !owner::is_controlled_by(&job, cron_job) {
                    return Ok(());
                }
                job
            }
            Err(status) if is_namespace_terminating(&status) => return Err(status),
            Err(status) => {
                self.ctx.events.warning(cron_job, "FailedCreate", format!("Error creating job: {status}"));
                return Err(status);
            }
        };
        let mut active = new.array_at(&["status", "active"]).to_vec();
        active.push(value!({
            "apiVersion": "batch/v1", "kind": "Job", "name": name, "namespace": cron_job.namespace(),
            "uid": made.uid(), "resourceVersion": made.resource_version(),
        }));
        new.set(&["status", "active"], active);
        new.set(&["status", "lastScheduleTime"], drydock_runtime::clock::rfc3339(due));
        Ok(())
    }

    /// Deletes the job, and takes it from the active ones.
    async fn delete_job(&self, cron_job: &Object, job: &Object, new: &mut Value) -> Result<(), Status> {
        let options = DeleteOptions::default().propagation(Propagation::Background);
        if let Err(status) = self.ctx.client.delete(&JOBS, job.namespace(), job.name(), options).await {
            self.ctx.events.warning(cron_job, "FailedDelete", format!("Deleted job: {status}"));
            return Err(status);
        }
        history::forget_active(new, job.uid());
        self.ctx.events.normal(cron_job, "SuccessfulDelete", format!("Deleted job {}", job.name()));
        Ok(())
    }
}

/// The zone of the schedule; None when it is unknown.
fn zone(cron_job: &Value) -> Option<TimeZone> {
    match cron_job.str_at(&["spec", "timeZone"]) {
        "" => Some(TimeZone::UTC),
        name => TimeZone::get(name).ok(),
    }
}

fn new_job(cron_job: &Object, name: &str, due: Timestamp) -> Value {
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
    job.set(
        &["metadata", "annotations", SCHEDULED],
        local_time(due, zone(cron_job).unwrap_or(TimeZone::UTC)),
    );
    job.set(&["metadata", "ownerReferences"], vec![controller_ref(cron_job)]);
    job.set(&["spec"], template.get("spec").cloned().unwrap_or_default());
    job
}

/// RFC 3339 as Go writes it in a zone.
fn local_time(at: Timestamp, zone: TimeZone) -> String {
    let zoned = at.to_zoned_datetime(zone);
    if zoned.offset().seconds() == 0 {
        return zoned.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    }
    zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}
