//! Finished jobs with `ttlSecondsAfterFinished` are deleted when that is over.

use std::sync::Arc;

use drydock_client::resources::JOBS;
use drydock_client::{Change, Controller, DeleteOptions, Propagation, WorkQueue};
use drydock_machinery::{Key, ObjectMeta, Status, Value};
use jiff::{SignedDuration, Timestamp};

use crate::Context;
use crate::util::{between, split_key, time_at};

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let jobs = ctx.informers.informer(&JOBS);
    let to = queue.clone();
    jobs.on_change(move |change| {
        if !matches!(change, Change::Deleted(_)) && expiry(change.object()).is_some() {
            to.add_object(change.object());
        }
    });
    let tasks = ctx.tasks.clone();
    let again = queue.clone();
    Controller::new("ttl-after-finished", queue).needs([jobs]).start(&tasks, move |key| {
        let (ctx, again) = (ctx.clone(), again.clone());
        async move { sync(&ctx, &again, &key).await }
    });
}

/// When the job goes; None while it runs, and for jobs that stay.
fn expiry(job: &Value) -> Option<Timestamp> {
    let seconds = job.i64_at(&["spec", "ttlSecondsAfterFinished"])?;
    let conditions = job.array_at(&["status", "conditions"]).iter();
    let mut ended = conditions.filter(|condition| {
        matches!(condition.str_at(&["type"]), "Complete" | "Failed")
            && condition.str_at(&["status"]) == "True"
    });
    let at = time_at(ended.next()?, &["lastTransitionTime"])?;
    at.saturating_add(SignedDuration::from_secs(seconds)).ok()
}

async fn sync(ctx: &Context, queue: &WorkQueue, key: &Key) -> Result<(), Status> {
    let (namespace, name) = split_key(key);
    // The server, not the cache, is asked: the ttl may just have been raised.
    let Some(job) = ctx.client.find(&JOBS, namespace, name).await? else { return Ok(()) };
    let Some(at) = expiry(&job).filter(|_| !job.is_deleting()) else { return Ok(()) };
    let now = ctx.clock.now();
    if at > now {
        queue.add_after(key.clone(), between(now, at));
        return Ok(());
    }
    let options = DeleteOptions::of_uid(job.uid()).propagation(Propagation::Foreground);
    match ctx.client.delete(&JOBS, namespace, name, options).await {
        Err(status) if !status.is_not_found() => Err(status),
        _ => Ok(()),
    }
}
