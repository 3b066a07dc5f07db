//! Cron schedules: five fields, names, ranges, steps, and `@hourly` and its kin.

use drydock_machinery::go_duration;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

/// When something is to happen, in a time zone.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// A day must match both when either is `*`, and one of them otherwise.
    either_day: bool,
    zone: TimeZone,
    /// `@every`: whole seconds, at least one.
    every: Option<SignedDuration>,
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Schedule {
    /// # Errors
    /// Says what cannot be read.
    pub(super) fn parse(text: &str, zone: TimeZone) -> Result<Self, String> {
        let (text, zone) =
            match text.trim().strip_prefix("CRON_TZ=").or_else(|| text.trim().strip_prefix("TZ=")) {
                None => (text, zone),
                Some(rest) => {
                    let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                    let bad = |_| format!("provided bad location {name}: unknown time zone {name}");
                    (rest, TimeZone::get(name).map_err(bad)?)
                }
            };
        let text = match text.trim() {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        if let Some(every) = text.strip_prefix("@every ") {
            let nanoseconds = go_duration::parse(every.trim())
                .map_err(|why| format!("failed to parse duration {text}: {why}"))?;
            let seconds = (nanoseconds / 1_000_000_000).max(1);
            let every = Some(SignedDuration::from_secs(seconds));
            return Ok(Self { every, ..Self::parse("* * * * *", zone)? });
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(format!("expected exactly 5 fields, found {}: [{text}]", fields.len()));
        };
        let mut weekdays = parse_field(weekday, 0, 7, &WEEKDAYS, 0)?;
        if weekdays & (1 << 7) != 0 {
            weekdays |= 1;
        }
        Ok(Self {
            minutes: parse_field(minute, 0, 59, &[], 0)?,
            hours: parse_field(hour, 0, 23, &[], 0)?,
            days: parse_field(day, 1, 31, &[], 0)?,
            months: parse_field(month, 1, 12, &MONTHS, 1)?,
            weekdays,
            either_day: !is_any(day) && !is_any(weekday),
            zone,
            every: None,
        })
    }

    /// The first time after `after`; None when there is none within five years.
    pub(super) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        if let Some(every) = self.every {
            return whole_second(after).checked_add(every).ok();
        }
        let start = after.to_zoned_datetime(self.zone.clone()).datetime();
        let start = start.with().second(0).subsec_nanosecond(0).build().ok()?;
        let mut at = start.checked_add(Span::new().minutes(1)).ok()?;
        let limit = start.checked_add(Span::new().years(5)).ok()?;
        while at < limit {
            at = match self.step(at)? {
                Some(later) => later,
                None => {
                    let time = at.to_zoned_datetime(self.zone.clone()).ok()?.timestamp();
                    // Clocks that were set back show the same time again.
                    if time > after {
                        return Some(time);
                    }
                    at.checked_add(Span::new().minutes(1)).ok()?
                }
            };
        }
        None
    }

    /// The last time in `(from, now]`, in a number of steps that does not grow with how many there are.
    pub(super) fn last(&self, from: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let first = self.next(from).filter(|first| *first <= now)?;
        if let Some(every) = self.every {
            let rounds = now.duration_since(first).as_secs() / every.as_secs();
            return first.checked_add(SignedDuration::from_secs(rounds * every.as_secs())).ok();
        }
        // The later the start, the later the next time: the latest start whose next time is not past `now`.
        let (mut early, mut late) = (from.as_second(), now.as_second());
        let mut found = first;
        while early < late {
            let middle = early + (late - early + 1) / 2;
            match Timestamp::from_second(middle).ok().and_then(|at| self.next(at)).filter(|at| *at <= now) {
                Some(next) => (early, found) = (middle, next),
                None => late = middle - 1,
            }
        }
        Some(found)
    }

    /// Some(None) when `at` matches, else the next moment worth looking at.
    fn step(&self, at: DateTime) -> Option<Option<DateTime>> {
        let has = |set: u64, value: i8| set & (1 << value) != 0;
        let midnight = at.with().hour(0).minute(0).build().ok()?;
        if !has(self.months, at.month()) {
            let first = midnight.with().day(1).build().ok()?;
            return Some(first.checked_add(Span::new().months(1)).ok());
        }
        let day = has(self.days, at.day());
        let weekday = has(self.weekdays, at.weekday().to_sunday_zero_offset());
        if !(if self.either_day { day || weekday } else { day && weekday }) {
            return Some(midnight.checked_add(Span::new().days(1)).ok());
        }
        if !has(self.hours, at.hour()) {
            let hour = at.with().minute(0).build().ok()?;
            return Some(hour.checked_add(Span::new().hours(1)).ok());
        }
        if !has(self.minutes, at.minute()) {
            return Some(at.checked_add(Span::new().minutes(1)).ok());
        }
        Some(None)
    }
}

fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Whether a field says nothing about days. Of every second day and the like it does say something.
fn is_any(field: &str) -> bool {
    field.split(',').any(|part| {
        let (range, step) = part.split_once('/').unwrap_or((part, "1"));
        matches!(range, "*" | "?") && step.parse() == Ok(1u32)
    })
}

fn parse_field(text: &str, min: u32, max: u32, names: &[&str], first_name: u32) -> Result<u64, String> {
    let mut set = 0u64;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (part, None),
        };
        let bad = || format!("failed to parse int from {part}");
        let number = |text: &str| -> Result<u32, String> {
            let lower = text.to_ascii_lowercase();
            if let Some(i) = names.iter().position(|name| *name == lower) {
                return Ok(i as u32 + first_name);
            }
            text.parse().map_err(|_| bad())
        };
        let (from, to) = match range {
            "*" | "?" => (min, max),
            _ => match range.split_once('-') {
                Some((from, to)) => (number(from)?, number(to)?),
                None if step.is_some() => (number(range)?, max),
                None => (number(range)?, number(range)?),
            },
        };
        let step = step.map_or(Ok(1), |step| step.parse::<u32>().map_err(|_| bad()))?;
        if from < min || to > max || from > to || step == 0 {
            return Err(format!("value out of range ({min} - {max}): {part}"));
        }
        for value in (from..=to).step_by(step as usize) {
            set |= 1 << value;
        }
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(schedule: &str, after: &str, expected: &str) {
        let schedule = Schedule::parse(schedule, TimeZone::UTC).unwrap();
        let next = schedule.next(after.parse().unwrap()).map(|next| next.to_string());
        assert_eq!(next.as_deref(), Some(expected));
    }

    #[track_caller]
    fn check_last(schedule: &str, from: &str, now: &str, expected: Option<&str>) {
        let schedule = Schedule::parse(schedule, TimeZone::UTC).unwrap();
        let last = schedule.last(from.parse().unwrap(), now.parse().unwrap()).map(|last| last.to_string());
        assert_eq!(last.as_deref(), expected);
    }

    #[test]
    fn the_last_time_is_found_however_many_were_missed() {
        let (from, now) = ("0001-01-01T00:00:00Z", "2026-03-04T05:06:07Z");
        check_last("* * * * *", from, now, Some("2026-03-04T05:06:00Z"));
        check_last("30 6-16/4 * * 1-5", from, now, Some("2026-03-03T14:30:00Z"));
        check_last("0 0 29 2 *", "2023-01-01T00:00:00Z", now, Some("2024-02-29T00:00:00Z"));
        check_last("0 0 31 2 *", from, now, None);
        check_last("0 6 * * *", "2026-03-04T00:00:00Z", now, None);
        check_last("@every 1s", "2020-01-01T00:00:00Z", now, Some("2026-03-04T05:06:07Z"));
        check_last("@every 1s", from, now, Some("2026-03-04T05:06:07Z"));
        check_last("@every 90m", "2026-03-04T00:00:00Z", now, Some("2026-03-04T04:30:00Z"));
        check_last("@every 2h", "2026-03-04T04:00:00Z", now, None);
    }

    #[test]
    fn every_so_often_is_at_least_a_second() {
        check("@every 0s", "2026-01-01T00:00:00.5Z", "2026-01-01T00:00:01Z");
        check("@every -5m", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z");
        check("@every 1h30m1.5s", "2026-01-01T00:00:00Z", "2026-01-01T01:30:01Z");
        assert!(Schedule::parse("@every P1D", TimeZone::UTC).is_err());
    }

    #[test]
    fn schedules_say_when_next() {
        check("*/5 * * * *", "2026-01-01T00:01:30Z", "2026-01-01T00:05:00Z");
        check("0 3 1 1 *", "2026-01-01T03:00:00Z", "2027-01-01T03:00:00Z");
        check("30 8 * * mon-fri", "2026-01-02T09:00:00Z", "2026-01-05T08:30:00Z");
        check("0 0 13 * fri", "2026-02-01T00:00:00Z", "2026-02-06T00:00:00Z");
        // Of days with a step and weekdays one must match, as with any other two.
        check("0 0 */10 * fri", "2026-02-01T00:00:00Z", "2026-02-06T00:00:00Z");
        check("0 0 */1 * fri", "2026-02-01T00:00:00Z", "2026-02-06T00:00:00Z");
        check("0 0 */10 * sun", "2026-02-09T00:00:00Z", "2026-02-11T00:00:00Z");
        check("@hourly", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z");
        assert!(Schedule::parse("* * * *", TimeZone::UTC).is_err());
        assert!(Schedule::parse("61 * * * *", TimeZone::UTC).is_err());
    }
}
