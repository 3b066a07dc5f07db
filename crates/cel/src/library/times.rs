//! Parts of dates and durations.

use jiff::civil::DateTime;

use super::{Implementation, no_overload};
use crate::error::EvalError;
use crate::value::Value;

pub(super) const FUNCTIONS: &[(&str, Implementation)] = &[
    ("getFullYear", |_, args| part("getFullYear", args, |at| at.year().into())),
    ("getMonth", |_, args| part("getMonth", args, |at| i64::from(at.month()) - 1)),
    ("getDayOfYear", |_, args| part("getDayOfYear", args, |at| i64::from(at.day_of_year()) - 1)),
    ("getDayOfMonth", |_, args| part("getDayOfMonth", args, |at| i64::from(at.day()) - 1)),
    ("getDate", |_, args| part("getDate", args, |at| at.day().into())),
    ("getDayOfWeek", |_, args| part("getDayOfWeek", args, |at| at.weekday().to_sunday_zero_offset().into())),
    ("getHours", |_, args| timed("getHours", args, |at| at.hour().into(), 3_600_000_000_000)),
    ("getMinutes", |_, args| timed("getMinutes", args, |at| at.minute().into(), 60_000_000_000)),
    ("getSeconds", |_, args| timed("getSeconds", args, |at| at.second().into(), 1_000_000_000)),
    ("getMilliseconds", |_, args| {
        timed("getMilliseconds", args, |at| i64::from(at.subsec_nanosecond()) / 1_000_000, 1_000_000)
    }),
];

fn part(function: &str, args: &[Value], part: fn(DateTime) -> i64) -> Result<Value, EvalError> {
    let civil = match args {
        [Value::Timestamp(t)] => t.civil(None)?,
        [Value::Timestamp(t), Value::String(zone)] => t.civil(Some(zone))?,
        _ => return Err(no_overload(function, args)),
    };
    Ok(Value::Int(part(civil)))
}

/// As [`part`]; of durations, how many whole units of so many nanoseconds they have.
fn timed(function: &str, args: &[Value], of: fn(DateTime) -> i64, unit: i64) -> Result<Value, EvalError> {
    match args {
        [Value::Duration(d)] => Ok(Value::Int(d.nanoseconds() / unit)),
        _ => part(function, args, of),
    }
}
