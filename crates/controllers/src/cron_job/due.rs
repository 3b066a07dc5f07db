//! Which of a schedule's times is to be run now.

use drydock_machinery::{Object, Value};
use jiff::{SignedDuration, Timestamp};

use super::schedule::Schedule;
use crate::util::time_at;

/// More missed times than this are complained of.
const MANY_MISSED: i64 = 100;

/// The last time that has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) at: Timestamp,
    pub(super) many_missed: bool,
}

/// From where on times count: what was missed longer ago than `startingDeadlineSeconds` is not made up for.
pub(super) fn earliest(cron_job: &Object, now: Timestamp) -> Timestamp {
    let from = last_time(cron_job, now);
    match deadline(cron_job).and_then(|deadline| now.checked_sub(deadline).ok()) {
        Some(bound) => from.max(bound),
        None => from,
    }
}

/// When a job was started last, or else when the cron job was made.
fn last_time(cron_job: &Object, now: Timestamp) -> Timestamp {
    let last = time_at(cron_job, &["status", "lastScheduleTime"]);
    last.or_else(|| time_at(cron_job, &["metadata", "creationTimestamp"])).unwrap_or(now)
}

/// When to look again. What is to happen every so often goes on from the last time.
pub(super) fn next(schedule: &Schedule, cron_job: &Object, now: Timestamp) -> Option<Timestamp> {
    let from = last_time(cron_job, now);
    let base = schedule.last(from, now).unwrap_or(from);
    schedule.next(base).filter(|next| *next > now).or_else(|| schedule.next(now))
}

pub(super) fn is_too_late(cron_job: &Value, due: Timestamp, now: Timestamp) -> bool {
    deadline(cron_job).and_then(|deadline| due.checked_add(deadline).ok()).is_some_and(|latest| latest < now)
}

fn deadline(cron_job: &Value) -> Option<SignedDuration> {
    cron_job.i64_at(&["spec", "startingDeadlineSeconds"]).map(SignedDuration::from_secs)
}

/// The last time in `(from, now]`.
///
/// # Errors
/// For a schedule that never comes.
pub(super) fn of(schedule: &Schedule, from: Timestamp, now: Timestamp) -> Result<Option<Due>, &'static str> {
    const NEVER: &str = "time difference between two schedules is less than 1 second";
    let first = schedule.next(from).ok_or(NEVER)?;
    let second = schedule.next(first).ok_or(NEVER)?;
    if now < first {
        return Ok(None);
    }
    if now < second {
        return Ok(Some(Due { at: first, many_missed: false }));
    }
    let spacing = second.duration_since(first).as_secs();
    if spacing < 1 {
        return Err(NEVER);
    }
    // Roughly as many as fit.
    let missed = now.duration_since(first).as_secs() / spacing + 1;
    Ok(schedule.last(from, now).map(|at| Due { at, many_missed: missed > MANY_MISSED }))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    fn due(schedule: &str, from: &str, now: &str) -> Result<Option<(String, bool)>, &'static str> {
        let schedule = Schedule::parse(schedule, TimeZone::UTC).unwrap();
        let due = of(&schedule, from.parse().unwrap(), now.parse().unwrap())?;
        Ok(due.map(|due| (due.at.to_string(), due.many_missed)))
    }

    #[test]
    fn the_last_of_the_missed_times_is_due() {
        let at = |time: &str, many| Ok(Some((time.to_owned(), many)));
        assert_eq!(due("*/5 * * * *", "2026-01-01T00:01:00Z", "2026-01-01T00:04:59Z"), Ok(None));
        let one = due("*/5 * * * *", "2026-01-01T00:01:00Z", "2026-01-01T00:05:00Z");
        assert_eq!(one, at("2026-01-01T00:05:00Z", false));
        let some = due("0 * * * *", "2026-01-01T00:01:00Z", "2026-01-01T05:30:00Z");
        assert_eq!(some, at("2026-01-01T05:00:00Z", false));
        let many = due("*/1 * * * *", "2020-01-01T00:00:00Z", "2026-01-01T05:30:30Z");
        assert_eq!(many, at("2026-01-01T05:30:00Z", true));
        assert!(due("59 23 31 2 *", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z").is_err());
    }
}
